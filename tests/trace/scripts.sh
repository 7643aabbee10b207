#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: scripts.sh SCRIPT.bt PROGRAM WITH_SDT PATTERN...
# Traces the program with the script until each pattern is found in a map of its output (maps are
# matched as one line each). How long it takes to attach depends on the machine: so it tries again,
# longer; with a new process, for once it found no stack of one process, however often it tried.
set -eu
script=$1 program=$2 with_sdt=$3
shift 3

skip()
{
    echo "SKIPPED: $*: $script is not tried"
    exit 77
}

[ "$with_sdt" = 1 ] || skip 'built without sys/sdt.h, so there are no probes'
command -v bpftrace >/dev/null || skip 'no bpftrace'
[ "$(id -u)" = 0 ] || skip 'not root'
bpftrace -e 'uprobe:/bin/true:main { } BEGIN { exit(); }' >/dev/null 2>&1 ||
    bpftrace -e 'BEGIN { exit(); }' >/dev/null 2>&1 || skip 'bpftrace does not work in this kernel'

work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-trace.XXXXXX")
traced=
trap '[ -z "$traced" ] || kill "$traced" 2>/dev/null || :; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

found_all()
{
    tr -s ' \n' ' ' <"$work/out" | sed 's/@[a-zA-Z_]*[:[]/\n&/g' >"$work/maps"
    for pattern; do
        grep -Eq -e "$pattern" "$work/maps" || return 1
    done
}

for seconds in 2 5 10 20 40 60; do
    "$program" &
    traced=$!
    timeout -s INT "$seconds" bpftrace -p "$traced" "$script" >"$work/out" 2>&1 || :
    if found_all "$@"; then
        cat "$work/out"
        exit 0
    fi
    kill "$traced" 2>/dev/null || :
    wait "$traced" || :
done
cat "$work/out"
echo "FAILED: not all of these are there: $*"
exit 1
