#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs the main job: the same loads on one file under the two-state lock, with the engine's own cache
# and with the kernel's, under a pthread_rwlock, and with no lock, which is the kernel alone; side by
# side. First what is slow on XFS (over a loop file, where root can mount one: the scheme was described
# for XFS), then everything on a file of this disk. Arguments go to the latter's `twostate-io run`. The
# exit status is 0 only if the two-state lock was clean with each cache in both.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
cmake --preset release
cmake --build --preset release --target tools/all

directory=$(mktemp -d build/demo.XXXXXX)
mount=
child=

# shellcheck disable=SC2317 # the traps get here
cleanup() {
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null || true
        wait "$child" || true
    fi
    if [ -n "$mount" ]; then
        if mountpoint -q "$mount"; then
            umount "$mount" || umount --lazy "$mount"
        fi
        rmdir "$mount"
    fi
    rm -rf --one-file-system "$directory"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# In the background, for a trap runs only between commands, but interrupts a wait.
compare() {
    local status=0

    build/release/tools/twostate-io run "$@" &
    child=$!
    wait "$child" || status=$?
    child=
    return "$status"
}

# The mount removes its loop device when it is gone.
mount_xfs() {
    [ "$(id -u)" -eq 0 ] || { echo "not root"; return 1; }
    truncate -s 1G "$directory/xfs.img"
    mkfs.xfs -q "$directory/xfs.img" || return 1
    mount -t xfs -o loop "$directory/xfs.img" "$mount" 2>&1
}

status=0
mount=$(mktemp -d)
if why=$(mount_xfs); then
    echo "== On XFS, over a loop file"
    compare "$mount/file" --compare=slow --seconds 12 || status=1
else
    echo "== SKIPPED: the comparison on XFS over a loop file cannot be made here: ${why:-see above}"
fi
echo
echo "== On the disk of $PWD"
compare "$directory/file" --compare --seconds 30 "$@" || status=1
exit "$status"
