#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles the programs in the pages' EXAMPLES, and runs those that say so.

usage: examples.py PAGES_DIR SOURCE_DIR LIBRARY_DIR:LIBRARY_DIR PROGRAMS_DIR CC [CXX]

What a block is, a comment before it says: `.\\" example: run` is a program that ends with 0,
`compile` is C that compiles (`compile c++`, `run c++`: the same with CXX), `shell` commands that end
with 0, `text` none of these. Programs and commands run in an empty directory.
"""

import glob
import os
import subprocess
import sys
import tempfile

from pages import Page

pages, source, libraries, programs, cc = sys.argv[1:6]
cxx = sys.argv[6] if len(sys.argv) > 6 else None
warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
failed, counts = 0, {}


def compiler(kind):
    if kind.endswith("c++"):
        return [cxx, "-std=c++17"] if cxx else None
    return [cc, "-std=c11", "-D_GNU_SOURCE"]


def link(text):
    names = ["twostate-io", "twostate"] if "<twostate/io.h>" in text else ["twostate"]
    paths = [option + path for path in libraries.split(":") for option in ("-L", "-Wl,-rpath,")]
    return [*paths, *(f"-l{name}" for name in names), "-pthread"]


def try_shell(text):
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["sh", "-eu", "-c", text], cwd=directory, env=environment, check=True,
                       timeout=30)


def try_example(where, kind, text):
    if kind == "shell":
        try_shell(text)
        return
    command = compiler(kind)
    if command is None:
        print(f"{where}: NOT TESTED: no C++ compiler")
        return
    name = "example.cc" if kind.endswith("c++") else "example.c"
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
        command += [*warnings, f"-I{source}/include", name]
        command += ["-o", "example", *link(text)] if kind.startswith("run") else ["-c"]
        subprocess.run(command, cwd=directory, check=True)
        if kind.startswith("run"):
            subprocess.run(["./example"], cwd=directory, check=True, timeout=30)


for path in sorted(glob.glob(os.path.join(pages, "*.[1-8]"))):
    page = Page(path)
    examples = {number for number, _ in page.sections.get("EXAMPLES", [])}
    for number, comment, text in page.literals():
        where = f"{os.path.basename(path)}:{number}"
        kind = comment.removeprefix("example: ") if comment.startswith("example: ") else None
        if number in examples and kind not in ("run", "compile", "run c++", "compile c++", "shell", "text"):
            print(f"{where}: an example that does not say what it is: {comment!r}")
            failed += 1
        counts[kind] = counts.get(kind, 0) + 1
        if kind is None or kind == "text":
            continue
        try:
            try_example(where, kind, text)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"{where}: {error}")
            failed += 1

print(f"{counts.get('run', 0)} programs ran, {counts.get('compile', 0)} pieces compiled: {failed} failed")
sys.exit(1 if failed or not counts.get("run") else 0)
