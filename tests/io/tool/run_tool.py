# SPDX-License-Identifier: MIT
"""Loads of twostate-io, as a user runs them: exit status, output, JSON, and what is left behind."""
import json
import os
import re
import shutil
import subprocess
import sys

from harness import (COMPARED, KINDS, LOCKS, Skip, check, check_clean, check_compared,
                     interrupt, main, run, run_enough, run_json, start, tool, total, unmount,
                     wait_for_load)


def all_ran(runs, names):
    return all(entry["kinds"][name]["ops"] > 0 for entry in runs for name in names)


def mixed(directory, *arguments):
    """All kinds at once, all of them get on, and nothing is found."""
    runs, done = run_enough(directory, lambda runs: all_ran(runs, KINDS), "--size", "4M", *arguments)
    check(len(runs) == 1, "one run")
    check_clean(runs[0])
    cache = "user" if "user" in arguments else "kernel"
    check(runs[0]["cache"] == cache, "JSON has another cache")
    check(f"cache {cache}," in done.stdout, "the table has another cache")
    for name in KINDS:
        check(runs[0]["kinds"][name]["ops"] > 0, f"{name} did nothing")
        check(name in done.stdout, f"{name} is not in the table")
    check("clean" in done.stdout, "verdict")
    check("\r" not in done.stderr, "progress without a terminal")
    check(os.listdir(directory) == ["out.json"], "the file is left behind")


def none(directory):
    """Without a lock torn reads are found, and are no failure. On ext4 they are certain."""
    for attempt in range(6):
        runs, done = run_json(directory, "--lock", "none", "--seconds", "3", "--size", "512k",
                              "--block-sizes", "64k", "--unaligned", "off", "--threads",
                              "all=0,buffered_read=2,buffered_write=1,direct_write=1")
        check(total(runs[0], "errors") == 0, "errors")
        if total(runs[0], "torn") > 0:
            check("expected" in done.stdout, "verdict")
            return
    kind = subprocess.run(["stat", "-f", "-c", "%T", directory], stdout=subprocess.PIPE,
                          text=True, check=True).stdout.strip()
    if kind != "ext2/ext3":
        raise Skip(f"no torn reads without a lock on {kind}")
    raise AssertionError("no torn reads without a lock on ext4")


