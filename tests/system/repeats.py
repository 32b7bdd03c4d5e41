"""A body that its sender repeats is counted once; an abandoned one is not."""

import glob
import hashlib
import json
import os
import signal
import socket
import sqlite3
import struct
import threading

from tests.harness import fcgi
from tests.harness.front import LighttpdAlone, NginxAlone
from tests.harness.servers import NO_SPOOL, Flagtally, Place, Redis, free_port
from tests.harness.tap import check, equal, run
from tests.harness.wait import until
from tests.harness.web import head

BULK = "/api/client/metrics/bulk"
KEY = "flagtally:{e:a}:2026-11-23"
# As Edge sends it.
ID = "01M8CKD64R80T45JQXZF3R0QY3"
# lib/commit/repeats.c: the key, and then marks.
HEADER, MARK = 32, struct.Struct("=16sqq")


def body(count=1, pad=""):
    return json.dumps({"applications": [], "metrics": [{
        "featureName": "f", "appName": "a", "environment": "e",
        "timestamp": "2026-11-23T09:30:00.123456789Z", "yes": count, "no": 0,
        "variants": {}}]}).encode() + pad.encode()


def whole(content, **changes):
    """The bytes of one request."""
    return fcgi.begin() + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(*item) for item in fcgi.params(
            content, **changes).items())) + fcgi.stream(fcgi.STDIN, content)


class Case:
    def __init__(self, place, **settings):
        self.place = place
        self.redis = Redis(place)
        self.settings = {"spool": place.file("spool.db"), **settings}
        self.program = self.start()

    def start(self, name="flagtally", **changes):
        return Flagtally(self.place, self.redis, name,
                         **{**self.settings, **changes})

    def post(self, content, identity=ID, program=None, **changes):
        return fcgi.post((program or self.program).address, content,
                         HTTP_UNLEASH_CONNECTION_ID=identity,
                         **changes).status

    def count(self):
        return int(self.redis("HGET", KEY, "f:yes") or 0)

    def metric(self, name):
        page = fcgi.post(self.program.address, b"", REQUEST_METHOD="GET",
                         REQUEST_URI="/internal-backstage/metrics",
                         SCRIPT_NAME="/internal-backstage/metrics",
                         REMOTE_ADDR="127.0.0.1").body.decode()
        return int(float(page.split(f"\nflagtally_{name} ")[1].split()[0]))

    def claims(self):
        """How many bodies are being counted, as all processes see it."""
        name = self.place.file("spool.db.repeats-2")
        if not os.path.exists(name):
            return 0
        with open(name, "rb") as file:
            table = file.read()[HEADER:]
        return sum(1 for _, when, owner in MARK.iter_unpack(table)
                   if when and owner)


def which_are_repeats():
    tokens = "*:e.one\n*:e.two\n"
    with Place() as place:
        case = Case(place, auth="tokens",
                    tokens=place.file("tokens", tokens))
        one = {"HTTP_AUTHORIZATION": "*:e.one"}

        def adds(expected, name, content, **how):
            before = case.count()
            equal(case.post(content, **{**one, **how}), 202, f"{name}: 202")
            equal(case.count() - before, expected, f"{name}: {expected}")
        adds(1, "the first", body())
        adds(0, "a repeat", body())
        adds(0, "another repeat", body())
        adds(1, "one space more", body(pad=" "))
        adds(1, "another connection", body(), identity="other")
        adds(1, "another token", body(), HTTP_AUTHORIZATION="*:e.two")
        adds(1, "no connection", body(), identity=None)
        adds(1, "no connection, again", body(), identity=None)
        adds(1, "an empty connection", body(), identity="")
        adds(1, "an empty connection, again", body(), identity="")
        adds(1, "the id and the body are told apart",
             b" " + body(), identity=ID + "x")
        adds(1, "so they are", b"x "[1:] + body(), identity=ID + "x ")
        adds(0, "a repeat without a length", body(), CONTENT_LENGTH=None)
        equal(case.metric("repeated_total"), 3, "they are counted as such")
        case.program.kill()
        case.program = case.start()
        adds(0, "a repeat after a restart", body())


