#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The pages against the headers, name by name: a header and its page say the same, in full.

usage: synopses.py SOURCE_DIR LIBRARY...

- Every function of a header is in the page's NAME and, word for word, in its SYNOPSIS; and no other.
- Every struct with public members is shown in the page, with all of them, in their order and types.
- Every type, constant and macro is named in the page, and every name in the page is in a header.
- Every class and public member function of the C++ headers is named in their page.
- The libraries export no function that is not in a page (private ones end in _).
"""

import glob
import os
import re
import subprocess
import sys

source, libraries = sys.argv[1], sys.argv[2:]
sys.path.insert(0, os.path.join(source, "man"))
from declarations import Header, member_name, parse, tight  # noqa: E402
from pages import Page  # noqa: E402

# No interface of its own: what it declares is in the others.
NO_PAGE = {"visibility.h"}
# Words that look like names of the library and are none.
OTHER_WORDS = re.compile(
    r"twostate_(?:[a-z_]+\.h|fuse|nbdkit)|TWOSTATE_(?:VALIDATE|STATS|NO_THREAD_SAFETY|[A-Z_]+\*)$"
)
failures = []


def fail(page, what):
    failures.append(f"{os.path.basename(page.path)}: {what}")


def check_functions(header, page):
    want = {d.name: tight(d.text.rstrip(";")) for d in header.of("function", "typedef")}
    have = {name: tight(text) for name, text in page.prototypes()}
    for name in want.keys() | have.keys():
        if want.get(name) != have.get(name):
            fail(page, f"SYNOPSIS:\n  header: {want.get(name)}\n  page:   {have.get(name)}")
    functions = [d.name for d in header.of("function")]
    own_name = os.path.basename(page.path).rsplit(".", 1)[0]
    if functions and page.names() != [own_name] + [f for f in functions if f != own_name]:
        fail(page, f"NAME is not {own_name} and the header's functions in their order: "
                   f"{set(functions) ^ set(page.names())}")


def check_types(header, page):
    shown = {}
    for _, _, text in page.literals():
        if re.match(r"\s*(struct|enum) twostate_\w+ \{", text):
            shown |= {d.name: d for d in parse(text, header=None)}
    for d in header.of("struct", "enum"):
        if d.kind == "struct" and d.members and d.name not in shown:
            fail(page, f"struct {d.name} is not shown")
        if d.name in shown and shown[d.name].members != d.members:
            fail(page, f"{d.name}:\n  header: {d.members}\n  page:   {shown[d.name].members}")


def names_of_cxx(path):
    """Classes and aliases of namespace twostate, and what is public of them and of what they are made."""
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    names, detail, public = set(), False, False
    for line in text.split("\n"):
        if re.match(r"(} // )?namespace detail", line):
            detail = not line.startswith("}")
        declared = re.match(r"(?:template <.*> )?(class|struct) (?:TWOSTATE_SAYS_\(.*\)\) )?(\w+)", line)
        if declared:
            # What is private to the guards and views is a struct.
            public = declared[1] == "struct" and not detail
            hidden = detail and (declared[1] == "struct" or declared[2] == "deadline")
        elif re.match(r"  (public|private|protected):", line):
            public = line.strip() == "public:" and not hidden
        alias = re.match(r"using (\w+) =", line)
        member = re.match(r"    (?! |return|[A-Z]\w*\().*?\b(\w+)\(", line)
        names |= {m[2] for m in [declared] if m and not detail and not line.endswith(";")}
        names |= {m[1] for m in [alias] if m and not detail}
        names |= {m[1] for m in [member] if m and public and not m[1].isupper()}
    return {name for name in names if not name.endswith("_") and not name.startswith(("TWOSTATE", "twostate"))}


def check_cxx():
    page = Page(os.path.join(source, "man", "twostate.hpp.3"))
    names = set()
    for path in glob.glob(os.path.join(source, "include/twostate/*.hpp")):
        names |= names_of_cxx(path)
    words = set(re.findall(r"\w+", page.words()))
    for name in sorted(names - words - {"guard", "state_guard", "view"}):
        fail(page, f"{name} is not in it")
    for name in sorted(re.findall(r"^\.Fn (?:\w+::)?(\w+)", page.words(), re.M)):
        if name not in names | known and name != "operator":
            fail(page, f"there is no {name} in the headers")
    return len(names)


def names_of(header):
    names = {d.name for d in header.declarations}
    for d in header.of("enum"):
        names |= {member_name(m) for m in d.members}
    return names


def words_of(page):
    return set(re.findall(r"\b(?:twostate|TWOSTATE)_\w+(?:\*|\.h\b)?", page.words()))


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", library], text=True, check=True,
                         capture_output=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()}


known, documented = set(), set()
headers = sorted(glob.glob(os.path.join(source, "include/twostate/*.h")))
for path in headers:
    known |= names_of(Header(path))
for path in headers:
    base = os.path.basename(path)
    if base in NO_PAGE:
        continue
    page_path = os.path.join(source, "man", f"twostate_{base[:-2]}.3")
    if not os.path.exists(page_path):
        failures.append(f"{base}: no {page_path}")
        continue
    header, page = Header(path), Page(page_path)
    check_functions(header, page)
    check_types(header, page)
    documented |= {name for name, _ in page.prototypes()}
    for name in sorted(names_of(header) - words_of(page)):
        fail(page, f"{name} is not in it")

pages = {os.path.basename(p) for p in glob.glob(os.path.join(source, "man", "*.[1-8]"))}
page_names = {p.rsplit(".", 1)[0] for p in pages}
for path in sorted(pages):
    page = Page(os.path.join(source, "man", path))
    for word in sorted(words_of(page) - known - page_names):
        if not word.endswith("_") and not OTHER_WORDS.match(word):
            fail(page, f"what is {word}?")
    for number, line in enumerate(page.lines, 1):
        reference = re.match(r"\.Xr ([\w-]*twostate[\w.-]*) (\d)", line)
        if reference and f"{reference[1]}.{reference[2]}" not in pages:
            fail(page, f"line {number}: there is no {reference[1]}({reference[2]})")

cxx = check_cxx()
for library in libraries:
    for name in sorted(exported(library) - documented):
        if not name.endswith("_") and name.startswith("twostate"):
            failures.append(f"{library}: {name} is in no page")

for failure in failures:
    print(failure)
print(f"{len(documented)} functions, {len(known)} names, {cxx} of C++, {len(pages)} pages: {len(failures)} failures")
sys.exit(1 if failures or not documented else 0)
