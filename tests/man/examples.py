#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles the programs in the pages' EXAMPLES, and runs those that say so.

usage: examples.py PAGES_DIR SOURCE_DIR LIBRARY_DIR:LIBRARY_DIR PROGRAMS_DIR CC [CXX]

What a block is, a comment before it says: `.\\" example: run` is a program that ends with 0,
`compile` is C that compiles (`compile c++`, `run c++`: the same with CXX), `shell` commands that end
with 0, `text` none of these. Programs and commands run in an empty directory.
"""

import concurrent.futures
import glob
import os
import signal
import subprocess
import sys
import tempfile

from pages import Page

pages, source, libraries, programs, cc = sys.argv[1:6]
cxx = sys.argv[6] if len(sys.argv) > 6 else None
warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
KINDS = ("run", "compile", "run c++", "compile c++", "shell", "text")
failed, counts = 0, {}


def compiler(kind):
    if kind.endswith("c++"):
        return [cxx, "-std=c++17"] if cxx else None
    return [cc, "-std=c11", "-D_GNU_SOURCE"]


def link(text):
    names = ["twostate-io", "twostate"] if "<twostate/io.h>" in text else ["twostate"]
    paths = [option + path for path in libraries.split(":") for option in ("-L", "-Wl,-rpath,")]
    return [*paths, *(f"-l{name}" for name in names), "-pthread"]


class Failed(Exception):
    pass


def run(command, directory):
    """Ends with 0, in time, and leaves no process behind."""
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    # Output goes to a file: what is left of the group could hold a pipe open.
    with tempfile.TemporaryFile() as log, subprocess.Popen(
        command, cwd=directory, env=environment, start_new_session=True, stdout=log, stderr=log
    ) as process:
        try:
            status = process.wait(timeout=200)
        except subprocess.TimeoutExpired:
            status = "no end"
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if status != 0:
            log.seek(0)
            raise Failed(f"{status} of {command}\n{log.read().decode(errors='replace')}")


def try_example(kind, text):
    with tempfile.TemporaryDirectory() as directory:
        if kind == "shell":
            run(["sh", "-eu", "-c", text], directory)
            return
        name = "example.cc" if kind.endswith("c++") else "example.c"
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
        command = [*compiler(kind), *warnings, f"-I{source}/include", name]
        command += ["-o", "example", *link(text)] if kind.startswith("run") else ["-c"]
        run(command, directory)
        if kind.startswith("run"):
            run([os.path.join(directory, "example")], directory)


examples = []
for path in sorted(glob.glob(os.path.join(pages, "*.[1-8]"))):
    page = Page(path)
    section = {number for number, _ in page.sections.get("EXAMPLES", [])}
    for number, comment, text in page.literals():
        where = f"{os.path.basename(path)}:{number}"
        kind = comment.removeprefix("example: ") if comment.startswith("example: ") else None
        if number in section and kind not in KINDS:
            print(f"{where}: an example that does not say what it is: {comment!r}")
            failed += 1
        elif kind is not None and compiler(kind) is None:
            print(f"{where}: NOT TESTED: no C++ compiler")
        elif kind not in (None, "text"):
            examples.append((where, kind, text))

with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
    running = [(where, kind, pool.submit(try_example, kind, text)) for where, kind, text in examples]
    for where, kind, future in running:
        counts[kind] = counts.get(kind, 0) + 1
        try:
            future.result()
        except (Failed, OSError) as error:
            print(f"{where}: {error}")
            failed += 1

print(", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items())) + f"; {failed} failed")
sys.exit(1 if failed or not counts.get("run") else 0)
