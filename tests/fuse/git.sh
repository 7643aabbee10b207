#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A repository is cloned into the mount, worked in, packed, and checked; by git itself.
# usage: git.sh PROGRAM kernel|user [--long]
# shellcheck source=tests/fuse/common.sh disable=SC2119
. "$(dirname "$0")/common.sh"
need git

export GIT_CONFIG_NOSYSTEM=1 HOME=$work GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@example.org
export GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@example.org
files=${long:+1000}
files=${files:-60}

echo "a source of $files files"
source=$work/source
git init -q -b main "$source"
for i in $(seq "$files"); do
    mkdir -p "$source/d$((i % 10))"
    seq "$i" $((i * 20)) >"$source/d$((i % 10))/file $i"
done
head -c 1500000 /dev/urandom >"$source/binary"
ln -s binary "$source/link"
git -C "$source" add .
git -C "$source" commit -qm one
echo change >>"$source/d1/file 1"
git -C "$source" commit -qam two

start
echo "clone"
cd "$mount"
git clone -q "file://$source" clone
cd clone
git fsck --full --strict --no-progress || fail "fsck"
[ -z "$(git status --porcelain)" ] || fail "a clean clone is not clean"
echo "work"
git checkout -q -b other HEAD~1
git mv d1 moved
echo text >new
git add .
git commit -qm three
git merge -q -m four main
git tag -a -m tag v1
git gc -q --prune=now
git fsck --full --strict --no-progress || fail "fsck"
cd "$work"
stop
echo "mounted again"
start
git -C "$mount/clone" fsck --full --strict --no-progress || fail "fsck"
git -C "$mount/clone" checkout -q main
[ -z "$(git -C "$mount/clone" status --porcelain)" ] || fail "not clean"
diff -r --exclude=.git "$source" "$mount/clone" || fail "not the source"
stop
git -c safe.directory='*' -C "$data/clone" fsck --full --strict --no-progress || fail "fsck below"
