#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: symbols.sh SOURCE LIBRARY...
# debian/*.symbols list what the libraries export, with its version node: all of it and nothing else.
set -eu
source=$1
shift
work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-symbols.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

for library; do
    soname=$(readelf -d "$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
    package=${soname%.so.*}${soname##*.}
    sed -n 's/^ \([^ ]*\) .*/\1/p' "$source/debian/$package.symbols" | sort >"$work/listed"
    test -s "$work/listed"
    nm -D --defined-only "$library" | awk '{ sub("@@", "@", $3); print $2 == "A" ? $3 "@" $3 : $3 }' |
        sort >"$work/exported"
    diff "$work/listed" "$work/exported" ||
        { echo "debian/$package.symbols: list > with the version it is new in, not <" && exit 1; }
done
