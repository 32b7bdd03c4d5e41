"""Each limit: what is at it, what is one beyond, and what that is counted as."""

import gzip
import json
import os
import threading
import time
import zlib

from tests.harness import fcgi
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, note, run

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
                          limit_hops=4)
        hops = [{"appName": name, "instanceId": "x"} for name in numbered(9)]
        for member, limit, drop, items in (
                ("strategies", 3, "strategies", numbered(9)),
                ("projects", 2, "projects", numbered(9)),
                ("connectVia", 4, "hops", hops)):
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


# What is refused

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


def budget(threads, memory):
    """What the manual says that a process takes at most."""
    return (threads + 12) * memory + threads * (MEGABYTE + 3 * 128 * 1024) + \
        32 * MEGABYTE


def memory():
    """The worst of what is accepted, on all threads at once, and more."""
    threads, limit = 8, 4 * MEGABYTE
    with Place() as place:
        service = Service(place, threads=threads, limit_memory=limit,
                          limit_ratio=0, redis_timeout="10s",
                          limit_features=0, limit_series=0)
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
        check(len(refused) == len(worst()) - 2,
              "all kinds but tokens and long strings reach limit_memory",
              sorted(refused))
        most = resident_most(service.program)
        bound = budget(threads, limit)
        note(f"{most / 1e6:.0f} MB at most, of {bound / 1e6:.0f} MB")
        check(SANITIZER or most < bound,
              "the process stays within its budget", most, bound)
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


def gathered():
    """With ack = memory what gathers is bounded, and goes out before that."""
    limit = 8 * MEGABYTE
    with Place() as place:
        service = Service(place, threads=4, ack="memory", limit_memory=limit,
                          flush_interval="1h", limit_ratio=0)
        for turn in range(40):
            content = body([metric(appName=f"a{turn}", featureName=f"{i}")
                            for i in range(3000)])
            status = service.post(content).status
            if status != 202:
                check(False, f"body {turn} is taken", status)
        check(service.redis("ZCARD", "flagtally:apps") > 10,
              "much goes to Redis before the interval is over")
        most = resident_most(service.program)
        note(f"{most / 1e6:.0f} MB at most")
        check(SANITIZER or most < budget(4, limit),
              "the process stays within its budget", most)


run([lists, labels, tokens, ratio, members, names, counters, memory,
     gathered])
