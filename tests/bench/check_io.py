#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench_io runs, and writes the JSON that scripts rely on: no figure is checked.

usage: check_io.py PROGRAM CASE
"""
import json
import math
import os
import subprocess
import sys
import tempfile

# What a row has, whatever the case.
ROW = {"case": str, "impl": str, "fs": str, "block": int, "threads": int, "ops_per_s": float}

IMPLS = {"twostate_user", "twostate_kernel", "kernel", "memcpy", "nolock", "liburing",
         "liburing_eventfd", "fdatasync", "rwlock", "mutex_cond"}


def product(keys, *values):
    """Rows with each combination of values."""
    rows = [()]
    for each in values:
        rows = [row + (value,) for row in rows for value in each]
    return [dict(zip(keys, row)) for row in rows]


# Rows that must be there in the quick form.
CELLS = {
    "cached": product(("case", "block", "threads", "impl"), ("overwrite", "read", "mixed7030"),
                      (4096, 65536), (1, 2),
                      ("twostate_user", "twostate_kernel", "kernel", "memcpy", "nolock")),
    "direct": product(("case", "op", "depth", "impl"), ("direct",), ("read", "write"), (1, 8, 32),
                      ("twostate_user", "twostate_kernel", "liburing", "liburing_eventfd")),
    "mixed": product(("case", "side", "impl"), ("mixed",), ("buffered", "direct"),
                     ("twostate_user", "twostate_kernel", "kernel", "rwlock", "mutex_cond")),
    "writeback": product(("case", "block", "impl"), ("sequential",), (1048576,),
                         ("twostate_user", "kernel", "fdatasync")) +
                 product(("case", "block", "impl"), ("random",), (4096,),
                         ("twostate_user", "kernel", "fdatasync")),
    "memory": product(("case", "file_bytes"), ("size",), (1 << 20, 100 << 30)) +
              product(("case", "files"), ("files",), (1, 100)) +
              product(("case", "impl"), ("budget_overwrite", "budget_mixed", "budget_sparse"),
                      ("twostate_user",)),
}

DRAWN = {"cached", "direct", "mixed"}


def run(program, case):
    """The table and the rows of a short run."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        path, plot = os.path.join(directory, "rows.json"), os.path.join(directory, "plot.svg")
        arguments = [program, case, "--quick", "--runs", "1", "--json", path, "--dir", directory]
        if case in DRAWN:
            arguments += ["--plot", plot]
        table = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout
        with open(path, encoding="utf-8") as result:
            rows = json.load(result)
        if case in DRAWN:
            with open(plot, encoding="utf-8") as svg:
                assert "</svg>" in svg.read()
        left = set(os.listdir(directory)) - {"rows.json", "plot.svg"}
        assert not left, left
    return table, rows


def main():
    program, case = sys.argv[1:]
    table, rows = run(program, case)
    for row in rows:
        for key, kind in ROW.items():
            assert isinstance(row[key], (int, float) if kind is float else kind), (key, row)
        assert row["impl"] in IMPLS, row
        assert row["impl"] in table, row
        assert math.isfinite(row["ops_per_s"]) and row["ops_per_s"] >= 0, row
    for cell in CELLS[case]:
        assert any(cell.items() <= row.items() for row in rows), cell
    assert "goal: " in table
    for wrong in (["nonsense"], ["memory", "--plot", "x.svg"], ["cached", "--runs", "0"]):
        refused = subprocess.run([program, *wrong], stderr=subprocess.PIPE, check=False)
        assert refused.returncode == 2 and refused.stderr, wrong


main()
