# SPDX-License-Identifier: MIT
"""README.md shows what is in the tree: each program is examples/*.c to the letter, the path table
is the one of iopair.h, the times of the lock are those of docs/bench. docs/pitfalls.md has every pitfall that a test cites."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
readme = (root / "README.md").read_text()
failures = []


def without_licence(text):
    return text.split("\n", 1)[1]


shown = dict(re.findall(r"^`(examples/\w+\.c)`.*?:\n\n```c\n(.*?)^```$", readme, re.M | re.S))
for example in ("examples/lock.c", "examples/engine.c"):
    source = without_licence((root / example).read_text())
    if shown.get(example) != source:
        failures.append(f"README.md does not show {example} as it is")


def header_paths():
    text = (root / "include/twostate/iopair.h").read_text()
    table = text[text.index(" *   path ") :]
    rows = table[: table.index("\n *\n")].split("\n")[1:]
    return [re.split(r"\s{2,}", row.removeprefix(" *").strip()) for row in rows]


def readme_paths():
    rows = re.findall(r"^\| `([A-Z_]+)` \|[^|]*\|([^|]*)\|([^|]*)\|$", readme, re.M)
    return [[cell.strip() for cell in row] for row in rows]


expected, found = header_paths(), readme_paths()
if not expected or expected != found:
    failures.append("README.md's path table is not that of iopair.h:")
    failures += [f"  iopair.h {row}" for row in expected if row not in found]
    failures += [f"  README   {row}" for row in found if row not in expected]

said = re.search(
    r"take ([\d.]+) ns, where a `pthread_rwlock` takes ([\d.]+) and\s+a mutex with a condition "
    r"variable ([\d.]+)", readme)
measured = dict(re.findall(r"^(twostate|pthread_rwlock|mutex_cond) +([\d.]+) +[\d.]+ +[\d.]+ +[\d.]+$",
                           (root / "docs/bench/lock.md").read_text(), re.M))
rounded = [f"{float(measured[name]):.1f}" for name in ("twostate", "pthread_rwlock", "mutex_cond")]
if said is None or list(said.groups()) != rounded:
    failures.append(f"README.md does not say what docs/bench/lock.md measured: {', '.join(rounded)} ns")

pitfalls = (root / "docs/pitfalls.md").read_text()
defined = re.findall(r"^\| ([EL]\d\d) \|", pitfalls, re.M)
for source in sorted((root / "tests").rglob("*.c")):
    for pitfall in sorted(set(re.findall(r"\b[EL]\d\d\b", source.read_text())) - set(defined)):
        failures.append(f"{source.relative_to(root)} cites {pitfall}, not in docs/pitfalls.md")
for name in sorted(set(re.findall(r"`(\w+/[\w/]+\.(?:c|txt))`", pitfalls))):
    if not (root / "tests" / name).exists():
        failures.append(f"docs/pitfalls.md names tests/{name}, which is not there")

print("\n".join(failures) or "README.md and docs/pitfalls.md are up to date")
sys.exit(1 if failures else 0)
