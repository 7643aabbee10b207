#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Operations and errors are those of the file system below; and what one mount wrote the next one has.
# usage: same.sh PROGRAM kernel|user [--long]   (test_fuse_same is where TEST_FUSE_SAME says)
# shellcheck source=tests/fuse/common.sh disable=SC2119
. "$(dirname "$0")/common.sh"

"$program" --help | grep -q cache_bytes || fail "--help"
"$program" --version | grep -q twostate-fuse || fail "--version"
mkdir "$data/inside" "$work/reference"
for wrong in "$data/missing $mount" "$data $mount -o cache=none" "$data $mount -o cache_bytes=1" \
    "$data $mount -o cache_bytes=4X" "$data $mount -o cache_bytes=3M" "$data $data/inside" \
    "$data" "$data $mount -o timeout=-1"; do
    # shellcheck disable=SC2086
    if "$program" $wrong 2>"$work/wrong"; then
        fail "it accepts $wrong"
    fi
    case $wrong in
    *cache_bytes*) grep -q '4M or more' "$work/wrong" ;;
    esac || fail "$wrong: $(cat "$work/wrong")"
    [ "$(wc -l <"$work/wrong")" -eq 1 ] || fail "$wrong: $(cat "$work/wrong")"
done
start
"$TEST_FUSE_SAME" "$mount" "$work/reference" || fail "not the same"

echo "what a mount leaves"
cd "$mount"
head -c 3014656 /dev/urandom >random
cp -p random copy
touch -d 2001-02-03 copy
for year in 1950 1970 2400; do # one that is negative, 0, more than 63 bits have in ns
    echo "$year" >"$year"
    touch -d "$year-01-01 UTC 00:00:00" "$year" "$work/$year"
done
sum=$(sha256sum <random)
ln copy link
mkdir -p a/b
echo text >a/b/c
exec 3>>a/b/c
echo more >&3
exec 4<>unlinked
rm unlinked
echo "still there" >&4
[ "$(cat /proc/self/fd/4)" = "still there" ] || fail "a file without a name"
exec 3>&- 4>&-
if [ "$cache" = kernel ]; then # what others append below, the kernel above does not know yet
    exec 3>>appended
    echo one >&3
    echo two >>"$data/appended"
    echo three >&3
    exec 3>&-
    [ "$(cat "$data/appended")" = "$(printf 'one\ntwo\nthree')" ] || fail "appending"
fi
dd if=random of=direct bs=64k oflag=direct status=none
[ "$sum" = "$(sha256sum <"$data/direct")" ] || fail "a direct write is not below at once"
dd if=random of=synced bs=64k oflag=dsync status=none
[ "$sum" = "$(sha256sum <"$data/synced")" ] || fail "an O_DSYNC write is not below at once"
dd if=random of=fsynced bs=64k conv=fsync status=none
[ "$sum" = "$(sha256sum <"$data/fsynced")" ] || fail "what was fsynced is not below"
if [ -n "$long" ]; then # more files than stay open
    seq 1500 | while read -r i; do echo "$i" >"many $i"; done
    [ "$(cat many* | sort -n | cksum)" = "$(seq 1500 | cksum)" ] || fail "many files"
fi
echo "others read it" >"$data/below"
exec 3<"$data/below"
cat below >"$work/read"
rm "$data/below"
cd "$work"
stop
[ "$(cat <&3)" = "others read it" ] || fail "a file that was unlinked and open below"
exec 3<&-
[ "$sum" = "$(sha256sum <"$data/copy")" ] || fail "the data below is another"
[ "$(stat -c %Y "$data/copy")" = "$(date -d 2001-02-03 +%s)" ] || fail "the time below is another"
for year in 1950 1970 2400; do
    [ "$(stat -c %Y "$data/$year")" = "$(stat -c %Y "$work/$year")" ] || fail "the time of $year below is another"
done
start
[ "$sum" = "$(sha256sum <"$mount/link")" ] || fail "the data is another"
[ "$(cat "$mount/a/b/c")" = "$(printf 'text\nmore')" ] || fail "what was appended"
[ ! -e "$mount/unlinked" ] || fail "what was unlinked is there"

echo "ended by a signal"
exec 3>"$mount/open"
echo unsynced >&3
kill -TERM "$daemon"
wait "$daemon" || fail "it ended with $?"
exec 3>&-
[ "$(cat "$data/open")" = unsynced ] || fail "what was open is lost"
mountpoint -q "$mount" && fail "still mounted"
start
cp /bin/true "$mount/program"
"$mount/program" || fail "executing"

echo "names that the kernel is to cache"
stop
start -o 'mapped=*-map,timeout=1000'
printf 0123456789 >"$mount/x-map"
python3 - "$mount/x-map" "$data/x-map" "$cache" <<'END' || fail "a file with FUSE's cache"
import mmap, os, sys
with open(sys.argv[1], 'r+b') as f:
    m = mmap.mmap(f.fileno(), 10)
    m[2:4] = b'mm'
    os.pwrite(f.fileno(), b'w', 5)
    assert m[:] == b'01mm4w6789', m[:]
    m.flush()
    assert os.pread(f.fileno(), 10, 0) == b'01mm4w6789' # and its attributes are known
    if sys.argv[3] == 'kernel': # only FUSE's cache does not know what was changed below
        with open(sys.argv[2], 'r+b') as below:
            below.write(b'X')
        assert os.pread(f.fileno(), 1, 0) == b'0'
        with open(sys.argv[2], 'r+b') as below:
            below.write(b'0')
END
stop
[ "$(cat "$data/x-map")" = 01mm4w6789 ] || fail "what was stored through a mapping"

echo "appends only"
start
echo first >"$mount/only"
stop
if chattr +a "$data/only" 2>/dev/null; then
    start
    text=$(cat "$mount/only") || true
    more=$( (echo more >>"$mount/only") 2>&1) || true
    chattr -a "$data/only"
    [ "$text" = first ] || fail "reading a file that takes appends only: '$text'"
    [[ $more == *"Operation not permitted"* ]] || fail "writing to a file that takes appends only: '$more'"
    [ "$(cat "$data/only")" = first ] || fail "a file that takes appends only has changed"
    stop
fi

echo "smaller requests"
"$program" "$data" "$mount" -f -o max_read=1000 2>"$work/said" && fail "max_read=1000 was taken"
grep -q 'max_read.*4096' "$work/said" || fail "max_read=1000: $(cat "$work/said")"
start -o max_read=8192
[ "$sum" = "$(sha256sum <"$mount/copy")" ] || fail "the data is another with max_read"
grep -q "$mount .*max_read=8192" /proc/mounts || fail "max_read was not passed on"
stop

echo "no space"
mount -t tmpfs -o size=4m none "$data"
start
status=0
dd if=/dev/zero of="$mount/full" bs=64k count=128 conv=fsync 2>"$work/dd" || status=$?
if [ $status -eq 0 ] || ! grep -q 'No space left' "$work/dd"; then
    fail "8 MiB fit into 4"
fi
: >"$mount/full"
dd if=/dev/zero of="$mount/full" bs=64k count=16 conv=fsync,notrunc 2>"$work/dd" || fail "space again"
rm "$mount/full"
stop
