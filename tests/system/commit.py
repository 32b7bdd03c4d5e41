"""Commit and Redis: groups merge, and no fault of Redis counts by half."""

import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.resp import Client
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))

HOUR = "flagtally:{e:a}:2026-11-23T09"
DAY = "flagtally:{e:a}:2026-11-23"


def metric(feature="f", yes=1, no=0, variants=None, app="a", environment="e"):
    return {"featureName": feature, "appName": app,
            "environment": environment, "timestamp": "2026-11-23T09:30:00Z",
            "yes": yes, "no": no, "variants": variants or {}}


def body(*metrics, applications=(), impact=()):
    return json.dumps({"applications": list(applications),
                       "metrics": list(metrics),
                       "impactMetrics": list(impact)}).encode()


def application(instance, app="a"):
    return {"appName": app, "environment": "e", "instanceId": instance,
            "interval": 1, "started": "2026-11-23T09:30:00Z",
            "strategies": []}


def impact(kind, name, *samples):
    return {"type": kind, "name": name, "help": "h",
            "samples": list(samples)}


def post(flagtally, *metrics, **more):
    return fcgi.post(flagtally.address, body(*metrics, **more)).status


def yes(redis, feature="f", key=HOUR):
    return int(redis("HGET", key, feature + ":yes") or 0)


def merging():
    """16 clients on the same features: groups merge, and sums are exact."""
    posts = 100
    features = [metric(f"f{i}", yes=2, no=3, variants={"v": 1})
                for i in range(20)]
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        post(flagtally, metric())
        before = redis.calls()

        def client(_):
            connection = fcgi.Connection(flagtally.address)
            text = body(*features)
            return [connection.request(fcgi.params(text), text,
                                       keep=True).status
                    for _ in range(posts)]

        with ThreadPoolExecutor(16) as pool:
            statuses = [status for result in pool.map(client, range(16))
                        for status in result]
        equal(set(statuses), {202}, "all posts of 16 clients are accepted")
        calls = redis.calls() - before
        # Each group also has a call for the list of applications.
        check(calls < len(statuses), "groups merge: fewer script calls than "
              "requests", calls, len(statuses))
        wanted = {"f:yes": "1"}
        for i in range(20):
            wanted |= {f"f{i}:yes": str(32 * posts), f"f{i}:no":
                       str(48 * posts), f"f{i}:variant:v": str(16 * posts)}
        for key in (HOUR, DAY):
            equal({field.decode(): value.decode() for field, value in
                   redis.client.value(key).items()}, wanted,
                  f"{key} is exact")


class Load:
    """Clients that post a body of so many features again and again."""

    def __init__(self, place, features):
        self.text = body(*(metric(f"f{i}", yes=1, no=1)
                           for i in range(features)))
        self.redis = Redis(place)
        self.flagtally = Flagtally(place, self.redis, backstage="all")
        self.statuses = []

    def client(self, posts):
        connection = fcgi.Connection(self.flagtally.address)
        return [connection.request(fcgi.params(self.text), self.text,
                                   keep=True).status for _ in range(posts)]

    def run(self, clients, posts):
        with ThreadPoolExecutor(clients) as pool:
            for result in pool.map(self.client, [posts] * clients):
                self.statuses.extend(result)

    def groups(self, what):
        """A number of flagtally_group_requests."""
        text = fcgi.post(self.flagtally.address, b"", REQUEST_METHOD="GET",
                         REQUEST_URI="/internal-backstage/metrics",
                         SCRIPT_NAME="/internal-backstage/metrics").body
        return int(re.search(r"flagtally_group_requests_%s (\d+)" %
                             re.escape(what), text.decode())[1])

    def check(self):
        equal(set(self.statuses), {202}, "all are accepted")
        equal(yes(self.redis, "f0"), len(self.statuses),
              "and each counts once")


