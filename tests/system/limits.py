"""Each limit: what is at it, what is one beyond, and what that is counted as."""

import gzip
import json
import os
import threading
import time
import zlib

from tests.harness import bound, fcgi
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
MEGABYTE = 1024 * 1024
STAMP = "2026-11-23T09:30:00Z"
HOUR = "2026-11-23T09"


def metric(**changes):
    return {"featureName": "f", "appName": "a", "environment": "e",
            "timestamp": STAMP, "yes": 1, "no": 0, "variants": {}, **changes}


def application(**changes):
    return {"appName": "a", "environment": "e", "instanceId": "i",
            "interval": 1, "started": STAMP, "strategies": [], **changes}


def impact(*samples, kind="counter", **changes):
    return {"type": kind, "name": "m", "help": "h", "samples": list(samples),
            **changes}


def body(metrics=(), applications=(), **more):
    return json.dumps({"applications": list(applications),
                       "metrics": list(metrics), **more},
                      ensure_ascii=False, separators=(",", ":")).encode()


def numbered(count, text="n"):
    return [f"{text}{i}" for i in range(count)]


class Service:
    def __init__(self, place, **settings):
        self.redis = Redis(place, appendonly="no")
        self.program = Flagtally(place, self.redis, **settings)

    def post(self, content, **changes):
        return fcgi.post(self.program.address, content, **changes)

    def metrics(self):
        page = fcgi.post(self.program.address, b"", REQUEST_METHOD="GET",
                         REQUEST_URI="/internal-backstage/metrics",
                         SCRIPT_NAME="/internal-backstage/metrics",
                         REMOTE_ADDR="127.0.0.1").body.decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in page.splitlines() if not line.startswith("#")}

    def counted(self, name, content, status=202, **changes):
        """Post, and return what has been counted by name, but for zeros."""
        before = self.metrics()
        answer = self.post(content, **changes)
        equal(answer.status, status, f"{name}: {status}")
        after = self.metrics()
        self.answer = answer
        self.limited = {
            key.split('"')[1]: after[key] - before[key] for key in after
            if key.startswith("flagtally_rejected") and
            after[key] != before[key]}
        return {key.split('"')[1]: after[key] - before[key] for key in after
                if key.startswith(("flagtally_dropped", "flagtally_requests"))
                and after[key] != before[key]}

    def registration(self):
        return json.loads(self.redis("HGET", "flagtally:{e:a}:instances",
                                     "i"))


# What is left out

def lists():
    """A registration's lists: the first ones stay, the rest is left out."""
    with Place() as place:
        service = Service(place, limit_strategies=3, limit_projects=2,
                          limit_connect_via=4)
        hops = [{"appName": name, "instanceId": "x"} for name in numbered(9)]
        for member, limit, drop, items in (
                ("strategies", 3, "strategies", numbered(9)),
                ("projects", 2, "projects", numbered(9)),
                ("connectVia", 4, "connect_via", hops)):
            for beyond in (0, 1, 5):
                got = service.counted(
                    f"{limit + beyond} of {limit} {member}",
                    body(applications=[application(**{
                        member: items[:limit + beyond]})]))
                wanted = {"202": 1, drop: beyond} if beyond else {"202": 1}
                equal(got, wanted, f"{member}: {beyond} are left out")
                equal(service.registration()[member], items[:limit],
                      f"{member}: the first {limit} are kept")
        got = service.counted("lists of two applications", body(applications=[
            application(strategies=numbered(4)),
            application(instanceId="j", strategies=numbered(3))]))
        equal(got, {"202": 1, "strategies": 1}, "each has its own limit")
        # What is left out is held against the schema all the same.
        for bad in (5, None, "x" * 5000):
            equal(service.post(body(applications=[application(
                strategies=numbered(5) + [bad])])).status, 400,
                f"{str(bad)[:9]} beyond the limit is a violation still")


def labels():
    with Place() as place:
        service = Service(place, limit_labels=3)
        one = {"labels": dict.fromkeys(numbered(3), "v"), "value": 1}
        four = {"labels": dict.fromkeys(numbered(4), "v"), "value": 10}
        numbers = {"labels": dict.fromkeys(numbered(5), 1), "value": 10}
        equal(service.counted("three labels", body(
            impactMetrics=[impact(one)])), {"202": 1},
            "a sample with as many labels as it may have")
        equal(service.counted("four labels", body(impactMetrics=[
            impact(one, four, numbers)])), {"202": 1, "labels": 2},
            "samples with one label more, and others")
        fields = service.redis.client.value("flagtally:{default}:impact:m")
        equal({name: value for name, value in fields.items()
               if not name.startswith(b"#")},
              {b'{n0="v",n1="v",n2="v"}': b"2"},
              "samples with too many labels do not count, others do")


