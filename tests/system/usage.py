"""/internal-backstage/usage: the counts of today, for Prometheus."""

import json
import os
import re
import subprocess

from tests.harness import fcgi
from tests.harness.pages import HOSTILE, Story
from tests.harness.reports import day, metric
from tests.harness.servers import Place, find
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

PATH = "/internal-backstage/usage"
TOTAL = "feature_flag_evaluations_total"
TRUNCATED = "feature_flag_scrape_truncated", ()
# lib/report/reader.h
MEMORY_MAX = 64 << 20
SANITIZER = os.environ.get("FLAGTALLY_SANITIZER")


SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def samples_of(text):
    """{(name, labels): value}, of a text that is checked as it is read."""
    found, family, families = {}, None, set()
    for line in text.split("\n")[:-1]:
        if line.startswith("# TYPE "):
            family = line.split()[2]
            check(family not in families, f"{family} is one family")
            families.add(family)
        elif not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            pairs = LABEL.findall(labels or "")
            if ",".join(f'{key}="{value}"' for key, value in pairs) != (
                    labels or "") or len(dict(pairs)) != len(pairs):
                check(False, f"{line} has labels, each once")
            at = name, tuple((key, re.sub(r"\\(.)", lambda one: {
                "n": "\n"}.get(one[1], one[1]), text)) for key, text in pairs)
            if not name.startswith(family) or at in found:
                check(False, f"{line} is where it belongs")
            found[at] = float(value)
    return found


def impact(name, kind, samples):
    return {"name": name, "help": "What \\ it\nis", "type": kind,
            "samples": samples}


def promtool(text, name):
    """Prometheus's own tool; it remarks on style, too."""
    done = subprocess.run([find("promtool"), "check", "metrics"], input=text,
                          capture_output=True, timeout=60, check=False)
    said = [line for line in (done.stdout + done.stderr).decode()
            .splitlines() if "no help text" not in line and
            "should" not in line and "must" not in line]
    check(done.returncode in (0, 3) and not said, name, done, text)


def scrape(story):
    answer = story.get(path=PATH)
    equal(answer.status, 200, "usage is answered")
    return samples_of(answer.body.decode())


def environments(found):
    """{environment: how many samples}"""
    result = {}
    for _, labels in found:
        name = dict(labels).get("environment")
        result[name] = result.get(name, 0) + 1
    return result


def today():
    with Place() as place:
        story = Story(place)
        story.post([metric("f", yes=3, no=2, variants={"blue": 4}),
                    metric("f", days=1, yes=100),
                    metric('o"d\\d\n', app="till", env="dev", yes=1)])
        body = {"applications": [], "metrics": [], "impactMetrics": [
            impact("requests", "counter", [
                {"labels": {"environment": "other", "a": 'x"y,le="'},
                 "value": 5}]),
            impact("seconds", "histogram", [
                {"labels": {"b": "c"}, "count": 4, "sum": 2.5, "buckets": [
                    {"le": 10, "count": 3}, {"le": 0.5, "count": 1},
                    {"le": "+Inf", "count": 4}]}])]}
        equal(fcgi.post(story.program.address,
                        json.dumps(body).encode()).status, 202,
              "impact metrics are accepted")
        answer = story.get(path=PATH)
        equal(answer.status, 200, "usage is answered")
        text = answer.body.decode()
        found = samples_of(text)
        shop = (("environment", "production"), ("app_name", "shop"),
                ("feature", "f"))
        total = "feature_flag_evaluations_total"
        equal({at: value for at, value in found.items()
               if at[0].startswith("feature_flag")}, {
            (total, (*shop, ("enabled", "true"))): 3,
            (total, (*shop, ("enabled", "false"))): 2,
            (total, (("environment", "dev"), ("app_name", "till"),
                     ("feature", 'o"d\\d\n'), ("enabled", "true"))): 1,
            ("feature_flag_variants_total", (*shop, ("variant", "blue"))): 4,
            ("feature_flag_scrape_truncated", ()): 0,
        }, "the evaluations of today, and of no other day")
        equal(found[("requests", (("environment", "other"),
                                  ("a", 'x"y,le="')))], 5,
              "an impact metric has the environment of its record")
        lines = [line for line in text.split("\n")
                 if line.startswith("seconds_")]
        labels = 'environment="default",b="c"'
        equal(lines, [
            f'seconds_bucket{{{labels},le="0.5"}} 1',
            f'seconds_bucket{{{labels},le="10"}} 3',
            f'seconds_bucket{{{labels},le="+Inf"}} 4',
            f'seconds_count{{{labels}}} 4',
            f'seconds_sum{{{labels}}} 2.5'], "buckets are in order")
        check("# HELP seconds What \\\\ it\\nis" in text.split("\n"),
              "help is escaped")
        equal(story.get(path=PATH,
                        REMOTE_ADDR="192.0.2.1").status, 404,
              "by default for this host alone")
        for name in HOSTILE:
            story.post([metric(name, app=name, env=name or "e",
                               variants={name: 1})], impact=[
                impact("odd_" + re.sub("[^a-z]", "_", name[:9]), "gauge", [
                    {"labels": {"a": name}, "value": -0.5}])])
        # In each environment by itself both are allowed.
        story.post(impact=[impact("seconds_count", "counter", [
            {"labels": {"environment": "third"}, "value": 5}])])
        story.redis("SADD", "flagtally:{third}:impact", "seconds_count")
        story.redis("HSET", "flagtally:{third}:impact:seconds_count",
                    "#type", "counter", "#help", "h", "", "5")
        story.redis("ZADD", "flagtally:environments", 1, "third")
        text = story.get(path=PATH).body
        found = samples_of(text.decode())
        equal(len({at for at in found if at[0] == total}), 2 + 1 +
              len(HOSTILE), "names of every kind are exposed")
        check(("seconds_count", (("environment", "third"),)) not in found,
              "but none that is part of another environment's histogram")
        promtool(text, "promtool reads what they come to")
        story.redis.kill()
        equal(story.get(path=PATH).status, 503,
              "without Redis there is none")


