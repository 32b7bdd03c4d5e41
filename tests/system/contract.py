"""The HTTP contract: which request gets which answer, and what it changes."""

import gzip
import hashlib
import http.client
import itertools
import json
import os
import re
import signal
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.model import own
from tests.harness.servers import Flagtally, Lighttpd, Place, Redis
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

PATH = "/api/client/metrics/bulk"
TOKEN = "*:*.geheim-all"
# Every secret of this test contains this word, and no log may.
SECRET = "geheim"
ANSWER_TIME_MAX = 2.0
IDS = set()
MARK = "@@"


def metric(**changes):
    values = {"featureName": "f", "appName": "a", "environment": "e",
              "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
              "variants": {}}
    values.update(changes)
    return {name: value for name, value in values.items()
            if value is not None}


def document(*metrics, **members):
    return json.dumps({"applications": [], "metrics": list(metrics),
                       **members}, separators=(",", ":")).encode()


BODY = document(metric())
WITHOUT_LENGTH = {"CONTENT_LENGTH": None}


# What every answer must look like

def answer_faults(answer, status, size=None):
    """What is wrong with an answer that should have this status."""
    headers = answer.headers
    faults = []
    if answer.status != status:
        faults.append(f"status {answer.status}, not {status}")
    if headers.get("content-length") != str(len(answer.body)):
        faults.append(f"Content-Length {headers.get('content-length')}")
    if status == 202 and (answer.body != b"{}" or
                          headers.get("content-type") != "application/json"):
        faults.append("the body is not an empty JSON object")
    if status == 405 and headers.get("allow") != "POST":
        faults.append(f"Allow: {headers.get('allow')}")
    if status == 503 and not re.fullmatch("[1-9][0-9]*",
                                          headers.get("retry-after", "")):
        faults.append(f"Retry-After: {headers.get('retry-after')}")
    if status >= 400:
        faults += problem_faults(answer, status, size)
    return faults + ([repr(headers), repr(answer.body[:1000])]
                     if faults else [])


def problem_faults(answer, status, size):
    """What is wrong with the body of an error (RFC 9457, and Unleash's)."""
    try:
        problem = json.loads(answer.body.decode())
    except ValueError as error:
        return [f"no JSON: {error}"]
    faults = []
    if answer.headers.get("content-type") != "application/problem+json":
        faults.append(f"Content-Type {answer.headers.get('content-type')}")
    if len(answer.body) > 8192:
        faults.append(f"{len(answer.body)} bytes are not bounded")
    if problem.get("status") != status:
        faults.append(f"member status {problem.get('status')}")
    texts = ["type", "title", "detail", "id", "name", "message"]
    faults += [f"no text in {name}" for name in texts
               if not problem.get(name) or
               not isinstance(problem[name], str)]
    if problem.get("id") in IDS:
        faults.append("the id has been used")
    IDS.add(problem.get("id"))
    details = problem.get("details")
    if not isinstance(details, list) or not details or not all(
            isinstance(item.get(name), str) for item in details
            for name in ("message", "path", "description")):
        return [*faults, f"details {details}"]
    if status == 400:
        faults += place_faults(problem, size)
    return faults


def place_faults(problem, size):
    """What is wrong with the place that a 400 must name."""
    pointer, offset = problem.get("pointer"), problem.get("offset")
    faults = []
    if not isinstance(pointer, str) or not re.fullmatch(
            "(/([^~/]|~[01])*)*", pointer, re.DOTALL):
        faults.append(f"pointer {pointer!r}")
    elif problem["details"][0]["path"] != pointer:
        faults.append(f"path {problem['details'][0]['path']!r}")
    if type(offset) is not int or offset < 0 or (
            size is not None and offset > size):
        faults.append(f"offset {offset!r}")
    return faults


class Service:
    """The program and its Redis; by default one token is known."""

    def __init__(self, place, **settings):
        self.place = place
        if "tokens" not in settings and "auth" not in settings:
            settings["tokens"] = place.file("tokens", TOKEN + "\n")
        settings = {"auth": "tokens", "log_level": "debug", **settings}
        self.redis = Redis(place, appendonly="no")
        self.program = Flagtally(place, self.redis, **settings)
        self.address = self.program.address

    def parameters(self, body=BODY, **changes):
        return fcgi.params(body, **{"HTTP_AUTHORIZATION": TOKEN, **changes})

    def post(self, body=BODY, **changes):
        return fcgi.post(self.address, body, **{
            "HTTP_AUTHORIZATION": TOKEN, **changes})

    def contents(self):
        return self.redis.client.everything()

    def expect(self, status, name, body=BODY, counts=True, **changes):
        """Check an answer, and that Redis changes if and only if it may."""
        before = self.contents()
        answer = self.post(body, **changes)
        faults = answer_faults(answer, status)
        changed = self.contents() != before
        if changed and status != 202:
            faults.append("Redis has changed")
        elif changed != counts and status == 202:
            faults.append("Redis " + ("has" if changed else "has not") +
                          " changed")
        check(not faults, f"{name}: {status}", *faults)
        return answer

    def count(self, application="a", field="f:yes", environment="e"):
        return int(self.redis("HGET", f"flagtally:{{{environment}:"
                              f"{application}}}:2026-11-23", field) or 0)

    def log(self):
        return self.place.read(self.program.log)

    def goes_on(self, name):
        """Check that the program serves as before, and tells no secret."""
        self.expect(202, f"{name}: the program goes on")
        check(SECRET not in self.log(), f"{name}: no token is in the log")


# The answers

def answers():
    table = [
        (202, "what is valid", {}),
        (400, "no JSON", {"body": b"{"}),
        (400, "not the schema", {"body": b"{}"}),
        (400, "nothing at all", {"body": b""}),
        (403, "no token", {"HTTP_AUTHORIZATION": None}),
        (403, "an unknown token", {"HTTP_AUTHORIZATION": "*:*.geheim"}),
        (404, "another path", {"REQUEST_URI": "/", "SCRIPT_NAME": "/"}),
        *((405, f"method {method!r}", {"REQUEST_METHOD": method})
          for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH", "post",
                         "POSTS", "")),
        (405, "no method", {"REQUEST_METHOD": None}),
        (405, "GET without a body",
         {"REQUEST_METHOD": "GET", "body": b"", "CONTENT_TYPE": None,
          "CONTENT_LENGTH": None}),
        (415, "another type", {"CONTENT_TYPE": "text/plain"}),
        (415, "another encoding", {"HTTP_CONTENT_ENCODING": "br"}),
    ]
    with Place() as place:
        service = Service(place)
        for status, name, changes in table:
            service.expect(status, name, **changes)
        head = service.post(REQUEST_METHOD="HEAD")
        equal([head.status, head.headers.get("allow")], [405, "POST"],
              "HEAD: 405")
        service.goes_on("answers")


def types():
    accepted = [
        "application/json", "application/json; charset=utf-8",
        "application/json;charset=UTF-8", "APPLICATION/JSON",
        'Application/Json ; charset="utf-8"; x=y', "application/x+json",
        "application/vnd.unleash.v1+json", "application/X+JSON;a=b",
    ]
    refused = [
        None, "", "text/plain", "text/json", "application/jsonx",
        "application/xjson", "application/x+jsonx", "application/", "json",
        "application/json-seq", "application/xml", "xapplication/json",
        "application/x-www-form-urlencoded", "text/x+json",
        "multipart/form-data; boundary=application/json",
        "text/plain; application/json", ";application/json",
        "application/json, text/plain", "text/plain, application/json",
        "application/json application/json", "application/json:x",
        "application/json\x0b", "application/json\xa0", '"application/json"',
        "application/json,charset=utf-8", "application\\json",
        "application /json", "application/ json", "application/+json",
    ]
    with Place() as place:
        service = Service(place)
        for kind in accepted:
            service.expect(202, f"type {kind!r}", CONTENT_TYPE=kind)
        for kind in refused:
            service.expect(415, f"type {kind!r}", CONTENT_TYPE=kind)
        service.goes_on("types")


def raw_deflate(data):
    compress = zlib.compressobj(wbits=-15)
    return compress.compress(data) + compress.flush()


