#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# stress-ng's file system stressors, with verification. Only the long form:
# stress.sh PROGRAM kernel|user --long. (Debian packages neither fsx nor fsstress.)
# shellcheck source=tests/fuse/common.sh disable=SC2119
. "$(dirname "$0")/common.sh"

[ -n "$long" ] || skip "stress-ng is for --long"
need stress-ng
start
for stressor in access aiol chmod chown copy-file dentry dir dirdeep dup fallocate fcntl filename flock \
    fstat getdent hdd io iomix lease link locka lockf lockofd mknod open readahead rename revio \
    seek symlink sync-file touch utime xattr; do
    echo "$stressor"
    stress-ng --temp-path "$mount" --verify --"$stressor" 2 --timeout 4 --quiet --oomable ||
        fail "$stressor"
done
stop
