#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the nbdkit plugin beside nbdkit's own file plugin, with fio and nbdcopy as clients.

Every cell is run with each server in turn, round after round, so that what else the machine does
hits all alike; a figure is the median of the rounds, and a ratio the median of the rounds' ratios to
the file plugin. The last columns are the processor time that the server took for a byte, as a ratio
too: on a machine that is busy with other things that says more than the speed. Each run begins with
a new server and the same file of random bytes, on disk, and in the server's cache unless the cell
says cold.
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20

# name: (what it is, jobs of fio). A job: (kind, fio's options).
CELLS = {
    "read-4k": ("random reads, 4 KiB, 16 in flight", [("read", "--rw=randread --bs=4k --iodepth=16")]),
    "read-256k": ("reads in sequence, 256 KiB, 4 in flight",
                  [("read", "--rw=read --bs=256k --iodepth=4")]),
    "read-2m": ("reads in sequence, 2 MiB, 4 in flight", [("read", "--rw=read --bs=2m --iodepth=4")]),
    "write-4k": ("random writes, 4 KiB, 16 in flight",
                 [("write", "--rw=randwrite --bs=4k --iodepth=16")]),
    "write-4k-flush": ("random writes, 4 KiB, 16 in flight, a flush after every 64",
                       [("write", "--rw=randwrite --bs=4k --iodepth=16 --fsync=64")]),
    "write-256k": ("writes in sequence, 256 KiB, 4 in flight",
                   [("write", "--rw=write --bs=256k --iodepth=4")]),
    "write-2m": ("writes in sequence, 2 MiB, 4 in flight",
                 [("write", "--rw=write --bs=2m --iodepth=4")]),
    "mixed-4k": ("four clients, random reads and writes, 4 KiB, 8 in flight each",
                 [("mix", "--rw=randrw --bs=4k --iodepth=8")] * 4),
    "mixed-4k-flush": ("the same, each flushes after 64 writes",
                       [("mix", "--rw=randrw --bs=4k --iodepth=8 --fsync=64")] * 4),
    "mixed-2m": ("two clients read and write 4 KiB at random, one writes 2 MiB in sequence",
                 [("small", "--rw=randrw --bs=4k --iodepth=8")] * 2 +
                 [("large", "--rw=write --bs=2m --iodepth=2")]),
    "mixed-2m-flush": ("the same, each flushes after 64 small or 8 large writes",
                       [("small", "--rw=randrw --bs=4k --iodepth=8 --fsync=64")] * 2 +
                       [("large", "--rw=write --bs=2m --iodepth=2 --fsync=8")]),
    "mixed-8m-flush": ("the same with 8 MiB, flushed after every 2",
                       [("small", "--rw=randrw --bs=4k --iodepth=8 --fsync=64")] * 2 +
                       [("large", "--rw=write --bs=8m --iodepth=2 --fsync=2")]),
}
COPIES = {
    "copy-in": "nbdcopy --flush of a file into the server",
    "copy-out": "nbdcopy of all of the server's file, cached",
    "copy-out-cold": "nbdcopy of all of the server's file, not cached (root)",
}


def servers(plugin):
    return {
        "file": ["file"],
        "kernel": [plugin, "cache=kernel"],
        "user": [plugin, "cache=user", "cache-size=1G"],
    }


@contextlib.contextmanager
def serving(server, image, directory):
    """An nbdkit that serves image, and is gone afterwards: its URI."""
    socket = os.path.join(directory, "socket")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket)
    process = subprocess.Popen(["nbdkit", "-f", "-U", socket, *server, "file=" + image])
    try:
        while not os.path.exists(socket):
            if process.poll() is not None:
                sys.exit("nbdkit did not start")
            time.sleep(0.01)
        yield "nbd+unix:///?socket=" + socket, process.pid
    finally:
        process.terminate()
        process.wait()


def make_image(path, size): # MiB
    with open(path, "wb") as file:
        for _ in range(size):
            file.write(os.urandom(MIB))


def into_cache(path):
    """All of it, and nothing dirty."""
    subprocess.run(["sync", path], check=True)
    subprocess.run(["dd", "if=" + path, "of=/dev/null", "bs=1M", "status=none"], check=True)


