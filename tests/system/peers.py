"""Slow and broken peers: none holds a thread for long, and the others go on."""

import json
import os
import select
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.servers import (NO_SPOOL, Flagtally, Place, Process, Redis,
                                   connects, environment, free_port, PROGRAM)
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
MEGABYTE = 1024 * 1024
BODY = json.dumps({"applications": [], "metrics": [{
    "featureName": "f", "appName": "a", "environment": "e",
    "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
    "variants": {}}]}).encode()

# Seconds: what a request may take here, and how late a busy machine may be.
TIMEOUT = 2
SLACK = 8


def head(keep=False, request=1, body=BODY, **changes):
    return fcgi.begin(keep, request) + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(*item) for item in
        fcgi.params(body, **changes).items()), request)


def raw(kind, length, padding=0, request=1, version=1):
    """A header, and nothing of what it announces."""
    return struct.pack("!BBHHBx", version, kind, request, length, padding)


def total(redis):
    return int(redis("HGET", "flagtally:{e:a}:2026-11-23", "f:yes") or 0)


def goes_on(flagtally, redis, name, requests=20):
    before = total(redis)
    with ThreadPoolExecutor(5) as pool:
        statuses = list(pool.map(
            lambda _: fcgi.post(flagtally.address, BODY).status,
            range(requests)))
    equal(statuses, [202] * requests, f"{name}: requests are answered after")
    equal(total(redis) - before, requests, f"{name}: each counts once")


def metrics(flagtally):
    page = fcgi.post(flagtally.address, b"", REQUEST_METHOD="GET",
                     REQUEST_URI="/internal-backstage/metrics",
                     SCRIPT_NAME="/internal-backstage/metrics",
                     REMOTE_ADDR="127.0.0.1").body.decode()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in page.splitlines() if not line.startswith("#")}


# Slow ones

def drip(name, sent, piece, quick=False):
    """A peer that sends something, and then a little again and again."""
    return name, sent, piece, quick


def slow_peers():
    long = head(body=b" " * 8000)
    endless = head(CONTENT_LENGTH=None)
    value = struct.pack("!BI", 11, 1 << 31 | 60000) + b"HTTP_COOKIE"
    begun = fcgi.begin() + raw(fcgi.PARAMS, 60000) + value
    byte = fcgi.record(fcgi.STDIN, b" ")
    return [
        drip("a header, by the byte", b"", b"\1"),
        drip("half a header, then silence", fcgi.begin()[:4], b""),
        drip("parameters, by the byte", begun, b"x"),
        drip("parameters, then silence", begun, b""),
        drip("parameters, in records of a byte", fcgi.begin(),
             fcgi.record(fcgi.PARAMS, b"\0")),
        drip("a head, then silence", long, b""),
        drip("a body, by the byte", long + raw(fcgi.STDIN, 8000), b" "),
        drip("a body, in records of a byte", long, byte),
        drip("a body without length, in records of a byte", endless, byte),
        drip("a body with padding", long,
             raw(fcgi.STDIN, 1, 255) + b" " + b"\0" * 255),
        drip("half a body, then silence", long +
             fcgi.record(fcgi.STDIN, b" " * 4000), b""),
        drip("a flood of records of another request", long,
             fcgi.record(fcgi.STDIN, b"x" * 4000, 2), True),
        drip("a flood of empty records of another request", long,
             raw(fcgi.STDIN, 0, 0, 2) * 100, True),
        drip("a flood of management records in a body", long,
             raw(fcgi.GET_VALUES, 0, 0, 0) * 100, True),
    ]


