#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Measures the engine against other ways to do the same IO, half an hour on an idle machine, and
# writes what it found to a folder: io.md, io.json, the plots. On the file system of the build
# directory, and, for root, on XFS over a loop file there, which is gone afterwards.
#
# usage: scripts/bench_io.sh [FOLDER [OPTION...]]   docs/bench by default; options as --quick, --runs N
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-docs/bench}
shift $(($# > 0))

scripts/setup.sh
cmake --preset release
cmake --build --preset release --target bench_io bench_lock
bench=build/release/bench/bench_io
mkdir -p "$folder"

directory=$(mktemp -d build/bench_io.XXXXXX)
mount=$directory/mount
child=

# shellcheck disable=SC2317 # the traps get here
cleanup()
{
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null || true
        wait "$child" || true
    fi
    if mountpoint -q "$mount"; then
        umount "$mount" || umount --lazy "$mount"
    fi
    rm -rf --one-file-system "$directory"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# The mount removes its loop device when it is gone.
mount_xfs()
{
    [ "$(id -u)" -eq 0 ] || { echo "not root"; return 1; }
    truncate -s 4G "$directory/xfs.img"
    mkfs.xfs -q "$directory/xfs.img" 2>&1 || return 1
    mount -t xfs -o loop "$directory/xfs.img" "$mount" 2>&1
}

declare -A title=(
    [cached]='Cached'
    [direct]='Direct'
    [mixed]='Buffered and direct on one file'
    [writeback]='Write-back'
    [memory]='Memory'
)
cases=(cached direct mixed writeback memory)
plotted=" cached direct mixed "

# In the background, for a trap runs only between commands, but interrupts a wait.
measure() # case, place, where, options
{
    local name=$1-$2 options=(--dir "$3" --json "$directory/$1-$2.json" "${@:4}")

    if [[ $plotted == *" $1 "* ]]; then
        options+=(--plot "$folder/io-$name.svg")
    fi
    "$bench" "$1" "${options[@]}" >"$directory/$name.txt" &
    child=$!
    wait "$child"
    child=
}

# Nor the blank lines before them.
without_goals()
{
    awk '/^goal: / { next } /^$/ { blank = blank "\n"; next } { printf "%s%s\n", blank, $0; blank = "" }'
}

goals()
{
    local case

    for case in "${cases[@]}"; do
        sed -n "s/^goal: /$(printf '%-10s' "$case")/p" "$directory/$case-$1.txt"
    done
}

section() # case
{
    local place

    printf '\n## %s\n' "${title[$1]}"
    for place in "${places[@]}"; do
        # shellcheck disable=SC2016 # the quotes are Markdown's
        printf '\n`bench_io %s` on %s\n' "$1" "${described[$place]}"
        if [[ $plotted == *" $1 "* ]]; then
            printf '\n![%s on %s](io-%s-%s.svg)\n' "${title[$1]}" "$place" "$1" "$place"
        fi
        printf '\n```\n'
        without_goals <"$directory/$1-$place.txt"
        printf '```\n'
    done
}

mkdir "$mount"
places=(disk)
declare -A described=([disk]="$(stat -f -c %T "$directory" | sed 's:^ext2/ext3$:ext4:')"
    [xfs]='XFS over a loop file')
if why=$(mount_xfs); then
    places=(xfs disk)
else
    printf 'bench_io.sh: SKIPPED: XFS over a loop file can not be had here: %s\n' "${why:-see above}"
fi

begun=$SECONDS
for place in "${places[@]}"; do
    where=$directory
    [ "$place" = disk ] || where=$mount
    for case in "${cases[@]}"; do
        printf 'bench_io.sh: %s, %s, after %d s\n' "$place" "$case" $((SECONDS - begun))
        measure "$case" "$place" "$where" "$@"
        grep '^goal: ' "$directory/$case-$place.txt" || true
    done
done

python3 - "$folder/io.json" "$directory"/*-*.json <<'PYTHON'
import json, sys

rows = []
for name in sys.argv[2:]:
    with open(name, encoding="utf-8") as file:
        rows += json.load(file)
with open(sys.argv[1], "w", encoding="utf-8") as file:
    file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
PYTHON
{
    echo "# The engine, measured"
    echo
    echo "$(build/release/bench/bench_lock machine). Written by \`scripts/bench_io.sh${*:+ $*}\`; all"
    echo "figures are in [io.json](io.json). Medians of runs that take turns in one process; cached IO and"
    echo "memory: three short turns a run, and a ratio is the median of the ratios of turns that were side by side."
    for place in "${places[@]}"; do
        printf '\nOn %s:\n\n```\n' "${described[$place]}"
        goals "$place"
        printf '```\n'
    done
    cat <<'TEXT'

What the names mean:

- `twostate_user`, `twostate_kernel`: the engine, over its own cache and over the kernel's.
- `kernel`: pread and pwrite, with O_DIRECT where IO is direct. No lock at all: in the mixed case its
  data may be torn, stale or lost.
- `nolock`: the engine compiled a second time, without the lease, the IOLOCK, the IOTYPE lock and the
  count of a file's users (`bench/nolock.h`). Folio locks stay, for they belong to the cache. The
  locks' share is 1 - twostate_user / nolock.
- `memcpy`: the same bytes to and from 64 MiB of memory, at the same random places, by as many threads.
- `liburing`: a loop with one ring in one thread; `liburing_eventfd`: one that sleeps in poll(2), till the
  ring signals an eventfd. `thread`: the engine's callbacks are made by its own; `waited`, `polled`: by the
  one that starts the requests, which waits for nothing else, or in poll(2).
- `fdatasync`: a sync of what is dirty in the kernel's cache.
- `rwlock`, `mutex_cond`: the kernel's calls under a lock around each of them.
TEXT
    for case in "${cases[@]}"; do
        section "$case"
    done
} >"$folder/io.md"
printf 'bench_io.sh: wrote %s/io.md, %d s\n' "$folder" $((SECONDS - begun))
