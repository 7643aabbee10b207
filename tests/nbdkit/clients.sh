#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The nbdkit plugin, seen by clients that others wrote. With both caches, each of them so small that
# it has to give folios away, and with `direct-min` so small that the clients use both ways.
#
# usage: clients.sh PLUGIN TEST [CACHE...]    in a directory on a file system with O_DIRECT
# Exits with 77 and says why, if something that the test needs is missing. SEED repeats a random one,
# and OPERATIONS=100000 makes it long.
set -euo pipefail

# Mounts of our own: one that somebody else's namespace has copied is not gone when it is unmounted.
if [ "$(id -u)" -eq 0 ] && [ -z "${OWN_MOUNTS:-}" ] && unshare -m true 2>/dev/null; then
    exec env OWN_MOUNTS=1 unshare -m "$0" "$@"
fi

plugin=$(realpath "$1")
test=$2
shift 2
caches=("$@")
[ ${#caches[@]} -gt 0 ] || caches=(kernel user)

work=$(mktemp -d "$PWD/nbdkit-$test.XXXXXX")
socket=$work/socket
uri="nbd+unix:///?socket=$socket"
server=
loop=
mounts=()

# shellcheck disable=SC2317 # the traps get here
cleanup()
{
    local i

    for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do
        umount "${mounts[i]}" 2>/dev/null || fusermount3 -uz "${mounts[i]}" 2>/dev/null ||
            umount -l "${mounts[i]}" 2>/dev/null || true
    done
    if [ -n "$server" ]; then
        kill -9 "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    [ ! -s "$work/daemon" ] || kill -9 "$(<"$work/daemon")" 2>/dev/null || true
    [ -z "$loop" ] || losetup -d "$loop" || true
    chattr -a "$work/image" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

fail()
{
    echo "FAILED ($test, cache=$cache): $*" >&2
    exit 1
}

not_tested()
{
    echo "NOT TESTED: $*" >&2
    exit 77
}

need()
{
    local program

    for program; do
        command -v "$program" >/dev/null || not_tested "no $program"
    done
}

need_root()
{
    [ "$(id -u)" -eq 0 ] || not_tested 'not root'
}

# until_so COMMAND...: waits, 100 seconds at most, until the command succeeds.
until_so()
{
    local deadline=$((SECONDS + 100))

    until "$@"; do
        [ $SECONDS -lt $deadline ] || fail "still not: $*"
        sleep 0.02
    done
}

ready_or_dead()
{
    [ -e "$work/pid" ] || ! kill -0 "$server" 2>/dev/null
}

# serve IMAGE [PARAMETER...]: the plugin, with the cache of this round.
serve()
{
    local image=$1

    shift
    rm -f "$work/pid" "$socket"
    [ "$cache" = kernel ] || set -- cache-size=8M "$@"
    nbdkit -f -U "$socket" -P "$work/pid" "${nbdkit_options[@]}" \
        "$plugin" "$image" cache="$cache" direct-min=64K "$@" 2>"$work/log" &
    server=$!
    until_so ready_or_dead
    if ! [ -e "$work/pid" ]; then
        cat "$work/log" >&2
        grep -q 'O_DIRECT' "$work/log" && not_tested 'no O_DIRECT here'
        fail 'nbdkit did not start'
    fi
}
nbdkit_options=()

# As a user ends it: what was written is in the file then.
finish()
{
    kill "$server"
    wait "$server" || fail "nbdkit ended with status $?: $(cat "$work/log")"
    server=
}

die()
{
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    server=
}

# A file of 24 MiB with data and holes, and an end within a block.
make_source()
{
    truncate -s 24M "$1"
    dd if=/dev/urandom of="$1" bs=64K count=100 conv=notrunc status=none
    dd if=/dev/urandom of="$1" bs=64K seek=200 count=100 conv=notrunc status=none
    printf 'the end' >>"$1"
}

blank()
{
    rm -f "$1"
    truncate -s "$2" "$1"
}

qemu()
{
    local commands=() command

    for command; do
        commands+=(-c "$command")
    done
    qemu-io -t writeback -f raw "${commands[@]}" "$uri" >"$work/qemu" 2>&1 || {
        cat "$work/qemu" >&2
        fail 'qemu-io'
    }
    if grep -qiE 'failed|error|mismatch' "$work/qemu"; then
        cat "$work/qemu" >&2
        fail 'qemu-io'
    fi
}

# session: a client that stays, and flushes only when it is told to; say COMMAND: it does that, and has
# when this returns.
session()
{
    rm -f "$work/commands"
    mkfifo "$work/commands"
    : >"$work/said"
    qemu-io -t writeback -f raw "$uri" <"$work/commands" >"$work/said" 2>&1 &
    client=$!
    exec {to_client}>"$work/commands"
    said=0
}

prompts()
{
    local all

    all=$(<"$work/said")
    all=${all//[!>]/} # one a prompt
    [ ${#all} -gt "$1" ]
}

say()
{
    until_so prompts "$said"
    echo "$1" >&"$to_client"
    said=$((said + 1))
    until_so prompts "$said"
    if grep -qiE 'failed|error|mismatch' "$work/said"; then
        cat "$work/said" >&2
        fail "$1"
    fi
}

end_session()
{
    exec {to_client}>&-
    wait "$client" 2>/dev/null || true
}

test_copy()
{
    local size

    need nbdcopy
    make_source "$work/source"
    for size in 4096 262144 4194304; do
        blank "$work/image" "$(stat -c %s "$work/source")"
        serve "$work/image"
        nbdcopy --request-size=$size --connections=4 --flush "$work/source" "$uri"
        nbdcopy --request-size=$size --connections=4 "$uri" "$work/back"
        cmp "$work/source" "$work/back" || fail 'copied out'
        finish
        cmp "$work/source" "$work/image" || fail 'copied in'
    done
}

# Three clients with a third of the file each: small ones, any, and those that go past the cache.
test_fio()
{
    need fio
    fio --enghelp | grep -w nbd >/dev/null || not_tested 'fio without its nbd engine'
    blank "$work/image" 12M
    serve "$work/image"
    cd "$work" # where fio leaves a file
    fio --output="$work/fio" --ioengine=nbd --uri="$uri" --thread --size=4M --rw=randwrite \
        --iodepth=8 --verify=crc32c --verify_fatal=1 --verify_backlog=64 --loops=2 --fsync=50 \
        --name=small --bs=4k --name=any --bsrange=512-192k --offset=4M \
        --name=large --bs=128k --offset=8M >/dev/null || {
        cat "$work/fio" >&2
        fail fio
    }
    grep -q 'err= 0' "$work/fio" || fail 'fio did nothing'
    finish
}

test_qemu_img()
{
    need qemu-img
    make_source "$work/source"
    truncate -s 25M "$work/source" # qemu-img counts in sectors
    blank "$work/image" 25M
    serve "$work/image"
    qemu-img convert -n -f raw -O raw -W -m 8 "$work/source" "$uri"
    qemu-img compare -f raw -F raw "$work/source" "$uri" || fail 'converted in'
    qemu-img convert -f raw -O qcow2 -W -m 8 "$uri" "$work/qcow2"
    qemu-img compare -f raw -F qcow2 "$work/source" "$work/qcow2" || fail 'converted out'
    finish
    cmp "$work/source" "$work/image" || fail 'the file'
    # a format with metadata of its own, on the server
    blank "$work/image" 32M
    serve "$work/image"
    qemu-img create -q -f qcow2 "$uri" 25M
    qemu-img convert -n -f raw -O qcow2 "$work/source" "$uri"
    qemu-img compare -f raw -F qcow2 "$work/source" "$uri" || fail 'qcow2 on the server'
    qemu-img check -q -f qcow2 "$uri" || fail 'qemu-img check'
    finish
}

test_qemu_io()
{
    blank "$work/image" 24M
    need qemu-io
    serve "$work/image"
    qemu 'read -P 0 0 24M' \
        'write -P 1 0 8M' 'write -P 2 1000 3000' 'write -P 3 65k 300k' 'read -P 2 1000 3000' \
        'read -P 1 0 1000' 'read -P 1 4000 62560' 'read -P 3 65k 300k' 'read -P 1 365k 1024k' \
        'write -f -P 4 1M 512' 'write -f -P 5 2M 1M' 'read -P 4 1M 512' 'read -P 5 2M 1M' \
        'discard 2M 1M' 'read -P 0 2M 1M' 'discard 3073k 5000' 'read -P 1 3M 1k' \
        'write -z 4M 1M' 'read -P 0 4M 1M' 'write -z -u 5M 1M' 'read -P 0 5M 1M' \
        'write -z 6145k 700' 'read -P 0 6145k 700' 'read -P 1 6M 1k' \
        'write -z -f 7M 64k' 'read -P 0 7M 64k' 'read -P 1 7232k 64k' \
        'write -P 6 2500k 100k' 'read -P 0 2M 452k' 'read -P 6 2500k 100k' 'flush' \
        'write -P 7 12M 8M' 'discard 12M 8M' 'write -P 8 13M 4k' 'write -P 9 14M 1M' \
        'read -P 0 12M 1M' 'read -P 8 13M 4k' 'read -P 9 14M 1M' 'read -P 0 15M 5M' 'flush'
    # many at once: reads after all of them, and of what they did not write
    qemu 'aio_write -P 10 0 4k' 'aio_write -P 11 4k 60k' 'aio_write -P 12 64k 1M' \
        'aio_write -P 13 2M 1000' 'aio_write -P 14 4M 4M' 'aio_write -z 8M 1M' \
        'aio_write -P 15 9M 64k' 'aio_write -z -u 10M 1M' 'aio_read 4M 4M' 'aio_write -f -P 16 11M 4k' \
        aio_flush 'aio_read -P 10 0 4k' 'aio_read -P 11 4k 60k' 'aio_read -P 12 64k 1M' \
        'aio_read -P 13 2M 1000' 'aio_read -P 14 4M 4M' 'aio_read -P 0 8M 1M' 'aio_read -P 15 9M 64k' \
        'aio_read -P 0 10M 1M' 'aio_read -P 16 11M 4k' aio_flush
    finish
    uri=$work/image qemu 'read -P 14 4M 4M' 'read -P 0 8M 1M' 'read -P 15 9M 64k' 'read -P 8 13M 4k'
}

# covers TYPE OFFSET LENGTH...: whether the map says that of every byte of these ranges, in KiB.
covers()
{
    nbdinfo --map "$uri" >"$work/map"
    while [ $# -gt 0 ]; do
        awk -v hole="$([ "$1" = hole ] && echo 1 || echo 0)" -v from=$(($2 * 1024)) \
            -v to=$((($2 + $3) * 1024)) '
            $1 < to && from < $1 + $2 { seen = 1; if (($3 != 0) != hole) wrong = 1 }
            END { exit wrong || !seen }' "$work/map" || {
            cat "$work/map" >&2
            fail "map: not all $1: ${2}k + ${3}k"
        }
        shift 3
    done
}

# What is cached, and not on disk, is data; what was trimmed is none. A reader may skip holes.
test_map()
{
    need nbdinfo nbdcopy qemu-io
    blank "$work/image" 16M
    serve "$work/image"
    covers hole 0 16384
    session # it does not flush before it ends
    say 'write -P 1 4M 4k'
    covers hole 0 4096 data 4096 4
    say 'write -P 2 8M 1M'
    say 'discard 8M 512k'
    say 'write -P 3 12M 1k'
    covers hole 5120 3072 hole 8192 512 data 8704 512 hole 9216 3072 data 12288 1
    say 'write -P 4 14M 32k'
    nbdcopy "$uri" "$work/back" # by the map
    say 'write -P 5 15M 5k'
    kill -9 "$client"
    end_session
    finish
    cmp -n 15728640 "$work/image" "$work/back" || fail 'copied by the map'
    uri=$work/image qemu 'read -P 5 15M 5k'
}

unmounted()
{
    fusermount3 -u "$1" 2>/dev/null || umount "$1" 2>/dev/null
}

# nbdfuse makes a file of the server, which mkfs and e2fsck, and for root a loop device, take.
test_ext4()
{
    local fuse=$work/fuse
    local nbdfuse

    need nbdfuse mkfs.ext4 e2fsck
    [ -w /dev/fuse ] || not_tested 'no FUSE'
    mkdir -p "$fuse" "$work/tree/a/b" "$work/mount"
    dd if=/dev/urandom of="$work/tree/large" bs=1M count=6 status=none
    seq 100000 >"$work/tree/a/numbers"
    cp -r /usr/include/asm-generic "$work/tree/a/b/"
    blank "$work/image" 64M
    serve "$work/image"
    nbdfuse "$fuse/disk" "$uri" &
    nbdfuse=$!
    mounts+=("$fuse")
    until_so test -e "$fuse/disk"
    mkfs.ext4 -q -F -d "$work/tree" "$fuse/disk"
    e2fsck -f -n "$fuse/disk" >"$work/fsck" 2>&1 || { cat "$work/fsck" >&2; fail 'e2fsck, made'; }
    if [ "$(id -u)" -eq 0 ] && mount -o loop "$fuse/disk" "$work/mount" 2>"$work/why"; then
        mounts+=("$work/mount")
        diff -r "$work/tree" "$work/mount" -x lost+found || fail 'made from a tree'
        cp -r "$work/tree" "$work/mount/second"
        rm -r "$work/mount/a"
        fstrim "$work/mount" 2>/dev/null || true
        umount "$work/mount"
        unset 'mounts[-1]'
    else
        echo "NOT TESTED: the file system mounted: $(cat "$work/why" 2>/dev/null || echo not root)" >&2
    fi
    until_so unmounted "$fuse" # the loop device lets go a moment later
    unset 'mounts[-1]'
    wait "$nbdfuse" || true
    finish
    e2fsck -f -n "$work/image" >"$work/fsck" 2>&1 || { cat "$work/fsck" >&2; fail 'e2fsck, filled'; }
    # as root this is the second tree, else the first
    debugfs -R 'dump /second/large /dev/stdout' "$work/image" 2>/dev/null >"$work/back"
    [ -s "$work/back" ] ||
        debugfs -R 'dump /large /dev/stdout' "$work/image" 2>/dev/null >"$work/back"
    cmp "$work/back" "$work/tree/large" || fail 'a file in the image'
}

# Four connections at once, and a copy of what they wrote (shadow.c).
test_shadow()
{
    local seed=${SEED:-$RANDOM}

    [ -n "${SHADOW:-}" ] || not_tested 'SHADOW does not name the program'
    blank "$work/image" 12M
    serve "$work/image"
    "$SHADOW" "$uri" "$seed" 4 "${OPERATIONS:-700}" || fail "shadow, seed $seed"
    finish
}

# What survives is looked at after each of these alone: the next would make it durable too. They are
# done by a client that does not come to flush at its end.
durable_ways=(flush fua zero)

say_flush()
{
    say 'write -P 1 0 2M'
    say 'write -P 2 1000 100'
    say 'write -P 3 4M 5000'
    say flush
}

say_fua()
{
    say 'write -f -P 4 6M 4k'
    say 'write -f -P 5 8M 1M' # past the cache
    say 'write -f -P 6 12M 700'
}

say_zero()
{
    say 'write -P 7 1M 1M'
    say flush
    say 'write -f -z 1088k 64k'
}

see_flush()
{
    qemu 'read -P 1 2000 1M' 'read -P 2 1000 100' 'read -P 3 4M 5000'
}

see_fua()
{
    qemu 'read -P 4 6M 4k' 'read -P 5 8M 1M' 'read -P 6 12M 700'
}

see_zero()
{
    qemu 'read -P 7 1M 64k' 'read -P 0 1088k 64k' 'read -P 7 1152k 64k'
}

# The server is killed. (The kernel's cache survives that, flushed or not.)
test_kill()
{
    local way

    need qemu-io
    for way in "${durable_ways[@]}"; do
        blank "$work/image" 16M
        serve "$work/image"
        session
        "say_$way"
        die
        end_session
        uri=$work/image "see_$way"
    done
}

# The file system stops in its tracks, and forgets what is not on disk: the power goes.
test_power()
{
    local way disk=$work/disk

    need qemu-io xfs_io mkfs.ext4
    need_root
    mkdir -p "$disk"
    truncate -s 64M "$work/ext4"
    loop=$(losetup -f --show "$work/ext4") || not_tested 'no loop devices'
    for way in "${durable_ways[@]}"; do
        mkfs.ext4 -q -F "$loop"
        mount "$loop" "$disk"
        mounts+=("$disk")
        blank "$disk/image" 16M
        sync -f "$disk"
        serve "$disk/image"
        session
        "say_$way"
        xfs_io -x -c shutdown "$disk"
        die
        end_session
        until_so umount "$disk" # what io_uring has of a killed process goes a moment after it
        until_so test ! -e "/proc/fs/ext4/$(basename "$loop")" # the kernel forgets a moment later
        mount "$loop" "$disk"
        uri=$disk/image "see_$way"
        umount "$disk"
        unset 'mounts[-1]'
    done
    losetup -d "$loop"
    loop=
}

# No room, and a file system that can't zero in place: tmpfs.
test_room()
{
    need qemu-io
    need_root
    mkdir -p "$work/small"
    mount -t tmpfs -o size=4M none "$work/small" || not_tested 'no tmpfs'
    mounts+=("$work/small")
    blank "$work/small/image" 16M
    serve "$work/small/image"
    qemu 'write -P 1 0 2M' 'write -z 0 1M' 'read -P 0 0 1M' 'read -P 1 1M 1M' 'write -zu 1M 64k' \
        'read -P 0 1M 64k' 'discard 1M 512k' 'read -P 0 1M 512k' flush
    qemu-io -f raw -c 'write -f 4M 8M' "$uri" >"$work/qemu" 2>&1 && fail 'wrote more than there is'
    grep -q 'No space left' "$work/qemu" || fail 'no ENOSPC'
    qemu 'discard 4M 8M' 'read -P 1 1536k 512k' 'write -P 2 8M 1M' 'read -P 2 8M 1M' flush
    finish
    umount "$work/small"
    unset 'mounts[-1]'
}

# In the background: the engine that tried the file before the fork is not the one after it.
test_daemon()
{
    need qemu-io
    blank "$work/image" 4M
    nbdkit -U "$socket" -P "$work/daemon" "$plugin" "$work/image" cache="$cache" 2>"$work/log" ||
        { cat "$work/log" >&2; grep -q O_DIRECT "$work/log" && not_tested 'no O_DIRECT here'; fail nbdkit; }
    qemu 'write -P 1 0 100k' 'read -P 1 0 100k'
    kill "$(<"$work/daemon")"
    until_so ended "$(<"$work/daemon")"
    rm -f "$socket" "$work/daemon"
    uri=$work/image qemu 'read -P 1 0 100k'
}

ended()
{
    ! kill -0 "$1" 2>/dev/null
}

# A block device, of which only whole blocks can be trimmed; the rest of a zeroing nbdkit writes.
test_device()
{
    need qemu-io
    need_root
    blank "$work/disk" 16M
    loop=$(losetup -f --show "$work/disk") || not_tested 'no loop devices'
    serve "$loop"
    qemu 'write -P 1 0 4M' 'write -z 1M 1M' 'read -P 0 1M 1M' 'write -z 100 1000' 'read -P 0 100 1000' \
        'read -P 1 1100 1024' 'discard 2M 512k' 'discard 3M 700' 'read -P 0 2M 512k' 'write -P 2 2M 4k' \
        'read -P 2 2M 4k' 'read -P 1 3073k 1023k' flush
    finish
    losetup -d "$loop"
    loop=
    uri=$work/disk qemu 'read -P 1 0 100' 'read -P 0 100 1000' 'read -P 0 1M 1M' 'read -P 2 2M 4k'
}

# What nbdkit has had read from the disk.
bytes_read()
{
    awk '/^read_bytes/ {print $2}' "/proc/$server/io"
}

# read_twice MIB PARAMETER...: what the second read of 4 MiB of a file so large takes from the disk.
read_twice()
{
    local before size=$1

    shift
    rm -f "$work/image"
    dd if=/dev/urandom of="$work/image" bs=1M count="$size" conv=fsync status=none
    serve "$work/image" "$@"
    qemu 'read 0 4M'
    before=$(bytes_read)
    qemu 'read 0 4M'
    taken=$(($(bytes_read) - before))
    finish
}

# Large requests go past the cache if the file is larger than that; or if it was said.
test_way()
{
    local small=6

    need qemu-io
    [ "$cache" = user ] || small=24
    read_twice "$small" direct-min=auto
    [ "$taken" -eq 0 ] || fail "it fits into the cache, and $taken bytes were read again"
    read_twice "$small" direct-min=4M
    [ "$taken" -ge $((4 << 20)) ] || fail "only $taken bytes past the cache"
    [ "$cache" = user ] || return 0
    read_twice 24 direct-min=auto
    [ "$taken" -ge $((4 << 20)) ] || fail "only $taken bytes past a cache that is too small"
}

refused()
{
    local why=$1

    shift
    if nbdkit -U "$socket.2" "$plugin" "$@" --run true >"$work/log2" 2>&1; then
        fail "not refused: $*"
    fi
    grep -q -- "$why" "$work/log2" || fail "refused, but not with '$why': $(cat "$work/log2")"
}

test_refusals()
{
    need qemu-io nbdinfo
    blank "$work/image" 1M
    refused 'file=PATH'
    refused 'No such file' "$work/none"
    refused 'Invalid argument' "$work"
    refused 'kernel or user' "$work/image" cache=none
    refused 'at least 4M' "$work/image" cache=user cache-size=1M
    refused 'power of two' "$work/image" cache=user folio=5K
    refused 'need cache=user' "$work/image" folio=4K
    refused 'unknown parameter' "$work/image" size=4K
    nbdkit "$plugin" --help | grep 'direct-min=<SIZE>' >/dev/null || fail '--help'
    nbdkit "$plugin" --dump-plugin | grep -x 'thread_model=parallel' >/dev/null || fail '--dump-plugin'
    serve "$work/image"
    if [ "$cache" = user ]; then
        refused 'Device or resource busy' "$work/image" cache=kernel
    fi
    refused 'Device or resource busy' "$work/image" cache=user
    nbdinfo "$uri" >"$work/info"
    for word in is_read_only:.false can_multi_conn:.true can_fua:.true can_trim:.true can_zero:.true \
        can_fast_zero:.true can_cache:.true can_flush:.true export-size:.1048576; do
        grep -q "$word" "$work/info" || fail "nbdinfo: not $word"
    done
    finish
    nbdkit_options=(-r)
    serve "$work/image"
    nbdinfo "$uri" | grep 'is_read_only: true' >/dev/null || fail 'not read-only'
    qemu-io -f raw -c 'write 0 4k' "$uri" >"$work/qemu" 2>&1 && fail 'written to, with -r'
    qemu-io -r -f raw -c 'read -P 0 0 4k' "$uri" >"$work/qemu" 2>&1 || fail 'read with -r'
    finish
    nbdkit_options=()
    test_append_only
}

# A file that takes appends only is served for reading.
test_append_only()
{
    [ "$(id -u)" -eq 0 ] && chattr +a "$work/image" 2>/dev/null || return 0
    if [ "$cache" = user ]; then
        refused 'cache=user needs to write: Operation not permitted' "$work/image" cache=user
    else
        serve "$work/image"
        nbdinfo "$uri" | grep 'is_read_only: true' >/dev/null || fail 'not read-only, with chattr +a'
        qemu-io -r -f raw -c 'read -P 0 0 4k' "$uri" >"$work/qemu" 2>&1 || fail 'read with chattr +a'
        finish
    fi
    chattr -a "$work/image"
}

need nbdkit
if ! nbdkit "$plugin" --version >"$work/log" 2>&1 && grep -q 'wrong ELF class' "$work/log"; then
    not_tested 'the plugin is built for another machine than nbdkit'
fi
for cache in "${caches[@]}"; do
    "test_$test"
    echo "$test, cache=$cache: well"
done
