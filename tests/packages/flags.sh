#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: flags.sh SOURCE
# With a distribution's flags, and warnings that are none of its errors, as a package is built: every
# command of the build can run, for none has an empty word, which compilers take for a file; and the
# flags get to the commands that are the tests' own.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-flags.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

export CFLAGS='-g -O2 -fstack-protector-strong' LDFLAGS='-Wl,-z,relro -Wl,-z,now'
if command -v dpkg-buildflags >/dev/null; then
    eval "$(DEB_BUILD_MAINT_OPTIONS=hardening=+bindnow dpkg-buildflags --export=sh)"
fi
cmake -S "$1" -B "$work" -G Ninja >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
grep '^ *COMMAND = ' "$work/build.ninja" >"$work/commands"
if grep -E ' ""( |$)' "$work/commands"; then
    echo 'these commands have an empty word'
    exit 1
fi
if grep 'tests/cxx/main\.cc' "$work/commands" | grep -v -e '-O2 .*-Wl,-z,now'; then
    echo 'these commands lack the flags'
    exit 1
fi
