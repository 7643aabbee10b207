# SPDX-License-Identifier: MIT
"""README.md shows what is in the tree: its program is examples/engine.c to the letter, its measured figures
are those of docs/bench; the path table of docs/migration.md is the one of iopair.h, the times of
docs/comparison.md and the table of docs/nbdkit.md are those of docs/bench. docs/pitfalls.md has every
pitfall that a test cites."""
import json
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
sys.path += [str(root / "scripts"), str(root / "examples/nbdkit")]
sys.dont_write_bytecode = True
import bench  # noqa: E402
import figures  # noqa: E402
readme = (root / "README.md").read_text()
failures = []


def without_licence(text):
    return text.split("\n", 1)[1]


shown = dict(re.findall(r"^`(examples/\w+\.c)`.*?:\n\n```c\n(.*?)^```$", readme, re.M | re.S))
if shown.get("examples/engine.c") != without_licence((root / "examples/engine.c").read_text()):
    failures.append("README.md does not show examples/engine.c as it is")


def header_paths():
    text = (root / "include/twostate/iopair.h").read_text()
    table = text[text.index(" *   path ") :]
    rows = table[: table.index("\n *\n")].split("\n")[1:]
    return [re.split(r"\s{2,}", row.removeprefix(" *").strip()) for row in rows]


def shown_paths():
    rows = re.findall(r"^\| `([A-Z_]+)` \|[^|]*\|([^|]*)\|([^|]*)\|$",
                      (root / "docs/migration.md").read_text(), re.M)
    return [[cell.strip() for cell in row] for row in rows]


expected, found = header_paths(), shown_paths()
if not expected or expected != found:
    failures.append("the path table of docs/migration.md is not that of iopair.h:")
    failures += [f"  iopair.h     {row}" for row in expected if row not in found]
    failures += [f"  migration.md {row}" for row in found if row not in expected]

why = json.loads(figures.WHY.read_text())
for line in [*figures.table(why), why["machine"]]:
    if line not in readme:
        failures.append(f"README.md lacks what docs/bench/why.json has: {line}")


def measured():
    """{lock: [ns alone, ns of two threads, times a second that B got in or None]}"""
    bench = root / "docs/bench"
    rows = {}
    for row in json.loads((bench / "pair.json").read_text()):
        rows.setdefault(row["lock"], {})[row["threads"]] = row["ns_per_pair"]
    found = {lock: [times[1], times[2], None] for lock, times in rows.items()}
    for row in json.loads((bench / "starve.json").read_text()):
        if row["wants"] == "B":
            found[row["lock"]][2] = row["per_s"]
    return found


LOCKS = {"twostate": "**twostate**", "bcachefs_alg": "the algorithm of bcachefs",
         "mutex_cond": "mutex and condition variable",
         "pthread_rwlock": "`pthread_rwlock`, readers", "ck_rwlock": "`ck_rwlock`, readers",
         "ck_pflock": "`ck_pflock`, readers"}
figures_of = measured()
comparison = (root / "docs/comparison.md").read_text()
for lock, name in LOCKS.items():
    alone, shared, per_s = figures_of[lock]
    last = "not run: it spins" if per_s is None else f"{per_s:.0f}"
    line = f"| {name} | {alone:.1f} | {shared:.1f} | {last} |"
    if line not in comparison:
        failures.append(f"docs/comparison.md lacks what docs/bench measured: {line}")
    if f"{alone:.1f}" not in readme:
        failures.append(f"README.md lacks the time of {lock}: {alone:.1f} ns")

rounds = json.loads((root / "docs/bench/nbdkit.json").read_text())["rounds"]
summaries = {cell: bench.summary(of_cell, ["file", "kernel", "user"])
             for cell, of_cell in rounds.items()}
nbdkit = (root / "docs/nbdkit.md").read_text()
for line in bench.table(summaries, ["file", "kernel", "user"]).splitlines():
    if line not in nbdkit:
        failures.append(f"docs/nbdkit.md lacks what docs/bench/nbdkit.json has: {line}")

pitfalls = (root / "docs/pitfalls.md").read_text()
defined = re.findall(r"^\| ([EL]\d\d) \|", pitfalls, re.M)
for source in sorted((root / "tests").rglob("*.c")):
    for pitfall in sorted(set(re.findall(r"\b[EL]\d\d\b", source.read_text())) - set(defined)):
        failures.append(f"{source.relative_to(root)} cites {pitfall}, not in docs/pitfalls.md")
for name in sorted(set(re.findall(r"`(\w+/[\w/]+\.(?:c|txt))`", pitfalls))):
    if not (root / "tests" / name).exists():
        failures.append(f"docs/pitfalls.md names tests/{name}, which is not there")

print("\n".join(failures) or "the documents are up to date")
sys.exit(1 if failures else 0)
