# SPDX-License-Identifier: MIT
"""What the tests of twostate-io share: running it, looking at its JSON, and the choice of the case.

SCRIPT TOOL DIRECTORY CASE [ARGUMENT...]
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

KINDS = ["buffered_read", "buffered_write", "direct_read", "direct_write", "append", "truncate",
         "punch", "remap", "fsync"]
FIELDS = ["ops", "mb_per_s", "p50_us", "p99_us", "p999_us", "mode_wait_p999_us", "torn", "stale",
          "lost"]
LOCKS = ["twostate", "rwlock", "none"]
COMPARED = [("twostate", "user"), ("twostate", "kernel"), ("rwlock", "kernel"), ("none", "kernel")]
SECONDS = "2"
SKIP = 77

tool = sys.argv[1]


class Skip(Exception):
    pass


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def run(*arguments, status=0):
    done = subprocess.run([tool, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    print("$ twostate-io", *arguments)
    print(done.stdout + done.stderr, flush=True)
    check(done.returncode == status, f"exit status {done.returncode}, not {status}")
    return done


def run_json(directory, *arguments, status=0):
    path = os.path.join(directory, "out.json")
    done = run("run", os.path.join(directory, "data"), *arguments, "--json", path, status=status)
    with open(path, encoding="utf-8") as file:
        runs = json.load(file)["runs"]
    for entry in runs:
        check_entry(entry)
    return runs, done


def check_entry(entry):
    check(entry["lock"] in LOCKS, "lock")
    check((entry["lock"], entry["cache"]) in COMPARED, "cache")
    check(entry["cache"] == "user" or "user_cache" not in entry, "user_cache")
    check(isinstance(entry["fsync_eio"], int), "fsync_eio")
    check(sorted(entry["kinds"]) == sorted(KINDS), "kinds")
    for name, kind in entry["kinds"].items():
        for field in FIELDS:
            check(isinstance(kind[field], (int, float)) and kind[field] >= 0, f"{name}.{field}")


def run_enough(directory, enough, *arguments, seconds=SECONDS):
    """A run, and a longer one if in so little time a busy machine did not let all of it happen."""
    for factor in (1, 5, 20):
        runs, done = run_json(directory, "--seconds", str(factor * int(seconds)), *arguments)
        if enough(runs):
            break
    return runs, done


def total(entry, field):
    return sum(kind[field] for kind in entry["kinds"].values())


def check_clean(entry):
    for field in ("torn", "stale", "lost", "errors"):
        check(total(entry, field) == 0, f"{field} under {entry['lock']}")
    check(entry["fsync_eio"] == 0, "fsync_eio")


def check_compared(runs, expected=COMPARED):
    """What was compared, in order; the engine, first, is clean with each cache."""
    check([(entry["lock"], entry["cache"]) for entry in runs] == expected, "what was compared")
    for entry in runs:
        if entry["lock"] == "twostate":
            check_clean(entry)


def start(*arguments):
    """Starts the command, and waits for its first line."""
    print("$ twostate-io", *arguments)
    process = subprocess.Popen([tool, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    process.first = process.stdout.readline()
    check("seed" in process.first, "first line")
    return process


def wait_for_load(process):
    """The load is prepared before its threads start."""
    while len(os.listdir(f"/proc/{process.pid}/task")) < 8:
        check(process.poll() is None, "ended early")
        time.sleep(0.01)


def interrupt(process, status):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    print(process.first + out + err, flush=True)
    check(process.returncode == status, f"exit status {process.returncode}, not {status}")
    return out, err


def unmount(mount):
    """What io_uring had of a process may go a moment after it."""
    for _ in range(1000):
        if subprocess.run(["umount", mount], stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.02)
    subprocess.run(["umount", mount], check=True)


def terminated(number, frame):
    raise SystemExit(f"signal {number}")


def main(*cases):
    """Runs the case that the command line names, in a directory of its own."""
    named = {case.__name__: case for case in cases}
    signal.signal(signal.SIGTERM, terminated)
    with tempfile.TemporaryDirectory(prefix="tool-", dir=sys.argv[2]) as directory:
        try:
            named[sys.argv[3]](directory, *sys.argv[4:])
        except Skip as skip:
            print("SKIPPED:", skip)
            return SKIP
        except AssertionError as error:
            print("FAILED:", error)
            return 1
    return 0
