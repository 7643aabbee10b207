#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: versions.sh SOURCE VERSION
# All that cannot have the version from include/twostate/version.h says the same: the change logs, and
# the names that hold the number of the soname.
set -eu
cd "$1"
version=$2
major=${version%%.*}

# same WHAT SAYS
same()
{
    if [ "$2" != "$version" ]; then
        echo "$1 says '$2', include/twostate/version.h says '$version'"
        exit 1
    fi
}

same debian/changelog "$(sed -n '1s/^twostate (\(.*\)).*/\1/p' debian/changelog)"
same CHANGELOG.md "$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -1)"
for package in "libtwostate$major" "libtwostate-io$major"; do
    grep -qx "Package: $package" debian/control || { echo "debian/control has no $package" && exit 1; }
    test -e "debian/$package.symbols" || { echo "no debian/$package.symbols" && exit 1; }
done
grep -q "^TWOSTATE_$major {" lib/twostate.map || { echo 'lib/twostate.map: another version' && exit 1; }
grep -q "^TWOSTATE_IO_$major {" lib/io/twostate-io.map ||
    { echo 'lib/io/twostate-io.map: another version' && exit 1; }
