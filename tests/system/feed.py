"""The feed and the channel for changes: what is counted, once, and whole."""

import json
import os
import random

from tests.harness import fcgi
from tests.harness.resp import NO_RIGHT, Client
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SEED = int(os.environ.get("FLAGTALLY_SEED") or
           int.from_bytes(os.urandom(3), "big"))
DAY, HOUR = "2026-11-23", "2026-11-23T09"
TAG = "flagtally:{e:a}"
FEED = TAG + ":feed"


def metric(**changes):
    return {"featureName": "f", "appName": "a", "environment": "e",
            "timestamp": HOUR + ":30:00Z", "yes": 1, "no": 0, "variants": {},
            **changes}


def body(*metrics, applications=()):
    return json.dumps({"applications": list(applications),
                       "metrics": list(metrics)}).encode()


class Service:
    def __init__(self, place, **settings):
        self.place = place
        self.redis = Redis(place)
        self.program = Flagtally(place, self.redis, **settings)

    def post(self, *metrics, **more):
        equal(fcgi.post(self.program.address, body(*metrics, **more)).status,
              202, "202")

    def entries(self):
        return [[word.decode() for word in words]
                for _, words in self.redis("XRANGE", FEED, "-", "+")]


def sums(entries):
    """{(period, field): count}, by the rule in flagtally(7)."""
    found = {}
    for words in entries:
        entry = dict(zip(words[::2], words[1::2]))
        period, only = entry.pop("period"), entry.pop("only", None)
        periods = [period]
        if "T" in period and only is None:
            periods.append(period[:10])
        for field, count in entry.items():
            for one in periods:
                found[one, field] = found.get((one, field), 0) + int(count)
    return found


def held(redis):
    """The same, of the buckets."""
    return {(key.decode()[len(TAG) + 1:], field.decode()): int(count)
            for key in redis("KEYS", TAG + ":[0-9]*")
            for field, count in redis.client.value(key).items()}


def entries():
    """An entry for each call: the period, and counters as in the hash."""
    with Place() as place:
        service = Service(place, feed=10)
        service.post(metric(yes=3, no=2, variants={"v w": 1}),
                     metric(featureName="g:h", yes=0, no=4),
                     metric(timestamp="2026-11-24T00:00:00Z"))
        service.post(metric())
        equal(service.entries(), [
            ["period", HOUR, "f:yes", "3", "f:no", "2",
             "f:variant:v%20w", "1", "g%3Ah:no", "4"],
            ["period", "2026-11-24T00", "f:yes", "1"],
            ["period", HOUR, "f:yes", "1"]], "what each call counts")
        equal(sums(service.entries()), held(service.redis),
              "they sum up to the buckets")
        left = service.redis("TTL", FEED)
        check(90 * 86400 - 60 < left <= 90 * 86400,
              "the feed expires the longer retention after it was written",
              left)
        before = service.entries()
        service.post(applications=[{
            "appName": "a", "environment": "e", "instanceId": "i",
            "interval": 1, "started": HOUR + ":00:00Z", "strategies": []}])
        equal(service.entries(), before, "a registration adds nothing")


def trimmed():
    """MAXLEN ~ N: at least N entries, and at most a node of them more."""
    with Place() as place:
        service = Service(place, feed=50)
        for number in range(260):
            fcgi.post(service.program.address, body(metric(
                featureName=f"f{number}")))
        kept = service.entries()
        check(50 <= len(kept) <= 150, "the feed is trimmed", len(kept))
        equal(kept[-1], ["period", HOUR, "f259:yes", "1"],
              "to the latest entries")


def one_retention():
    """Where one kind of bucket is kept, that is the period."""
    for kept, period in (("hourly", HOUR), ("daily", DAY)):
        other = "daily" if kept == "hourly" else "hourly"
        with Place() as place:
            service = Service(place, feed=10, limit_variants=2,
                              **{f"retention_{other}": 0})
            service.post(metric(variants={"v": 1, "w": 1}))
            service.post(metric(variants={"x": 1}))
            equal(service.entries(), [
                ["period", period, "f:yes", "1", "f:variant:v", "1"],
                ["period", period, "f:yes", "1"]],
                f"only {kept}: the period, and nothing beyond a cap")


