"""A flood of hostile requests: honest ones are answered, and memory is bounded.

All threads but one are kept busy by clients that do what they can to hurt;
one client beside them reports at a steady rate what honest senders do.
"""

import collections
import gzip
import json
import multiprocessing
import os
import random
import re
import socket
import time
import zlib

from tests.harness import bound, fcgi
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
SEED = int(os.environ.get("SEED", random.randrange(10 ** 6)))
MEGABYTE = 1024 * 1024
THREADS = 8
SECONDS = 8
RATE = 100
MEMORY = 8 * MEGABYTE
HONEST, ATTACK = "team:honest.5ec4e7", "*:*.a77ac4"
NOW = time.time()
CAPS = {}


def stamp(when):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def metric(**changes):
    return {"featureName": "f", "appName": "a", "environment": "e",
            "timestamp": stamp(NOW), "yes": 1, "no": 0, "variants": {},
            **changes}


def body(metrics=(), applications=(), **more):
    return json.dumps({"applications": list(applications),
                       "metrics": list(metrics), **more}).encode()


class Bodies:
    """Hostile bodies, made before the flood, as they take longer to make."""

    def __init__(self, seed, count=3):
        self.random = random.Random(seed)
        kinds = [self.features, self.variants, self.apps, self.times,
                 self.impact, self.instances, self.tokens]
        self.made = {kind.__name__: [(gzip.compress(kind(), 1), "gzip")
                                     for _ in range(count)]
                     for kind in kinds}
        self.made["bomb"] = self.bombs()
        self.made["deep"] = [(gzip.compress(content, 1), "gzip")
                             for content in self.deep()]

    def name(self, size=0):
        text = f"{self.random.getrandbits(64):x}"
        return text + "é" * max(0, (size - len(text)) // 2)

    def any_name(self):
        return self.name(self.random.choice([0, 0, 0, 64]))

    def any_time(self):
        return stamp(self.random.choice([
            NOW, NOW - self.random.randrange(10 ** 6),
            self.random.randrange(-10 ** 9, 10 ** 10)]))

    @staticmethod
    def bombs():
        spaces = b" " * (31 * MEGABYTE)
        whole = body()[:-1] + spaces + b"}"
        # Within the ratio: what is to be unpacked does not pack that well.
        noise = b"".join(b"%d," % (i * 7919 % 10007) for i in range(500_000))
        return [(gzip.compress(whole, 9), "gzip"),
                (zlib.compress(whole * 2, 9), "deflate"),
                (gzip.compress(body()[:-1] + b',"x":[' + noise + b"0]}", 9),
                 "gzip")]

    @staticmethod
    def deep():
        return [b'{"a":' * 100_000, b"[" * 100_000,
                b'{"applications":[{"' * 100_000,
                b'{"metrics":[],"' + b"x" * 100_000 + b'":1}',
                b'{"metrics":"' + b"\\u0001" * 100_000 + b'"}']

    def features(self):
        return body(metric(featureName=self.any_name()) for _ in range(
            self.random.choice([1000, 15_000])))

    def variants(self):
        return body([metric(variants={self.any_name(): 1
                                      for _ in range(20_000)})])

    def apps(self):
        return body(metric(appName=self.any_name(),
                           environment=self.any_name()) for _ in range(500))

    def times(self):
        return body(metric(
            timestamp=self.any_time(), featureName=self.any_name(),
            appName=f"t{self.random.randrange(5)}") for _ in range(2000))

    def impact(self):
        kind = self.random.choice(["counter", "gauge", "histogram"])

        def sample():
            labels = {"environment": f"e{self.random.randrange(30)}",
                      self.name()[:4]: self.any_name()}
            if kind != "histogram":
                return {"labels": labels, "value": 1}
            return {"labels": labels, "count": 1, "sum": 1, "buckets": [
                {"le": i, "count": 1} for i in range(9)]}
        return body(impactMetrics=[{
            "type": kind, "name": "m" + self.name(), "help": self.any_name(),
            "samples": [sample() for _ in range(9)]} for _ in range(100)])

    def instances(self):
        return body(applications=[{
            "appName": f"t{self.random.randrange(5)}", "interval": 1,
            "environment": "e", "instanceId": self.any_name(),
            "started": stamp(NOW), "strategies": [
                self.any_name() for _ in range(self.random.randrange(40))]}
            for _ in range(300)])

    def tokens(self):
        return body(seenTokens=[self.name() for _ in range(9000)])


class Attacker:
    """One of those that flood: there is always a request of its under way."""

    def __init__(self, address, bodies, seed):
        self.address, self.bodies = address, bodies
        self.random = random.Random(seed)
        self.kinds = sorted(bodies.made) + [self.strangers, self.slow,
                                            self.broken, self.deaf]
        self.done = collections.Counter()

    def post(self, content, encoding=None, token=ATTACK):
        return fcgi.post(self.address, content, HTTP_AUTHORIZATION=token,
                         HTTP_CONTENT_ENCODING=encoding).status

    def connect(self, content, keep=False):
        """A connection with a request up to its body."""
        connection = fcgi.Connection(self.address)
        values = fcgi.params(content, HTTP_AUTHORIZATION=ATTACK)
        return connection, fcgi.begin(keep) + fcgi.stream(
            fcgi.PARAMS, b"".join(fcgi.pair(*item)
                                  for item in values.items()))

    def strangers(self):
        content = body([metric()])
        for token in ["", "x", f"*:*.{self.random.random()}",
                      "Bearer " + "x" * 4000] * 9:
            self.done[f"stranger: {self.post(content, token=token)}"] += 1

    def slow(self):
        """A body that comes drop by drop, and then not at all."""
        connection, request = self.connect(b"x" * 1000)
        connection.send(request)
        for _ in range(10):
            connection.send(fcgi.record(fcgi.STDIN, b" "))
            time.sleep(0.05)
        connection.close()

    def broken(self):
        pieces = [fcgi.begin(), fcgi.record(fcgi.PARAMS, b"\xff" * 64),
                  fcgi.record(fcgi.STDIN, b"{" * 1000),
                  fcgi.record(fcgi.ABORT), fcgi.record(99, b"x" * 99),
                  self.random.randbytes(2000),
                  fcgi.stream(fcgi.PARAMS, fcgi.pair("A", "b" * 60_000) * 9)]
        for _ in range(20):
            connection = fcgi.Connection(self.address)
            connection.send(b"".join(self.random.choices(pieces, k=3)))
            connection.close()

    def deaf(self):
        """Asks, and does not read the answers."""
        content = b'{"' + b"x" * 100 + b'":'
        connection, request = self.connect(content, keep=True)
        request += fcgi.stream(fcgi.STDIN, content)
        connection.socket.settimeout(0.5)
        try:
            for _ in range(200):
                connection.send(request)
        except socket.timeout:
            pass
        connection.close()

    def attack(self, end, results):
        # They are elsewhere, and take no processor from those attacked.
        os.nice(19)
        while time.monotonic() < end:
            kind = self.random.choice(self.kinds)
            try:
                if isinstance(kind, str):
                    status = self.post(*self.random.choice(
                        self.bodies.made[kind]))
                    self.done[f"{kind}: {status}"] += 1
                else:
                    kind()
                    self.done[kind.__name__] += 1
            except OSError:
                self.done["cut off"] += 1
        results.put(self.done)


def honest(address, end, results):
    """Reports at a steady rate; how long each answer took, and its status."""
    content = body([metric(
        featureName=f"feature-{i}", appName="shop", environment="honest",
        yes=3, no=2, variants={"blue": 1}) for i in range(30)])
    took, statuses = [], {}
    due = time.monotonic()
    while due < end:
        time.sleep(max(0, due - time.monotonic()))
        began = time.monotonic()
        try:
            status = fcgi.post(address, content,
                               HTTP_AUTHORIZATION=HONEST).status
        except OSError as error:
            status = str(error)
        took.append(time.monotonic() - began)
        statuses[status] = statuses.get(status, 0) + 1
        due = max(due + 1 / RATE, began)
    results.put((took, statuses))


def resident_most(program):
    with open(f"/proc/{program.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file
                    if line.startswith("VmHWM:"))


def manual():
    """What flagtally.ini(5) says against strangers: caps, and their bound."""
    with open(os.path.join(os.path.dirname(__file__), "../../deploy/man",
                           "flagtally.ini.5"), encoding="utf-8") as file:
        rows = re.findall(r"^\.It (limit_\w+|bound).* Ta (.*)$", file.read(),
                          re.MULTILINE)
    units = {"K": 1024, "MB": 10 ** 6}

    def number(text):
        digits, unit = re.fullmatch(r"(\d+) ?(\w*)", text).groups()
        return int(digits) * units.get(unit, 1)
    caps = {name: number(text) for name, text in rows}
    return caps, caps.pop("bound")


def used_memory(redis):
    for line in redis("INFO", "memory").decode().splitlines():
        if line.startswith("used_memory:"):
            return int(line.split(":")[1])
    raise ValueError("no used_memory")


def fork(target, *arguments):
    process = multiprocessing.get_context("fork").Process(
        target=target, args=arguments, daemon=True)
    process.start()
    return process


def flood():
    note(f"SEED={SEED}")
    caps, most = manual()
    CAPS.update(caps)
    equal(len(CAPS), 10, "the manual has caps against strangers")
    check(abs(bound.redis(CAPS, 2, 90) - most) < most / 100,
          "and what they come to", bound.redis(CAPS, 2, 90), most)
    with Place() as place:
        redis = Redis(place, appendonly="no")
        idle = used_memory(redis)
        program = Flagtally(
            place, redis, threads=THREADS, auth="tokens",
            tokens=place.file("tokens", f"{HONEST}\n{ATTACK}\n"),
            spool=place.file("spool.db"), limit_memory=MEMORY,
            **CAPS)
        equal(fcgi.post(program.address, body([metric(
            appName="shop", environment="honest")]),
            HTTP_AUTHORIZATION=HONEST).status, 202, "before: 202")
        # Some that are there before all places are taken.
        fcgi.post(program.address, body(metric(appName=name) for name in [
            "a", "t0", "t1", "t2", "t3", "t4"]), HTTP_AUTHORIZATION=ATTACK)
        context = multiprocessing.get_context("fork")
        results, measured = context.Queue(), context.Queue()
        bodies = Bodies(SEED)
        end = time.monotonic() + SECONDS
        attackers = [fork(Attacker(program.address, bodies, SEED + i).attack,
                          end, results) for i in range(THREADS - 1)]
        reporter = fork(honest, program.address, end, measured)
        took, statuses = measured.get(timeout=SECONDS + 60)
        done = collections.Counter()
        for _ in attackers:
            done.update(results.get(timeout=60))
        for process in [*attackers, reporter]:
            process.join()
        note("attacks: " + ", ".join(f"{key} {count}"
                                     for key, count in sorted(done.items())))
        answered(took, statuses)
        kept(redis, idle, len(took))
        most = resident_most(program)
        budget = bound.process(THREADS, MEMORY)
        note(f"the process: {most / 1e6:.0f} MB at most, "
             f"of {budget / 1e6:.0f} MB")
        check(SANITIZER or most < budget, "the process is within its budget",
              most, budget)
        equal(fcgi.post(program.address, body([metric(
            appName="shop", environment="honest")]),
            HTTP_AUTHORIZATION=HONEST).status, 202, "after: 202")


def answered(took, statuses):
    equal(set(statuses), {202}, "each honest request is answered 202")
    took = sorted(took)
    p99 = took[int(len(took) * 0.99)]
    note(f"{len(took)} honest requests: p50 {took[len(took) // 2] * 1e3:.1f} "
         f"ms, p99 {p99 * 1e3:.1f} ms, longest {took[-1] * 1e3:.1f} ms")
    check(p99 < (2 if SANITIZER else 1), "their p99 is below a second", p99)


def kept(redis, idle, posts):
    day = f"flagtally:{{honest:shop}}:{stamp(NOW)[:10]}"
    until(lambda: redis("HGET", day, "feature-0:yes") ==
          str(3 * posts).encode(), "all of them", 20)
    fields = {key.decode(): int(value)
              for key, value in redis.client.value(day).items()}
    wanted = {f"feature-{i}:{name}": count * posts for i in range(30)
              for name, count in (("yes", 3), ("no", 2),
                                  ("variant:blue", 1))}
    equal(fields, {**wanted, "f:yes": 1}, "and counted exactly")
    within(redis, idle, bound.redis(CAPS, 2, 90))
    caps(redis)


def within(redis, idle, most):
    used = used_memory(redis) - idle
    note(f"Redis: {used / 1e6:.1f} MB, of {most / 1e6:.0f} MB; "
         f"{redis('DBSIZE')} keys")
    check(used < most, "Redis is within the bound that the caps imply",
          used, most)
    return used


FULL = {"limit_features": 40, "limit_variants": 80,
        "limit_out_of_range_buckets": 30,
        "limit_apps": 2, "limit_environments": 2, "limit_instances": 100,
        "limit_series": 300, "limit_seen_tokens": 500, "limit_name": 64,
        "limit_registration": 2048}


def filled():
    """As full as the caps let it be: within the bound, and not far from it."""
    def name(number, size=64):
        return f"{number:04}" + "é" * ((size - 4) // 2)

    def hours():
        """All hours that count: those that are late, and all others."""
        late = [NOW - (1000 + i) * 86400 for i in range(20)]
        return late + [NOW + i * 3600 for i in range(-3, 24)]

    with Place() as place:
        redis = Redis(place, appendonly="no")
        idle = used_memory(redis)
        program = Flagtally(place, redis, retention_hourly="1h",
                            retention_daily="1d", limit_memory="64M", **FULL)

        def post(content):
            equal(fcgi.post(program.address, content).status, 202, "202")
        for app in range(FULL["limit_apps"] * FULL["limit_environments"]):
            names = {"appName": name(app), "environment": name(app)}
            for when in hours():
                post(body([metric(
                    timestamp=stamp(when), featureName=name(i), no=1,
                    variants={name(9): 1, name(8): 1}, **names)
                    for i in range(FULL["limit_features"])]))
            post(body(applications=[{
                "instanceId": name(i), "interval": 1, "started": stamp(NOW),
                "strategies": [name(j) for j in range(27)], **names}
                for i in range(FULL["limit_instances"])]))
        for environment in range(FULL["limit_environments"]):
            post(body(impactMetrics=[{
                "type": "gauge", "name": f"m{i:063}", "help": name(i),
                "samples": [{"value": 1 / 3, "labels": {
                    "environment": name(environment), "b" * 64: "c" * 60}}]}
                for i in range(FULL["limit_series"])]))
        post(body(seenTokens=[name(i) for i in range(500)]))
        equal([redis("ZCARD", "flagtally:" + key) for key in (
            "apps", "environments", "tokens:seen")], [4, 2, 500],
            "all lists are full")
        most = bound.redis(FULL, 1 / 24, 1)
        used = within(redis, idle, most)
        check(used > (most - 16 * MEGABYTE) / 4,
              "which is not far from what it is", used, most)



def caps(redis):
    """Each cap is reached, or nearly, and none is exceeded."""
    keys = redis("KEYS", "*")
    largest = {}

    def count(cap, number):
        largest[cap] = max(largest.get(cap, 0), number)
    environments = [member.split(b":")[0] for member in
                    redis("ZRANGE", "flagtally:apps", 0, -1)]
    count("limit_apps", max(map(environments.count, environments)))
    count("limit_environments", redis("ZCARD", "flagtally:environments"))
    # Of the two environments that send.
    count("limit_seen_tokens", redis("ZCARD", "flagtally:tokens:seen") / 2)
    for key in keys:
        rest = key.partition(b"}:")[2]
        if rest == b"late":
            count("limit_out_of_range_buckets", redis("ZCARD", key))
        elif rest == b"seen":
            count("limit_features", redis("ZCARD", key) / 10)
        elif rest == b"instances":
            count("limit_instances", redis("HLEN", key))
        elif rest == b"impact":
            count("limit_series", sum(
                redis("HLEN", key + b":" + name) - 2
                for name in redis("SMEMBERS", key)))
        elif rest[:2] == b"20":
            names = redis("HKEYS", key)
            count("limit_variants", sum(b":variant:" in name
                                        for name in names))
    for cap, number in sorted(largest.items()):
        check(number <= CAPS[cap], f"{cap} holds: {number} of {CAPS[cap]}")
    check(len(largest) == len(CAPS) - 2, "all of them were put to the test",
          largest)


run([filled, flood])