def shared_counters():
    """A group is bounded in distinct counters, not in bodies that have them."""
    with Place() as place:
        load = Load(place, 950)

        def larger():
            load.run(16, 5)
            return load.groups("count") > load.groups('bucket{le="5"}')

        until(larger, "a group of more than 5 bodies with 1,900 counters each",
              60)
        load.check()


def pacing():
    """Under load one group of all clients, instead of two in turns."""
    with Place() as place:
        load = Load(place, 2000)

        def all_at_once():
            before = load.groups("sum"), load.groups("count")
            load.run(6, 10)
            return (load.groups("sum") - before[0] >
                    4.5 * (load.groups("count") - before[1]))

        until(all_at_once, "groups of more than 4.5 of 6 clients", 60)
        load.check()


def large_body():
    """A call holds about 1,000 increments at most."""
    count = 5000
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        text = body(*[metric(f"f{i}", yes=1, variants={"v": i + 1})
                      for i in range(count)])
        redis("CONFIG", "RESETSTAT")
        equal(fcgi.post(flagtally.address, text).status, 202,
              "10,000 counters are accepted")
        # Two counters a feature, and two buckets each.
        check(20 <= redis.calls() <= 24, "in calls of 1,000 increments",
              redis.calls())
        # One more for the application's share of the list.
        check(redis.calls("hset") == 41 and redis.calls("hincrby") == 2,
              "a bucket of a call takes one command", redis.calls("hset"))
        got = redis.client.value(DAY)
        equal(got, {f"f{i}:{name}".encode(): str(value).encode()
                    for i in range(count)
                    for name, value in (("yes", 1), ("variant:v", i + 1))},
              "and all of them exactly")
        equal(redis("ZCARD", "flagtally:{e:a}:seen"), count,
              "all features have been seen")
        one = body(metric("g", variants={f"v{i}": 1 for i in range(3000)}),
                   applications=[application(f"i{i}") for i in range(250)])
        equal(fcgi.post(flagtally.address, one).status, 202,
              "one feature of 3,000 variants is accepted")
        equal(len(redis.client.value(HOUR)), 2 * count + 3001,
              "over several calls")
        equal(redis("HLEN", "flagtally:{e:a}:instances"), 250,
              "with 250 instances")


def by_way_of_the_spool():
    """A large body goes to the spool, and others do not wait behind it."""
    many = [metric(f"f{i}", no=1) for i in range(6000)]
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, spool=place.file("spool.db"))
        redis("CONFIG", "RESETSTAT")
        equal((post(flagtally, *many), redis.calls("hset")), (202, 0),
              "12,000 counters are accepted before Redis has them")
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda i: post(
                flagtally, *(many if i % 8 == 0 else [metric("f0")])),
                range(40)))
        equal(set(statuses), {202}, "small ones beside them, too")
        until(lambda: (yes(redis, "f0"), yes(redis, "f5999", DAY)) == (41, 6),
              "replay")


def large_impact():
    """A metric of many series goes over several calls, too."""
    count = 2500
    key = "flagtally:{e}:impact:"

    def labels(i):
        return {"labels": {"environment": "e", "n": str(i)}}
    samples = [{**labels(i), "value": i} for i in range(count)]
    bars = [{**labels(i), "count": 50, "sum": 0.5, "buckets": [
        {"le": le, "count": min(le + i, 50)} for le in range(48)]} for i in range(30)]
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        redis("CONFIG", "RESETSTAT")
        for _ in range(2):
            equal(post(flagtally, impact=[impact("counter", "c", *samples),
                                          impact("gauge", "g", *samples),
                                          impact("histogram", "h", *bars)]),
                  202, "6,500 fields are accepted")
        # A gauge has its time beside each field: 9,000 a body.
        check(18 <= redis.calls() <= 28, "in calls of 1,000 fields",
              redis.calls())

        def fields(name, times):
            return {f'{{n="{i}"}}': times * i
                    for i in range(count)}, {
                field.decode(): float(value) for field, value in
                redis.client.value(key + name).items()
                if not field.startswith(b"#")}
        equal(*fields("c", 2), "each series of the counter is exact")
        equal(*fields("g", 1), "each series of the gauge has its last value")
        equal({field.decode(): float(value) for field, value in
               redis.client.value(key + "h").items()
               if not field.startswith(b"#")},
              {field: value for i in range(30) for field, value in (
                  (f'_count{{n="{i}"}}', 100),
                  (f'_sum{{n="{i}"}}', 1),
                  (f'_bucket{{n="{i}",le="+Inf"}}', 100),
                  *((f'_bucket{{n="{i}",le="{le}"}}',
                     2 * min(le + i, 50)) for le in range(48)))},
              "each field of the histogram is exact")


