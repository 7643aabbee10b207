# SPDX-License-Identifier: MIT
"""How twostate-io is told what to do: options, sizes, job files, the help."""
import json
import os
import re
import shutil
import subprocess
import sys

from harness import KINDS, check, check_clean, main, run, run_json, total

TOPICS = ["run", "threads", "sizes", "jobs", "check", "caches", "top", "exit"]


def options(directory):
    """Mistakes are told, and exit with 2; nothing is made. What is no mistake has its effect."""
    data = os.path.join(directory, "data")
    mistakes = [
        [], ["run"], ["walk", data], ["--seed", "1", "run", data], ["run", data, "more"], ["run", data, "--nonsense"],
        ["run", data, "--size"], ["run", data, "--size", "4x"], ["run", data, "--size", "1"],
        ["run", data, "--size", "-4k"], ["run", data, "--size", "4kk"],
        ["run", data, "--block-sizes", "4k,"], ["run", data, "--block-sizes", "2M"],
        ["run", data, "--block-sizes", "63"], ["run", data, "--block-sizes", "4k" + ",4k" * 8],
        ["run", data, "--seconds", "0"], ["run", data, "--seconds", "ten"],
        ["run", data, "--seconds", "nan"], ["run", data, "--ops", "0"],
        ["run", data, "--seed", "-1"], ["run", data, "--lock", "mutex"],
        ["run", data, "--backend", "aio"], ["run", data, "--unaligned", "101"],
        ["run", data, "--cache", "none"], ["run", data, "--cache", ""],
        ["run", data, "--cache"], ["run", data, "--cache", "User"],
        ["run", data, "--cache", "user", "--lock", "rwlock"],
        ["run", data, "--cache", "user", "--lock", "none"],
        ["run", data, "--cache-bytes", "64M"],
        ["run", data, "--cache", "kernel", "--compare", "--cache-bytes", "64M"],
        ["run", data, "--cache", "user", "--cache-bytes", "4095k"],
        ["run", data, "--cache", "user", "--cache-bytes", "2T"],
        ["run", data, "--async", "0"], ["run", data, "--async", "257"],
        ["run", data, "--threads", "reads=1"], ["run", data, "--threads", "fsync"],
        ["run", data, "--threads", "all=0"], ["run", data, "--threads", "fsync=65"],
        ["run", data, "--punch", "1@0"], ["run", data, "--punch", "1@"],
        ["run", data, "--append", "1.5"], ["run", data, "--fsync", "0" * 15 + "1"],
        ["run", data, "--compare=fast"],
        ["run", data, "--compare="], ["run", data, "--compare=lost,"],
        ["run", data, "--compare=lost", "--size", "1M"],
        ["run", data, "--size", "1T", "--block-sizes", "64", "--unaligned", "0", "--ops", "10"],
        ["run", data, "--size", "1T"], ["run", data, "--size", "1025M", "--block-sizes", "64",
                                        "--unaligned", "off", "--ops", "10"],
    ]
    for arguments in mistakes:
        done = run(*arguments, status=2)
        check(done.stderr != "" and done.stdout == "", "a message on stderr")
    check(os.listdir(directory) == [], "a file was made")
    run("run", os.path.join(directory, "no", "data"), status=2)
    run("run", directory, status=2)
    run("run", "/dev/null", status=2)
    runs, _ = run_json(directory, "--ops", "500", "--seed", "77", "--size", "1M", "--block-sizes",
                       "512,4k,1M", "--buffered-write", "3", "--truncate", "2@50", "--unaligned",
                       "50")
    check(runs[0]["seed"] == 77, "seed")
    check(450 <= total(runs[0], "ops") <= 500, "ops")
    check_clean(runs[0])
    runs, _ = run_json(directory, "--ops", "100", "--size", "1M", "--fsync", "0")
    for name, kind in runs[0]["kinds"].items():
        check(runs[0]["seconds"] * 1e6 >= 0.9 * kind["p999_us"], f"shorter than one {name}")
    runs, _ = run_json(directory, "--ops", "10", "--async", "256", "--size", "1M", "--threads",
                       "all=0,buffered_write=1")
    check(total(runs[0], "ops") == 10, "a batch of more than is left")
    runs, _ = run_json(directory, "--ops", "010", "--seed", "08", "--size", "1M", "--threads",
                       "all=0,buffered_write=1")
    check(total(runs[0], "ops") == 10 and runs[0]["seed"] == 8, "whole numbers are decimal")


