#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Measures the lock against its peers, 10 minutes on an idle machine, and writes what it found to a
# folder: lock.md (the summary), the whole matrices as text, the figures as JSON, the plots.
#
# usage: scripts/bench.sh [FOLDER [OPTION...]]      docs/bench by default; options as --quick, --runs N
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-docs/bench}
shift $(($# > 0))

scripts/setup.sh
cmake --preset release
cmake --build --preset release --target bench_lock
bench=build/release/bench/bench_lock
mkdir -p "$folder"

declare -A title=(
    [pair]='One thread, and two that share a state'
    [mixed]='Two states contend'
    [direct]='Two states contend, and holders of one sleep'
    [latency]='Wake-up, drain, switch'
    [syscalls]='System calls'
    [starve]='Holders that overlap'
)
commands=(pair latency syscalls starve mixed direct)
plotted=" pair latency mixed direct "

measure()
{
    local options=(--json "$folder/$1.json" "${@:2}")

    if [[ $plotted == *" $1 "* ]]; then
        options+=(--plot "$folder/$1.svg")
    fi
    "$bench" "$1" "${options[@]}" >"$folder/$1.txt"
}

# Of a matrix, what compares its cells; the rest stays in its own file.
summary()
{
    case $1 in
    mixed | direct) sed -n '/^The cells/,$p' "$folder/$1.txt" ;;
    *) cat "$folder/$1.txt" ;;
    esac
}

# Nor the blank lines before them.
without_goals()
{
    awk '/^goal: / { next } /^$/ { blank = blank "\n"; next } { printf "%s%s\n", blank, $0; blank = "" }'
}

section()
{
    echo
    echo "## ${title[$1]}"
    echo
    echo "\`bench_lock $1\`: figures in [$1.json]($1.json)"
    case $1 in
    mixed | direct) echo "every lock in every cell, with its waits, in [$1.txt]($1.txt)" ;;
    esac
    if [[ $plotted == *" $1 "* ]]; then
        echo
        echo "![${title[$1]}]($1.svg)"
    fi
    echo
    echo '```'
    summary "$1" | without_goals
    echo '```'
}

begun=$SECONDS
for command in "${commands[@]}"; do
    printf 'bench.sh: %s, after %d s\n' "$command" $((SECONDS - begun))
    measure "$command" "$@"
    grep '^goal: ' "$folder/$command.txt" || true
done
{
    echo "# The lock, measured"
    echo
    echo "$("$bench" machine --json "$folder/machine.json"). Written by \`scripts/bench.sh${*:+ $*}\`."
    echo "Medians of interleaved runs in one process; take ratios from it, not absolute numbers."
    echo
    cat <<'END'
The peers: *floor* is no lock, but a load and a compare-and-swap to enter and to leave (twostate guesses
the word instead of loading it, which is how it gets below); *bcachefs_alg* is that algorithm, written
anew; *mutex_cond* a mode lock of mutex and condition variable; *ck_rwlock* and *ck_pflock* are
Concurrency Kit's, their readers only.
END
    echo
    echo '```'
    for command in "${commands[@]}"; do
        sed -n "s/^goal: /$(printf '%-9s' "$command")/p" "$folder/$command.txt"
    done
    echo '```'
    for command in "${commands[@]}"; do
        section "$command"
    done
} >"$folder/lock.md"
for command in "${commands[@]}"; do
    case $command in
    mixed | direct) ;;
    *) rm "$folder/$command.txt" ;;
    esac
done
printf 'bench.sh: wrote %s/lock.md, %d s\n' "$folder" $((SECONDS - begun))