def encodings():
    packed = gzip.compress(BODY)
    flat, raw = zlib.compress(BODY), raw_deflate(BODY)
    accepted = [
        (None, BODY), ("", BODY), ("identity", BODY), ("Identity", BODY),
        ("gzip", packed), ("GZIP", packed), ("x-gzip", packed),
        ("gzip", gzip.compress(BODY[:50]) + gzip.compress(BODY[50:])),
        ("deflate", flat), ("Deflate", flat), ("deflate", raw),
        ("deflate", zlib.compress(BODY, 0)), ("gzip", gzip.compress(BODY, 0)),
    ]
    refused = ["br", "zstd", "compress", "*", "gzip, gzip", "gzip, deflate",
               "gzipx", "gzi", "x-deflate", "none", "utf-8", "gzip,gzip",
               "gzip,", ",gzip", "identity, gzip", "gzip, identity",
               "gzip;q=1", "x-gzip, x-gzip", "gzip x", "gzip\x0b", "gzıp"]
    damaged = [
        ("gzip", BODY, "plain JSON"), ("deflate", b"\xff" + BODY, "no code"),
        (None, packed, "gzip, but not said to be"), ("gzip", b"", "nothing"),
        ("gzip", raw, "bare deflate"), ("gzip", flat, "zlib's format"),
        ("gzip", packed[:-1], "cut by one byte"),
        ("gzip", packed[:1], "cut after one byte"),
        ("gzip", packed[:-8], "cut before its trailer"),
        ("gzip", packed + b"x", "followed by another byte"),
        ("gzip", packed[:-8] + b"\0" * 4 + packed[-4:], "a wrong checksum"),
        ("deflate", flat[:-1], "cut by one byte"),
        ("deflate", flat + b"x", "followed by another byte"),
        ("deflate", raw[:-1], "bare and cut by one byte"),
        ("deflate", flat[:-4] + b"\0\0\0\1", "a wrong checksum"),
        ("gzip", gzip.compress(b""), "nothing inside"),
        ("gzip", gzip.compress(BODY + BODY), "two documents inside"),
    ]
    with Place() as place:
        service = Service(place)
        for coding, body in accepted:
            service.expect(202, f"encoding {coding!r} of {len(body)} bytes",
                           body, HTTP_CONTENT_ENCODING=coding)
        equal(service.count(), len(accepted), "each of them counts once")
        for coding in refused:
            service.expect(415, f"encoding {coding!r}",
                           HTTP_CONTENT_ENCODING=coding)
        for coding, body, name in damaged:
            service.expect(400, f"encoding {coding!r}, {name}", body,
                           HTTP_CONTENT_ENCODING=coding)
        service.goes_on("encodings")


def limits():
    spaces = b" " * 3000

    def padded(size):
        return (BODY + spaces)[:size]

    many = document(*(metric(featureName=f"f{i}") for i in range(200)))
    same = document(*(metric(yes=i) for i in range(200)))
    few = document(*(metric(featureName=f"f{i}") for i in range(10)))
    zeros = document(metric(), *(metric(featureName=f"f{i}", yes=0)
                                 for i in range(200)))
    variants = document(metric(variants={f"v{i}": 1 for i in range(200)}))
    packed = {"HTTP_CONTENT_ENCODING": "gzip"}
    flat = {"HTTP_CONTENT_ENCODING": "deflate"}
    bomb = gzip.compress(BODY + b" " * 30_000_000)
    random = os.urandom(4096)
    sized = [
        (202, "a body of limit_body bytes", padded(1000), {}),
        (413, "one byte more by Content-Length", padded(1001), {}),
        (202, "limit_body bytes without Content-Length", padded(1000),
         WITHOUT_LENGTH),
        (413, "one byte more without Content-Length", padded(1001),
         WITHOUT_LENGTH),
        (413, "one byte more with an empty Content-Length", padded(1001),
         {"CONTENT_LENGTH": ""}),
        (202, "limit_inflated bytes", gzip.compress(padded(2000)), packed),
        (413, "one byte more, gzip", gzip.compress(padded(2001)), packed),
        (413, "one byte more, deflate", zlib.compress(padded(2001)), flat),
        (413, "one byte more, bare deflate", raw_deflate(padded(2001)),
         flat),
        (413, "limit_body bytes more of gzip, unread",
         gzip.compress(random)[:1001], packed),
    ]
    counted = [
        (202, "few counters", few, {}), (413, "many features", many, {}),
        (413, "many variants", variants, {}),
        (413, "many counters, gzip", gzip.compress(many), packed),
        (202, "the same counter many times", same, {}),
        (202, "many entries of nothing but zeros", zeros, {}),
    ]
    with Place() as place:
        service = Service(place, limit_body=1000, limit_inflated=2000)
        for status, name, body, changes in sized:
            service.expect(status, name, body, **changes)
        service.goes_on("limits of size")
    with Place() as place:
        service = Service(place, limit_counters=100)
        for status, name, body, changes in counted:
            service.expect(status, name, body, **changes)
        service.goes_on("limits of counters")
    with Place() as place:
        service = Service(place, limit_body="1M", limit_inflated="16M")
        before = service.program.resident()
        service.expect(413, "30 MB in 30 KB of gzip", bomb, **packed)
        check(service.program.resident() - before < 8e6,
              "what it inflates to is never held")
        service.expect(413, "huge by Content-Length alone",
                       CONTENT_LENGTH="9223372036854775807")
        service.expect(413, "beyond 64 bits by Content-Length",
                       CONTENT_LENGTH="99999999999999999999999")
        service.goes_on("limits")
    with Place() as place:
        service = Service(place, limit_body=0, limit_inflated=0,
                          limit_ratio=0, limit_memory=0, limit_counters=0)
        service.expect(202, "no limits", BODY + b" " * 5_000_000)
        service.expect(202, "no limits, gzip", gzip.compress(
            many + b" " * 40_000_000), **packed)


# The bodies of errors

def marked(bad, *, among=None, where="metrics", before=0, **members):
    """A body, the place of the bytes at fault, and how many they are."""
    item = among if among is not None else metric(**members)
    text = json.dumps({"applications": [], "metrics": [],
                       **{where: [metric()] * before + [item]}},
                      ensure_ascii=False).encode()
    quoted = json.dumps(MARK).encode()
    start = text.index(quoted)
    return text.replace(quoted, bad, 1), start, len(bad)


def application(**changes):
    values = {"appName": "a", "interval": 1, "strategies": [],
              "started": "2026-11-23T09:30:00Z"}
    return {**values, **changes}


def impact(kind, *samples):
    return {"type": kind, "name": "n", "help": "h", "samples": list(samples)}


def places():
    histogram = {"count": 1, "sum": 1, "buckets": [{"le": 1, "count": 1},
                                                   {"le": MARK, "count": 1}]}
    table = [
        ("/metrics/0/yes", marked(b'"1"', yes=MARK)),
        ("/metrics/2/no", marked(b"-1", no=MARK, before=2)),
        ("/metrics/0/yes", marked(b"9007199254740992", yes=MARK)),
        ("/metrics/0/no", marked(b"1.5", no=MARK)),
        ("/metrics/0/timestamp", marked(b'"yesterday"', timestamp=MARK)),
        ("/metrics/0/appName", marked(b"null", appName=MARK)),
        ("/metrics/1/variants", marked(b"[ ]", variants=MARK, before=1)),
        ("/metrics/0/variants/a~1b~0c",
         marked(b"true", variants={"x": 1, "a/b~c": MARK})),
        ("/metrics/0/variants/", marked(b"{}", variants={"": MARK})),
        ("/metrics/0/variants/é\"\\\n",
         marked(b'""', variants={"é\"\\\n": MARK})),
        ("/metrics/0", marked(b"5", among=MARK)),
        ("/applications/0", marked(b"null", among=MARK,
                                   where="applications")),
        ("/applications/0/interval", marked(
            b"1.25", among=application(interval=MARK),
            where="applications")),
        ("/applications/0/strategies/1", marked(
            b"7", among=application(strategies=["", MARK]),
            where="applications")),
        ("/applications/0/sdkType", marked(
            b'"mobile"', among=application(sdkType=MARK),
            where="applications")),
        ("/applications/0/connectVia/0/instanceId", marked(
            b"null", among=application(
                connectVia=[{"appName": "", "instanceId": MARK}]),
            where="applications")),
        ("/impactMetrics/0/samples/1/value", marked(
            b'"2"', among=impact("counter", {"value": 1}, {"value": MARK}),
            where="impactMetrics")),
        ("/impactMetrics/0/samples/0/buckets/1/le", marked(
            b'"big"', among=impact("histogram", histogram),
            where="impactMetrics")),
        ("/impactMetrics/0/type", marked(
            b'"summary"', among=impact(MARK), where="impactMetrics")),
        ("/seenTokens/0", marked(b"1", among=MARK, where="seenTokens")),
        ("", (b"[]", 0, 1)),
        ("/metrics", (b'{"applications":[],"metrics":{}}', 29, 1)),
    ]
    with Place() as place:
        service = Service(place)
        for pointer, (body, start, length) in table:
            for pad in (0, 20000):
                answer = service.post(b" " * pad + body)
                faults = answer_faults(answer, 400, pad + len(body))
                problem = {} if faults else json.loads(answer.body)
                offset = problem.get("offset", -1) - pad
                if problem.get("pointer") != pointer:
                    faults.append(f"pointer {problem.get('pointer')!r}")
                if not start <= offset <= start + length:
                    faults.append(f"offset {offset}, not in {start} and "
                                  f"{length} bytes")
                check(not faults, f"the place is {pointer!r} after {pad} "
                      "bytes", body[:300], *faults)
        missing(service)
        syntax(service)
        service.goes_on("places")


