#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the steps of the model and of lib/word.h have the same names.

usage: names.py word.h word.pml
"""
import re
import sys


def main():
    header, model = (open(name, encoding="utf-8").read() for name in sys.argv[1:])
    code = set(re.findall(r"^static inline [\w ]+?(word_\w+)\(", header, re.M))
    steps = set(re.findall(r"^(?:#define|inline) (word_\w+)\(", model, re.M))
    left_out = set(re.findall(r"word_\w+", re.search(r"Left out.*?(?=\*/)", model, re.S).group()))

    problems = [f"{name}: in word.h, not in word.pml" for name in sorted(code - steps - left_out)]
    problems += [f"{name}: in word.pml, not in word.h" for name in sorted(steps - code)]
    problems += [f"{name}: both there and left out" for name in sorted(steps & left_out)]
    problems += [f"{name}: left out, not in word.h" for name in sorted(left_out - code)]
    if len(code) < 10:
        problems.append(f"only {len(code)} functions found in {sys.argv[1]}")
    for problem in problems:
        print(problem)
    print(f"{len(code)} functions, {len(steps)} in the model, {len(left_out)} left out")
    return 1 if problems else 0


sys.exit(main())
