#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench_lock runs, and writes the JSON that scripts rely on.

usage: check.py PROGRAM COMMAND
"""
import json
import os
import subprocess
import sys
import tempfile

LOCKS = {"twostate", "bcachefs_alg", "mutex_cond", "pthread_rwlock"}

ROWS = {
    "pair": {"lock": str, "threads": int, "ns_per_pair": float},
    "mixed": {"lock": str, "threads": int, "hold_ns": int, "minority_pct": int, "mops": float,
              "wait_p99_us": list, "wait_max_us": list},
    "direct": {"lock": str, "threads": int, "hold_ns": int, "minority_pct": int, "mops": float,
               "wait_p99_us": list, "wait_max_us": list},
    "latency": {"lock": str, "what": str, "unit": str, "median": float},
    "syscalls": {"lock": str},
    "starve": {"lock": str, "wants": str, "per_s": float, "wait_max_ms": float},
}

NAMES = {
    "pair": LOCKS | {"floor", "ck_rwlock", "ck_pflock"},
    "mixed": LOCKS,
    "direct": LOCKS,
    "latency": {"twostate", "mutex_cond"},
    "syscalls": {"twostate", "iolock", "bcachefs_alg", "mutex_cond"},
    "starve": LOCKS,
}


def main():
    program, command = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=".") as directory:
        path = os.path.join(directory, "result.json")
        arguments = [program, command, "--quick", "--runs", "1", "--json", path]
        table = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout
        with open(path, encoding="utf-8") as result:
            rows = json.load(result)
    names = {row["lock"] for row in rows}
    assert NAMES[command] <= names, (NAMES[command], names)
    for row in rows:
        for key, kind in ROWS[command].items():
            assert isinstance(row[key], (int, float) if kind is float else kind), (key, row)
    for name in names:
        assert name in table, name
    wrong = subprocess.run([program, "nonsense"], stderr=subprocess.PIPE, check=False)
    assert wrong.returncode == 2 and b"nonsense" in wrong.stderr, wrong


main()
