#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Explores every multiset of kinds of operations, in pieces that add up.

usage: multisets.py MODEL [--threads N] [--shard I/N] [--record FILE] [--states N] [--list] [GROUPS]

The kinds are put in groups; each program has one group a thread, and its threads do any operation
of their group. So the programs of all multisets of groups have all multisets of operations between
them, and any one of them is small. --shard I/N takes every Nth program, from the Ith. With --record
each result is a line of a file: what is in it is not run again, so a run can be stopped at any time,
and the files of all shards, put together, are the record of the whole. --list only counts.

GROUPS: "sync" (default; all kinds of the lock that have a thread) or "async" (with waiters without).
"""
import argparse
import itertools
import os
import re
import subprocess
import sys

# Operations that begin alike are in one group: they are one until they hold something.
GROUPS = {
    "sync": ["aA|hA|jA|sA|yA|SA", "aB|hB|jB|sB|yB|SB", "tA|tB|tf", "TA|LA", "TB|LB", "2A|nA|NA",
             "2B|nB|NB", "d|Td", "f|hf|sf|Tf"],
    "async": ["aA|TA|nA|sA", "aB|tB|hB", "d|Td", "f|sf", "cA|cB", "cd|cf", "vA|vf", "gA|gB"],
}


def recorded(path):
    if path is None or not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return dict(line.rstrip("\n").split("\t") for line in file if "\t" in line)


def run(model, states, program):
    command = [model, "--states", str(states)] + program.split()
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r": (exhausted|cut, nothing wrong|WRONG): .*", output, re.DOTALL)
    if not found:
        sys.exit(f"{program}: no result: the explorer was stopped?")
    return found.group(0)[2:].strip().replace("\n", " / ").replace("\t", " ")


def summary(results):
    states = sum(int(re.search(r"(\d+) states", r).group(1)) for r in results)
    seconds = sum(float(re.search(r"([\d.]+) s\b", r).group(1)) for r in results)
    kinds = {kind: sum(r.startswith(kind) for r in results) for kind in ("exhausted", "cut", "WRONG")}
    return (f"{kinds['exhausted']} exhausted, {kinds['cut']} cut, {kinds['WRONG']} wrong; "
            f"{states} states, {seconds:.0f} s"), kinds["WRONG"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("groups", nargs="?", default="sync", choices=GROUPS)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--record")
    parser.add_argument("--states", type=int, default=100000000)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    shard, shards = (int(number) for number in options.shard.split("/"))
    programs = [" ".join(groups) for groups in
                itertools.combinations_with_replacement(GROUPS[options.groups], options.threads)]
    if not 1 <= shard <= shards:
        sys.exit("--shard I/N: from 1/N to N/N")
    mine = programs[shard - 1::shards]
    results = recorded(options.record)
    for program in [] if options.list else mine:
        if program in results:
            continue
        results[program] = run(options.model, options.states, program)
        print(f"{program}: {results[program]}", flush=True)
        if options.record:
            with open(options.record, "a", encoding="utf-8") as file:
                file.write(f"{program}\t{results[program]}\n")
    done = [results[program] for program in mine if program in results]
    text, wrong = summary(done)
    print(f"{len(done)} of the shard's {len(mine)} programs, of {len(programs)}: {text}")
    sys.exit(wrong > 0)


main()
