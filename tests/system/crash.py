"""Die at each labelled step of commit, spool and replay, and look.

Needs a program that was configured with --enable-crash-points.
"""

import glob
import json
import os
import re
import signal
import subprocess

from tests.harness import fcgi
from tests.harness.servers import PROGRAM, Flagtally, Place, Redis, \
    environment
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DAY = "flagtally:{e:%s}:2026-11-23"


def points():
    """The labels that stand in the code."""
    found = set()
    for name in glob.glob(os.path.join(TOP, "lib", "*", "*.c")):
        with open(name, encoding="utf-8") as file:
            found |= set(re.findall(r'CRASH_POINT\("([^"]+)"\)',
                                    file.read()))
    return sorted(found)


class Story:
    """Posts while Redis comes and goes; the process is started again."""

    def __init__(self, place, crash_at):
        self.place = place
        self.redis = Redis(place)
        self.accepted = self.unanswered = 0
        self.deaths = 0
        os.environ["CRASH_AT"] = crash_at
        self.start()

    def start(self):
        try:
            self.flagtally = Flagtally(
                self.place, self.redis, spool=self.place.file("spool.db"),
                flush_interval="50ms")
        except RuntimeError:
            # It died before it was ready: at a point of replay.
            self.died()

    def died(self):
        self.deaths += 1
        os.environ.pop("CRASH_AT", None)
        self.start()

    def post(self, count):
        text = json.dumps({"applications": [], "metrics": [{
            "featureName": "f", "appName": app, "environment": "e",
            "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
            "variants": {}} for app in "ab"]}).encode()
        for _ in range(count):
            try:
                status = fcgi.post(self.flagtally.address, text).status
            except OSError:
                status = None
            if status == 202:
                self.accepted += 1
            else:
                self.unanswered += 1
                self.look(status)

    def look(self, status=None):
        if status is None:
            # A connection may break a moment before the process is gone.
            try:
                self.flagtally.wait(1)
            except subprocess.TimeoutExpired:
                pass
        if not self.flagtally.running():
            self.died()

    def waiting(self):
        listed = subprocess.run(
            [os.path.abspath(PROGRAM), "--spool"], capture_output=True,
            text=True, timeout=30, env=environment(
                spool=self.place.file("spool.db"))).stdout
        return listed.count("\tqueued\t") + listed.count("\tin-doubt\t")

    def settled(self):
        if not self.flagtally.running():
            self.died()
        return self.waiting() == 0

    def tell(self):
        self.post(3)
        self.redis.signal(signal.SIGSTOP)
        self.post(2)
        self.redis.signal(signal.SIGCONT)
        until(self.settled, "replay")
        self.redis.kill()
        self.post(60)
        self.redis.start()
        until(self.settled, "replay")
        self.post(2)
        until(self.settled, "replay")


def die_at(point, count):
    with Place() as place:
        story = Story(place, f"{point}:{count}")
        story.tell()
        os.environ.pop("CRASH_AT", None)
        for app in "ab":
            got = int(story.redis("HGET", DAY % app, "f:yes") or 0)
            check(story.accepted <= got <=
                  story.accepted + story.unanswered,
                  f"{point}:{count}: nothing is lost or doubled ({app})",
                  got, story.accepted, story.unanswered)
        return story.deaths


def repeated(point, count):
    """Each body is sent until it is accepted, and then once more.

    A process that dies between commit and mark may have one body counted
    twice; nothing else is, and nothing is lost.
    """
    with Place() as place:
        story = Story(place, f"{point}:{count}")
        for number in range(5):
            text = json.dumps({"applications": [], "metrics": [{
                "featureName": "f", "appName": "a", "environment": "e",
                "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
                "variants": {f"v{number}": 1}}]}).encode()

            def accepted():
                try:
                    return fcgi.post(
                        story.flagtally.address, text,
                        HTTP_UNLEASH_CONNECTION_ID="id").status == 202
                except OSError:
                    story.look()
                    return False
            until(accepted, "202")
            until(accepted, "202 for the repeat")
        os.environ.pop("CRASH_AT", None)
        until(story.settled, "replay")
        counts = [int(story.redis("HGET", DAY % "a", f"f:variant:v{number}")
                      or 0) for number in range(5)]
        most = 6 if point in MAY_DOUBLE else 5
        check(min(counts) >= 1 and sum(counts) <= most,
              f"{point}:{count}: each body is counted once", counts)


# Between a commit and the mark that it is counted.
MAY_DOUBLE = {"commit-applied", "commit-settle", "commit-spooled",
              "sink-sent"}


def every_point():
    found = points()
    check(len(found) >= 10, "there are points", found)
    for point in found:
        deaths = [die_at(point, count) for count in (1, 2)]
        equal(max(deaths), 1, f"it died at {point}")
        repeated(point, 1)
        repeated(point, 3)


run([every_point])
