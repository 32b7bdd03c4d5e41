"""POST /api/client/metrics/edge: the latest instance data of each Edge."""

import json
import re
import time

from tests.harness import fcgi
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

PATH = "/api/client/metrics/edge"
KEY = "flagtally:edges"
# lib/commit/edges.h and lib/body/edge_data.h
EDGES_MAX, SIZE_MAX, NAME_MAX = 256, 64 * 1024, 255
# What Edge 20.1.0 posts, shortened.
DATA = {
    "identifier": "01M8CKD64R80T45JQXZF3R0QY3", "appName": "lab-edge",
    "hosting": "self-hosted", "region": None, "edgeVersion": "20.1.0",
    "processMetrics": {"cpuUsage": 0.0, "memoryUsage": 26451968.0},
    "started": "2026-11-26T18:55:38.136054986Z",
    "traffic": {"cachedResponses": {}, "get": {"/api/client/features": {
        "avg": 1.751, "count": 7.0, "p99": 4.913}}, "post": {}},
    "connectedEdges": [{"identifier": "another", "connectedEdges": []}],
    "connectedStreamingClients": 0, "offline": False}


class Case:
    def __init__(self, place, **settings):
        self.redis = Redis(place)
        self.program = Flagtally(place, self.redis, **settings)

    def post(self, content, **changes):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        return fcgi.post(self.program.address, content, **{
            "REQUEST_URI": PATH, "SCRIPT_NAME": PATH, **changes})

    def kept(self):
        flat = self.redis("HGETALL", KEY)
        return {flat[i].decode(): json.loads(flat[i + 1])
                for i in range(0, len(flat), 2)}


def latest():
    with Place() as place:
        case = Case(place)
        before = int(time.time())
        equal(case.post(DATA).status, 202, "an Edge: 202")
        found = case.kept()
        received = found[DATA["identifier"]].pop("received")
        equal(found[DATA["identifier"]].pop("environment"), "*",
              "of which environment it is")
        equal(found, {DATA["identifier"]: DATA}, "all of it is kept")
        check(before <= received <= time.time() + 1, "and when", received)
        later = {**DATA, "edgeVersion": "20.2.0"}
        equal(case.post(b" \n" + json.dumps(later).encode()).status, 202,
              "the same: 202")
        equal(case.kept()[DATA["identifier"]]["edgeVersion"], "20.2.0",
              "the latest is kept")
        equal(case.post({**DATA, "identifier": "a:b c/\u00e4"}).status, 202,
              "another: 202")
        equal(sorted(case.kept()), [DATA["identifier"], "a%3Ab%20c%2F%C3%A4"],
              "each has its field")
        check(0 < int(case.redis("TTL", KEY)) <= 30 * 24 * 3600,
              "all expire at last")
        equal(sorted(case.redis("KEYS", "*")), [KEY.encode()],
              "nothing else is written")


def refused():
    with Place() as place:
        case = Case(place, auth="tokens",
                    tokens=place.file("tokens", "*:e.one\n"))
        token = {"HTTP_AUTHORIZATION": "*:e.one"}
        equal(case.post(DATA).status, 403, "without a token")
        name = {"identifier": "x" * NAME_MAX}
        rows = [
            ("a GET", 405, DATA, {"REQUEST_METHOD": "GET"}),
            ("another type", 415, DATA, {"CONTENT_TYPE": "text/plain"}),
            ("compressed", 415, DATA, {"HTTP_CONTENT_ENCODING": "gzip"}),
            ("no JSON", 400, b"{", {}), ("nothing", 400, b"", {}),
            ("an array", 400, [DATA], {}), ("a string", 400, b'"x"', {}),
            ("a number", 400, b"1", {}), ("null", 400, b"null", {}),
            ("no identifier", 400, {"appName": "x"}, {}),
            ("it is elsewhere", 400, {"a": {"identifier": "x"}}, {}),
            ("an empty one", 400, {"identifier": ""}, {}),
            ("a number for it", 400, {"identifier": 1}, {}),
            ("true for it", 400, {"identifier": True}, {}),
            ("an object for it", 400, {"identifier": {}}, {}),
            ("null for it", 400, {"identifier": None}, {}),
            ("two of them", 400, b'{"identifier":"a","identifier":"b"}', {}),
            ("a long one", 400, {"identifier": "x" * (NAME_MAX + 1)}, {}),
            ("the longest", 202, name, {}),
            ("too deep", 400, b'{"identifier":"a","x":' + b"[" * 99 +
             b"]" * 99 + b"}", {}),
            ("the largest", 202, json.dumps(name).encode().ljust(SIZE_MAX),
             {}),
            ("too large", 413, json.dumps(name).encode().ljust(SIZE_MAX + 1),
             {}),
            ("too large, without a length", 413,
             json.dumps(name).encode().ljust(SIZE_MAX + 1),
             {"CONTENT_LENGTH": None}),
            ("cut short", 400, DATA, {"CONTENT_LENGTH": "9999"}),
        ]
        for what, status, content, changes in rows:
            equal(case.post(content, **token, **changes).status, status,
                  f"{what}: {status}")
        equal(list(case.kept()), ["x" * NAME_MAX], "only the good are kept")