def tokens():
    with Place() as place:
        service = Service(place, limit_tokens=5)
        for count in (5, 6, 9):
            got = service.counted(f"{count} of 5 tokens", body(
                seenTokens=numbered(count)))
            equal(got.get("tokens", 0), count - 5, "the rest is left out")
        equal(len(service.redis.client.value("flagtally:tokens:seen")), 5,
              "as many as may be are kept")


def labels_together():
    """All labels of a sample, as they are kept, take four names at most."""
    with Place() as place:
        service = Service(place, limit_name=8)
        for last, dropped in (("12", 0), ("123", 1)):
            sample = {"labels": {"a": "x" * 8, "b": "y" * 8, "c": last},
                      "value": 1}
            got = service.counted(f"{30 + len(last)} bytes of labels", body(
                impactMetrics=[impact(sample)]))
            equal(got.get("labels", 0), dropped, "of 32 that there may be")
        equal(service.redis("HLEN", "flagtally:{default}:impact:m"), 3,
              "one sample is kept")


def registrations():
    with Place() as place:
        service = Service(place, limit_registration=300)
        plain = len(json.dumps(json.loads(json.dumps(
            {"appName": "a", "environment": "e", "instanceId": "i",
             "interval": 1, "started": STAMP, "strategies": [""]})),
            separators=(",", ":")))
        for size, dropped in ((300, 0), (301, 1)):
            got = service.counted(f"a registration of {size} bytes", body(
                applications=[application(
                    strategies=["s" * (size - plain)])]))
            equal(got.get("registrations", 0), dropped, "of 300 at most")
            equal(service.redis("HSTRLEN", "flagtally:{e:a}:instances", "i"),
                  300, "the one that fits is kept")


# Caps in Redis: what is new beyond them is left out, what is there goes on

def fields(service, key):
    return {name.decode(): int(value) for name, value in
            service.redis.client.value(f"flagtally:{key}").items()}


def features():
    """Features of a bucket, and instances of an application."""
    with Place() as place:
        service = Service(place, limit_features=3, limit_instances=2)
        equal(service.counted("three features", body(
            [metric(featureName=name) for name in "abc"])), {"202": 1},
            "as many as may be")
        equal(service.counted("two more", body(
            [metric(featureName=name) for name in "adbe"])),
            {"202": 1, "features": 2}, "are left out")
        equal(fields(service, "{e:a}:" + HOUR),
              {"a:yes": 2, "b:yes": 2, "c:yes": 1}, "others go on")
        equal(service.counted("in another hour", body([metric(
            featureName="d", timestamp="2026-11-23T10:30:00Z")])),
            {"202": 1, "features": 1}, "of the same day there is no room")
        for day in ("22", "24"):
            equal(service.counted(f"on the {day}th", body([metric(
                featureName="d", timestamp=f"2026-11-{day}T09:30:00Z")])),
                {"202": 1}, "other days have room of their own")
        for names, wanted in (("ij", {"202": 1}),
                              ("ijkl", {"202": 1, "instances": 2})):
            equal(service.counted(f"instances {names}", body(
                applications=[application(instanceId=name)
                              for name in names])), wanted, "of two")
        equal(set(service.redis("HKEYS", "flagtally:{e:a}:instances")),
              {b"i", b"j"}, "two are kept")


def variants():
    """Once a bucket has so many counters it takes no new variant."""
    with Place() as place:
        service = Service(place, limit_variants=5, limit_features=3)

        def counted(names, yes=1, feature="f"):
            got = service.counted(f"variants {names} of {feature}", body(
                [metric(featureName=feature, yes=yes,
                        variants=dict.fromkeys(names, 1))]))
            return {name: count for name, count in got.items()
                    if name != "202"}
        equal(counted("abcd"), {}, "five counters of five")
        equal(counted("abce"), {"variants": 1}, "one more is left out")
        equal(counted("vwxyz", 0, "g"), {"variants": 5}, "and others")
        equal(counted("", 1, "g"), {}, "yes and no of features go on")
        for key in ("{e:a}:" + HOUR, "{e:a}:" + HOUR[:10]):
            equal(fields(service, key),
                  {"f:yes": 2, "f:variant:a": 2, "f:variant:b": 2,
                   "f:variant:c": 2, "f:variant:d": 1, "g:yes": 1},
                  f"what is there goes on in {key}")
            service.redis("HSET", f"flagtally:{key}", *[
                word for i in range(5) for word in (f"h{i}:yes", 1)])
        equal(counted("", 1, "i"), {"features": 1},
              "two for each feature beyond that are all that there may be")
        equal(counted("a", 1, "f"), {}, "and what is there goes on")
        equal(service.redis("ZSCORE", "flagtally:{e:a}:seen", "i"), None,
              "what does not count was not seen")


