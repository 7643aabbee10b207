#!/usr/bin/env bash
# Runs the main job: the same mixed load on a file of this disk, under the two-state lock, under a
# pthread_rwlock, and with no lock, side by side. Arguments go to `twostate-io run`.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
cmake --preset release
cmake --build --preset release --target tools/all

directory=$(mktemp -d build/demo.XXXXXX)
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' HUP INT TERM
build/release/tools/twostate-io run "$directory/file" --compare "$@"
