#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seeds bugs in the library, one at a time, and checks that the explorer finds them.

usage: seeded.py MODEL CC [--all | NAME...]

The bugs are those of tests/mutation/table.py. Without names: the list below, which is the test.
With --all: every one that is in the code the explorer runs; prints which are found, and which are
not (what is memory order, misuse or a query can't be: the explorer has no weak memory, and its
programs are correct). Each is looked for by the programs below, which pass without it.
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "mutation"))

from table import MUTANTS  # noqa: E402

SOURCES = ["wait.c", "lock.c", "iolock.c", "iopair.c", "async.c", "grants.c"]

OPERATIONS = ["ops.c", "ops_lock.c", "ops_async.c", "ops_pair.c", "ops_folio.c", "ops_lease.c"]

SEAMS = ["seam.c", "seam_io.c"]

# lib/io's are compiled into operations.
PARTS = {
    "folio_lock.c": "ops_folio.c",
    "folio_lock.h": "ops_folio.c",
    "lease.c": "ops_lease.c",
    "lease.h": "ops_lease.c",
}

PROGRAMS = [
    "aA aB aA",
    "aA aB d",
    "aA TB aA",
    "tA aB aB",
    "aA LB aB aA",
    "sA aA aB",
    "sA sA TB",
    "yA aA d",
    "f aA aB d",
    "sf tA f",
    "nA aB tA",
    "hA aB d",
    "jA aB d",
    "Fd aA aB",
    "cA aB cA",
    "cA cB aA",
    "cd aA cB",
    "wA aB WB",
    "vA aA cB",
    "gA aB gA",
    "--subject iolock ax ax as",
    "--subject iolock dx as ax Tx",
    "--subject iolock cx ax as",
    "--subject pair w m r",
    "--subject pair e D ws",
    "--subject pair x D Tw",
    "--subject pair m Tw x",
    "--subject pair Du w m",
    "--subject pair cx D",
    "--subject pair cw m",
]

IO_PROGRAMS = [
    "--subject folio all all",
    "--subject lease W D",
    "--subject lease W F",
    "--subject lease W g,w",
    "--subject lease r|w,w m",
]

# A bug of each kind: a lost wake, a gate, a turn, a count, a leak, a touch too late.
LIST = [
    "fast release: does not look for sleepers",
    "wakes nobody whom a step let in",
    "wake: dropped for the exclusive group",
    "release: the sleep bits stay",
    "release: touches the lock after it",
    "release: does not wake a switch",
    "release: does not look for async waiters",
    "leave: the switching bit stays",
    "timeout: stays registered",
    "timeout: takes a wake along",
    "sleep: without its bit the second time",
    "switch: wakes nobody of the new state",
    "sleep: the word is not compared",
    "patience: ignored",
    "claim: reserves nothing",
    "acquire: ignores the turn",
    "leave: does not answer for exclusive waiters",
    "async: called back under the table's lock",
    "cancel: leaks the registration",
    "pair: a write passes a remap",
    "pair: a failed begin keeps what it had",
    "gate: who locks looks at it first",
    "gate: a hit looks at the lock first",
    "lease: no barrier before the slots are read",
    "lease: marked before it is counted",
    "lease: touched after its release",
    "lease: a request looks for its mark first",
]


def compile_one(compiler, tree, source, output):
    command = [compiler, "-std=c11", "-O1", "-w", "-fPIC", "-D_GNU_SOURCE", "-fno-stack-protector",
               "-include", os.path.join(HERE, "seam.h"), "-I", HERE,
               "-I", os.path.join(tree, "include"), "-I", os.path.join(tree, "lib"),
               "-c", source, "-o", output]
    if os.path.basename(source) in SEAMS:
        command.insert(1, "-DMODEL_SEAM_ITSELF")
    if source.endswith("grants.c"):
        command[1:1] = ["-Deventfd_read=seam_eventfd_read_", "-Deventfd_write=seam_eventfd_write_"]
    subprocess.run(command, check=True)


def build(compiler, tree, objects, changed):
    """The subject of a tree in which one file is changed; the other objects are not made anew."""
    linked = []
    for source in SOURCES + OPERATIONS + SEAMS:
        path = os.path.join(tree, "lib", source)
        if not os.path.exists(path):
            path = os.path.join(HERE, source)
        original = os.path.join(objects, source + ".o")  # tree is objects, the first time
        mine = os.path.join(tree, source + ".o")
        affected = changed.endswith(".h") and source not in SEAMS or path.endswith("/" + changed)
        if changed in PARTS:
            affected = source == PARTS[changed]
        if os.path.exists(original) and not affected:
            mine = original
        else:
            compile_one(compiler, tree, path, mine)
        linked.append(mine)
    subprocess.run([compiler, "-shared", "-Wl,-z,now", "-o",
                    os.path.join(tree, "libmodel_subject.so")] + linked, check=True)


def found_by(model, tree, programs):
    environment = dict(os.environ, LD_LIBRARY_PATH=tree)
    for program in programs:
        command = [model, "--states", "400000"] + program.split()
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True,
                                  timeout=60)
        except subprocess.TimeoutExpired:
            return program, "the code goes round and round"
        if done.returncode != 0:
            lines = done.stdout.splitlines()
            return program, lines[1] if len(lines) > 1 else f"exit status {done.returncode}"
    return None, None


def copy_tree(where):
    for part in ("lib", "include"):
        shutil.copytree(os.path.join(ROOT, part), os.path.join(where, part))


def try_mutant(model, compiler, objects, mutant):
    name, path, old, new, _ = mutant
    with tempfile.TemporaryDirectory() as tree:
        copy_tree(tree)
        file = os.path.join(tree, path)
        with open(file, encoding="utf-8") as source:
            text = source.read()
        if text.count(old) != 1:
            return name, None, "its text is not in the code once"
        with open(file, "w", encoding="utf-8") as source:
            source.write(text.replace(old, new))
        build(compiler, tree, objects, os.path.basename(path))
        programs = IO_PROGRAMS if os.path.basename(path) in PARTS else PROGRAMS
        return (name,) + found_by(model, tree, programs)


def wanted(names):
    code = [m for m in MUTANTS if os.path.basename(m[1]) in
            SOURCES + ["word.h", "wait.h", "lock.h", "iolock.h", *PARTS]]
    if names == ["--all"]:
        return code
    return [m for m in code if m[0] in (names or LIST)]


def main():
    model, compiler, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    mutants = wanted(names)
    missed = 0
    with tempfile.TemporaryDirectory() as objects:
        copy_tree(objects)
        build(compiler, objects, objects, "")
        program, what = found_by(model, objects, PROGRAMS + IO_PROGRAMS)
        if program:
            sys.exit(f"without a seeded bug: {program}: {what}")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for name, program, what in pool.map(
                    lambda m: try_mutant(model, compiler, objects, m), mutants):
                print(f"{name:50} {program or 'NOT FOUND':28} {what or ''}", flush=True)
                missed += program is None
    print(f"{len(mutants) - missed} of {len(mutants)} found")
    if len(mutants) < len(names or LIST) and names != ["--all"]:
        sys.exit("not all names are in the table")
    sys.exit(missed > 0 and names != ["--all"])


main()
