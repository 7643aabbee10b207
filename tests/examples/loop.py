# SPDX-License-Identifier: MIT
"""examples/loop.c serves many clients, has 1000 requests in its engine at once, keeps those back that
are too many, and waits nowhere but in epoll_wait. usage: loop.py PROGRAM

That it does not wait is read from strace, which names every system call of the loop's thread: the test
fails at any that is not in the list below, or has not the flags there that keep it from waiting."""
import atexit
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HEADER = struct.Struct("=QqIHH")
READ, WRITE, SNAPSHOT = range(3)
DIRECT, DSYNC = 1, 2
PIECE = 4096
IN_FLIGHT, SLOTS = 1000, 1024
LIMIT = 240  # seconds, before the test gives up

# What the thread may call between "serving" and its end, and what the call must look like.
MAY_CALL = {
    "epoll_wait": "",
    "epoll_pwait": "",
    "epoll_ctl": "",
    "accept4": "SOCK_NONBLOCK",  # the socket doesn't block either
    "recvmsg": "MSG_DONTWAIT",
    "sendmsg": "MSG_DONTWAIT",
    "close": "",  # of a client's socket
    "read": r"^\d+<anon_inode:\[eventfd\]>",
    "write": r"^\d+<anon_inode:\[eventfd\]>",
    "io_uring_enter": r"^\d+(<[^>]*>)?, \d+, 0, ",  # submits, and waits for no completion
    "newfstatat": "AT_EMPTY_PATH",  # the size of the open file, which is in memory
    "fstat": "",
    "futex": "FUTEX_WAKE",
    "mmap": "MAP_ANONYMOUS",
    "munmap": "",
    "madvise": "",
    "mprotect": "",
    "brk": "",
    "sched_yield": "",
    "membarrier": "PRIVATE_EXPEDITED",  # of this process only
    "rt_sigprocmask": "",
    "getrandom": "",
    "clock_gettime": "",
    "restart_syscall": "",
}
# Counted: in pthread_mutex_lock and pthread_cond_signal the C library may wait for another thread that is
# in the same few instructions of it. All that waits for something to happen (locks of this library,
# conditions, semaphores, ends of threads) calls FUTEX_WAIT_BITSET, and is not allowed.
MUTEX = re.compile(r"FUTEX_WAIT_PRIVATE, \d+, NULL\)")


def fail(text):
    print(f"FAILED: {text}")
    sys.exit(1)


