#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: lint.sh PAGES_DIR VERSION
# mandoc finds nothing to warn of in a page, its footer has the project's version, and every link leads
# to a page.
set -eu
cd "$1"
version=$2
failed=0

if ! command -v mandoc >/dev/null; then
    echo "NOT TESTED: mandoc is not here"
    exit 77
fi
for page in *.[1-8]; do
    # Style, too; but pages that it does not find are not its business: synopses.py knows them.
    mandoc -Tlint -Wstyle "$page" 2>/dev/null | grep -v 'STYLE: referenced manual not found' && failed=1
    if ! mandoc -Tutf8 "$page" | tail -n 1 | grep -qF "twostate $version"; then
        echo "$page: its footer is not of twostate $version"
        failed=1
    fi
done
for link in links/*.[1-8]; do
    read -r request target <"$link"
    if [ "$request" != .so ] || [ ! -f "${target#man?/}" ]; then
        echo "$link: leads nowhere"
        failed=1
    fi
done
ls links/twostate_lock_acquire.3 >/dev/null
exit $failed