class Slow(threading.Thread):
    """Sends on until the connection ends, and says how long that took."""

    def __init__(self, address, peer, limit):
        super().__init__(daemon=True)
        self.name, self.sent, self.piece, self.quick = peer
        self.limit = limit
        self.ended, self.got = None, b""
        self.client = fcgi.Connection(address, timeout=limit).socket
        self.start()

    def stop(self):
        try:
            self.client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.join()

    def run(self):
        began = time.monotonic()
        client = self.client
        try:
            client.sendall(self.sent)
            while time.monotonic() - began < self.limit:
                if select.select([client], [], [], 0 if self.quick else 0.2
                                 )[0]:
                    more = client.recv(65536)
                    self.got = (self.got + more)[-65536:]
                    if not more:
                        self.ended = time.monotonic() - began
                        return
                client.sendall(self.piece)
        except OSError:
            self.ended = time.monotonic() - began
            self.read_rest(client)
        finally:
            client.close()

    def read_rest(self, client):
        """Take what was said before the end that a send has run into."""
        try:
            while more := client.recv(65536):
                self.got = (self.got + more)[-65536:]
        except OSError:
            pass


def slow():
    peers = slow_peers()
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, threads=len(peers) + 1,
                              receive_timeout=f"{TIMEOUT}s")
        running = [Slow(flagtally.address, peer, TIMEOUT + 2 * SLACK)
                   for peer in peers]
        taken, statuses = [], set()
        while any(peer.is_alive() for peer in running):
            began = time.monotonic()
            statuses.add(fcgi.post(flagtally.address, BODY).status)
            taken.append(time.monotonic() - began)
        equal(statuses, {202}, "honest requests are answered meanwhile")
        note(f"{len(taken)} honest requests, the slowest in "
             f"{max(taken) * 1000:.0f} ms")
        for peer in running:
            # A tick comes each second.
            check(peer.ended is not None and
                  peer.ended < TIMEOUT + 1 + SLACK,
                  f"{peer.name}: it is ended in time", peer.ended)
            check(b"Status: 202" not in peer.got,
                  f"{peer.name}: it is not accepted", peer.got[-300:])
        equal(total(redis), len(taken), "nothing of theirs counts")
        goes_on(flagtally, redis, "slow peers", 40)


