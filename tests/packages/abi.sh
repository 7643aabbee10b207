#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: abi.sh SOURCE
# The binary interface is still that of the last release; and scripts/abi.sh finds what is not. The
# tree is built once: what changes is the record of the release, as if the tree had changed since.
set -euo pipefail
cd "$1"
abi=scripts/abi.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-abi-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

$abi dump "$work/new"
$abi check "$work/new"

# released EXPECTED FILE SED-SCRIPT WHAT: the release had another FILE.
released()
{
    local status=0
    rm -rf "$work/old"
    cp -r "$work/new" "$work/old"
    sed -i "$3" "$work/old/$2"
    if cmp -s "$work/old/$2" "$work/new/$2"; then
        echo "the change does not apply: $4"
        exit 1
    fi
    $abi compare "$work/old" "$work/new" >"$work/log" 2>&1 || status=$?
    if [ $status -ne "$1" ]; then
        echo "abi.sh compare returned $status instead of $1: $4"
        cat "$work/log"
        exit 1
    fi
}

# What programs used and is not there any more, or is another.
released 1 libtwostate.abi "s/'twostate_lock_drain'/'twostate_lock_gone'/" 'a function gone'
released 1 libtwostate-io.abi "s/'twostate_append'/'twostate_gone'/" 'a function of the engine gone'
released 1 libtwostate.abi "/name='twostate_iopair' size-in-bits='192'/s/192/128/" 'a struct grown'
released 1 headers.txt 's/^#define TWOSTATE_FAST_ .*29.*/#define TWOSTATE_FAST_ (UINT64_C(1) << 28)/' \
    'another bit of the lock word'
released 1 headers.txt 's/^TWOSTATE_IO_DSYNC = 2/TWOSTATE_IO_DSYNC = 4/' 'another flag'
released 1 headers.txt 's/^uint64_t next = word - 1;/uint64_t next = word - 2;/' 'another fast path'

# What is new, and a new soname.
released 0 headers.txt '/^#define TWOSTATE_PROCESS_SHARED/d' 'a new flag'
released 0 libtwostate.abi "/elf-symbol name='twostate_version'/d" 'a new function'
released 0 libtwostate.abi "s/soname='libtwostate.so.[0-9]*'/soname='libtwostate.so.999'/" 'a new soname'
