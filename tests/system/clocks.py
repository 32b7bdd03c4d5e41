"""Clocks that are wrong: no counts are deleted, and nothing stands still.

The program and Redis each run with a clock of their own, which the test sets.
"""

import json
import os
import signal
import sqlite3
import struct
import subprocess
import time

from tests.harness import fcgi
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

HOUR, DAY, YEAR = 3600, 86400, 366 * 86400
SOURCE = os.path.join(os.path.dirname(__file__), "..", "tools",
                      "shifted_clock.c")
APPLICATION = "flagtally:{e:a}:"


class Clock:
    """The clock of the servers that are started under it."""

    def __init__(self, place, name):
        self.library = place.file("shifted_clock.so")
        self.path = place.file(name + ".shift")
        self.options = os.environ.get("ASAN_OPTIONS", "")
        if not os.path.exists(self.library):
            subprocess.run([os.environ.get("CC", "cc").split()[-1], "-shared",
                            "-fPIC", "-o", self.library, SOURCE], check=True)
        with open(self.path, "wb") as file:
            file.write(bytes(8))

    def set(self, seconds):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=q", seconds))

    def __enter__(self):
        os.environ["LD_PRELOAD"] = self.library
        os.environ["SHIFTED_CLOCK"] = self.path
        # The sanitizer wants to be the first library otherwise.
        os.environ["ASAN_OPTIONS"] = ":".join(filter(None, (
            self.options, "verify_asan_link_order=0")))

    def __exit__(self, *_):
        del os.environ["LD_PRELOAD"], os.environ["SHIFTED_CLOCK"]
        os.environ["ASAN_OPTIONS"] = self.options


class Service:
    def __init__(self, place, ahead=0, **settings):
        self.place = place
        self.clock, self.server_clock = Clock(place, "ours"), Clock(place, "s")
        with self.server_clock:
            self.redis = Redis(place)
        self.clock.set(ahead)
        self.start(**settings)

    def start(self, name="flagtally", **settings):
        with self.clock:
            self.program = Flagtally(self.place, self.redis, name, **settings)

    def post(self, metrics=(), applications=(), **more):
        answer = fcgi.post(self.program.address, json.dumps(
            {"metrics": list(metrics), "applications": list(applications),
             **more}).encode())
        equal(answer.status, 202, "202")

    def count(self, when=None, **changes):
        self.post([{"featureName": "f", "appName": "a", "environment": "e",
                    "timestamp": stamp(when), "yes": 1, "no": 0,
                    "variants": {}, **changes}])

    def register(self, version, instance="i"):
        self.post(applications=[{
            "appName": "a", "environment": "e", "instanceId": instance,
            "interval": 1, "started": stamp(None), "strategies": [version]}])

    def registered(self, instance="i"):
        text = self.redis("HGET", APPLICATION + "instances", instance)
        return text and json.loads(text)["strategies"][0]

    def score(self, key, member):
        return float(self.redis("ZSCORE", key, member))


def stamp(when):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ",
                         time.gmtime(time.time() if when is None else when))


def gauge(name, value):
    return {"type": "gauge", "name": name, "help": "h", "samples": [
        {"value": value, "labels": {"environment": "e"}}]}


def near(value, wanted, what, within=60):
    check(abs(value - wanted) <= within, what, value, wanted)


def lives():
    """Whatever expires lives as long as it should by Redis's clock."""
    for ahead in (-YEAR, -2 * HOUR, 0, 2 * HOUR, YEAR):
        with Place() as place:
            service = Service(place, ahead, retention_hourly="2d",
                              retention_daily="10d",
                              spool=place.file("spool.db"))
            now = int(time.time())
            service.count(now)
            name = f"our clock {ahead} s ahead"
            hour = APPLICATION + stamp(now)[:13]
            near(service.redis("TTL", hour),
                 2 * DAY + HOUR - now % HOUR, f"{name}: the hour's life")
            near(service.redis("TTL", hour[:-3]), 10 * DAY + DAY - now % DAY,
                 f"{name}: the day's life")
            for key in service.redis("KEYS", "*:writer:*"):
                near(service.redis("TTL", key), 30 * DAY,
                     f"{name}: the writer's life")
            for key, member in (("flagtally:apps", "e:a"),):
                near(service.score(key, member), now, f"{name}: {key}")
            service.post(seenTokens=["t"])
            token = service.redis("ZRANGE", "flagtally:tokens:seen", 0, 0)[0]
            near(service.score("flagtally:tokens:seen", token), now,
                 f"{name}: when a token was seen")


