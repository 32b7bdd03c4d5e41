"""A spool drains, whatever is in it: in bounded time, memory and latency.

FLAGTALLY_DRAIN=full runs the sizes of long outages instead of a tenth of them,
and prints what they took.
"""

import gzip
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
FULL = os.environ.get("FLAGTALLY_DRAIN") == "full"
BEGIN = 490000		# Hours since 1970, in 2025.


def hour(number):
    """The number-th hour, as a timestamp."""
    return time.strftime("%Y-%m-%dT%H:00:00Z",
                         time.gmtime((BEGIN + number) * 3600))


def metric(feature, app, number, yes=1):
    return {"featureName": feature, "appName": app, "environment": "e",
            "timestamp": hour(number), "yes": yes, "no": 0, "variants": {}}


def body(metrics):
    return json.dumps({"applications": [], "metrics": metrics}).encode()


def start(place, redis, **settings):
    return Flagtally(place, redis, **{
        "spool": place.file("spool.db"), "limit_apps": 0, "limit_out_of_range_buckets": 0,
        "limit_features": 0, "retention_daily": "1000d",
        "retention_hourly": "1000d", **settings})


def post(flagtally, text, packed=False):
    if not packed:
        return fcgi.post(flagtally.address, text).status
    return fcgi.post(flagtally.address, gzip.compress(text),
                     HTTP_CONTENT_ENCODING="gzip").status


def total(redis, prefix="flagtally:{e:"):
    """All counts in daily buckets."""
    script = """
        local sum, cursor = 0, '0'
        repeat
            local found = redis.call('SCAN', cursor, 'MATCH', ARGV[1],
                'COUNT', 10000)
            cursor = found[1]
            for _, key in ipairs(found[2]) do
                if string.match(key, ':%d%d%d%d%-%d%d%-%d%d$') then
                    for _, value in ipairs(redis.call('HVALS', key)) do
                        sum = sum + value
                    end
                end
            end
        until cursor == '0'
        return sum"""
    return int(redis("EVAL", script, 0, prefix + "*"))


class Watch:
    """Posts while a spool drains, and measures their time and the memory."""

    def __init__(self, flagtally, interval=0.02):
        self.flagtally = flagtally
        self.interval = interval
        self.times = []
        self.statuses = set()
        self.memory = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.text = body([metric("live", "live", 0)])

    def run(self):
        while not self.done.is_set():
            begin = time.monotonic()
            self.statuses.add(post(self.flagtally, self.text))
            self.times.append(time.monotonic() - begin)
            self.memory = max(self.memory, self.flagtally.resident())
            self.done.wait(self.interval)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def slowest(self):
        """The time that 99 of 100 posts keep to."""
        return sorted(self.times)[int(len(self.times) * 0.99)]


def drained(place):
    """Whether nothing waits, as --spool says, read without a process."""
    import sqlite3
    database = sqlite3.connect(f"file:{place.file('spool.db')}?mode=ro",
                               uri=True)
    try:
        return not any(database.execute(
            f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0]
            for table in ("journal", "cell", "call"))
    except sqlite3.OperationalError:
        return False
    finally:
        database.close()


def drain(place, redis, flagtally, name, limit=60):
    """Let it drain under live posts; return the live ones."""
    begin = time.monotonic()
    with Watch(flagtally) as watch:
        until(lambda: drained(place), name, limit * (1 if FULL else 3), 0.05)
    took = time.monotonic() - begin
    until(lambda: drained(place), name, 20)
    note(f"{name}: {took:.1f} s, {watch.memory >> 20} MB, "
         f"p99 {watch.slowest() * 1000:.0f} ms of {len(watch.times)} posts")
    check(took < limit, f"{name}: drains in {limit} s", took)
    check(SANITIZER or watch.memory < 64 << 20, f"{name}: within 64 MB",
          watch.memory)
    equal(watch.statuses, {202}, f"{name}: posts are accepted meanwhile")
    if FULL:
        check(watch.slowest() < 0.05, f"{name}: in 50 ms",
              watch.slowest())
    check(flagtally.running(), f"{name}: the process goes on")
    return len(watch.times)


