"""Impact metrics: whatever is sent, Prometheus can read what Redis holds.

The exposition is printed as flagtally(7) says, by its own example, and read by
Prometheus's own tool, promtool, and by this file.
"""

import json
import os
import random
import re
import subprocess
import time
from urllib.parse import quote

from tests.harness import fcgi
from tests.harness.servers import Flagtally, Place, Redis, find
from tests.harness.tap import check, equal, note, run

SEED = int(os.environ.get("FLAGTALLY_SEED") or
           int.from_bytes(os.urandom(4), "big"))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
KEY = "flagtally:{default}:impact:"


class Reader:
    """A stand-in for a Redis client of Python's, for the manual's example."""

    def __init__(self, redis):
        self.redis = redis

    def smembers(self, key):
        return self.redis("SMEMBERS", key)

    def hgetall(self, key):
        return self.redis.client.value(key)


def recipe():
    """The function impact of flagtally(7)'s example."""
    with open(os.path.join(TOP, "deploy/man/flagtally.7"),
              encoding="utf-8") as file:
        page = file.read()
    text = page[page.index("def impact("):page.index("\nimpact(redis.")]
    names = {"quote": quote}
    # The page is ours.
    exec(text.replace("\\e", "\\"), names)  # pylint: disable=exec-used
    return names["impact"]


def exposition(redis, environment="default"):
    lines = []
    function = recipe()
    function.__globals__["print"] = lines.append
    function(Reader(redis), environment)
    return "\n".join(lines) + "\n" if lines else ""


def promtool(name, text, *details):
    """It exits with 1 for what it cannot read, with 3 for remarks on style."""
    done = subprocess.run(
        [find("promtool"), "check", "metrics"], input=text.encode(),
        capture_output=True, timeout=60, check=False)
    check(done.returncode in (0, 3), name, *details,
          *done.stderr.decode().splitlines()[:5])


def samples(text):
    """{name and labels: value}, {name: type}; each may be there once."""
    values, types = {}, {}
    for line in text.split("\n"):
        if line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name not in types, line
            types[name] = kind
        elif line:
            what, value = line.rsplit(" ", 1)
            assert what not in values, line
            values[what] = float(value)
    return values, types


def histograms(text):
    """Faults in the buckets of all histograms."""
    values, types = samples(text)
    series, faults = {}, []
    for what, value in values.items():
        match = re.fullmatch(
            r'(\w+)_bucket\{(.*?),?le="([^"]*)"\}', what, flags=re.S)
        if match and types.get(match[1]) == "histogram":
            series.setdefault((match[1], match[2]), []).append(
                (float(match[3]), value))
    for (name, labels), buckets in series.items():
        buckets.sort()
        counts = [count for _, count in buckets]
        braces = "{" + labels + "}" if labels else ""
        if counts != sorted(counts):
            faults.append((name, labels, "not cumulative", buckets))
        if buckets[-1][0] != float("inf"):
            faults.append((name, labels, "no +Inf", buckets))
        if values.get(f"{name}_count{braces}") != counts[-1]:
            faults.append((name, labels, "not its count", buckets))
    return faults


def metric(kind, name, *items, **changes):
    return {"type": kind, "name": name, "help": "h", "samples": list(items),
            **changes}


def histogram(buckets, count, total=1, **more):
    return {"count": count, "sum": total, "buckets": [
        {"le": le, "count": number} for le, number in buckets], **more}


def post(flagtally, *metrics):
    return fcgi.post(flagtally.address, json.dumps({
        "applications": [], "metrics": [],
        "impactMetrics": list(metrics)}).encode()).status


