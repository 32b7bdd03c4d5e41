"""Alert rules, the dashboard and shell completion know what the program has."""

import json
import os
import re
import shutil
import subprocess

from tests.harness import fcgi
from tests.harness.front import DEPLOY
from tests.harness.servers import PROGRAM, Flagtally, Place, Redis, find
from tests.harness.tap import check, equal, run

HERE = os.path.join(DEPLOY, "prometheus")
RULES = os.path.join(HERE, "flagtally.rules.yml")
BODY = (b'{"applications":[],"metrics":[{"featureName":"f","appName":"a",'
        b'"environment":"e","timestamp":"2026-11-23T09:30:00Z","yes":1,'
        b'"no":0,"variants":{}}]}')


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def shown():
    """{metric: {label: values}} of a flagtally that has counted."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, spool=place.file("spool.db"))
        equal(fcgi.post(flagtally.address, BODY).status, 202, "it counts")
        connection = fcgi.Connection(flagtally.address)
        text = connection.request(fcgi.params(
            b"", REQUEST_METHOD="GET", REQUEST_URI="/internal-backstage/"
            "metrics", CONTENT_LENGTH="", CONTENT_TYPE="",
            REMOTE_ADDR="127.0.0.1"), b"").body.decode()
        connection.close()
    found = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.M):
        kinds = found.setdefault(name, {})
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            kinds.setdefault(label, set()).add(value)
    return found


# Labels that Prometheus adds.
TARGET = {"instance", "job"}


def check_query(query, metrics, what):
    """Its metrics are there, with these labels and values."""
    names = re.findall(r"\bflagtally_\w+", query)
    check(names and set(names) <= set(metrics), f"{what}: its metrics exist",
          query, set(names) - set(metrics))
    labels = {label for name in names for label in metrics.get(name, {})}
    for group in re.findall(r"(?:by|without) \((.*?)\)", query):
        check(set(group.split(", ")) <= labels | TARGET,
              f"{what}: so do the labels {group}", query)
    for name, selector in re.findall(r"(flagtally_\w+)\{(.*?)\}", query):
        for label, sign, value in re.findall(r'(\w+)([=!]=?~?)"(.*?)"',
                                             selector):
            check(label in TARGET or "~" in sign or
                  value in metrics.get(name, {}).get(label, ()),
                  f"{what}: and {label}{sign}{value}", query)
    equal([query.count(sign) for sign in "([{"],
          [query.count(sign) for sign in ")]}"], f"{what}: brackets match")


def rules(metrics):
    text = re.sub(r">-\n((?: {10,}.*\n)+)", lambda found: " ".join(
        found[1].split()) + "\n", read(RULES))
    queries = re.findall(r"^ +expr: (.*)$", text, re.M)
    alerts = re.findall(r"^ +- alert: (\w+)$", text, re.M)
    check(len(alerts) >= 5 and len(queries) == len(alerts) ==
          len(set(alerts)), "each alert has a query", alerts, queries)
    for name, query in zip(alerts, queries):
        check_query(query, metrics, name)
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "rules", RULES],
                              capture_output=True, text=True, check=False,
                              timeout=60)
        equal(done.returncode, 0, "promtool takes the rules")


def dashboard(metrics):
    panels = json.loads(read(os.path.join(
        HERE, "grafana-dashboard.json")))["panels"]
    equal(len({panel["id"] for panel in panels}), len(panels),
          "each panel has its number")
    used = set()
    for panel in panels:
        for target in panel["targets"]:
            query = target["expr"]
            check_query(query, metrics, panel["title"])
            used |= set(re.findall(r"\bflagtally_\w+", query))
            labels = {label for name in re.findall(r"flagtally_\w+", query)
                      for label in metrics.get(name, {})}
            check(set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <=
                  labels | TARGET, f"{panel['title']}: its legend",
                  target["legendFormat"])
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in metrics}
    missing = families - {re.sub("_bucket$", "", name) for name in used}
    equal(missing - {"flagtally_build_info", "flagtally_spool_records",
                     "flagtally_redis_last_success_timestamp_seconds"},
          set(), "each metric has a panel, but for these")


def completion():
    script = os.path.join(DEPLOY, "bash", "flagtally")
    with Place() as place:
        os.symlink(os.path.abspath(PROGRAM), place.file("flagtally"))

        def complete(*words):
            text = (f'. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD={len(words)}'
                    '; _flagtally; printf "%s\\n" "${COMPREPLY[@]}"')
            done = subprocess.run(
                [find("bash"), "-euc", text, "bash", script,
                 place.file("flagtally"), *words], capture_output=True,
                text=True, check=False, timeout=30, cwd=place.path,
                env={"PATH": "/usr/bin:/bin", "FLAGTALLY_SPOOL":
                     place.file("spool.db")})
            return done.stdout.split()
        options = set(re.findall(r"--[a-z-]+", subprocess.run(
            [PROGRAM, "--help"], capture_output=True, text=True, timeout=30,
            check=True).stdout))
        equal(complete("--"), sorted(options), "all options are offered")
        equal(complete("--ch"), ["--check", "--check-config"],
              "those that begin so")
        place.file("some.ini", "")
        equal(complete("--config", "some"), ["some.ini"], "a file's name")
        check("all" in complete("--spool-drop", ""), "records of the spool")


def watch():
    metrics = shown()
    rules(metrics)
    dashboard(metrics)


run([watch, completion])
