"""One table of requests, which gets the same answers behind every web server.

Names of classes of tests/harness/front.py on the command line run those alone.
"""

import functools
import gzip
import json
import random
import re
import select
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

from tests.harness import apache, front
from tests.harness.servers import Place, Redis
from tests.harness.tap import check, equal, run
from tests.harness.web import Standin, chunked, head

BULK = "/api/client/metrics/bulk"
TOKEN = "*:*.secret"
TOKENS = f"{TOKEN}\n*:*.browser type=frontend\n"
MEGABYTE = 1 << 20
LIMIT_BODY = 4 * MEGABYTE
LIMIT_INFLATED = 32 * MEGABYTE
LIMIT_COUNTERS = 5000
# Of what is left out: the rest of the body counts.
LIMIT_LISTS = 5
LIMIT_DEPTH = 20
LIMIT_NAME = 500
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


# What is answered: status, content type, content, Allow, Retry-After.

def wanted(status, kind, content, allow=None, retry=None):
    return {"status": status, "type": kind, "content": content,
            "allow": allow, "retry-after": retry}


def problem(status, title, name, detail, allow=None, retry=None, **place):
    """A problem's content; pointer and offset where a 400 or 413 has them."""
    return wanted(status, "application/problem+json", {
        "type": "about:blank", "title": title, "status": status,
        "detail": detail, **place, "id": "UUID", "name": name,
        "message": detail, "details": [{
            "message": detail, "description": detail,
            "path": place.get("pointer", "")}]}, allow, retry)


def bad(detail, pointer="", offset=0):
    return problem(400, "Bad Request", "BadDataError", detail,
                   pointer=pointer, offset=offset)


def too_large(detail, **place):
    return problem(413, "Content Too Large", "ContentTooLargeError", detail,
                   **place)


def wrong_type(what):
    return problem(415, "Unsupported Media Type", "ContentTypeError",
                   f"the {what}")


def headless(answer):
    """The same for HEAD."""
    return {**answer, "content": None}


ACCEPTED = wanted(202, "application/json", {})
NO_TOKEN = problem(403, "Forbidden", "NoAccessError",
                   "no token that may report metrics was sent")
FRONTEND = problem(403, "Forbidden", "NoAccessError",
                   "a token of this type cannot report here")
NOT_FOUND = problem(404, "Not Found", "NotFoundError",
                    "metrics go to /api/client/metrics/bulk")
ONLY_POST = problem(405, "Method Not Allowed", "MethodNotAllowedError",
                    "metrics are sent with POST", allow="POST")
ONLY_READ = problem(405, "Method Not Allowed", "MethodNotAllowedError",
                    "this can only be read, with GET or HEAD",
                    allow="GET, HEAD")
NOT_JSON = wrong_type("Content-Type must be application/json")
UNKNOWN_ENCODING = wrong_type(
    "Content-Encoding must be identity, gzip or deflate")
LARGE_BODY = too_large("the body is larger than limit_body",
                       pointer="", offset=LIMIT_BODY)
EMPTY = bad("the body is empty")
HALF = bad("the JSON text ends too early", "/metrics/0/featureName", 50)
NO_REDIS = problem(503, "Service Unavailable", "UnavailableError",
                   "Redis cannot take the counts now, and the spool cannot "
                   "be used", retry="10")
HEALTHY = wanted(200, "application/json", {"status": "ok"})
READY = wanted(200, "application/json",
               {"status": "degraded", "redis": "up", "spool": "failed",
                "tokens": "ok"})


def passed_on(target, length=0):
    return wanted(200, "application/json",
                  {"standin": target, "length": length})


def seen(reply, somewhere=False):
    """An answer as the table has it; what is random in it has a fixed name.

    With `somewhere` it does not matter which place it names.
    """
    content = reply.json()
    if isinstance(content, dict) and somewhere:
        content.pop("offset", None)
        content["details"][0]["path"] = content.pop("pointer", "")[:0]
    if content is None and reply.body:
        content = reply.body
    if isinstance(content, dict) and re.fullmatch(
            UUID, str(content.get("id"))):
        content["id"] = "UUID"
    return wanted(reply.status, reply.kind, content,
                  reply.headers.get("allow"),
                  reply.headers.get("retry-after"))