class Odd:
    """Metrics that are valid and as odd as can be."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def name(self):
        choice = self.random.choice
        return choice(["m", "h", "m:x", "日本", "__name__", "up", "le", "a b",
                       "_", "h_count", "NaN"]) + choice(
            ["", "", "", "_count", "_sum", "_bucket", "_total", ".count",
             "_count_sum", "_info"])

    def labels(self):
        choice = self.random.choice
        names = ["__name__", "__x", "__", "le", "quantile", "l-e", "a", "a.b",
                 "a-b", "é", "9", "", "job", "instance", "NaN", "l\ne"]
        values = ["", "x", "\n", '"', "\\", "\\n", ",", "}", "{", 5, 0.1,
                  "+Inf", "1", "\0", "\r", "é😀", " ", "# TYPE m gauge",
                  'x"} 1\nm 2']
        return {choice(names): choice(values)
                for _ in range(choice([0, 0, 1, 2, 4]))}

    def number(self):
        return self.random.choice([0, 1, 2, -1, 0.1, -0.0, 1e300, -1e-300,
                                   2 ** 53, 12345.678, 1e-320])

    def bound(self):
        return self.random.choice(["+Inf", 0, 1, 1.0, 2, 5, 10, -1, 0.1, 1e9,
                                   1e-9, 1e300, -1e300, 0.30000000000000004])

    def sample(self, kind):
        choice = self.random.choice
        sample = {} if choice([True, False]) else {"labels": self.labels()}
        if kind != "histogram":
            return {**sample, "value": choice([self.number(), None])}
        return {**sample, **histogram(
            [(self.bound(), choice([0, 1, 2, 3, 10, 2 ** 40]))
             for _ in range(choice([0, 1, 3, 8]))],
            choice([0, 1, 3, 10, 2 ** 41]),
            choice([0, 1.5, -2, 1e300]))}

    def metrics(self):
        choice = self.random.choice
        result = []
        for _ in range(self.random.randrange(1, 5)):
            kind = choice(["counter", "gauge", "histogram", "histogram"])
            result.append(metric(kind, self.name(), *[
                self.sample(kind) for _ in range(choice([0, 1, 2, 4]))]))
        return result


def odd_metrics():
    """Whatever is sent, promtool reads it, and no counter ever falls."""
    note(f"seed {SEED}: repeat with FLAGTALLY_SEED={SEED}")
    for number in range(6):
        odd = Odd(SEED + number)
        with Place() as place:
            redis = Redis(place, appendonly="no")
            flagtally = Flagtally(place, redis)
            before, fallen, faults = {}, [], []
            for _ in range(60):
                status = post(flagtally, *odd.metrics())
                if status != 202:
                    faults.append(status)
                text = exposition(redis)
                after, types = samples(text)
                fallen += [(what, value, after.get(what))
                           for what, value in before.items()
                           if types.get(re.match(r"\w+", what)[0]) == "counter"
                           and not after.get(what, -1) >= value]
                faults += histograms(text)
                before = after
            equal(fallen[:3], [], f"no counter falls, seed {SEED + number}")
            equal(faults[:3], [], "all bodies count, all buckets are cumulative")
            check(len(before) > 100, "there are samples to read", len(before))
            promtool("promtool reads what odd metrics come to", text,
                     f"seed {SEED + number}")


def tool():
    """promtool and this file's own check find what is not valid."""
    for text in ('# TYPE m counter\nm{__name__="x"} 1\n',
                 "# TYPE h histogram\nh_count 1\n# TYPE h_count counter\n"
                 "h_count 1\n"):
        done = subprocess.run(
            [find("promtool"), "check", "metrics"], input=text.encode(),
            capture_output=True, timeout=60, check=False)
        equal(done.returncode, 1, "promtool refuses what is not valid")
    for text in ('h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_count 1\n',
                 'h_bucket{le="1"} 1\nh_count 1\n',
                 'h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_count 1\n'):
        equal(len(histograms("# TYPE h histogram\n" + text)) > 0, True,
              "a histogram that is not valid is found")


def foreign_bounds():
    """Observations go under the next bound of the first report."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)

        def counted():
            fields = redis.client.value(KEY + "h")
            return {field.decode(): value.decode()
                    for field, value in fields.items()
                    if not field.startswith(b"#")}

        def send(*items):
            equal(post(flagtally, metric("histogram", "h", *items)), 202,
                  "a histogram counts")
        send(histogram([(1, 2), (5, 3), ("+Inf", 4)], 4, 2.5))
        equal(counted(), {
            '_bucket{le="1"}': "2", '_bucket{le="5"}': "3",
            '_bucket{le="+Inf"}': "4", "_count": "4", "_sum": "2.5"},
            "the first report has its own bounds")
        send(histogram([(0.5, 1), (2, 3), (10, 7)], 9, 10))
        equal(counted(), {
            '_bucket{le="1"}': "3", '_bucket{le="5"}': "6",
            '_bucket{le="+Inf"}': "13", "_count": "13", "_sum": "12.5"},
            "others go under the next bound, beyond the last under +Inf")
        send(histogram([], 2, 0))
        send(histogram([(1, 1), (5, 1)], 1, 0), histogram([(3, 2)], 2, 0))
        equal(counted(), {
            '_bucket{le="1"}': "4", '_bucket{le="5"}': "9",
            '_bucket{le="+Inf"}': "18", "_count": "18", "_sum": "12.5"},
            "two with different bounds in one body, and one without bounds")
        send({"labels": {"a": "b"}, **histogram([], 2, 0)})
        send({"labels": {"a": "b"}, **histogram([(1, 1)], 1, 0)})
        equal({name: value for name, value in counted().items()
               if "a=" in name}, {
            '_bucket{a="b",le="+Inf"}': "3", '_count{a="b"}': "3",
            '_sum{a="b"}': "0"}, "a series without bounds has +Inf alone")
        big = 2 ** 53 - 1
        for _ in range(3):
            send(histogram([(1, big)], big, 0))
        equal(counted()['_bucket{le="1"}'], str(4 + 3 * big),
              "counts beyond 2^53 are exact")


def from_the_spool():
    """The same when bodies wait and are merged."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, spool=place.file("spool.db"))
        redis.kill()
        for buckets in ([(1, 1), (5, 2)], [(2, 1), (5, 3)], [(9, 3)]):
            equal(post(flagtally, metric("histogram", "h", histogram(
                buckets, 3, 1))), 202, "it goes to the spool")
        redis.start()
        flagtally.ready(lambda: redis("HGET", KEY + "h", "_count") == b"9")
        equal(histograms(exposition(redis)), [],
              "bodies with different bounds are cumulative")


