"""The first answer after Redis has failed: it goes to the spool soon."""

import json
import os
import signal
import socket
import time

from tests.harness import fcgi
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

KEY = "flagtally:{e:a}:2026-11-23"
# The deadline of a commit leaves Redis 1.1 s; 100 ms are what is meant.
SOON = 0.8
# Nothing is waited for when Redis refuses connections.
AT_ONCE = 0.25


def body(count=1, application="a"):
    return json.dumps({"applications": [], "metrics": [{
        "featureName": f"f{number}", "appName": application,
        "environment": "e", "timestamp": "2026-11-23T09:30:00Z", "yes": 1,
        "no": 0, "variants": {}} for number in range(count)]}).encode()


class Case:
    def __init__(self, place, redis=None):
        self.place = place
        self.redis = Redis(place)
        self.program = Flagtally(place, redis or self.redis,
                                 spool=place.file("spool.db"))
        self.posted = 0

    def post(self, name, content=None):
        began = time.monotonic()
        status = fcgi.post(self.program.address, content or body()).status
        took = time.monotonic() - began
        equal(status, 202, f"{name}: 202")
        self.posted += 1
        return took

    def soon(self, name, limit=SOON):
        took = self.post(name)
        check(took < limit, f"{name}: soon", f"it took {took:.3f} s")

    def learn(self):
        for _ in range(20):
            self.post("Redis serves")
        equal(self.count(), self.posted, "all is in Redis")

    def count(self):
        return int(self.redis("HGET", KEY, "f0:yes") or 0)

    def spooled(self, state):
        page = fcgi.post(self.program.address, b"", REQUEST_METHOD="GET",
                         REQUEST_URI="/internal-backstage/metrics",
                         SCRIPT_NAME="/internal-backstage/metrics",
                         REMOTE_ADDR="127.0.0.1").body.decode()
        return int(page.split(f'spooled_total{{state="{state}"}} '
                              )[1].split()[0])

    def settled(self):
        until(lambda: self.count() >= self.posted, "replay")
        equal(self.count(), self.posted, "each is counted once")


def silent():
    """Calls that were sent to a silent Redis keep their identity."""
    with Place() as place:
        case = Case(place)
        case.learn()
        case.redis.signal(signal.SIGSTOP)
        case.soon("Redis is stopped")
        equal(case.spooled("in-doubt"), 2, "the calls are in the spool")
        case.soon("it is known to be")
        case.redis.signal(signal.SIGCONT)
        case.settled()


def refused():
    with Place() as place:
        case = Case(place)
        case.learn()
        case.redis.kill()
        case.soon("Redis is killed", AT_ONCE)
        case.redis.start()
        case.settled()


def refused_at_first():
    """Nothing has been learned, and nothing need be."""
    with Place() as place:
        case = Case(place)
        case.redis.kill()
        case.soon("Redis is killed", AT_ONCE)
        case.redis.start()
        case.settled()


def silent_connections():
    """A Redis whose connections are taken by nobody."""
    with Place() as place:
        case = Case(place)
        case.learn()
        case.redis.kill()
        with socket.socket(socket.AF_UNIX) as listening:
            # The socket that it left behind would refuse them.
            if os.path.exists(case.redis.path):
                os.unlink(case.redis.path)
            listening.bind(case.redis.path)
            listening.listen(16)
            case.soon("nobody answers")
            os.unlink(case.redis.path)
        case.redis.start()
        case.settled()


def closed():
    """A Redis that has closed the connection, and serves."""
    with Place() as place:
        case = Case(place)
        case.learn()
        case.redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        case.soon("the connection was closed")
        equal(case.count(), case.posted, "it is in Redis at once")
        equal(case.spooled("queued") + case.spooled("in-doubt"), 0,
              "nothing went to the spool")


def large():
    """A large group is given the time that it takes."""
    with Place() as place:
        case = Case(place)
        case.learn()
        case.post("a large body", body(5000))
        equal(case.spooled("in-doubt"), 0, "it is in Redis")
        equal(case.count(), case.posted, "and counted")


run([silent, refused, refused_at_first, silent_connections, closed, large])
