#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keeps what the documents say true.

links     every file and heading that a document links to, or names in `...`, is there
code      every block of C is part of a file of the tree, or compiles
commands  every command in a block of shell names what there is; those of programs that are built run
validator the reports in docs/validator.md are what tests/docs/broken.c gets
figures   the counts in docs/testing.md are those of the tree

usage: check.py CHECK SOURCE [BUILD]
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[2]).resolve()
BUILD = pathlib.Path(sys.argv[3]).resolve() if len(sys.argv) > 3 else None
failures = []


def documents():
    """The documents of the tree, without what is built or is somebody else's."""
    tops = ("docs", "examples", "tests", "man", "debian", "tools", "bench", "scripts")
    found = [*ROOT.glob("*.md"), *(path for top in tops for path in (ROOT / top).rglob("*.md"))]
    return sorted(path for path in found if "CHANGELOG" not in path.name)


def fail(document, what):
    failures.append(f"{document.relative_to(ROOT)}: {what}")


def blocks(document, language):
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, document.read_text(), re.M | re.S)


def without_blocks(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


# Links


def anchors(document):
    """The anchors that a forge gives the headings."""
    found = set()
    for heading in re.findall(r"^#+ +(.*)$", without_blocks(document.read_text()), re.M):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower().replace("`", "")
        found.add(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-"))
    return found


def check_link(document, target):
    if re.match(r"[a-z]+:", target):
        return
    name, _, anchor = target.partition("#")
    path = (document.parent / name).resolve() if name else document
    if not path.exists():
        fail(document, f"links to {target}, which is not there")
    elif anchor and path.suffix == ".md" and anchor not in anchors(path):
        fail(document, f"links to {target}, and there is no such heading")


# What is made when it is needed.
MADE = {"abi/accepted", "abi/suppressions.abignore"}


def check_named(document, name):
    """`lib/word.h`, or `unit/test_lock.c` in a document that names what is below tests/."""
    if name not in MADE and not any(base.joinpath(name).exists() for base in (
            ROOT, document.parent, ROOT / "tests", ROOT / "include")):
        fail(document, f"names {name}, which is not there")


def links():
    tops = "|".join(sorted(path.name for path in ROOT.iterdir()
                           if path.is_dir() and not path.name.startswith(".")
                           and path.name != "build"))
    named = re.compile(rf"`((?:{tops}|twostate)/[\w./+-]*\w)`")
    for document in documents():
        text = without_blocks(document.read_text())
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            check_link(document, target)
        for name in named.findall(text):
            check_named(document, name)


# Code


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


def sources():
    tops = ("examples", "tests", "include", "tools", "bench", "lib")
    return [squeezed(path.read_text(errors="replace")) for top in tops
            for path in (ROOT / top).rglob("*") if path.suffix in (".c", ".h", ".cc", ".hpp")]


PRELUDE = """
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
""" + "".join(f"#include <twostate/{path.name}>\n"
              for path in sorted((ROOT / "include/twostate").glob("*.h")))

# What a block of statements may use.
GIVEN = """
void given(struct twostate_engine *engine, struct twostate_file *file, char *buffer, size_t length,
           int64_t offset, struct twostate_lock *lock, struct twostate_iopair *pair)
{
    (void)engine, (void)file, (void)buffer, (void)length, (void)offset, (void)lock, (void)pair;
"""


def compiles(text):
    command = ["cc", "-std=gnu11", "-x", "c", "-fsyntax-only", "-Wall", "-Werror",
               "-Wno-unused-result", "-Wno-unused-variable", "-D_GNU_SOURCE",
               "-D_FILE_OFFSET_BITS=64", "-I", str(ROOT / "include"), "-"]
    done = subprocess.run(command, input=text, text=True, stderr=subprocess.PIPE, check=False)
    return done.returncode == 0, done.stderr


def code():
    known = sources()
    count = 0
    for document in documents():
        for block in blocks(document, "c"):
            count += 1
            if any(squeezed(block) in source for source in known):
                continue
            whole, errors = compiles(PRELUDE + block)
            if not whole and not compiles(PRELUDE + GIVEN + "{\n" + block + "}}\n")[0]:
                fail(document, f"this is no file's part and does not compile:\n{block}{errors}")
    print(count, "blocks of C")


# Commands

WRITES = ("cmake", "ctest", "cc", "sudo", "git", "bpftrace", "gdb", "apt", "addr2line", "apt-get", "jq",
          "perf", "mount", "umount", "man", "ldconfig", "nbdkit", "nbdcopy", "qemu-img", "qemu-io",
          "fusermount3", "sqlite3", "fio", "make", "cd", "ls", "dpkg", "dpkg-buildpackage")


def run(document, command):
    """A program of the tree, as it is in this build."""
    command = command.replace("build/release/", f"{BUILD}/")
    if " run " in command:  # it is not about what they find
        command = re.sub(r"--(seconds|size) \w+", "", command).replace(
            "--quiet", "").replace(" run data", " run data --size 1M --quiet --seconds 0.3")
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        done = subprocess.run(["bash", "-c", command], cwd=folder, text=True, timeout=200,
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print("$", command, "->", done.returncode)
    if done.returncode != 0:
        fail(document, f"{command}: exit status {done.returncode}:\n{done.stdout}")


def lines_of(block):
    """Its commands: a quoted one may have several lines."""
    command = ""
    for line in block.splitlines():
        command += line
        try:
            shlex.split(command, comments=True)
        except ValueError:
            command += "\n"
            continue
        if not command.endswith("\\"):
            yield command
            command = ""
        else:
            command = command[:-1]


def check_command(document, command, presets):
    words = [word for word in shlex.split(command, comments=True)
             if not re.match(r"[A-Z_]+=", word)]
    if not words:
        return
    program = words[0]
    if program.startswith("build/release/tests/"):
        if BUILD and not (BUILD / program.removeprefix("build/release/")).exists():
            fail(document, f"{program} is not built")
    elif program.startswith("build/release/"):
        if BUILD and (BUILD / program.removeprefix("build/release/")).exists():
            run(document, command)
        elif not re.search(r"nbdkit|fuse", program):
            fail(document, f"{program} is not built")
    elif "/" in program and not program.startswith("./"):
        path = ROOT / program
        if not os.access(path, os.X_OK):
            fail(document, f"{command}: no such program")
    elif program not in WRITES and not program.startswith(("twostate-", "./")):
        fail(document, f"{command}: what is {program}?")
    for at, word in enumerate(words[:-1]):
        if word == "--preset" and words[at + 1] not in presets:
            fail(document, f"{command}: no such preset")


def commands():
    presets = set(re.findall(r'"name": "([\w-]+)"', (ROOT / "CMakePresets.json").read_text()))
    for document in documents():
        if "tests" in document.parts or "bench" in document.parts:
            continue
        for block in blocks(document, "sh"):
            for command in lines_of(block):
                check_command(document, command, presets)


# The validator's reports


def plain(report):
    """A report without what differs from run to run, and without the frames of libc."""
    lines = []
    for line in report.splitlines():
        if re.match(r" *#\d+ ", line) and not re.search(r" (?!_start)\w+\+0x\w+ \(broken\+", line):
            continue
        if line.strip() == "...":
            continue
        line = re.sub(r"#\d+ ", "# ", re.sub(r"0x[0-9a-f]+", "0x", line))
        line = re.sub(r"thread \d+", "thread N", re.sub(r"-e \S+", "-e broken", line))
        lines.append(line.strip())
    return lines


def source_of(report):
    """What the command that a report ends with says."""
    command = re.search(r"addr2line -f -i -e \S+ 0x\w+", report).group().split()
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, text=True, check=True, stdout=subprocess.PIPE)
    return done.stdout.replace(f"{ROOT}/", "")


def validator():
    document = ROOT / "docs/validator.md"
    shown = {}
    located = [block.split("\n", 1)[1] for block in blocks(document, "text")
               if block.startswith("$ addr2line")]
    for block in blocks(document, "console"):
        command, _, output = block.partition("\n")
        shown[command.split()[-1]] = output
    rules = ["rank", "order", "self-deadlock", "recursion", "hand-off", "leak", "free", "fork"]
    if sorted(rules) != sorted(shown):
        fail(document, f"shows {sorted(shown)}, not {sorted(rules)}")
    for rule in set(rules) & set(shown):
        done = subprocess.run([BUILD / "tests/docs/broken", rule], text=True, check=True,
                              stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              env={**os.environ, "TWOSTATE_VALIDATE": "log"})
        first = done.stderr.split("twostate: ")[1]
        if not any(line.startswith("# ") for line in plain(shown[rule])):
            fail(document, f"shows no frame of {rule}")
        if plain("twostate: " + first) != plain(shown[rule]):
            fail(document, f"of {rule} this is shown:\n{shown[rule]}\nand this is so:\n{first}")
        if rule == "hand-off" and source_of(first) not in (None, *located):
            fail(document, f"where the frame of hand-off is:\n{source_of(first)}")


# The figures of docs/testing.md


def in_tests(pattern, suffix):
    return sum(len(re.findall(pattern, path.read_text(), re.M))
               for path in (ROOT / "tests").rglob("*" + suffix))


def explored():
    text = (ROOT / "tests/model/README.md").read_text()
    table = text[text.index("## What was exhausted"):text.index("## What was not")]
    rows = re.findall(r"^\| \d .*? \| ([\d,]+)(?: in all)? \|", table, re.M)
    return sum(int(row.replace(",", "")) for row in rows)


def number(path, pattern):
    return int(re.search(pattern, (ROOT / path).read_text()).group(1))


def figures():
    """name, what is so, and whether the document says "more than" a smaller number of it."""
    document = ROOT / "docs/testing.md"
    fuzz = number("tests/io/fuzz/CMakeLists.txt", r"Release[^)]*\)\n +set\(fuzz_ops (\d+)\)")
    crash = "tests/io/crash/test_crash_"
    listed = subprocess.run(["ctest", "-N"], cwd=BUILD, text=True, check=True,
                            stderr=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    facts = [
        ("tests, by `ctest -N`", int(re.search(r"Total Tests: (\d+)", listed).group(1)), True),
        ("unit test cases", in_tests(r"cmocka_unit_test", ".c"), True),
        ("ways of misuse", in_tests(r"^ +DEATH\(", ".c"), True),
        ("seeded bugs", len(re.findall(r"^\| .* \| `", (ROOT / "docs/mutants.md").read_text(),
                                       re.M)), False),
        ("bugs of other systems", len(re.findall(r"^\| [EL]\d\d \|", (
            ROOT / "docs/pitfalls.md").read_text(), re.M)), False),
        ("states that the explorer", explored(), False),
        ("operations of the fuzzer", 16 * fuzz, False),
        ("rounds in which a process", number(crash + "kill.c", r"parse\(argc, argv, (\d+)"),
         False),
        ("power cuts", number(crash + "cuts.c", r"parse\(argc, argv, (\d+)"), False),
    ]
    for name, fact, more in facts:
        line = re.search(rf"^\| {name}[^|]*\| (?:more than )?([\d,]+)", document.read_text(), re.M)
        said = int(line.group(1).replace(",", "")) if line else 0
        if said > fact or (said < fact / 2 if more else said != fact):
            fail(document, f"{name}: {said} is said, {fact} it is")


{"figures": figures, "links": links, "code": code, "commands": commands, "validator": validator}[sys.argv[1]]()
print("\n".join(failures) or f"{sys.argv[1]}: all is as the documents say")
sys.exit(1 if failures else 0)
