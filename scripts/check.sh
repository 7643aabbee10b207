#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The checks that need no running: format, warnings of gcc and clang as errors, clang-tidy.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# An archive of the sources has no git: then all that is there is checked.
sources()
{
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z -- "$@"
    else
        local names=()
        for pattern in "$@"; do
            names+=(-o -name "$pattern")
        done
        find . -path ./build -prune -o -type f \( "${names[@]:1}" \) -print0
    fi
}

status=0
step()
{
    echo "check.sh: $1"
    shift
    if ! "$@"; then
        echo "check.sh: FAILED: $*"
        status=1
    fi
}

format()
{
    sources '*.c' '*.h' '*.cc' '*.hpp' | xargs -0 clang-format --dry-run --Werror
}

build()
{
    cmake --preset release && cmake --build --preset release
}

# clang-tidy says clang's warnings too, and as errors, for that is how the preset compiles: so nothing is
# built for them (the preset tsan builds and links with clang). Its counts of suppressed warnings are of
# no interest.
tidy()
{
    cmake --preset clang || return
    sources '*.c' |
        xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p build/clang 2> >(grep -v ' generated\.$' >&2)
}

step 'format' format
step 'gcc, warnings are errors' build
step 'clang-tidy, and the warnings of clang as errors' tidy
exit $status