def clashes():
    """A name is another metric's, or that of a histogram's samples."""
    value = {"value": 1}
    bars = histogram([(1, 1)], 1)
    for name, first, second, lost in (
            ("another type", metric("counter", "m", value),
             metric("gauge", "m", value), "m"),
            ("a counter named as a histogram's count",
             metric("histogram", "h", bars),
             metric("counter", "h_count", value), "h_count"),
            ("a gauge named as a histogram's sum",
             metric("histogram", "h", bars),
             metric("gauge", "h.sum", value), "h_sum"),
            ("a histogram named as a histogram's bucket",
             metric("histogram", "h", bars),
             metric("histogram", "h_bucket", bars), "h_bucket"),
            ("a histogram after such a counter",
             metric("counter", "h_bucket", value),
             metric("histogram", "h", bars), "h")):
        for bodies in ([[first], [second]], [[first, second]]):
            with Place() as place:
                redis = Redis(place)
                flagtally = Flagtally(place, redis)
                for body in bodies:
                    equal(post(flagtally, *body), 202, "it is accepted")
                promtool(f"{name} is dropped", exposition(redis))
                equal([redis("SCARD", "flagtally:{default}:impact")],
                      [1], "one of the two counts")
                line = ("another metric has this name or a histogram's: "
                        f"{lost} of flagtally:{{default}} is dropped, and "
                        "0 others since the last such line")
                check(line in place.read(flagtally.log),
                      "and the log names the other", line)
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        equal(post(flagtally, metric("counter", "c", value),
                   metric("counter", "c_count", value),
                   metric("gauge", "_count", value),
                   metric("histogram", "h", bars),
                   metric("gauge", "h_bucket_count", value)), 202,
              "names that clash with none")
        equal(redis("SCARD", "flagtally:{default}:impact"), 5, "all count")
        promtool("and can be read", exposition(redis))


def told():
    """What is dropped is in the log once a minute, with its metric."""
    value = {"value": 1}
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, limit_series=2, limit_labels=2)
        for item, line in (
                (metric("counter", "n1", {"value": -1}, {"value": -2}),
                 "a counter cannot fall: a sample of n1 is dropped, and 0"),
                (metric("counter", "n2", {"value": None}),
                 "a number is null: a sample of n2 is dropped, and 0"),
                (metric("gauge", "n3", {"labels": {"__x": "1", "9": "2"},
                                        "value": 1}),
                 "Prometheus allows no such name: a label of n3 is dropped, "
                 "and 1"),
                (metric("counter", "n4", {"labels": dict.fromkeys("abc", ""),
                                          "value": 1}),
                 "limit_labels is reached: a sample of n4 is dropped, and 0"),
                (metric("histogram", "n5", histogram([(1, 1)], 1)),
                 "limit_series is reached: n5 of flagtally:{default} is "
                 "dropped, and 3"),
                (metric("counter", "n6", value), None),
                (metric("counter", "n7", value),  None)):
            equal(post(flagtally, item), 202, "it is accepted")
            check(line is None or line + " others since the last such line"
                  in place.read(flagtally.log), "and in the log", line)
        equal(place.read(flagtally.log).count("limit_series is reached"), 1,
              "a cap has one line a minute")
        redis("HSET", KEY + "n6", "", "1e308")
        equal(post(flagtally, metric("counter", "n6", {"value": 1e308})), 202,
              "a sum that is too large is accepted")
        line = "a sum is too large for a double: n6 of flagtally:{default}"
        check(line in place.read(flagtally.log), "and in the log", line)


def gauges():
    """Which value is the latest is judged by Redis's own clock."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)

        def send(value):
            equal(post(flagtally, metric("gauge", "g", {"value": value})),
                  202, "a gauge counts")
            return redis("HGET", KEY + "g", "")
        equal(send(0.1), b"0.1", "it has as few digits as it may")
        when = int(redis("HGET", KEY + "g:when", ""))
        check(abs(when / 1000 - time.time()) < 60, "now", when)
        year = 365 * 86400 * 1000
        redis("HSET", KEY + "g:when", "", when + year)
        equal(send(2), b"2", "a clock that was a year ahead freezes nothing")
        seconds, micros = redis("TIME")
        check(int(redis("HGET", KEY + "g:when", "")) <= int(seconds) * 1000 +
              int(micros) // 1000, "and no time is ahead any more")
        redis("HSET", KEY + "g:when", "", "rubbish")
        equal(send(3), b"3", "nor does a time that is none")
        equal(post(flagtally, metric("gauge", "g", {"value": 4},
                                     {"value": 5})), 202, "twice in one body")
        equal(redis("HGET", KEY + "g", ""), b"4", "the first one counts")


run([odd_metrics, tool, foreign_bounds, from_the_spool, clashes, told,
     gauges])