# What is sent.

def body(feature, size=0, variants=0, applications=(), **more):
    """A body that counts 1, filled with white space up to a size."""
    text = json.dumps({"applications": list(applications), "metrics": [{
        "featureName": feature, "appName": "a", "environment": "e",
        "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
        "variants": {f"{i}": 1 for i in range(variants)}}], **more}).encode()
    return text + b" " * (size - len(text))


def deflated(data):
    return zlib.compress(data)


# Keeps what is packed within limit_ratio.
NOISE = random.Random(1).choices(range(1000), k=150000)


BLOWN = deflated(body("blown", MEGABYTE + 1))


@functools.lru_cache(maxsize=8)
def inflated(feature, size, pack):
    """A body of so many bytes when it is unpacked; the same for each server."""
    return pack(body(feature, size, noise=NOISE))


def registered(**lists):
    return [{"appName": "a", "environment": "e", "instanceId": "i",
             "interval": 1, "started": "2026-11-23T09:30:00Z",
             "strategies": [], **lists}]


def names(count):
    return [f"n{i}" for i in range(count)]


class Row:
    """A request and its answer.

    The answer is that of all shapes, or `beside` is that of those which pass
    other paths on.  `but` has the servers that cannot give that answer, by
    class and why: {"Nginx": (status, "reason")}.
    """

    def __init__(self, name, answer=ACCEPTED, method="POST", target=BULK,
                 headers=(), token=TOKEN, kind="application/json",
                 content=body, framing="length", beside=None, but=None,
                 version="1.1", somewhere=False):
        self.somewhere = somewhere
        self.name, self.answer, self.beside = name, answer, beside
        self.method, self.target, self.framing = method, target, framing
        self.headers, self.token, self.kind = list(headers), token, kind
        self.content, self.but, self.version = content, but or {}, version

    def wanted_of(self, front):
        """The answer and None, or a status and why it is another."""
        for kind in type(front).__mro__:
            if kind.__name__ in self.but:
                return self.but[kind.__name__]
        if self.framing != "length" and front.chunks_max and len(
                self.sent("f")) > front.chunks_max and not (
                self.beside and front.shape == "beside-unleash"):
            return 413, "it passes on no larger ones in chunks"
        if self.beside and front.shape == "beside-unleash":
            return self.beside, None
        return self.answer, None

    def sent(self, feature):
        return (self.content(feature) if callable(self.content)
                else self.content)

    def request(self, feature):
        content = self.sent(feature)
        headers = [("Host", "metrics.example"), *self.headers]
        if self.kind is not None:
            headers.append(("Content-Type", self.kind))
        if self.token is not None:
            headers.append(("Authorization", self.token))
        if self.framing == "length" and content is not None:
            headers.append(("Content-Length", len(content)))
        elif self.framing != "length":
            headers.append(("Transfer-Encoding", "chunked"))
            content = (self.framing(content) if callable(self.framing)
                       else chunked(content))
        return head(self.method, self.target, headers).replace(
            b"HTTP/1.1", b"HTTP/" + self.version.encode(), 1), content or b""


def read(name, target, answer, method="GET", **more):
    return Row(name, answer, method=method, target=target, content=None,
               kind=None, **more)


