#!/bin/sh
# SPDX-License-Identifier: MIT
# Explores small programs (tests/model), which tell most of the seeded bugs in a second or two.
#
# usage: explored.sh MODEL locks|io
model=$1

case $2 in
locks)
    programs='aA aB Fd
aA FA FB
aA,aA aB aB
all all
--patience-0 all all
--patience-0 aA,aA aB,aB Td
--subject pair all all
--subject iolock all all all
--subject iolock ax,ax as,as ax
--shared aA|TB|f aA|sB aB|d
aA|sA|nA aB|LB aB|d|f|kB
aA|kA aB|kB cA|cB|cf|d'
    ;;
io)
    programs='--subject folio all all
--subject lease W D
--subject lease F W
--subject lease W g,w
--subject lease r|w,w m'
    ;;
*)
    echo "usage: explored.sh MODEL locks|io" >&2
    exit 2
    ;;
esac

while read -r program; do
    # shellcheck disable=SC2086 # words are arguments
    if ! output=$("$model" $program); then
        printf '%s\n' "$output" | tail -n 20
        exit 1
    fi
    printf '%s\n' "$output" | tail -n 1
done <<END
$programs
END
