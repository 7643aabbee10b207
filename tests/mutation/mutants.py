#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seeds bugs in the library, one at a time, and checks that a test catches each (table.py).

usage: mutants.py full [--docs FILE] [NAME...]   all, or those whose names have one of NAME in them
       mutants.py quick                          a few
       mutants.py match                          only whether all are still to be found in the code

A mutant is caught if the named test fails on it within a minute, and passes without it. Works on a
copy of the tree. Exit status: 0 if all are caught.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from table import MUTANTS, QUICK

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT = 55
RUNNERS = 6  # most of them wait for a watchdog
NEEDED = ["CMakeLists.txt", "cmake", "pkgconfig", "include", "lib", "common", "tools"]
NEEDED_TESTS = [
    "CMakeLists.txt",
    "unit",
    "stress",
    "misuse",
    "validate",
    "model",
    "mutation",
    "io",
]
BUILDS = {
    "plain": ["-DCMAKE_C_FLAGS=-O1 -g -w"],
    "tsan": ["-DCMAKE_C_COMPILER=clang", "-DCMAKE_C_FLAGS=-O1 -g -w -fsanitize=thread"],
    "asan": ["-DCMAKE_C_FLAGS=-O1 -g -w -fsanitize=address,undefined -fno-sanitize-recover=all"],
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def mismatches():
    """What is wrong with the table: a mutant that is not to be found in the code exactly once."""
    wrong = []
    for name, path, old, new, _ in MUTANTS:
        count = read(os.path.join(ROOT, path)).count(old)
        if count != 1:
            wrong.append(f"{name}: its text is in {path} {count} times, not once")
        if old == new:
            wrong.append(f"{name}: changes nothing")
    names = [mutant[0] for mutant in MUTANTS]
    wrong += [f"{name}: twice in the table" for name in set(names) if names.count(name) > 1]
    wrong += [f"{name}: not in the table" for name in QUICK if name not in names]
    return wrong


class Failed(Exception):
    """What should have worked without a mutant, or should have compiled with one, did not."""


def must(command):
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}:\n{done.stdout[-5000:]}")
    return done.stdout


class Tree:
    """A copy of the sources, with a build of each kind."""

    def __init__(self, directory, kinds, engine):
        self.directory = directory
        self.engine = engine  # its tests are among those wanted
        self.source = os.path.join(directory, "source")
        for path in NEEDED + [f"tests/{name}" for name in NEEDED_TESTS]:
            original, copy = os.path.join(ROOT, path), os.path.join(self.source, path)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            (shutil.copytree if os.path.isdir(original) else shutil.copy)(original, copy)
        self.tests = {}
        for kind in kinds:
            self.configure(kind)

    def configure(self, kind):
        build = os.path.join(self.directory, kind)
        options = ["-DTWOSTATE_BENCH=OFF", "-DTWOSTATE_EXAMPLES=OFF"]
        options += [f"-DTWOSTATE_IO={'ON' if self.engine else 'OFF'}"]
        options += ["-DCMAKE_BUILD_TYPE=None", *BUILDS[kind]]
        must(["cmake", "-S", self.source, "-B", build, "-G", "Ninja", *options])
        tests = os.path.join(build, "tests", "**", "CTestTestfile.cmake")
        for path in glob.glob(tests, recursive=True):
            self.read_tests(kind, read(path))

    def read_tests(self, kind, text):
        """What ctest would run. (ctest itself does not say of programs that are not built yet.)"""
        prefix = "" if kind == "plain" else kind + ":"
        for name, command in re.findall(r"^add_test\(\[=\[(.+?)\]=\] (.*)\)$", text, re.M):
            self.tests[prefix + name] = (kind, shlex.split(command), {})
        pattern = r"^set_tests_properties\(\[=\[(.+?)\]=\] PROPERTIES (.*)\)$"
        for name, words in re.findall(pattern, text, re.M):
            words = shlex.split(words)
            properties = dict(zip(words[::2], words[1::2]))
            for variable in filter(None, properties.get("ENVIRONMENT", "").split(";")):
                self.tests[prefix + name][2].update([variable.split("=", 1)])

    def build(self, tests, place):
        """Builds what these tests run. Returns the tests, to be run with copies in `place`."""
        programs = {}
        for test in tests:
            if test not in self.tests:
                raise Failed(f"no test {test}")
            kind, command, _ = self.tests[test]
            programs.setdefault(kind, set()).update(self.programs(kind, command))
        for kind, paths in programs.items():
            build = os.path.join(self.directory, kind)
            must(["ninja", "-C", build, *[os.path.relpath(path, build) for path in sorted(paths)]])
        os.makedirs(place)
        return [self.runnable(test, place) for test in tests]

    def programs(self, kind, command):
        """Those words of a command that are built."""
        build = os.path.join(self.directory, kind) + "/"
        return [word for word in command if word.startswith(build)]

    def runnable(self, test, place):
        kind, command, environment = self.tests[test]
        programs = self.programs(kind, command)
        place = os.path.join(place, kind)
        os.makedirs(place, exist_ok=True)
        for program in programs:
            for path in [program, *glob.glob(os.path.join(os.path.dirname(program), "*.so"))]:
                shutil.copy(path, place)
        command = [
            os.path.join(place, os.path.basename(word)) if word in programs else word
            for word in command
        ]
        if kind != "plain":
            # Wider address randomisation leaves the sanitizers of Debian 12 no room.
            command = ["setarch", os.uname().machine, "--addr-no-randomize", *command]
        return test, command, {
            **os.environ,
            "LD_LIBRARY_PATH": place,
            "TEST_AWAIT_MS": "30000",
            **environment,
        }