PATHS = [
    Row("a trailing slash", target=BULK + "/"),
    Row("doubled slashes", target="//api//client/metrics///bulk"),
    Row("doubled slashes at the end", target=BULK + "//"),
    Row("a query", target=BULK + "?a=b&c=%20/x?y"),
    Row("a slash and a query", target=BULK + "/?a"),
    Row("an escaped letter", target="/api/client/metrics/b%75lk"),
    Row("the absolute form", target="http://metrics.example" + BULK),
    read("GET", BULK, ONLY_POST),
    read("HEAD", BULK, headless(ONLY_POST), method="HEAD"),
    read("OPTIONS", BULK, ONLY_POST, method="OPTIONS"),
    read("DELETE", BULK, ONLY_POST, method="DELETE"),
    Row("PUT", ONLY_POST, method="PUT"),
    Row("PATCH in chunks", ONLY_POST, method="PATCH", framing="chunked"),
    *[Row(f"{target} is another path", NOT_FOUND, target=target,
          content=b"12345", beside=passed_on(target, 5))
      for target in ("/", "/api/client/metric", BULK + "ier",
                     BULK + "/more", "/x" + BULK, "/API/client/metrics/bulk",
                     "/api/client/registers?a=b", "/api/client/metrics/b")],
    Row("another path in chunks", NOT_FOUND, target="/api/client/registers",
        framing="chunked", content=b"x" * 200000,
        beside=passed_on("/api/client/registers", 200000)),
    read("another path, GET", "/api/client/features", NOT_FOUND,
         beside=passed_on("/api/client/features")),
    read("another path, OPTIONS", "/edge", NOT_FOUND, method="OPTIONS",
         beside=passed_on("/edge")),
]

TOKEN_ROWS = [
    Row("no Authorization", NO_TOKEN, token=None),
    Row("an empty Authorization", NO_TOKEN, token=""),
    Row("an unknown token", NO_TOKEN, token="*:*.geheim"),
    Row("a long unknown token", NO_TOKEN, token="*:*." + "x" * 6000),
    Row("Bearer", token="Bearer " + TOKEN),
    Row("bearer", token="bearer " + TOKEN),
    Row("Bearer and two blanks", token="Bearer  " + TOKEN),
    Row("Bearer alone", NO_TOKEN, token="Bearer"),
    Row("Basic", NO_TOKEN, token="Basic Kjoqc2VjcmV0"),
    Row("a token of a frontend", FRONTEND, token="*:*.browser"),
    Row("no Authorization and a large body", NO_TOKEN, token=None,
        content=lambda _: b"x" * 3 * MEGABYTE),
    Row("no Authorization and a large body in chunks", NO_TOKEN, token=None,
        content=lambda _: b"x" * 3 * MEGABYTE, framing="chunked"),
]

TYPES = [
    Row("no Content-Type", NOT_JSON, kind=None),
    Row("text/plain", NOT_JSON, kind="text/plain"),
    Row("a form", NOT_JSON, kind="application/x-www-form-urlencoded"),
    Row("multipart", NOT_JSON, kind="multipart/form-data; boundary=x"),
    Row("with a charset", kind="application/json; charset=utf-8"),
    Row("in capitals", kind="APPLICATION/JSON"),
    Row("+json", kind="application/vnd.unleash+json;v=1"),
    Row("identity", headers=[("Content-Encoding", "identity")]),
    Row("gzip", headers=[("Content-Encoding", "gzip")],
        content=lambda feature: gzip.compress(body(feature))),
    Row("x-gzip in chunks", headers=[("Content-Encoding", "x-gzip")],
        content=lambda feature: gzip.compress(body(feature)),
        framing="chunked"),
    Row("deflate", headers=[("Content-Encoding", "deflate")],
        content=lambda feature: deflated(body(feature))),
    Row("br", UNKNOWN_ENCODING, headers=[("Content-Encoding", "br")]),
    Row("gzip twice", UNKNOWN_ENCODING,
        headers=[("Content-Encoding", "gzip, gzip")]),
    Row("gzip that is none", bad("the compressed body is damaged"),
        headers=[("Content-Encoding", "gzip")]),
    Row("half a gzip", bad("the compressed body ends too early", offset=60),
        headers=[("Content-Encoding", "gzip")],
        content=lambda feature: gzip.compress(body(feature))[:60]),
    Row("Accept-Encoding", headers=[("Accept-Encoding", "gzip, br")]),
]

