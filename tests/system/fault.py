"""Load while everything breaks: nothing accepted is lost or counts twice.

In every other round a consumer group follows the feeds meanwhile: what it reads
adds up to what was counted.

Rounds come from a printed seed; FLAGTALLY_SEED repeats them, and
FLAGTALLY_FAULTS says how many there are (a few in the tests, hundreds by hand).
"""

import json
import os
import random
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.resp import Client, RedisError, pairs
from tests.harness.servers import PROGRAM, Flagtally, Place, Redis, \
    connects, environment
from tests.harness.tap import check, note, run
from tests.harness.wait import until

SEED = int(os.environ.get("FLAGTALLY_SEED") or
           int.from_bytes(os.urandom(3), "big"))
ROUNDS = int(os.environ.get("FLAGTALLY_FAULTS") or 16)
CLIENTS = 8
POSTS = 100
FEATURES = 6
DAY = "flagtally:{e:%s}:2026-11-23"
FEED = "flagtally:{e:%s}:feed"


class Load:
    """Clients that post without pause, and what they were told."""

    def __init__(self, seed, addresses):
        self.seed = seed
        self.addresses = addresses
        self.lock = threading.Lock()
        self.accepted = {}
        self.unanswered = {}
        self.wrong = []
        self.slowest = 0
        self.done = 0

    def client(self, number):
        chance = random.Random(self.seed * 1000 + number)
        for _ in range(POSTS):
            counts = {}
            metrics = []
            for _ in range(chance.randrange(1, 4)):
                app = chance.choice("ab")
                feature = f"f{chance.randrange(FEATURES)}"
                yes = chance.randrange(1, 100)
                counts[app, feature] = counts.get((app, feature), 0) + yes
                metrics.append({
                    "featureName": feature, "appName": app,
                    "environment": "e", "yes": yes, "no": 0, "variants": {},
                    "timestamp": "2026-11-23T09:30:00Z"})
            self.post(chance.choice(self.addresses), json.dumps(
                {"applications": [], "metrics": metrics}).encode(), counts)

    def post(self, address, body, counts):
        begin = time.monotonic()
        try:
            status = fcgi.post(address, body).status
        except OSError:
            status = None
        took = time.monotonic() - begin
        with self.lock:
            self.done += 1
            where = self.accepted if status == 202 else self.unanswered
            for key, yes in counts.items():
                where[key] = where.get(key, 0) + yes
            if status is not None:
                self.slowest = max(self.slowest, took)
            if status not in (202, None):
                self.wrong.append(status)


class Follower:
    """A consumer of both feeds, which Redis breaks off again and again."""

    def __init__(self, redis):
        self.redis = redis
        self.entries = {}
        self.wrong = []
        self.ending = False
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        try:
            self.read_all()
        except Exception as error:
            self.wrong.append(f"the consumer ends: {error!r}")
            raise

    def read_all(self):
        while True:
            client = None
            try:
                client = Client(self.redis.path, timeout=2)
                for app in "ab":
                    self.create_group(client, FEED % app)
                # First what was delivered and may not be acknowledged.
                while self.take(client, "0") or self.take(client, ">") or \
                        not self.ending:
                    pass
                return
            except (OSError, RedisError, ValueError):
                until(lambda: connects(self.redis.path), "Redis")
            finally:
                # An error that was raised holds on to it for a while.
                if client is not None:
                    client.close()

    @staticmethod
    def create_group(client, feed):
        try:
            client("XGROUP", "CREATE", feed, "g", "0", "MKSTREAM")
        except RedisError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def take(self, client, start):
        """Read from there, note, acknowledge; how many there were."""
        count = 0
        read = client("XREADGROUP", "GROUP", "g", "c", "COUNT", 200, "BLOCK",
                      20, "STREAMS", FEED % "a", FEED % "b", start, start)
        for feed, entries in read or []:
            for number, words in entries:
                entry = dict(zip(words[::2], words[1::2]))
                known = self.entries.setdefault((feed, number), entry)
                if known is not entry and (known != entry or start == ">"):
                    self.wrong.append(f"{feed} {number}: {entry}, {known}")
            # Redis syncs its file for each command that writes.
            if entries:
                client("XACK", feed, "g", *(number for number, _ in entries))
            count += len(entries)
        return count

    def end(self):
        """Return {(app, field): count} when there is no more to read."""
        self.ending = True
        until(lambda: not self.thread.is_alive(), "the consumer", 120)
        found = {}
        for (feed, _), entry in self.entries.items():
            app = feed.decode()[len("flagtally:{e:")]
            for field, count in entry.items():
                if field != b"period":
                    found[app, field] = found.get((app, field), 0) + int(count)
        return found