def labels():
    """Labels that are in the way: each series is there once."""
    with Place() as place:
        token = "*:production.secret"
        story = Story(place, auth="tokens",
                      tokens=place.file("tokens", token + "\n"))
        gauge = impact("g", "gauge", [
            {"labels": {"le": 'a"b\\c\nd', "quantile": "0.5"}, "value": 1}])
        both = [{"labels": {"a": "b", "environment": name}, "value": 2}
                for name in ("dev", "staging")]
        bars = [{"labels": {"environment": name}, "count": 2, "sum": 1.5,
                 "buckets": [{"le": 1, "count": 1}]}
                for name in ("dev", "staging")]
        equal(fcgi.post(story.program.address, json.dumps({
            "applications": [], "metrics": [], "impactMetrics": [
                gauge, impact("c", "counter", both),
                impact("h", "histogram", bars)]}).encode(),
            HTTP_AUTHORIZATION=token).status, 202, "samples are accepted")
        text = story.get(path=PATH).body
        promtool(text, "promtool reads them")
        found = samples_of(text.decode())
        own = ("environment", "production")
        equal(found, {
            ("g", (own, ("le", 'a"b\\c\nd'), ("quantile", "0.5"))): 1,
            ("c", (own, ("a", "b"))): 4,
            ("h_bucket", (own, ("le", "1"))): 2,
            ("h_bucket", (own, ("le", "+Inf"))): 4,
            ("h_count", (own,)): 4, ("h_sum", (own,)): 3, TRUNCATED: 0},
            "the environment is the token's, and le is as it was sent")


def shares():
    """limit_scrape is divided among the environments."""
    with Place() as place:
        story = Story(place, limit_scrape=60)
        for env, count in (("a", 500), ("b", 5), ("c", 8), ("d", 0)):
            story.post([metric(f"f{i}", env=env, yes=1, no=i % 2)
                        for i in range(count)], impact=[
                impact("level", "gauge", [
                    {"labels": {"environment": env}, "value": 1}])])
        found = scrape(story)
        equal(environments(found), {
            "a": 60 - 7 - 1 - 12 - 1 - 1, "b": 7 + 1, "c": 12 + 1, "d": 1,
            None: 1}, "one with much takes no room of the others, and all "
            "that they leave")
        equal(found[TRUNCATED], 1, "it says so")
        line = "the usage lacks level of a and 1 others: limit_scrape is reached"
        check(line in place.read(story.program.log), "and the log what",
              place.read(story.program.log))
        scrape(story)
        equal(place.read(story.program.log).count("the usage lacks"), 1,
              "once in ten seconds at most")
        for env in "efghij":
            story.post([metric(f"f{i}", env=env) for i in range(100)])
        found = environments(scrape(story))
        equal(sum(found.values()), 60 + 1, "the limit is the limit")
        equal({name: found[name] for name in "bcd"}, {"b": 6, "c": 6, "d": 1},
              "those with little have their part")
        check(all(found[name] in (6, 7, 8) for name in "aefghij"),
              "and those with much the rest", found)
        story.redis("DEL", "flagtally:apps")
        equal(scrape(story)[TRUNCATED], 0, "what fits is whole")


