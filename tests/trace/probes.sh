#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: probes.sh LIBRARY WITH_SDT
# The library has every probe point that lib/probe.h describes, and no other.
set -eu
library=$1 with_sdt=$2

if [ "$with_sdt" != 1 ]; then
    echo 'SKIPPED: built without sys/sdt.h, so there are no probes'
    exit 77
fi
if ! command -v readelf >/dev/null; then
    echo 'SKIPPED: no readelf'
    exit 77
fi

found=$(readelf -n "$library" | sed -n 's/^ *Provider: //p; s/^ *Name: //p' | paste - - | sort -u |
    tr '\t\n' ':,')
expected='twostate:contention_begin,twostate:contention_end,twostate:drain,twostate:grant,'
expected=$expected'twostate:mode_switch,twostate:patience,'
if [ "$found" != "$expected" ]; then
    echo "FAILED: probes are $found"
    echo "        not        $expected"
    exit 1
fi
echo "probes: $found"