def settled():
    """The writer of what was in the spool is known for an hour."""
    with Place() as place:
        service = Service(place, -2 * HOUR, ack="spool",
                          flush_interval="10ms",
                          spool=place.file("spool.db"))
        service.count()
        until(lambda: service.redis("KEYS", "*:writer:*"), "replay")
        key = service.redis("KEYS", "*:writer:*")[0]
        until(lambda: service.redis("TTL", key) <= HOUR, "the shorter life")
        near(service.redis("TTL", key), HOUR, "a clock that is 2 h behind")


def dated_ahead():
    """An evaluation of the year 2569 was seen now, and not for ever."""
    with Place() as place:
        service = Service(place, limit_features=2)
        service.count(18_916_000_000)
        now = time.time()
        score = service.score(APPLICATION + "seen", "f")
        check(score <= now and now - score < 2 * HOUR,
              "it was seen at the start of this hour", score, now)
        service.count(18_916_000_000, featureName="g")
        service.count(18_916_000_000, featureName="h")
        day = APPLICATION + stamp(18_916_000_000)[:10]
        equal(sorted(service.redis("HKEYS", day)), [b"f:yes", b"g:yes"],
              "the cap of features holds for such a bucket, too")


def registrations():
    """A clock that was wrong for a moment holds no registration up."""
    for ahead in (YEAR, -YEAR):
        with Place() as place:
            service = Service(place, retention_daily="10d")
            service.register("first")
            service.clock.set(ahead)
            service.register("then")
            equal(service.registered(), "then", f"{ahead} s: is taken")
            near(service.score(APPLICATION + "instances:seen", "i"),
                 time.time(), f"{ahead} s: was seen now")
            service.register("other", "j")
            check(service.registered() and service.registered("j"),
                  f"{ahead} s: nothing is pruned")
            service.clock.set(0)
            service.register("last")
            equal(service.registered(), "last", f"{ahead} s: goes on after")


def spooled():
    """Of what waits in the spool that stays which arrived last."""
    for ahead in (YEAR, 2 * HOUR):
        with Place() as place:
            service = Service(place, ahead, spool=place.file("spool.db"))
            service.redis.kill()
            for value in range(3):
                service.register(f"at {value}")
                service.post(impactMetrics=[gauge("g", value)])
                service.clock.set(0)
            with service.server_clock:
                service.redis.start()
            until(lambda: service.redis("EXISTS", APPLICATION + "instances",
                                        "flagtally:{e}:impact:g") == 2,
                  "replay")
            equal(service.registered(), "at 2", f"{ahead} s: a registration")
            equal(service.redis("HGET", "flagtally:{e}:impact:g", ""), b"2",
                  f"{ahead} s: a gauge")


def marks():
    """A clock that jumps does not delete what tells a COMMIT from none."""
    with Place() as place:
        path = place.file("spool.db")
        service = Service(place, spool=path)
        service.redis.kill()

        def marked():
            service.count()
            with sqlite3.connect(path) as spool:
                return {row[0] for row in spool.execute(
                    "SELECT writer FROM mark")}

        before = marked()
        service.clock.set(YEAR)
        service.start("again", spool=path)
        check(before < marked(), "all are there, and a new one")


def repeated():
    """A body is a repeat, whatever becomes of our clock in between."""
    with Place() as place:
        service = Service(place, spool=place.file("spool.db"))
        text = json.dumps({"applications": [], "metrics": [{
            "featureName": "f", "appName": "a", "environment": "e",
            "timestamp": stamp(None), "yes": 1, "no": 0, "variants": {}}]})
        for ahead in (0, YEAR, -YEAR, 0):
            service.clock.set(ahead)
            equal(fcgi.post(service.program.address, text.encode(),
                            HTTP_UNLEASH_CONNECTION_ID="x").status, 202,
                  f"{ahead} s ahead: 202")
        equal(service.redis("HGET", APPLICATION + stamp(None)[:10], "f:yes"),
              b"1", "it counts once")