class Daemon:
    def __init__(self, program, directory, traced=False):
        directory = tempfile.mkdtemp(dir=directory)
        self.socket = os.path.join(directory, "socket")
        self.file = os.path.join(directory, "data")
        self.snapshot = os.path.join(directory, "snapshot")
        self.trace = os.path.join(directory, "trace")
        command = [program, self.socket, self.file, self.snapshot]
        if traced:
            command = ["strace", "-yy", "-s", "16", "-o", self.trace] + command
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "serving\n":
            fail("the daemon does not serve")
        self.pid = 0
        atexit.register(self.kill)
        self.pid = self.process.pid
        if traced:
            with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
                self.pid = int(children.read().split()[0])

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            if self.pid not in (0, self.process.pid):
                os.kill(self.pid, signal.SIGKILL)

    def halt(self):
        """Stops it, until SIGCONT. It is on its way out of epoll_wait when this has been told to the kernel:
        what comes before it is out would be found there, and served without the rest."""
        os.kill(self.pid, signal.SIGSTOP)
        state = ""
        while state not in ("T", "t"):
            time.sleep(0.001)
            with open(f"/proc/{self.pid}/task/{self.pid}/stat") as stat:
                state = stat.read().rpartition(")")[2].split()[0]

    def connect(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(self.socket)
        return client

    def stop(self):
        """Ends it, and returns what it counted: served, most in the engine, refused for a time."""
        os.kill(self.pid, signal.SIGTERM)
        said, _ = self.process.communicate()
        if self.process.returncode != 0:
            fail(f"the daemon ended with {self.process.returncode}")
        return [int(number) for number in re.findall(r"\d+", said)]


def request(tag, operation, offset=0, length=PIECE, flags=0, data=b""):
    return HEADER.pack(tag, offset, length, operation, flags) + data


def answer(client):
    packet = client.recv(HEADER.size + PIECE)
    tag, result, _, operation, _ = HEADER.unpack(packet[: HEADER.size])
    return tag, operation, result, packet[HEADER.size :]


def ask(client, *args, **kwargs):
    client.send(request(0, *args, **kwargs))
    return answer(client)[2:]


def content(number):
    return struct.pack("=Q", number) * (PIECE // 8)


def expect(found, wanted, what):
    if found != wanted:
        fail(f"{what}: {found!r:.100}, not {wanted!r:.100}")


def few(daemon):
    """One client, one request at a time: what it gets, and what it is refused."""
    client = daemon.connect()
    expect(ask(client, READ), (0, b""), "a read of nothing")
    expect(ask(client, WRITE, 0, 5, data=b"hello"), (5, b""), "a write")
    expect(ask(client, READ), (5, b"hello"), "a read")
    expect(ask(client, WRITE, 3, 2, data=b"p!"), (2, b""), "a write within")
    expect(ask(client, READ, 1, 3), (3, b"elp"), "a read within")
    expect(ask(client, WRITE, PIECE, PIECE, DIRECT | DSYNC, content(1)), (PIECE, b""), "a direct write")
    expect(ask(client, READ, PIECE), (PIECE, content(1)), "a read of it")
    expect(ask(client, READ, PIECE, PIECE, DIRECT), (PIECE, content(1)), "a direct read")
    for wrong in (request(0, 9), request(0, READ, 0, PIECE + 1), request(0, READ, 0, 1, 4),
                  request(0, WRITE, 0, 5, 0, b"four"), request(0, READ, data=b"more"), b"short"):
        client.send(wrong)
        expect(answer(client)[2], -22, "what makes no sense")
    expect(ask(client, READ, -1)[0], -22, "a negative offset")
    expect(ask(client, SNAPSHOT), (0, b""), "a snapshot")
    with open(daemon.file, "rb") as data, open(daemon.snapshot, "rb") as snapshot:
        expect(snapshot.read(), data.read(), "the snapshot")
    return 16


def thousand(daemon, clients=75, each=20):
    """More requests than fit, all there when the daemon looks: it was stopped meanwhile."""
    connections = [daemon.connect() for _ in range(clients)]
    for connection in connections:  # accepted, and at rest
        expect(ask(connection, READ, 1 << 40), (0, b""), "a read far behind the end")
    daemon.halt()
    for c, connection in enumerate(connections):
        for i in range(each):
            number = c * each + i
            connection.send(request(number, WRITE, number * PIECE, PIECE, number % 2 * DIRECT,
                                    content(number)))
    os.kill(daemon.pid, signal.SIGCONT)
    for c, connection in enumerate(connections):
        tags = set()
        for i in range(each):
            tag, operation, result, _ = answer(connection)
            expect((operation, result), (WRITE, PIECE), "one of many writes")
            tags.add(tag)
        expect(tags, set(range(c * each, (c + 1) * each)), "the tags of replies")
    return clients * (each + 1)


def many(daemon, clients=60, rounds=60, depth=20):
    """Clients that keep `depth` requests going each, of both kinds, while there are snapshots. (Replies
    to that many fit into a socket: so those who only send here, for a while, don't block the daemon.)"""
    connections = [daemon.connect() for _ in range(clients)]
    known = {}  # tag -> what a read has to find
    served, snapshots, tag = 0, 0, 0
    left = {connection: rounds for connection in connections}
    shooter = daemon.connect()
    shooter.send(request(0, SNAPSHOT))

    def send_one(connection):
        nonlocal tag
        tag += 1
        number = tag * 7919 % (clients * rounds)
        if tag % 2:
            connection.send(request(tag, READ, number * PIECE, PIECE, tag % 3 % 2 * DIRECT))
            known[tag] = content(number)
        else:
            connection.send(request(tag, WRITE, number * PIECE, PIECE, tag % 5 % 2 * DIRECT,
                                    content(number)))
        left[connection] -= 1

    for connection in connections:
        for _ in range(min(depth, rounds)):
            send_one(connection)
    waiting = clients * rounds
    shooting = True
    while waiting > 0 or shooting:
        ready, _, _ = select.select(connections + [shooter], [], [])
        for connection in ready:
            number, operation, result, data = answer(connection)
            served += 1
            if connection is shooter:
                snapshots += 1
                expect(result, 0, "a snapshot among others")
                shooting = waiting > 1
                if shooting:
                    shooter.send(request(0, SNAPSHOT))
                continue
            waiting -= 1
            if operation == READ and data not in (b"", bytes(PIECE), known[number]):
                fail(f"request {number}: a read finds what nobody wrote there")
            elif operation == WRITE:
                expect(result, PIECE, "a write among others")
            if left[connection] > 0:
                send_one(connection)
    if snapshots == 0:
        fail("no snapshot among others")
    return served


def consistent(daemon, snapshots=10, apart=200):
    """One client writes the same number here, then there, again and again. In a snapshot what is there is
    never newer than what is here, and at most one older."""
    writer, shooter = daemon.connect(), daemon.connect()
    number, asked = 1, 0
    shooter.send(request(0, SNAPSHOT))
    while asked < snapshots:
        for piece in (0, apart):
            expect(ask(writer, WRITE, piece * PIECE, PIECE, 0, content(number)), (PIECE, b""), "a write")
        if select.select([shooter], [], [], 0)[0]:
            expect(answer(shooter)[2], 0, "a snapshot of what is written")
            with open(daemon.snapshot, "rb") as snapshot:
                data = snapshot.read().ljust((apart + 1) * PIECE, b"\0")
            here, there = (struct.unpack_from("=Q", data, piece * PIECE)[0] for piece in (0, apart))
            if here - there not in (0, 1):
                fail(f"a snapshot has {here} and {there}, of a file that was written in turns")
            asked += 1
            if asked < snapshots:
                shooter.send(request(0, SNAPSHOT))
        number += 1
    return asked, 2 * (number - 1)


def leavers(daemon):
    """Clients that go without waiting for their replies."""
    for _ in range(20):
        client = daemon.connect()
        for number in range(40):
            client.send(request(number, READ, number * PIECE))
        client.close()
    silent = daemon.connect()  # reads no reply, and is there until the end
    silent.setblocking(False)
    patience = 20
    while patience > 0:
        try:
            silent.send(request(0, READ))
        except BlockingIOError:  # the daemon has stopped to read it, or will read on
            patience -= 1
            time.sleep(0.005)
    client = daemon.connect()
    expect(ask(client, WRITE, 0, 5, data=b"still"), (5, b""), "a write after others have left")
    return silent


def check_trace(path):
    calls, mutexes, serving = {}, 0, False
    with open(path) as trace:
        for line in trace:
            found = re.match(r"(\w+)\((.*)", line)
            if not found:
                continue  # a signal, or how a call went on
            name, rest = found.groups()
            if name == "write" and '"serving' in rest:
                serving = True
            elif serving and name in ("read", "write") and '"served' in rest:
                break
            elif serving:
                if name == "unlink":
                    break  # the loop has ended
                if name == "futex" and MUTEX.search(rest):
                    mutexes += 1
                elif name not in MAY_CALL or not re.search(MAY_CALL[name], rest):
                    fail(f"the loop's thread may wait: {line.strip()}")
                calls[name] = calls.get(name, 0) + 1
    if calls.get("epoll_wait", 0) + calls.get("epoll_pwait", 0) == 0 or "recvmsg" not in calls:
        fail(f"the trace shows no loop: {calls}")
    print(f"the loop's calls: {calls}; of its futex calls {mutexes} are inside pthread_mutex_lock or pthread_cond_signal")


def main():
    program = os.path.abspath(sys.argv[1])
    signal.signal(signal.SIGALRM, lambda *_: fail("something waits for ever"))
    signal.alarm(LIMIT)
    with tempfile.TemporaryDirectory(dir=".", prefix="loop-") as directory:
        daemon = Daemon(program, directory)
        started = time.monotonic()
        expected = few(daemon) + thousand(daemon) + many(daemon)
        served, most, refusals = daemon.stop()
        print(f"served {served}, most in the engine {most}, refused for a time {refusals}: "
              f"{time.monotonic() - started:.1f} s")
        expect(served, expected, "requests served")
        expect(most, IN_FLIGHT, "requests in the engine at once")
        if refusals < SLOTS - IN_FLIGHT:
            fail("the engine refused too few")
        with open(daemon.file, "rb") as data:
            for number in range(1500):
                expect(data.read(PIECE), content(number), f"piece {number}")

        daemon = Daemon(program, directory)
        asked, written = consistent(daemon)
        expect(daemon.stop()[0], asked + written, "requests of snapshots and writes")

        daemon = Daemon(program, directory)
        silent = leavers(daemon)
        daemon.stop()
        silent.close()

        if shutil.which("strace") is None:
            print("NOT TESTED: that the loop never waits: there is no strace")
            sys.exit(77)
        daemon = Daemon(program, directory, traced=True)
        few(daemon)
        thousand(daemon)
        many(daemon, 6, 60, 20)
        daemon.stop()
        check_trace(daemon.trace)


main()
