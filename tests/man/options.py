#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A program's page against what the program says of itself: both name the same options.

usage: options.py twostate-io|twostate-fuse|nbdkit-twostate-plugin PAGE PROGRAM
"""

import re
import shutil
import subprocess
import sys

what, page, program = sys.argv[1:4]


def output(*command):
    return subprocess.run(command, text=True, check=True, capture_output=True).stdout


def not_tested(why):
    print(f"NOT TESTED: {why}")
    sys.exit(77)


def help_of_tool():
    general = output(program, "--help")
    topics = re.search(r"Topics of help: (.*?)\.", general, re.S)
    names = re.findall(r"\w+", topics[1]) if topics else []
    if not names:
        sys.exit("no topics in --help")
    return general + "".join(output(program, "help", name) for name in names)


def help_of_plugin():
    if shutil.which("nbdkit") is None:
        not_tested("nbdkit is not here")
    text = output("nbdkit", program, "--help")
    return text[text.index("plugin: ") :]


# Where the text comes from, and the patterns by which names are found in it and in the page.
KINDS = {
    "twostate-io": (help_of_tool, r"(?<![\w-])(--[a-z][a-z-]*)", r"^ *(?:usage:)? *twostate-io ([a-z]+) [A-Z[a-z]*"),
    "twostate-fuse": (lambda: output(program, "--help"), r"^ *(-[a-zA-Z])\b", r"-o +([a-z_]+)"),
    "nbdkit-twostate-plugin": (help_of_plugin, r"^ *\[?([a-z-]+)=", r"\b(off|kernel|user)\b"),
}

if shutil.which("mandoc") is None:
    not_tested("mandoc is not here")
get, *patterns = KINDS[what]
said = get()
written = re.sub(".\b", "", output("mandoc", "-Tascii", "-Owidth=1000", page))
failed = 0
for pattern in patterns:
    in_help = set(re.findall(pattern, said, re.M))
    in_page = set(re.findall(pattern, written, re.M))
    print(f"{len(in_help)} in the help: {' '.join(sorted(in_help))}")
    for name in sorted(in_help ^ in_page):
        print(f"{name}: only in the {'help' if name in in_help else 'page'}")
        failed += 1
    failed += not in_help
sys.exit(1 if failed else 0)