def missing(service):
    """A member that is missing is at fault, or what it is missing in."""
    table = [
        ("/metrics/0", "featureName", document(metric(featureName=None))),
        ("/metrics/1", "timestamp", document(metric(),
                                             metric(timestamp=None))),
        ("/applications/0", "started", json.dumps({
            "metrics": [], "applications": [
                {"appName": "", "interval": 1, "strategies": []}]}).encode()),
        ("", "metrics", b'{"applications":[]}'),
        ("", "applications", b'{"metrics":[]}'),
    ]
    for parent, name, body in table:
        problem = json.loads(service.expect(400, f"without {name}",
                                            body).body)
        check(problem.get("pointer") in (parent, f"{parent}/{name}"),
              f"without {name}: the pointer", problem)
        check(name in problem["detail"], f"without {name}: the detail names "
              "it", problem)
    twice = BODY.replace(b'"yes":1', b'"yes":1,"yes":1')
    problem = json.loads(service.expect(400, "a member twice", twice).body)
    equal(problem.get("pointer"), "/metrics/0/yes",
          "a member twice: the pointer")


def syntax(service):
    """Where JSON breaks, the byte is known and what it stands in."""
    table = [
        (b'{"applications":[],"metrics":[}', 30),
        (b'{"applications":[],}', 19), (b'{"applications":[],x', 19),
        (b"\xef\xbb\xbf" * 2 + BODY, 3), (BODY + b" x", len(BODY) + 1),
        (BODY + BODY, len(BODY)), (BODY[:-1], len(BODY) - 1),
        (b'{"applications":tru e', 19), (b"", 0),
    ]
    for body, wanted in table:
        name = f"broken JSON {body[-30:]!r}"
        answer = service.expect(400, name, body)
        offset = json.loads(answer.body).get("offset")
        # A parser may stand before the byte or behind it.
        check(offset is not None and abs(offset - wanted) <= 2 and
              offset <= len(body), f"{name}: its place",
              f"offset {offset}, not {wanted}")


def echoes():
    """Text of the body in an answer is short and escaped."""
    names = ["x" * 4000, "é" * 2000, "/" * 4000, "~" * 4000, "\0" * 4000,
             "\"" * 4000, "\\" * 4000, "😀" * 1000, "<script>", "\x1b[2J",
             "\r\nStatus: 200 OK\r\n\r\n", "\u2028", "\x7f", "%n%s%d"]
    with Place() as place:
        service = Service(place)
        for name in names:
            shown = ascii(name[:20])
            for what, body in (
                    ("variant", document(metric(variants={name: "x"}))),
                    ("value", document(metric(yes=name))),
                    ("timestamp", document(metric(timestamp=name))),
                    ("type", document(impactMetrics=[impact(name)])),
                    ("unknown member", document(metric(), **{
                        name: [[name]], "seenTokens": 5}))):
                service.expect(400, f"{what} {shown}...", body)
        for name in ("x" * 70000, "é" * 40000):
            service.expect(400, f"a name of {len(name)} characters",
                           document(metric(featureName=name)))
        service.expect(400, "a number of 5,000 digits",
                       BODY.replace(b'"yes":1', b'"yes":' + b"9" * 5000))
        service.expect(400, "invalid UTF-8 in a name", document(
            metric(variants={MARK: "x"})).replace(
                MARK.encode(), b"\xff\xc0\xaf"))
        service.expect(400, "deep", b'{"x":' + b"[" * 5000)
        body = document(seenTokens=["*:e.geheim-seen", "x:geheim", 5])
        service.expect(400, "tokens that were seen", body)
        problems = [json.loads(service.post(b"[").body) for _ in range(50)]
        equal(len({problem["id"] for problem in problems}), 50,
              "50 times the same fault, 50 ids")
        service.goes_on("echoes")


# The order of decisions

def order():
    faults = [
        ("route", 404, {"REQUEST_URI": "/x", "SCRIPT_NAME": "/x"}),
        ("method", 405, {"REQUEST_METHOD": "PUT"}),
        ("token", 403, {"HTTP_AUTHORIZATION": "*:*.geheim-wrong"}),
        ("type", 415, {"CONTENT_TYPE": "text/html"}),
        ("encoding", 415, {"HTTP_CONTENT_ENCODING": "br"}),
        ("length", 413, {"CONTENT_LENGTH": "500000000"}),
        ("body", 400, {"body": b"\xff"}),
    ]
    with Place() as place:
        service = Service(place)
        for number in range(1, len(faults) + 1):
            for some in itertools.combinations(faults, number):
                changes = {}
                for _, _, change in some:
                    changes.update(change)
                service.expect(some[0][1], "faults of " + ", ".join(
                    name for name, _, _ in some), **changes)
        table = [
            (404, {"REQUEST_URI": "/x", "SCRIPT_NAME": "/x"}),
            (405, {"REQUEST_METHOD": "PUT"}),
            (403, {"HTTP_AUTHORIZATION": None}),
            (415, {"CONTENT_TYPE": None}),
        ]
        for status, changes in table:
            service.expect(status, "the length is no number, and more",
                           b"[", CONTENT_LENGTH="x", **changes)
        service.goes_on("order")


# Who may come in

def token_lines():
    digest = [hashlib.sha256(f"p:e.geheim-{name}".encode()).hexdigest()
              for name in ("hashed", "any", "hidden")]
    return f"""# tokens
{TOKEN}

default:e.geheim-client type=client
default:e.geheim-backend type=backend
*:*.geheim-admin type=admin   # may do it all
  default:e.geheim-frontend\ttype=frontend
default:e.geheim.with.dots
default:dev.geheim-dev
sha256:{digest[0]} e
sha256:{digest[1]} * type=backend
sha256:{digest[2]} e type=frontend
"""


def authorization():
    allowed = {"HTTP_AUTHORIZATION": None}
    known = ["default:e.geheim-client", "default:e.geheim-backend",
             "*:*.geheim-admin", "default:e.geheim.with.dots",
             "p:e.geheim-hashed", "p:e.geheim-any"]
    forms = ["{}", "Bearer {}", "bearer {}", "BEARER {}", "bEaReR {}",
             "Bearer  {}"]
    unknown = [
        None, "", " ", "Bearer", "Bearer ", "Bearer Bearer", "*",
        TOKEN[:-1], TOKEN + "x", TOKEN + " x", TOKEN.upper(),
        TOKEN.replace("geheim-all", "geheim-wrong"), "*:*.", "*:*",
        "geheim-all", "default:e.geheim-frontend",
        "Bearer default:e.geheim-frontend", "p:e.geheim-hidden",
        "default:x.geheim-client", "other:e.geheim-client",
        "Basic " + TOKEN, "Bearer" + TOKEN, "#", "# tokens",
        f"{TOKEN}, {TOKEN}", f"{TOKEN}\n", "default:e.geheim-client "
        "type=client", "type=client", "x" * 100000,
        token_lines().splitlines()[-3],
        token_lines().splitlines()[-3].split()[0],
        token_lines().splitlines()[-3].split()[0][7:],
    ]
    with Place() as place:
        service = Service(place, tokens=place.file("tokens", token_lines()))
        for token in known:
            service.expect(202, f"token {token}", HTTP_AUTHORIZATION=token)
        for form in forms:
            for times in (0, 1, 2, 3):
                name = "REDIRECT_" * times + "HTTP_AUTHORIZATION"
                service.expect(202, f"{name}: {form}", **{
                    **allowed, name: form.format(TOKEN)})
        for token in unknown:
            service.expect(403, f"token {str(token)[:50]!r}",
                           HTTP_AUTHORIZATION=token)
        for name in ("HTTP_X_TOKEN", "AUTHORIZATION", "HTTP_AUTHORIZATION_",
                     "REDIRECT_AUTHORIZATION", "HTTP_REDIRECT_AUTHORIZATION",
                     "HTTP_PROXY_AUTHORIZATION", "REMOTE_USER"):
            service.expect(403, f"the token in {name}", **{
                **allowed, name: TOKEN})
        service.expect(403, "the token in the query", **allowed,
                       REQUEST_URI=f"{PATH}?token={TOKEN}",
                       QUERY_STRING=f"authorization={TOKEN}")
        service.expect(202, "a token in vain behind one that is known",
                       REDIRECT_HTTP_AUTHORIZATION="*:*.geheim-wrong")
        service.goes_on("authorization")