def many_applications():
    """They are asked for in several steps, and all count."""
    count = 1300
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, limit_apps=2 * count,
                              redis_timeout="10s")
        text = body(*[metric(yes=i + 1, app=f"a{i}") for i in range(count)])
        for _ in range(2):
            equal(fcgi.post(flagtally.address, text).status, 202,
                  f"{count} applications are accepted")
        equal(redis("ZCARD", "flagtally:apps"), count, "all are known")
        equal([yes(redis, key=f"flagtally:{{e:a{i}}}:2026-11-23")
               for i in range(count)], [2 * (i + 1) for i in range(count)],
              "and each counts exactly")


def forgotten_scripts():
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        for i in range(5):
            redis("SCRIPT", "FLUSH")
            equal(post(flagtally, metric()), 202,
                  f"{i}: accepted after SCRIPT FLUSH")
        equal(yes(redis), 5, "and counted once each")

        def client(_):
            return [post(flagtally, metric()) for _ in range(40)]

        with ThreadPoolExecutor(9) as pool:
            flushing = pool.submit(lambda: [redis("SCRIPT", "FLUSH")
                                            for _ in range(100)])
            statuses = [status for result in pool.map(client, range(8))
                        for status in result]
            flushing.result()
        equal((set(statuses), yes(redis)), ({202}, 325),
              "exact while scripts are flushed all the time")


