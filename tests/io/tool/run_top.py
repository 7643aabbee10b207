# SPDX-License-Identifier: MIT
"""twostate-io top, looking at an engine of `twostate-io run --serve`."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import Skip, check, interrupt, main, run, start, tool, wait_for_load

LOAD = ["--seconds", "1000", "--size", "1M", "--block-sizes", "4k"]


def served(directory, *arguments):
    """A load whose engine is served: the process and its file."""
    data = os.path.join(directory, "data")
    process = start("run", data, *LOAD, "--serve", *arguments)
    wait_for_load(process)
    while subprocess.run([tool, "top", str(process.pid), "--once"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL).returncode != 0:
        check(process.poll() is None, "ended early")
        time.sleep(0.05)
    return process, data


def check_table(text, process, data, cache):
    for word in (f"process {process.pid} (twostate-io)", os.path.realpath(data), f"cache {cache}",
                 "IOLOCK", "buffered", "direct", "exclusive"):
        check(word in text, f"{word} is not shown")
    check(re.search(r"mode (BUFFERED|DIRECT|unlocked)", text), "mode")


def views(directory):
    """By file, process and socket; as a table and as JSON; once and again."""
    process, data = served(directory)
    link = os.path.join(directory, "link")
    os.symlink("data", link)
    for target in (data, link, str(process.pid), f"@twostate/{process.pid}"):
        done = run("top", target, "--once")
        check_table(done.stdout, process, data, "kernel")
        check("\033" not in done.stdout, "not a terminal")
    state = json.loads(run("top", data, "--once", "--json").stdout)
    check(state["pid"] == process.pid, "pid")
    check(state["files"][0]["inode"] == os.stat(data).st_ino, "inode")
    looking = subprocess.Popen([tool, "top", data, "--json", "--interval", "0.1"],
                               stdout=subprocess.PIPE, text=True)
    counts = []
    while len(set(counts)) < 3:  # it goes on
        waits = json.loads(looking.stdout.readline())["files"][0]["waits"]
        counts.append(sum(kind["count"] for kind in waits.values()))
    looking.send_signal(signal.SIGINT)
    check(looking.wait() == 0, "^C is the way to end it")
    check(sorted(counts) == counts, "counts grow")

    # Whoever looks is told when there is nothing more to see.
    looking = subprocess.Popen([tool, "top", data, "--interval", "0.1"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    looking.stdout.readline()
    check("clean" in interrupt(process, 0)[0], "the load was disturbed")
    out, err = looking.stdout.read(), looking.stderr.read()
    check(looking.wait() == 0 and "has ended" in err, "the end")
    check("buffered" in out, "the table")


def terminal(directory):
    """On a terminal it is redrawn in place, and q ends it and leaves the terminal as it was."""
    process, data = served(directory, "--cache", "user")
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(tool, [tool, "top", data, "--interval", "0.2"])
    text = b""
    while text.count(b"\033[H") < 4:
        text += os.read(fd, 65536)
    os.write(fd, b"q")
    try:
        while True:
            more = os.read(fd, 65536)
            if not more:
                break
            text += more
    except OSError:  # the other end is closed
        pass
    check(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "exit status")
    os.close(fd)
    check(text.startswith(b"\033[?1049h") and text.endswith(b"\033[?1049l"), "the screen is back")
    check(text.count(b"\033[?25l") == text.count(b"\033[?25h") == 1, "the cursor is back")
    screen = text.decode().replace("\033[K\r\n", "\n")
    check_table(screen, process, data, "user")
    check("user cache, MiB:" in screen, "the cache")
    check("clean" in interrupt(process, 0)[0], "the load was disturbed")


def nobody(directory):
    """What there is to say if there is nothing to look at; and names that can't be had."""
    data = os.path.join(directory, "data")
    with open(data, "wb"):
        pass
    for target in (data, "1", str(2 ** 31)):
        done = run("top", target, "--once", status=2)
        check("--serve" in done.stderr and done.stdout == "", "what to do")
    for arguments in ([], [data, "more"], ["@twostate/no-such"], [os.path.join(directory, "no")],
                      [data, "--interval", "0"], [data, "--nonsense"], ["@" + "x" * 200]):
        done = run("top", *arguments, status=2)
        check(done.stderr != "" and done.stdout == "", "a message on stderr")
    os.unlink(data)

    path = os.path.join(directory, "socket")
    process = start("run", data, *LOAD, f"--serve={path}")
    while not os.path.exists(path):
        time.sleep(0.01)
    check_table(run("top", path, "--once").stdout, process, data, "kernel")
    other = os.path.join(directory, "other")
    done = run("run", other, "--ops", "1", f"--serve={path}", status=2)
    check("--serve" in done.stderr, "why not")
    check(done.stderr.count("\n") == 1, "and it is not the file's fault")
    check("clean" in interrupt(process, 0)[0], "the load was disturbed")
    check(os.listdir(directory) == [], "something is left behind")
    run("run", data, "--lock", "none", "--serve", status=2)


def answer(listener, text):
    while True:
        try:
            visitor, _ = listener.accept()
        except OSError:
            return
        with visitor:
            if select.select([visitor], [], [], 10)[0] and visitor.recv(1):
                visitor.sendall(text)


def liars(directory):
    """Whatever answers: no crash, and nothing that a terminal would obey."""
    odd = {"path": "/x\033[31m\u009b31m\n", "mode": "\033c", "cache": 7, "iotype": [], "size": "x"}
    answers = {
        b"": 2, b"\n": 2, b"{}\n": 2, b"[" * 100000 + b"\n": 2, b"no JSON\n": 2,
        b'{"files": 1}\n': 2, b'{"files": []}\n': 0, b'{"files": [1, null, []]}\n': 0,
        json.dumps({"files": [odd], "backend": "\033]0;x\007"}).encode() + b"\n": 0,
    }
    for text, status in answers.items():
        with socket.socket(socket.AF_UNIX) as listener:
            name = os.path.join(directory, "socket")
            listener.bind(name)
            listener.listen()
            thread = threading.Thread(target=answer, args=(listener, text))
            thread.start()
            done = run("top", name, "--once", status=status)
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
        os.unlink(name)
        check("\033" not in done.stdout and "\u009b" not in done.stdout and "\007" not in
              done.stdout, "a terminal would obey")


def drip(listener):
    """An answer that is always about to come."""
    try:
        visitor, _ = listener.accept()
        with visitor:
            while True:
                visitor.sendall(b"[")
                time.sleep(0.5)
    except OSError:
        return


def dawdler(directory):
    """However slowly it comes, an answer is not waited for without end."""
    name = os.path.join(directory, "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        done = run("top", name, "--once", status=2)
        check(done.stdout == "", "nothing to show")
        thread.join()
    os.unlink(name)


def crowd(_):
    """Where too many wait already, it is not said that nobody serves."""
    name = f"\0twostate/{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(name)
        listener.listen(0)
        first.connect(name)
        done = run("top", str(os.getpid()), "--once", status=2)
        check("at once" in done.stderr, done.stderr)


def strangers(directory):
    """Another user is told that he may not look."""
    if os.geteuid() != 0:
        raise Skip("needs root, to be somebody else")
    process, _ = served(directory)
    done = subprocess.run([tool, "top", str(process.pid), "--once"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, user=65534, group=65534, cwd="/")
    check(done.returncode == 2 and "only its user and root" in done.stderr, done.stderr)
    check("clean" in interrupt(process, 0)[0], "the load was disturbed")


sys.exit(main(views, terminal, nobody, liars, dawdler, crowd, strangers))