def whole_series():
    """A series of a histogram is there whole or not at all."""
    with Place() as place:
        story = Story(place, limit_scrape=13)
        buckets = [{"le": 1, "count": 1}, {"le": 2, "count": 2}]
        story.post(impact=[impact("h", "histogram", [
            {"labels": {"n": str(n)}, "count": 3, "sum": 3,
             "buckets": buckets} for n in range(4)])])
        text = story.get(path=PATH).body
        promtool(text, "promtool reads it")
        found = samples_of(text.decode())
        # Each has three buckets, a count and a sum.
        equal((len(found), found[TRUNCATED]), (2 * 5 + 1, 1), "two have room")
        for n in range(2):
            equal(sorted(name for name, labels in found
                         if ("n", str(n)) in labels),
                  ["h_bucket"] * 3 + ["h_count", "h_sum"], "and are whole")


# Fill a bucket with features that have long names.
FILL = """
for i = 1, tonumber(ARGV[1]) do
	redis.call('HSET', KEYS[1], i .. string.rep('n', 3900) .. ARGV[2], 1)
end
"""


def too_large():
    """What takes too much memory is its own environment's matter."""
    with Place() as place:
        story = Story(place, limit_scrape=0)
        story.post([metric("f", env=env, yes=1) for env in ("a", "z")] +
                   [metric("f", env="m", app="small", yes=1)])

        def fill(env, app, count, kind=":yes"):
            story.redis("ZADD", "flagtally:apps", 1, f"{env}:{app}")
            story.redis("EVAL", FILL, 1, f"flagtally:{{{env}:{app}}}:{day()}",
                        count, kind)

        # As thirty posts of 13 KB do.
        fill("m", "large", 18000, "f:variant:v")
        found = scrape(story)
        equal(environments(found), {"a": 1, "z": 1, "m": 1, None: 1},
              "all others are there")
        equal(found[TRUNCATED], 1, "it says so")
        line = "the usage lacks large of m and 0 others: it takes too much " \
            "memory"
        check(line in place.read(story.program.log), "and the log what",
              place.read(story.program.log))
        fill("m", "large", 40000)
        found = scrape(story)
        equal((found[TRUNCATED], {name: count for name, count in
                                  environments(found).items()
                                  if name != "m"}),
              (1, {"a": 1, "z": 1, None: 1}),
              "other environments are also if Redis's reply is too large")
        check(re.search("the usage lacks (small|large) of m and [01] others: "
                        "(a reply is too large|no answer in time)",
                        place.read(story.program.log)), "the log says so",
              place.read(story.program.log))
        story.redis("DEL", f"flagtally:{{m:large}}:{day()}")
        for env in "mn":
            for number in range(6):
                fill(env, f"app{number}", 1500 + number + (env == "n"))

        def apps():
            text = story.get(path=PATH).body
            check(len(text) < MEMORY_MAX + 100000, "all together are bounded",
                  len(text))
            return {f"{env} {app}" for env, app in re.findall(
                r'^\w+{environment="(\w)",app_name="(\w+)"', text.decode(),
                re.M)}

        # Redis has three seconds for each, and others use this machine, too.
        wanted = {"a shop", "z shop", "m small"} | {
            f"{env} app{number}" for env in "mn" for number in range(6)}
        until(lambda: wanted - apps() == {"n app5"},
              "the largest one alone to be left out")
        grown = story.program.resident()
        check(SANITIZER or grown < 500 << 20, "memory is bounded", grown)


def one_of_many():
    """A key of another type is the trouble of its application alone."""
    with Place() as place:
        story = Story(place)
        story.post([metric("f", env=env) for env in "abc"])
        key = f"flagtally:{{b:shop}}:{day()}"
        story.redis("DEL", key)
        story.redis("SET", key, "x")
        found = scrape(story)
        equal(environments(found), {"a": 1, "c": 1, None: 1},
              "all others are there")
        equal(found[TRUNCATED], 1, "it says so")
        line = "the usage lacks b/shop and 0 others: WRONGTYPE"
        check(line in place.read(story.program.log), "and the log why",
              place.read(story.program.log))
        for name in ("apps", "environments"):
            story.redis("DEL", "flagtally:" + name)
            story.redis("SET", "flagtally:" + name, "x")
        answer = story.get(path=PATH)
        check(answer.status == 503 and b"WRONGTYPE" in answer.body,
              "if nothing can be read it is an error", answer)


run([today, labels, shares, whole_series, too_large, one_of_many])
