"""--report: what a person reads from the command line, and what it costs."""

import csv
import io
import json
import os
import pty
import random
import subprocess
import time
from urllib.parse import quote

from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.reports import day, hour, metric, registration
from tests.harness.servers import NO_SPOOL, PROGRAM, Flagtally, Place, Redis, \
    environment
from tests.harness.tap import check, equal, note, run

SEED = int(os.environ.get("FLAGTALLY_SEED") or random.randrange(1 << 32))
ODD = 'a/b:c%7D "x"\u202e\x1b[31m=1\\'


class Story:
    """A Redis with counts in it, and the command that reads them."""

    def __init__(self, place, **settings):
        self.place = place
        self.redis = Redis(place)
        self.settings = settings
        self.program = Flagtally(place, self.redis, **settings)

    def post(self, metrics, applications=()):
        answer = fcgi.post(self.program.address, json.dumps(
            {"applications": list(applications), "metrics": metrics}).encode())
        equal(answer.status, 202, "counts are accepted")

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
            text = os.read(master, 65536).decode()
            os.close(master)
            return text

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
                            (["a/%4"], "two hexadecimal digits")):
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
        check(trips <= 4, "three round trips, and one to select the database",
              trips)
        note(f"90 days, 1,000 features: {took:.2f} s, {trips} round trips")
        equal(story.redis.calls("hgetall"), 91,
              "one command for each day, and one for the instances")
        words = []
        for feature in range(10000):
            words += [f"f{feature}:yes", 1, f"f{feature}:variant:v", 1]
        for number in range(50):
            story.redis("HSET", key + day(100 + number), *words)
        done = story.report("production/shop", "--since", "3600d")
        check(done.returncode == 1 and "too large" in done.stderr and
              done.stdout == "", "more than 64 MB is an error", done.stderr)


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
     cost, against_model])
