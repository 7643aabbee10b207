#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: abi_tag.sh SOURCE
# A release, tagged as docs/releasing.md says, in a repository of its own; and what scripts/abi.sh says of
# the changes after it: it compares with the tag, whatever the tree's abi/ holds by then.
set -euo pipefail
source=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-abi-tag.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

for program in git abidw abidiff; do
    if ! command -v "$program" >/dev/null; then
        echo "abi_tag.sh: NOT TESTED: there is no $program (scripts/setup.sh installs it)"
        exit 77
    fi
done
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null TWOSTATE_ABI_BUILD=$work/build
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test

# What git knows, as it lies there; an archive of the sources has no git: then all but build/.
mkdir "$work/tree"
cd "$source"
if git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
    git -c safe.directory='*' ls-files -z
else
    find . -path ./build -prune -o \( -type f -o -type l \) -print0
fi | tar -c --null --no-recursion -T - | tar -x -C "$work/tree"
cd "$work/tree"

# abi EXPECTED WHAT [PATTERN...]: abi.sh ends with EXPECTED, and says the patterns.
abi()
{
    local status=0 expected=$1 what=$2
    shift 2
    scripts/abi.sh >"$work/log" 2>&1 || status=$?
    for pattern; do
        grep -q -e "$pattern" "$work/log" || { echo "it does not say '$pattern'" && status="$status, silent"; }
    done
    if [ "$status" != "$expected" ]; then
        echo "abi.sh returned $status instead of $expected: $what"
        cat "$work/log"
        exit 1
    fi
    echo "abi.sh: $what: $status"
}

# change FILE SED-SCRIPT; back: all as it was released.
change()
{
    sed -i "$2" "$1"
    ! git diff --quiet -- "$1" || { echo "the change does not apply: $1: $2" && exit 1; }
}

back()
{
    git checkout -q .
    git clean -qfd
}

git -c init.defaultBranch=main init -q
git add -A
git commit -q -m 'before the release'
scripts/abi.sh update
git add abi
git commit -q --allow-empty -m 'release'
git tag v0.1.0

sed -i 2q abi/headers.txt # the tag has it whole
abi 0 'no change' 'against v0.1.0'
if grep -q 'new function' "$work/log"; then
    cat "$work/log"
    exit 1
fi

change include/twostate/stats.h 's/^TWOSTATE_API void twostate_stats_enable(void);/&\
TWOSTATE_API void twostate_stats_disable(void);/'
change lib/stats.c 's/^void twostate_stats_enable(void)/void twostate_stats_disable(void)\n{\n}\n\n&/'
abi 0 'a function more' 'against v0.1.0' 'a new function: twostate_stats_disable'
back

change include/twostate/stats.h '/^TWOSTATE_API void twostate_stats_reset(void);/d'
change lib/stats.c 's/twostate_stats_reset/stats_reset_/; s/^void stats_reset_/static __attribute__((unused)) &/'
abi 1 'a function gone' 'Removed function' "'function void twostate_stats_reset()'"
back

# Members: beside the room for them, and out of it, which has to be said, for it too is a change.
change include/twostate/stats.h 's/^    uint64_t longest_queue;.*/&\n    uint64_t shortest_queue;/'
abi 1 'a struct grown' 'twostate_stats: [0-9]* bits'
back

change include/twostate/stats.h '/^struct twostate_stats {/,/^}/s/uint64_t reserved\[4\];/uint64_t newest;\n    uint64_t reserved[3];/'
abi 1 'a member in the room for it, unsaid' 'uint64_t reserved\[4\];'
echo 'uint64_t reserved[4];' >abi/accepted
printf '%s\n' '[suppress_type]' 'name = twostate_stats' \
    'has_data_member_inserted_at = offset_of(reserved)' >abi/suppressions.abignore
abi 0 'a member in the room for it' 'against v0.1.0'
change include/twostate/stats.h 's/    uint64_t newest;/    uint64_t newest[2];/'
abi 1 'the same, and the struct has grown' 'twostate_stats: [0-9]* bits'
