#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: check.sh SOURCE_DIR INCLUDE_DIR COMPILER [FLAG...]
# The analysis accepts proper.c, and says of each case of misuse.c what the file says.
set -eu
here=$1
include=$2
compiler=$3
shift 3
case " $* " in
*c++*) language=c++ ;;
*) language=c ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-safety.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

compile()
{
    source=$1
    shift
    "$compiler" "$@" -fsyntax-only -Wall -Wextra -Wpedantic -Werror -Wthread-safety \
        -Wthread-safety-beta -I "$include" "$here/$source" 2>"$work/said"
}

failed=0
for source in proper.c misuse.c; do
    if ! compile "$source" "$@"; then
        echo "FAILED: $source by itself:"
        cat "$work/said"
        failed=1
    fi
done

sed -n 's|^ */\* case \(.*\) \*/$|\1|p' "$here/misuse.c" >"$work/cases"
ran=0
while IFS= read -r line; do
    case $line in
    c++*)
        [ "$language" = c++ ] || continue
        line=${line#c++ }
        ;;
    esac
    name=${line%%: *}
    ran=$((ran + 1))
    if compile misuse.c "$@" "-DCASE_$name"; then
        echo "FAILED: $name: nothing was said"
        failed=1
    elif ! grep -qF "${line#*: }" "$work/said"; then
        echo "FAILED: $name: not '${line#*: }', but:"
        cat "$work/said"
        failed=1
    elif grep -v 'Wthread-safety' "$work/said" | grep -q 'error:'; then
        echo "FAILED: $name: another error:"
        cat "$work/said"
        failed=1
    fi
done <"$work/cases"
echo "$ran cases of misuse"
[ "$ran" -ge 6 ] && [ "$failed" -eq 0 ]