BODIES = [
    Row("an empty body", EMPTY, content=b""),
    Row("no body and no length", EMPTY, content=None,
        but={"Lighttpd": (411, "lighttpd itself wants a length of a POST")}),
    Row("an empty body in chunks", EMPTY,
        content=b"", framing="chunked"),
    Row("no JSON", bad("an unexpected byte"), content=b"hello"),
    Row("half a body", HALF, content=lambda f: body(f)[:50]),
    Row("half a body in chunks", HALF, content=lambda f: body(f)[:50],
        framing="chunked"),
    Row("a member is missing", bad("\"applications\" is missing"),
        content=b'{"metrics":[]}'),
]


def framings():
    trailers = b"Expires: never\r\nX-Sum: 1\r\n"
    return [
        Row("in chunks", framing="chunked"),
        Row("in chunks of one byte", framing=lambda c: chunked(c, 1)),
        Row("in chunks with extensions", framing=lambda c: re.sub(
            rb"\A([0-9a-f]+)\r\n", rb'\1;a=b;c="d"\r\n', chunked(c, 50))),
        Row("in chunks with trailers", framing=lambda c:
            chunked(c)[:-2] + trailers + b"\r\n"),
        Row("HTTP/1.0", version="1.0"),
        Row("100-continue", headers=[("Expect", "100-continue")]),
        Row("100-continue in chunks", headers=[("Expect", "100-continue")],
            framing="chunked"),
        Row("a long query", target=BULK + "?" + "q" * 6000),
        Row("many headers", headers=[(f"X-{i}", "y" * 100)
                                     for i in range(40)]),
    ]


def sizes():
    rows = []
    for size in (1 << 13, 12288, 12289, 1 << 16, (1 << 16) + 1, 1 << 17, (1 << 17) + 1,
                 MEGABYTE, MEGABYTE + 1, LIMIT_BODY - 1, LIMIT_BODY):
        for framing in ("length", "chunked"):
            rows.append(Row(f"{size} bytes, {framing}", framing=framing,
                            content=lambda f, size=size: body(f, size)))
    return rows + [
        Row("limit_body and a byte", LARGE_BODY,
            content=lambda f: body(f, LIMIT_BODY + 1)),
        Row("8 MiB", LARGE_BODY,
            content=lambda f: body(f, 8 * MEGABYTE)),
        Row("60 MiB", LARGE_BODY, content=lambda f:
            body(f, 60 * MEGABYTE)),
        Row("limit_body and a byte in chunks", LARGE_BODY,
            content=lambda f: body(f, LIMIT_BODY + 1), framing="chunked"),
        Row("20 MiB in chunks", LARGE_BODY, content=lambda f:
            body(f, 20 * MEGABYTE), framing="chunked"),
        Row("limit_inflated", headers=[("Content-Encoding", "gzip")],
            content=lambda f: inflated(f, LIMIT_INFLATED, gzip_fast)),
        Row("limit_inflated and a byte", too_large(
            "the body is larger than limit_inflated when it is decompressed",
            pointer="", offset=LIMIT_INFLATED),
            headers=[("Content-Encoding", "deflate")],
            content=lambda f: inflated(f, LIMIT_INFLATED + 1, deflated)),
        Row("limit_ratio is nothing up to a MiB",
            headers=[("Content-Encoding", "deflate")],
            content=lambda f: deflated(body(f, MEGABYTE))),
        Row("limit_ratio", too_large(
            "the body grows more than limit_ratio when it is decompressed",
            pointer="", offset=len(BLOWN)), content=BLOWN,
            headers=[("Content-Encoding", "deflate")]),
        Row("limit_counters", content=lambda f:
            body(f, variants=LIMIT_COUNTERS - 1)),
        Row("limit_counters and one", too_large(
            "this value exceeds limit_counters",
            pointer="/metrics/0", offset=33),
            content=lambda f: body(f, variants=LIMIT_COUNTERS)),
    ]