def other_header():
    without = {"HTTP_AUTHORIZATION": None}
    with Place() as place:
        service = Service(place, auth_header="X-Token")
        for name in ("HTTP_X_TOKEN", "REDIRECT_HTTP_X_TOKEN",
                     "REDIRECT_REDIRECT_HTTP_X_TOKEN"):
            for value in (TOKEN, "Bearer " + TOKEN):
                service.expect(202, f"auth_header, {name}: {value[:6]}",
                               **without, **{name: value})
        service.expect(202, "auth_header beside Authorization",
                       HTTP_AUTHORIZATION="Basic eDp5", HTTP_X_TOKEN=TOKEN)
        service.expect(403, "auth_header, but sent as Authorization")
        service.expect(403, "auth_header, a wrong token", **without,
                       HTTP_X_TOKEN="*:*.geheim")
        check(SECRET not in service.log(),
              "auth_header: no token is in the log")


def scope():
    entries = [metric(environment=name, appName=name)
               for name in ("e", "dev", "*", "", "E", "default")]
    samples = [impact("counter", {"value": 1, "labels": {
        "environment": "dev"}}, {"value": 2})]
    applications = [application(appName="none"),
                    application(appName="own", environment="e"),
                    application(appName="other", environment="dev"),
                    application(appName="null", environment=None)]
    everything = json.dumps({"applications": applications, "metrics": entries,
                             "impactMetrics": samples}).encode()
    expected = {b"flagtally:{e:e}:2026-11-23", b"flagtally:{e:e}:seen",
                b"flagtally:{e:e}:2026-11-23T09", b"flagtally:{e}:impact",
                b"flagtally:{e}:impact:n", b"flagtally:apps"}
    for name in ("e:none", "e:own", "dev:other", "e:null"):
        key = f"flagtally:{{{name}}}:instances".encode()
        expected |= {key, key + b":seen"}
    for token in ("default:e.geheim-client", "p:e.geheim-hashed"):
        with Place() as place:
            service = Service(place, tokens=place.file("tokens",
                                                       token_lines()))
            other = document(metric(environment="dev"), metric(
                environment="E"), metric(environment="e2"))
            service.expect(202, f"{token}: nothing but other environments",
                           other, counts=False, HTTP_AUTHORIZATION=token)
            service.expect(202, f"{token}: several environments", everything,
                           HTTP_AUTHORIZATION=token)
            equal({key for key in service.contents() if not own(key)},
                  expected | {b"flagtally:environments"},
                  f"{token}: its own environment counts, and registrations "
                  "of all")
            invalid = document(metric(), metric(environment="dev", yes="1"))
            service.expect(400, f"{token}: a fault in another environment",
                           invalid, HTTP_AUTHORIZATION=token)
    for token in (TOKEN, "p:e.geheim-any"):
        with Place() as place:
            service = Service(place, tokens=place.file("tokens",
                                                       token_lines()))
            service.expect(202, f"{token}: several environments", everything,
                           HTTP_AUTHORIZATION=token)
            keys = set(service.contents())
            equal([name for name in ("e", "dev", "%2A", "", "E", "default")
                   if f"flagtally:{{{name}:{name.replace('%2A', '%2A')}}}:"
                   "2026-11-23".encode() not in keys], [],
                  f"{token}: every environment counts")


def token_file():
    with Place() as place:
        def write(text):
            return place.file("tokens", text)

        def status(number):
            return service.post(
                HTTP_AUTHORIZATION=f"*:*.geheim-{number}").status

        def statuses():
            return [status(number) for number in (1, 2, 3, 4)]

        def read_again(mark):
            """The log names the file; meanwhile the old tokens are good."""
            kept.append(status(3))
            return path in service.log()[mark:]

        path = write("*:*.geheim-1\n")
        service = Service(place, tokens=path)
        equal(statuses(), [202, 403, 403, 403], "a file of one token")
        write("*:*.geheim-2\n")
        until(lambda: status(2) == 202, "the new token", 5)
        equal(statuses(), [403, 202, 403, 403], "a file put in its place")
        with open(path, "a", encoding="ascii") as file:
            file.write("*:*.geheim-1\n")
        until(lambda: status(1) == 202, "the token that was added", 5)
        equal(statuses(), [202, 202, 403, 403], "a line added to it")
        mark = len(service.log())
        write("*:*.geheim-3\n")
        service.program.signal(signal.SIGHUP)
        until(lambda: path in service.log()[mark:], "the file to be read")
        equal(statuses(), [403, 403, 202, 403], "SIGHUP: it is read at once")
        kept = []
        for name, change, told in (
                ("broken", lambda: write("*:*.geheim-4\n*:geheim-junk\n"),
                 False),
                ("gone", lambda: os.unlink(path), True),
                ("of a key that is unknown",
                 lambda: write("*:*.geheim-4 geheim-attribute=1\n"), True),
                ("of a digest too short",
                 lambda: write("*:*.geheim-4\nsha256:12ab e\n"), True)):
            mark = len(service.log())
            change()
            if told:
                service.program.signal(signal.SIGHUP)
            until(lambda: read_again(mark), "the file to be read", 5)
            equal(statuses(), [403, 403, 202, 403],
                  f"a file that is {name}: the old tokens stay")
        write("*:*.geheim-4\n")
        until(lambda: status(4) == 202, "the file that was mended", 5)
        equal([*statuses(), set(kept)], [403, 403, 403, 202, {202}],
              "a file that was mended")
        check(SECRET not in service.log(), "token file: no token, and "
              "nothing like one, is in the log")
        check(service.program.running(), "SIGHUP ends nothing")


def nobody():
    with Place() as place:
        service = Service(place, auth="tokens")
        for token in (None, TOKEN, ""):
            service.expect(403, f"no file of tokens, token {token!r}",
                           HTTP_AUTHORIZATION=token)
        check("token" in service.log(), "no file of tokens: the log says so",
              service.log())
        check(SECRET not in service.log(), "no file: no token is in the log")
    with Place() as place:
        service = Service(place, tokens=place.file("tokens", "# none\n\n"))
        service.expect(403, "a file without tokens")
        check("token" in service.log(), "a file without tokens: the log "
              "says so", service.log())
    with Place() as place:
        path = place.file("tokens")
        service = Service(place, tokens=path)
        # A fault of ours is never 4xx.
        service.expect(503, "a file that cannot be read")
        check(path in service.log(), "the log names it", service.log())
        place.file("tokens", TOKEN + "\n")
        until(lambda: service.post().status == 202, "the file", 5)
        service.goes_on("a file that came late")
    with Place() as place:
        service = Service(place, auth="none")
        for token in (None, TOKEN, "", "x:y"):
            service.expect(202, f"auth=none, token {token!r}",
                           HTTP_AUTHORIZATION=token)
        check(SECRET not in service.log(), "auth=none: no token in the log")


# Routes

def uri(text):
    return {"REQUEST_URI": text, "SCRIPT_NAME": None}


def parts(script, info, request=None):
    return {"REQUEST_URI": request, "SCRIPT_NAME": script, "PATH_INFO": info}


