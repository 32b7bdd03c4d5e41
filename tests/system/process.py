"""The process: memory, signals, listening, plain CGI, the command line."""

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import threading
import time

from tests.harness import fcgi
from tests.harness.servers import (NO_SPOOL, PROGRAM, Flagtally, Lighttpd, Place,
                                   Process, Redis, environment, free_port)
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
FACTOR = 20 if SANITIZER else 1
LARGE = 20 * 10 ** 6 if SANITIZER else 10 ** 9
MEGABYTE = 1024 * 1024
PIECE = 65528
STOP_LIMIT = 2.0
PATH = os.path.abspath(PROGRAM)

# Makes the descriptors that are named into 3, 4 and so on, and runs a program.
PASS_ON = """
import fcntl, os, sys
count = int(sys.argv[1])
high = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 100) for n in sys.argv[2:2 + count]]
for number, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + number)
    os.close(descriptor)
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""

# Sends what it reads from standard input on many connections, and waits.
HALF_CLIENT = """
import signal, socket, sys
data = sys.stdin.buffer.read()
kept = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    client.sendall(data)
    kept.append(client)
print("sent", flush=True)
signal.pause()
"""


def element(feature="f", yes=1, **changes):
    return {"featureName": feature, "appName": "a", "environment": "e",
            "timestamp": "2026-11-23T09:30:00Z", "yes": yes, "no": 0,
            "variants": {}, **changes}


def body(*elements):
    return json.dumps({"applications": [],
                       "metrics": list(elements or [element()])}).encode()


def counts(redis, bucket="2026-11-23"):
    """The integers of a bucket of application a."""
    return {field.decode(): int(value) for field, value in
            redis.client.value(f"flagtally:{{e:a}}:{bucket}").items()} if (
                redis("EXISTS", f"flagtally:{{e:a}}:{bucket}")) else {}


def total(redis):
    return sum(counts(redis).values())


def status_of(pid, name):
    """A size in /proc/PID/status, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name}")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def connections(flagtally):
    """The connections of a process that listens on a path."""
    with open("/proc/net/unix", encoding="utf-8") as file:
        # Columns 6 and 8: the state, of which 03 is connected, and the path.
        return [line for line in file if line.split()[5:8:2] ==
                ["03", flagtally.address]]


