#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the model in scenarios, exhaustively, and prints how many states each had.

usage: run.py SET          one of the sets below
       run.py all
"""
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY_MB = 1900
DEPTH = 1_000_000

# What a scenario says: its users, each a group and what it may do (see lock.pml), then -D switches.
# Safety: the assertions hold in every state, and no state is a deadlock.
SAFE = {
    "threads": [
        "A,TIMED  B,TIMED  DRAIN,FREEZES+TIMED",
        "A,TIMED  B,TIMED  B,SWITCHES+TIMED",
        "A,SWITCHES+TIMED  DRAIN,FREEZES+SWITCHES+TIMED  B,TIMED",
        "DRAIN,TIMED  B,TIMED  DRAIN,FREEZES+SWITCHES+TIMED",
        "A,TWO+TIMED  A,SWITCHES  B,TWO+TIMED  MAX_HOLDS=2",
        "A,TIMED  DRAIN,FREEZES+TIMED  B,TIMED  SHARED=true",
    ],
    "four": [
        "A,TIMED+ONCE  B,TIMED+ONCE  B,ONCE  DRAIN,FREEZES+TIMED+ONCE",
    ],
    "exclusive": [
        "A,TIMED  B,SWITCHES+TIMED  B,TIMED  EXCLUSIVE=true",
        "A,TIMED  B,SWITCHES+TIMED  B,TIMED  EXCLUSIVE=true SHARED=true",
    ],
    "exclusive_four": [
        "A,ONCE  B,SWITCHES+ONCE  B,TIMED+ONCE  B,ONCE  EXCLUSIVE=true",
    ],
    "async": [
        "A,TIMED  B,ASYNC+TIMED  A,SWITCHES+TIMED",
        "A,TIMED  B,ASYNC+TIMED  DRAIN,ASYNC+FREEZES+TIMED",
        "A,ASYNC+TIMED  B,ASYNC+TIMED  B,ASYNC+SWITCHES+TIMED",
        "A,ASYNC+TIMED  B,SWITCHES+TIMED  B,ASYNC+TIMED  EXCLUSIVE=true",
    ],
}
# Liveness, if every user that can take a step takes one in the end: the watched one gets in, be the
# others who they may and never stop. In an exclusive group one gets in; nobody says which.
LIVE = {
    "granted": [
        "A,0  B,0  B,0  WATCHED=0",
        "A,0  B,0  B,0  WATCHED=1",
        "A,0  B,SWITCHES  A,0  WATCHED=1",
    ],
    "granted_drain": [
        "A,0  B,0  DRAIN,0  WATCHED=0",
        "A,0  B,0  DRAIN,0  WATCHED=2",
        "A,0  B,TIMED  DRAIN,FREEZES  WATCHED=0",
        "A,0  B,TIMED  DRAIN,FREEZES  WATCHED=2",
    ],
    "granted_exclusive": [
        "A,0  B,0  B,TIMED  EXCLUSIVE=true WATCHED=0",
        "A,0  B,0  B,TIMED  EXCLUSIVE=true WATCHED=1 GOAL=in[B]",
        "A,0  B,SWITCHES  A,0  EXCLUSIVE=true WATCHED=1",
        "A,0  B,SWITCHES  B,0  EXCLUSIVE=true SHARED=true WATCHED=0",
    ],
    "granted_async": [
        "A,0  B,ASYNC  A,0  WATCHED=1",
        "A,0  B,ASYNC  A,ASYNC  WATCHED=1",
        "A,0  B,ASYNC  DRAIN,ASYNC  WATCHED=2",
        "A,ASYNC  B,SWITCHES  B,ASYNC  EXCLUSIVE=true WATCHED=0",
    ],
    # Behind a submission barrier a drain ends though nobody's patience ever does.
    "drain": [
        "A,0  B,0  DRAIN,0  BARRIER=true PATIENCE=false WATCHED=2",
        "A,0  B,TIMED  DRAIN,FREEZES  BARRIER=true PATIENCE=false WATCHED=2",
        "A,ASYNC  B,0  DRAIN,ASYNC  BARRIER=true PATIENCE=false WATCHED=2",
    ],
}
# The same of lib/io's lease, a model of its own.
LEASE = {
    "lease": [
        "BUFFERED=2 OTHERS=1 TIMES=1",
        "BUFFERED=2 OTHERS=1 TIMES=2 CLOSES=0",
        "BUFFERED=2 OTHERS=1 TIMES=2 OTHER_TIMES=2 CLOSES=0",
        "BUFFERED=2 OTHERS=2 TIMES=1 CLOSES=0",
    ],
    # More than a minute each: for people.
    "lease_long": [
        "BUFFERED=2 OTHERS=1 TIMES=2",
        "BUFFERED=2 OTHERS=2 TIMES=2 CLOSES=0",
    ],
}
# Each of these must be found out: the bug, whether it takes liveness to see it, and where.
BUGS = [
    ("BUG_WAKE_DROPPED", SAFE, "A,0  B,0  DRAIN,FREEZES"),
    ("BUG_NO_RECHECK", SAFE, "A,0  B,0  DRAIN,FREEZES"),
    ("BUG_SLEEP_BIT_ONCE", SAFE, "A,0  B,0  DRAIN,FREEZES"),
    ("BUG_TURN_KEPT", SAFE, "A,0  B,0  DRAIN,FREEZES"),
    ("BUG_DRAIN_EARLY", SAFE, "A,0  B,0  DRAIN,0"),
    ("BUG_GIVE_UP_SILENTLY", SAFE, "A,TIMED  B,TIMED  A,0"),
    ("BUG_NO_ANSWER", SAFE, "A,0  B,TIMED  B,0  EXCLUSIVE=true"),
    ("BUG_OTHERS_FIRST", SAFE, "A,TIMED  B,TIMED  B,TIMED  EXCLUSIVE=true SHARED=true"),
    ("BUG_TURN_EARLY", LIVE, "A,0  B,0  B,0  WATCHED=1"),
    ("BUG_TURN_IGNORED", LIVE, "A,0  B,0  A,0  WATCHED=1"),
    ("PATIENCE=false", LIVE, "A,0  B,0  A,0  WATCHED=1"),
    ("BUG_NO_RECHECK", LEASE, "CLOSES=0"),
    ("BUG_RETRY", LEASE, "CLOSES=0"),
    ("BUG_NO_SECOND_LOOK", LEASE, "CLOSES=0"),
    ("BUG_OFF_EARLY", LEASE, "CLOSES=1"),
    ("BUG_ENDER_NOT_COUNTED", LEASE, "CLOSES=1"),
    ("BUG_MARKED_FIRST", LEASE, "CLOSES=1"),
    ("BUG_LATE_LOOK", LEASE, "CLOSES=1"),
    ("BUG_NO_BARRIER", LEASE, "CLOSES=0"),
    ("BUG_NO_SECOND_BARRIER", LEASE, "CLOSES=0"),
    ("BUG_NOT_WITHDRAWN", LEASE, "CLOSES=0"),
    ("BUG_LOOKS_FIRST", LEASE, "CLOSES=0"),
    ("BUG_CLOSE_UNCALLED", LEASE, "CLOSES=1"),
]


def define(scenario):
    """The scenario as -D switches."""
    switches = []
    users = 0
    for word in scenario.split():
        if "," in word:
            switches.append(f"-DUSER{users}={word}")
            users += 1
        else:
            switches.append(f"-D{word}")
    return switches


def call(command, directory):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=directory, text=True, check=False, **pipes)


def must(command, directory):
    done = call(command, directory)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}")


def check(kind, scenario, optimise="-O1"):
    """Explores all of it. Returns the number of errors (the search ends at the first)."""
    # -O2 takes a second more to compile than it gains in most of the searches.
    start = time.monotonic()
    live = kind is LIVE
    model = os.path.join(HERE, "lease.pml" if kind is LEASE else "lock.pml")
    with tempfile.TemporaryDirectory() as directory:
        must(["spin", *define(scenario), "-a", model], directory)
        how = ["-DNFAIR=3"] if live else ["-DSAFETY", "-DNOCLAIM"]
        # Compressed states take a third of the memory, and half as much time again.
        how += ["-DCOLLAPSE"] if scenario in LEASE["lease_long"] else []
        how += [f"-DMEMLIM={MEMORY_MB}"]
        must(["cc", optimise, "-w", *how, "-o", "pan", "pan.c"], directory)
        fair = ["-a", "-f"] if live else []
        slots = "-w22" if live or kind is LEASE else "-w24"
        output = call(["./pan", *fair, f"-m{DEPTH}", slots], directory).stdout
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"([\d.e+]+) states, stored(?: \(([\d.e+]+) visited)?", output)
    memory = re.search(r"([\d.]+)\s+total actual memory", output)
    if not errors or not states or not memory or "depth too small" in output:
        sys.exit(f"{scenario}: the search was not complete:\n{output}")
    print(
        f"{float(states.group(2) or states.group(1)):10.0f} states {float(memory.group(1)):6.0f} MB"
        f" {time.monotonic() - start:5.1f} s  {'live' if live else 'safe'}  {scenario}",
        flush=True,
    )
    if errors.group(1) != "0":
        reason = re.search(r"pan:\d+: (.*)", output)
        print(f"    error: {reason.group(1) if reason else 'see the output of pan'}", flush=True)
    return int(errors.group(1))


def check_all(names):
    errors = 0
    for kind in (SAFE, LIVE, LEASE):
        for name in names:
            for scenario in kind.get(name, []):
                errors += check(kind, scenario)
    return errors


def check_bugs():
    # Bugs are found among few states: it is the compilation that takes time.
    missed = [bug for bug, kind, where in BUGS if check(kind, f"{where}  {bug}", "-O0") == 0]
    for bug in missed:
        print(f"not found: {bug}")
    return len(missed)


def main():
    sets = [*SAFE, *LIVE, *LEASE, "bugs", "all"]
    if len(sys.argv) != 2 or sys.argv[1] not in sets:
        sys.exit(f"{__doc__}\nsets: {' '.join(sets)}")
    chosen = sets[:-2] if sys.argv[1] == "all" else sys.argv[1:]
    errors = check_all(chosen)
    if sys.argv[1] in ("bugs", "all"):
        errors += check_bugs()
    sys.exit(1 if errors else 0)


main()
