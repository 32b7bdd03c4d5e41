"""--report: what a person reads from the command line, and what it costs."""

import csv
import io
import json
import os
import pty
import random
import resource
import subprocess
import time
from urllib.parse import quote, urlencode

from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.reports import BOUGHT, Counted, EDGE, LOAD, SECONDS, day, hour, \
    metric, registration
from tests.harness.servers import NO_SPOOL, PROGRAM, Flagtally, Place, Redis, \
    environment
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SEED = int(os.environ.get("FLAGTALLY_SEED") or random.randrange(1 << 32))
ODD = 'a/b:c%7D "x"\u202e\x1b[31m=1\\'


class Story(Counted):
    """A Redis with counts in it, and the command that reads them."""

    def report(self, *words, redis=None, **variables):
        settings = {"redis": (redis or self.redis).url(), "spool": NO_SPOOL,
                    **self.settings}
        return subprocess.run(
            [os.path.abspath(PROGRAM), "--report", *words],
            env={**environment(**settings), **variables}, timeout=60,
            capture_output=True, text=True, check=False)

    def json(self, *words):
        done = self.report(*words, "--format", "json")
        equal((done.returncode, done.stderr), (0, ""),
              f"--report {' '.join(words)} succeeds")
        return json.loads(done.stdout)

    def rows(self, *words):
        return list(csv.DictReader(io.StringIO(
            self.report(*words, "--format", "csv").stdout)))


def applications():
    with Place() as place:
        story = Story(place)
        story.post([metric("a", yes=7, no=3), metric("b", days=2, yes=5),
                    metric("a", app="till", env="dev", yes=2),
                    metric("old", days=20)])
        found = story.json()
        equal([(one["environment"], one["application"], one["yes"],
                one["no"]) for one in found["applications"]],
              [("dev", "till", 2, 0), ("production", "shop", 12, 3)],
              "all applications with the evaluations of seven days")
        equal(found["applications"][1]["evaluations"],
              [0, 0, 0, 0, 5, 0, 10], "by day, the latest last")
        equal((found["by"], found["since"], found["until"]),
              ("day", day(6), day()), "it says which days")
        equal([one["application"] for one in
               story.json("dev")["applications"]], ["till"],
              "one environment alone")
        equal(story.json("nowhere")["applications"], [],
              "an unknown environment has none")
        table = story.report().stdout.splitlines()
        equal(len(table), 3, "a line for each application, and a heading")
        equal(len({len(line) for line in table[1:]}), 1,
              "the columns are aligned")


def features():
    with Place() as place:
        story = Story(place)
        story.post([metric("few", yes=1, no=3),
                    metric("many", yes=40, no=10, variants={"blue": 8}),
                    metric("many", days=1, yes=50, variants={"red": 2}),
                    metric("gone", days=30, yes=9)],
                   [registration("i1", "unleash-client-node:6.1.0"),
                    registration("i2", "unleash-client-node:6.1.0"),
                    registration("i3")])
        found = story.json("production/shop")
        equal([one["feature"] for one in found["features"]],
              ["many", "few", "gone"],
              "features by evaluations; the unused one last")
        many, few, gone = found["features"]
        equal((many["yes"], many["no"]),
              ([0, 0, 0, 0, 0, 50, 40], [0, 0, 0, 0, 0, 0, 10]),
              "yes and no by day")
        equal(many["variants"], {"blue": [0, 0, 0, 0, 0, 0, 8],
                                 "red": [0, 0, 0, 0, 0, 2, 0]},
              "variants by day")
        equal(sum(gone["yes"]), 0, "the old one has no counts in the span")
        check(0 < gone["seen"] < few["seen"], "but when it was last seen",
              gone, few)
        equal(found["sdks"], {"": 1, "unleash-client-node:6.1.0": 2},
              "instances by SDK")
        month = story.json("production/shop", "--since", "31d")
        equal([sum(one["yes"]) for one in month["features"]
               if one["feature"] == "gone"], [9],
              "a longer span has its counts")
        exact = story.json("production/shop", "--since", day(1), "--until",
                           day(1))
        equal([(one["feature"], one["yes"]) for one in exact["features"]
               if sum(one["yes"])], [("many", [50])],
              "--since and --until name days that are included")