def of_sdks():
    """What an SDK posts, which its HTTP library may send again by itself."""
    bucket = {"start": "2026-11-23T09:30:00Z", "stop": "2026-11-23T09:31:00Z",
              "toggles": {"f": {"yes": 1, "no": 0}}}
    with Place() as place:
        case = Case(place, default_environment="e")
        for number, (path, status, member) in enumerate((
                ("client/metrics", 202, {"bucket": bucket}),
                ("frontend/client/metrics", 200, {"bucket": bucket}),
                ("client/register", 202, {"strategies": []}),
                ("frontend/client/register", 200, {"strategies": []})), 1):
            content = json.dumps({"appName": "a", **member}).encode()
            where = {"REQUEST_URI": "/api/" + path, "SCRIPT_NAME":
                     "/api/" + path, "identity": "of " + path}
            equal([case.post(content, **where) for _ in range(2)],
                  [status] * 2, f"{path}: {status} for both")
            equal(case.metric("repeated_total"), number,
                  f"{path}: one is a repeat")
            equal(case.count(), min(number, 2), f"{path}: counted once")
            equal(case.post(content, **{**where, "identity": None}), status,
                  f"{path}: without a connection")
            if "bucket" in member:
                case.redis("HINCRBY", KEY, "f:yes", "-1")


def failures_are_not():
    """A try that failed leaves nothing behind."""
    with Place() as place:
        case = Case(place, spool=NO_SPOOL)
        equal(case.post(b"{"), 400, "a body that is no JSON")
        equal(case.post(b"{"), 400, "is none when it is repeated")
        case.redis.kill()
        equal(case.post(body()), 503, "there is no Redis")
        equal(case.post(body()), 503, "nor for the repeat")
        case.redis.start()
        until(lambda: case.post(body()) == 202, "Redis")
        equal(case.count(), 1, "then it is counted")
        equal(case.post(body()), 202, "and repeated")
        equal(case.count(), 1, "it stays so")


def in_the_spool():
    with Place() as place:
        case = Case(place)
        case.redis.kill()
        statuses = [case.post(body()) for _ in range(3)]
        equal(statuses, [202] * 3, "accepted, once into the spool")
        case.redis.start()
        until(lambda: case.count() > 0, "replay")
        equal(case.post(body()), 202, "a repeat")
        equal(case.count(), 1, "counted once")


def at_once():
    """Many repeats at a time, to one process, which was stopped."""
    with Place() as place:
        case = Case(place)
        case.program.signal(signal.SIGSTOP)
        content = body()
        peers = [fcgi.Connection(case.program.address) for _ in range(12)]
        for peer in peers:
            peer.send(whole(content, HTTP_UNLEASH_CONNECTION_ID=ID))
        case.program.signal(signal.SIGCONT)
        equal([peer.read_answer().status for peer in peers], [202] * 12,
              "all are accepted")
        equal(case.count(), 1, "and counted once")
        equal(case.metric("repeated_total"), 11, "eleven are repeats")


def other_process():
    """A repeat waits for the process that counts the body."""
    with Place() as place:
        case = Case(place)
        other = case.start("other")
        case.redis.signal(signal.SIGSTOP)
        # So that it is not in the spool before the process is stopped.
        spool = sqlite3.connect(case.settings["spool"], isolation_level=None)
        spool.execute("BEGIN IMMEDIATE")
        first = fcgi.Connection(case.program.address)
        first.send(whole(body(), HTTP_UNLEASH_CONNECTION_ID=ID))
        until(lambda: case.claims() == 1, "the claim")
        case.program.signal(signal.SIGSTOP)
        spool.close()
        case.redis.signal(signal.SIGCONT)
        equal(case.post(body(), program=other), 503,
              "a repeat waits, but not for ever")
        statuses = []
        waiting = threading.Thread(target=lambda: statuses.append(
            case.post(body(), program=other)))
        waiting.start()
        case.program.signal(signal.SIGCONT)
        equal(first.read_answer().status, 202, "it is counted")
        waiting.join()
        equal(statuses, [202], "the repeat gets the same answer")
        until(lambda: case.count() > 0, "replay")
        equal(case.count(), 1, "counted once")


def deleted():
    """The shared files are deleted; what is in them stays, for all."""
    def shared(kind):
        return glob.glob(case.place.file(f"spool.db.{kind}-*"))

    with Place() as place:
        token = "*:e.secret"
        case = Case(place, auth="tokens", token_set="flagtally:tokens",
                    token_ttl="100ms")
        case.redis("SADD", "flagtally:tokens",
                   hashlib.sha256(token.encode()).hexdigest())
        sent = {"HTTP_AUTHORIZATION": token}
        equal(case.post(body(), **sent), 202, "the first")
        for kind in ("repeats", "stats", "tokens"):
            name, = shared(kind)
            os.unlink(name)
            until(lambda kind=kind: shared(kind), "a new " + kind)
        other = case.start("other")
        equal([case.post(body(), program=program, **sent)
               for program in (other, case.program)], [202] * 2, "repeats")
        equal(case.count(), 1, "of which no process counts one")
        equal(case.metric("repeated_total"), 2, "the numbers are shared")
        case.redis.kill()
        equal(case.post(body(2), program=other, **sent), 202,
              "the token was good lately, whichever process had asked")