def buckets():
    """Late buckets, and such far ahead, take places, of which some are."""
    old = "1971-02-03T0"

    def stamp(when):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
    with Place() as place:
        service = Service(place, limit_out_of_range_buckets=3,
                          retention_hourly="1h",
                          retention_daily="10d")
        now = time.time()

        def counted(when, name):
            got = service.counted(f"{name}: {when}", body(
                [metric(timestamp=when, featureName=name)]))
            return got.get("out_of_range_buckets", 0)
        equal(counted(old + "4:00:00Z", "f"), 0, "an hour and its day")
        equal(counted(old + "5:00:00Z", "g"), 0, "another hour")
        equal(counted(old + "6:00:00Z", "h"), 1, "a third is one too many")
        equal(fields(service, "{e:a}:1971-02-03"),
              {"f:yes": 1, "g:yes": 1, "h:yes": 1}, "in its day it counts")
        equal(counted(old + "4:30:00Z", "f"), 0, "hours that are there go on")
        equal(service.redis("EXISTS", f"flagtally:{{e:a}}:{old}6"), 0,
              "the third is not there")
        equal(counted("9999-01-01T00:00:00Z", "i"), 1, "nor one far ahead")
        equal(service.redis("KEYS", "*9999*"), [], "and not its day")
        for name, when in (("now", now), ("an hour ago", now - 3600),
                           ("tomorrow", now + 80000)):
            equal(counted(stamp(when), "j"), 0, f"{name} is not late")
        equal(counted(stamp(now - 5 * 86400), "k"), 1,
              "late for an hour, but not for a day")
        equal(fields(service, "{e:a}:" + stamp(now - 5 * 86400)[:10]),
              {"k:yes": 1}, "and the day counts")
        late_before(service, counted, stamp(now - 2 * 86400))


def late_before(service, counted, when):
    """A bucket from when it was not late goes on, but does not live on."""
    key = f"flagtally:{{e:a}}:{when[:13]}"
    service.redis("HSET", key, "f:yes", 5)
    service.redis("EXPIRE", key, 100)
    equal(counted(when, "f"), 0, "a bucket that is there")
    equal(service.redis("HGET", key, "f:yes"), b"6", "goes on")
    check(0 < service.redis("TTL", key) <= 100, "for as long as it has")
    late = "flagtally:{e:a}:late"
    check(0 < service.redis("TTL", late) <= 10 * 86400, "the list expires")
    name = service.redis("ZRANGE", late, 0, 0)[0]
    service.redis("ZADD", late, "XX", 1, name)
    equal(counted("9999-01-01T00:00:00Z", "l"), 1,
          "when one is gone there is a place for an hour, not for its day")
    key = "flagtally:{e:a}:9999-01-01"
    near = service.redis("TTL", key + "T00")
    check(0 < near <= 3600, "what is far ahead lives for its retention", near)
    equal(service.redis("EXISTS", key), 0, "as it says")


def seen():
    """The list of features may have ten times limit_features."""
    key = "flagtally:{e:a}:seen"
    with Place() as place:
        service = Service(place, limit_features=2)
        far = body([metric(featureName=name, timestamp="9999-01-01T00:00:00Z")
                    for name in ("x", "y")])
        equal(service.counted("far ahead", far), {"202": 1}, "they count")
        for day in range(1, 26):
            got = service.counted(f"day {day}", body([metric(
                featureName=f"f{day}",
                timestamp=f"2026-10-{day:02}T00:00:00Z")]))
            equal(got, {"202": 1}, "a feature of another day counts")
        equal(set(service.redis("ZRANGE", key, 0, -1)),
              {b"x", b"y"} | {f"f{day}".encode() for day in range(8, 26)},
              "the stalest ones are removed; those far ahead were seen now")
        equal(service.counted("again", body([metric(
            featureName="f1", timestamp="2026-10-25T00:00:00Z")])),
            {"202": 1}, "one that went comes again")
        equal((service.redis("ZCARD", key),
               service.redis("ZSCORE", key, "f8")), (20, None),
              "in the place of another")


