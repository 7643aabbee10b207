#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: alone.sh INCLUDE_DIR HEADER COMPILER...
# Compiles a program that has nothing but the header, twice, as each standard that it promises.
set -eu
include=$1
header=$2
shift 2

warnings='-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Werror'
runs=0
for compiler; do
    case $header:$compiler in
    *.hpp:*++*) ;;
    *.hpp:*) continue ;; # no C
    esac
    case $compiler in
    *++*) language=c++ standards='c++11 c++20' extra='-Wold-style-cast -Wzero-as-null-pointer-constant' ;;
    *) language=c standards='c99 c11' extra='-Wshadow -Wstrict-prototypes -Wmissing-prototypes' ;;
    esac
    case $header in
    *.hpp) standards=c++11 ;; # the standard's headers take long; tests/cxx has the later ones
    esac
    for standard in $standards; do
        echo "$compiler -std=$standard $header"
        printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' "$header" "$header" |
            "$compiler" -x "$language" -std="$standard" $warnings $extra -I "$include" \
                -c -o /dev/null -
        runs=$((runs + 1))
    done
done
[ "$runs" -gt 0 ]