def restarted():
    """Redis is killed and comes back with what was on its disk."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        equal(post(flagtally, metric()), 202, "accepted")
        redis.kill()
        begin = time.monotonic()
        answer = fcgi.post(flagtally.address, body(metric()))
        took = time.monotonic() - begin
        equal(answer.status, 503, "without Redis it is 503")
        check(took < 2, "within 2 s", took)
        check(int(answer.headers["retry-after"]) > 0, "with Retry-After")
        redis.start()
        equal(post(flagtally, metric()), 202, "accepted when Redis is back")
        equal((yes(redis), yes(redis, key=DAY)), (2, 2), "counted once each")
        check(flagtally.running(), "and the process goes on")


def changed_password():
    with Place() as place:
        redis = Redis(place, requirepass="sesame")
        flagtally = Flagtally(place, redis)
        equal(post(flagtally, metric()), 202, "the password is right")
        redis("CONFIG", "SET", "requirepass", "two")
        redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        equal(post(flagtally, metric()), 503, "the password was changed")
        check("WRONGPASS" in place.read(flagtally.log),
              "and the log says so", place.read(flagtally.log))
        check("sesame" not in place.read(flagtally.log),
              "without the password", place.read(flagtally.log))
        redis("CONFIG", "SET", "requirepass", "sesame")
        until(lambda: post(flagtally, metric("g")) == 202, "access")
        equal((yes(redis), yes(redis, "g")), (1, 1), "nothing counted twice")


def wrong_types():
    """A key of another type: nothing is half applied, the rest counts."""
    keys = [HOUR, DAY, "flagtally:{e:a}:seen"]
    for wrong in keys + ["flagtally:{e:a}:instances",
                         "flagtally:{e:a}:instances:seen"]:
        with Place() as place:
            redis = Redis(place)
            flagtally = Flagtally(place, redis)
            redis("ZADD", "flagtally:apps", 1, "e:a")
            redis("SET", wrong, "x")
            before = redis.client.everything()
            equal(post(flagtally, metric(), applications=[
                application("i")]), 503, f"503 with a string at {wrong}")
            listed = redis.client.everything()
            listed[b"flagtally:apps"] = before[b"flagtally:apps"]
            del listed[b"flagtally:{flagtally:apps}:shares"]
            equal(listed, before, "and nothing has changed")
            equal(post(flagtally, metric(app="b")), 202,
                  "another application counts")
            equal(post(flagtally, metric(), metric(app="b"), applications=[
                application("i")]), 202, "with another one in the body the "
                  "part that can be applied is")
            equal((yes(redis, key="flagtally:{e:b}:2026-11-23"),
                   "are lost" in place.read(flagtally.log)), (2, True),
                  "and the log says that the rest is lost")
            redis("DEL", wrong)
            equal(post(flagtally, metric()), 202, "mended, it counts again")


def overflow():
    near = str(2 ** 63 - 50)
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        post(flagtally, metric("other"))
        redis("HSET", DAY, "f:yes", near)
        before = redis.client.everything()
        for metrics in ([metric("g"), metric(yes=100, no=5)],
                        [metric(yes=100), metric("g")]):
            equal(post(flagtally, *metrics), 503, "an overflow is 503")
            after = redis.client.everything()
            after[b"flagtally:apps"] = before[b"flagtally:apps"]
            equal(after, before, "and nothing has changed")
        check("overflow" in place.read(flagtally.log), "the log says so")
        equal(post(flagtally, metric(yes=49)), 202, "up to 2^63-1 it counts")
        equal(redis("HGET", DAY, "f:yes"), str(2 ** 63 - 1).encode(),
              "exactly")
        redis("HSET", DAY, "f:yes", "rubbish")
        equal(post(flagtally, metric(yes=1)), 503, "no integer is 503")
        equal(yes(redis), 49, "the other bucket is as it was")
        equal(post(flagtally, metric("g", yes=2 ** 53 - 1)), 202,
              "the largest count counts")
        equal(yes(redis, "g"), 2 ** 53 - 1, "exactly")


def other_numbers():
    """Whatever a bucket holds already: added to exactly, or refused whole."""
    near = 2 ** 53
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        for held in (0, 1, -5, near - 3, near - 2, near - 1, near, near + 1,
                     10 ** 16 + 1, 2 ** 63 - 3, -2 ** 63):
            redis("DEL", HOUR, DAY)
            redis("HSET", DAY, "f:yes", held, "g:yes", 7)
            equal(post(flagtally, metric("f", 2), metric("g", 3),
                       metric("new", 4)), 202, f"{held} is added to")
            equal(redis("HMGET", DAY, "f:yes", "g:yes", "new:yes"),
                  [str(held + 2).encode(), b"10", b"4"], "exactly")
        redis("DEL", HOUR, DAY)
        for held in ("", "007", "1e3", "0x10", " 1", "1 ", "1.0", "+5", "1,2",
                     "-0", "nan", "inf", "1\n", "x", str(2 ** 63)):
            redis("HSET", DAY, "f:yes", held, "g:yes", 7)
            equal(post(flagtally, metric("g", 3), metric("f", 2),
                       metric("new", 4)), 503, f"{held!r} is refused")
            equal(redis("HGETALL", DAY), [b"f:yes", held.encode(), b"g:yes",
                                          b"7"], "and nothing has changed")
            equal(redis("EXISTS", HOUR), 0, "not in the hour either")


def impact_faults():
    key = "flagtally:{e}:impact:"
    labels = {"labels": {"environment": "e"}}
    field = ""

    def counter(value, name="c"):
        return impact("counter", name, {**labels, "value": value})
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        equal(post(flagtally, impact=[counter(1)]), 202, "a counter counts")
        redis("HSET", key + "c", field, "rubbish")
        before = redis.client.everything()
        equal(post(flagtally, impact=[counter(2, "d"), counter(2)]), 503,
              "a field that is no number is 503")
        equal(redis.client.everything(), before, "and nothing has changed")
        redis("SET", key + "d", "x")
        equal(post(flagtally, impact=[counter(2, "b"), counter(2, "d")]), 503,
              "a metric's key of another type is 503")
        equal(redis("EXISTS", key + "b"), 0, "and nothing has changed")
        redis("HSET", key + "c", field, "1e308")
        redis("DEL", key + "d")
        equal(post(flagtally, impact=[counter(1e308), counter(3, "d")]), 202,
              "a sum that would be infinite is dropped")
        equal((redis("HGET", key + "c", field),
               redis("HGET", key + "d", field)), (b"1e308", b"3"),
              "and the rest counts")
        for value, text in ((1e300, b"1e+300"), (1e-20, b"1e-20"),
                            (0.1, b"0.1"), (2 ** 53, b"9007199254740992"),
                            (1 / 3, b"0.333333333333333"[:0] +
                             b"0.3333333333333333")):
            post(flagtally, impact=[counter(value, f"n{text.decode()}")])
            name = "n" + "".join(c if c.isalnum() else "_"
                                 for c in text.decode())
            got = redis("HGET", key + name, field)
            equal(float(got), float(value), f"{value} reads back")
            check(len(got) < 20, f"{value} is short", got)


def caps():
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, limit_features=3, limit_apps=2,
                              limit_instances=2, limit_series=4)
        for i in range(5):
            equal(post(flagtally, metric(f"f{i}"), metric("f0")), 202,
                  f"feature {i} is accepted")
        equal({name.decode(): int(value) for name, value in
               redis.client.value(HOUR).items()},
              {"f0:yes": 6, "f1:yes": 1, "f2:yes": 1},
              "features beyond the cap do not count, others go on")
        for app in ("b", "c", "b"):
            equal(post(flagtally, metric(app=app)), 202, f"app {app}")
        equal(set(redis.client.value("flagtally:apps")), {b"e:a", b"e:b"},
              "applications beyond the cap are not listed")
        equal(redis("KEYS", "flagtally:{e:c}*"), [], "nor counted")
        equal(yes(redis, key="flagtally:{e:b}:2026-11-23"), 2,
              "others go on")
        post(flagtally, applications=[application(i) for i in "xyzx"])
        equal(redis.client.value("flagtally:{e:a}:instances").keys(),
              {b"x", b"y"}, "instances beyond the cap are not kept")
        samples = [{"labels": {"environment": "e", "i": str(i)},
                    "value": 1} for i in range(6)]
        for _ in range(2):
            post(flagtally, impact=[impact("counter", "c", *samples)])
        got = redis.client.value("flagtally:{e}:impact:c")
        equal({field: value for field, value in got.items()
               if not field.startswith(b"#")},
              {b'{i="%d"}' % i: b"2" for i in range(4)},
              "series beyond the cap are not made, others go on")


def old_instances():
    """Instances not seen for the retention are pruned."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, retention_daily="10d",
                              limit_instances=2)
        post(flagtally, applications=[application("x"), application("y")])
        redis("ZADD", "flagtally:{e:a}:instances:seen",
              int(time.time()) - 11 * 86400, "x")
        post(flagtally, applications=[application("z")])
        equal((redis.client.value("flagtally:{e:a}:instances").keys(),
               redis.client.value("flagtally:{e:a}:instances:seen").keys()),
              ({b"y", b"z"}, {b"y", b"z"}), "x made room for z")


