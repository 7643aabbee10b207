#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: refused.sh SOURCE_DIR INCLUDE_DIR COMPILER...
# The compilers find errors in the lines of refused.cc that say so, and in no others.
set -eu
here=$1
include=$2
shift 2
work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-refused.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

failed=0
for compiler; do
    for standard in c++11 c++17; do
        marks='// refused$'
        [ "$standard" = c++11 ] || marks='// (refused|nodiscard)$'
        grep -nE "$marks" "$here/refused.cc" | cut -d: -f1 >"$work/expected"
        limit=-fmax-errors=0
        case $compiler in *clang*) limit=-ferror-limit=0 ;; esac
        "$compiler" -std="$standard" -Wall -Wextra -Werror -Wno-unused $limit -Wno-self-assign-overloaded \
            -Wunused-result -Wunused-value -fsyntax-only -I "$include" "$here/refused.cc" >"$work/said" 2>&1 || true
        sed -nE 's|.*refused\.cc:([0-9]+):[0-9]+: error: .*|\1|p' "$work/said" | sort -nu >"$work/found"
        if ! diff "$work/expected" "$work/found" >"$work/diff" || grep -q '\.hp*:.*error:' "$work/said"; then
            echo "FAILED: $compiler -std=$standard: the lines that should be refused (<), and are (>):"
            cat "$work/diff"
            cat "$work/said"
            failed=1
        fi
        echo "$compiler -std=$standard: $(wc -l <"$work/found") lines refused"
    done
done
[ -s "$work/expected" ] && [ "$failed" -eq 0 ]
