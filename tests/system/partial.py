"""One master of a cluster is away: what can be read is shown, and what not is
named; nothing that lacks a part looks whole."""

import csv
import io
import json
import os
import re
import subprocess

from tests.harness.cluster import Cluster
from tests.harness.pages import Story
from tests.harness.reports import metric, registration
from tests.harness.servers import PROGRAM, Flagtally, Place, environment
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

NAMES = [f"a{number}" for number in range(12)]
ENVIRONMENTS = [f"e{number}" for number in range(9)]
SDK = "unleash-client-node:5.0.0"
GAUGE = {"name": "load", "help": "Load", "type": "gauge"}


class Halved(Story):
    """Counts of applications and environments on three masters."""

    def __init__(self, place):
        self.place = place
        self.redis = Cluster(place, replicas=0,
                             cluster_require_full_coverage="no")
        self.program = Flagtally(place, self.redis)
        self.post([metric("f", app=app) for app in NAMES] + [
            metric("old", days=40, app=app) for app in NAMES], [
            registration("i", SDK, app=app) for app in NAMES], [
            {**GAUGE, "samples": [{"labels": {"environment": name},
                                   "value": 1} for name in ENVIRONMENTS]}])

    def lose(self):
        """Kill a master without the lists.  Return what it has."""
        lists = [self.redis.owner("flagtally:" + name)
                 for name in ("apps", "environments")]
        node = next(node for node in self.redis.nodes if node not in lists)
        lost = [[name for name in names if self.redis.owner(
            f"flagtally:{{{tag % name}}}:x") is node]
            for tag, names in (("production:%s", NAMES),
                               ("%s", ENVIRONMENTS))]
        node.kill()
        return node, *lost

    def json(self, **query):
        answer = self.get(format="json", **query)
        equal(answer.status, 200, f"JSON of {query}")
        return json.loads(answer.body)

    def report(self, *words):
        done = subprocess.run(
            [os.path.abspath(PROGRAM), "--report", *words], text=True,
            env=environment(redis=self.redis.url(), spool="/proc/none/x"),
            capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr


def page():
    with Place() as place:
        story = Halved(place)
        whole = story.json()
        equal(whole["missing"], None, "with all masters nothing is missing")
        node, apps, envs = story.lose()
        check(0 < len(apps) < len(NAMES) and 0 < len(envs) <
              len(ENVIRONMENTS), "one has a part", apps, envs)
        names = [f"production/{name}" for name in sorted(apps)]
        found = story.json()
        equal((found["missing"]["count"], found["missing"]["names"]),
              (len(apps), names[:8]), "JSON names what is missing")
        check(f"AWAY 127.0.0.1:{node.port}" in found["missing"]["why"],
              "and says why", found["missing"])
        equal({one["application"]: (one["yes"], one["evaluations"] is None)
               for one in found["applications"]},
              {name: (None, True) if name in apps else (1, False)
               for name in NAMES}, "null is what is not known")
        text = story.get().body.decode()
        check(f"Not complete: {', '.join(names[:8])}" in text and
              "could not be read: AWAY" in text, "the page says so", text)
        # One row for each, and one for the environment.
        equal(text.count("not read"), len(apps) + 1, "in their places, too")
        equal(story.get(format="csv").status, 503, "CSV has no place for it")
        for show, member in (("stale", "stale"), ("sdks", "sdks")):
            found = story.json(show=show)
            equal(({one["application"] for one in found[member]},
                   found["missing"]["names"]),
                  (set(NAMES) - set(apps), names[:8]), f"so does {show}")
            check(b"Not complete: " in story.get(show=show).body,
                  f"and its page: {show}")
        found = story.json(show="impact")
        equal(({one["environment"] for one in found["impact"]},
               found["missing"]["names"]),
              (set(ENVIRONMENTS) - set(envs), sorted(envs)[:8]),
              "so do impact metrics")
        check("a page is not complete: " + names[0] in
              place.read(story.program.log), "and the log",
              place.read(story.program.log))
        for name in NAMES:
            answer = story.get(env="production", app=name)
            equal((answer.status, b"Not complete" in answer.body),
                  (503 if name in apps else 200, False),
                  "one application is whole or not there")
        node.start()
        until(lambda: story.json() == whole, "all of it again")


def usage():
    with Place() as place:
        story = Halved(place)
        _, apps, envs = story.lose()
        answer = story.get(path="/internal-backstage/usage")
        equal(answer.status, 200, "usage is answered")
        text = answer.body.decode()
        equal(sorted(set(re.findall(r'app_name="(\w+)"', text))),
              sorted(set(NAMES) - set(apps)), "with what can be read")
        equal(sorted(re.findall(r'^load{environment="(\w+)"', text, re.M)),
              sorted(set(ENVIRONMENTS) - set(envs)), "of impact metrics, too")
        check("\nfeature_flag_scrape_truncated 1\n" in text,
              "and says that it is not all")
        log = place.read(story.program.log)
        check(re.search("the usage lacks [a-z0-9/]+ and "
                        f"{len(apps) + len(envs) - 1} others: AWAY", log),
              "as the log does", log)
        for node in story.redis.nodes:
            node.kill()
        equal(story.get(path="/internal-backstage/usage").status, 503,
              "with none there is nothing")


def report():
    with Place() as place:
        story = Halved(place)
        equal(story.report()[0], 0, "with all masters all is well")
        _, apps, envs = story.lose()
        names = [f"production/{name}" for name in sorted(apps)]
        status, out, errors = story.report()
        equal((status, out.count("not read"), len(out.splitlines())),
              (75, len(apps), len(NAMES) + 1), "a table shows what is missing")
        check(errors.startswith("Not complete: " + ", ".join(names[:8])) and
              "AWAY" in errors, "and why", errors)
        status, out, errors = story.report("--format", "csv")
        equal((status, {row["application"]: row["yes"] for row in
                        csv.DictReader(io.StringIO(out))}),
              (75, {name: "" if name in apps else "1" for name in NAMES}),
              "CSV has empty fields")
        for words in (["--stale", "30d"], ["--show", "sdks"]):
            status, out, errors = story.report(*words)
            equal((status, len(out.splitlines()) - 1,
                   errors.startswith("Not complete: ")),
                  (75, len(NAMES) - len(apps), True), f"so does {words}")
        status, out, errors = story.report("--show", "impact")
        equal((status, len(out.splitlines()) - 1, sorted(envs)[0] in errors),
              (75, len(ENVIRONMENTS) - len(envs), True), "so does impact")
        status, out, errors = story.report("production/" + apps[0])
        check((status, out) == (75, "") and "AWAY" in errors,
              "one application is whole or not there", status, out, errors)


run([page, usage, report])