def routes():
    right = [
        uri(PATH), uri(PATH + "?"), uri(PATH + "?a=b&c=/x/"),
        uri(PATH + "?x=://y/z"), uri(PATH + "/"), uri(PATH + "/?x"),
        uri("http://example.org" + PATH), uri("HTTPS://[::1]:8443" + PATH),
        uri(f"http://example.org/{PATH}/?x#y"),
        uri("/api/client/metrics/%62ulk"), uri("/%61%70%69/client/metrics/"
                                               "bul%6B"),
        uri("/api/client/metrics/bul%6b"), uri("//api/client/metrics/bulk"),
        uri("//api//client///metrics////bulk//"),
        parts(PATH, ""), parts(PATH, None), parts("", PATH),
        parts(None, PATH), parts("/api/client", "/metrics/bulk"),
        parts("/api/", "/client//metrics/bulk/"),
        parts("/cgi-bin/flagtally", PATH),
        parts("/cgi-bin/flagtally", PATH, "/cgi-bin/flagtally" + PATH),
        parts(PATH, "", "/rewritten"),
    ]
    wrong = [
        uri(text) for text in (
            "", "/", "*", "//", "/api", "/api/client/metric",
            PATH + "x", PATH + "/x", PATH + "%00", PATH + "%00x",
            PATH + "%", PATH + "%zz", "/x" + PATH, "/API/client/metrics/bulk",
            "/api/client/metrics/BULK", "/api/clientmetrics/bulk",
            "/api/client/metrics/bul", "/?" + PATH, "/x?y=" + PATH,
            "/x?://h" + PATH, "http://example.org", "http://example.org/",
            "http://example.org?" + PATH, "http://example.org/x" + PATH,
            "/x#" + PATH, "/api/client/metrics/%2562ulk",
            "/api/client/metrics/bulk%3Fx", "/" + "x" * 100000,
            PATH + "/" + "x" * 10000, "/%" + "2" * 9000)
    ] + [
        parts(None, None), parts("", ""), parts("/x", None),
        parts("/cgi-bin/flagtally", ""), parts("/cgi-bin/flagtally", "/x"),
        parts("/api/client/metrics", "/bulkx"), parts("/x" + PATH, ""),
        parts("/api/client", "metrics/bulk"),
    ]
    with Place() as place:
        service = Service(place)
        for changes in right:
            name = " ".join(str(value)[:60] for value in changes.values())
            service.expect(202, f"route {name}", **changes)
            answer = service.post(REQUEST_METHOD="GET", **changes)
            equal([answer.status, answer.headers.get("allow")],
                  [405, "POST"], f"route {name}: GET is 405")
        for changes in wrong:
            name = " ".join(str(value)[:60] for value in changes.values())
            service.expect(404, f"route {name}", **changes)
            equal([service.post(REQUEST_METHOD=method, **changes).status
                   for method in ("HEAD", "GET", "PUT")], [404] * 3,
                  f"route {name}: 404 with any method")
        for method in ("HEAD", "GET", "PUT"):
            equal(service.post(REQUEST_METHOD=method).status, 405,
                  f"{method} is 405")
        service.goes_on("routes")


def prefixes():
    for prefix in ("/flags", "/flags/", "/a/b~c"):
        base = prefix.rstrip("/")
        right = [uri(base + PATH), uri(f"/{base}/{PATH}/?x"),
                 uri("http://h" + base + PATH), parts(base, PATH),
                 parts(base + "/api", "/client/metrics/bulk"),
                 parts("", base + PATH)]
        wrong = [uri(PATH), uri(base + "x" + PATH), uri(base),
                 uri(base + PATH[1:]), uri(base + base + PATH),
                 uri("/x" + base + PATH), uri(PATH + base),
                 parts(PATH, ""), parts(base, ""), parts(base, "/bulk")]
        with Place() as place:
            service = Service(place, path_prefix=prefix)
            for status, table in ((202, right), (404, wrong)):
                for changes in table:
                    name = " ".join(map(str, changes.values()))
                    service.expect(status, f"prefix {prefix}, {name}",
                                   **changes)


# Lengths, and bodies that are cut short

def lengths():
    size = len(BODY)
    table = [
        (202, "absent", None), (202, "empty", ""), (202, "right", str(size)),
        (202, "right, with zeros before it", f"000{size}"),
        (400, "one too many", str(size + 1)), (400, "one too few",
                                               str(size - 1)),
        (400, "0", "0"), (400, "far too many", "3000000"),
        (202, "-1, as Caddy has it for chunks", "-1"),
        (400, "negative", "-2"), (400, "minus its length", f"-{size}"),
        (400, "text", "abc"), (400, "hexadecimal", hex(size)),
        (400, "an exponent", "1e2"), (400, "a fraction", f"{size}.0"),
        (400, "followed by text", f"{size}x"), (400, "signed", f"+{size}"),
        (400, "behind a space", f" {size}"),
        (400, "before a space", f"{size} "), (400, "before a tab",
                                              f"{size}\t"),
        (400, "behind a tab", f"\t{size}"), (400, "a space alone", " "),
        (400, "two minuses", "--1"), (400, "minus one and more", "-1 "),
        (400, "-0", "-0"), (400, "octal", f"0o{size:o}"),
        (400, "with an underscore", "1_0"), (400, "with a comma", "1,000"),
        (400, "digits of Arabic", "٢٢٤"), (400, "full-width digits", "２２４"),
        (400, "a list", f"{size}, {size}"), (400, "a list of two",
                                             f"{size},{size + 1}"),
        (413, "huge",
                                             "9223372036854775807"),
        (413, "beyond 63 bits", "9223372036854775808"),
        (413, "beyond 64 bits", "18446744073709551616" + "0" * 30),
    ]
    with Place() as place:
        service = Service(place)
        for status, name, length in table:
            service.expect(status, f"length {name}", CONTENT_LENGTH=length)
        connection = fcgi.Connection(service.address)
        equal([connection.request(service.parameters(CONTENT_LENGTH=length),
                                  BODY, keep=True).status
               for _, _, length in table], [row[0] for row in table],
              "all of them on one kept connection")
        connection.close()
        equal(service.count(), 10, "what was accepted counts, nothing else")
        for cut in (0, 1, 10, size // 2, size - 1):
            for kept in (str(size), None, str(cut)):
                service.expect(400, f"cut after {cut} bytes, length {kept}",
                               BODY[:cut], CONTENT_LENGTH=kept)
        for body in (BODY + b" ", b"\n" + BODY):
            service.expect(400, "white space beyond the length", body,
                           CONTENT_LENGTH=str(size))
        packed = gzip.compress(BODY)
        service.expect(400, "the length before it was compressed", packed,
                       CONTENT_LENGTH=str(size + len(packed)),
                       HTTP_CONTENT_ENCODING="gzip")
        service.goes_on("lengths")


def opening(service, body=BODY, keep=False, **changes):
    """A request without its body."""
    return fcgi.begin(keep) + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(*item) for item in
        service.parameters(body, **changes).items()))


