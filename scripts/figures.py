#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws the figures of README.md, docs/*.svg, from docs/bench/starve.json and docs/bench/why.json;
and prints the table of README.md. With --measure it runs `twostate-io run --compare` first, N times on each
of three file systems (XFS and btrfs over loop files, so as root), and writes why.json.

usage: scripts/figures.py [--measure N [--seconds S]] [--build DIRECTORY]
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WHY = ROOT / "docs/bench/why.json"
LOOPED = {"xfs": ["mkfs.xfs", "-q"], "btrfs": ["mkfs.btrfs", "-q"]}
WAYS = {  # (lock, cache): name, colour
    ("twostate", "user"): ("twostate, user cache", "#0b6e4f"),
    ("twostate", "kernel"): ("twostate, kernel cache", "#6abf8a"),
    ("rwlock", "kernel"): ("pthread_rwlock", "#b08900"),
    ("none", "kernel"): ("no lock", "#b23a48"),
}


# Measuring


def run(*command):
    subprocess.run(command, check=True)


def compare(tool, folder, seconds):
    """One comparison on the file system of that folder: what each lock had, without empty kinds."""
    result = os.path.join(folder, "why.json")
    run("nice", tool, "run", os.path.join(folder, "why.data"), "--compare", "--seconds",
        str(seconds), "--json", result)
    with open(result, encoding="utf-8") as file:
        runs = json.load(file)["runs"]
    os.unlink(result)
    for entry in runs:
        entry["kinds"] = {name: kind for name, kind in entry["kinds"].items() if kind["ops"]}
    return runs


def looped(name, tool, folder, seconds):
    image, mount = os.path.join(folder, "image"), os.path.join(folder, "mount")
    with open(image, "wb") as file:
        file.truncate(2 << 30)
    run(*LOOPED[name], image)
    os.mkdir(mount)
    run("mount", "-o", "loop", image, mount)
    try:
        return compare(tool, mount, seconds)
    finally:
        run("umount", mount)
        os.rmdir(mount)
        os.unlink(image)


