#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the Debian packages out of a copy of the tree, lets lintian look at them, installs them, runs the
# tests of debian/tests against what is installed, and removes it again.
#
# As root that is done in an overlay over the root file system, which the system does not see: dpkg, the
# programs and the linker find everything in its place, and nothing is left even if this is killed. Where
# that is not possible the packages are unpacked into a directory instead, and tested there.
#
# usage: scripts/packages.sh [DIR]     DIR: where the packages are left
set -euo pipefail
cd "$(dirname "$0")/.."

not_tested()
{
    echo "packages.sh: NOT TESTED: $*"
    exit 77
}

command -v dh >/dev/null || not_tested 'no debhelper (scripts/setup.sh installs it)'
command -v lintian >/dev/null || not_tested 'no lintian (scripts/setup.sh installs it)'

# In a mount namespace of its own, if root may: then what is mounted goes when this ends.
if [ "$(id -u)" -eq 0 ] && [ -z "${TWOSTATE_PACKAGES_UNSHARED:-}" ] && unshare -m true 2>/dev/null; then
    TWOSTATE_PACKAGES_UNSHARED=1 exec unshare -m "scripts/${0##*/}" "$@"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-packages.XXXXXX")
clean()
{
    mountpoint -q "$work/root/proc" && umount -R "$work/root"
    mountpoint -q "$work/overlay" && umount "$work/overlay"
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

# step NAME COMMAND...: its output only if it fails, and of that the end.
step()
{
    echo "packages.sh: $1"
    shift
    if ! "$@" >"$work/log" 2>&1; then
        tail -n 60 "$work/log"
        echo "packages.sh: FAILED: $*"
        exit 1
    fi
}

# What git knows, as it lies here; an archive of the sources has no git: then all but build/.
copy_tree()
{
    mkdir "$work/twostate"
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z
    else
        find . -path ./build -prune -o \( -type f -o -type l \) -print0
    fi | tar -c --null --no-recursion -T - | tar -x -C "$work/twostate"
}

build()
{
    cd "$work/twostate" || return
    export DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=2 ${DEB_BUILD_OPTIONS:-}"
    DEB_CFLAGS_STRIP=-g nice dpkg-buildpackage -us -uc
}

look()
{
    lintian --allow-root --pedantic --display-info --fail-on error,warning,info,pedantic \
        "$work"/*.changes
}

# Of packages that two architectures may have at once, a file that both have must be the same.
same_for_all()
{
    local triplet deb
    triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
    for deb in "${debs[@]}"; do
        if [ "$(dpkg-deb -f "$deb" Multi-Arch)" = same ]; then
            rm -rf "$work/same"
            dpkg-deb -x "$deb" "$work/same"
            rm -r "$work/same/usr/lib/$triplet"
            if find "$work/same/usr/lib" ! -type d | grep . || grep -r "$triplet" "$work/same"; then
                return 1
            fi
        fi
    done
}

# An overlay of the system at $work/root, whose changes are in memory.
overlay()
{
    [ -n "${TWOSTATE_PACKAGES_UNSHARED:-}" ] || return
    mkdir "$work/overlay" "$work/root" || return
    mount -t tmpfs twostate "$work/overlay" && mkdir "$work/overlay/upper" "$work/overlay/work" &&
        mount -t overlay -o "lowerdir=/,upperdir=$work/overlay/upper,workdir=$work/overlay/work" \
            twostate "$work/root" || return
    for directory in /proc /dev /sys; do
        mount --rbind "$directory" "$work/root$directory" || return
    done
    mkdir -p "$work/root$work/twostate" "$work/root$work/tests" &&
        mount --bind "$work/twostate" "$work/root$work/twostate" &&
        mount --bind "$work/tests" "$work/root$work/tests" &&
        test -e "$work/root/var/lib/dpkg/status"
}

# What of ours the system has, but for documentation of dpkg's own doings.
ours()
{
    find "$1/usr" "$1/etc" "$1/var/lib" -name '*twostate*' | sort
}

# in_place TEST: one of debian/tests, in the overlay.
in_place()
{
    chroot "$work/root" env -C "$work/twostate" AUTOPKGTEST_TMP="$work/tests" "debian/tests/$1"
}

unpacked()
{
    (
        cd "$work/twostate"
        export PREFIX="$work/root/usr" AUTOPKGTEST_TMP="$work/tests"
        export PKG_CONFIG_SYSROOT_DIR="$work/root"
        LD_LIBRARY_PATH=$PREFIX/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH) "debian/tests/$1"
    )
}

step 'copying the tree' copy_tree
step 'building the packages' build
debs=()
for deb in "$work"/*.deb; do
    case $deb in *-dbgsym_*) ;; *) debs+=("$deb") ;; esac
done
step 'lintian' look
step 'files that architectures share' same_for_all
mkdir "$work/tests"
if overlay; then
    ours "$work/root" >"$work/before"
    step 'installing' dpkg --root="$work/root" -i "${debs[@]}"
    run=in_place
else
    echo 'packages.sh: NOT TESTED: installing (needs root and an overlay); unpacked instead'
    for deb in "${debs[@]}"; do
        dpkg-deb -x "$deb" "$work/root"
    done
    run=unpacked
fi
# shellcheck disable=SC2013 # words
for test in $(sed -n 's/^Tests: *//p' debian/tests/control); do
    step "debian/tests/$test" $run "$test"
done
if [ $run = in_place ]; then
    names=()
    for deb in "${debs[@]}"; do
        names+=("$(dpkg-deb -f "$deb" Package)")
    done
    step 'removing' dpkg --root="$work/root" --purge "${names[@]}"
    ours "$work/root" >"$work/after"
    step 'what is left' diff "$work/before" "$work/after"
fi
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    cp "$work"/twostate_* "$work"/*.deb "$1"
fi
