#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what this Debian machine lacks to build and test the project. If nothing is missing it
# calls neither apt nor the network.
set -euo pipefail

packages=(
    # compilers and build tools; libclang-rt-14-dev is the sanitizers of clang
    gcc g++ libc6-dev clang libclang-rt-14-dev cmake ninja-build pkg-config
    # the newest clang here, for its thread-safety analysis and its sanitizer; and what names the
    # functions in the sanitizers' reports
    clang-19 libclang-rt-19-dev llvm
    # checks
    clang-format clang-tidy python3 spin
    # the manual pages, checked and as HTML
    mandoc
    # libraries: the engine, its tool, the benchmarks, the tests
    liburing-dev liburcu-dev libjansson-dev libxxhash-dev libck-dev gnuplot-nox libcmocka-dev
    # probe points, and the scripts that use them (their test runs as root)
    systemtap-sdt-dev bpftrace binutils
    # file systems that the tests make over loop files, when they run as root
    e2fsprogs xfsprogs btrfs-progs mount
    # what an event loop calls, for the test of examples/loop.c
    strace
    # a disk that fails, for a test: nbdkit's error filter mounted by nbdfuse
    nbdkit libnbd-bin
    # our nbdkit plugin, and the clients that test it
    nbdkit-plugin-dev libnbd-dev qemu-utils fio
    # the disk that remembers its writes, for power cuts
    libfuse3-dev fuse3
    # programs that are run in twostate-fuse, beside fio
    git sqlite3
    # Debian packages, and whether the libraries' binary interface is still what it was
    debhelper lintian abigail-tools
    # other machines (cmake/toolchains): 32-bit x86; 64-bit Arm, and what runs its programs here
    gcc-12-multilib libc6-dev-i386 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
)

if ! command -v dpkg-query >/dev/null; then
    echo "setup: not a Debian system; the build needs what these are called here: ${packages[*]}" >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
        missing+=("$package")
    fi
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

install=(apt-get install -y --no-install-recommends "${missing[@]}")
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: missing packages: ${missing[*]}" >&2
        echo "setup: neither root nor sudo; run as root: ${install[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}"
