#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the libraries and their tests for another machine, and runs them there, or as if. The other
# machine's libraries are fetched (scripts/foreign_packages.sh); where they can't be, the engine is left
# out, and told to be.
#
# usage: run.sh [--long] PORT DIRECTORY
#        PORT: one of cmake/toolchains; DIRECTORY: where to build; --long: all tests that make sense
set -eu
long=
if [ "$1" = --long ]; then
    long=yes
    shift
fi
port=$1 build=$2
root=$(cd "$(dirname "$0")/../.." && pwd)

skip()
{
    echo "NOT TESTED: $port: $*"
    exit 77
}

# can COMMAND...: compiles and runs a program that needs the port's C library.
try=$(mktemp -d "${TMPDIR:-/tmp}/twostate-port.XXXXXX")
trap 'rm -rf "$try"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$try/try.c" <<'END_OF_PROGRAM'
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
int main(void)
{
    return puts("works") < 0;
}
END_OF_PROGRAM
can()
{
    emulator=$1
    shift
    "$@" -pthread "$try/try.c" -o "$try/try" 2>"$try/errors" ||
        skip "$1 can't compile for it: $(head -n 1 "$try/errors") (see scripts/setup.sh)"
    # shellcheck disable=SC2086 # words are arguments
    $emulator "$try/try" >/dev/null 2>"$try/errors" ||
        skip "its programs don't run here: $(head -n 1 "$try/errors") (see scripts/setup.sh)"
}

# silently COMMAND...
silently()
{
    "$@" >"$try/out" 2>&1 || { cat "$try/out"; exit 1; }
}

# The manual's examples are for the machine's own compiler.
without='^man_'
case $port in
m32)
    architecture=i386
    can '' gcc-12 -m32 -idirafter /usr/include/x86_64-linux-gnu
    ;;
aarch64)
    architecture=arm64 emulator=
    if [ "$(uname -m)" != aarch64 ]; then
        emulator='qemu-aarch64 -L /usr/aarch64-linux-gnu'
        # The emulator has no io_uring and no pwritev2, so buffered writes can't be DSYNC, and does not tell
        # the alignment of direct IO; a program of the port can't execute another one; and hundreds of
        # threads that spin are too slow.
        without="$without|uring|ring$|^fuzz_(kernel|.*load|.*validated|regressions)|^(faults|tool|crash)_"
        without="$without|^engine_(faults|lease|poll|wait|user$|sync)"
        without="$without|^(stats_print|validate_environment)$"
    fi
    can "$emulator" aarch64-linux-gnu-gcc
    ;;
*)
    echo "run.sh: no port $port" >&2
    exit 2
    ;;
esac

missing='' foreign=$build/foreign
if ! "$root/scripts/foreign_packages.sh" "$architecture" "$foreign" 2>"$try/errors"; then
    missing="the engine, whose libraries can't be had: $(head -n 1 "$try/errors")"
    foreign=''
fi
silently cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DTWOSTATE_WERROR=ON \
    -DCMAKE_TOOLCHAIN_FILE="$root/cmake/toolchains/$port.cmake" -DTWOSTATE_FOREIGN="$foreign" \
    -DTWOSTATE_IO="$([ -n "$foreign" ] && echo ON || echo OFF)" \
    -DTWOSTATE_BENCH=OFF -DTWOSTATE_EXAMPLES=OFF

# What is tested: all, or what fits beside the other tests.
short='engine_api engine_async engine_backend engine_arena engine_index fuzz'
if [ "$port" = m32 ]; then
    short="engine_faults $short"
fi
targets='lib/all tests/unit/all tests/misuse/all'
if [ -n "$foreign" ]; then
    targets="$targets twostate-io"
    for name in $short; do
        targets="$targets test_$name"
    done
fi
if [ -n "$long" ]; then
    targets=all
fi
# shellcheck disable=SC2086 # words are arguments
silently cmake --build "$build" --parallel 2 --target $targets

# compiles LANGUAGE OPTION...: a program with the lock, whose words must be in one piece.
cat >"$try/lock.c" <<'END_OF_PROGRAM'
#include <stddef.h>
#include <twostate/iopair.h>
#ifndef __cplusplus
#define static_assert _Static_assert
#endif
struct after {
    char c;
    struct twostate_lock lock;
    char d;
    struct twostate_iopair pair;
};
static_assert(sizeof(struct twostate_lock) == 8, "8 bytes");
static_assert(offsetof(struct after, lock) == 8 && offsetof(struct after, pair) == 24, "aligned");
END_OF_PROGRAM
compiles()
{
    language=$1
    shift
    gcc-12 -m32 -idirafter /usr/include/x86_64-linux-gnu -I "$root/include" -x "$language" "$@" \
        -fsyntax-only "$try/lock.c"
}

# Whoever has a time_t of his own must be told; and those who do as the pkg-config module says.
if [ "$port" = m32 ]; then
    definitions=$(sed -n 's/^Cflags: -I[^ ]*//p' "$build/twostate.pc")
    # shellcheck disable=SC2086 # words are arguments
    for language in 'c -std=c11' 'c++ -std=c++11'; do
        compiles $language $definitions
        if compiles $language 2>"$try/errors"; then
            echo "FAILED: the header takes a time_t of 32 bits ($language)"
            exit 1
        fi
        grep -q 'error.*-D_TIME_BITS=64' "$try/errors" || { cat "$try/errors"; exit 1; }
    done
fi

# clang warns of what gcc doesn't: atomic words that may lie in two cache lines (lib/aligned.h).
if [ "$port" = m32 ] && [ -n "$foreign" ] && command -v clang >/dev/null; then
    (cd "$try" && find "$root/lib" -name '*.c' -print0 |
        xargs -0 -n 8 -P 2 clang -m32 -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 \
            -Werror -I "$root/include" -isystem "$foreign/usr/include" \
            -isystem "$foreign/usr/include/i386-linux-gnu" -idirafter /usr/include/x86_64-linux-gnu -c)
fi

tests() # OPTION...
{
    ctest --test-dir "$build" -j 3 --no-tests=error --output-on-failure --timeout 300 "$@"
}
if [ -n "$long" ]; then
    tests -LE root -E "$without"
else
    tests -L 'unit|misuse' -E "$without"
    if [ -z "$missing" ]; then
        tests -R "^($(echo "$short" | tr ' ' '|')_user_(threads|uring)_2)\$" -E "$without"
    fi
fi
[ -z "$missing" ] || skip "$missing"