def caps():
    """Of what only one of the buckets counts the feed says so."""
    with Place() as place:
        service = Service(place, feed=10, limit_variants=3,
                          retention_hourly="1h", retention_daily="36500d",
                          limit_out_of_range_buckets=1)
        service.post(metric(variants={"u": 1, "v": 1},
                            timestamp=DAY + "T10:00:00Z"))
        service.post(metric(variants={"w": 1}, timestamp=DAY + "T11:00:00Z"))
        # The only place for an hour that is late has been taken.
        equal(service.entries(), [
            ["period", DAY + "T10", "f:yes", "1", "f:variant:u", "1",
             "f:variant:v", "1"],
            ["period", DAY, "f:yes", "1"]], "an hour without a place")
        equal(sums(service.entries()), held(service.redis), "the sum")
    with Place() as place:
        service = Service(place, feed=10, limit_variants=3)
        service.post(metric(variants={"u": 1, "v": 1}))
        service.post(metric(variants={"w": 1}, timestamp=DAY + "T11:00:00Z"))
        equal(service.entries()[1:], [
            ["period", DAY + "T11", "f:yes", "1"],
            ["period", DAY + "T11", "only", "hour", "f:variant:w", "1"]],
            "a day that is full")
        equal(sums(service.entries()), held(service.redis), "the sum")


def random_caps():
    """Whatever is left out, the sum of the feed is what the buckets hold."""
    note(f"seed {SEED}: repeat with FLAGTALLY_SEED={SEED}")
    chance = random.Random(SEED)
    for _ in range(12):
        settings = {"limit_features": chance.choice([0, 2, 6]),
                    "limit_variants": chance.choice([0, 4, 12]),
                    "limit_out_of_range_buckets": chance.choice([0, 1, 4]),
                    "retention_hourly": chance.choice(["1h", "36500d"]),
                    "retention_daily": chance.choice(["1d", "36500d"])}
        with Place() as place:
            redis = Redis(place, appendonly="no")
            program = Flagtally(place, redis, feed=10000, **settings)
            for _ in range(30):
                metrics = [metric(
                    featureName=f"f{chance.randrange(9)}",
                    yes=chance.randrange(3), no=chance.randrange(3),
                    variants={f"v{chance.randrange(9)}": 1
                              for _ in range(chance.randrange(3))},
                    timestamp=f"2026-11-2{chance.randrange(3)}"
                    f"T1{chance.randrange(4)}:00:00Z")
                    for _ in range(chance.randrange(1, 6))]
                fcgi.post(program.address, body(*metrics))
            read = [[word.decode() for word in words] for _, words in
                    redis("XRANGE", FEED, "-", "+")]
            equal(sums(read), held(redis), f"the sum with {settings}")
            check(all(len(words) > 2 for words in read), "no entry is empty")


def failures():
    """What cannot be put into the feed is not counted either."""
    with Place() as place:
        service = Service(place, feed=10, publish="yes",
                          spool=place.file("spool.db"))
        redis, key = service.redis, f"{TAG}:{DAY}"
        service.post(metric())
        for right in ("-xadd", "-publish"):
            redis("ACL", "SETUSER", "default", right)
            before = held(redis), service.entries()
            service.post(metric(featureName=right))
            until(lambda: NO_RIGHT.search(place.read(service.program.log)),
                  "the reason in the log")
            equal((held(redis), service.entries()), before,
                  f"{right}: nothing is counted")
            redis("ACL", "SETUSER", "default", "+" + right[1:])
            until(lambda: redis("HGET", key, f"{right}:yes") == b"1",
                  f"{right}: replay")
            equal(sums(service.entries()), held(redis),
                  f"and then it is, once: {right}")
        redis("RENAME", FEED, "saved")
        redis("SET", FEED, "x")
        before = held(redis)
        service.post(metric())
        until(lambda: f"{FEED} is a string, not a stream" in place.read(
            service.program.log), "the reason in the log")
        equal(held(redis), before, "a key of another type: nothing is counted")


def off():
    """Without them, Redis is sent what it always was."""
    with Place() as place:
        service = Service(place)
        service.redis("CONFIG", "RESETSTAT")
        service.post(metric(), metric(featureName="g"))
        equal([service.redis.calls(name) for name in ("xadd", "publish")],
              [0, 0], "neither command is called")
        monitor = Client(service.redis.path)
        monitor("MONITOR")
        service.post(metric())
        line = ""
        while "evalsha" not in line.lower():
            line = monitor.stream.readline().decode()
        check("feed" not in line and "changes" not in line,
              "and no argument is for them", line)


def publish():
    """P:changes gets the name of the finest bucket, once for each call."""
    with Place() as place:
        service = Service(place, publish="yes")
        listener = Client(service.redis.path)
        listener("SUBSCRIBE", "flagtally:changes")
        service.post(metric(), metric(timestamp="2026-11-24T00:00:00Z"),
                     metric(appName="b"))
        messages = sorted(listener._read()[2].decode() for _ in range(3))
        equal(messages, [f"{TAG}:{HOUR}", f"{TAG}:2026-11-24T00",
                         "flagtally:{e:b}:" + HOUR], "what is published")
        equal(service.redis("EXISTS", FEED), 0, "and there is no feed")


run([entries, trimmed, one_retention, caps, random_caps, failures, off,
     publish])
