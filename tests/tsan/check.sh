#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: check.sh PROGRAM...
# Runs each program once for each of its cases. ThreadSanitizer must be silent about the cases of
# silent*, and report the right thing, and nothing else, about those of reported*.
set -eu
ulimit -c 0
unset TWOSTATE_VALIDATE TWOSTATE_STATS
export TSAN_OPTIONS=atexit_sleep_ms=0

# Older runtimes cannot place their shadow memory under wider address randomisation.
calm=
if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)" -gt 28 ]; then
    calm="setarch $(uname -m) --addr-no-randomize"
fi

reports=$(mktemp "${TMPDIR:-/tmp}/twostate-tsan.XXXXXX")
trap 'rm -f "$reports"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
ran=0
for program; do
    for name in $($calm "$program"); do
        status=0
        said=$($calm timeout 200 "$program" "$name" 2>&1) || status=$?
        case $(basename "$program")/$name in
        silent*) expected=0 wanted='' ;;
        */race_*) expected=66 wanted='data race' ;;
        */order_*) expected=66 wanted='lock-order-inversion' ;;
        */double_*) expected=134 wanted='unlock of an unlocked mutex' ;;
        *) expected=unknown wanted=unknown ;;
        esac
        wrong=no
        printf '%s\n' "$said" | grep 'WARNING: ThreadSanitizer:' >"$reports" || true
        if [ -n "$wanted" ]; then
            { [ -s "$reports" ] && ! grep -qv "WARNING: ThreadSanitizer: $wanted" "$reports"; } || wrong=yes
        else
            { [ ! -s "$reports" ] && [ "${said##*ran to its end}" = '' ]; } || wrong=yes
        fi
        ran=$((ran + 1))
        if [ "$status" != "$expected" ] || [ "$wrong" = yes ]; then
            failed=$((failed + 1))
            echo "FAILED: $program $name: exit status $status, expected $expected; ${wanted:-silence} wanted:"
            printf '%s\n' "$said"
        fi
    done
done
echo "$ran cases, $failed failed"
[ "$ran" -gt 0 ] && [ "$failed" -eq 0 ]