def server_set_back():
    """Redis's own clock was ahead for a moment: nothing stands still after."""
    with Place() as place:
        service = Service(place, retention_hourly="1d", retention_daily="10d",
                          limit_out_of_range_buckets=2, limit_apps=2)
        service.server_clock.set(YEAR)
        service.register("ahead")
        service.count(time.time() + YEAR)
        for name in ("2001-02-03", "2001-02-04"):
            service.count(int(time.mktime(time.strptime(name, "%Y-%m-%d"))))
        service.server_clock.set(0)
        service.register("now")
        equal(service.registered(), "now", "a registration replaces it")
        service.count(featureName="g")
        now = time.time()
        for name in ("f", "g"):
            check(service.score(APPLICATION + "seen", name) <= now,
                  f"{name} was not seen in what is the future now")
        near(service.score("flagtally:apps", "e:a"), now,
             "the application was seen now")
        day = int(time.mktime(time.strptime("2002-02-03", "%Y-%m-%d")))
        service.count(day)
        equal(service.redis("HGET", APPLICATION + stamp(day)[:10], "f:yes"),
              b"1", "a late bucket finds a place")


def server_forgets():
    """What was there when its clock was ahead is forgotten like the rest."""
    with Place() as place:
        service = Service(place, retention_hourly="1d", retention_daily="10d",
                          limit_apps=2, limit_series=2, limit_instances=2)
        service.server_clock.set(YEAR)
        service.count(appName="silent")
        service.register("ahead", "silent")
        service.post(impactMetrics=[gauge("silent", 1)])
        edges = [("HSET", "flagtally:edges", f"e{number}",
                  '{"received":%d,"environment":"","x":1}' %
                  (time.time() + YEAR * (number == 99)))
                 for number in range(256)]
        for words in edges:
            service.redis(*words)
        for days, room in ((0, False), (7, False), (14, True)):
            service.server_clock.set(days * DAY)
            name, what = f"new{days}", f"{days} days after"
            service.register("there", "i")
            service.count(appName=name)
            service.register(name, name)
            service.post(impactMetrics=[gauge("there", 1), gauge(name, 1)])
            equal(bool(service.redis("ZSCORE", "flagtally:apps", f"e:{name}")),
                  room, f"{what}: an application")
            equal(service.registered(name) is not None, room,
                  f"{what}: an instance")
            equal(service.redis("SISMEMBER", "flagtally:{e}:impact", name),
                  room, f"{what}: a metric")
        answer = fcgi.post(service.program.address, b'{"identifier":"new"}',
                           REQUEST_URI="/api/client/metrics/edge")
        equal(answer.status, 202, "a new Edge")
        check(not service.redis("HEXISTS", "flagtally:edges", "e99"),
              "takes the place of one that was silent since then")


def outages():
    """What was sent is too old to be sent again by Redis's clock alone."""
    for ours, servers, quarantined in ((YEAR, 0, False), (0, 28 * DAY, False),
                                       (-YEAR, 30 * DAY, True)):
        with Place() as place:
            service = Service(place, spool=place.file("spool.db"),
                              redis_timeout="200ms")
            now = time.time()
            service.count(now)
            service.redis.signal(signal.SIGSTOP)
            service.count(now)
            service.redis.kill()
            service.program.kill()
            service.clock.set(ours)
            service.server_clock.set(servers)
            with service.server_clock:
                service.redis.start()
            service.start("again", spool=place.file("spool.db"))
            name = f"our clock {ours} s ahead, Redis's {servers} s"
            with sqlite3.connect(place.file("spool.db")) as spool:
                until(lambda: spool.execute("SELECT count(*) FROM call"
                                            ).fetchone() == (0,), name)
                equal(spool.execute("SELECT count(*) FROM quarantine "
                                    "WHERE reason LIKE 'so old%'"
                                    ).fetchone()[0], quarantined,
                      f"{name}: quarantined or not")
            equal(service.redis("HGET", APPLICATION + stamp(now)[:10],
                                "f:yes"), b"1" if quarantined else b"2",
                  f"{name}: the rest counts once")


run([lives, settled, outages, dated_ahead, registrations, spooled, marks,
     repeated, server_set_back, server_forgets])
