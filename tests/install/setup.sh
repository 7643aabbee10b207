#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: setup.sh SCRIPT
# scripts/setup.sh asks apt for what is missing and nothing else: shown with stand-ins for dpkg-query,
# apt-get, sudo and id, which are all that it finds in its PATH.
set -eu
script=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
bash=$(command -v bash)
mkdir "$work/bin"
ln -s "$(command -v env)" "$work/bin/env"

# stand_in NAME LINE...: a command of that name.
stand_in()
{
    name=$1
    shift
    printf '%s\n' "#!$bash" "$@" >"$work/bin/$name"
    chmod +x "$work/bin/$name"
}

# try: runs the script; $status is how it ended, $calls what it called, $work/out what it said.
try()
{
    : >"$work/calls"
    status=0
    PATH=$work/bin "$bash" "$script" >"$work/out" 2>&1 || status=$?
    calls=$(cat "$work/calls")
}

expect()
{
    if [ "$1" != "$2" ]; then
        printf 'expected: %s\ngot:      %s\n' "$2" "$1"
        cat "$work/out"
        exit 1
    fi
}

install='apt-get install -y --no-install-recommends libck-dev xfsprogs'
stand_in apt-get "echo \"apt-get \$*\" >>$work/calls"

stand_in id 'echo 0'
stand_in dpkg-query 'printf installed'
try
expect "$status:$calls" '0:'

# One was never there; of the other only the configuration is left.
stand_in dpkg-query 'for last; do :; done' \
    'case $last in' \
    'libck-dev) echo "no packages found" >&2; exit 1 ;;' \
    'xfsprogs) printf config-files ;;' \
    '*) printf installed ;;' \
    'esac'
try
expect "$status:$calls" "0:apt-get update
$install"

stand_in id 'echo 1000'
try
expect "$status:$calls" '1:'
grep -qF "$install" "$work/out"

stand_in sudo "echo sudo >>$work/calls" '"$@"'
try
expect "$status:$calls" "0:sudo
apt-get update
sudo
$install"

stand_in apt-get 'exit 100'
try
expect "$status" 100