def hours():
    with Place() as place:
        story = Story(place)
        story.post([metric("f", hours=1, yes=3), metric("f", yes=4, no=1)])
        found = story.json("production/shop/f", "--by", "hour", "--since",
                           hour(2))
        equal((found["since"], found["until"]), (hour(2), hour()),
              "it says which hours")
        equal((found["features"][0]["yes"], found["features"][0]["no"]),
              ([0, 3, 4], [0, 0, 1]), "a feature by hour")
        lines = story.report("production/shop/f", "--by", "hour", "--since",
                             "2h").stdout.splitlines()
        equal([line.split()[:4] for line in lines[1:]],
              [[hour(2), "0", "0", "-"], [hour(1), "3", "0", "100.0%"],
               [hour(), "4", "1", "80.0%"]], "as a table, a line an hour")


def spreadsheet():
    with Place() as place:
        story = Story(place)
        story.post([metric(ODD, app="=cmd", yes=3, no=2,
                           variants={"+v,": 1})])
        target = "production/" + quote("=cmd", safe="")
        rows = list(csv.DictReader(io.StringIO(
            story.report(target, "--format", "csv").stdout)))
        equal([(row["application"], row["feature"], row["counter"],
                row["variant"], row["period"], row["count"])
               for row in rows],
              [("'=cmd", ODD, "yes", "", day(), "3"),
               ("'=cmd", ODD, "no", "", day(), "2"),
               ("'=cmd", ODD, "variant", "'+v,", day(), "1")],
              "a row for each counter; no name is a formula")
        equal(story.json(target)["features"][0]["feature"], ODD,
              "JSON has the name as it is")
        table = story.report(target).stdout
        check("\x1b" not in table and "\u202e" not in table and
              "\\x1b[31m" in table, "a table escapes what a terminal obeys",
              table)
        equal(story.json(target + "/" + quote(ODD, safe=""))["features"][0]
              ["yes"][-1], 3, "a name is percent-encoded on the command line")


def stale():
    with Place() as place:
        story = Story(place)
        story.post([metric("used"), metric("older", days=50),
                    metric("old", days=40),
                    metric("old", app="till", env="dev", days=45)])
        found = story.json("--stale", "30d")["stale"]
        equal([(one["environment"], one["application"], one["feature"])
               for one in found],
              [("production", "shop", "older"), ("dev", "till", "old"),
               ("production", "shop", "old")],
              "features not evaluated for 30 days, the longest unused first")
        equal([one["feature"] for one in
               story.json("production/shop", "--stale", "45d")["stale"]],
              ["older"], "of one application, and by age")
        equal(story.report("--stale", "30d").stdout.split("\n")[1].split()
              [:3], ["production", "shop", "older"], "as a table")
        equal(story.report("--stale", "30d", "--format", "csv").stdout
              .splitlines()[0], "environment,application,feature,last_seen",
              "as CSV")


def all_of(terminal):
    """What was written to a terminal whose other end is closed."""
    text = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            piece = b""
        if not piece:
            os.close(terminal)
            return text.decode()
        text += piece


def terminal():
    """Bars and sparklines are for terminals without NO_COLOR alone."""
    with Place() as place:
        story = Story(place)
        story.post([metric("f", yes=3, no=1)])

        def shown(**variables):
            master, slave = pty.openpty()
            subprocess.run(
                [os.path.abspath(PROGRAM), "--report", "production/shop"],
                env={**environment(redis=story.redis.url(), spool=NO_SPOOL),
                     **variables}, stdout=slave, check=True, timeout=60)
            os.close(slave)
            return all_of(master)

        text = shown(NO_COLOR="")
        check("\u2588" * 7 in text and "75.0%" in text,
              "a terminal shows the share as a bar", text)
        check("\u2588" not in shown(NO_COLOR="1"), "not with NO_COLOR")
        check("\u2588" not in story.report("production/shop").stdout,
              "nor in a pipe")