class Round:
    def __init__(self, place, seed):
        self.chance = random.Random(seed)
        self.place = place
        self.redis = Redis(place)
        self.feed = 100000 if seed % 2 == 0 else 0
        self.follower = Follower(self.redis) if self.feed else None
        self.proxy = Proxy(place, self.redis.path)
        self.started = 0
        self.processes = [None, None]
        for i in range(2):
            self.start(i)
        self.load = Load(seed, [p.address for p in self.processes])

    def start(self, i):
        self.started += 1
        place = self.place
        self.processes[i] = Flagtally(
            place, self.proxy.url(), f"f{i}", spool=place.file("spool.db"),
            flush_interval="100ms", feed=self.feed,
            publish="yes" if self.feed else "no",
            ack=self.chance.choice(["redis", "redis", "redis", "spool"]))

    # Faults: each breaks something, and mends it when the load has moved on.

    def moved_on(self, posts):
        """Wait until the clients have done more, or cannot."""
        wanted = min(self.load.done + posts, CLIENTS * POSTS)
        end = time.monotonic() + 1.5
        until(lambda: self.load.done >= wanted or time.monotonic() > end,
              "the load")

    def kill_one(self):
        i = self.chance.randrange(2)
        self.processes[i].kill()
        self.moved_on(3)
        self.start(i)

    def kill_all(self):
        for process in self.processes:
            process.kill()
        for i in range(2):
            self.start(i)

    def terminate(self):
        i = self.chance.randrange(2)
        self.processes[i].signal(signal.SIGTERM)
        status = self.processes[i].wait()
        if status != 0:
            self.load.wrong.append(f"exit {status}")
        self.start(i)

    def kill_redis(self):
        self.redis.kill()
        self.moved_on(self.chance.randrange(30))
        self.redis.start()

    def stop_redis(self):
        self.redis.signal(signal.SIGSTOP)
        self.moved_on(self.chance.randrange(40))
        self.redis.signal(signal.SIGCONT)

    def cut(self):
        way = self.chance.choice(["up", "down"])
        self.proxy.cut(**{way: self.chance.randrange(1, 1500)},
                       stay=self.chance.choice([True, False]))
        self.moved_on(self.chance.randrange(30))
        self.proxy.mend()

    def hold(self):
        self.proxy.hold(self.chance.choice(["up", "down"]))
        self.moved_on(self.chance.randrange(30))
        self.proxy.release(lose=self.chance.choice([True, False]))

    def no_memory(self):
        self.redis("CONFIG", "SET", "maxmemory", "1")
        self.moved_on(20)
        self.redis("CONFIG", "SET", "maxmemory", "0")

    def read_only(self):
        self.redis("REPLICAOF", "127.0.0.1", "1")
        self.moved_on(20)
        self.redis("REPLICAOF", "NO", "ONE")

    def flush_scripts(self):
        self.redis("SCRIPT", "FLUSH")

    def break_things(self):
        faults = [self.kill_redis, self.stop_redis, self.cut, self.cut,
                  self.hold, self.hold, self.no_memory, self.read_only,
                  self.flush_scripts]
        # In the other half every post gets an answer: sums must be equal.
        if self.chance.random() < 0.5:
            faults += [self.kill_one, self.kill_all, self.terminate]
        names = []
        while self.load.done < CLIENTS * POSTS:
            fault = self.chance.choice(faults)
            names.append(fault.__name__)
            fault()
            self.moved_on(self.chance.randrange(1, 30))
        return names

    def run(self):
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self.load.client, i)
                       for i in range(CLIENTS)]
            names = self.break_things()
            for client in clients:
                client.result()
        return names

    def settled(self):
        """Whether the spool has been replayed."""
        return sum(self.depth(kind) for kind in ("queued", "in-doubt")) == 0

    def depth(self, kind):
        listed = subprocess.run(
            [os.path.abspath(PROGRAM), "--spool"], capture_output=True,
            text=True, timeout=30, env=environment(
                spool=self.place.file("spool.db"))).stdout
        return listed.count(f"\t{kind}\t")

    def differences(self):
        lines = []
        load = self.load
        for app in "ab":
            for feature in (f"f{i}" for i in range(FEATURES)):
                key = app, feature
                got = int(self.redis("HGET", DAY % app,
                                     feature + ":yes") or 0)
                least = load.accepted.get(key, 0)
                most = least + load.unanswered.get(key, 0)
                if not least <= got <= most:
                    lines.append(f"{app} {feature}: {got}, not in {least}.."
                                 f"{most}")
        if self.follower:
            lines += self.differences_of_feed()
        return lines

    def differences_of_feed(self):
        read = self.follower.end()
        held = {(app, field): int(count) for app in "ab" for field, count in
                pairs(self.redis("HGETALL", DAY % app)).items()}
        return self.follower.wrong + [
            f"{key}: the feed has {read.get(key)}, the day {held.get(key)}"
            for key in sorted(set(read) | set(held))
            if read.get(key) != held.get(key)]


def one_round(seed):
    with Place() as place:
        this = Round(place, seed)
        names = this.run()
        until(this.settled, "replay", 40)
        lines = this.differences()
        load = this.load
        if load.slowest > 2:
            lines.append(f"an answer took {load.slowest:.2f} s")
        if load.wrong:
            lines.append(f"answers {load.wrong[:5]}")
        check(not lines, f"seed {seed}: nothing is lost or doubled",
              *lines, " ".join(names), *[
                  process.log + ":\n" + place.read(process.log)[-1500:]
                  for process in this.processes if lines])


def rounds():
    for i in range(ROUNDS):
        one_round(SEED + i)


note(f"seed {SEED}: repeat with FLAGTALLY_SEED={SEED}")
run([rounds])