def listed():
    """Applications and environments: those not seen for long make room."""
    with Place() as place:
        service = Service(place, limit_apps=2, limit_environments=2,
                          retention_daily="10d")

        def post(name):
            return service.counted(f"application and environment {name}",
                                   body([metric(appName=name)], [application(
                                       appName=name)], impactMetrics=[impact(
                                           {"labels": {"environment": name},
                                            "value": 1}, kind="gauge"),
                    impact({"labels": {"environment": name}, "count": 1,
                            "sum": 1, "buckets": []}, kind="histogram",
                           name="h")]))
        for name in "ab":
            equal(post(name), {"202": 1}, f"{name} is within the caps")
        equal(post("c"), {"202": 1, "applications": 2, "environments": 2},
              "c is beyond them")
        equal(post("a"), {"202": 1}, "a goes on")
        equal(service.redis("KEYS", "flagtally:{*c}*"), [], "c is not there")
        for key, member in (("flagtally:apps", "e:b"),
                            ("flagtally:environments", "b")):
            service.redis("ZADD", key, int(time.time()) - 11 * 86400, member)
        equal(post("c"), {"202": 1}, "b makes room")
        left = {key for key in service.redis("KEYS", "flagtally:{*b}*")
                if b":writer:" not in key}
        lives = {key: service.redis("TTL", key) for key in left}
        check(lives and all(0 < life <= 11 * 86400
                            for life in lives.values()),
              "all that is left of b expires", lives)
        equal((service.redis("ZRANGE", "flagtally:apps", 0, -1),
               service.redis("ZRANGE", "flagtally:environments", 0, -1)),
              ([b"e:a", b"e:c"], [b"a", b"c"]), "the lists have two each")


def told(service, limit):
    """The lines of the log about a cap, from its name on."""
    return [line.split("warning: ")[1] for line in service.program.place.read(
        "flagtally.log").splitlines() if f"warning: {limit} " in line]


def by_environment():
    """Senders of one environment fill their own share, and no other's."""
    with Place() as place:
        tokens = "".join(f"default:{name}.secret\n" for name in
                         ("dev", "prod", "test")) + "*:*.secret\n"
        service = Service(place, auth="tokens", limit_apps=2,
                          limit_environments=3, limit_seen_tokens=2,
                          retention_daily="10d",
                          tokens=place.file("tokens", tokens))

        def counted(environment, names, seen=(), token=None):
            return service.counted(f"{environment}: {names}", body(
                [metric(appName=name, environment=environment)
                 for name in names], seenTokens=list(seen)),
                HTTP_AUTHORIZATION=f"default:{token or environment}.secret"
                if token != "*" else "*:*.secret")
        equal(counted("dev", "abcd", "pqrs"),
              {"202": 1, "applications": 2, "seen_tokens": 2},
              "dev fills its share")
        equal(counted("prod", "ab", "tu"), {"202": 1}, "prod has its own")
        equal(counted("prod", "c", "v"),
              {"202": 1, "applications": 1, "seen_tokens": 1}, "no more")
        equal(counted("dev", "ab", "p"), {"202": 1}, "what is there goes on")
        # The lists are repaired after a member was removed by hand.
        service.redis("ZREM", "flagtally:apps", "dev:a")
        for name in ("x", "y"):
            service.redis("ZADD", "flagtally:apps", 1, "dev:" + name)
        equal(counted("prod", "d"), {"202": 1, "applications": 1},
              "a share is not taken from another environment's")
        equal(service.redis("ZCARD", "flagtally:apps"), 3,
              "members that were not seen for long made room")
        equal(counted("dev", "z"), {"202": 1}, "in their environment, too")
        # Whoever may name any environment cannot invent any number of them.
        for count, name in enumerate(("i", "j", "k")):
            counted(name, "ab", token="*")
        equal(service.redis("ZCARD", "flagtally:apps"), 6,
              "all together have limit_environments shares")
        equal(service.redis("ZCARD", "flagtally:tokens:seen"), 4, "tokens")
        equal(told(service, "limit_apps"), [
            "limit_apps is reached: dev:c is dropped, and 0 others since the "
            "last such line"], "one line a minute tells the first of them")
        equal(len(told(service, "limit_seen_tokens")), 1, "and for tokens")


