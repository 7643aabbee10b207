# SPDX-License-Identifier: MIT
"""Rows of docs/pitfalls.md name tests that exist; those of the locks one at least, which cites it."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
wrong = []


def cites(text, row):
    """The text names the row: L05, or as one of L03 to L07."""
    if re.search(rf"\b{row}\b", text):
        return True
    return any(
        low[0] == row[0] and low <= row <= high
        for low, high in re.findall(r"\b([EL]\d\d) to ([EL]\d\d)\b", text)
    )


rows = re.findall(r"^\| ([EL]\d\d) \|(.*)\|$", (root / "docs/pitfalls.md").read_text(), re.M)
for row, cells in rows:
    files = re.findall(r"`([\w/]+\.(?:c|py|sh|txt))`", cells.split("|")[-1])
    for file in files:
        path = root / "tests" / file
        if not path.exists():
            wrong.append(f"{row}: there is no tests/{file}")
        elif row[0] == "L" and not cites(path.read_text(), row):
            wrong.append(f"{row}: tests/{file} does not cite it")
    if not files and row[0] == "L":
        wrong.append(f"{row}: no test")
for number in range(1, 23):
    if f"L{number:02}" not in dict(rows):
        wrong.append(f"L{number:02}: no row")
if wrong:
    sys.exit("\n".join(wrong))
print(len(rows), "rows")