def limits():
    """At the limit, and one beyond."""
    rows = []
    for beyond in (0, 1):
        count = LIMIT_LISTS + beyond
        hops = [{"appName": name, "instanceId": "x"} for name in names(count)]
        for name, more in (
                ("strategies", {"applications": registered(
                    strategies=names(count))}),
                ("projects", {"applications": registered(
                    projects=names(count))}),
                ("connect_via", {"applications": registered(connectVia=hops)}),
                ("tokens", {"seenTokens": names(count)}),
                ("labels", {"impactMetrics": [{
                    "type": "gauge", "name": "m", "help": "h", "samples": [{
                        "value": 1, "labels": dict.fromkeys(
                            names(count), "v")}]}]})):
            rows.append(Row(f"limit_{name}: {beyond} are left out",
                            content=lambda f, more=more: body(f, **more)))
    def deep(feature, depth):
        return body(feature, x=0).replace(
            b'"x": 0', b'"x": ' + b"[" * depth + b"]" * depth)

    def long(feature, size):
        return body(feature, applications=registered(sdkVersion="x" * size))

    return rows + [
        Row("limit_depth", content=lambda f: deep(f, LIMIT_DEPTH - 1)),
        Row("limit_depth and one", bad(
            "nested too deeply (limit_depth)", "/x" + "/0" * (LIMIT_DEPTH - 1),
            deep("f", LIMIT_DEPTH).index(b"[[") + LIMIT_DEPTH - 1),
            content=deep("f", LIMIT_DEPTH)),
        Row("limit_name", content=lambda f: long(f, LIMIT_NAME)),
        Row("limit_name and one", bad(
            '"sdkVersion" is longer than limit_name',
            "/applications/0/sdkVersion",
            long("f", LIMIT_NAME + 1).index(b'"xx')),
            content=long("f", LIMIT_NAME + 1)),
        Row("limit_memory", too_large(
            "this value takes more memory than limit_memory"),
            somewhere=True, content=body(
            "f", applications=[{**registered(strategies=[
                "\x01" * LIMIT_NAME])[0], "instanceId": f"i{i}"}
                for i in range(1200)])),
    ]


def gzip_fast(data):
    return gzip.compress(data, 1)


def backstage(front):
    def path(name):
        return f"{front.backstage}/internal-backstage/{name}"
    return [
        read("health", path("health"), HEALTHY),
        read("health with a slash", path("health/"), HEALTHY),
        read("ready", path("ready?x"), READY),
        read("HEAD of ready", path("ready"), headless(READY), method="HEAD"),
        Row("POST of health", ONLY_READ, target=path("health")),
        read("what is not there", path("other"), NOT_FOUND),
        *[read(f"backstage, through a proxy: {name}", path("health"),
               NOT_FOUND, headers=[(name, value)]) for name, value in (
                   ("X-Forwarded-For", "192.0.2.1"),
                   ("X-Forwarded-For", "127.0.0.1"),
                   ("X-Real-IP", "127.0.0.1"), ("Via", "1.1 proxy"),
                   ("Forwarded", "for=127.0.0.1"))],
    ]


def ask(front, row, feature):
    """Send a row's request on a connection of its own."""
    request, content = row.request(feature)
    with front.connect() as connection:
        if any(name == "Expect" for name, _ in row.headers):
            connection.send(request)
            status, _ = connection.head()
            check(status == 100, f"{front.title}: {row.name}: is told to go "
                  "on", status)
            connection.push(content)
        else:
            connection.push_or_hear(request + content)
        return connection.reply(row.method)


def ask_all(front, rows, counted):
    for row in rows:
        feature = f"f{len(counted)}"
        answer, why = row.wanted_of(front)
        counted[feature + ":yes"] = int(answer == ACCEPTED)
        try:
            got = seen(ask(front, row, feature), row.somewhere)
        except Exception as error:
            got = repr(error)
        name = f"{front.title}: {row.name}"
        if why:
            got, name = got["status"], f"{name} ({answer}: {why})"
        equal(got, answer, name)