def drops_in_log():
    """Each cap has its line, with the first name that it hit."""
    with Place() as place:
        service = Service(place, limit_features=2, limit_instances=1,
                          limit_variants=4, limit_out_of_range_buckets=1)
        service.post(body([metric(featureName=name) for name in "abcd"]))
        service.post(body(applications=[application(instanceId=name)
                                        for name in "ijk"]))
        service.post(body([metric(appName="v", variants=dict.fromkeys(
            "pqr", 1))]))
        service.post(body([metric(appName="v", variants=dict.fromkeys(
            "stu", 1))]))
        for year in (1971, 1972, 1973):
            service.post(body([metric(featureName="f%y", timestamp=(
                f"{year}-02-03T04:05:06Z"))]))
        of = {"limit_features": "c of flagtally:{e:a}",
              "limit_instances": "j of flagtally:{e:a}",
              "limit_variants": "variant:s of flagtally:{e:v}",
              "limit_out_of_range_buckets": "f%25y of flagtally:{e:a}"}
        for limit, name in of.items():
            lines = told(service, limit)
            check(len(lines) == 1 and f"reached: {name} is dropped" in lines[0],
                  f"{limit} tells {name}", lines)


def seen_tokens():
    with Place() as place:
        service = Service(place, limit_seen_tokens=3, retention_daily="10d")
        key = "flagtally:tokens:seen"
        equal(service.counted("three tokens", body(seenTokens=list("abc"))),
              {"202": 1}, "are kept")
        equal(service.counted("others", body(seenTokens=list("cde"))),
              {"202": 1, "seen_tokens": 2}, "are not")
        before = service.redis.client.value(key)
        oldest = sorted(before)[0]
        service.redis("ZADD", key, int(time.time()) - 11 * 86400, oldest)
        equal(service.counted("when one is old", body(seenTokens=["d"])),
              {"202": 1}, "another takes its place")
        after = set(service.redis.client.value(key))
        equal((len(after), oldest in after), (3, False), "of three")


def series():
    """Each metric's size is remembered, until it has expired."""
    key = "flagtally:{default}:"

    def samples(*names):
        return body(impactMetrics=[impact(*[
            {"labels": {"l": name}, "value": 1} for name in names])])
    with Place() as place:
        service = Service(place, limit_series=4)
        equal(service.counted("four series", samples(*"abcd")), {"202": 1},
              "as many as may be")
        equal(service.counted("two more", samples(*"abxy")),
              {"202": 1, "series": 2}, "are left out")
        size, day = service.redis("HGET", key + "sizes", "m").split()
        equal((size, int(time.time()) // 86400 - int(day) in (0, 1)),
              (b"4", True), "their number is remembered, and the day")
        service.redis("HDEL", key + "impact:m", '{l="a"}')
        equal(service.counted("one in the place of another", samples("x")),
              {"202": 1, "series": 1}, "not at once")
        equal(service.counted("when the metric was reported again",
                              samples("b")), {"202": 1}, "as it was")
        equal(service.counted("one more", samples("x")), {"202": 1},
              "it counts")
        other = body(impactMetrics=[impact({"labels": {}, "value": 1},
                                           name="other")])
        equal(service.counted("another metric", other),
              {"202": 1, "series": 1}, "has no room")
        # What expires is the key, and the rest is forgotten later.
        service.redis("DEL", key + "impact:m")
        service.redis("HSET", key + "sizes", "m", f"4 {int(day) - 91}")
        equal(service.counted("while it may still be there", other),
              {"202": 1, "series": 1}, "nor now")
        service.redis("HSET", key + "sizes", "m", f"4 {int(day) - 94}")
        equal(service.counted("when the first one has expired", other),
              {"202": 1}, "has its place")
        equal((service.redis("HKEYS", key + "sizes"),
               service.redis("SMEMBERS", key + "impact")),
              ([b"other"], [b"other"]), "which is forgotten")


def writers():
    """What the spool held is remembered for an hour, and not for a month."""
    with Place() as place:
        service = Service(place, ack="spool", flush_interval="10ms",
                          spool=place.file("spool.db"))
        for count in range(1, 6):
            equal(service.post(body([metric()])).status, 202, "counted")
            until(lambda: service.redis("HGET", f"flagtally:{{e:a}}:{HOUR}",
                                        "f:yes") == str(count).encode(),
                  "replay")
        until(lambda: all(service.redis("TTL", key) <= 3600 for key in
                          service.redis("KEYS", "*:writer:*")), "the hour")
        keys = service.redis("KEYS", "*:writer:*")
        check(len(keys) == 1 and all(service.redis("TTL", key) > 3500
                                     for key in keys),
              "the writer of replay is remembered for an hour", keys)


# What is refused

def limited():
    """What is turned away is counted by its limit."""
    content = body([metric()])
    padded = content + b" " * 2 * MEGABYTE
    noise = body([metric()], unknown=[os.urandom(25_000).hex()
                                     for _ in range(2)])
    with Place() as place:
        service = Service(place, limit_body=100_000, limit_counters=50,
                          limit_inflated="2M", limit_ratio=50, limit_depth=9,
                          limit_name=99, limit_cgi_params="4K",
                          limit_memory="1M", receive_timeout="1s")
        many = [metric(featureName=name) for name in numbered(51)]
        table = [
            ("body", 413, b" " * 100_001, {}),
            ("body", 413, b" " * 100_001, {"CONTENT_LENGTH": None}),
            ("inflated", 413, raw_deflate(noise + b" " * 2 * MEGABYTE),
             {"HTTP_CONTENT_ENCODING": "deflate"}),
            ("ratio", 413, packed(padded), {"HTTP_CONTENT_ENCODING": "gzip"}),
            ("counters", 413, body(many), {}),
            ("depth", 400, b'{"x":' + b"[" * 9 + b"]" * 9 + b"}", {}),
            ("name", 400, body([metric(featureName="x" * 100)]), {}),
            ("name", 400, body([metric(variants={"x" * 100: 1})]), {}),
            ("cgi_params", 413, content, {"HTTP_X": "x" * 5000}),
        ]
        for limit, status, sent, changes in table:
            equal(service.counted(limit, sent, status, **changes),
                  {str(status): 1}, f"{limit}: {status}")
            equal(service.limited, {limit: 1}, f"counted as {limit}")
        equal(service.counted("not too much", content), {"202": 1}, "counts")
        equal(service.limited, {}, "and nothing is turned away")
        late(service)


def late(service):
    """A body that does not come in time is counted by that."""
    connection = fcgi.Connection(service.program.address)
    values = fcgi.params(b"x" * 1000)
    connection.send(fcgi.begin() + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(*item) for item in values.items())))
    connection.send(fcgi.record(fcgi.STDIN, b"{"))
    equal(connection.read_answer().status, 503, "too late: 503")
    connection.close()
    equal(service.metrics()['flagtally_rejected_total{limit="time"}'], 1,
          "counted as time")