def wrong():
    with Place() as place:
        story = Story(place)
        for words, part in ((["--since", "soon"], "--since soon is no day"),
                            (["--until", "2026-13-01"], "--until"),
                            (["--by", "week"], "--by week is not hour or day"),
                            (["--format", "xml"], "is not table, csv or json"),
                            (["--stale", "x"], "--stale x is no age"),
                            (["--since", "1d", "--until", "3d"],
                             "is after --until"),
                            (["--since", "9000d"], "is too long before"),
                            (["a/b/c/d"], "more than ENV/APP/FEATURE"),
                            (["a/%4"], "two hexadecimal digits"),
                            (["--show", "all"], "--show all is not counts"),
                            (["--show", "edges", "a"], "more than no name"),
                            (["--show", "sdks", "a/b/c"], "more than ENV/NAME"),
                            (["--stale", "1d", "--show", "sdks"],
                             "does not go with"),
                            (["--top", "0"], "--top 0 is no number above 0")):
            done = story.report(*words)
            check(done.returncode == 64 and part in done.stderr and
                  done.stdout == "", f"--report {' '.join(words)} is an error",
                  done)
        equal(story.report("a", "b").returncode, 64, "one target at most")
        story.post([metric("f")])
        story.redis("RENAME", f"flagtally:{{production:shop}}:{day()}", "x")
        story.redis("SET", f"flagtally:{{production:shop}}:{day()}", "x")
        done = story.report("production/shop")
        check(done.returncode == 1 and "WRONGTYPE" in done.stderr and
              done.stdout == "", "a key of another type is an error", done)
        story.redis.kill()
        done = story.report()
        check(done.returncode == 75 and done.stdout == "" and
              done.stderr.startswith("flagtally: connecting: "),
              "without Redis the status is 75", done)


def cut():
    """Redis goes away in the middle: nothing that looks whole."""
    with Place() as place:
        story = Story(place)
        proxy = Proxy(place, story.redis.path)
        story.post([metric(f"feature-{i}", days=i % 7) for i in range(700)])
        whole = story.report("production/shop", "--format", "csv").stdout
        size = 0
        for limit in (1, 40, 500, 5000, 20000):
            proxy.cut(down=limit, stay=True)
            done = story.report("production/shop", "--format", "csv",
                                redis=proxy)
            size += proxy.cuts
            proxy.mend()
            check(done.returncode == 75 and done.stdout == "" and done.stderr,
                  f"cut off after {limit} bytes there is a message alone",
                  done)
        check(size > 0, "the connection was cut")
        equal(story.report("production/shop", "--format", "csv",
                           redis=proxy).stdout, whole, "then it works again")


def cost():
    """Round trips and time for 90 days and 10,000 features."""
    with Place() as place:
        story = Story(place)
        proxy = Proxy(place, story.redis.path)
        key = "flagtally:{production:shop}:"
        for number in range(90):
            words = []
            for feature in range(1000):
                words += [f"feature-{feature}:yes", feature + number,
                          f"feature-{feature}:no", 1]
            story.redis("HSET", key + day(number), *words)
        proxy.far()
        before = proxy.trips
        began = time.monotonic()
        done = story.report("production/shop", "--since", "89d", "--format",
                            "json", redis=proxy)
        took = time.monotonic() - began
        found = json.loads(done.stdout)
        equal(len(found["features"]), 1000, "all features")
        equal(sum(sum(one["no"]) for one in found["features"]), 90000,
              "every count once")
        trips = proxy.trips - before
        equal(trips, 3, "two round trips, and one to select the database")
        note(f"90 days, 1,000 features: {took:.2f} s, {trips} round trips")
        equal(story.redis.calls("hgetall"), 91,
              "one command for each day, and one for the instances")
        for number in range(250):
            story.redis("ZADD", "flagtally:apps", 1, f"e:a{number}")
        before = proxy.trips
        story.report("--since", "6d", redis=proxy)
        equal(proxy.trips - before, 2 + (251 * 7 + 51) // 52,
              "52 commands in each, also of many applications")
        words = []
        for feature in range(10000):
            words += [f"f{feature}:yes", 1, f"f{feature}:variant:v", 1]
        for number in range(50):
            story.redis("HSET", key + day(100 + number), *words)
        done = story.report("production/shop", "--since", "3600d")
        check(done.returncode == 1 and "too large" in done.stderr and
              done.stdout == "", "more than 64 MB is an error", done.stderr)


