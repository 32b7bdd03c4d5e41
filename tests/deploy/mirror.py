"""nginx with a copy of the metrics to flagtally: nobody sees anything of it."""

import collections
import gzip
import re
import signal
import threading
import time

from tests.harness import load
from tests.harness.front import UNLEASH, Nginx
from tests.harness.servers import Place, Redis
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until
from tests.harness.web import Connection, Standin, chunked, head

BULK = "/api/client/metrics/bulk"
TOKEN = "*:*.secret"
# The most that a hanging flagtally may keep a connection, as is shipped; and
# what is far from it.
LIMIT = 2.5
SOON = 1


class NginxMirror(Nginx):
    title = "nginx, mirror"
    shape = "mirror"

    def changes(self):
        return {**super().changes(), UNLEASH: (self.unleash(), 2),
                "/var/log/nginx/flagtally-mirror.log":
                    (self.place.file("mirror.access"), 1)}

    def answers(self):
        """Whether it answers, and flagtally behind it."""
        try:
            with Connection(self.port, timeout=5) as connection:
                connection.send(head(
                    "GET", "/flagtally/internal-backstage/health",
                    [("Host", "x"), ("Connection", "close")]))
                return connection.reply("GET").json() == {"status": "ok"}
        except OSError:
            return False

    def told(self):
        """What flagtally answered to the copies: each status, how often."""
        return collections.Counter(re.findall(
            r" [A-Z]+: (\d+) in ", self.place.read("mirror.access")))


def request(content, method="POST", target=BULK, token=TOKEN, kind=
            "application/json", framing="length", more=()):
    headers = [("Host", "unleash.example"), ("User-Agent", "edge/1"),
               ("Unleash-AppName", "edge"), *more]
    if kind:
        headers.append(("Content-Type", kind))
    if token:
        headers.append(("Authorization", token))
    if framing == "length" and content:
        headers.append(("Content-Length", len(content)))
    elif content:
        headers.append(("Transfer-Encoding", "chunked"))
        content = chunked(content)
    return head(method, target, headers) + content, {
        name.lower(): str(value) for name, value in headers}


def valid(feature, size=0):
    text = load.body(feature)
    return text + b" " * (size - len(text))


def cases():
    """Name, what is sent, the content, and what flagtally thinks of it."""
    plain = valid("plain")
    squeezed = gzip.compress(valid("squeezed"))
    rows = [
        ("a body", plain, {}, "202"),
        ("in chunks", valid("chunks", 20000), {"framing": "chunked"}, "202"),
        ("a large one", valid("large", 3 << 20), {}, "202"),
        ("a large one in chunks", valid("large-chunks", 3 << 20),
         {"framing": "chunked"}, "202"),
        ("too large for flagtally", valid("huge", 5 << 20), {}, "413"),
        ("compressed", squeezed, {"more": [("Content-Encoding", "gzip")]},
         "202"),
        ("100-continue", valid("continue"),
         {"more": [("Expect", "100-continue")]}, "202"),
        ("a query and a slash", valid("query"),
         {"target": BULK + "/?a=b&c=%20x"}, "202"),
        ("no JSON", b"hello", {}, "400"),
        ("not of the schema", b"{}", {}, "400"),
        ("another type", plain, {"kind": "text/plain"}, "415"),
        ("no token", plain, {"token": None}, "403"),
        ("a token unknown to flagtally", plain, {"token": "*:*.other"}, "403"),
        ("GET", b"", {"method": "GET", "kind": None}, "405"),
    ]
    for target in ("/api/client/metric", "/api/client/features?x=%2F",
                   "/x//y", BULK + "/more"):
        rows.append((target, valid("elsewhere"), {"target": target}, None))
    return rows


def same(front):
    """Each request, one after the other on one connection."""
    seen = front.standin.seen
    wanted = collections.Counter()
    with front.connect() as connection:
        for name, content, how, verdict in cases():
            sent, headers = request(content, **how)
            target, method = how.get("target", BULK), how.get("method", "POST")
            before = len(seen)
            connection.send(sent)
            reply = connection.reply(method)
            equal((reply.status, reply.json()),
                  (202, {"standin": target, "length": len(content)}),
                  f"{name}: the answer is Unleash's")
            equal(len(seen), before + 1, f"{name}: Unleash gets it once")
            got = seen[-1]
            equal((got[0], got[1], got[3] == content),
                  (method, target, True), f"{name}: as it was sent")
            # What belongs to a connection, nginx makes anew.
            for key in ("transfer-encoding", "expect"):
                headers.pop(key, None)
            equal({key: got[2].get(key) for key in headers}, headers,
                  f"{name}: with the same headers")
            if verdict:
                wanted[verdict] += 1
            until(lambda: front.told().total() == wanted.total(),
                  f"flagtally's answer to {name}")
    equal(front.told(), wanted, "flagtally has judged each of the copies")
    found = front.redis.client.value(load.KEY)
    equal(found, {b"%s:yes" % name: b"1" for name in (
        b"plain", b"chunks", b"large", b"large-chunks", b"squeezed",
        b"continue", b"query")}, "and counted what is right, once")
    front.redis("FLUSHALL")