def packed(text, level=9):
    return gzip.compress(text, level)


def raw_deflate(text):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(text) + packer.flush()


def ratio():
    content = body([metric()])
    kinds = {"gzip": packed, "deflate": lambda text: zlib.compress(text, 9),
             "bare deflate": raw_deflate}
    with Place() as place:
        service = Service(place, limit_ratio=50)
        for name, pack in kinds.items():
            encoding = {"HTTP_CONTENT_ENCODING": name.split()[-1]}
            small = pack(content + b" " * (MEGABYTE - len(content)))
            check(len(small) * 50 < MEGABYTE, "it is far beyond the ratio")
            equal(service.counted(f"{name}: 1 MB", small, **encoding),
                  {"202": 1}, f"{name}: up to 1 MB the ratio is nothing")
            large = pack(content + b" " * (MEGABYTE - len(content) + 1))
            equal(service.counted(f"{name}: a byte more", large, 413,
                                  **encoding), {"413": 1},
                  f"{name}: one byte more is refused")
            check(b"limit_ratio" in service.answer.body,
                  f"{name}: the answer names the limit")
            # Random digits do not pack well.
            noise = os.urandom(300_000).hex().encode()
            honest = body([metric()], unknown=noise.decode()[:60_000])
            honest = honest + b" " * 2 * MEGABYTE
            sent = pack(honest)
            check(len(sent) * 50 < len(honest) or
                  service.post(sent, **encoding).status == 202,
                  f"{name}: within the ratio", len(sent), len(honest))
        within_ratio(service, content)
    with Place() as place:
        service = Service(place, limit_ratio=0, limit_inflated="8M")
        equal(service.post(packed(content + b" " * 7 * MEGABYTE),
                           HTTP_CONTENT_ENCODING="gzip").status, 202,
              "without a limit any ratio will do")


def within_ratio(service, content):
    """What senders send, packed as well as it can be, passes the default."""
    entries = [metric(featureName=f"new-checkout-flow-{i}", yes=i * 7 % 501,
                      no=i * 3 % 59, sdkVersion="unleash-client-node:5.5.0",
                      sdkType="backend", yggdrasilVersion=None,
                      platformName="node", platformVersion="v20.1.0")
               for i in range(12000)]
    text = body(entries)
    small = packed(text)
    note(f"{len(text)} bytes of metrics in {len(small)}: "
         f"1:{len(text) / len(small):.0f}")
    equal(service.post(small, HTTP_CONTENT_ENCODING="gzip").status, 202,
          "12,000 metrics, packed as small as can be, are within 1:50")
    del content