def broken_off():
    """Connections that end too early count nothing; one thread sees all."""
    whole = fcgi.record(fcgi.STDIN, BODY)
    half = fcgi.record(fcgi.STDIN, BODY[:len(BODY) // 2])
    with Place() as place:
        service = Service(place, threads=1)
        head = opening(service)
        free = opening(service, CONTENT_LENGTH=None)
        packed = gzip.compress(BODY)
        inflated = opening(service, packed, HTTP_CONTENT_ENCODING="gzip")
        table = [
            ("nothing", b""), ("one byte", head[:1]), ("a header", head[:8]),
            ("half of the parameters", head[:len(head) // 2]),
            ("the parameters", head),
            ("the parameters without their end", head[:-8]),
            ("half of the body", head + half),
            ("half of a record", head + whole[:len(whole) // 2]),
            ("a body without the end of its stream", head + whole),
            ("a body without length or end", free + whole),
            ("half of a body without length", free + half),
            ("all but the last byte", free + whole + fcgi.record(
                fcgi.STDIN, b"")[:-1]),
            ("a gzip body without the end of its stream",
             inflated + fcgi.record(fcgi.STDIN, packed)),
            ("garbage", b"\xff" * 100), ("HTTP", b"POST / HTTP/1.1\r\n\r\n"),
            ("garbage after the parameters", head + b"\xee" * 64),
            ("garbage in the body", head + half + b"\xee" * 64),
        ]
        service.expect(202, "before anything is broken off")
        before = service.contents()
        for name, data in table:
            for both in (False, True):
                connection = fcgi.Connection(service.address)
                connection.send(data)
                if both:
                    connection.close()
                else:
                    connection.socket.shutdown(socket.SHUT_WR)
                    check(ended(connection), f"{name}, and no more to come: "
                          "it is not accepted")
            # The only thread has dealt with it once this is answered.
            equal(service.post(b"[").status, 400,
                  f"{name}: the program goes on")
            equal(service.contents(), before, f"{name}: nothing counts")
        service.goes_on("broken off")


def ended(connection):
    """Whether the peer ends this request, and not with a 202."""
    try:
        return connection.read_answer().status != 202
    except ConnectionError:
        return True
    finally:
        connection.close()


# FastCGI

BAD_REQUESTS = [
    (202, {}), (400, {"body": b"[]"}), (400, {"CONTENT_LENGTH": "5"}),
    (400, {"CONTENT_LENGTH": "1000"}), (400, {"CONTENT_LENGTH": "x"}),
    (400, {"body": b"\xff" * 200_000}), (403, {"HTTP_AUTHORIZATION": None}),
    (403, {"HTTP_AUTHORIZATION": "x", "body": b" " * 200_000}),
    (404, {"REQUEST_URI": "/", "SCRIPT_NAME": "/"}),
    (404, {"REQUEST_URI": "/", "SCRIPT_NAME": "/", "body": b"x" * 200_000}),
    (405, {"REQUEST_METHOD": "PUT"}), (405, {"REQUEST_METHOD": "GET",
                                             "body": b""}),
    (413, {"CONTENT_LENGTH": "9999999"}),
    (413, {"CONTENT_LENGTH": None, "body": BODY + b" " * 300_000}),
    (415, {"CONTENT_TYPE": "text/plain"}),
    (415, {"HTTP_CONTENT_ENCODING": "br", "body": b"x" * 100_000}),
    (400, {"HTTP_CONTENT_ENCODING": "gzip"}), (400, {"body": b""}),
]


def kept():
    with Place() as place:
        service = Service(place, limit_body=250_000)
        connection = fcgi.Connection(service.address)
        good = 0
        for status, changes in BAD_REQUESTS:
            changes = dict(changes)
            body = changes.pop("body", BODY)
            for wanted, text, change in ((status, body, changes),
                                         (202, BODY, {})):
                answer = connection.request(service.parameters(
                    text, **change), text, keep=True)
                faults = answer_faults(answer, wanted)
                good += wanted == 202
                check(not faults, f"on one kept connection, {wanted}, after "
                      f"or before {status} {changes}", *faults)
        equal(service.count(), good, "what was accepted there counts once")
        last = connection.request(service.parameters(), BODY, keep=False)
        check(last.status == 202 and connection.closed(),
              "the connection is closed when its peer wants that")
        connection.close()
        refused_early(service)
        service.goes_on("kept connections")


def refused_early(service):
    """An answer that is given before a large body is read does arrive."""
    body = b" " * 3_000_000
    for status, changes in ((403, {"HTTP_AUTHORIZATION": None}),
                            (404, uri("/")), (413, {}),
                            (413, {"CONTENT_LENGTH": None}),
                            (415, {"CONTENT_TYPE": "text/css"})):
        connection = fcgi.Connection(service.address)

        def send():
            try:
                connection.send(opening(service, body, **changes) +
                                fcgi.stream(fcgi.STDIN, body))
            except OSError:
                pass        # It may close before all has been sent.
        sender = threading.Thread(target=send)
        sender.start()
        faults = answer_faults(connection.read_answer(), status)
        connection.socket.shutdown(socket.SHUT_RDWR)
        sender.join()
        connection.close()
        check(not faults, f"3 MB that are not wanted: {status}", *faults)


def timed(service):
    began = time.monotonic()
    status = service.post().status
    return status, time.monotonic() - began


def many_kept():
    with Place() as place:
        service = Service(place, threads=2)
        connections = [fcgi.Connection(service.address) for _ in range(100)]

        def again(connection):
            return connection.request(service.parameters(), BODY,
                                      keep=True).status
        for name, ordered in (("in order", connections),
                              ("backwards", connections[::-1])):
            began = time.monotonic()
            equal([again(each) for each in ordered], [202] * 100,
                  f"100 kept connections of 2 threads, {name}")
            taken = time.monotonic() - began
            check(taken < 10, f"{name}: none waits for another", taken)
        status, taken = timed(service)
        check(status == 202 and taken < 1,
              "a new connection is served beside them", status, taken)
        with ThreadPoolExecutor(20) as pool:
            equal(list(pool.map(again, connections)), [202] * 100,
                  "20 of them at once")
        for connection in connections[::2]:
            connection.close()
        equal([again(each) for each in connections[1::2]], [202] * 50,
              "half of them closed, the other half is served")
        equal(service.count(), 351, "each request counts once")
        for connection in connections[1::2]:
            connection.close()
        service.goes_on("many kept connections")


def silent():
    with Place() as place:
        service = Service(place, threads=2)
        connections = [fcgi.Connection(service.address) for _ in range(20)]
        for number in range(3):
            status, taken = timed(service)
            check(status == 202 and taken < 1, "20 connections that say "
                  f"nothing hold no thread ({number})", status, taken)
        for connection in connections[::2]:
            connection.close()
        equal([connection.request(service.parameters(), BODY, keep=True).status
               for connection in connections[1::2]], [202] * 10,
              "those that speak after all are served")
        for connection in connections[1::2]:
            connection.close()
        service.goes_on("silent connections")


def records():
    """However a request is cut into records, it is the same request."""
    def pieces(kind, data, size):
        return fcgi.stream(kind, data, piece=size)

    with Place() as place:
        service = Service(place)
        parameters = b"".join(fcgi.pair(*item)
                              for item in service.parameters().items())
        large = document(*(metric(yes=1) for _ in range(300)))
        for kept in (False, True):
            for size in (1, 2, 7, 65535):
                for length in (1, 3, 65535):
                    connection = fcgi.Connection(service.address)
                    connection.send(
                        fcgi.begin(kept) +
                        pieces(fcgi.PARAMS, parameters, size) +
                        pieces(fcgi.STDIN, BODY, length))
                    check(connection.read_answer().status == 202,
                          f"PARAMS of {size}, STDIN of {length}, kept "
                          f"{kept}")
                    connection.close()
        equal(service.count(), 24, "each of them counts once")
        connection = fcgi.Connection(service.address)
        for size in (1, 13, 8192):
            answer = connection.request(service.parameters(large), large,
                                        keep=True, piece=size)
            equal(answer.status, 202, f"{len(large)} bytes by {size}")
        equal(service.count(), 924, "300 of each count")
        for byte in opening(service) + fcgi.stream(fcgi.STDIN, BODY):
            connection.send(bytes([byte]))
        equal(connection.read_answer().status, 202, "each byte by itself")
        connection.close()
        for request in (1, 2, 255, 256, 65535):
            connection = fcgi.Connection(service.address)
            connection.send(fcgi.begin(request=request) + fcgi.stream(
                fcgi.PARAMS, parameters, request) + fcgi.stream(
                    fcgi.STDIN, BODY, request))
            kind, number, content = connection.read_record()
            connection.close()
            check((kind, number) == (fcgi.STDOUT, request) and
                  content.startswith(b"Status: 202 "),
                  f"the request's number is {request}", kind, number,
                  content[:200])
        large_parameters(service)
        service.goes_on("records")


def large_parameters(service):
    table = [
        ("64 KiB in one value", {"HTTP_COOKIE": "x" * 65536}),
        ("120 KB in one value", {"HTTP_COOKIE": "x" * 120_000}),
        ("a name of 1,000 bytes", {"HTTP_" + "X" * 1000: "y"}),
        ("64 KiB in many", {f"HTTP_X_{i}": "y" * 54 for i in range(1024)}),
        ("empty values", {f"HTTP_X_{i}": "" for i in range(100)}),
        ("values of 127 and 128", {"HTTP_X": "x" * 127, "HTTP_Y": "y" * 128}),
        ("bytes that are no text", {"HTTP_X": bytes(range(1, 256))}),
    ]
    for name, changes in table:
        service.expect(202, f"parameters, {name}", **changes)


def management():
    with Place() as place:
        service = Service(place)
        asked = fcgi.record(fcgi.GET_VALUES,
                            fcgi.pair("FCGI_MPXS_CONNS", ""), 0)
        wanted = (fcgi.GET_VALUES_RESULT, 0,
                  fcgi.pair("FCGI_MPXS_CONNS", "0"))
        connection = fcgi.Connection(service.address)
        for number in range(3):
            connection.send(asked)
            equal(connection.read_record(), wanted,
                  f"GET_VALUES: requests are not multiplexed ({number})")
            equal(connection.request(service.parameters(), BODY,
                                     keep=True).status, 202,
                  f"a request on the same connection ({number})")
        connection.send(fcgi.record(99, b"", 0))
        equal(connection.read_record(), (fcgi.UNKNOWN_TYPE, 0, b"c" +
                                         b"\0" * 7),
              "a management record of unknown type")
        connection.close()
        together(service)
        service.goes_on("management records")


def together(service):
    """A management record and a request, sent at once."""
    names = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"]
    asked = fcgi.record(fcgi.GET_VALUES, b"".join(
        fcgi.pair(name, "") for name in names), 0)
    connection = fcgi.Connection(service.address)
    for number in range(2):
        connection.send(asked + opening(service, keep=True) +
                        fcgi.stream(fcgi.STDIN, BODY))
        kind, request, content = connection.read_record()
        check((kind, request) == (fcgi.GET_VALUES_RESULT, 0) and
              fcgi.pair("FCGI_MPXS_CONNS", "0") in content,
              f"GET_VALUES and a request at once ({number})", kind, request,
              content)
        equal(connection.read_answer().status, 202,
              f"the request is answered ({number})")
    connection.close()


def aborted():
    half = fcgi.record(fcgi.STDIN, BODY[:40])
    whole = fcgi.record(fcgi.STDIN, BODY)
    abort = fcgi.record(fcgi.ABORT)
    with Place() as place:
        service = Service(place, threads=1)
        service.expect(202, "before anything is aborted")
        before = service.contents()
        for length in (str(len(BODY)), None):
            head = opening(service, CONTENT_LENGTH=length, keep=True)
            for name, data in (
                    ("before its body", head + abort),
                    ("in its body", head + half + abort),
                    ("before the end of its stream", head + whole + abort)):
                connection = fcgi.Connection(service.address, timeout=5)
                connection.send(data)
                name = f"aborted {name}, length {length}"
                try:
                    check(ended(connection), f"{name}: not accepted")
                except TimeoutError:
                    check(False, f"{name}: the request ends within 5 s")
                equal(service.post(b"[").status, 400,
                      f"{name}: the program goes on")
                equal(service.contents(), before, f"{name}: nothing counts")
        service.goes_on("aborted")


# Redis is away

class Elsewhere:
    """A Redis that this test does not run."""

    def __init__(self, url):
        self.url = lambda: url


def away(place, name, url):
    program = Flagtally(place, Elsewhere(url), name="for-" + name)

    def post(_):
        began = time.monotonic()
        answer = fcgi.post(program.address, BODY)
        return answer, time.monotonic() - began
    with ThreadPoolExecutor(8) as pool:
        results = [*pool.map(post, range(8)), post(8)]
    return program, results


def unavailable():
    with Place() as place, socket.socket(socket.AF_UNIX) as mute:
        mute.bind(place.file("mute.sock"))
        mute.listen(100)
        frozen = Redis(place, "frozen")
        os.kill(frozen.pid, signal.SIGSTOP)
        missing_url = "unix://" + place.file("missing.sock")
        table = [("missing", missing_url),
                 ("mute", "unix://" + place.file("mute.sock")),
                 ("frozen", frozen.url()),
                 ("refused", "redis://127.0.0.1:1/0")]
        with ThreadPoolExecutor(len(table)) as pool:
            programs = list(pool.map(lambda row: away(place, *row), table))
        for (name, _), (program, results) in zip(table, programs):
            faults = [fault for answer, _ in results
                      for fault in answer_faults(answer, 503)]
            check(not faults, f"Redis is {name}: 503", *faults[:10])
            slowest = max(taken for _, taken in results)
            check(slowest < ANSWER_TIME_MAX, f"Redis is {name}: the answer "
                  f"comes within 2 s", f"{slowest:.3f} s")
            faults = answer_faults(fcgi.post(program.address, b"[]"), 400)
            check(not faults, f"Redis is {name}: what is bad stays bad",
                  *faults)
        os.kill(frozen.pid, signal.SIGCONT)
        late = Redis(place, "missing")
        for name, redis in (("missing", late), ("frozen", frozen)):
            program = programs[[row[0] for row in table].index(name)][0]
            until(lambda: fcgi.post(program.address, BODY).status == 202,
                  f"Redis that was {name}")
            check(redis("EXISTS", "flagtally:{e:a}:2026-11-23") == 1,
                  f"Redis that was {name} is used when it is back")


# Bodies that are invalid

def invalid_metrics():
    """Values that a member of a metric must not have, as JSON."""
    counts = ['"1"', "null", "true", "-1", "1.5", "1e400", "9007199254740992",
              "1e16", "-0.5", "[]", "{}", "01", "+1", "0x1", "NaN",
              "Infinity", "1.", ".5", "1e", "--1", "1_000", "1 2", "",
              "18446744073709551617", "1e-1"]
    texts = ["1", "null", "true", "[]", "{}", "'f'", "f", '"\\ud800"',
             '"\\udc00x"', '"\\x41"', '"\t"', '"\n"', '"\\u00"', '"a']
    stamps = ['""', '"2026-11-23"', '"2026-11-23T09:30:00"',
              '"2026-11-23 09:30Z"', '"2026-02-29T00:00:00Z"',
              '"2026-13-01T00:00:00Z"', '"2026-11-31T00:00:00Z"',
              '"2026-11-23T24:00:00Z"', '"2026-11-23T09:60:00Z"',
              '"2026-11-23T09:30:61Z"', '"2026-11-23T09:30:60Z"',
              '"2026-11-23T09:30:00+24:00"', '"2026-11-23T09:30:00+0100"',
              '"2026-11-23T09:30:00.Z"', '"2026-11-23T09:30:00Z "',
              '" 2026-11-23T09:30:00Z"', '"26-11-23T09:30:00Z"',
              '"2026-11-23T09:30:00ZZ"', "1795426200", "null",
              '"2026-11-23T9:30:00Z"', '"2026-11-23T09:30:00\\u0000Z"']
    variants = ["[]", '"x"', "1", "true", '{"v":"1"}', '{"v":null}',
                '{"v":-1}', '{"v":1.5}', '{"v":{}}', '{"v":[1]}',
                '{"v":9007199254740992}', '{v:1}', '{"v":1,}', '{"v"}']
    return {"yes": counts, "no": counts, "featureName": texts,
            "appName": texts, "environment": texts, "timestamp": stamps,
            "variants": variants,
            "sdkVersion": ["1", "[]", "true"], "sdkType": ['"x"', "1", '""'],
            "sdkFlavor": ["1", "{}"], "platformName": ["1", "false"]}


def invalid_documents():
    """Whole bodies; @ stands for a metric that is valid."""
    good = json.dumps(metric())
    items = {
        "applications": ["5", "null", "{}", '{"appName":"a"}', "[]",
                         '{"appName":null,"interval":1,"strategies":[],'
                         '"started":"2026-11-23T09:30:00Z"}',
                         '{"appName":"a","interval":"1","strategies":[],'
                         '"started":"2026-11-23T09:30:00Z"}',
                         '{"appName":"a","interval":1,"strategies":null,'
                         '"started":"2026-11-23T09:30:00Z"}',
                         '{"appName":"a","interval":1,"strategies":[1],'
                         '"started":"2026-11-23T09:30:00Z"}',
                         '{"appName":"a","interval":1,"strategies":[],'
                         '"started":"now"}'],
        "impactMetrics": [
            "5", "{}", '{"type":"counter"}',
            '{"type":"x","name":"n","help":"h","samples":[]}',
            '{"type":"counter","name":"n","help":null,"samples":[]}',
            '{"type":"counter","name":"n","help":"h","samples":null}',
            '{"type":"counter","name":"n","help":"h","samples":[{}]}',
            '{"type":"gauge","name":"n","help":"h","samples":[{"value":'
            '"1"}]}',
            '{"samples":[{"value":1}],"type":"histogram","name":"n",'
            '"help":"h"}',
            '{"type":"gauge","name":"n","help":"h","samples":[{"value":1,'
            '"labels":{"a":null}}]}',
            '{"type":"gauge","name":"n","help":"h","samples":[{"value":1,'
            '"labels":["a"]}]}',
            '{"type":"histogram","name":"n","help":"h","samples":[{"sum":1,'
            '"count":-1,"buckets":[]}]}',
            '{"type":"histogram","name":"n","help":"h","samples":[{"sum":1,'
            '"count":1,"buckets":[{"le":"x","count":1}]}]}'],
        "seenTokens": ["5", "null", "{}", "[]"],
    }
    yield from ("[]", "5", '"x"', "null", "true", "{}", " ", "[[", "}", "nul",
                '{"applications":[]}', '{"metrics":[@]}',
                '{"applications":null,"metrics":[@]}',
                '{"applications":[],"metrics":null}',
                '{"applications":[],"metrics":{}}',
                '{"applications":[],"metrics":[@],"seenTokens":{}}',
                '{"applications":[],"metrics":[@],"seenTokens":"x"}',
                '{"applications":[],"metrics":[@],"impactMetrics":{}}',
                '{"applications":[],"metrics":[@],"metrics":[]}',
                '{"applications":[],"metrics":[@],"applications":[]}',
                '{"applications":[],"metrics":[@]}x',
                '{"applications":[],"metrics":[@]}{}',
                '{"applications":[],"metrics":[@]} null',
                '{"applications":[],"metrics":[@]}\0',
                '{"applications":[],"metrics":[@]}\f',
                '{"applications":[],"metrics":[@]\v}',
                '\ufeff\ufeff{"applications":[],"metrics":[@]}',
                '{"applications":[],"metrics":[@],}',
                '{"applications":[],"metrics":[@,]}',
                '{"applications":[],"metrics":[@@]}',
                '{"applications":[] "metrics":[@]}',
                '{"applications":[],"metrics":[@]',
                '{"applications":[],"metrics":[@',
                '{"applications":[],"metrics":[@]} // x',
                '/**/{"applications":[],"metrics":[@]}',
                "{'applications':[],'metrics':[@]}",
                '{"applications":[],"metrics":[@],"x":tru}',
                '{"applications":[],"metrics":[@],"x":"\\ud800"}',
                '{"applications":[],"metrics":[@],"x":' + "[" * 100 +
                "]" * 100 + "}")
    for name, elements in items.items():
        for element in elements:
            others = [f'"{other}":[]' for other in ("applications",)
                      if other != name]
            yield "{" + ",".join(['"metrics":[@]', *others,
                                  f'"{name}":[{element}]']) + "}"
    for name in metric():
        yield ('{"applications":[],"metrics":[@,' +
               json.dumps(metric(**{name: None})) + "]}")
        value = json.dumps({name: metric()[name]})[1:-1]
        yield ('{"applications":[],"metrics":[@,' +
               good[:-1] + "," + value + "}]}")


def invalid():
    good = json.dumps(metric())
    bodies = [text.replace("@", good).encode()
              for text in invalid_documents()]
    for name, values in invalid_metrics().items():
        for value in values:
            odd = json.dumps(metric(**{name: MARK})).replace(f'"{MARK}"',
                                                             value)
            bodies.append(('{"applications":[],"metrics":[' + good + "," +
                           odd + "]}").encode())
    for octets in (b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xff",
                   b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xc3("):
        bodies.append(document(metric(), metric(featureName=MARK)).replace(
            MARK.encode(), octets))
        bodies.append(document(metric(), **{MARK: 1}).replace(
            MARK.encode(), octets))
    with Place() as place:
        service = Service(place)
        service.expect(202, "before what is invalid", document(
            metric(), applications=[application()],
            impactMetrics=[impact("gauge", {"value": 1})],
            seenTokens=["x"]))
        before = service.contents()
        connection = fcgi.Connection(service.address)
        for body in bodies:
            for length in (len(body), None):
                answer = connection.request(service.parameters(
                    body, CONTENT_LENGTH=str(length) if length else None),
                    body, keep=True)
                faults = answer_faults(answer, 400, len(body))
                if service.contents() != before:
                    faults.append("Redis has changed")
                    before = service.contents()
                if faults:
                    break
            shown = ascii(body.replace(good.encode(), b"@").decode(
                errors="backslashreplace"))
            check(not faults, f"invalid {shown[:150]}", *faults)
        connection.close()
        service.goes_on("invalid bodies")


# Through a web server

class Visitor:
    """A client of HTTP that keeps its connection."""

    def __init__(self, web):
        self.connection = http.client.HTTPConnection("127.0.0.1", web.port,
                                                     timeout=30)

    def exchange(self, method, path, body, headers, chunked):
        self.connection.request(
            method, path, iter([body[:20], body[20:]]) if chunked else body,
            headers, encode_chunked=chunked)
        return self.connection.getresponse()

    def ask(self, body=BODY, method="POST", path=PATH, **headers):
        sent = {"Content-Type": "application/json", "Authorization": TOKEN}
        sent.update({name.replace("_", "-"): value
                     for name, value in headers.items()})
        sent = {name: value for name, value in sent.items()
                if value is not None}
        chunked = sent.get("Transfer-Encoding") == "chunked"
        try:
            response = self.exchange(method, path, body, sent, chunked)
        except (ConnectionError, http.client.BadStatusLine):
            # The server closes after a refusal that came in mid-body.
            self.connection.close()
            response = self.exchange(method, path, body, sent, chunked)
        text = response.read()
        lines = "".join(f"{name}: {value}\r\n"
                        for name, value in response.getheaders()
                        if name.lower() != "status")
        return fcgi.Answer(f"Status: {response.status}\r\n{lines}\r\n"
                           .encode("latin-1") + text)

    def close(self):
        self.connection.close()


WEB_REQUESTS = [
    (202, "what is valid", {}),
    (202, "Bearer", {"Authorization": "Bearer " + TOKEN}),
    (202, "gzip", {"body": gzip.compress(BODY), "Content_Encoding": "gzip"}),
    (202, "deflate", {"body": zlib.compress(BODY),
                      "Content_Encoding": "deflate"}),
    (202, "chunked", {"Transfer_Encoding": "chunked"}),
    (202, "a query", {"path": PATH + "?a=b"}),
    (202, "a slash at the end", {"path": PATH + "/"}),
    (202, "doubled slashes", {"path": "/api/client/metrics//bulk"}),
    (202, "percent-encoded", {"path": "/api/client/metrics/%62ulk"}),
    (400, "no JSON", {"body": b"{"}),
    (400, "nothing", {"body": b""}),
    (400, "chunked and no JSON", {"body": BODY[:-1],
                                  "Transfer_Encoding": "chunked"}),
    (400, "damaged gzip", {"Content_Encoding": "gzip"}),
    (403, "no token", {"Authorization": None}),
    (403, "no token and 3 MB", {"Authorization": None,
                                "body": b" " * 3_000_000}),
    (404, "another path", {"path": "/api/client/metrics/other"}),
    (404, "less of the path", {"path": "/api/client/metrics/bul"}),
    (405, "PUT", {"method": "PUT"}),
    (405, "GET", {"method": "GET", "body": None}),
    (405, "DELETE", {"method": "DELETE", "body": None}),
    (413, "5 MB", {"body": BODY + b" " * 5_000_000}),
    (413, "5 MB, chunked", {"body": BODY + b" " * 5_000_000,
                            "Transfer_Encoding": "chunked"}),
    (413, "inflated", {"body": gzip.compress(b" " * 40_000_000),
                       "Content_Encoding": "gzip"}),
    (415, "another type", {"Content_Type": "text/plain"}),
    (415, "no type", {"Content_Type": None}),
    (415, "another encoding", {"Content_Encoding": "br"}),
]


def web_server():
    for mode, extra in (("whole", ""),
                        ("streamed", "server.stream-request-body = 2\n"
                         "server.stream-response-body = 2\n")):
        with Place() as place:
            redis = Redis(place)
            tokens = place.file("tokens", TOKEN + "\n")
            web = Lighttpd(place, extra=extra, redis=redis.url(),
                           tokens=tokens, threads=4)
            visitor = Visitor(web)
            total = 0
            for status, name, request in WEB_REQUESTS:
                if mode == "streamed":
                    # lighttpd takes nothing chunked then, and closes when
                    # it has not read all.
                    visitor.close()
                    if "Transfer_Encoding" in request:
                        continue
                answer = visitor.ask(**request)
                faults = answer_faults(answer, status)
                check(not faults, f"lighttpd, {mode}, {name}: {status}",
                      *faults)
                total += status == 202
            got = int(redis("HGET", "flagtally:{e:a}:2026-11-23", "f:yes"))
            equal(got, total, f"lighttpd, {mode}: what got a 202 counts once")
            head = visitor.ask(None, "HEAD")
            equal([head.status, head.headers.get("allow"), head.body],
                  [405, "POST", b""], f"lighttpd, {mode}, HEAD: 405")
            cut_off(web)
            equal(visitor.ask().status, 202,
                  f"lighttpd, {mode}: it goes on after an upload cut off")
            visitor.close()
            got = int(redis("HGET", "flagtally:{e:a}:2026-11-23", "f:yes"))
            equal(got, total + 1, f"lighttpd, {mode}: that did not count")
            logs = place.read(web.log) + place.read(
                "lighttpd.error.log") + place.read("lighttpd.breakage.log")
            check(SECRET not in logs, f"lighttpd, {mode}: no token is in a "
                  "log")
    with Place() as place:
        program = Flagtally(place, Elsewhere("unix://" +
                                             place.file("missing.sock")))
        visitor = Visitor(Lighttpd(place, socket_of=program.address))
        began = time.monotonic()
        faults = answer_faults(visitor.ask(), 503)
        taken = time.monotonic() - began
        check(not faults, "lighttpd, no Redis: 503", *faults)
        check(taken < ANSWER_TIME_MAX, "lighttpd, no Redis: within 2 s",
              taken)
        visitor.close()


def cut_off(web):
    """Uploads whose sender goes away in the middle."""
    for sent in (BODY[:50], BODY):
        with socket.create_connection(("127.0.0.1", web.port)) as client:
            client.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n"
                           "Content-Type: application/json\r\n"
                           f"Authorization: {TOKEN}\r\n"
                           f"Content-Length: {len(BODY) + 1}\r\n\r\n"
                           .encode() + sent)
            # Not a normal end, but a reset.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack("ii", 1, 0))


run([answers, types, encodings, limits, places, echoes, order, authorization,
     other_header, scope, token_file, nobody, routes, prefixes, lengths,
     broken_off, kept, many_kept, silent, records, management, aborted,
     unavailable, invalid, web_server])