def under_load(front):
    """Every one of many is counted, also if its client leaves at once."""
    unleash = front.standin
    del unleash.seen[:]
    clients = load.Load(lambda: [front.port])
    clients.moved_on(400)
    clients.stop()
    note(str(clients))
    equal(clients.unknown, set(), "each is answered by Unleash")
    equal(len(unleash.seen), len(clients.accepted), "which got each once")
    found = until(lambda: (lambda value: len(value) == len(clients.accepted)
                           and value)(front.redis.client.value(load.KEY)),
                  "the copies")
    check(set(found.values()) == {b"1"}, "and each copy counts once")
    front.redis("FLUSHALL")


def timed(connection, feature):
    began = time.monotonic()
    connection.send(load.request(feature))
    reply = connection.reply()
    return (reply.status, reply.json() == {
        "standin": BULK, "length": len(load.body(feature))},
        time.monotonic() - began)


def unmoved(front, what, times=20):
    """New connections and a kept one get Unleash's answers.

    The kept one may have to wait for what flagtally says of the last request.
    """
    slowest, answers = {"kept": 0, "new": 0}, set()
    with front.connect() as kept:
        for i in range(times):
            with front.connect() as fresh:
                for way, connection in (("kept", kept), ("new", fresh)):
                    *answer, took = timed(connection, f"{way}-{what}-{i}")
                    answers.add(tuple(answer))
                    slowest[way] = max(slowest[way], took)
    equal(answers, {(202, True)}, f"{what}: the answers are Unleash's")
    check(slowest["new"] < SOON and slowest["kept"] < LIMIT + 1,
          f"{what}: nobody waits", slowest)


def troubled(front):
    """flagtally refuses all, is away, or hangs."""
    front.redis.kill()
    before = front.told()["503"]
    unmoved(front, "503", times=4)
    until(lambda: front.told()["503"] >= before + 8, "the 503 in the log")
    check(True, "flagtally refused all of them meanwhile")
    front.redis.start()
    front.redis("FLUSHALL")
    front.flagtally.end()
    unmoved(front, "away")
    front.flagtally = front.start_flagtally()
    hanging(front)
    unmoved(front, "again")
    until(lambda: front.redis.client.value(load.KEY).get(
        b"kept-again-19:yes") == b"1", "the counts")
    check(True, "and when it is well, it counts again")


def hanging(front):
    front.flagtally.signal(signal.SIGSTOP)
    waits = []

    def one(number):
        with front.connect() as connection:
            for i in range(2):
                waits.append((i, *timed(connection, f"hang-{number}-{i}")))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    front.flagtally.signal(signal.SIGCONT)
    equal({wait[1:3] for wait in waits}, {(202, True)},
          "hangs: the answers are Unleash's")
    first = max(wait[3] for wait in waits if wait[0] == 0)
    check(len(waits) == 40 and first < SOON,
          "hangs: the first on each connection is answered at once", first)
    second = max(wait[3] for wait in waits if wait[0] == 1)
    check(second < LIMIT + 1, "hangs: the next one after the limit", second)


def unleash_fails(front):
    """What the sender is told is what Unleash says, also if that is bad."""
    for status in (400, 403, 500, 503):
        front.standin.status = status
        with front.connect() as connection:
            equal(timed(connection, f"bad-{status}")[:2], (status, True),
                  f"Unleash's {status} is the answer")
    front.standin.end()
    with front.connect() as connection:
        equal(timed(connection, "bad-502")[0], 502,
              "without Unleash it is nginx's 502")
    until(lambda: front.redis.client.value(load.KEY).get(b"bad-502:yes"),
          "the copy")
    check(True, "as the page says, flagtally has counted that")


def mirror():
    with Place() as place:
        redis = Redis(place)
        front = NginxMirror(place, redis, Standin(202), auth="tokens",
                            tokens=place.file("tokens", TOKEN + "\n"))
        same(front)
        front.end()
        front.flagtally.end()
    with Place() as place:
        redis = Redis(place)
        front = NginxMirror(place, redis, Standin(202))
        under_load(front)
        troubled(front)
        unleash_fails(front)


run([mirror])
