#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compares the binary interface of the libraries with that of the last release: the tag v*, if git has
# one, else what abi/ holds, so that a clone without tags can do it too. What programs were compiled and
# linked with must still be there unless the soname, which is the first number of the version, is another.
#
# libabigail sees functions and the types they reach. What the headers put into programs it does not see:
# inline functions, the bits of the lock word, flags. So those are compared as text, one statement a line.
#
# usage: scripts/abi.sh                     compare the tree with the last release
#        scripts/abi.sh update              write abi/: for a release, and before the first one
#        scripts/abi.sh dump DIR            build the libraries, and write their interface into DIR
#        scripts/abi.sh check DIR           compare such a directory with the last release
#        scripts/abi.sh compare OLD NEW     compare two such directories
# A change that breaks no program all the same: abi/accepted holds the lines of headers.txt that may go,
# abi/suppressions.abignore is for libabigail. A struct's size no suppression can hide.
# TWOSTATE_ABI_BUILD: where to build, and to leave it for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-abi.XXXXXX")
build=${TWOSTATE_ABI_BUILD:-$work/build}
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

not_tested()
{
    echo "abi.sh: NOT TESTED: $*"
    exit 77
}

# The statements and macros of the public headers. Not the functions of the libraries, which libabigail
# knows; not the version, nor what is for analysis only.
header_text()
{
    for header in include/twostate/*.h; do
        echo "#include <twostate/${header##*/}>"
    done | gcc -std=c11 -Iinclude -E -dD - | awk '
        /^# [0-9]+ "/ { own = $3 ~ /include\/twostate\// && $3 !~ /(version|thread_safety).h/; next }
        !own { next }
        /^#define [A-Z_]*_H *$/ || /^#undef/ { next }
        /^#define/ { gsub(/[ \t]+/, " "); print; next }
        { for (i = 1; i <= length($0); i++) statement(substr($0, i, 1)); statement(" ") }
        function statement(c) {
            depth += (c == "(") - (c == ")")
            if (c ~ /[ \t]/) { c = " "; if (text == "" || text ~ / $/) return }
            text = text c
            if (c ~ /[;{}]/ || c == "," && depth == 0) {
                sub(/[,} ]+$/, "", text)
                if (text !~ /visibility\("default"\)/ && text !~ /^;?$/) print text
                text = ""
            }
        }'
}

# quietly COMMAND...: its output only if it fails.
quietly()
{
    "$@" >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
}

dump()
{
    command -v abidw >/dev/null || not_tested 'no libabigail (Debian: abigail-tools)'
    quietly cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DTWOSTATE_TESTS=OFF \
        -DTWOSTATE_BENCH=OFF -DTWOSTATE_EXAMPLES=OFF "-DCMAKE_C_FLAGS=-ffile-prefix-map=$PWD/="
    quietly cmake --build "$build" --parallel 2 --target twostate_shared twostate_io_shared
    mkdir -p "$1"
    uname -m >"$1/machine"
    for library in libtwostate io/libtwostate-io; do
        abidw --exported-interfaces-only --headers-dir include/twostate --drop-private-types \
            --no-show-locs --no-corpus-path --no-comp-dir-path --out-file "$1/${library#*/}.abi" "$build/lib/$library.so"
    done
    header_text >"$1/headers.txt"
}

soname()
{
    sed -n "s/.* soname='\([^']*\)'.*/\1/p" "$1" | head -1
}

# What each struct that programs have takes, and which functions there are, in a record.
sizes()
{
    sed -n "s/.*<class-decl name='\(twostate_[a-z_]*\)' size-in-bits='\([0-9]*\)'.*/\1: \2 bits/p" \
        "$1"/*.abi | sort -u
}

functions()
{
    sed -n "s/.*<elf-symbol name='\(twostate_[^']*\)'.*type='func-type'.*is-defined='yes'.*/\1/p" "$1"/*.abi | sort
}

# compare OLD NEW: false if a program made with OLD may not work with NEW.
compare()
{
    local old=$1 new=$2 status=0 bits
    if [ "$(cat "$old/machine")" != "$(cat "$new/machine")" ]; then
        not_tested "this is $(cat "$new/machine"), the recorded interface is $(cat "$old/machine")'s"
    fi
    if [ "$(soname "$old/libtwostate.abi")" != "$(soname "$new/libtwostate.abi")" ]; then
        echo "abi.sh: a new soname, $(soname "$new/libtwostate.abi"): everything may change"
        return 0
    fi
    suppressions=()
    if [ -e abi/suppressions.abignore ]; then
        suppressions=(--suppressions abi/suppressions.abignore)
    fi
    for library in libtwostate libtwostate-io; do
        bits=0
        abidiff --no-added-syms "${suppressions[@]}" "$old/$library.abi" \
            "$new/$library.abi" >"$work/report" 2>&1 || bits=$?
        if [ "$bits" -ne 0 ]; then
            echo "abi.sh: $library is not what programs were linked with:"
            cat "$work/report"
            status=1
        fi
    done
    comm -23 <(sizes "$old") <(sizes "$new") >"$work/sizes"
    if [ -s "$work/sizes" ]; then
        echo 'abi.sh: structs that programs have are of another size than this:'
        cat "$work/sizes"
        status=1
    fi
    comm -13 <(functions "$old") <(functions "$new") | sed 's/^/abi.sh: a new function: /'
    diff "$old/headers.txt" "$new/headers.txt" | sed -n 's/^< //p' >"$work/gone" || true
    if [ -e abi/accepted ]; then
        grep -vxFf abi/accepted "$work/gone" >"$work/left" || true
        mv "$work/left" "$work/gone"
    fi
    if [ -s "$work/gone" ]; then
        echo 'abi.sh: programs were compiled with this, which the headers no longer say:'
        cat "$work/gone"
        status=1
    fi
    return $status
}

# last_release DIR: its recorded interface, as DIR.
last_release()
{
    local tag file
    tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || tag=
    if [ -n "$tag" ] && git cat-file -e "$tag:abi/headers.txt" 2>/dev/null; then
        echo "abi.sh: against $tag"
        mkdir "$1"
        for file in machine headers.txt libtwostate.abi libtwostate-io.abi; do
            git show "$tag:abi/$file" >"$1/$file"
        done
    else
        echo 'abi.sh: against abi/'
        cp -r abi "$1"
    fi
}

check()
{
    last_release "$work/old"
    if ! compare "$work/old" "$1"; then
        echo 'abi.sh: FAILED. Break nothing, or raise TWOSTATE_VERSION_MAJOR (docs/releasing.md).'
        exit 1
    fi
}

case ${1:-} in
'') dump "$work/new" && check "$work/new" ;;
check) check "$2" ;;
update) dump abi ;;
dump) dump "$2" ;;
compare) compare "$2" "$3" ;;
*)
    sed -n '/^# usage/,/^# A change/p' "$0" >&2
    exit 2
    ;;
esac
