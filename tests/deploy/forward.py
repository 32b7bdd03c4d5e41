"""deploy/readers/forward.py: what is counted reaches Unleash, whatever is killed.

Before it is a stand-in for Unleash that checks each body by the OpenAPI text, and
counts a body that is repeated byte by byte once.
"""

import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading

from tests.harness import fcgi
from tests.harness.openapi import Schema
from tests.harness.resp import RedisError
from tests.harness.servers import Flagtally, Place, Process, Redis
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SEED = int(os.environ.get("FLAGTALLY_SEED") or
           int.from_bytes(os.urandom(3), "big"))
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                       "deploy", "readers", "forward.py")
TOKEN = "*:production.secret"
APPLICATIONS = ["shop", "a:b {c}%", "é"]


def python():
    """An interpreter that has the module redis, or None."""
    for path in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        if path and subprocess.run(
                [path, "-c", "import redis"], stderr=subprocess.DEVNULL,
                check=False).returncode == 0:
            return path
    return None


PYTHON = python()


class Unleash:
    """Answers as `behave` says: a status, or None to close the connection."""

    def __init__(self):
        self.schema = Schema("BatchMetricsRequestBody")
        self.bodies, self.faults, self.repeats = {}, [], 0
        self.largest = self.requests = 0
        self.behave = lambda: 202
        self.unwanted = None        # A text in what is rejected.
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = stand_in.take(self.path, self.headers, body)
                if status is None:
                    self.close_connection = True
                    return
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                except ConnectionError:
                    pass        # It was killed.

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def take(self, path, headers, body):
        self.requests += 1
        self.largest = max(self.largest, len(body))
        status = self.behave()
        if self.unwanted and self.unwanted in body:
            status = 400
        if path != "/api/client/metrics/bulk" or \
                headers["Authorization"] != TOKEN or \
                headers["Content-Type"] != "application/json":
            self.faults.append(f"{path} {headers}")
        self.faults += self.schema.faults(json.loads(body))
        if status in (202, None):
            # It is counted, even if no answer arrives.
            self.repeats += body in self.bodies
            self.bodies[body] = json.loads(body)
        return status

    def counts(self):
        """{(application, feature, hour, counter): count}"""
        found = {}
        for body in list(self.bodies.values()):
            for metric in body["metrics"]:
                place = (metric["appName"], metric["featureName"],
                         metric["timestamp"])
                for counter, count in [
                        *((name, metric[name]) for name in ("yes", "no")),
                        *(("variant:" + name, count) for name, count in
                          metric["variants"].items())]:
                    if count:
                        key = (*place, counter)
                        found[key] = found.get(key, 0) + count
        return found


class Setting:
    """Redis, flagtally and the forwarder, and all that was posted."""

    def __init__(self, place, chance, **settings):
        self.place, self.chance = place, chance
        self.redis = Redis(place)
        self.flagtally = Flagtally(place, self.redis, **{
            "feed": 1000, "spool": place.file("spool.db"), **settings})
        self.unleash = Unleash()
        self.posted = {}
        self.forwarder = None

    def start(self):
        self.forwarder = Process(
            self.place, "forward", [
                PYTHON, PROGRAM, "--interval", "0.05", self.redis.url(),
                self.unleash.url],
            {**os.environ, "UNLEASH_TOKEN": TOKEN})

    def post(self, applications=APPLICATIONS, features=6, hours=3):
        metrics = []
        for _ in range(self.chance.randrange(1, 6)):
            application = self.chance.choice(applications)
            feature = f"f:{self.chance.randrange(features)}"
            hour = f"2026-11-23T{10 + self.chance.randrange(hours)}:00:00Z"
            counts = {"yes": self.chance.randrange(1, 9), "no": 2,
                      "variant:v w": 1}
            for counter, count in counts.items():
                key = (application, feature, hour, counter)
                self.posted[key] = self.posted.get(key, 0) + count
            metrics.append({
                "featureName": feature, "appName": application, "no": 2,
                "environment": "production", "yes": counts["yes"],
                "timestamp": hour, "variants": {"v w": 1}})
        answer = fcgi.post(self.flagtally.address, json.dumps(
            {"applications": [], "metrics": metrics}).encode())
        equal(answer.status, 202, "202") if answer.status != 202 else None

    def pending(self):
        """Entries that are delivered and not acknowledged."""
        count = 0
        for feed in self.redis("KEYS", "*:feed"):
            try:
                count += self.redis("XPENDING", feed, "unleash")[0]
            except RedisError:
                pass            # It has no such group, or is no stream.
        return count

    def arrived(self):
        return self.unleash.counts() == self.posted

    def finish(self, name):
        try:
            until(self.arrived, "all counts")
        except TimeoutError:
            pass
        equal(self.unleash.counts(), self.posted, name)
        check(not self.unleash.faults, "each body is valid by OpenAPI's text",
              *self.unleash.faults[:5], self.place.read("forward.log")[-2000:])