def trips():
    """Round trips of each task, on the command line and by the page."""
    with Place() as place:
        story = Story(place)
        story.post([metric("f")], [registration("i", "a:1")], [LOAD])
        proxy = Proxy(place, story.redis.path)
        proxy.far()
        page = Flagtally(place, proxy, name="far")
        one = {"env": "production", "app": "shop"}
        for task, words, query, wanted in (
                ("the ten flags with most evaluations, a week by day",
                 ["production/shop", "--top", "10"],
                 {**one, "top": 10, "periods": 7}, (1, 2)),
                ("stale flags of 30 days",
                 ["production/shop", "--stale", "30d"],
                 {**one, "show": "stale"}, (1, 1)),
                ("a flag by hour", ["production/shop/f", "--by", "hour"],
                 {**one, "feature": "f", "by": "hour", "periods": 48}, (1, 1)),
                ("a month as CSV",
                 ["production/shop", "--since", "30d", "--format", "csv"],
                 {**one, "periods": 31, "format": "csv"}, (1, 1)),
                ("a percentile of a metric",
                 ["--show", "impact", "default/load"],
                 {"show": "impact", "env": "default", "metric": "load"},
                 (1, 1)),
                ("old SDKs", ["--below", "2"], {"show": "sdks", "below": "2"},
                 (2, 2)),
                ("an application and 90 days",
                 ["production/shop", "--since", "89d"], one, (2, 3))):
            before = proxy.trips
            done = story.report(*words, redis=proxy)
            between = proxy.trips
            answer = fcgi.post(page.address, b"", **{
                "REQUEST_METHOD": "GET", "REQUEST_URI": "/flagtally",
                "REMOTE_ADDR": "127.0.0.1", "QUERY_STRING": urlencode(query)})
            equal((done.returncode, answer.status), (0, 200), task)
            equal((between - before - 1, proxy.trips - between - 1), wanted,
                  "so many round trips, and one to select the database")


NODE, JAVA = "unleash-client-node", "unleash-client-java"


def sdks():
    """Who still runs an SDK below a version?"""
    with Place() as place:
        story = Story(place)
        versions = ["6.10.0", "6.9.0", "6.10.0-beta.2", "6.10.0-beta.10",
                    "5.4.1", "5.4.1"]
        story.post([metric("f")], [
            *(registration(f"i{i}", f"{NODE}:{version}")
              for i, version in enumerate(versions)),
            registration("j", JAVA + ":9.2.0"), registration("none")])
        story.post([metric("f", app="till", env="dev")], [
            registration("k", NODE + ":5.4.1", app="till", env="dev")])
        found = story.json("--show", "sdks")["sdks"]
        equal([(one["sdk"], one["environment"], one["instances"])
               for one in found],
              [("", "production", 1), (JAVA + ":9.2.0", "production", 1),
               (NODE + ":5.4.1", "dev", 1), (NODE + ":5.4.1", "production", 2),
               (NODE + ":6.9.0", "production", 1),
               (NODE + ":6.10.0-beta.2", "production", 1),
               (NODE + ":6.10.0-beta.10", "production", 1),
               (NODE + ":6.10.0", "production", 1)],
              "instances by SDK; numbers and pre-releases are in order")
        check(all(abs(one["registered"] - time.time()) < 60 for one in found),
              "and when one registered last", found)

        def below(version, *target):
            return [(one["application"], one["sdk"], one["instances"])
                    for one in story.json("--below", version, *target)["sdks"]]

        equal(below(NODE + ":6.9.0"), [("till", NODE + ":5.4.1", 1),
                                       ("shop", NODE + ":5.4.1", 2)],
              "those below a version of one SDK")
        equal(below(NODE + ":6.10.0", "production/shop"),
              [("shop", NODE + ":" + version, count) for version, count in
               (("5.4.1", 2), ("6.9.0", 1), ("6.10.0-beta.2", 1),
                ("6.10.0-beta.10", 1))], "of one application")
        equal(len(below("10")), 7, "of any SDK; an unknown version is none")
        equal(below("5.4.1"), [], "the version itself is not below it")
        rows = story.rows("--below", "6", "dev")
        equal([(row["environment"], row["sdk"], row["instances"])
               for row in rows], [("dev", NODE + ":5.4.1", "1")], "as CSV")
        table = story.report("--show", "sdks").stdout.splitlines()
        equal((len(table), table[1].split()[0], len({line.index("2026")
              if "2026" in line else 0 for line in table[1:]})), (9, "-", 1),
              "as an aligned table")