def files(directory):
    """Data that is not from here is kept; what is from here may be used again."""
    data = os.path.join(directory, "data")
    with open(data, "wb") as file:
        file.write(b"precious")
    run("run", data, "--ops", "10", status=2)
    with open(data, "rb") as file:
        check(file.read() == b"precious", "the data is gone")
    run("run", data, "--ops", "10", "--overwrite", "--size", "1M")
    check(os.path.getsize(data) >= 1 << 20, "an existing file is kept")
    run("run", data, "--ops", "10", "--size", "1M")
    os.unlink(data)
    run("run", data, "--ops", "10", "--size", "1M", "--keep")
    check(os.path.exists(data), "--keep")
    done = run("run", data, "--ops", "10", "--size", "1M", "--json", "-")
    check("runs" in json.loads(done.stdout), "JSON on stdout, and nothing else")
    check("fsync" in done.stderr, "the table goes to stderr then")
    run("run", data, "--ops", "10", "--json", os.path.join(directory, "no", "json"), status=2)

    os.unlink(data)
    for arguments in (["--help"], ["--version"], ["run", data, "--ops", "10", "--size", "1M"],
                      ["run", data, "--ops", "10", "--size", "1M", "--compare", "--json", "-"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([tool, *arguments], stdout=full, stderr=subprocess.PIPE,
                                  text=True)
        check(done.returncode == 2 and done.stderr != "", f"{arguments}: no room for the output")
        check(not os.path.exists(data), "the file is left behind")
    done = run("run", data, "--ops", "10", "--size", "1M", "--json=/dev/full", status=2)
    check("/dev/full: No space left" in done.stderr, "why there is no JSON")
    link = os.path.join(directory, "link")
    os.symlink("data", link)
    for name in (data, os.path.join(directory, ".", "data"), link):
        run("run", data, "--ops", "10", "--size", "1M", "--json", name, status=2)
        check(not os.path.exists(data), "the file is left behind")
    with open(data, "wb"):
        pass
    run("run", data, "--ops", "10", "--size", "1M", "--json", link, status=2)
    check(os.path.getsize(data) == 0, "the load ran")


def signals(directory):
    """A signal ends a load with its results, and all else soon and without a verdict."""
    data = os.path.join(directory, "data")
    process = start("run", data, "--seconds", "1000", "--size", "1M")
    wait_for_load(process)
    check("clean" in interrupt(process, 0)[0], "a load that was interrupted")

    # The name may go: the report is of the first file, and one that is there now is not touched.
    for lock in LOCKS:
        process = start("run", data, "--seconds", "1000", "--size", "1M", "--block-sizes", "4k",
                        "--lock", lock, "--threads", "all=2")
        wait_for_load(process)
        os.unlink(data)
        if lock != "rwlock":
            with open(data, "wb") as file:
                file.write(b"precious")
        out, err = interrupt(process, 0)
        check("NOT" not in out and "buffered_read" in out, "report")
        check("removed or replaced" in err, "not told")
        if lock != "rwlock":
            with open(data, "rb") as file:
                check(file.read() == b"precious", "the other file was touched")
            os.unlink(data)

    # The file takes seconds to write; the signal comes long before the end, and little is written.
    process = start("run", data, "--ops", "1", "--size", "4G", "--block-sizes", "64k",
                    "--unaligned", "off")
    check("interrupted" in interrupt(process, 2)[1], "while the file was written")

    parts = {"lost": "lost on disk:", "torn": "torn reads:", "slow": "slow, on "}
    result = os.path.join(directory, "out.json")
    for chosen in (["--compare"], ["--compare=torn,slow"], ["--compare=slow"],
                   ["--compare", "--size", "1M"]):
        process = start("run", data, *chosen, "--seconds", "1000", "--json", result)
        if len(chosen) == 1:
            while not any(heading in process.first for heading in parts.values()):
                process.first += process.stdout.readline()
        out, _ = interrupt(process, 2)
        check("interrupted" in out, "not told")
        check("cut short after " in out, "not told how far it came")
        for claim in ("clean", "Nothing", "starves"):
            check(claim not in out, f"'{claim}' of what did not run")
        headings = sum(heading in process.first + out for heading in parts.values())
        check(headings == (len(chosen) == 1), "a part began after the signal")
        with open(result, encoding="utf-8") as file:
            check(json.load(file)["interrupted"], "JSON")
    check(os.listdir(directory) == ["out.json"], "the file is left behind")


def check_engine_verdict(done):
    for cache in ("user", "kernel"):
        check(f"twostate, {cache} cache: clean" in done.stdout, f"verdict on the {cache} cache")


def compare(directory):
    """The engine with each cache, the rwlock and no lock, side by side; the engine is clean."""
    sides = [side + "_ops_per_s" for side in ("buffered", "direct", "alone")]
    runs, done = run_enough(
        directory, lambda runs: all(run["slow"][side] > 0 for run in runs for side in sides),
        "--compare", seconds=4)
    check_compared(runs)
    for entry in runs:
        check(entry["lost_on_disk"]["direct_writes"] > 0, "lost_on_disk")
        for side in sides:
            check(entry["slow"][side] > 0, f"slow: {side}")
    check_engine_verdict(done)


def compare_load(directory):
    """The load that is given runs under each lock and cache, in rounds; the engine is clean."""
    wanted = ["buffered_read", "buffered_write", "direct_read", "direct_write"]
    runs, done = run_enough(directory, lambda runs: all_ran(runs, wanted), "--compare", "--size",
                            "1M", "--async", "2", "--block-sizes", "4k", "--threads",
                            "all=0," + ",".join(name + "=1" for name in wanted), seconds=4)
    check_compared(runs)
    for entry in runs:
        for name in KINDS:
            ran = entry["kinds"][name]["ops"] > 0
            check(ran == (name in wanted), f"{name} under {entry['lock']}")
        check("slow" not in entry and "lost_on_disk" not in entry, "a part that was not asked for")
    check(re.search(r"in \d+ rounds", done.stdout), "rounds")
    check_engine_verdict(done)
    rows = [line.split() for line in done.stdout.splitlines()]
    for name in wanted:
        first = next(i for i, row in enumerate(rows) if row[:2] == [name, "twostate"])
        check([tuple(row[-10:-8]) for row in rows[first:first + 4]] == COMPARED,
              f"{name} is not side by side")
    check(done.stderr == "", "progress without a terminal")

    runs, _ = run_json(directory, "--compare", "--ops", "400", "--size", "1M", "--cache", "kernel")
    check_compared(runs, COMPARED[1:])
    for entry in runs:
        check(380 <= total(entry, "ops") <= 400, f"operations under {entry['lock']}")
    run_json(directory, "--compare", "--ops", "1", "--size", "1M")
    check(os.listdir(directory) == ["out.json"], "the file is left behind")


def compare_parts(directory):
    """Only the parts that are named; a verdict on no more than they look at."""
    parts = {"lost": "lost on disk:", "torn": "torn reads:", "slow": "slow, on "}
    for chosen in (["lost", "slow"], ["torn"], ["slow"]):
        reads = ["buffered_read"] if "torn" in chosen else []
        runs, done = run_enough(directory, lambda runs, reads=reads: all_ran(runs, reads),
                                "--compare=" + ",".join(chosen))
        check_compared(runs)
        for name, heading in parts.items():
            check((heading in done.stdout) == (name in chosen), f"heading of {name}")
        for entry in runs:
            check(("lost_on_disk" in entry) == ("lost" in chosen), "lost_on_disk")
            check(("slow" in entry) == ("slow" in chosen), "slow")
            check((entry["kinds"]["buffered_read"]["ops"] > 0) == ("torn" in chosen), "torn")
        check(("torn, stale or lost" in done.stdout) == ("torn" in chosen), "verdict")
        check(("starves" not in done.stdout) or "slow" in chosen, "starvation was not looked at")


def wait_for_engine(process, file):
    """Until the process has a lock that other engines respect: it is the file's owner then."""
    wait_for_load(process)
    inode = f":{os.stat(file).st_ino} "
    locked = False
    while not locked:
        check(process.poll() is None, "ended early")
        with open("/proc/locks", encoding="ascii") as locks:
            locked = any("OFDLCK" in line and inode in line for line in locks)


def owner(directory):
    """A file with a user cache is refused to others, before they change anything, and told why."""
    data = os.path.join(directory, "data")
    quick = ["--ops", "10", "--size", "1M"]
    process = start("run", data, "--cache", "user", "--seconds", "1000", "--size", "4M")
    wait_for_engine(process, data)
    for arguments in (["--cache", "user"], ["--cache", "kernel"], ["--lock", "none"],
                      ["--lock", "rwlock"], ["--compare"], ["--compare=slow"]):
        done = run("run", data, *arguments, *([] if "slow" in arguments[0] else quick), status=2)
        check("open through an engine already" in done.stderr, f"{arguments}: why not")
    check("clean" in interrupt(process, 0)[0], "the owner was disturbed")

    process = start("run", data, "--cache", "kernel", "--seconds", "1000", "--size", "4M")
    wait_for_engine(process, data)
    done = run("run", data, "--cache", "user", *quick, status=2)
    check("EBUSY" in done.stderr, "why not")
    check("clean" in interrupt(process, 0)[0], "the owner was disturbed")
    check(os.listdir(directory) == [], "the file is left behind")


def small_cache(directory):
    """The cache is a sixteenth of the file: folios come and go, and nothing is lost over it."""
    fields = ("misses", "evicted", "written_back")
    runs, _ = run_enough(
        directory, lambda runs: all(runs[0]["user_cache"][field] > 0 for field in fields),
        "--size", "64M", "--cache", "user", "--cache-bytes", "4M")
    check_clean(runs[0])
    about = runs[0]["user_cache"]
    check(0 < about["bytes"] <= 4 << 20, "--cache-bytes")
    for field in fields:
        check(about[field] > 0, field)
    runs, _ = run_json(directory, "--ops", "2000", "--size", "8M", "--cache", "user",
                       "--cache-bytes", "4M", "--async", "4", "--block-sizes", "512,4k,1M",
                       "--unaligned", "50", "--truncate", "2@50")
    check_clean(runs[0])


def no_direct(directory):
    """On a file system without O_DIRECT the user cache is refused, and a comparison goes without."""
    mount = os.path.join(directory, "mount")
    os.mkdir(mount)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "ramfs", "none", mount]).returncode != 0:
        raise Skip("needs root, and ramfs")
    try:
        data = os.path.join(mount, "data")
        done = run("run", data, "--cache", "user", "--size", "1M", status=2)
        check("O_DIRECT" in done.stderr and "--cache kernel" in done.stderr, "why not")
        done = run("run", data, "--cache", "user", "--compare", "--size", "1M", status=2)
        check("O_DIRECT" in done.stderr, "why not")
        check(os.listdir(mount) == [], "a file was made")
        for arguments in (["--compare=slow", "--seconds", "1"],
                          ["--compare", "--ops", "100", "--size", "1M"]):
            runs, done = run_json(mount, *arguments)
            check_compared(runs, COMPARED[1:])
            check("no user cache in this comparison" in done.stdout, "not told")
    finally:
        unmount(mount)


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def loop(directory, kind):
    """The mixed load on a file system of its own, over a loop device."""
    if os.geteuid() != 0 or not shutil.which("mkfs." + kind) or not shutil.which("losetup"):
        raise Skip(f"needs root, losetup and mkfs.{kind}")
    image = os.path.join(directory, "image")
    mount = os.path.join(directory, "mount")
    os.mkdir(mount)
    with open(image, "wb") as file:
        file.truncate(512 << 20)
    output("mkfs." + kind, "-q", image)
    try:
        device = output("losetup", "--find", "--show", image)
    except subprocess.CalledProcessError as error:
        raise Skip("no loop device") from error
    mounted = False
    try:
        if subprocess.run(["mount", "-t", kind, device, mount]).returncode != 0:
            raise Skip(f"cannot mount {kind}")
        mounted = True
        for backend in ("uring", "threads"):
            os.mkdir(os.path.join(mount, backend))
            for cache in ("kernel", "user"):
                mixed(os.path.join(mount, backend), "--backend", backend, "--cache", cache)
                os.unlink(os.path.join(mount, backend, "out.json"))
    finally:
        if mounted:
            unmount(mount)
        subprocess.run(["losetup", "--detach", device], check=True)


sys.exit(main(mixed, none, files, signals, owner, small_cache, no_direct, compare, compare_load,
              compare_parts, loop))