def for_a_while():
    """What passes is waited for, then 503; and nothing counts by half."""
    faults = {
        "READONLY": (("REPLICAOF", "127.0.0.1", "1"),
                     ("REPLICAOF", "NO", "ONE")),
        "OOM": (("CONFIG", "SET", "maxmemory", "1"),
                ("CONFIG", "SET", "maxmemory", "0")),
        "NOREPLICAS": (("CONFIG", "SET", "min-replicas-to-write", "1"),
                       ("CONFIG", "SET", "min-replicas-to-write", "0")),
    }
    for name, (begin, end) in faults.items():
        with Place() as place:
            redis = Redis(place)
            flagtally = Flagtally(place, redis)
            equal(post(flagtally, metric()), 202, f"before {name}")
            redis(*begin)
            start = time.monotonic()
            status = post(flagtally, metric())
            took = time.monotonic() - start
            equal(status, 503, f"{name} is 503")
            check(took < 2, f"{name}: within 2 s", took)
            redis(*end)
            until(lambda: post(flagtally, metric("g")) == 202, "Redis")
            equal((yes(redis), yes(redis, "g"), yes(redis, "g", DAY)),
                  (1, 1, 1), f"after {name} all is counted once")
        with Place() as place:
            redis = Redis(place)
            flagtally = Flagtally(place, redis)
            post(flagtally, metric())
            redis(*begin)
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(post, flagtally, metric())
                until(lambda: name in place.read(flagtally.log), name)
                redis(*end)
                equal((waiting.result(), yes(redis)), (202, 2),
                      f"a short {name} is outlasted")


