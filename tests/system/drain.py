"""A spool drains, whatever is in it: in bounded time, memory and latency.

FLAGTALLY_DRAIN=full runs the sizes of long outages instead of a tenth of them,
and prints what they took.  FLAGTALLY_DRAIN=outage posts all the time while
Redis is away, as many seconds as FLAGTALLY_OUTAGE says, and prints a table.
"""

import gzip
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench import bodies
from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
FULL = os.environ.get("FLAGTALLY_DRAIN") == "full"
OUTAGE = os.environ.get("FLAGTALLY_DRAIN") == "outage"
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


LIVE = body([metric("live", "live", 0)])


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
        self.statuses = []
        self.memory = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.done.is_set():
            begin = time.monotonic()
            self.statuses.append(post(self.flagtally, LIVE))
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


def usual(flagtally):
    """The same of posts while nothing drains; the machine may be busy."""
    with Watch(flagtally) as watch:
        until(lambda: len(watch.times) >= 200, "posts", 60, 0.05)
    return watch.slowest(), len(watch.times)


def drain(place, redis, flagtally, name, limit=60, before=0):
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
    # A full spool cannot help out where a sanitizer makes Redis seem slow.
    late = {503} if SANITIZER else set()
    equal(set(watch.statuses) - late, {202},
          f"{name}: posts are accepted meanwhile")
    if FULL:
        check(watch.slowest() < max(0.05, 2 * before), f"{name}: in 50 ms, "
              "or twice what posts take before", watch.slowest(), before)
    check(flagtally.running(), f"{name}: the process goes on")
    return watch.statuses


def count_live(redis, statuses):
    """Each that was accepted counts once; others may or may not."""
    counted = total(redis, "flagtally:{e:live}")
    check(statuses.count(202) <= counted <= len(statuses), "live ones, too",
          counted, statuses)


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
        count_live(redis, live)


def full(limit, apps, features, seconds):
    """A spool that is full of distinct counters drains whole."""
    with Place() as place:
        redis = Redis(place, appendfsync="no", appendonly="no")
        flagtally = start(place, redis, spool_limit=limit,
                          limit_counters=0)
        before, first = usual(flagtally)
        note(f"before: p99 {before * 1000:.0f} ms of {first} posts")
        redis("FLUSHALL")
        redis.kill()
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
        # Until the next attempt to connect, there is no place for a post.
        until(lambda: post(flagtally, LIVE) == 202, "Redis")
        live = [202] + drain(place, redis, flagtally, f"a full {limit}",
                             seconds, before)
        equal(total(redis, "flagtally:{e:application-"), accepted,
              f"{limit}: each counts once")
        count_live(redis, live)


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


class Senders:
    """Edges that post so many bodies of 95 KiB a second, each when it is due.

    Their clocks run from half past nine to half past ten while the seconds
    pass, so that the counts are of two hours.
    """

    RATE = 500
    KINDS = 100

    def __init__(self, address, seconds):
        self.address, self.seconds = address, seconds
        made = [bodies.usage(95 * 1024, seed=i).replace(
            b"shop-", b"shop-%02d-" % i) for i in range(self.KINDS)]
        self.sums = [sum(metric["yes"] + metric["no"] +
                         sum(metric["variants"].values())
                         for metric in json.loads(text)["metrics"])
                     for text in made]
        self.requests = [[self.request(text.replace(b"T09:", b"T%02d:" % hour))
                          for hour in (9, 10)] for text in made]
        self.lock = threading.Lock()
        self.number, self.accepted, self.wrong = 0, 0, []
        self.times = []

    @staticmethod
    def request(text):
        return fcgi.begin(True) + fcgi.stream(fcgi.PARAMS, b"".join(
            fcgi.pair(*item) for item in fcgi.params(text).items())) + \
            fcgi.stream(fcgi.STDIN, text)

    def client(self):
        connection = fcgi.Connection(self.address)
        while True:
            with self.lock:
                number = self.number
                self.number += 1
            due = number / self.RATE
            if due >= self.seconds:
                return
            until(lambda: time.monotonic() >= self.begin + due, "its time",
                  self.seconds)
            kind = number % self.KINDS
            began = time.monotonic()
            connection.send(self.requests[kind][due > self.seconds / 2])
            status = connection.read_answer().status
            with self.lock:
                self.times.append(time.monotonic() - began)
                if status == 202:
                    self.accepted += self.sums[kind]
                else:
                    self.wrong.append(status)

    def run(self, look):
        """Post, and look twelve times."""
        self.begin = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            clients = [pool.submit(self.client) for _ in range(16)]
            for i in range(1, 13):
                end = self.begin + self.seconds * i / 12
                until(lambda: time.monotonic() >= end, "a part",
                      self.seconds, 0.05)
                look(i)
            for client in clients:
                client.result()
        return time.monotonic() - self.begin


def outage():
    """Redis is away while senders post all the time."""
    seconds = int(os.environ.get("FLAGTALLY_OUTAGE") or 60)
    with Place() as place:
        redis = Redis(place, appendfsync="everysec")
        redis.kill()
        flagtally = start(place, redis)
        senders = Senders(flagtally.address, seconds)
        peaks = {"memory": 0, "spool": 0}
        note("of the time | posts | 503 | p99 ms | spool KiB | memory MB")

        def look(part):
            memory = flagtally.resident()
            spool = sum(os.path.getsize(place.file("spool.db" + end))
                        for end in ("", "-wal"))
            peaks["memory"] = max(peaks["memory"], memory)
            peaks["spool"] = max(peaks["spool"], spool)
            with senders.lock:
                times, senders.times = sorted(senders.times), []
            note(f"{part}/12 | {len(times)} | {len(senders.wrong)} | "
                 f"{times[int(len(times) * .99)] * 1000 if times else 0:.0f}"
                 f" | {spool >> 10} | {memory / (1 << 20):.1f}")
        took = senders.run(look)
        note(f"{seconds * senders.RATE} posts in {took:.0f} s, "
             f"{seconds * senders.RATE / took:.0f} a second")
        equal(senders.wrong, [], "all are accepted")
        check(peaks["memory"] < 64 << 20, "within 64 MB", peaks)
        check(peaks["spool"] < 256 << 20, "within the limit", peaks)
        redis.start()
        until(lambda: drained(place), "the drain", 300, 0.05)
        check(flagtally.resident() < 64 << 20, "within 64 MB still")
        equal(total(redis, "flagtally:{production:"), senders.accepted,
              "each counts once")


run([outage] if OUTAGE else
    [one_application, slow_timeout, full_small, full_large, slow_replies])