def counts(redis):
    found = redis.client.everything().get(b"flagtally:{e:a}:2026-11-23", {})
    return {field.decode(): int(value) for field, value in found.items()
            if b":variant:" not in field}


def kept(front, counted):
    """Requests of all kinds on one connection, and many at once."""
    rows = [Row("kept", content=body), Row("", NOT_JSON, kind=None),
            read("", BULK, ONLY_POST), Row("", NO_TOKEN, token=None),
            Row("", headers=[("Content-Encoding", "gzip")],
                content=lambda feature: gzip.compress(body(feature))),
            read("", BULK, headless(ONLY_POST), method="HEAD"),
            Row("", content=lambda feature: body(feature, 100000)),
            Row("", EMPTY, content=b""),
            read("", "/other", NOT_FOUND, beside=passed_on("/other"))] * 3
    rows = [row for row in rows
            if row.wanted_of(front)[0]["status"] not in front.closes_after]
    for way in ("one after the other", "pipelined"):
        wanted_answers, got, sent = [], [], []
        for row in rows:
            feature = f"f{len(counted)}"
            answer = row.wanted_of(front)[0]
            counted[feature + ":yes"] = int(answer == ACCEPTED)
            wanted_answers.append(answer)
            sent.append((row, b"".join(row.request(feature))))
        try:
            with front.connect() as connection:
                if way == "pipelined":
                    threading.Thread(target=connection.push, args=(
                        b"".join(request for _, request in sent),)).start()
                for row, request in sent:
                    if way != "pipelined":
                        connection.send(request)
                    got.append(seen(connection.reply(row.method)))
        except Exception as error:
            got.append(repr(error))
        equal(dict(enumerate(got)), dict(enumerate(wanted_answers)),
              f"{front.title}: {len(rows)} requests on one connection, {way}")


def aborted(front, redis):
    """Uploads that break off count nothing, and hold nobody up."""
    before = counts(redis)
    whole = body("aborted")
    announced = head("POST", BULK, [
        ("Host", "x"), ("Authorization", TOKEN),
        ("Content-Type", "application/json"), ("Content-Length", 200000)])
    in_chunks = announced.replace(b"Content-Length: 200000",
                                  b"Transfer-Encoding: chunked")
    half = b"%x\r\n%s\r\n"
    for request in (announced, announced + whole[:70], announced + whole,
                    announced + body("aborted", 150000), in_chunks,
                    in_chunks + half % (70, whole[:70]),
                    in_chunks + half % (70000, body("aborted", 70000))):
        connections = [front.connect() for _ in range(40)]
        for connection in connections:
            connection.send(request)
        for connection in connections:
            connection.close()
    try:
        answer = seen(ask(front, Row("after"), "after"))
    except Exception as error:
        answer = repr(error)
    equal(answer, ACCEPTED, f"{front.title}: after 280 uploads that broke "
          "off, the next request is answered")
    # In chunks the length is not known, and flagtally may have it all.
    got = counts(redis)
    check(got.pop("after:yes", 0) == 1 and got.pop("aborted:yes", 0) <= 40 and
          got == before, f"{front.title}: and none of them is counted", got)


# Seconds that a body takes which is refused before it is there.
SLOW = 4


def answer_of(client):
    try:
        return client.reply().status
    except OSError as error:
        return repr(error)
    finally:
        client.close()


def slow_refusals(front):
    """What clients get that are refused, and whose bodies take long."""
    filled = b" " * 20000
    size = 8 * len(filled)
    rows = [(403, None, "application/json", b"", size),
            (415, TOKEN, "text/plain", b"", size),
            (413, TOKEN, "application/json", b"", 8 * MEGABYTE),
            (400, TOKEN, "application/json", b"no JSON", size)]
    clients = []
    for status, token, kind, begun, length in rows:
        client = front.connect()
        headers = [("Host", "x"), ("Content-Type", kind),
                   ("Content-Length", length)]
        if token:
            headers.append(("Authorization", token))
        client.push(head("POST", BULK, headers) + begun +
                    filled[len(begun):])
        clients.append((status, client))
    got, waits = {}, dict(clients)
    for _ in range(7):
        # The time that passes is what is tested.
        time.sleep(SLOW / 7)
        for status, client in list(waits.items()):
            if select.select([client.socket], [], [], 0)[0]:
                got[status] = answer_of(waits.pop(status))
            else:
                client.push(filled)
    for status, client in waits.items():
        if status == 413:
            client.push_or_hear(b" " * (8 * MEGABYTE - size))
        got[status] = answer_of(client)
    return got