def measure(build, count, seconds):
    tool = os.path.join(build, "tools/twostate-io")
    here = subprocess.run(["stat", "-f", "-c", "%T", build], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip().split("/")[0]
    here = "ext4" if here == "ext2" else here
    why = {"machine": "", "seconds": seconds, "file_systems": {}}
    with tempfile.TemporaryDirectory(dir=build) as folder:
        machine = os.path.join(folder, "machine.json")
        run(os.path.join(build, "bench/bench_lock"), "machine", "--json", machine)
        with open(machine, encoding="utf-8") as file:
            why["machine"] = json.load(file)["machine"]
        for _ in range(count):
            for name in [here, *LOOPED]:
                runs = (looped(name, tool, folder, seconds) if name in LOOPED
                        else compare(tool, folder, seconds))
                why["file_systems"].setdefault(name, []).append(runs)
    WHY.write_text(json.dumps(why, indent=1) + "\n")


# What the figures and the table show


def medians(why, name, value):
    """{way: the median over the runs on that file system}"""
    found = {}
    for way in WAYS:
        values = [value(entry) for runs in why["file_systems"][name] for entry in runs
                  if (entry["lock"], entry["cache"]) == way]
        found[way] = statistics.median(values)
    return found


def pooled(why, name, part, whole):
    """{way: what part adds up to over the runs, by what whole does}: for what is rare."""
    found = {}
    for way in WAYS:
        entries = [entry for runs in why["file_systems"][name] for entry in runs
                   if (entry["lock"], entry["cache"]) == way]
        found[way] = sum(map(part, entries)) / (sum(map(whole, entries)) if whole else 1)
    return found


def reads(entry):
    return sum(entry["kinds"][kind]["ops"] for kind in ("buffered_read", "direct_read"))


def torn_reads(entry):
    return 1e4 * sum(kind["torn"] for kind in entry["kinds"].values())


def torn_per_10000(why, name):
    return pooled(why, name, torn_reads, reads)


def eio(why, name):
    return pooled(why, name, lambda entry: entry["lost_on_disk"]["fsync_eio"], None)


NAMES = {"ext4": "ext4", "xfs": "XFS", "btrfs": "btrfs"}


WAIT = "the same: wait for the mode, p99.9, ms"


def short(value):
    if value >= 9950:
        return f"{value / 1000:.0f} k"
    if value >= 1000:
        return f"{value / 1000:.1f} k"
    return f"{value:.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def rate(key):
    return lambda entry: entry["slow"][key + "_ops_per_s"]


def longest_wait(entry):
    return max(entry["slow"][f"{side}_wait_p999_us"] for side in ("buffered", "direct")) / 1000


def table(why):
    """The table of README.md, line by line: what each way had on each file system."""
    systems = [name for name in NAMES if name in why["file_systems"]]

    def median(value):
        return lambda why, name: medians(why, name, value)

    rows = {
        "torn reads of 64 KiB, of 10,000": torn_per_10000,
        "EIO from fsync, in all runs": eio,
        "two buffered threads: operations a second": median(rate("alone")),
        "they, and two direct ones: buffered": median(rate("buffered")),
        "they, and two direct ones: direct": median(rate("direct")),
        WAIT: median(longest_wait),
    }
    yield (f"| on {', '.join(NAMES[name] for name in systems)} | " +
           " | ".join(name for name, _ in WAYS.values()) + " |")
    yield "|---" * (1 + len(WAYS)) + "|"
    for what, value in rows.items():
        found = [value(why, name) for name in systems]
        cells = ("-" if what == WAIT and way[0] == "none" else
                 ", ".join(short(values[way]) for values in found) for way in WAYS)
        yield f"| {what} | {' | '.join(cells)} |"


# Drawing


def plot(path, size, script):
    head = (f"set terminal svg size {size} dynamic noenhanced background 'white' font 'sans-serif,12'\n"
            f"set output '{path}'\nset style fill solid noborder\nset border 3\n"
            "set tics nomirror scale 0.5\nset grid ytics lc '#dddddd'\nunset key\n")
    subprocess.run(["gnuplot"], input=head + script, text=True, check=True)


def bars_of(first, step):
    """A bar for each way, beside each other: columns first, first + step, ..."""
    return ", \\\n     ".join(
        f"$d using ($1+{0.2 * n - 0.3:.1f}):{first + step * n} with boxes lc '{colour}' "
        f"title '{name}'" for n, (name, colour) in enumerate(WAYS.values()))


def groups(rows):
    """Data: for each (name, numbers) a line."""
    return "$d << EOD\n" + "".join(
        f"{n} " + " ".join(f"{number:.3f}" for number in numbers) + "\n"
        for n, (_, numbers) in enumerate(rows)) + "EOD\n" + (
            f"set xrange [-0.6:{len(rows) - 0.4}]\nset xtics (" +
            ", ".join(f'"{name}" {n}' for n, (name, _) in enumerate(rows)) + ")\n")


def starvation(rows, why):
    names = {"twostate": "twostate", "bcachefs_alg": "bcachefs'\\nalgorithm",
             "mutex_cond": "mutex and\\ncondition", "pthread_rwlock": "pthread\\nrwlock"}
    gets_in = [(names[row["lock"]], [row["per_s"]]) for row in rows if row["wants"] == "B"]
    sides = [(f"{NAMES[name]}: {side}", [value / 1000 for value in medians(
        why, name, lambda entry, side=side: entry["slow"][side + "_ops_per_s"]).values()])
             for name in ("ext4", "xfs") if name in why["file_systems"]
             for side in ("buffered", "direct")]
    plot(ROOT / "docs/starvation.svg", "900,340", f"""
set multiplot layout 1,2
set bmargin 3
set title "The lock: four threads hold A and always overlap.\\nOne wants B, and gets it, times a second"
set boxwidth 0.6
set yrange [0:*]
set offsets 0, 0, 30, 0
{groups(gets_in)}
plot $d using 1:2 with boxes lc '#0b6e4f', \\
     '' using 1:2:(sprintf("%.0f", $2)) with labels offset 0,0.6
set title "One file: two buffered and two direct threads.\\nThousand operations a second"
set boxwidth 0.19
set logscale y
set yrange [0.1:5000]
set key top left reverse Left samplen 1 maxrows 2
{groups(sides)}
plot {bars_of(2, 1)}
unset multiplot
""")


def torn(why):
    systems = list(why["file_systems"])
    found = {name: torn_per_10000(why, name) for name in systems}
    count = {name: medians(why, name, lambda entry: reads(entry) / entry["seconds"] / 1000)
             for name in systems}
    rows = [(NAMES[name], [*found[name].values(), *count[name].values()]) for name in systems]
    labels = ", \\\n     ".join(
        f"$d using ($1+{0.2 * n - 0.3:.1f}):(${n + 2} > 0.1 ? ${n + 2} : 0.1):"
        f"(${n + 2} > 0 ? sprintf(${n + 2} < 10 ? '%.1f' : '%.0f', ${n + 2}) : '0') with labels offset 0,0.6 notitle"
        for n in range(len(WAYS)))
    plot(ROOT / "docs/torn.svg", "900,340", f"""
set multiplot layout 1,2
set bmargin 2
set boxwidth 0.19
{groups(rows)}
set title "64 KiB reads beside writes of the same blocks,\\nbuffered and direct: torn, of 10,000"
set logscale y
set yrange [0.1:20000]
set key top left reverse Left samplen 1 maxrows 2
plot {bars_of(2, 1)}, \\
     {labels}
unset logscale y
unset key
set title "the same: thousand reads a second"
set yrange [0:*]
plot {bars_of(2 + len(WAYS), 1)}
unset multiplot
""")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--measure", type=int, metavar="N", default=0)
    parser.add_argument("--seconds", type=float, metavar="S", default=20)
    parser.add_argument("--build", metavar="DIRECTORY", default=str(ROOT / "build/release"))
    options = parser.parse_args()
    if options.measure > 0:
        measure(options.build, options.measure, options.seconds)
    why = json.loads(WHY.read_text())
    starvation(json.loads((ROOT / "docs/bench/starve.json").read_text()), why)
    torn(why)
    print(why["machine"])
    print("\n".join(table(why)))


if __name__ == "__main__":
    sys.exit(main())