def silent_redis():
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        post(flagtally, metric())
        redis.signal(signal.SIGSTOP)
        start = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            statuses = set(pool.map(
                lambda _: post(flagtally, metric("g")), range(8)))
        took = time.monotonic() - start
        redis.signal(signal.SIGCONT)
        equal(statuses, {503}, "a Redis that says nothing is 503")
        check(took < 2, "within 2 s", took)
        until(lambda: post(flagtally, metric()) == 202, "Redis")
        check(yes(redis) == 2, "counted once when it is back", yes(redis))


def lost_replies():
    """The connection is cut after any byte: counted exactly once."""
    with Place() as place:
        redis = Redis(place)
        proxy = Proxy(place, redis.path)
        flagtally = Flagtally(place, proxy.url(), limit_apps=0)
        statuses = []
        posted = 0
        for way, step, end in (("down", 1, 260), ("up", 37, 3600)):
            for limit in range(1, end, step):
                proxy.cut(**{way: limit})
                # So that the log-in is cut as well.
                if limit % 2 == 0:
                    proxy.drop()
                statuses.append(post(flagtally, metric(), metric("g"),
                                     metric(app="b")))
                posted += 1
        check(proxy.cuts > 150, "the connection was cut", proxy.cuts)
        equal(set(statuses), {202}, "every post is accepted")
        equal((yes(redis), yes(redis, "g", DAY),
               yes(redis, key="flagtally:{e:b}:2026-11-23")),
              (posted,) * 3, "and counted exactly once")


def several_writers():
    with Place() as place:
        redis = Redis(place)
        all_of_them = [Flagtally(place, redis, name=f"flagtally{i}")
                       for i in range(3)]
        with ThreadPoolExecutor(12) as pool:
            statuses = list(pool.map(
                lambda i: post(all_of_them[i % 3], metric()), range(300)))
        equal((set(statuses), yes(redis)), ({202}, 300),
              "three processes count into the same keys")


def databases():
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis.url(7))
        equal(post(flagtally, metric()), 202, "another database")
        redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        equal(post(flagtally, metric()), 202, "also after a reconnection")
        other = Client(redis.path)
        equal(redis("KEYS", "*"), [], "nothing is in the first one")
        other("SELECT", 7)
        equal(int(other("HGET", HOUR, "f:yes")), 2, "all is in that one")
        names = other("CLIENT", "LIST").decode()
        check("name=flagtally" in names, "the connection has a name", names)


# How clients keep in step depends on their speed, which a sanitizer changes.
run([merging, shared_counters, *([] if SANITIZER else [pacing]), large_body,
     by_way_of_the_spool, large_impact, many_applications, forgotten_scripts, restarted,
     changed_password, wrong_types, overflow, other_numbers, impact_faults,
     caps, old_instances, for_a_while, silent_redis, lost_replies,
     several_writers, databases])
