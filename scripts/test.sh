#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs everything that must pass: the static checks, then the tests with ThreadSanitizer, with
# AddressSanitizer and UndefinedBehaviorSanitizer, and last the release build.
#
# usage: scripts/test.sh [check | preset]...      for example: scripts/test.sh dev
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# The sanitizers of Debian 12 cannot place their shadow memory under wider address randomisation.
calm=()
if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)" -gt 28 ]; then
    calm=(setarch "$(uname -m)" --addr-no-randomize)
fi

run_preset()
{
    cmake --preset "$1" && cmake --build --preset "$1" || return
    case $1 in
    tsan | asan*) "${calm[@]}" ctest --preset "$1" --no-tests=error ;;
    *) ctest --preset "$1" --no-tests=error ;;
    esac
}

steps=("$@")
if [ $# -eq 0 ]; then
    steps=(check tsan asan-ubsan release)
fi

scripts/setup.sh || exit
if [ "$(id -u)" -ne 0 ]; then
    echo "test.sh: not root: the tests on loop devices (other file systems) will be skipped"
fi
failed=()
for step in "${steps[@]}"; do
    if [ ${#failed[@]} -gt 0 ]; then
        echo "test.sh: failed so far: ${failed[*]}"
    fi
    echo "test.sh: $step"
    if [ "$step" = check ]; then
        scripts/check.sh || failed+=("$step")
    else
        run_preset "$step" || failed+=("$step")
    fi
done
# On stderr, for the last on stdout is the summary of the last step.
if [ ${#failed[@]} -gt 0 ]; then
    echo "test.sh: failed: ${failed[*]}" >&2
    exit 1
fi