# Register instances, each with a version of its own.
REGISTER = """
for i = 1, tonumber(ARGV[1]) do
	redis.call('HSET', KEYS[1], i, '{"sdkVersion":"sdk-of-many:' .. i .. '"}')
	redis.call('ZADD', KEYS[2], i, i)
end
"""


def many_sdks():
    """Time grows with the instances, not with these times their versions."""
    with Place() as place:
        story = Story(place)
        story.redis("ZADD", "flagtally:apps", 1, "e:a")
        key = "flagtally:{e:a}:instances"
        took = []
        for count in (1000, 40000):
            story.redis("EVAL", REGISTER, 2, key, key + ":seen", count)
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            rows = story.rows("--show", "sdks")
            took.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
                        - before)
            equal((len(rows), {row["instances"] for row in rows}),
                  (count, {"1"}), "each version is there once")
        note(f"CPU seconds of 1,000 and 40,000 instances: {took}")
        check(took[1] < 200 * max(took[0], 0.01), "40 times as many, with "
              "sorting, are not 1,600 times the work", took)


def impact():
    """Counters, gauges, and percentiles of a histogram."""
    with Place() as place:
        story = Story(place)
        story.post(impact=[SECONDS, BOUGHT, LOAD])
        found = {one["metric"]: one for one in
                 story.json("--show", "impact")["impact"]}
        equal(sorted(found), ["bought_total", "load", "request_seconds"],
              "all metrics")
        equal((found["bought_total"]["type"],
               found["bought_total"]["series"],
               found["load"]["series"]),
              ("counter", [{"labels": {"plan": "pro"}, "value": 7}],
               [{"labels": {}, "value": 0.25}]), "values with their labels")
        series = found["request_seconds"]["series"][0]
        equal((series["labels"], series["count"], series["sum"],
               [(one["le"], one["count"]) for one in series["buckets"]]),
              ({"route": 'a"b\\'}, 100, 42.5, [("0.1", 50), ("1", 95),
                                               ("10", 99), ("+Inf", 100)]),
              "a histogram with its buckets")
        # As histogram_quantile: at rank 50, 95 and 99 of 100.
        equal([round(series[name], 9) for name in ("p50", "p95", "p99")],
              [0.1, 1, 10], "and percentiles")
        story.post(impact=[{**SECONDS, "samples": [{
            **SECONDS["samples"][0], "labels": {}, "count": 10, "sum": 30,
            "buckets": [{"le": 1, "count": 5}, {"le": 5, "count": 6},
                        {"le": "+Inf", "count": 10}]}]}])
        row = story.rows("--show", "impact", "default/request_seconds")[0]
        equal((row["labels"], row["count"], row["sum"], row["p50"],
               row["p95"]), ("", "10", "30", "1", "5"),
              "beyond the last bound it is that bound")
        equal(len(story.rows("--show", "impact", "default")), 4,
              "of an environment")
        equal(story.rows("--show", "impact", "nowhere"), [], "of no other")
        table = story.report("--show", "impact").stdout.splitlines()
        equal([line.split()[0] for line in table[1:]],
              ["bought_total", "load", "request_seconds", "request_seconds"],
              "as a table")
        equal(table[4].split()[-4:], ["100", "0.1", "1", "10"],
              "with count and percentiles")