def check_refusals(front, got):
    """A refusal reaches a client whose body takes long, all at once."""
    equal(got, {status: status for status in (403, 415, 413, 400)},
          f"{front.title}: refused, with a body that takes {SLOW} s")


def table(kind):
    with Place() as place, ThreadPoolExecutor(1) as pool:
        redis = Redis(place)
        standin = Standin()
        front = kind(place, redis, standin, auth="tokens",
                     tokens=place.file("tokens", TOKENS),
                     limit_counters=LIMIT_COUNTERS, limit_depth=LIMIT_DEPTH,
                     limit_name=LIMIT_NAME, limit_memory="3M",
                     **{f"limit_{name}": LIMIT_LISTS for name in (
                         "strategies", "projects", "connect_via", "tokens",
                         "labels")})
        counted = {}
        # Meanwhile all else goes on.
        refusals = pool.submit(slow_refusals, front)
        for rows in (PATHS, TOKEN_ROWS, TYPES, BODIES, framings(), sizes(),
                     limits(), backstage(front)):
            ask_all(front, rows, counted)
        kept(front, counted)
        check_refusals(front, refusals.result())
        equal(counts(redis), {name: count for name, count in counted.items()
                              if count},
              f"{front.title}: what got 202 is in Redis, and nothing else")
        aborted(front, redis)
        if front.shape == "beside-unleash":
            check(standin.seen and all(
                headers.get("authorization") == TOKEN
                for _, _, headers, _ in standin.seen),
                f"{front.title}: Unleash gets the Authorization",
                standin.seen[:3])
        # It takes its time to say so, which is the same in both shapes.
        if front.shape == "beside-unleash":
            redis.kill()
            ask_all(front, [Row("Redis is away", NO_REDIS)], {})
        standin.end()


# The same with FCGI_KEEP_CONN, which no shipped configuration asks for.

def edited(path, old, new):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if old not in text:
        raise ValueError(f"{path} has no {old!r}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


class NginxKept(front.NginxAlone):
    title = "nginx, kept"

    def configure(self):
        super().configure()
        edited(self.place.file("alone.conf"),
               f"fastcgi_pass unix:{self.socket};",
               "fastcgi_pass kept; fastcgi_keep_conn on;")
        edited(self.config, "\tinclude ", "\tupstream kept { server unix:"
               f"{self.socket}; keepalive 8; }}\n\tinclude ")


class HaproxyKept(front.HaproxyAlone):
    title = "HAProxy, kept"

    def configure(self):
        super().configure()
        edited(self.config, "no option keep-conn", "option keep-conn")


class ApacheProxyKept(apache.ApacheProxyAlone):
    title = "Apache, mod_proxy_fcgi, kept"

    def configure(self):
        super().configure()
        edited(self.place.file("site.conf"), "|fcgi://flagtally/\"",
               "|fcgi://flagtally/\" enablereuse=on")


def connections_kept():
    for kind in (NginxKept, HaproxyKept, ApacheProxyKept):
        with Place() as place:
            one = kind(place, Redis(place), auth="tokens",
                       tokens=place.file("tokens", TOKENS))
            check_refusals(one, slow_refusals(one))
            kept(one, {})


def a_table_for(kind):
    def test():
        table(kind)
    test.__name__ = kind.__name__
    return test


run([a_table_for(kind) for kind in front.fronts + apache.fronts] +
    [connections_kept])