def forwards():
    """All that is counted, merged, and acknowledged after its 202."""
    with Place() as place:
        setting = Setting(place, random.Random(SEED))
        for _ in range(120):
            setting.post()
        setting.start()
        setting.finish("what was counted is forwarded, and once")
        check(setting.unleash.requests <= 4, "in a few merged bodies",
              setting.unleash.requests)
        feed = "flagtally:{production:shop}:feed"

        def acknowledged():
            group, = setting.redis("XINFO", "GROUPS", feed)
            return dict(zip(group[::2], group[1::2]))[b"pending"] == 0
        until(acknowledged, "acknowledgement")
        before = setting.unleash.requests
        setting.post()
        setting.finish("and what comes later")
        check(setting.unleash.requests > before, "in a body of its own")
        equal(place.read("forward.log"), "", "it has nothing to say")


def refused():
    """Without its 202 a body is neither acknowledged nor lost."""
    with Place() as place:
        setting = Setting(place, random.Random(SEED))
        for status, words in ((503, "HTTP Error 503"), (403, "HTTP Error 403"),
                              (200, "the answer is 200, not 202")):
            answers = [status, status]
            setting.unleash.behave = lambda: answers.pop() if answers else 202
            setting.post()
            if setting.forwarder is None:
                setting.start()
            setting.finish(f"{status}: sent again until it is taken")
            check(not answers and words in place.read("forward.log"),
                  f"{status}: and it says why", place.read("forward.log"))


def rejected():
    """What Unleash rejects is set aside, and all else arrives."""
    with Place() as place:
        setting = Setting(place, random.Random(SEED))
        setting.unleash.unwanted = b'"f:5"'
        for _ in range(20):
            setting.post()
        setting.posted = {key: count for key, count in setting.posted.items()
                          if key[1] != "f:5"}
        setting.start()
        setting.finish("all else is forwarded, and once")
        until(lambda: setting.pending() == 0, "acknowledgement")
        lines = [line for line in place.read("forward.log").splitlines()
                 if "HTTP Error 400" in line and "is set aside: {" in line]
        equal({json.loads(line[line.index("{"):])["featureName"]
               for line in lines}, {"f:5"}, "the log has what is set aside")
        equal(len(lines), len(place.read("forward.log").splitlines()),
              "and nothing else")
        setting.unleash.unwanted = b"{"
        for number in range(150):
            setting.post([f"a{number}"])
        until(lambda: "again in" in place.read("forward.log"), "a pause")
        equal(place.read("forward.log").count("set aside"), 100,
              "if all is rejected, most of it is kept")
        check(setting.pending() > 0, "unacknowledged")


