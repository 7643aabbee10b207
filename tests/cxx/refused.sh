#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: refused.sh SOURCE_DIR INCLUDE_DIR CLANG_19 COMPILER...
# The compilers find errors in the lines of refused.cc that say so, and in no others; warnings in no line
# of uses.cc; and clang 19's thread-safety analysis (CLANG_19: where it is, or "none") in the lines of
# its misuse.
set -eu
here=$1
include=$2
analyst=$3
shift 3
work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-refused.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

failed=0
for compiler; do
    standards='c++11 c++17'
    case $compiler in *clang*) standards=c++17 ;; esac
    for standard in $standards; do
        marks='// refused$'
        [ "$standard" = c++11 ] || marks='// (refused|nodiscard)$'
        grep -nE "$marks" "$here/refused.cc" | cut -d: -f1 >"$work/expected"
        limit=-fmax-errors=0
        case $compiler in *clang*) limit=-ferror-limit=0 ;; esac
        "$compiler" -std="$standard" -Wall -Wextra -Werror -Wno-unused $limit -Wno-self-assign-overloaded \
            -Wunused-result -Wunused-value -fsyntax-only -I "$include" "$here/refused.cc" >"$work/said" 2>&1 || true
        sed -nE 's|.*refused\.cc:([0-9]+):[0-9]+: error: .*|\1|p' "$work/said" | sort -nu >"$work/found"
        if ! diff "$work/expected" "$work/found" >"$work/diff"; then
            echo "FAILED: $compiler -std=$standard: the lines that should be refused (<), and are (>):"
            cat "$work/diff"
            cat "$work/said"
            failed=1
        fi
        echo "$compiler -std=$standard: $(wc -l <"$work/found") lines refused"
    done
done

compile()
{
    "$@" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-unused-variable -fsyntax-only \
        -I "$include" "$here/uses.cc" >"$work/said" 2>&1
}
for compiler; do
    standards='c++11 c++20'
    case $compiler in *clang*) standards=c++20 ;; esac
    for standard in $standards; do
        if ! compile "$compiler" -std="$standard" -Werror; then
            echo "FAILED: $compiler -std=$standard warns of uses.cc:"
            cat "$work/said"
            failed=1
        fi
    done
done

if [ "$analyst" = none ]; then
    echo 'NOT TESTED: what the thread-safety analysis says: there is no clang++-19'
else
    analysis='-std=c++11 -Wthread-safety -Wthread-safety-beta'
    # shellcheck disable=SC2086 # a list of words
    if ! compile "$analyst" $analysis -Werror; then
        echo "FAILED: the thread-safety analysis has something to say of uses.cc:"
        cat "$work/said"
        failed=1
    fi
    grep -nE '// found$' "$here/uses.cc" | cut -d: -f1 >"$work/lines"
    # shellcheck disable=SC2086
    compile "$analyst" $analysis -DMISUSE || true
    sed -nE 's|.*uses\.cc:([0-9]+):[0-9]+: warning: .*-Wthread-safety.*|\1|p' "$work/said" | sort -nu >"$work/found"
    if ! diff "$work/lines" "$work/found"; then
        echo "FAILED: the lines of misuse that should be found (<), and are (>)"
        cat "$work/said"
        failed=1
    fi
fi
[ -s "$work/expected" ] && [ "$failed" -eq 0 ]