def one_application():
    """Thousands of buckets under one hash tag."""
    bodies, hours = (17, 8000) if FULL else (3, 4000)
    with Place() as place:
        redis = Redis(place, appendfsync="everysec")
        redis.kill()
        flagtally = start(place, redis, limit_memory="256M")
        for i in range(bodies):
            equal(post(flagtally, body([
                metric("f", "a", i * hours + j) for j in range(hours)]),
                True), 202, f"body {i} of {hours} hours is accepted")
        redis.start()
        drain(place, redis, flagtally, f"{bodies * hours} buckets")
        equal(total(redis, "flagtally:{e:a}"), bodies * hours,
              "each counts once")


def slow_timeout():
    """Redis needs longer for all that waits than a time-out."""
    apps, hours = (500, 48) if FULL else (100, 20)
    with Place() as place:
        redis = Redis(place, appendfsync="everysec")
        redis.kill()
        flagtally = start(place, redis, redis_timeout="50ms")
        for i in range(apps):
            post(flagtally, body([
                metric(f"f{k}", f"a{i}", j) for j in range(hours)
                for k in range(2)]))
        redis.start()
        live = drain(place, redis, flagtally,
                     f"{apps} applications x {hours} h")
        equal(total(redis) - total(redis, "flagtally:{e:live}"),
              2 * apps * hours, "each counts once")
        equal(total(redis, "flagtally:{e:live}"), live, "live ones, too")


def full(limit, apps, features, seconds):
    """A spool that is full of distinct counters drains whole."""
    with Place() as place:
        redis = Redis(place, appendfsync="no", appendonly="no")
        redis.kill()
        flagtally = start(place, redis, spool_limit=limit,
                          limit_counters=0)
        names = [f"feature-{k}" for k in range(features)]
        status, accepted, number = 202, 0, 0

        def one(i):
            return post(flagtally, body([
                metric(name, f"application-{i % apps}", i // apps)
                for name in names]))
        with ThreadPoolExecutor(4) as pool:
            while status == 202:
                for status in pool.map(one, range(number, number + 64)):
                    accepted += features if status == 202 else 0
                number += 64
        equal(status, 503, f"{limit}: it is full in the end")
        size = sum(os.path.getsize(place.file("spool.db" + end))
                   for end in ("", "-wal"))
        note(f"{limit}: {accepted} counters in {size >> 10} KiB")
        peak = flagtally.resident()
        check(SANITIZER or peak < 64 << 20,
              f"{limit}: within 64 MB while it fills", peak)
        redis.start()
        live = drain(place, redis, flagtally, f"a full {limit}", seconds)
        equal(total(redis, "flagtally:{e:application-"), accepted,
              f"{limit}: each counts once")
        equal(total(redis, "flagtally:{e:live}"), live, "live ones, too")


def full_small():
    full("2M", 20, 50, 60)


def full_large():
    if FULL:
        full("32M", 500, 200, 600)
        full("256M", 500, 200, 1800)


def slow_replies():
    """Each reply takes its time: nothing is lost, nothing is doubled."""
    for delay in (1, 10, 100, 300) if FULL else (1, 300):
        with Place() as place:
            redis = Redis(place)
            proxy = Proxy(place, redis.path)
            flagtally = start(place, proxy.url(), ack="spool",
                              redis_timeout="3s")
            proxy.delay(delay / 1000)
            count = 40 if delay > 10 else 200
            for i in range(count):
                post(flagtally, body([metric("f", f"a{i}", 0)]))
            until(lambda: drained(place), f"{delay} ms", 120)
            equal(total(redis), count, f"{delay} ms a reply: each once")


run([one_application, slow_timeout, full_small, full_large, slow_replies])
