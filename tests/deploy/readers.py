"""deploy/readers/tasks.*: each task in each language gives what was counted.

Python, PHP, Node.js and the shell run where their interpreters and clients are
installed, as tests/run does; Go where its toolchain and redigo are.
"""

import datetime
import json
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading

from tests.harness import fcgi
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                      "deploy", "readers")
ENVIRONMENT, APPLICATION = "prod/e:1", "a!b'(c)* d~é"
ODD = "=SUM(1)!'*~ \"é"
LINES_MAX = 15
# Where a task begins in each language.
TASK = {"py": r"def (\w+)\(", "php": r"function (\w+)\(",
        "js": r"async function (\w+)\(", "sh": r"(\w+)\(\) \{$",
        "go": r"func (\w+)\("}
TASKS = ("top", "stale", "rollout", "month", "p95", "below")
# redis-cli takes one for each command.
SHELL_TRIPS = {"top": 7, "stale": 1, "rollout": 24, "month": 31, "p95": 1,
               "below": 2}
COMMAND = re.compile(rb"\r\n(hgetall|hmget|zrange\w*)\r\n|^(?:HGETALL|HMGET)",
                     re.I)


class Counter:
    """Passes TCP on to Redis's socket, and counts round trips with reads."""

    def __init__(self, target):
        self.target, self.trips = target, 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listening.accept()
            threading.Thread(target=self.serve, args=(client,),
                             daemon=True).start()

    def serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self.target)
            asked = False
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 20)
                    if not data:
                        return
                    if ready is client:
                        # What is sent before a reply is one trip's.
                        if COMMAND.search(data) and not asked:
                            self.trips += 1
                            asked = True
                        server.sendall(data)
                    else:
                        asked = False
                        client.sendall(data)


def languages(directory):
    """{language: (command, environment)} of those that can be run."""
    found = {}
    for path in ("python3", "/usr/bin/python3"):
        if works([path, "-c", "import redis"]):
            found["py"] = [path], {}
    if works(["php", "-r", "exit(extension_loaded('redis') ? 0 : 1);"]):
        found["php"] = ["php"], {}
    node = {"NODE_PATH": "/usr/share/nodejs"}
    if works(["node", "-e", "require('redis')"], node):
        found["js"] = ["node"], node
    if shutil.which("jq") and shutil.which("bash"):
        found["sh"] = ["bash"], {}
    go = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode",
          "GOCACHE": os.path.join(directory, "go")}
    program = os.path.join(directory, "tasks")
    if works(["go", "build", "-o", program, os.path.join(FOLDER, "tasks.go")],
             go):
        found["go"] = [program], {}
    return found


def works(command, more=None):
    try:
        return subprocess.run(
            command, env={**os.environ, **(more or {})}, check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=300).returncode == 0
    except FileNotFoundError:
        return False


def clock():
    return datetime.datetime.now(datetime.timezone.utc)


def stamp(when, form="%Y-%m-%dT%H:%M:%SZ"):
    return when.strftime(form)


def metric(flag, when, yes, no, **variants):
    return {"featureName": flag, "appName": APPLICATION, "yes": yes, "no": no,
            "environment": ENVIRONMENT, "timestamp": stamp(when),
            "variants": variants}


def instance(name, sdk):
    return {"appName": APPLICATION, "environment": ENVIRONMENT,
            "instanceId": name, "interval": 60, "strategies": [],
            "started": "2026-11-23T09:00:00Z", "sdkVersion": sdk}


def bodies(now):
    hour, day = datetime.timedelta(hours=1), datetime.timedelta(days=1)
    metrics = [metric(f"flag-{n:02}", now - n % 3 * day, n, 1, v=1)
               for n in range(12)]
    metrics += [metric(ODD, now, 100, 0), metric("old", now - 40 * day, 1, 1),
                metric("older", now - 41 * day, 1, 1),
                metric("roll", now - 3 * hour, 1, 3),
                metric("roll", now - hour, 2, 1)]
    bounds = [(0.1, 10), (0.5, 90), (1, 96), ("+Inf", 100)]
    samples = [{"labels": {"a": text, "environment": ENVIRONMENT},
                "count": 100, "sum": 30, "buckets": [
                    {"le": le, "count": count} for le, count in bounds]}
               for text in ("x", 'le="7"}')]
    return [{"applications": [
        instance("one", "unleash-client-node:5.9.3"),
        instance("two/2", "unleash-client-node:5.10.0"),
        instance("three", "unleash-client-java:1.0.0"),
        instance("four", None)], "metrics": metrics, "impactMetrics": [
            {"name": "seconds", "help": "h", "type": "histogram",
             "samples": samples}]}]