def owner_killed():
    """The claim of a process that was killed is nobody's."""
    with Place() as place:
        case = Case(place)
        other = case.start("other")
        case.redis.signal(signal.SIGSTOP)
        first = fcgi.Connection(case.program.address)
        first.send(whole(body(), HTTP_UNLEASH_CONNECTION_ID=ID))
        until(lambda: case.claims() == 1, "the claim")
        case.program.kill()
        case.redis.signal(signal.SIGCONT)
        equal(case.post(body(), program=other), 202,
              "the repeat is counted")
        # It may have been, between commit and mark.
        until(lambda: case.count() > 0, "replay")
        check(1 <= case.count() <= 2, "and nothing is lost", case.count())


def addresses(place):
    return place.file("abandoned.sock"), ("127.0.0.1", free_port())


def abandon(way, address, program):
    """Send a request and go, in one of several ways, before it is read."""
    program.signal(signal.SIGSTOP)
    peer = fcgi.Connection(address)
    if way == "reset":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
    peer.send(whole(body()))
    if way == "abort":
        peer.send(fcgi.record(fcgi.ABORT))
    elif way == "half":
        peer.socket.shutdown(socket.SHUT_WR)
    else:
        peer.close()
    program.signal(signal.SIGCONT)
    return peer


def is_dropped(case, way, address):
    """Whether a request is not counted.

    Over TCP that depends on a reset, which a busy kernel may deliver late.
    """
    before, gone = case.count(), case.metric("abandoned_total")
    abandon(way, address, case.program)
    until(lambda: case.metric("abandoned_total") + case.count() ==
          gone + before + 1, "the request")
    return case.count() == before


def abandoned():
    """A request whose peer has gone is not counted; one that listens is."""
    with Place() as place:
        redis = Redis(place)
        for address in addresses(place):
            kind = "Unix" if isinstance(address, str) else "TCP"
            listen = (address if isinstance(address, str)
                      else "%s:%d" % address)
            program = Flagtally(place, redis, kind, listen=listen, spool=NO_SPOOL)
            case = Case.__new__(Case)
            case.program, case.redis = program, redis
            program.address = address
            for way in "close", "reset":
                check(any(is_dropped(case, way, address)
                          for _ in range(1 if kind == "Unix" else 10)),
                      f"{kind}, {way}: not counted")
            for way in "half", "abort":
                before = case.count()
                peer = abandon(way, address, program)
                equal(peer.read_answer().status, 202, f"{kind}, {way}: 202")
                equal(case.count() - before, 1, f"{kind}, {way}: counted")
            program.end()


def connections(place):
    """Connections to flagtally's socket, accepted or not.

    It is bound under a hidden name, and then moved into place.
    """
    with open("/proc/net/unix", encoding="utf-8") as file:
        return sum(1 for line in file if f" {place.path}/." in line)


def edge_repeats(kind):
    """flagtally hangs; a client gives up and repeats, as Edge does."""
    with Place() as place:
        redis = Redis(place)
        front = kind(place, redis, spool=place.file("spool.db"))
        content = body()
        request = head("POST", BULK, [
            ("Host", "x"), ("content-type", "application/json"),
            ("unleash-connection-id", ID), ("content-length", len(content)),
        ]) + content
        # Only the listening socket is left of what start-up did.
        until(lambda: connections(place) == 1, "the first request's end")
        front.flagtally.signal(signal.SIGSTOP)
        for _ in range(4):
            before = connections(place)
            client = front.connect()
            client.send(request)
            until(lambda: connections(place) > before, "the request")
            client.close()
        with front.connect() as client:
            client.send(request)
            front.flagtally.signal(signal.SIGCONT)
            equal(client.reply().status, 202, f"{front.title}: 202")
        with front.connect() as client:
            client.send(request)
            equal(client.reply().status, 202, f"{front.title}: repeated")
        equal(int(redis("HGET", KEY, "f:yes") or 0), 1,
              f"{front.title}: counted once")


def lighttpd():
    edge_repeats(LighttpdAlone)


def nginx():
    edge_repeats(NginxAlone)


run([which_are_repeats, of_sdks, failures_are_not, in_the_spool, at_once,
     other_process, deleted, owner_killed, abandoned, lighttpd, nginx])