def sizes(directory):
    """What a size may look like, and how each way of getting it wrong is told."""
    data = os.path.join(directory, "data")
    wrong = {
        "0": "too small: at least 4k", "4095": "too small: at least 4k", "-4k": "negative",
        "1.5T": "too large: at most 1T", "9" * 400 + "k": "too large: at most 1T",
        "18446744073709551616G": "too large: at most 1T",
        "4097.5": "whole number of bytes", "": "not a size like", "k": "not a size like",
        " 4k": "not a size like", "0x2000": "not a size like", "nan": "not a size like",
        "inf": "not a size like", "+4k": "not a size like", "4kk": "'kk' is no unit",
        "4x": "'x' is no unit", "4k ": "'k ' is no unit", "4KBi": "'KBi' is no unit",
        "1MB": "MiB", "64kb": "kiB",
    }
    for size, why in wrong.items():
        done = run("run", data, "--size", size, status=2)
        check(why in done.stderr and "--size" in done.stderr, f"'{size}': {why}")
    check(os.listdir(directory) == [], "a file was made")
    lengths = set()  # of the file, which begins with an area of this size
    for size in ("1048576", "1024k", "1024KiB", "1M", "1m", "1MiB", "1mi", "1048576B", "1.0M",
                 "0.0009765625G"):
        run("run", data, "--size", size, "--ops", "2", "--keep", "--overwrite", "--unaligned",
            "off", "--threads", "all=0,buffered_read=1")
        lengths.add(os.path.getsize(data))
    check(len(lengths) == 1 and max(lengths) >= 1 << 20, f"one size in ten ways: {lengths}")


def write_jobs(directory, text):
    path = os.path.join(directory, "job.ini")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def jobs(directory):
    """Job files: sections are runs, [global] and the command line are for all of them."""
    data = os.path.join(directory, "data")
    result = os.path.join(directory, "out.json")
    path = write_jobs(directory, f"""\ufeff# a comment
        [global]
        file = {data}       ; where all of them are
        ops=40
        size=1M
        keep
        [first one]
        seed=1
        keep=no
        [second]\r
        threads=all=0,buffered_read=2
        seed=2
        cache=user
        """)
    run("job", path, "--json", result)
    check(os.path.exists(data), "keep of [global]")
    with open(result, encoding="utf-8") as file:
        runs = json.load(file)["runs"]
    check([(r["job"], r["seed"], r["cache"]) for r in runs] ==
          [("first one", 1, "kernel"), ("second", 2, "user")], "the jobs")
    for entry in runs:
        check_clean(entry)
        check(36 <= total(entry, "ops") <= 40, "ops")
    check([k for k in KINDS if runs[1]["kinds"][k]["ops"] > 0] == ["buffered_read"], "threads")

    os.unlink(data)
    other = os.path.join(directory, "other")
    done = run("job", path, other, "--section", "second", "--ops", "20", "--seed", "7", "--json",
               "-")
    runs = json.loads(done.stdout)["runs"]
    check([(r["job"], r["seed"]) for r in runs] == [("second", 7)], "--section, --seed")
    check(total(runs[0], "ops") <= 20, "the command line goes before the file")
    check(os.path.exists(other) and not os.path.exists(data), "FILE goes before file=")


def job_mistakes(directory):
    """They are told with their line, before anything is run."""
    mistakes = {
        "[a]\nfile=x\nsize=4x\n": ":3: --size: '4x'",
        "[a]\nfile=x\n\n# \nnonsense=1\n": ":5: 'nonsense'",
        "[a]\nfile=x\njson=y\n": ":3: 'json'", "[a]\nfile=x\nhelp\n": ":3: 'help'",
        "[a]\nfile=\n": ":2: 'file'", "[a]\nops\n": ":2: ops: a value is missing",
        "[a]\nkeep=perhaps\n": ":2: keep: 'perhaps'", "ops=1\n": ":1: 'ops=1' is in no section",
        "[a\nops=1\n": ":1: '[a'", "[]\n": ":1: a section without a name",
        "[a]\nfile=x\n[a]\n": ":3: there is a job 'a' already",
        "[a]\ncompare=fast\n": ":2: --compare: 'fast'",
        "[a]\nops=1\n": ": [a]: neither file=",
        "[a]\nfile=x\n[b]\nfile=x\ncompare=lost\nasync=2\n": ": [b]: --compare=PARTS",
        "[a]\nfile=x\nthreads=all=0\n": ": [a]: no kind has a thread",
        "[global]\nfile=x\n": "there is no job in it", "": "there is no job in it",
        "[a]\0\n": "is not a text",
    }
    for text, why in mistakes.items():
        path = write_jobs(directory, text)
        done = run("job", path, status=2)
        check(path in done.stderr and why in done.stderr and done.stdout == "", f"{why}")
        check(os.listdir(directory) == ["job.ini"], "something ran")
    path = write_jobs(directory, "[a]\nfile=x\n")
    for arguments in ([], [path, "more", "yet"], [path, "--ops", "0"], [path, "--nonsense"],
                      [path, "--section", "b"], [os.path.join(directory, "no")], [directory]):
        done = run("job", *arguments, status=2)
        check(done.stderr != "" and done.stdout == "", "a message on stderr")

    # The worst status of all jobs; the others run all the same.
    data = os.path.join(directory, "data")
    path = write_jobs(directory, f"[global]\nops=10\nsize=1M\n[a]\nfile={directory}/no/data\n"
                                 f"[b]\nfile={data}\n")
    done = run("job", path, status=2)
    check("clean" in done.stdout, "job b")