def no_stream():
    """A feed that is no stream holds up no other, and neither does nonsense."""
    with Place() as place:
        setting = Setting(place, random.Random(SEED))
        setting.redis("ZADD", "flagtally:apps", 1, "production:!", 1, "!")
        setting.redis("SET", "flagtally:{production:!}:feed", "x")
        setting.redis("XADD", "flagtally:{!}:feed", "*", "f:yes", "many")
        for _ in range(5):
            setting.post()
        setting.start()
        setting.finish("the others are forwarded")
        until(lambda: setting.pending() == 0, "acknowledgement")
        setting.post()
        setting.finish("and go on")
        log = place.read("forward.log")
        check(log.count("flagtally:{production:!}:feed is no stream") == 1 and
              log.count("has no number of f:yes") == 1 and
              log.count("\n") == 2, "the log says each once", log)


def late():
    """What Redis delivers late to a connection that is dead is forwarded."""
    with Place() as place:
        setting = Setting(place, random.Random(SEED))
        setting.post(["shop"])
        setting.start()
        setting.finish("the first")
        setting.forwarder.signal(signal.SIGSTOP)
        setting.post(["shop"])
        equal(len(setting.redis(
            "XREADGROUP", "GROUP", "unleash", "forward", "STREAMS",
            "flagtally:{production:shop}:feed", ">")), 1, "delivered")
        setting.forwarder.signal(signal.SIGCONT)
        setting.finish("that arrives, too")


def large():
    """What is more than Unleash takes at once goes in parts."""
    with Place() as place:
        setting = Setting(place, random.Random(SEED))
        long = "x" * 200
        for number in range(900):
            setting.posted["shop", f"{long}{number}", "2026-11-23T10:00:00Z",
                           "yes"] = 1
        for first in range(0, 900, 300):
            fcgi.post(setting.flagtally.address, json.dumps({
                "applications": [], "metrics": [{
                    "featureName": f"{long}{number}", "appName": "shop",
                    "environment": "production", "yes": 1, "no": 0,
                    "timestamp": "2026-11-23T10:30:00Z", "variants": {}}
                    for number in range(first, first + 300)]}).encode())
        setting.start()
        setting.finish("all of it arrives")
        check(setting.unleash.requests > 2 and
              setting.unleash.largest <= 100 * 1024, "in parts",
              setting.unleash.largest)


def trimmed():
    """What was trimmed before it was read is reported."""
    with Place() as place:
        setting = Setting(place, random.Random(SEED), feed=1)
        setting.redis("CONFIG", "SET", "stream-node-max-entries", "1")
        setting.post(["shop"], hours=1)
        setting.start()
        setting.finish("the first")
        setting.forwarder.kill()
        for _ in range(9):
            setting.post(["shop"])
        setting.start()
        until(lambda: "entries were trimmed before they were read: raise feed"
              in place.read("forward.log"), "the warning")
        check(True, "it says what is lost")


def kills():
    """It, Redis and Unleash's answers are killed; nothing is lost."""
    note(f"seed {SEED}: repeat with FLAGTALLY_SEED={SEED}")
    chance = random.Random(SEED)
    with Place() as place:
        setting = Setting(place, chance)
        answers = [None, 503]
        setting.unleash.behave = lambda: answers.pop() if answers else \
            chance.choice([202, 202, 503, None])
        setting.start()
        for _ in range(25):
            for _ in range(chance.randrange(1, 12)):
                setting.post()
            seen = setting.unleash.requests + chance.randrange(3)
            until(lambda: setting.unleash.requests >= seen or
                  setting.arrived(), "requests")
            if chance.random() < 0.2:
                setting.redis.kill()
                setting.redis.start()
            else:
                setting.forwarder.kill()
                setting.start()
        setting.unleash.behave = lambda: 202
        setting.finish("nothing is lost, and what is repeated is so exactly")
        note(f"{setting.unleash.requests} requests, "
             f"{setting.unleash.repeats} repeated")
        check(setting.unleash.repeats > 0, "something was repeated")


if PYTHON is None:
    check(True, "there is no Python with the module redis # SKIP")
    run([])
else:
    run([forwards, refused, rejected, no_stream, late, large, trimmed, kills])
