#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the lock library and its unit tests for another machine, and runs them there, or as if.
#
# usage: run.sh PORT DIRECTORY     PORT: one of cmake/toolchains; DIRECTORY: where to build
set -eu
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
cat >"$try/try.c" <<'END'
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
int main(void)
{
    return puts("works") < 0;
}
END
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

case $port in
m32)
    can '' gcc-12 -m32 -idirafter /usr/include/x86_64-linux-gnu
    ;;
aarch64)
    emulator=
    [ "$(uname -m)" = aarch64 ] || emulator='qemu-aarch64 -L /usr/aarch64-linux-gnu'
    can "$emulator" aarch64-linux-gnu-gcc
    ;;
*)
    echo "run.sh: no port $port" >&2
    exit 2
    ;;
esac

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DTWOSTATE_WERROR=ON \
    -DCMAKE_TOOLCHAIN_FILE="$root/cmake/toolchains/$port.cmake" \
    -DTWOSTATE_IO=OFF -DTWOSTATE_BENCH=OFF -DTWOSTATE_EXAMPLES=OFF >"$try/out" 2>&1 ||
    { cat "$try/out"; exit 1; }
cmake --build "$build" >"$try/out" 2>&1 || { cat "$try/out"; exit 1; }
ctest --test-dir "$build" -L 'unit|misuse' -j 4 --no-tests=error --output-on-failure