def help_(directory):
    """--help is short and names the topics; each topic has a page, and every option is on one."""
    short = run("--help").stdout
    check(short.count("\n") <= 25, "--help fits a screen")
    check(run("help").stdout == short and run("-h").stdout == short, "help is --help")
    for topic in TOPICS:
        check(topic in short.splitlines()[-1], f"{topic} in --help")
        page = run("help", topic).stdout
        check(page != "" and max(map(len, page.splitlines())) <= 100, topic)
        check(run("--help", topic).stdout == page, f"--help {topic}")
    for command in ("help", "--help"):
        done = run(command, "cooking", status=2)
        check(done.stdout == "" and "caches" in done.stderr, "the topics that there are")
        run(command, "run", "top", status=2)
    check(run("run", "--help").stdout == run("help", "run").stdout, "run --help")
    check(run("job", "--help").stdout == run("help", "jobs").stdout, "job --help")
    for command, topic in (("run", "run"), ("job", "jobs"), ("top", "top")):
        told = run(command, "x", "--nonsense", status=2).stderr
        check(told.startswith(f"twostate-io {command}: ") and f"help {topic}." in told, told)
    page = run("help", "run").stdout
    for option in ("--compare", "--cache NAME", "--cache-bytes SIZE", "--direct-write"):
        check(option in page, f"{option} in help run")
    for kind in KINDS:
        check(kind in run("help", "threads").stdout, kind)
    told = run("run", os.path.join(directory, "data"), "--threads", "reads=1", status=2).stderr
    check(all(kind in told for kind in KINDS), "the kinds that there are")
    version = run("--version").stdout
    check(re.fullmatch(r"twostate-io \d+\.\d+\.\d+\n", version), "version")
    check(run("run", "--version").stdout == version, "run --version")
    for word in ("0 ", "1 ", "2 "):
        check(re.search(f"^{word}", run("help", "exit").stdout, re.M), "exit statuses")


def complete(script, *words):
    """What bash would offer for the last of the words."""
    done = subprocess.run(
        ["bash", "--norc", "-c", """source "$1"; shift
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _twostate_io && printf '%s\\n' "${COMPREPLY[@]}" """, "bash", script, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    print("complete", *words, "->", done.stdout.split(), flush=True)
    check(done.stderr == "", done.stderr)
    return sorted(filter(None, done.stdout.split("\n")))


def options_of(page):
    return sorted(set(re.findall(r"--[a-z][a-z-]+", page)))


def completion(directory, scripts):
    """The shells offer what the help lists, and the values that an option can have."""
    script = os.path.join(scripts, "twostate-io.bash")

    def offered(*words):
        return complete(script, "twostate-io", *words)

    of_run = options_of(run("help", "run").stdout)
    check(offered("run", "data", "--") == of_run, "options of run")
    check(offered("job", "--") == sorted(of_run + ["--section"]), "options of job")
    of_top = options_of(run("help", "top").stdout.split("Options")[1])
    check(offered("top", "--") == of_top, "options of top")
    check(offered("") == ["--help", "--version", "help", "job", "run", "top"], "commands")
    for command in ("help", "--help"):
        check(offered(command, "") == sorted(TOPICS), "topics")
    check(offered("run", "data", "--cache") == ["--cache", "--cache-bytes"], "half an option")
    check(offered("run", "data", "--keep", "--qu") == ["--quiet"], "behind one without a value")
    check(offered("run", "--cache", "") == ["kernel", "user"], "values")
    check(offered("run", "--cache", "=", "u") == ["user"], "a value behind =")
    check(offered("run", "--compare", "=") == ["lost", "slow", "torn"], "=")
    check(offered("run", "--compare", "=", "lost,s") == ["lost,slow"], "a list")
    check(offered("run", "--threads", "all", "=", "0,dir") == ["0,direct_read", "0,direct_write"],
          "a list of kinds")
    check(offered("run", "--threads", "") == sorted(KINDS + ["all"]), "kinds")
    check(offered("run", "--seconds", "") == [], "a number")
    for name in ("data 1", "data 2", "other"):
        with open(os.path.join(directory, name), "wb"):
            pass
    there = os.path.join(directory, "data")
    check(offered("run", there) == [there + " 1", there + " 2"], "files")
    check(offered("run", "--quiet", there) == [there + " 1", there + " 2"], "files, again")
    path = write_jobs(directory, "[global]\nops=1\n[first one]\n ; [x]\n[second]\n")
    check(offered("job", path, "--section", "") == ["first one", "second"], "sections")

    with open(os.path.join(scripts, "_twostate-io"), encoding="utf-8") as file:
        text = file.read()
    load, top = re.findall(r"=\(\n(.*?)\n\)\n", text, re.S)
    found = re.compile(r"^ *'(?:\(- \*\))?(--[a-z-]+?)(?:=-?)?\[", re.M)
    check(sorted(found.findall(load)) == of_run, "zsh: options of run")
    check(sorted(found.findall(top)) == of_top, "zsh: options of top")
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n", os.path.join(scripts, "_twostate-io")], check=True)


sys.exit(main(options, sizes, jobs, job_mistakes, help_, completion))
