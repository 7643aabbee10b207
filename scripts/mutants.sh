#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Seeds bugs in the library, one at a time, and checks that a test catches each; writes the list to
# docs/mutants.md. About a quarter of an hour.
#
# usage: scripts/mutants.sh [NAME]...      only those whose names have one of NAME in them; no list
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 0 ]; then
    exec python3 -B tests/mutation/mutants.py full "$@"
fi
exec python3 -B tests/mutation/mutants.py full --docs docs/mutants.md