def members():
    """Streams of many members, and what stands after or instead of them."""
    content = body([metric()])
    empty = gzip.compress(b"")
    with Place() as place:
        service = Service(place)
        pieces = [content[i:i + 7] for i in range(0, len(content), 7)]
        table = [
            (202, "a member for every seven bytes",
             b"".join(map(gzip.compress, pieces))),
            (202, "empty members before", empty * 1000 + packed(content)),
            (202, "4 MB of empty members behind",
             packed(content) + empty * 190_000),
            (400, "nothing but empty members", empty * 190_000),
            (400, "garbage behind", packed(content) + b"x"),
            (400, "zeros behind", packed(content) + b"\0" * 20),
            (400, "half a member behind", packed(content) + empty[:10]),
            (400, "cut off", packed(content)[:-1]),
            (400, "cut in its head", packed(content)[:5]),
            (400, "a wrong sum", packed(content)[:-8] + b"\0" * 8),
            (400, "nothing", b""),
        ]
        for status, name, sent in table:
            got = service.counted(name, sent, status,
                                  HTTP_CONTENT_ENCODING="gzip")
            equal(got, {str(status): 1}, f"{name}: counted as {status}")


def names():
    with Place() as place:
        service = Service(place, limit_name=8, limit_depth=6)
        for size, status in ((8, 202), (9, 400)):
            name = "x" * size
            for what, content in (
                    ("feature", body([metric(featureName=name)])),
                    ("application", body([metric(appName=name)])),
                    ("environment", body([metric(environment=name)])),
                    ("variant", body([metric(variants={name: 1})])),
                    ("instance", body(applications=[application(
                        instanceId=name)])),
                    ("strategy", body(applications=[application(
                        strategies=[name])])),
                    ("help", body(impactMetrics=[impact(
                        {"value": 1}, help=name)])),
                    ("label", body(impactMetrics=[impact(
                        {"labels": {name: "v"}, "value": 1})])),
                    ("label's value", body(impactMetrics=[impact(
                        {"labels": {"l": name}, "value": 1})]))):
                equal(service.counted(f"a {what} of {size} bytes", content,
                                      status), {str(status): 1},
                      f"a {what} of {size} bytes is counted as {status}")
        for depth, status in ((5, 202), (6, 400)):
            value = "[" * depth + "]" * depth
            content = body([metric()], unknown=0).replace(
                b'"unknown":0', b'"unknown":' + value.encode())
            equal(service.post(content).status, status,
                  f"{depth + 1} levels with limit_depth 6: {status}")