def run_fio(uri, jobs, options, directory):
    """Bytes a second of each kind of job, and bytes of all."""
    output = os.path.join(directory, "fio.json")
    command = ["fio", "--output=" + output, "--output-format=json", "--ioengine=nbd", "--uri=" + uri,
               "--thread", "--time_based", f"--runtime={options.seconds}", "--randrepeat=1",
               f"--size={options.size}M"]
    for kind, job in jobs:
        command += ["--name=" + kind, *job.split()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rates = {}
    moved = 0
    with open(output) as file:
        text = file.read()
    for job in json.loads(text[text.index("{"):])["jobs"]: # its nbd engine talks before that
        rate = job["read"]["bw_bytes"] + job["write"]["bw_bytes"]
        rates[job["jobname"]] = rates.get(job["jobname"], 0) + rate
        moved += job["read"]["io_bytes"] + job["write"]["io_bytes"]
    return rates, moved


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_copy(cell, uri, source, size):
    target = ["--flush", source, uri] if cell == "copy-in" else [uri, "null:"]
    start = time.monotonic()
    subprocess.run(["nbdcopy", *target], check=True)
    return {"copy": size * MIB / (time.monotonic() - start)}, size * MIB


def measure(cell, server, options, directory):
    image = os.path.join(directory, "image")
    into_cache(image)
    if cell.endswith("cold"):
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("1")
    with serving(server, image, directory) as (uri, pid):
        if not cell.endswith("cold"): # the user cache begins empty
            subprocess.run(["nbdcopy", uri, "null:"], check=True)
        before = cpu_seconds(pid)
        if cell in COPIES:
            rates, moved = run_copy(cell, uri, os.path.join(directory, "source"), options.size)
        else:
            rates, moved = run_fio(uri, CELLS[cell][1], options, directory)
        return {"rates": rates, "cpu": (cpu_seconds(pid) - before) / moved}


def turned(names, number):
    """Another one begins each round: what a run leaves behind is not always the same one's load."""
    first = number % len(names)
    return names[first:] + names[:first]


def summary(rounds, names):
    """Medians of the rates, and of the ratios to the first server's, for each kind of job."""
    first = names[0]
    result = {"kinds": {}, "cpu": {}}
    for kind in rounds[0][first]["rates"]:
        result["kinds"][kind] = {
            name: {"mb_s": statistics.median(r[name]["rates"][kind] for r in rounds) / 1e6,
                   "ratio": statistics.median(
                       r[name]["rates"][kind] / r[first]["rates"][kind] for r in rounds)}
            for name in names
        }
    for name in names[1:]:
        ratios = [r[name]["cpu"] / r[first]["cpu"] for r in rounds if r[first]["cpu"] > 0]
        result["cpu"][name] = statistics.median(ratios) if ratios else float("nan")
    return result


def rows(cell, result, names):
    """The table's rows of a cell: one each kind and, of two kinds, their geometric mean."""
    kinds = result["kinds"]
    cpu = [f"{result['cpu'][n]:.2f}" for n in names[1:]]
    for kind, by_name in kinds.items():
        yield (cell, kind, *[f"{by_name[n]['mb_s']:.0f}" for n in names],
               *[f"{by_name[n]['ratio']:.2f}" for n in names[1:]],
               *(cpu if len(kinds) == 1 else ["" for _ in cpu]))
    if len(kinds) > 1:
        means = [statistics.geometric_mean(k[n]["ratio"] for k in kinds.values()) for n in names[1:]]
        yield (cell, "mean", *["" for _ in names], *[f"{m:.2f}" for m in means], *cpu)


def table(results, names):
    lines = [("cell", "", *[n + " MB/s" for n in names], *[n + "/" + names[0] for n in names[1:]],
              *["cpu " + n for n in names[1:]])]
    for cell, result in results.items():
        lines += rows(cell, result, names)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]

    def aligned(line):
        cells = [c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))]
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i < 2 else "-" * (w + 1) + ":" for i, w in enumerate(widths))
    return "\n".join([aligned(lines[0]), rule + "|", *map(aligned, lines[1:])])


def arguments():
    known = [*CELLS, *COPIES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="cells:\n" + "\n".join(
            f"  {name:15} {CELLS[name][0] if name in CELLS else COPIES[name]}" for name in known))
    parser.add_argument("plugin", help="nbdkit-twostate-plugin.so")
    parser.add_argument("cells", nargs="*", metavar="CELL", help="cells to run (default: all)")
    parser.add_argument("--runs", type=int, default=7, help="rounds (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=60,
                        help="begin no other round after so many (default: 60)")
    parser.add_argument("--seconds", type=int, default=2, help="of each run of fio (default: 2)")
    parser.add_argument("--size", type=int, default=192, help="MiB of the file (default: %(default)s)")
    parser.add_argument("--directory", default=".", help="where the file is made (default: here)")
    parser.add_argument("--json", metavar="FILE", help="all figures of all rounds")
    parser.add_argument("--parameter", action="append", default=[], metavar="KEY=VALUE",
                        help="another parameter for the plugin")
    options = parser.parse_intermixed_args()
    if not set(options.cells) <= set(known):
        parser.error("no such cell: " + ", ".join(set(options.cells) - set(known)))
    if not options.cells:
        options.cells = [c for c in known if not c.endswith("cold") or os.geteuid() == 0]
    return options


def main():
    options = arguments()
    subjects = servers(os.path.abspath(options.plugin))
    for name in list(subjects)[1:]:
        subjects[name] += options.parameter
    rounds = {cell: [] for cell in options.cells}
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)) # and the files go
    directory = tempfile.mkdtemp(prefix="nbdkit-bench.", dir=options.directory)
    directory = os.path.abspath(directory)
    try:
        for name in "image", "source":
            make_image(os.path.join(directory, name), options.size)
        for number in range(options.runs):
            if number > 0 and time.monotonic() - begin > options.minutes * 60:
                break
            for cell in options.cells:
                print(f"round {number + 1} of {options.runs}: {cell}", file=sys.stderr)
                rounds[cell].append({name: measure(cell, subjects[name], options, directory)
                                     for name in turned(list(subjects), number)})
    finally:
        shutil.rmtree(directory)
    results = {cell: summary(of_cell, list(subjects)) for cell, of_cell in rounds.items()}
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"runs": len(rounds[options.cells[0]]), "seconds": options.seconds,
                       "size_mib": options.size, "summary": results, "rounds": rounds}, file, indent=1)
    print(table(results, list(subjects)))


if __name__ == "__main__":
    main()