def pressed():
    """When slow bodies hold all threads and somebody waits they have to go."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, threads=2, receive_timeout="10m")
        peers = [drip("a body", head(body=b" " * 8000),
                      fcgi.record(fcgi.STDIN, b" "))] * 2
        running = [Slow(flagtally.address, peer, 40) for peer in peers]
        until(lambda: not fcgi_ready(flagtally), "both threads to be held")
        began = time.monotonic()
        status = fcgi.post(flagtally.address, BODY).status
        taken = time.monotonic() - began
        note(f"with all threads held: answered in {taken:.1f} s")
        check(status == 202 and taken < 6 + SLACK,
              "all threads are held by slow bodies, and an honest request is "
              "answered soon", status, taken)
        press_on(flagtally, running)
        for peer in running:
            peer.join()
            check(b"Status: 503" in peer.got,
                  "the slow one is told to come again", peer.got[:300])
        goes_on(flagtally, redis, "slow bodies on all threads")


def press_on(flagtally, running):
    """Hold all threads, and wait for one, until all of these have ended.

    No more are broken off than have to be: one goes before the other if a
    tick comes when only the first has had its time, and then nobody waits any
    more.
    """
    others, statuses = [], {202}
    while any(peer.is_alive() for peer in running):
        others.append(Slow(flagtally.address, drip(
            "another body", head(body=b" " * 8000), b""), 40))
        statuses.add(fcgi.post(flagtally.address, BODY).status)
    for other in others:
        other.stop()
    equal(statuses, {202}, "whoever waits once more is answered")


def fcgi_ready(flagtally):
    """Whether a thread is free: an answer comes at once."""
    try:
        connection = fcgi.Connection(flagtally.address, timeout=0.3)
        connection.request(fcgi.params(b"", REQUEST_METHOD="GET"), b"")
        return True
    except TimeoutError:
        return False
    finally:
        connection.close()


def unread():
    """Clients that send requests and never read an answer."""
    content = head(keep=True) + fcgi.stream(fcgi.STDIN, b"x")
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, threads=3)
        clients = []
        for _ in range(2):
            client = fcgi.Connection(flagtally.address).socket
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            clients.append(client)
        gone, slowest = set(), 0
        limit = time.monotonic() + 30
        while len(gone) < len(clients) and time.monotonic() < limit:
            for client in clients:
                try:
                    for _ in range(200):
                        client.send(content)
                except BlockingIOError:
                    pass
                except OSError:
                    gone.add(client)
            began = time.monotonic()
            equal_or_fail(fcgi.post(flagtally.address, BODY).status)
            slowest = max(slowest, time.monotonic() - began)
        check(len(gone) == len(clients), "who never reads is given up")
        check(slowest < 1 + SLACK, "honest requests are answered meanwhile",
              slowest)
        for client in clients:
            client.close()
        goes_on(flagtally, redis, "unread answers")


def equal_or_fail(status):
    if status != 202:
        check(False, "an honest request is accepted", status)


# Broken ones

def broken_peers():
    whole = fcgi.stream(fcgi.STDIN, BODY)
    parameters = b"".join(fcgi.pair(*item)
                          for item in fcgi.params(BODY).items())
    good = head() + whole
    table = [
        ("a body before the parameters",
         fcgi.begin() + whole + fcgi.stream(fcgi.PARAMS, parameters)),
        ("a body among the parameters",
         fcgi.begin() + fcgi.record(fcgi.PARAMS, parameters) + whole +
         fcgi.record(fcgi.PARAMS)),
        ("parameters in the body", head() + fcgi.record(
            fcgi.STDIN, BODY[:20]) + fcgi.stream(fcgi.PARAMS, parameters)),
        ("a second beginning in the parameters", fcgi.begin() +
         fcgi.record(fcgi.PARAMS, parameters) + fcgi.begin()),
        ("a second beginning in the body", head() + fcgi.begin() + raw(
            fcgi.STDIN, 5)),
        ("parameters that end in a name", fcgi.begin() + fcgi.stream(
            fcgi.PARAMS, parameters + b"\x0a\x01HTTP")),
        ("parameters that end in a length", fcgi.begin() + fcgi.stream(
            fcgi.PARAMS, parameters + b"\x80\0")),
        ("a name of 2 GB", fcgi.begin() + fcgi.stream(
            fcgi.PARAMS, b"\xff\xff\xff\xff\x01" + b"x" * 50)),
        ("a value of 2 GB", fcgi.begin() + fcgi.stream(
            fcgi.PARAMS, b"\x01\xff\xff\xff\xffx" + b"y" * 50)),
        ("name and value of 2 GB", fcgi.begin() + fcgi.stream(
            fcgi.PARAMS, b"\xff" * 8 + b"y" * 50)),
        ("STDOUT from a peer", head() + fcgi.record(fcgi.STDOUT, BODY)),
        ("END_REQUEST from a peer", head() + fcgi.record(
            fcgi.END, b"\0" * 8)),
        ("an unknown type", head() + fcgi.record(77, BODY)),
        ("a record of type 0", head() + fcgi.record(0, BODY)),
    ]
    table += [(f"version {version}", bytes([version]) + good[1:])
              for version in (0, 2, 255)]
    table += [(f"version {version} in the body", head() + bytes(
        [version]) + whole[1:]) for version in (0, 2)]
    table += [(f"a beginning of {length} bytes", fcgi.record(
        fcgi.BEGIN, b"\0\1\0\0\0\0\0\0\0"[:length]) + good[16:])
        for length in (0, 2, 7, 9)]
    return table


def broken():
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, threads=1,
                              receive_timeout=f"{TIMEOUT}s")
        fcgi.post(flagtally.address, BODY)
        for name, data in broken_peers():
            for piece in (len(data), 7):
                connection = fcgi.Connection(flagtally.address, timeout=20)
                try:
                    for i in range(0, len(data), piece):
                        connection.send(data[i:i + piece])
                    connection.socket.shutdown(socket.SHUT_WR)
                    status = connection.read_answer().status
                except ConnectionError:
                    status = None
                finally:
                    connection.close()
                check(status != 202, f"{name}, by {piece}: not accepted",
                      status)
        equal(total(redis), 1, "nothing of theirs counts")
        goes_on(flagtally, redis, "broken records")
        foreign(flagtally, redis)
        roles(flagtally)


def foreign(flagtally, redis):
    """Records of no request are passed over, however many they are."""
    before = total(redis)
    connection = fcgi.Connection(flagtally.address)
    flood = (raw(fcgi.STDIN, 0) + raw(fcgi.PARAMS, 0, 0, 7) +
             fcgi.record(fcgi.ABORT) + fcgi.record(fcgi.STDIN, b"x" * 30) +
             raw(99, 0, 3, 5) + b"abc") * 200
    for number in range(3):
        connection.send(flood * 20)
        equal(connection.request(fcgi.params(BODY), BODY, keep=True).status,
              202, f"24,000 records of no request, then one ({number})")
    connection.send(head(keep=True) + fcgi.record(
        fcgi.STDIN, b"x" * 30, 2) * 500 + fcgi.stream(fcgi.STDIN, BODY))
    equal(connection.read_answer().status, 202,
          "records of other requests in the middle of one")
    asked = fcgi.record(fcgi.GET_VALUES, fcgi.pair("FCGI_MPXS_CONNS", ""), 0)
    connection.send(asked[:5])
    connection.send(asked[5:] + asked + fcgi.record(200, b"x" * 999, 0))
    for kind in (fcgi.GET_VALUES_RESULT, fcgi.GET_VALUES_RESULT,
                 fcgi.UNKNOWN_TYPE):
        equal(connection.read_record()[:2], (kind, 0),
              f"a management record is answered with {kind} at once")
    equal(connection.request(fcgi.params(BODY), BODY, keep=True).status, 202,
          "and a request after them")
    connection.close()
    multiplexed(flagtally)
    equal(total(redis) - before, 5, "each of them counts once")


def multiplexed(flagtally):
    """A second request beside one under way is refused.

    libfcgi takes an empty record of another request for the end of a body, so
    the first one suffers, too: it is not accepted, which GET_VALUES announced.
    """
    connection = fcgi.Connection(flagtally.address)
    connection.send(head(keep=True) + head(keep=True, request=2) +
                    fcgi.stream(fcgi.STDIN, BODY) +
                    fcgi.stream(fcgi.STDIN, BODY, 2))
    kind, request, content = connection.read_record()
    equal((kind, request, content[4]), (fcgi.END, 2, 1),
          "of two requests at once the second is refused")
    check(connection.read_answer().status != 202,
          "the first is not accepted by half")
    connection.close()


def roles(flagtally):
    for role in (0, 2, 3, 99, 65535):
        for keep in (False, True):
            connection = fcgi.Connection(flagtally.address, timeout=20)
            connection.send(fcgi.begin(keep, role=role) + head()[16:] +
                            fcgi.stream(fcgi.STDIN, BODY))
            kind, request, content = connection.read_record()
            equal((kind, request, content[4]), (fcgi.END, 1, 3),
                  f"role {role} is unknown, keep {keep}")
            if keep:
                equal(connection.request(fcgi.params(BODY), BODY, keep=True)
                      .status, 202, "and the next request is served")
            else:
                check(connection.closed(), "and the connection is closed")
            connection.close()


# Large ones

def cookie(limit):
    """A value that fills the parameters up to a limit."""
    used = sum(len(fcgi.pair(*item)) for item in fcgi.params(BODY).items())
    return "x" * (limit - used - len(fcgi.pair("HTTP_COOKIE", "x" * 999)) +
                  999)


def large():
    limit = 8192
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, threads=2, limit_cgi_params=limit)
        text = cookie(limit)
        for status, value in ((202, text), (413, text + "x")):
            equal(fcgi.post(flagtally.address, BODY,
                            HTTP_COOKIE=value).status, status,
                  f"{status}: parameters of {limit + (status == 413)} bytes")
            for piece in (1, 7, 1000):
                connection = fcgi.Connection(flagtally.address)
                connection.send(fcgi.begin() + fcgi.stream(
                    fcgi.PARAMS, b"".join(fcgi.pair(*item) for item in
                                          fcgi.params(BODY, HTTP_COOKIE=value)
                                          .items()), piece=piece))
                connection.send(fcgi.stream(fcgi.STDIN, BODY))
                answer = connection.read_answer()
                equal(answer.status, status, f"{status}: by {piece}")
                connection.close()
        check(b"limit_cgi_params" in answer.body, "the answer names the limit",
              answer.body)
        counted = metrics(flagtally)['flagtally_requests_total{code="413"}']
        equal(counted, 4, "each refusal is counted")
        announced(flagtally)
        endless(flagtally)
        goes_on(flagtally, redis, "large parameters")


def announced(flagtally):
    """A few bytes of a pair that is said to be of a gigabyte and a half."""
    content = fcgi.pair("A", "b") + b"\xb0\0\0\0\xb0\0\0\0name"
    for piece in (1, 3, 1000):
        connection = fcgi.Connection(flagtally.address, timeout=20)
        connection.send(fcgi.begin() +
                        fcgi.stream(fcgi.PARAMS, content, piece=piece) +
                        fcgi.stream(fcgi.STDIN, b""))
        equal(connection.read_answer().status, 413,
              f"a pair that is announced is too large, by {piece}")
        connection.close()


def endless(flagtally):
    """Gigabytes of parameters, as far as they are taken."""
    before = flagtally.resident()
    record = fcgi.record(fcgi.PARAMS, b"x" * 65528)
    first = fcgi.begin() + fcgi.record(
        fcgi.PARAMS, b"\x01\xff\xff\xff\xffx" + b"y" * 5000)
    foreign_record = fcgi.record(fcgi.PARAMS, b"x" * 65528, 9)
    for name, data in (("one value", record), ("of another request",
                                               foreign_record)):
        connection = fcgi.Connection(flagtally.address, timeout=20)
        sent = 0
        try:
            connection.send(first)
            while sent < 200 * MEGABYTE:
                connection.send(data)
                sent += len(data)
        except OSError:
            pass
        try:
            status = connection.read_answer().status
        except ConnectionError:
            status = None
        connection.close()
        note(f"{name}: {sent} bytes were taken, then {status}")
        check(sent < 100 * MEGABYTE, f"parameters of 2 GB, {name}: "
              "they are not taken", sent)
    grown = flagtally.resident() - before
    check(SANITIZER or grown < 4 * MEGABYTE,
          "huge parameters take no memory", grown)


def many_heads():
    """Heads that stop half-way on many connections take little memory."""
    count = 600
    with Place() as place:
        redis = Redis(place)
        port = free_port()
        flagtally = Flagtally(place, redis, name="tcp", threads=2,
                              listen=f"127.0.0.1:{port}")
        flagtally.address = ("127.0.0.1", port)
        before = flagtally.resident()
        half = fcgi.begin() + raw(fcgi.PARAMS, 65535) + \
            b"\x01\x80\0\xf0\0x" + b"y" * 60000
        kept = []
        for _ in range(count):
            connection = fcgi.Connection(flagtally.address)
            connection.send(half)
            kept.append(connection)
        goes_on(flagtally, redis, f"{count} half heads")
        grown = flagtally.resident() - before
        note(f"{count} half heads of 60 KB: {grown} bytes")
        check(SANITIZER or grown < 16 * MEGABYTE,
              "they take a bounded amount of memory", grown)
        for connection in kept:
            connection.close()


# Answers that are decided before the body has arrived

TOKEN = "p:e.geheim"
LIMIT_BODY = 8 * MEGABYTE
WITH_TOKEN = {"HTTP_AUTHORIZATION": TOKEN}
EARLY = [
    (403, {}, b""),
    (404, {"REQUEST_URI": "/other", "SCRIPT_NAME": "/other"}, b""),
    (405, {"REQUEST_METHOD": "PUT"}, b""),
    (415, {**WITH_TOKEN, "CONTENT_TYPE": "text/plain"}, b""),
    (413, {**WITH_TOKEN, "CONTENT_LENGTH": str(LIMIT_BODY + 1)}, b""),
    (400, {**WITH_TOKEN, "CONTENT_LENGTH": str(LIMIT_BODY)}, b"no JSON" * 1500),
]


def guarded(place, redis, **settings):
    return Flagtally(place, redis, auth="tokens",
                     tokens=place.file("tokens", TOKEN + "\n"),
                     limit_body=LIMIT_BODY, **settings)


def early():
    """They are sent at once, and arrive however much of the body follows."""
    piece = fcgi.record(fcgi.STDIN, b"x" * 60000)
    with Place() as place:
        redis = Redis(place)
        flagtally = guarded(place, redis)
        for status, changes, begun in EARLY:
            for keep in (False, True):
                name = f"{status}, {'kept' if keep else 'not kept'}"
                values = {"CONTENT_LENGTH": str(LIMIT_BODY), **changes}
                sent = head(keep, **values)
                if begun:
                    sent += fcgi.record(fcgi.STDIN, begun)
                client = fcgi.Connection(flagtally.address, timeout=SLACK)
                began = time.monotonic()
                client.send(sent)
                equal(client.read_answer().status, status,
                      f"{name}: it is answered")
                took = time.monotonic() - began
                check(took < 1 or SANITIZER, f"{name}: before its body",
                      took)
                client.close()
                # As web servers do that read no answer before.
                client = fcgi.Connection(flagtally.address, timeout=SLACK)
                client.send(sent)
                for _ in range(100):
                    client.send(piece)
                client.send(fcgi.record(fcgi.STDIN))
                equal(client.read_answer().status, status,
                      f"{name}: likewise when it is read last")
                check(client.closed(), f"{name}: then the end")
                client.close()
        with_small_bodies(flagtally)


def with_small_bodies(flagtally):
    """A body that has arrived does not cost the connection."""
    for status, changes, begun in EARLY:
        content = begun + b" " * 100
        if status == 413:
            continue
        values = {**changes, "CONTENT_LENGTH": str(len(content))}
        client = fcgi.Connection(flagtally.address, timeout=SLACK)
        equal([client.request(fcgi.params(content, **values), content,
                              keep=True).status for _ in range(3)],
              [status] * 3, f"{status}: three times on one connection")
        equal(client.request(fcgi.params(BODY, **WITH_TOKEN), BODY).status,
              202, f"{status}: and then a good one")
        client.close()


class Strangers(threading.Thread):
    """Many that send on and on, each again when it is cut off."""

    def __init__(self, address, count, sent, piece):
        super().__init__(daemon=True)
        self.address, self.sent, self.piece = address, sent, piece
        self.ending = threading.Event()
        self.rounds, self.again = 0, 0
        self.clients = [self.connect() for _ in range(count)]
        self.start()

    def connect(self):
        client = fcgi.Connection(self.address)
        client.send(self.sent)
        client.socket.setblocking(False)
        return client

    def run(self):
        while not self.ending.wait(0.02):
            for number, client in enumerate(self.clients):
                try:
                    if self.piece:
                        client.send(self.piece)
                except BlockingIOError:
                    pass
                except OSError:
                    client.close()
                    self.clients[number] = self.connect()
                    self.again += 1
            self.rounds += 1

    def end(self):
        self.ending.set()
        self.join()
        for client in self.clients:
            client.close()


def strangers():
    """Senders without a token cost no thread, whatever they send after it."""
    deaf = head(keep=True, body=b"") + fcgi.record(fcgi.STDIN)
    for name, sent, piece in (
            ("bodies that never end", head(CONTENT_LENGTH=None),
             fcgi.record(fcgi.STDIN, b"x" * 500)),
            ("bodies that never end, kept", head(True, CONTENT_LENGTH=None),
             fcgi.record(fcgi.STDIN, b"x" * 500)),
            ("bodies that never begin", head(CONTENT_LENGTH="9999"), b""),
            ("empty bodies that do not end", head(body=b""), b""),
            ("answers that are not read", deaf * 20, deaf)):
        with Place() as place:
            redis = Redis(place)
            flagtally = guarded(place, redis, threads=8)
            many = Strangers(flagtally.address, 200, sent, piece)
            took = []
            while many.rounds < 100 or len(took) < 50:
                began = time.monotonic()
                status = fcgi.post(flagtally.address, BODY,
                                   **WITH_TOKEN).status
                took.append(time.monotonic() - began)
                if status != 202 or took[-1] > SLACK:
                    break
            many.end()
            equal(status, 202, f"{name}: honest requests are answered")
            check(max(took) < (SLACK if SANITIZER else 1),
                  f"{name}: without waiting", max(took))
            note(f"{name}: {len(took)} honest requests, the slowest in "
                 f"{max(took) * 1e3:.0f} ms; {many.again} cut off")
            equal(total(redis), len(took), f"{name}: and counted")


def lingering():
    """Those that are answered and stay are bounded in number."""
    with Place() as place:
        redis = Redis(place)
        flagtally = guarded(place, redis)
        before = len(os.listdir(f"/proc/{flagtally.pid}/fd"))
        clients = []
        for _ in range(600):
            client = fcgi.Connection(flagtally.address)
            client.send(head(CONTENT_LENGTH="9999"))
            if client.read_answer().status != 403:
                break
            clients.append(client)
        equal(len(clients), 600, "600 strangers get their 403")
        kept = len(os.listdir(f"/proc/{flagtally.pid}/fd")) - before
        check(kept <= 260, "and 256 of their connections linger", kept)
        goes_on_with_token(flagtally)
        for client in clients:
            client.close()


def goes_on_with_token(flagtally):
    equal([fcgi.post(flagtally.address, BODY, **WITH_TOKEN).status
           for _ in range(5)], [202] * 5, "requests are answered after")


def empty():
    """With a length of 0 no end of the body is waited for."""
    with Place() as place:
        redis = Redis(place)
        flagtally = guarded(place, redis, threads=4)
        for keep in (False, True):
            clients = [fcgi.Connection(flagtally.address, timeout=SLACK)
                       for _ in range(60)]
            began = time.monotonic()
            for client in clients:
                client.send(head(keep, body=b"", **WITH_TOKEN))
            equal({client.read_answer().status for client in clients}, {400},
                  "60 empty posts, of which no FCGI_STDIN comes, get 400")
            took = time.monotonic() - began
            check(took < 2 or SANITIZER, "at once", took)
            for client in clients:
                client.close()
        goes_on_with_token(flagtally)


# Too many

def cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def crowd():
    """More connections than descriptors, none of which can be given up."""
    with Place() as place:
        redis = Redis(place)
        path = place.file("crowd.sock")
        program = Process(place, "crowd", [
            "/bin/sh", "-c", 'ulimit -n 40; exec "$0"',
            os.path.abspath(PROGRAM)], environment(
                listen=path, auth="none", spool=NO_SPOOL, redis=redis.url(),
                threads=48, receive_timeout=f"{2 * TIMEOUT}s"))
        program.address = path
        program.ready(lambda: connects(path))
        half = head() + fcgi.record(fcgi.STDIN, BODY[:10])
        kept = []
        for _ in range(100):
            connection = fcgi.Connection(path)
            connection.send(half)
            kept.append(connection)
        until(lambda: "out of descriptors" in place.read("crowd.log"),
              "the descriptors to run out")
        began, used = time.monotonic(), cpu(program.pid)
        equal(answers(kept), 0, "none of them is accepted")
        share = (cpu(program.pid) - used) / (time.monotonic() - began)
        note(f"{share * 100:.0f} % of a processor while it waits for them")
        check(share < 0.5 or SANITIZER, "it does not spin meanwhile", share)
        goes_on(program, redis, "more connections than descriptors")


def answers(connections):
    accepted = 0
    for connection in connections:
        try:
            accepted += connection.read_answer().status == 202
        except ConnectionError:
            pass
        connection.close()
    return accepted


run([slow, pressed, unread, broken, large, many_heads, early, strangers,
     lingering, empty, crowd])
