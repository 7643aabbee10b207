#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fio writes and verifies: buffered, direct, and both in one file, whose blocks of 64 KiB they share.
# usage: fio.sh PROGRAM kernel|user [--long]
# shellcheck source=tests/fuse/common.sh disable=SC2119
. "$(dirname "$0")/common.sh"
need fio

size=${long:+64M}
size=${size:-8M}
start
cat >"$work/job" <<END
[global]
directory=$mount
size=$size
verify=crc32c
verify_fatal=1
verify_state_save=0
randrepeat=0
fallocate=none
group_reporting=1

[buffered]
filename=one
rw=randwrite
bsrange=1k-64k
ioengine=psync

[direct]
filename=two
rw=randwrite
bs=16k
direct=1
ioengine=libaio
iodepth=16

[mixed_buffered]
stonewall
filename=three
rw=write
bs=4k
ioengine=psync
zonemode=strided
zonesize=64k
zonerange=128k
fsync=64

[mixed_direct]
filename=three
rw=write
bs=16k
direct=1
ioengine=libaio
iodepth=8
zonemode=strided
zonesize=64k
zonerange=128k
offset=64k

[unaligned]
filename=four
rw=randwrite
bs=3000
ioengine=psync

[written_direct]
stonewall
filename=six
rw=write
bs=64k
direct=1
do_verify=0
ioengine=libaio
iodepth=4

[read_buffered]
stonewall
filename=six
rw=read
bs=64k
verify_only=1
ioengine=psync

[written_buffered]
stonewall
filename=seven
rw=write
bs=64k
do_verify=0
ioengine=psync

[read_direct]
stonewall
filename=seven
rw=read
bs=64k
direct=1
verify_only=1
ioengine=libaio
iodepth=4
END
fio --output="$work/fio" "$work/job" || {
    grep -iE 'err|verif' "$work/fio"
    fail "fio"
}
grep -E '^ +(READ|WRITE):' "$work/fio" | head -n 3
stop