def run_test(command, environment, place, limit=LIMIT):
    """Returns why it failed, or None; how long that took; and what it said."""
    start = time.monotonic()
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd=place,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
            why = "fails" if process.returncode != 0 else None
        except subprocess.TimeoutExpired:
            why = "hangs"
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what it forked may be left
        except ProcessLookupError:
            pass
        if why == "hangs":
            output, _ = process.communicate()
    return why, time.monotonic() - start, output.decode(errors="replace")


class Gate:
    """One tree in which mutants are built, one after another, and threads in which they run."""

    def __init__(self, mutants, directory, runners):
        self.mutants = mutants
        self.directory = directory
        self.runners = runners
        self.results = {}
        self.lock = threading.Lock()
        self.controls = sorted({test for mutant in mutants for test in mutant[4].split()})
        kinds = sorted({self.kind(test) for test in self.controls})
        self.tree = Tree(directory, kinds, any("engine_" in test for test in self.controls))

    @staticmethod
    def kind(test):
        return test.split(":")[0] if ":" in test else "plain"

    def place(self, mutant):
        return os.path.join(self.directory, f"mutant-{self.mutants.index(mutant)}")

    def control(self, executor):
        """Every test passes without a mutant."""
        place = os.path.join(self.directory, "control")
        runs = self.tree.build(self.controls, place)
        futures = {}
        for test, command, environment in runs:
            patient = {**environment, "TEST_AWAIT_MS": "120000"}
            futures[test] = executor.submit(run_test, command, patient, place, 4 * LIMIT)
        for test, future in futures.items():
            why, _, output = future.result()
            if why:
                raise Failed(f"{test} {why} without a mutant:\n{output[-3000:]}")

    def build(self, mutant):
        _, path, old, new, tests = mutant
        source = os.path.join(self.tree.source, path)
        original = read(source)
        try:
            write(source, original.replace(old, new))
            return self.tree.build(tests.split(), self.place(mutant))
        finally:
            write(source, original)

    def try_mutant(self, mutant, runs):
        name, path = mutant[:2]
        caught, seconds = None, 0.0
        for test, command, environment in runs:
            why, seconds, _ = run_test(command, environment, self.place(mutant))
            if why:
                caught = test + (" (hangs)" if why == "hangs" else "")
                break
        shutil.rmtree(self.place(mutant))
        with self.lock:
            self.results[name] = (caught, seconds)
            print(
                f"[{len(self.results):3}/{len(self.mutants)}] {name:52} {path:24} "
                f"{caught or 'SURVIVED':28} {seconds:5.1f} s",
                flush=True,
            )

    def run(self):
        # Mutants of one file together: each compilation undoes the one before it.
        by_file = sorted(self.mutants, key=lambda mutant: mutant[1])
        with concurrent.futures.ThreadPoolExecutor(self.runners) as executor:
            print(f"{len(self.controls)} tests without a mutant", flush=True)
            self.control(executor)
            futures = []
            for mutant in by_file:
                runs = self.build(mutant)
                futures.append(executor.submit(self.try_mutant, mutant, runs))
            for future in futures:
                future.result()


def document(path, gate):
    lines = [
        "# Seeded bugs",
        "",
        "Each of these bugs, put into the library, makes a test fail within a minute. Written by",
        "`scripts/mutants.sh`, from the table in `tests/mutation/table.py`. Tests are named as for",
        "ctest; `tsan:` and `asan:` are the builds with ThreadSanitizer and AddressSanitizer.",
        "",
        "| bug | in | caught by | s |",
        "|---|---|---|---|",
    ]
    for name, file, _, _, _ in gate.mutants:
        caught, seconds = gate.results[name]
        lines.append(f"| {name} | `{file}` | {caught} | {seconds:.1f} |")
    write(path, "\n".join(lines) + "\n")


def choose(arguments):
    if arguments.what == "quick":
        return [mutant for mutant in MUTANTS if mutant[0] in QUICK]
    names = arguments.names or [""]
    return [mutant for mutant in MUTANTS if any(name in mutant[0] for name in names)]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("what", choices=["full", "quick", "match"])
    parser.add_argument("--docs")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    wrong = mismatches()
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong or arguments.what == "match":
        print(f"{len(MUTANTS)} mutants, {len(wrong)} problems in the table")
        return 1 if wrong else 0

    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="twostate-mutants-") as directory:
        try:
            gate = Gate(choose(arguments), directory, RUNNERS)
            gate.run()
        except Failed as error:
            print(f"mutants: {error}", file=sys.stderr)
            return 1
    survivors = [name for name, (caught, _) in gate.results.items() if caught is None]
    print(
        f"{len(gate.mutants) - len(survivors)} of {len(gate.mutants)} mutants caught in "
        f"{time.monotonic() - start:.0f} s"
    )
    for name in survivors:
        print(f"survived: {name}")
    if arguments.docs and not survivors:
        document(arguments.docs, gate)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