def wanted(now):
    """{task: (arguments, output, round trips at most)}"""
    day = datetime.timedelta(days=1)
    days = [stamp(now - n * day, "%Y-%m-%d") for n in range(6, -1, -1)]
    rows = {ODD: [0] * 6 + [100]}
    for n in range(12):
        rows[f"flag-{n:02}"] = [0] * 7
        rows[f"flag-{n:02}"][6 - n % 3] = n + 1
    rows["roll"] = [0] * 7
    hours = {}
    for back, yes, no in ((3, 1, 3), (1, 2, 1)):
        when = now - datetime.timedelta(hours=back)
        rows["roll"][days.index(stamp(when, "%Y-%m-%d"))] += yes + no
        hours[stamp(when, "%Y-%m-%dT%H")] = (yes, no)
    best = sorted(rows, key=lambda flag: (-sum(rows[flag]), flag))[:10]
    old = now - 40 * day
    place = [ENVIRONMENT, APPLICATION]
    lines = ["\t".join(["flag", *days])] + [
        "\t".join([flag, *map(str, rows[flag])]) for flag in best]
    return {
        "top": (place, lines, 1),
        "stale": (place, [f"older\t{stamp(old - day, '%Y-%m-%d')}",
                          f"old\t{stamp(old, '%Y-%m-%d')}"], 1),
        "rollout": ([*place, "roll"], [
            f"{hour}\t{yes}\t{no}\t{100 * yes // (yes + no)}"
            for hour, (yes, no) in sorted(hours.items())], 1),
        "month": ([*place, "2026-01"], [
            "day,flag,counter,count",
            '2026-01-02,"\'=SUM(1)!\'*~ ""é","\'-",7',
            '2026-01-31,"f:1","variant:v w",1', '2026-01-31,"f:1","yes",2'],
            1),
        "p95": ([ENVIRONMENT, "seconds"], [
            f"{0.5 + 0.5 * (95 - 90) / (96 - 90):.6g}"], 1),
        "below": (["unleash-client-node", "5.10"], [
            f"{ENVIRONMENT}\t{APPLICATION}\tone\t5.9.3"], 2)}


def sources():
    """Each task has at most so many lines, in each language."""
    for language, begins in TASK.items():
        with open(os.path.join(FOLDER, "tasks." + language),
                  encoding="utf-8") as file:
            lines = file.read().splitlines()
        found = {}
        for number, line in enumerate(lines):
            name = re.match(begins, line)
            if name:
                ends = next((at for at in range(number + 1, len(lines)) if
                             not lines[at] or lines[at][0] == "}"),
                            len(lines))
                found[name[1]] = ends - number + (
                    ends < len(lines) and lines[ends] == "}")
        equal([name for name in TASKS if found.get(name, 99) > LINES_MAX], [],
              f"tasks.{language}: a task has {LINES_MAX} lines at most")


def tasks():
    with Place() as place, tempfile.TemporaryDirectory() as directory:
        found = languages(directory)
        for language in sorted(set(TASK) - set(found)):
            check(True, f"tasks.{language}: what runs it is missing # SKIP")
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        # Whatever is read is of one hour.
        now = until(lambda: clock() if clock().minute < 58 else None,
                    "the next hour", 130)
        for body in bodies(now):
            equal(fcgi.post(flagtally.address, json.dumps(body).encode())
                  .status, 202, "there is something to read")
        tag = [key for key in redis("KEYS", "*:seen") if b"instances" not in
               key and b"tokens" not in key][0][:-len("seen")].decode()
        redis("HSET", tag + "2026-01-02", "%3DSUM%281%29%21%27%2A~%20%22%C3%A9"
              ":-", 7)
        redis("HSET", tag + "2026-01-31", "f%3A1:yes", 2,
              "f%3A1:variant:v%20w", 1)
        counter = Counter(redis.path)
        for language, (command, more) in sorted(found.items()):
            program = [] if language == "go" else [
                os.path.join(FOLDER, "tasks." + language)]
            for task, (arguments, lines, most) in wanted(now).items():
                counter.trips = 0
                done = subprocess.run(
                    [*command, *program, task, *arguments], timeout=60,
                    env={**os.environ, **more, "REDIS_URL": counter.url},
                    capture_output=True, check=False)
                output = done.stdout.decode()
                equal((output.replace("\r\n", "\n").splitlines(),
                       done.returncode), (lines, 0),
                      f"{language}: {task}") or note(done.stderr.decode())
                if task == "month":
                    equal(output.count("\r\n"), len(lines),
                          f"{language}: {task} has the line ends of RFC 4180")
                note(f"{language}: {task} takes {counter.trips} round trips")
                most = SHELL_TRIPS[task] if language == "sh" else most
                check(0 < counter.trips <= most,
                      f"{language}: {task} takes {most} round trips at most",
                      counter.trips)


run([sources, tasks])
