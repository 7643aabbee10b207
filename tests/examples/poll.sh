# SPDX-License-Identifier: MIT
# examples/poll.c writes all that comes in, quickly or in bits, and no more. poll.sh PROGRAM
set -eu
directory=$(mktemp -d poll-XXXXXX)
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' HUP INT TERM

seq 1000000 > "$directory/expected"
"$1" "$directory/data" < /dev/null && { echo "FAILED: /dev/null is no pipe"; exit 1; }
printf '' | "$1" "$directory/data"
cmp /dev/null "$directory/data"
cat "$directory/expected" | "$1" "$directory/data"
cmp "$directory/expected" "$directory/data"
seq 20 | while read -r line; do echo "$line"; sleep 0.01; done | "$1" "$directory/data"
seq 20 | cmp - "$directory/data" # shorter than what it held before
