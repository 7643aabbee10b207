# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2120
# Sourced by the tests of twostate-fuse: a mount for each, in namespaces of its own, which end with the
# script: whatever becomes of it, no mount and no process is left.
#
# usage of each: SCRIPT PROGRAM kernel|user [--long]
set -euo pipefail

skip()
{
    echo "NOT TESTED: $*"
    exit 77
}

fail()
{
    echo "FAILED: $*"
    exit 1
}

need()
{
    command -v "$1" >/dev/null || skip "no $1"
}

program=$(realpath "$1")
cache=$2
long=${3-}
[ "$(id -u)" -eq 0 ] || skip "not root"
[ -w /dev/fuse ] || skip "no /dev/fuse"
namespaces=(unshare --mount --pid --fork --kill-child --mount-proc)
if [ -z "${FUSE_TEST_INSIDE-}" ]; then
    "${namespaces[@]}" true || skip "no namespaces"
    FUSE_TEST_INSIDE=1 exec "${namespaces[@]}" bash "$0" "$@"
fi

work=$(mktemp -d "$PWD/fuse-XXXXXX")
chmod 755 "$work"
data=$work/data   # the directory below
mount=$work/mount # the same, mounted by the program
mkdir "$data" "$mount"
daemon=

cleanup()
{
    local status=$?

    if [ -n "$daemon" ]; then
        kill -9 "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    umount -l "$mount" 2>/dev/null || true
    umount -l "$data" 2>/dev/null || true
    if [ "$status" -ne 0 ] && [ "$status" -ne 77 ] && [ -s "$work/log" ]; then
        cat "$work/log"
    fi
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# Mounts, with more options if there are any.
start()
{
    "$program" "$data" "$mount" -f -o "cache=$cache,allow_other" "$@" 2>>"$work/log" &
    daemon=$!
    for _ in $(seq 6000); do
        if mountpoint -q "$mount"; then
            return
        fi
        kill -0 "$daemon" || fail "it does not start"
        sleep 0.01
    done
    fail "it does not mount"
}

# Unmounts, and waits until all is on the file system below.
stop()
{
    for _ in $(seq 1000); do # what a process had open may be closed a moment after its end
        if umount "$mount" 2>/dev/null; then
            break
        fi
        sleep 0.05
    done
    ! mountpoint -q "$mount" || umount "$mount"
    wait "$daemon" || fail "it ended with $?"
    daemon=
    if [ -s "$work/log" ]; then
        fail "it complained"
    fi
}

# Kills it in the middle of its work. Direct writes that the kernel has may end after their process, and the
# next one must not find them there: fallocate waits for them.
crash()
{
    kill -9 "$daemon"
    wait "$daemon" 2>/dev/null || true
    daemon=
    umount -l "$mount"
    find "$data" -type f -size +0 -exec fallocate -n -l 1 {} \; 2>/dev/null || true
}
