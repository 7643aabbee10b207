#!/bin/sh
# SPDX-License-Identifier: MIT
# Unpacks the libraries that this project needs, of another architecture, into a directory, for a
# compiler that makes programs for it (cmake/toolchains). They come from where this machine's apt has
# its own packages from, and its own are left alone: nothing is installed, no root is needed, and dpkg
# need not know of the architecture.
#
# usage: foreign_packages.sh ARCHITECTURE DIRECTORY     ARCHITECTURE: as Debian calls it, i386 or arm64
#
# What is there already isn't fetched again. Exit status 1: they can't be had, for the reason told; 2: not
# called as it should be, or the directory holds something else, which stays.
set -eu
if [ $# -ne 2 ]; then
    echo 'usage: foreign_packages.sh ARCHITECTURE DIRECTORY' >&2
    exit 2
fi
architecture=$1 directory=$2
packages='libcmocka-dev libcmocka0 libjansson-dev libjansson4 liburcu-dev liburcu8
    liburing-dev liburing2 libxxhash-dev libxxhash0 systemtap-sdt-dev'

complete=$directory/complete
wanted="$architecture $packages"
if [ "$(cat "$complete" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
for command in apt-get dpkg-deb; do
    if ! command -v $command >/dev/null; then
        echo "foreign_packages.sh: no $command" >&2
        exit 1
    fi
done

if [ -n "$(ls -A "$directory" 2>/dev/null)" ] && [ ! -e "$directory/made_by_foreign_packages" ]; then
    echo "foreign_packages.sh: $directory holds something else" >&2
    exit 2
fi
rm -rf "$directory"
mkdir -p "$directory/apt/lists/partial" "$directory/apt/archives/partial"
: >"$directory/made_by_foreign_packages"
directory=$(cd "$directory" && pwd)
: >"$directory/apt/status"

# apt COMMAND...: apt-get with a state of its own.
apt()
{
    timeout 120 apt-get -q -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
        -o Dir::State="$directory/apt" -o Dir::State::status="$directory/apt/status" \
        -o Dir::Cache="$directory/apt" -o APT::Sandbox::User="$(id -un)" \
        -o Acquire::Languages=none -o Acquire::http::Timeout=20 "$@"
}

# If one of the lists can't be had, the others may do.
apt update -o Acquire::Retries=0 >"$directory/apt/out" 2>&1 || true
# shellcheck disable=SC2086 # words are arguments
if ! (cd "$directory/apt/archives" && apt download $packages) >>"$directory/apt/out" 2>&1; then
    grep '^E:' "$directory/apt/out" >&2 || tail -n 5 "$directory/apt/out" >&2
    exit 1
fi
for package in "$directory"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$directory"
done
rm -r "$directory/apt"
echo "$wanted" >"$directory/complete"
