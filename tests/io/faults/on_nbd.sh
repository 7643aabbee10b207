#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a program beside a file whose reads and writes fail at random: nbdkit's error filter, mounted
# by nbdfuse. The program gets
#
#     $TWOSTATE_TEST_NBD      the file, 1 MiB
#     $TWOSTATE_TEST_IMAGE    what is behind it
#     $TWOSTATE_TEST_BROKEN   while there is a file of this name, one call in eight fails with EIO
#
# Nothing stays mounted: where that can be had, all of it lives in namespaces that end with this
# script, however it ends. `on_nbd.sh --clean` removes what an older run may have left where it can't.
# Ends with 77 (skipped) where there is no nbdfuse, nbdkit or FUSE.
set -u

skip() {
    echo "NOT TESTED over nbdfuse: $1" >&2
    exit 77
}

take_down() {
    fusermount3 -u "$1/mount" 2>/dev/null || fusermount3 -uz "$1/mount" 2>/dev/null
    rm -rf "$1"
}

clean_up() {
    if [ -n "$work" ]; then
        take_down "$work"
    fi
    if [ -n "$server" ]; then
        wait "$server"
    fi
}

if [ "$1" = --clean ]; then
    for left in ./faults-nbd-*; do
        [ ! -d "$left" ] || take_down "$left"
    done
    exit 0
fi

if [ "$1" = --inside ]; then
    shift
else
    for command in nbdfuse nbdkit fusermount3; do
        command -v $command >/dev/null || skip "no $command"
    done
    [ -w /dev/fuse ] || skip 'no /dev/fuse'
    if unshare --mount --pid --fork --kill-child --mount-proc true 2>/dev/null; then
        exec unshare --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@"
    fi
fi

work='' server=''
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
work=$(mktemp -d ./faults-nbd-XXXXXX) || exit 1
mkdir "$work/mount" || exit 1
truncate -s 1M "$work/image" || exit 1
export TWOSTATE_TEST_NBD="$work/mount/nbd"
export TWOSTATE_TEST_IMAGE="$work/image"
export TWOSTATE_TEST_BROKEN="$PWD/$work/broken"
nbdfuse "$work/mount" --command nbdkit -s --exit-with-parent --filter=error file "$work/image" \
    error=EIO error-rate=12% error-file="$TWOSTATE_TEST_BROKEN" 2>"$work/log" &
server=$!
tries=0
until [ -e "$TWOSTATE_TEST_NBD" ]; do
    kill -0 "$server" 2>/dev/null || skip "nbdfuse can't: $(cat "$work/log")"
    tries=$((tries + 1))
    [ $tries -lt 600 ] || skip 'nbdfuse never came'
    sleep 0.05
done

status=0
for program; do
    "$program" || status=1
done
exit $status