def stat_of(pid):
    """State and parent of a process; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8",
                  errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return state, int(parent)


def children(parent):
    found = []
    for pid in os.listdir("/proc"):
        seen = stat_of(pid) if pid.isdigit() else None
        if seen and seen[1] == parent and seen[0] != "Z":
            found.append(int(pid))
    return found


def gone(pid):
    seen = stat_of(pid)
    return seen is None or seen[0] == "Z"


def all_read(*connections):
    """Whether the peers have read all that was sent (to Unix sockets)."""
    for connection in connections:
        left = fcntl.ioctl(connection.socket, termios.TIOCOUTQ, b"\0" * 4)
        if struct.unpack("i", left)[0]:
            return False
    return True


class Program(Process):
    """The program with a standard input and arguments as they are wanted."""

    def __init__(self, place, name, before=(), arguments=(), stdin=None,
                 descriptors=(), program=PATH, variables=None, **settings):
        self.place, self.name, self.log = place, name, name + ".log"
        with open(place.file(self.log), "ab") as log:
            self.process = subprocess.Popen(
                [*before, program, *arguments], stdout=log, stderr=log,
                stdin=stdin if stdin is not None else subprocess.DEVNULL,
                pass_fds=descriptors, cwd=place.path,
                env={**environment(**settings), **(variables or {})})
        place.servers.append(self)

    def started(self):
        self.ready(lambda: " is ready" in self.place.read(self.log))
        return self

    def text(self):
        return self.place.read(self.log)

    def failed(self):
        """Whether it ends by itself, soon, with a status that is not 0."""
        try:
            return self.wait(5) != 0
        except subprocess.TimeoutExpired:
            return False


def basic(redis, **settings):
    """The settings that every process of these tests needs."""
    return {"redis": redis.url(), "auth": "none", "spool": NO_SPOOL, **settings}


def listener(path=None):
    """A listening socket: of a path, or TCP."""
    if path is None:
        server = socket.socket(socket.AF_INET)
        server.bind(("127.0.0.1", 0))
    else:
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
    server.listen(128)
    return server


def stop(process, number=signal.SIGTERM):
    """Signal a process; return its status and how long it took."""
    began = time.monotonic()
    process.signal(number)
    status = process.wait(30)
    return status, time.monotonic() - began


def check_stop(process, name, number=signal.SIGTERM):
    status, took = stop(process, number)
    check(status == 0, f"{name}: the exit status is 0", status,
          process.place.read(process.log)[-20000:])
    check(took < STOP_LIMIT, f"{name}: it ends within {STOP_LIMIT} s",
          f"took {took:.3f} s")


# Clients that post without pause

class NotSent(Exception):
    """Nothing of the request has been sent."""


class Sender:
    """Posts over FastCGI, on one connection or on one for each request."""

    def __init__(self, address, keep):
        self.address, self.keep = address, keep
        self.connection = None

    def __call__(self, content):
        if self.connection is None:
            try:
                self.connection = fcgi.Connection(self.address)
            except OSError as error:
                raise NotSent from error
        kept = False
        try:
            answer = self.connection.request(fcgi.params(content), content,
                                             keep=self.keep)
            kept = self.keep
            return answer.status
        finally:
            if not kept:
                self.connection.close()
                self.connection = None


class Load:
    """Clients, each with a counter of its own, and what they were told."""

    def __init__(self, senders):
        self.ending = threading.Event()
        self.accepted = [0] * len(senders)
        self.unknown = [0] * len(senders)
        self.others = []
        self.threads = [threading.Thread(target=self.client, args=item,
                                         daemon=True)
                        for item in enumerate(senders)]
        for thread in self.threads:
            thread.start()

    def client(self, number, send):
        content = body(element(f"c{number}"))
        while not self.ending.is_set():
            try:
                status = send(content)
            except NotSent:
                return
            except Exception:
                self.unknown[number] += 1
            else:
                if status == 202:
                    self.accepted[number] += 1
                elif status:
                    self.others.append(status)
                else:
                    self.unknown[number] += 1

    def more(self, count):
        """Wait until so many more requests have been accepted."""
        wanted = sum(self.accepted) + count
        until(lambda: sum(self.accepted) >= wanted, f"{count} requests")

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(30)
        if any(thread.is_alive() for thread in self.threads):
            raise RuntimeError("a client hangs")

    def check(self, redis, name, definite=True):
        """What was accepted is counted, and no more than was sent.

        With a web server between, its own refusals say nothing for certain.
        """
        got = counts(redis)
        wrong = []
        for number, accepted in enumerate(self.accepted):
            most = accepted + self.unknown[number]
            if not definite:
                most += len(self.others)
            value = got.get(f"c{number}:yes", 0)
            if not accepted <= value <= most:
                wrong.append(f"client {number}: {accepted} accepted, "
                             f"{most} at most, {value} in Redis")
        check(not wrong and sum(self.accepted) > 0,
              f"{name}: what was accepted is counted, once", *wrong)
        blamed = [status for status in self.others if 400 <= status < 500]
        equal(blamed[:5], [], f"{name}: no client is blamed")
        refused = [status for status in self.others if status != 503]
        equal(refused[:5] if definite else [], [],
              f"{name}: a refusal is 503")
        note(f"{sum(self.accepted)} accepted, {len(self.others)} refused, "
             f"{sum(self.unknown)} without an answer")


# Memory

def large_piece():
    """About 1 MB of elements, as records, with 1,000 distinct counters."""
    one = ",".join(json.dumps(element(
        f"f{i}", i % 9 + 1, no=i % 7 + 1,
        variants={"on": i % 5 + 1, "off": i % 3 + 1}),
        separators=(",", ":")) for i in range(250))
    times = MEGABYTE // (len(one) + 1)
    text = b"," + ",".join([one] * times).encode()
    text += b" " * (-len(text) % PIECE)
    expected = {}
    for i in range(250):
        expected.update({f"f{i}:yes": (i % 9 + 1) * times,
                         f"f{i}:no": (i % 7 + 1) * times,
                         f"f{i}:variant:on": (i % 5 + 1) * times,
                         f"f{i}:variant:off": (i % 3 + 1) * times})
    records = b"".join(fcgi.record(fcgi.STDIN, text[i:i + PIECE])
                       for i in range(0, len(text), PIECE))
    return records, len(text), expected


def large_body():
    """A body of 1 GB needs no more memory than its counters do."""
    records, size, expected = large_piece()
    times = LARGE // size + 1
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, limit_body=0, limit_inflated=0)
        client = fcgi.Connection(flagtally.address, timeout=60)
        began = time.monotonic()
        client.send(fcgi.begin() + fcgi.stream(fcgi.PARAMS, b"".join(
            fcgi.pair(*item) for item in
            fcgi.params(CONTENT_LENGTH=None).items())))
        # It begins with an element that counts nothing.
        client.send(fcgi.record(fcgi.STDIN, body(element("f0", 0))[:-2]))
        for _ in range(times):
            client.send(records)
        client.send(fcgi.stream(fcgi.STDIN, b"]}"))
        answer = client.read_answer()
        note(f"{size * times} bytes in {time.monotonic() - began:.1f} s")
        peak = status_of(flagtally.pid, "VmHWM")
        equal((answer.status, answer.body), (202, b"{}"),
              "a very large body is accepted")
        wanted = {name: count * times for name, count in expected.items()}
        equal(len(wanted), 1000, "it has 1,000 counters")
        equal(counts(redis), wanted, "its sums by day are exact")
        equal(counts(redis, "2026-11-23T09"), wanted,
              "its sums by hour are exact")
        check(peak < 16 * MEGABYTE * FACTOR,
              "memory does not grow with the body", f"peak {peak}")
        note(f"peak of resident memory: {peak // 1024} KiB")
        check_stop(flagtally, "after a very large body")


def idle_memory():
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        # OpenSSL's libraries take 2 MB, which other processes share.
        with open(f"/proc/{flagtally.pid}/maps", encoding="ascii") as maps:
            most = 10 if "libcrypto" in maps.read() else 8
        # The committer and the main thread come on top.
        threads = len(os.listdir(f"/proc/{flagtally.pid}/task"))
        check(threads >= 33, "all 32 request threads are started", threads)
        size = flagtally.resident()
        check(size < most * MEGABYTE * FACTOR, "memory after the start", size)
        note(f"resident after the start: {size // 1024} KiB")
        load = Load([Sender(flagtally.address, i % 2) for i in range(32)])
        load.more(1000)
        load.end()
        load.check(redis, "32 clients")
        size = flagtally.resident()
        check(size < most * MEGABYTE * FACTOR, "memory after requests", size)
        note(f"resident after requests: {size // 1024} KiB")


# Signals

def stop_under_load():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1) * 2:
        name = f"{number.name} under load"
        with Place() as place:
            redis = Redis(place)
            flagtally = Flagtally(place, redis)
            load = Load([Sender(flagtally.address, i % 2)
                         for i in range(16)])
            load.more(300)
            check_stop(flagtally, name, number)
            load.end()
            check(not os.path.lexists(flagtally.address),
                  f"{name}: the socket's file is removed")
            load.check(redis, name)


def web_sender(web):
    def send(content):
        try:
            return web.post(content)[0]
        except ConnectionRefusedError as error:
            raise NotSent from error
    return send


def stop_with_parent():
    with Place() as place:
        redis = Redis(place)
        web = Lighttpd(place, processes=4, **basic(redis))
        pids = until(lambda: len(children(web.pid)) == 4 and
                     children(web.pid), "four processes")
        load = Load([web_sender(web) for _ in range(16)])
        load.more(300)
        began = time.monotonic()
        web.signal(signal.SIGTERM)
        until(lambda: all(gone(pid) for pid in pids), "the processes' end")
        took = time.monotonic() - began
        check(took < 3, "they end with their web server within 3 s",
              f"took {took:.3f} s")
        web.wait()
        load.end()
        load.check(redis, "with the web server", definite=False)


def half_requests():
    """Requests that stop at different places, each after some bytes."""
    content = body()
    head = fcgi.begin() + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(*item) for item in fcgi.params(content).items()))
    chunked = fcgi.begin() + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(*item) for item in
        fcgi.params(content, CONTENT_LENGTH=None).items()))
    half = fcgi.record(fcgi.STDIN, content[:len(content) // 2])
    whole = fcgi.record(fcgi.STDIN, content)
    return {
        "one byte": head[:1],
        "half the parameters": head[:len(head) // 2],
        "no body": head,
        "half the body": head + half,
        "half a record": head + half[:-20],
        "half the body of unknown length": chunked + half,
        "all but the end": head + whole,
        "all but the end, of unknown length": chunked + whole,
    }


def answer_or_none(connection):
    try:
        return connection.read_answer().status
    except ConnectionError:
        return None


def stop_while_idle():
    content = body()
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        kept = fcgi.Connection(flagtally.address)
        equal(kept.request(fcgi.params(content), content, keep=True).status,
              202, "a request on a connection that is kept")
        silent = fcgi.Connection(flagtally.address)
        check_stop(flagtally, "with idle connections")
        check(kept.closed(), "the kept connection is closed")
        check(silent.closed(), "so is the one that sent nothing")
        check(not os.path.lexists(flagtally.address),
              "with idle connections: the socket's file is removed")
        equal(total(redis), 1, "with idle connections: the sum is right")


def stop_at_the_door():
    """Those who had connected before it was told to stop are served."""
    content = body()
    request = fcgi.begin() + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(*item) for item in fcgi.params(content).items())) + (
            fcgi.stream(fcgi.STDIN, content))
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, threads=2)
        flagtally.signal(signal.SIGSTOP)
        until(lambda: stat_of(flagtally.pid)[0] == "T", "it to halt")
        clients = [fcgi.Connection(flagtally.address) for _ in range(40)]
        for client in clients:
            client.send(request)
        flagtally.signal(signal.SIGTERM)
        flagtally.signal(signal.SIGCONT)
        statuses = [answer_or_none(client) for client in clients]
        equal(statuses, [202] * 40, "connections that nobody has accepted yet")
        equal(flagtally.wait(), 0, "then it ends")
        equal(total(redis), 40, "and each of them counts")


def stop_half_way():
    for name, sent in half_requests().items():
        with Place() as place:
            redis = Redis(place)
            flagtally = Flagtally(place, redis)
            half = fcgi.Connection(flagtally.address)
            half.send(sent)
            until(lambda: all_read(half), "the half request to be read")
            check_stop(flagtally, name)
            status = answer_or_none(half)
            check(status in (None, 503),
                  f"{name}: the sender is not blamed", status)
            equal(total(redis), 0, f"{name}: nothing is counted")
            check(not os.path.lexists(flagtally.address),
                  f"{name}: the socket's file is removed")


def stop_without_redis():
    content = body()
    request = fcgi.begin() + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(*item) for item in fcgi.params(content).items())) + (
            fcgi.stream(fcgi.STDIN, content))
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        equal(fcgi.post(flagtally.address, content).status, 202,
              "a request while Redis answers")
        redis.signal(signal.SIGSTOP)
        until(lambda: stat_of(redis.pid)[0] == "T", "Redis to stop")
        clients = [fcgi.Connection(flagtally.address) for _ in range(8)]
        for client in clients:
            client.send(request)
        until(lambda: all_read(*clients), "the requests to be read")
        check_stop(flagtally, "while Redis does not answer")
        statuses = [answer_or_none(client) for client in clients]
        check(set(statuses) <= {None, 202, 503},
              "while Redis does not answer: no client is blamed", statuses)
        check(not os.path.lexists(flagtally.address),
              "while Redis does not answer: the socket's file is removed")
        redis.signal(signal.SIGCONT)
        # What was accepted without Redis, the next process brings to it.
        Flagtally(place, redis, name="next")
        accepted = 1 + statuses.count(202)
        until(lambda: total(redis) >= accepted, "what was accepted")
        check(total(redis) <= 1 + len(clients),
              "while Redis does not answer: nothing is counted twice",
              total(redis), statuses)


def hang_up():
    with Place() as place:
        redis = Redis(place)
        tokens = place.file("tokens", "*:*.one\n")
        flagtally = Flagtally(place, redis, auth="tokens", tokens=tokens)
        content = body()

        def send(token):
            return fcgi.post(flagtally.address, content,
                             HTTP_AUTHORIZATION=token).status
        equal((send("*:*.one"), send("*:*.two")), (202, 403),
              "the tokens before SIGHUP")
        for _ in range(5):
            flagtally.signal(signal.SIGHUP)
            equal(send("*:*.one"), 202, "SIGHUP does not stop it")
        place.file("tokens", "*:*.two\n")
        flagtally.signal(signal.SIGHUP)
        until(lambda: send("*:*.two") == 202, "the new token")
        equal(send("*:*.one"), 403, "the old token is void")
        equal((flagtally.running(), total(redis)), (True, 7),
              "every request was counted")
        check_stop(flagtally, "after SIGHUP")


def come_and_go():
    """1,000 connections without a request, and clients that are killed."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        equal(fcgi.post(flagtally.address, body()).status, 202,
              "a request before")
        until(lambda: not connections(flagtally), "the connection's end")
        before = descriptors(flagtally.pid)
        for _ in range(1000):
            fcgi.Connection(flagtally.address).close()
        equal(fcgi.post(flagtally.address, body()).status, 202,
              "a request after 1,000 connections")
        until(lambda: descriptors(flagtally.pid) <= before,
              "all connections to be closed")
        check(True, "no connection is left open")
        for name, sent in half_requests().items():
            # More of them than there are threads.
            client = subprocess.Popen(
                [sys.executable, "-c", HALF_CLIENT, flagtally.address, "40"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            client.stdin.write(sent)
            client.stdin.close()
            client.stdout.readline()
            client.kill()
            client.wait()
            client.stdout.close()
            equal(fcgi.post(flagtally.address, body()).status, 202,
                  f"a request after clients were killed: {name}")
            until(lambda: descriptors(flagtally.pid) <= before,
                  "their connections to be closed")
        equal(total(redis), 2 + len(half_requests()),
              "the killed clients' requests are not counted")
        check_stop(flagtally, "after killed clients")


# Listening

def check_serves(address, redis, name):
    before = total(redis)
    equal([fcgi.post(address, body()).status for _ in range(3)], [202] * 3,
          f"{name}: requests are answered")
    equal(total(redis), before + 3, f"{name}: and counted")


def inherited():
    with Place() as place:
        redis = Redis(place)
        settings = basic(redis)
        path = place.file("zero.sock")
        with listener(path) as server:
            program = Program(place, "zero", stdin=server,
                              **settings).started()
            check_serves(path, redis, "descriptor 0, a Unix socket")
            check_stop(program, "descriptor 0")
            check(os.path.lexists(path),
                  "the file of a socket that was inherited stays")
        with listener() as server:
            Program(place, "tcp", stdin=server, **settings).started()
            check_serves(server.getsockname(), redis,
                         "descriptor 0, a TCP socket")


def passed_on():
    """LISTEN_FDS and LISTEN_PID, as sd_listen_fds(3) has them."""
    with Place() as place:
        redis = Redis(place)
        settings = basic(redis)
        paths = [place.file("a.sock"), place.file("b.sock")]
        servers = [listener(path) for path in paths]
        numbers = [server.fileno() for server in servers]
        before = [sys.executable, "-c", PASS_ON, "2", *map(str, numbers)]
        own = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$0"']
        program = Program(place, "passed", before=before + own,
                          descriptors=numbers,
                          variables={"LISTEN_FDS": "2"},
                          **settings).started()
        for number, path in enumerate(paths):
            check_serves(path, redis, f"descriptor {3 + number}")
        check_stop(program, "with passed sockets")
        check(all(os.path.lexists(path) for path in paths),
              "the files of passed sockets stay")
        # They are meant for another process: there is nothing to listen on.
        program = Program(place, "foreign", before=before,
                          descriptors=numbers,
                          variables={"LISTEN_FDS": "2", "LISTEN_PID": "1"},
                          **settings)
        status = program.wait()
        check(status == 64, "LISTEN_PID of another process is ignored",
              status, program.text())
        zero = place.file("zero.sock")
        with listener(zero) as server:
            Program(place, "both", before=before, descriptors=numbers,
                    stdin=server, variables={"LISTEN_FDS": "2",
                                             "LISTEN_PID": "1"},
                    **settings).started()
            check_serves(zero, redis, "descriptor 0 beside foreign ones")
        for server in servers:
            server.close()


def mode_of(path):
    return oct(stat.S_IMODE(os.stat(path).st_mode))


def path_modes():
    with Place() as place:
        redis = Redis(place)
        for mask in ("000", "022", "077"):
            for mode in (None, "0600", "0666", "777"):
                name = f"umask {mask}, listen_mode {mode or 'default'}"
                path = place.file(f"{mask}-{mode}.sock")
                settings = {"listen_mode": mode} if mode else {}
                program = Program(
                    place, f"{mask}-{mode}",
                    before=["/bin/sh", "-c", f'umask {mask}; exec "$0"'],
                    **basic(redis, listen=path, **settings)).started()
                equal(mode_of(path), oct(int(mode or "0660", 8)), name)
                if mask == "077" and mode is None:
                    check_serves(path, redis, name)
                    check_stop(program, name)
                    check(not os.path.lexists(path),
                          "the socket's file is removed")
                else:
                    program.kill()


def paths():
    with Place() as place:
        redis = Redis(place)
        settings = basic(redis)
        first = Flagtally(place, redis)
        path = first.address
        before = os.stat(path).st_ino
        second = Program(place, "second", listen=path, **settings)
        check(second.failed(),
              "two cannot listen on one path")
        check(path in second.text(), "the message names it", second.text())
        equal(os.stat(path).st_ino, before, "the first one's file stays")
        check_serves(path, redis, "the first one")
        first.kill()
        check(os.path.lexists(path), "a killed process leaves its file")
        third = Program(place, "third", listen=path, **settings).started()
        check_serves(path, redis, "with a stale file replaced")
        check_stop(third, "with a stale file replaced")
        check(not os.path.lexists(path), "the file is removed then")
        precious = place.file("precious", "do not delete\n")
        other = Program(place, "other", listen=precious, **settings)
        check(other.failed(), "a file that is no socket is an error")
        check(os.path.isfile(precious),
              "a file that is no socket is not replaced")
        for name, bad in (("missing", place.file("no/such.sock")),
                          ("long", place.file("x" * 120))):
            program = Program(place, name, listen=bad, **settings)
            check(program.failed() and bad in program.text(),
                  f"a path that is {name} is an error", program.text())


def at_once():
    """Of several that find a stale socket at once, one takes its place."""
    with Place() as place:
        redis = Redis(place)
        path = place.file("at once.sock")
        for attempt in range(5):
            listener(path).close()
            programs = [Program(place, f"{attempt}-{number}",
                                **basic(redis, listen=path))
                        for number in range(6)]
            until(lambda: all(not program.running() or
                              " is ready" in program.text()
                              for program in programs), "all have decided")
            equal(sum(program.running() for program in programs), 1,
                  "six at once and a stale socket: one serves")
            check_serves(path, redis, "six at once and a stale socket")
            for program in programs:
                program.kill()
            os.unlink(path)
            equal([name for name in os.listdir(place.path)
                   if name.startswith(".")], [], "no other file is left")


def on_port(place, redis, name, host):
    """A program that listens on a port; others may take it first."""
    for attempt in range(5):
        where = f"{host}:{free_port()}"
        program = Program(place, f"{name}-{attempt}", listen=where,
                          **basic(redis))
        try:
            return program.started(), where
        except RuntimeError:
            place.servers.remove(program)
    raise RuntimeError(program.text())


def hosts():
    with Place() as place:
        redis = Redis(place)
        for name, host, address in (("ipv4", "127.0.0.1", "127.0.0.1"),
                                    ("ipv6", "[::1]", "::1"),
                                    ("named", "localhost", None)):
            program, where = on_port(place, redis, name, host)
            port = int(where.rpartition(":")[2])
            if address is None:
                # Which of its addresses was the first that worked?
                address = "127.0.0.1" if socket.socket().connect_ex(
                    ("127.0.0.1", port)) == 0 else "::1"
            check_serves((address, port), redis, f"{host}:PORT")
            second = Program(place, name + "-again", listen=where,
                             **basic(redis))
            check(second.failed() and f"{where}: " + os.strerror(
                errno.EADDRINUSE) in second.text(),
                  f"{host}:PORT twice is an error", second.text())
            check_stop(program, f"{host}:PORT")
        for bad in ("127.0.0.1", "127.0.0.1:http-no-such", "[::1]",
                    "256.1.1.1:80"):
            program = Program(place, "bad", listen=bad,
                              **basic(redis))
            check(program.failed() and bad in program.text(),
                  f"listen = {bad} is an error", program.text())


def unread_log():
    """Nothing reads the log: requests are answered all the same."""
    with Place() as place:
        redis = Redis(place)
        address = place.file("unread.sock")
        process = subprocess.Popen(
            [PATH], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment(listen=address, log_level="debug", threads=2,
                            **basic(redis)))
        try:
            until(lambda: os.path.exists(address), "the socket")
            client = fcgi.Connection(address, timeout=10)
            # Each is a line of the log; a pipe holds 64 KiB.
            statuses = {client.request(fcgi.params(b"x"), b"x",
                                       keep=True).status
                        for _ in range(3000)}
            equal(statuses, {400}, "a log that nobody reads: requests are "
                  "answered")
            equal(fcgi.post(address, body()).status, 202, "and count")
            os.set_blocking(process.stderr.fileno(), False)
            text = b""

            def told():
                nonlocal text
                text += process.stderr.read() or b""
                return re.search(rb"warning: lines that are lost because the "
                                 rb"log could not be written: (\d+)\n", text)
            lost = int(until(told, "the number of lines that are lost")[1])
            check(text.count(b"rejected a body") + lost >= 3000,
                  "when it is read, it says how many lines are lost",
                  text.count(b"rejected a body"), lost)
        finally:
            process.terminate()
            process.wait(20)


def shared():
    """Three processes accept from one socket."""
    with Place() as place, listener(place.file("shared.sock")) as server:
        path = place.file("shared.sock")
        redis = Redis(place)
        settings = basic(redis)
        programs = [Program(place, f"shared{i}", stdin=server,
                            **settings).started() for i in range(3)]
        load = Load([Sender(path, False) for _ in range(12)])
        load.more(500)
        load.end()
        equal((load.others, sum(load.unknown)), ([], 0),
              "three processes at one socket: all requests are answered")
        load.check(redis, "three processes at one socket")
        redis("FLUSHALL")
        load = Load([Sender(path, False) for _ in range(12)])
        load.more(200)
        check_stop(programs[0], "one of three at one socket")
        load.more(200)
        load.end()
        load.check(redis, "while one of three stops")
        redis("FLUSHALL")
        load = Load([Sender(path, False) for _ in range(12)])
        load.more(300)
        load.end()
        equal((load.others, sum(load.unknown)), ([], 0),
              "two of three go on: all requests are answered")
        load.check(redis, "two of three go on")
        check(programs[1].running() and programs[2].running(),
              "the others run still")


def few_descriptors():
    with Place() as place:
        redis = Redis(place)
        path = place.file("few.sock")
        program = Program(place, "few", before=[
            "/bin/sh", "-c", 'ulimit -n 64; exec "$0"'], listen=path,
            **basic(redis)).started()
        content = body()
        kept = []
        for number in range(200):
            connection = fcgi.Connection(path)
            kept.append(connection)
            # Half of them never send anything.
            if number % 2:
                status = connection.request(fcgi.params(content), content,
                                            keep=True).status
                if status != 202:
                    check(False, f"request {number} with 64 descriptors",
                          status)
        check(True, "200 connections are kept with 64 descriptors")
        equal([fcgi.post(path, content).status for _ in range(20)],
              [202] * 20, "new requests are served still")
        equal(total(redis), 120, "with 64 descriptors the sum is right")
        for connection in kept:
            connection.close()
        check_stop(program, "with 64 descriptors")


# Plain CGI

def cgi_environment(redis, content, changes):
    variables = environment(**basic(redis, spool=redis.path + ".db"))
    variables.update(fcgi.params(content, **changes))
    return variables


def cgi(redis, content, stdin=None, **changes):
    """One CGI process; its status, answer and messages."""
    done = subprocess.run([PATH], input=content if stdin is None else stdin,
                          env=cgi_environment(redis, content, changes),
                          capture_output=True, timeout=20, check=False)
    return done.returncode, fcgi.Answer(done.stdout), done.stderr


def cgi_answers():
    content = body()
    with Place() as place:
        redis = Redis(place)
        code, answer, errors = cgi(redis, content)
        equal((code, answer.status, answer.body), (0, 202, b"{}"),
              "CGI: a good body")
        equal(answer.headers.get("content-type"), "application/json",
              "CGI: its answer's type")
        equal((total(redis), errors), (1, b""), "CGI: it is counted")
        code, answer, _ = cgi(redis, body(element(yes=-1)))
        equal((code, answer.status, answer.headers.get("content-type"),
               json.loads(answer.body).get("pointer")),
              (0, 400, "application/problem+json", "/metrics/0/yes"),
              "CGI: a bad body")
        code, answer, _ = cgi(redis, b"", REQUEST_METHOD="GET")
        equal((code, answer.status, answer.headers.get("allow")),
              (0, 405, "POST"), "CGI: a wrong method")
        code, answer, _ = cgi(redis, content, REQUEST_URI="/x",
                              SCRIPT_NAME="/x")
        equal((code, answer.status), (0, 404), "CGI: another path")
        code, answer, _ = cgi(redis, content, CONTENT_TYPE="text/plain")
        equal((code, answer.status), (0, 415), "CGI: another type")
        code, answer, _ = cgi(redis, content, FLAGTALLY_LIMIT_BODY="10")
        equal((code, answer.status), (0, 413), "CGI: too large")
        code, answer, _ = cgi(redis, content, FLAGTALLY_AUTH="tokens")
        equal((code, answer.status), (0, 403), "CGI: no token")
        tokens = place.file("tokens", "*:*.one\n")
        code, answer, _ = cgi(redis, content, FLAGTALLY_AUTH="tokens",
                              FLAGTALLY_TOKENS=tokens,
                              REDIRECT_HTTP_AUTHORIZATION="Bearer *:*.one")
        equal((code, answer.status), (0, 202), "CGI: with a token")
        equal(total(redis), 2, "CGI: only good bodies are counted")


def cgi_input():
    content = body()
    with Place() as place:
        redis = Redis(place)
        _, answer, _ = cgi(redis, content, stdin=content[:-10])
        equal(answer.status, 400, "CGI: standard input that ends early")
        _, answer, _ = cgi(redis, content, stdin=b"")
        equal(answer.status, 400, "CGI: no standard input at all")
        equal(total(redis), 0, "CGI: they are not counted")
        _, answer, _ = cgi(redis, content, stdin=content + b"{} garbage")
        equal(answer.status, 202, "CGI: standard input that is longer")
        path = place.file("input", content.decode() + "more" * 10000)
        with open(path, "rb") as file:
            done = subprocess.run([PATH], stdin=file, capture_output=True,
                                  env=cgi_environment(redis, content, {}),
                                  timeout=20, check=False)
            equal((fcgi.Answer(done.stdout).status,
                   os.lseek(file.fileno(), 0, os.SEEK_CUR)),
                  (202, len(content)),
                  "CGI: no more than CONTENT_LENGTH is read")
        process = cgi_open(redis, content)
        process.stdin.write(content)
        answer = fcgi.Answer(process.stdout.read())
        equal((process.wait(20), answer.status), (0, 202),
              "CGI: it does not wait for the end of standard input")
        cgi_close(process)
        equal(total(redis), 3, "CGI: these are counted")
        for name, length in (("without", None), ("with an empty", "")):
            _, answer, _ = cgi(redis, content, CONTENT_LENGTH=length)
            equal(answer.status, 202, f"CGI: {name} CONTENT_LENGTH")
            _, answer, _ = cgi(redis, content, CONTENT_LENGTH=length,
                               stdin=content[:-10])
            equal(answer.status, 400, f"CGI: {name} CONTENT_LENGTH, half")
            _, answer, _ = cgi(redis, content, CONTENT_LENGTH=length,
                               stdin=content + b"{}")
            equal(answer.status, 400,
                  f"CGI: {name} CONTENT_LENGTH, something behind")
        equal(total(redis), 5, "CGI: it is read to the end")
        content = body(*(element(f"f{i}") for i in range(20000)))
        _, answer, _ = cgi(redis, content, FLAGTALLY_LIMIT_FEATURES="0")
        # On a busy machine Redis may be slow for a moment, and the spool has it.
        subprocess.run([PATH, "--replay"], check=True, timeout=60,
                       env=cgi_environment(redis, b"", {
                           "GATEWAY_INTERFACE": None}))
        equal((answer.status, total(redis)), (202, 20005),
              "CGI: a body that is larger than a pipe")


def cgi_drip():
    """A body that comes by single bytes costs no more than any other."""
    content = b'{"x":"' + b"\\u0061" * 60000
    drops = 1500
    with Place() as place:
        redis = Redis(place)
        process = cgi_open(redis, content + b"a" * drops)
        process.stdin.write(content)
        for _ in range(drops):
            until(lambda: waiting(process.stdin) == 0, "it to be read")
            process.stdin.write(b"a")
        process.stdin.close()
        answer = fcgi.Answer(process.stdout.read())
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = code
        equal(answer.status, 400, "CGI: a string that comes by single bytes")
        # Reading all of it again with each byte would take half a second.
        note(f"it took {used.ru_utime:.3f} s")
        check(SANITIZER or used.ru_utime < 0.2, "CGI: in little time",
              used.ru_utime)


def waiting(pipe):
    """How many bytes of a pipe nobody has read yet."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD,
                                          b"\0" * 4))[0]


def cgi_unread():
    """A body that is not wanted is read all the same, after the answer.

    Standard input and output may be one socket, as with Apache's mod_cgid,
    and a web server that cannot get rid of the body may lose the answer.
    """
    content = b"x" * 3000000
    chunks = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}
    with Place() as place:
        redis = Redis(place)
        for name, status, changes in (
                ("another type", 415, {"CONTENT_TYPE": "text/plain"}),
                ("another type, in chunks", 415,
                 {"CONTENT_TYPE": "text/plain", **chunks}),
                ("no token", 403, {"FLAGTALLY_AUTH": "tokens"}),
                ("another path", 404, {"REQUEST_URI": "/x",
                                       "SCRIPT_NAME": "/x"}),
                ("no JSON", 400, {}), ("no JSON, in chunks", 400, chunks),
                ("a large one", 413, {"FLAGTALLY_LIMIT_BODY": "1M"})):
            ours, theirs = socket.socketpair()
            with ours:
                process = subprocess.Popen(
                    [PATH], stdin=theirs, stdout=theirs,
                    stderr=subprocess.DEVNULL,
                    env=cgi_environment(redis, content, changes))
                theirs.close()
                ours.settimeout(20)
                ours.sendall(content[:-1])
                answer = b""
                while more := ours.recv(65536):
                    answer += more
                equal(fcgi.Answer(answer).status, status,
                      f"CGI: {name}: the answer ends before the body does")
                check(process.poll() is None,
                      f"CGI: {name}: and the program after it")
                ours.sendall(content[-1:])
                ours.shutdown(socket.SHUT_WR)
                equal(process.wait(20), 0, f"CGI: {name}: all is read")
        process = cgi_open(redis, b"", REQUEST_METHOD="GET",
                           CONTENT_LENGTH=None)
        equal(process.wait(20), 0, "CGI: no body is waited for without a "
              "word of it")
        cgi_close(process)


def cgi_open(redis, content, **changes):
    return subprocess.Popen([PATH], stdin=subprocess.PIPE, bufsize=0,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=cgi_environment(redis, content, changes))


def cgi_close(process):
    for file in (process.stdin, process.stdout, process.stderr):
        file.close()


def cgi_at_once():
    content = body(element(), element("g", 3))
    with Place() as place:
        redis = Redis(place)
        processes = [cgi_open(redis, content) for _ in range(50)]
        for process in processes:
            process.stdin.write(content)
        answers = []
        for process in processes:
            output = process.stdout.read()
            answers.append((process.wait(20), fcgi.Answer(output).status))
            cgi_close(process)
        equal(answers, [(0, 202)] * 50, "50 CGI processes are accepted")
        equal(counts(redis), {"f:yes": 50, "g:yes": 150},
              "50 CGI processes are counted")


def cgi_faults():
    content = body()
    with Place() as place:
        redis = Redis(place)
        process = cgi_open(redis, content)
        process.stdin.write(content[:20])
        # It has read the half when the pipe is empty.
        until(lambda: waiting(process.stdin) == 0, "the half body to be read")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            pass
        check(process.poll() is not None,
              "CGI: SIGTERM ends it although its body stops half-way")
        process.kill()
        answer = fcgi.Answer(process.stdout.read())
        process.wait()
        cgi_close(process)
        check(answer.status in (0, 503), "CGI: nobody is blamed for that",
              answer.status)
        equal(total(redis), 0, "CGI: it is not counted")
        # A web server that has gone away.
        process = cgi_open(redis, content)
        process.stdout.close()
        process.stderr.close()
        process.stdin.write(content)
        equal(process.wait(20), 0, "CGI: nobody reads the answer")
        process.stdin.close()
        equal(total(redis), 0, "CGI: it is not counted, but sent again")
        redis.kill()
        began = time.monotonic()
        code, answer, errors = cgi(redis, content, FLAGTALLY_SPOOL=NO_SPOOL)
        equal((code, answer.status), (0, 503), "CGI: without Redis")
        check(answer.headers.get("retry-after", "").isdigit(),
              "CGI: it says when to try again", answer.headers)
        check(time.monotonic() - began < 2.5, "CGI: it says so in time")
        check(errors != b"", "CGI: and why on standard error")


# The command line and the configuration

def command(*arguments, program=PATH, variables=None, **settings):
    """Run the program; return its status, output and messages."""
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL,
                          env={**environment(**settings),
                               **(variables or {})},
                          capture_output=True, text=True, timeout=20,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def usage():
    status, output, errors = command(auth="none")
    check((status, output) == (64, ""), "neither a socket nor CGI: 64",
          status, output, errors)
    check("listen" in errors, "the message helps", errors)
    status, output, errors = command("--version")
    equal((status, errors), (0, ""), "--version succeeds")
    check(output.startswith("flagtally ") and output.count("\n") == 1,
          "--version prints the version", output)
    status, output, errors = command("--help")
    equal((status, errors), (0, ""), "--help succeeds")
    check(all(word in output for word in
              ("usage", "--config", "--check-config", "--version")),
          "--help tells the options", output)
    for arguments in (["--no-such-option"], ["-x"], ["stray"], ["--config"],
                      ["--check-config", "stray"], ["--version=1"]):
        status, output, errors = command(*arguments)
        equal((status, output), (64, ""), f"{arguments} is wrong usage")
        check("usage" in errors, f"{arguments}: the usage is shown", errors)
    for option in ("--version", "--help", "--check-config"):
        with open("/dev/full", "w", encoding="ascii") as disk:
            done = subprocess.run([PATH, option], stdout=disk, timeout=20,
                                  stderr=subprocess.PIPE, text=True,
                                  env=environment(auth="none"), check=False)
        check(done.returncode == 1 and "standard output" in done.stderr,
              f"{option} to a full disk is an error", done)


BAD_LINES = [
    # The key that the message must name, and its line.
    ("threads", "threads = many"), ("threads", "threads = 0"),
    ("thread", "thread = 3"), ("auth", "auth = nobody"),
    ("retention_hourly", "retention_hourly = 3y"),
    ("listen_mode", "listen_mode = 0888"),
    ("limit_body", "limit_body = -1"), ("prefix", "prefix = a\nprefix = b"),
    ("redis_timeout", "redis_timeout ="), ("[section]", "[section]"),
]


def check_config():
    with Place() as place:
        good = place.file("good.ini", "; a comment\nthreads = 7\n\n"
                          "prefix = one\ntokens = tokens\n")
        tokens = place.file("tokens", "*:*.secret\n")
        status, output, errors = command("--config", good, "--check-config",
                                         prefix="two")
        equal((status, errors), (0, ""), "--check-config of a good file")
        lines = dict(line.split(" = ", 1) for line in output.splitlines()
                     if " = " in line)
        check(lines["threads"].startswith("7") and
              f"{good}:2" in lines["threads"],
              "it says which line a value is from", lines["threads"])
        check(lines["prefix"].startswith("two") and
              "FLAGTALLY_PREFIX" in lines["prefix"],
              "a variable is over the file", lines["prefix"])
        check(lines["auth"].startswith("tokens") and
              "default" in lines["auth"], "and the file over the default",
              lines["auth"])
        known = {"listen", "listen_mode", "threads", "redis", "tokens",
                 "redis_password_file", "redis_timeout", "prefix", "auth",
                 "auth_header", "invalid", "retention_hourly", "log_level",
                 "retention_daily", "limit_body", "limit_inflated",
                 "limit_counters", "limit_depth", "limit_name",
                 "limit_features", "limit_apps", "limit_instances",
                 "limit_series", "path_prefix"}
        equal(known - set(lines), set(), "it tells all keys")
        for key, text in BAD_LINES:
            bad = place.file("bad.ini", "; comment\n\n" + text + "\n")
            # Of two lines it is the second that is wrong.
            line = 4 if "\n" in text else 3
            status, output, errors = command("--config", bad,
                                             "--check-config")
            equal((status, output), (78, ""), f"{text!r} is wrong")
            check(f"{bad}:{line}:" in errors and key in errors,
                  f"{text!r}: file, line and key are told", errors)
            equal(command("--config", bad)[0], 78,
                  f"{text!r}: the program does not start")
        place.file("tokens", "# none\n\nsecret\n")
        status, _, errors = command("--config", good, "--check-config")
        check(status == 78 and f"{tokens}:3: " in errors and
              "project:environment.secret" in errors,
              "a line of the token file that is wrong", status, errors)
        os.unlink(tokens)
        status, _, errors = command("--config", good, "--check-config")
        check(status == 78 and tokens in errors, "no token file", errors)
        status, _, errors = command("--check-config")
        check(status == 0 and "no tokens are configured" in errors,
              "no tokens are worth a warning", errors)
        bad = place.file("bad.ini", "\nthreads 3\n")
        status, _, errors = command("--config", bad, "--check-config")
        equal(status, 78, "a line without = is wrong")
        check(f"{bad}:2:" in errors, "its line is told", errors)


def variables_and_files():
    with Place() as place:
        for name, value in (("FLAGTALLY_THREADZ", "3"),
                            ("FLAGTALLY_THREADS", "none"),
                            ("FLAGTALLY_" + "X" * 100, "3"),
                            ("FLAGTALLY_", "3")):
            status, output, errors = command("--check-config",
                                             variables={name: value})
            equal((status, output), (78, ""), f"{name}={value} is wrong")
            check(name in errors, f"{name} is told", errors)
        missing = place.file("missing.ini")
        for arguments, variables in (
                ([], {"FLAGTALLY_CONFIG": missing}),
                (["--check-config"], {"FLAGTALLY_CONFIG": missing}),
                (["--config", missing], {})):
            status, output, errors = command(*arguments, variables=variables)
            equal((status, output), (78, ""),
                  f"a file that is missing: {arguments or 'variable'}")
            check(missing in errors, "its name is told", errors)
        os.mkdir(place.file("bin"))
        beside = place.file("bin/flagtally.ini", "threads = 5\n")
        program = place.file("bin/flagtally")
        shutil.copy(PATH, program)
        link = place.file("link")
        os.symlink(program, link)
        for name in (program, link):
            status, output, _ = command("--check-config", program=name)
            equal(status, 0, "with a file beside the program")
            check(f"threads = 5 ; {beside}:1" in output.splitlines(),
                  "the file beside the program is found", output)
        second = place.file("second.ini", "threads = 6\n")
        _, output, _ = command("--check-config", program=program,
                               variables={"FLAGTALLY_CONFIG": second})
        check(f"threads = 6 ; {second}:1" in output.splitlines(),
              "FLAGTALLY_CONFIG goes before it", output)
        third = place.file("third.ini", "threads = 8\n")
        _, output, _ = command("--check-config", "--config", third,
                               program=program,
                               variables={"FLAGTALLY_CONFIG": second})
        check(f"threads = 8 ; {third}:1" in output.splitlines(),
              "--config goes before all", output)


def secrets():
    """No password is ever shown: neither of a good URL nor of a bad one."""
    with Place() as place:
        password = place.file("password", "geheim\n")
        for url in ("redis://:geheim@localhost/1",
                    "redis://user:geheim@localhost:6380/1",
                    "redis://user:a@geheim@localhost/1",
                    "redis://user:a:geheim@localhost/1",
                    "redis://user:%67geheim@[::1]:6380/1",
                    "unix://:geheim@/tmp/redis.sock?db=1",
                    "unix://user:geheim@/tmp/redis.sock",
                    # What is wrong must not be shown either.
                    "redis://user:geheim@localhost/x",
                    "redis://user:geh/eim@localhost/1",
                    "redis://user:geheim@localhost:99999/1",
                    "redis://user:geheim%zz@localhost/1",
                    "redis://geheim@localhost/1",
                    "http://user:geheim@localhost/1",
                    "user:geheim@localhost"):
            status, output, errors = command("--check-config", redis=url)
            check("geheim" not in output + errors and
                  "geh/eim" not in output + errors,
                  f"{url}: the password is masked", status, output, errors)
            if status == 0:
                line = [line for line in output.splitlines()
                        if line.startswith("redis = ")][0]
                check("***" in line and url.rpartition("@")[2] in line,
                      f"{url}: the rest is shown", line)
            file = place.file("secret.ini", f"redis = {url}\n")
            _, output, errors = command("--check-config", "--config", file)
            check("geheim" not in output + errors,
                  f"{url}: nor is it shown from a file", output, errors)
        status, output, errors = command("--check-config",
                                         redis_password_file=password)
        equal((status, "geheim" in output + errors), (0, False),
              "a password's file is not shown")
        # One of its own that is wrong, with the secret in the same line.
        file = place.file("secret.ini", "reddis = redis://u:geheim@h/0\n")
        status, output, errors = command("--check-config", "--config", file)
        equal((status, "geheim" in output + errors), (78, False),
              "nor is the value of an unknown key")


run([large_body, idle_memory, stop_under_load, stop_with_parent,
     stop_while_idle, stop_at_the_door, stop_half_way, stop_without_redis,
     hang_up, come_and_go, inherited, passed_on, path_modes, paths, at_once,
     hosts, unread_log, shared, few_descriptors, cgi_answers, cgi_input,
     cgi_drip, cgi_unread, cgi_at_once, cgi_faults, usage,
     check_config, variables_and_files, secrets])