def counters():
    with Place() as place:
        service = Service(place, limit_counters=50)
        for count, status in ((50, 202), (51, 413)):
            many = [metric(featureName=name) for name in numbered(count)]
            both = [metric(featureName=name, no=1)
                    for name in numbered(count // 2)]
            both += [metric(featureName="last")] * (count % 2)
            for what, content in (
                    ("features", body(many)), ("yes and no", body(both)),
                    ("variants", body([metric(yes=0, variants=dict.fromkeys(
                        numbered(count), 1))])),
                    ("instances", body(applications=[
                        application(instanceId=name)
                        for name in numbered(count)])),
                    ("tokens", body(seenTokens=numbered(count)))):
                equal(service.counted(f"{count} {what}", content, status),
                      {str(status): 1}, f"{count} {what}: {status}")


# Memory

def long_name(letter, size=4000):
    """A name that percent-encoding makes three times as long."""
    return "é" * (size // 2 - 4) + f"{letter:08}"


def hours(count):
    return [f"{1971 + i // 8064:04}-{i // 672 % 12 + 1:02}-"
            f"{i // 24 % 28 + 1:02}T{i % 24:02}:00:00Z" for i in range(count)]


def worst():
    """Bodies that are made to take memory, each in a way of its own.

    For each a number that is too large, and the body of such a number.
    """
    name = long_name(1)

    def strings(count, size=3000):
        return [long_name(i, size) for i in range(count)]

    def samples(number, **members):
        return [{"labels": dict.fromkeys(numbered(40), text), **members}
                for text in strings(number, 800)]
    return {
        "variants": (60_000, lambda n: body([metric(
            variants=dict.fromkeys(numbered(n, ""), 1))])),
        "features": (40_000, lambda n: body(
            [metric(featureName=f"{i}") for i in range(n)])),
        "long names": (1000, lambda n: body(
            [metric(featureName=text) for text in strings(n)])),
        "keys that repeat long names": (200, lambda n: body([metric(
            appName=name, environment=name, timestamp=hour)
            for hour in hours(n)])),
        "applications": (200, lambda n: body(
            [metric(appName=text) for text in strings(n)])),
        "samples": (60_000, lambda n: body(impactMetrics=[impact(
            *[{"value": 1}] * n, kind="gauge")])),
        "labels": (200, lambda n: body(impactMetrics=[impact(
            *samples(n, value=1))])),
        "buckets with long labels": (200, lambda n: body(impactMetrics=[
            impact(*samples(3, count=1, sum=1, buckets=[
                {"le": i, "count": 1} for i in range(n)]),
                kind="histogram")])),
        "registrations": (50, lambda n: body(applications=[application(
            instanceId=f"i{i}", strategies=strings(50)) for i in range(n)])),
        "a registration that grows as JSON": (240, lambda n: body(
            applications=[application(strategies=["\x01" * 4000] * n)])),
        "help": (1500, lambda n: body(impactMetrics=[impact(
            {"value": 1}, name=f"m{i}", help=text)
            for i, text in enumerate(strings(n))])),
        "tokens": (9000, lambda n: body(seenTokens=numbered(n))),
        "long strings": (3, lambda n: body(unknown=["\u0001" * 60_000] * n)),
    }


def resident_most(program):
    with open(f"/proc/{program.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM")


def memory():
    """The worst of what is accepted, on all threads at once, and more."""
    threads, limit = 8, 4 * MEGABYTE
    with Place() as place:
        service = Service(place, threads=threads, limit_memory=limit,
                          limit_ratio=0, redis_timeout="10s",
                          limit_features=0, limit_variants=0,
                          limit_out_of_range_buckets=0, limit_series=0,
                          limit_name="16K", limit_registration=0,
                          spool=place.file("spool.db"))
        refused = set()
        for name, (count, make) in worst().items():
            began = time.monotonic()
            found = all_at_once(service, make(count), threads)
            refused |= {name} if found == {413} else set()
            while 413 in found and count > 1:
                count = count * 3 // 5
                found = all_at_once(service, make(count), threads)
            check(202 in found and found <= {202, 503},
                  f"{name}: {count} are accepted by all threads at once",
                  found)
            note(f"{name}: {resident_most(service.program) / 1e6:.0f} MB, "
                 f"{time.monotonic() - began:.1f} s")
        # A sanitizer's allocator has other sizes.
        check(len(refused) >= (6 if SANITIZER else 8),
              "most kinds reach limit_memory",
              sorted(refused))
        most = resident_most(service.program)
        budget = bound.process(threads, limit)
        note(f"{most / 1e6:.0f} MB at most, of {budget / 1e6:.0f} MB")
        check(SANITIZER or most < budget,
              "the process stays within its budget", most, budget)
        equal(service.counted("after all of them", body([metric()])),
              {"202": 1}, "and serves on")
        edge(service, limit)


def all_at_once(service, content, threads):
    small = gzip.compress(content, 1)
    found = set()

    def send():
        found.add(service.post(small, HTTP_CONTENT_ENCODING="gzip").status)
    senders = [threading.Thread(target=send) for _ in range(threads)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return found


def edge(service, limit):
    """The limit is one: below it 202, beyond it 413, and no way back."""
    low, high = 1, 30_000
    while high - low > 500:
        middle = (low + high) // 2
        status = service.post(gzip.compress(body([metric(
            appName="edge", featureName=f"{i}") for i in range(middle)]), 1),
            HTTP_CONTENT_ENCODING="gzip").status
        if status == 202:
            low = middle
        elif status == 413:
            high = middle
        else:
            check(False, f"{middle} features are answered", status)
            return
    note(f"limit_memory = {limit} takes {low} features")
    check(2000 < low < 50_000, "limit_memory lies where one expects it", low)
    got = service.counted("one beyond limit_memory", gzip.compress(body([
        metric(appName="edge", featureName=f"{i}") for i in range(high)])),
        413, HTTP_CONTENT_ENCODING="gzip")
    equal(got, {"413": 1}, "beyond limit_memory: counted as 413")
    check(b"limit_memory" in service.answer.body, "the answer names the limit",
          service.answer.body)


run([lists, labels, tokens, labels_together, registrations, features, variants,
     buckets, seen, listed, by_environment, drops_in_log, seen_tokens, series,
     writers, limited, ratio, members, names, counters, memory])