def edges():
    with Place() as place:
        story = Story(place)
        for number in range(2):
            answer = fcgi.post(story.program.address, json.dumps(
                {**EDGE, "identifier": f"01:EDGE/{number}",
                 "received": 4000000000}).encode(),
                REQUEST_URI="/api/client/metrics/edge")
            equal(answer.status, 202, "data of an Edge is accepted")
        until(lambda: len(story.json("--show", "edges")["edges"]) == 2,
              "both to be in Redis")
        found = story.json("--show", "edges")["edges"]
        check(all(one["edgeVersion"] == "20.1.0" and
                  one["traffic"] == {"get": {}} for one in found),
              "JSON has all that they report", found)
        check(all(row["last_report"] < "2090" for row in
                  story.rows("--show", "edges")),
              "the time is Redis's, and no member of the same name")
        equal([(row["identifier"], row["name"], row["version"], row["region"])
               for row in story.rows("--show", "edges")],
              [(f"01:EDGE/{number}", "eu-edge", "20.1.0", "")
               for number in range(2)], "CSV has a row for each")
        equal(story.report("--show", "edges").stdout.splitlines()[2].split()
              [:3], ["01:EDGE/1", "eu-edge", "20.1.0"], "as a table")
        story.redis("HSET", "flagtally:edges", "x", "[1]", "y", "no JSON")
        equal(len(story.json("--show", "edges")["edges"]), 2,
              "what is no object is left out")


def queued():
    """What waits in the spool is seen with every format."""
    with Place() as place:
        story = Story(place, "unix:///nowhere", spool=place.file("spool.db"))
        story.post([metric("f", yes=3)])
        story.redis("ZADD", "flagtally:apps", int(time.time()),
                    "production:shop")
        found = json.loads(story.report("production/shop", "--format", "json")
                           .stdout)["queued"]
        check(found["bytes"] > 0 and abs(found["since"] - time.time()) < 60,
              "JSON says how much and since when", found)
        line = "Not complete: counts accepted since "
        for words in ([], ["production/shop"], ["--stale", "1d"],
                      ["--show", "sdks"], ["--show", "impact"]):
            check(line in story.report(*words).stdout,
                  f"the table of {words} says so")
        done = story.report("--format", "csv")
        check(line in done.stderr and line not in done.stdout,
              "CSV stays CSV, and standard error says so", done)
        health = story.json("--show", "health")
        equal((health["redis"]["reading"], health["redis"]["counting"],
               health["spool"]["state"], health["spool"]["queued"]),
              ("ok", "down", "ok", 1), "so does the health")
        equal(set(health["dropped"].values()), {0}, "nothing was dropped")
        check(["spool", "queued", "1"] in [list(row.values()) for row in
                                           story.rows("--show", "health")],
              "as CSV")
        check("queued_since" in story.report("--show", "health").stdout,
              "as a table")
        def files():
            return {name: os.stat(place.file(name)).st_ino
                    for name in os.listdir(place.path)}

        before = files()
        story.report()
        equal(files(), before, "a report creates and replaces nothing")
        story.redis.kill()
        done = story.report("--show", "health")
        check(done.returncode == 0 and "connecting" in done.stdout,
              "health without Redis says so", done)
        elsewhere = story.report("--show", "health", FLAGTALLY_SPOOL=
                                 place.file("none.db"))
        check("unknown" in elsewhere.stdout and
              not os.path.exists(place.file("none.db")),
              "where no spool is none is made", elsewhere.stdout)


def top():
    with Place() as place:
        story = Story(place)
        story.post([metric(f"f{number:02}", days=number % 7, yes=number + 1)
                    for number in range(30)])
        found = story.json("production/shop", "--top", "10")["features"]
        equal([(one["feature"], sum(one["yes"])) for one in found],
              [(f"f{number:02}", number + 1) for number in
               range(29, 19, -1)], "the ten with most evaluations, by day")
        equal(len(story.report("production/shop", "--top", "10").stdout
                  .splitlines()), 11, "as a table")


def long_report(place, applications):
    """Counts that take long to read through the proxy."""
    story = Story(place)
    proxy = Proxy(place, story.redis.path)
    story.post([metric("f", app=f"a{number}") for number in range(4)])
    for number in range(applications):
        story.redis("ZADD", "flagtally:apps", 1, f"e:a{number}")
    proxy.delay(0.005)
    return story, proxy


def progress():
    """A terminal shows how far a long report is, and nothing remains of it."""
    with Place() as place:
        story, proxy = long_report(place, 400)
        master, slave = pty.openpty()
        done = subprocess.run(
            [os.path.abspath(PROGRAM), "--report", "--format", "csv",
             "--since", "0d"], stdout=subprocess.PIPE, stderr=slave,
            env=environment(redis=proxy.url(), spool=NO_SPOOL), timeout=60,
            check=False)
        os.close(slave)
        text = all_of(master)
        check("\rreading: " in text and " of 40" in text and
              text.rsplit("\r", 2)[-2].strip() == "" and text.endswith("\r"),
              "progress is shown and removed", text)
        equal(len(done.stdout.splitlines()), 405, "the report is whole")
        equal(story.report("--format", "csv", "--since", "0d", redis=proxy)
              .stderr, "", "in a pipe there is none")