def kept(received, environment="*"):
    return json.dumps({"received": received, "environment": environment,
                       "identifier": "x"}, separators=(",", ":"))


def bounded():
    """A new Edge takes the place of the one that was silent for longest."""
    with Place() as place:
        case = Case(place)
        for number in range(EDGES_MAX):
            case.redis("HSET", KEY, f"old{number}",
                       kept(1000 + number))
        case.redis("HSET", KEY, "old7", kept(1))
        equal(case.post({"identifier": "old9"}).status, 202, "a known one")
        equal(len(case.kept()), EDGES_MAX, "all others stay")
        equal(case.post({"identifier": "new"}).status, 202, "a new one")
        found = case.kept()
        equal(len(found), EDGES_MAX, "there are no more")
        check("new" in found and "old7" not in found, "the oldest has gone")


def shared():
    """One environment's Edges take no more than its share from others."""
    with Place() as place:
        tokens = {name: f"*:{name}.secret" for name in ("a/b", "c", "d")}
        case = Case(place, auth="tokens", tokens=place.file(
            "tokens", "".join(token + "\n" for token in tokens.values())))

        def post(environment, identifier):
            equal(case.post({"identifier": identifier}, HTTP_AUTHORIZATION=
                            tokens[environment]).status, 202,
                  f"{identifier}: 202")

        def count():
            found = [one["environment"] for one in case.kept().values()]
            return {name: found.count(name) for name in set(found)}

        for number in range(3):
            post("c", f"c{number}")
        for number in range(EDGES_MAX + 5):
            post("a/b", f"a{number}")
        equal(count(), {"a%2Fb": EDGES_MAX - 3, "c": 3},
              "many of one sender replace its own alone")
        log = place.read(case.program.log)
        check(re.search(r"256 instances of Edge are kept: a\d+ of a%2Fb is "
                        "dropped, and 0 others since the last such line", log),
              "the log says which", log)
        equal(log.count("are kept: "), 1, "once in a while")
        metrics = fcgi.post(case.program.address, b"", REQUEST_METHOD="GET",
                            REMOTE_ADDR="127.0.0.1", REQUEST_URI=
                            "/internal-backstage/metrics").body
        check(b'flagtally_dropped_total{reason="edges"} 8\n' in metrics,
              "and the metrics how many", metrics)
        post("d", "d0")
        post("c", "c3")
        equal(count(), {"a%2Fb": EDGES_MAX - 5, "c": 4, "d": 1},
              "others take the place of those of which there are most")
        for number in range(EDGES_MAX):
            case.redis("HSET", KEY, f"c{number}", kept(1000 + number, "c"))
        for field in case.kept():
            if not field.startswith("c"):
                case.redis("HDEL", KEY, field)
        for number in range(EDGES_MAX):
            post("d", f"d{number}")
        equal(count(), {"c": EDGES_MAX // 2, "d": EDGES_MAX // 2},
              "until they have as many")
        check("c0" not in case.kept() and f"c{EDGES_MAX - 1}" in case.kept(),
              "the oldest have gone")


def away():
    """202 says that Redis has it, whatever comes between."""
    with Place() as place:
        case = Case(place, spool=place.file("spool.db"))
        equal(case.post(DATA).status, 202, "Redis is there")
        case.redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        equal(case.post(DATA).status, 202, "the connection was closed")
        case.redis("SCRIPT", "FLUSH")
        equal(case.post(DATA).status, 202, "the script was forgotten")
        case.redis.kill()
        equal(case.post(DATA).status, 503, "Redis is away")
        case.redis.start()
        until(lambda: case.post(DATA).status == 202, "Redis")
        case.redis("SET", KEY, "x")
        equal(case.post(DATA).status, 503, "a key of another type")


run([latest, refused, bounded, shared, away])
