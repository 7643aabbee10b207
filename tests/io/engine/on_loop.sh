#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs programs with $TWOSTATE_TEST_DIR on a file system of its own, in a file:
#
#     on_loop.sh ext4|xfs|btrfs|none MIB SECTOR program...
#     on_loop.sh ext4|xfs|btrfs|none MIB SECTOR -- program argument...
#
# With none, it is the loop device itself that they get, in $TWOSTATE_TEST_DEVICE.
# MIB is the file's size, SECTOR the loop device's sector size. Ends with 77 (skipped) where that
# can't be had: it takes root, a loop device and the file system's tools.
set -u

skip() {
    echo "NOT TESTED on $fs: $1" >&2
    exit 77
}

clean_up() {
    if [ -n "$mounted" ]; then
        umount "$work/mount" || umount -l "$work/mount"
    fi
    if [ -n "$device" ]; then
        losetup -d "$device"
    fi
    rm -rf "$work"
}

fs=$1 mib=$2 sector=$3
shift 3
work='' device='' mounted=''
PATH=$PATH:/usr/sbin:/sbin

case $fs in
ext4) options='-q -F' ;;
xfs | btrfs) options='-q -f' ;;
none) options='' ;;
*) skip 'unknown file system' ;;
esac
[ "$(id -u)" = 0 ] || skip 'not root'
command -v losetup >/dev/null || skip 'no losetup'
[ "$fs" = none ] || command -v "mkfs.$fs" >/dev/null || skip "no mkfs.$fs"

trap clean_up EXIT
trap 'exit 130' INT TERM HUP
work=$(mktemp -d ./engine-loop-XXXXXX) || exit 1
mkdir "$work/mount" || exit 1
truncate -s "${mib}M" "$work/image" || exit 1
device=$(losetup --find --show --sector-size "$sector" "$work/image") || skip 'no loop device'
if [ "$fs" = none ]; then
    export TWOSTATE_TEST_DEVICE="$device"
else
    # shellcheck disable=SC2086 # several options
    "mkfs.$fs" $options "$device" >/dev/null || skip "mkfs.$fs can't"
    mount -t "$fs" "$device" "$work/mount" || skip "mount can't"
    mounted=yes
    export TWOSTATE_TEST_DIR="$work/mount"
fi

status=0
if [ "$1" = -- ]; then
    shift
    "$@" || status=1
else
    for program; do
        "$program" || status=1
    done
fi
exit $status