def replay():
    """So does --replay."""
    with Place() as place:
        settings = {"spool": place.file("spool.db"), "ack": "spool",
                    "flush_interval": "1h"}
        story = Story(place, **settings)
        story.post([metric("f", app=f"a{number}") for number in range(40)])
        story.program.end()
        master, slave = pty.openpty()
        done = subprocess.run(
            [os.path.abspath(PROGRAM), "--replay"], stderr=slave, timeout=60,
            env=environment(redis=story.redis.url(), **settings), check=False)
        os.close(slave)
        text = all_of(master)
        check(done.returncode == 0 and "calls replayed, 0 wait" in text,
              "a terminal shows how far --replay is", done, text)


def killed():
    """Redis is killed in the middle of a report: a message alone."""
    with Place() as place:
        story, proxy = long_report(place, 900)
        report = subprocess.Popen(
            [os.path.abspath(PROGRAM), "--report", "--since", "0d"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(redis=proxy.url(), spool=NO_SPOOL))
        until(lambda: story.redis.calls("hgetall") > 51,
              "the report to be on its way")
        story.redis.kill()
        out, err = report.communicate(timeout=60)
        check(report.returncode == 75 and out == "" and
              err.startswith("flagtally: "), "there is a message alone",
              report.returncode, out[:200], err)


def rights():
    """The user for readers that is shipped is enough for every report."""
    shipped = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                           "..", "deploy", "redis", "users.acl")
    with open(shipped, encoding="ascii") as file:
        rules = {line.split()[1]: line.split()[2:] for line in file}
    with Place() as place:
        story = Story(place)
        story.post([metric("f"), metric("old", days=40)],
                   [registration("i", "a:1")], [SECONDS])
        story.redis("ACL", "SETUSER", "reader", *rules["flagtally-reader"],
                    ">secret")
        url = f"unix://reader:secret@{story.redis.path}?db=0"
        for words in ([], ["production/shop"], ["production/shop/f"],
                      ["--stale", "30d"], ["--show", "sdks"],
                      ["--show", "impact"], ["--show", "edges"],
                      ["--show", "health"]):
            done = story.report(*words, FLAGTALLY_REDIS=url)
            equal((done.returncode, done.stderr), (0, ""),
                  f"--report {' '.join(words)} needs no more rights")
            equal(done.stdout, story.report(*words).stdout,
                  "and says the same") if words != ["--show", "health"] \
                else check("reading               ok" in done.stdout,
                           "and Redis can be read", done.stdout)


def against_model():
    """Random bodies: the report adds up to what was posted."""
    note(f"seed {SEED}")
    chance = random.Random(SEED)
    with Place() as place:
        story = Story(place)
        wanted = {}
        for _ in range(20):
            body = []
            for _ in range(100):
                feature = chance.choice(["a", "b", "\u00e9", "", "x:y", "%"])
                days, yes = chance.randrange(7), chance.randrange(5)
                no = chance.randrange(5)
                blue = chance.randrange(3)
                body.append(metric(feature, days=days, yes=yes, no=no,
                                   variants={"blue": blue}))
                for counter, count in (("yes", yes), ("no", no),
                                       ("variant", blue)):
                    at = (feature, counter, day(days))
                    wanted[at] = wanted.get(at, 0) + count
            story.post(body)
        rows = csv.DictReader(io.StringIO(
            story.report("production/shop", "--format", "csv").stdout))
        got = {(row["feature"], row["counter"], row["period"]):
               int(row["count"]) for row in rows}
        equal(got, {at: count for at, count in wanted.items() if count},
              "the report has what was posted")


run([applications, features, hours, spreadsheet, stale, terminal, wrong, cut,
     sdks, many_sdks, impact, edges, queued, top, progress, replay, killed, rights, cost,
     trips, against_model])
