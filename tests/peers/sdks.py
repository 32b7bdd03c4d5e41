"""Real SDKs before flagtally: what they were told is accepted is in Redis.

`tests/run sdks` installs them, and names their directories by UNLEASH_NODE
(with node_modules) and UNLEASH_PYTHON (a virtual environment).
"""

import collections
import json
import os
import shutil
import signal
import subprocess
import threading
from urllib.parse import quote, urlencode

from tests.harness.front import LighttpdSpawns, Nginx, processes
from tests.harness.servers import (PROGRAM, Place, Process, Redis,
                                   environment)
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until
from tests.harness.web import Connection, Standin, head

HERE = os.path.dirname(os.path.abspath(__file__))
NODE = os.environ.get("UNLEASH_NODE", "")
PYTHON = os.environ.get("UNLEASH_PYTHON", "")
BACKEND, BROWSER = "*:production.secret", "*:production.browser"
TOKENS = f"{BACKEND}\n{BROWSER} type=frontend\n"
PAINTED = {"name": "blue", "enabled": True, "feature_enabled": True}


class Unleash(Standin):
    """As much of the server as SDKs want: flags, one of them with a variant."""

    def __init__(self):
        super().__init__()
        self.files = {}

    def answer(self, handler):
        self.seen.append((handler.command, handler.path, self.read(handler)))
        path = handler.path.split("?")[0]
        content, kind = self.files.get(path, (b"", "text/plain"))
        if path == "/api/client/features":
            content, kind = json.dumps({"version": 2, "features": [
                self.flag("on", True), self.flag("off", False),
                self.flag("painted", True, [{
                    "name": "blue", "weight": 1000,
                    "weightType": "variable", "stickiness": "default"}]),
            ]}).encode(), "application/json"
        elif path == "/api/frontend" and handler.command == "GET":
            content, kind = json.dumps({"toggles": [
                {"name": "on", "enabled": True, "variant":
                 {"name": "disabled", "enabled": False}},
                {"name": "painted", "enabled": True, "variant": PAINTED},
            ]}).encode(), "application/json"
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        if path.startswith("/api/frontend"):
            handler.send_header("Access-Control-Allow-Origin", "*")
            handler.send_header("Access-Control-Allow-Headers", handler.headers
                                .get("Access-Control-Request-Headers", ""))
        handler.end_headers()
        handler.wfile.write(content)

    @staticmethod
    def flag(name, enabled, variants=()):
        return {"name": name, "type": "release", "project": "default",
                "enabled": enabled, "variants": list(variants),
                "strategies": [{"name": "default", "parameters": {},
                                "constraints": []}]}


class Recorder(Standin):
    """Passes requests on to a web server, and notes what comes back.

    `during` is called once, when the next report has left and has no answer.
    """

    def __init__(self, front):
        super().__init__()
        self.front, self.during, self.lock = front, None, threading.Lock()
        self.refuse = False

    def answer(self, handler):
        body = self.read(handler)
        reply = None
        report = handler.command == "POST" and handler.path.endswith(
            "/metrics")
        try:
            if report and self.refuse:
                raise ConnectionError
            with self.front.connect() as connection:
                connection.send(head(handler.command, handler.path, [
                    *handler.headers.items()]) + body)
                if report and self.during:
                    during, self.during = self.during, None
                    during()
                reply = connection.reply(handler.command)
        except ConnectionError:
            handler.close_connection = True
        with self.lock:
            self.seen.append((handler.command, handler.path, handler.headers,
                              body, reply))
        if reply is None:
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            if name not in ("connection", "content-length", "date", "server",
                            "transfer-encoding"):
                handler.send_header(name, value)
        if reply.status != 204:
            handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)

    def all(self, ending, method="POST"):
        """[(body, status or None)] of what was posted to a path."""
        with self.lock:
            return [(entry[3], entry[4] and entry[4].status)
                    for entry in self.seen
                    if entry[0] == method and entry[1].endswith(ending)]

    def reports(self):
        return self.all("/metrics")


class Backend(Process):
    """A backend with an SDK."""

    def __init__(self, place, command, url, app, interval=200):
        self.place, self.log, self.done = place, app + ".log", 0
        super().__init__(place, app, command, stdin=subprocess.PIPE, env={
            **environment(), "NODE_PATH": f"{NODE}/node_modules",
            "UNLEASH_URL": url, "UNLEASH_APP": app, "UNLEASH_TOKEN": BACKEND,
            "UNLEASH_INTERVAL_MS": str(interval)})
        self.ready(lambda: self.said("ready") == 1)

    def said(self, word):
        return self.place.read(self.log).splitlines().count(word)

    def command(self, word, number):
        self.done += 1
        self.process.stdin.write(f"{word} {number}\n".encode())
        self.process.stdin.flush()
        self.ready(lambda: self.said("done") == self.done)

    def finish(self):
        """Have it send the rest."""
        self.process.stdin.close()
        self.wait(30)


def counts(body):
    """What a body of an SDK comes to."""
    body = json.loads(body)
    found = collections.Counter()
    for flag, stats in ((body["bucket"] or {}).get("toggles") or {}).items():
        found[flag, "yes"] += stats["yes"]
        found[flag, "no"] += stats["no"]
        for name, count in stats["variants"].items():
            found[flag, "variant:" + name] += count
    for metric in body.get("impactMetrics") or []:
        for sample in metric["samples"]:
            if metric["type"] == "counter":
                found[metric["name"], "value"] += sample["value"]
            elif metric["type"] == "histogram":
                found[metric["name"], "count"] += sample["count"]
    return +found


def evaluated(times):
    return collections.Counter({
        ("on", "yes"): times, ("off", "no"): times, ("painted", "yes"): times,
        ("painted", "variant:blue"): times, ("purchases", "value"): 2 * times,
        ("latency", "count"): times})


def in_redis(redis, app):
    """The same of what Redis has for an application."""
    found = collections.Counter()
    for key, fields in redis.client.everything().items():
        key = key.decode()
        # One kind of bucket has all: that of a day.
        if f":{quote(app)}}}:" in key and len(key.rpartition(":")[2]) == 10:
            for field, count in fields.items():
                flag, _, counter = field.decode().partition(":")
                found[flag, counter] += int(count)
        elif key.endswith(":impact:purchases"):
            found["purchases", "value"] += sum(
                int(value) for field, value in fields.items()
                if f'appName="{app}"' in field.decode())
        elif key.endswith(":impact:latency"):
            found["latency", "count"] += sum(
                int(value) for field, value in fields.items()
                if field.startswith(b"_count") and
                f'appName="{app}"' in field.decode())
    return +found


def sums(accepted, unanswered):
    """What is accepted comes to with each choice of the bodies that are not."""
    choices = [accepted]
    for body in unanswered:
        choices += [choice + counts(body) for choice in choices]
    return choices


def spool_is_empty(scene):
    """Whether nothing waits any more."""
    done = subprocess.run(
        [PROGRAM, "--spool", "--config", scene.front.ini],
        env=environment(), stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode == 0 and all(
        line.startswith("#") for line in done.stdout.splitlines())


class Scene:
    """An Unleash, flagtally behind a web server, and a backend before them."""

    def __init__(self, place, kind, **settings):
        self.place, self.redis, self.unleash = place, Redis(place), Unleash()
        self.front = kind(place, self.redis, self.unleash, auth="tokens",
                          tokens=place.file("tokens", TOKENS),
                          spool=place.file("spool.db"), **settings)
        self.recorder = Recorder(self.front)
        self.url = f"http://127.0.0.1:{self.recorder.port}/api"

    def kill_flagtally(self):
        if self.front.flagtally:
            self.front.flagtally.kill()
            return
        for pid, name in processes(self.place).items():
            if name == "flagtally":
                os.kill(pid, signal.SIGKILL)

    def serves(self):
        """Whether flagtally answers behind the web server."""
        try:
            with Connection(self.front.port, timeout=5) as connection:
                connection.send(head("GET", "/api/client/metrics", [
                    ("Host", "x"), ("Connection", "close")]))
                return connection.reply("GET").status == 405
        except OSError:
            return False

    def start_again(self):
        """Whatever was killed runs."""
        if self.front.flagtally and not self.front.flagtally.running():
            self.front.flagtally = self.front.start_flagtally()
        if not self.redis.running():
            self.redis.start()
        until(self.serves, "flagtally to answer again")


def while_killed(kind, command, app, keeps):
    """An SDK reports while flagtally and Redis are killed in all ways.

    `keeps` says whether the SDK keeps what it could not send.
    """
    with Place() as place:
        scene = Scene(place, kind)
        backend = Backend(place, command, scene.url, app)
        times = 0
        kills = (None, scene.kill_flagtally, scene.redis.kill,
                 lambda: (scene.kill_flagtally(), scene.redis.kill()))
        for number, during in enumerate(kills * 3):
            before = len(scene.recorder.reports())
            scene.recorder.during = during
            times += number + 1
            backend.command("evaluate", number + 1)
            until(lambda: len(scene.recorder.reports()) > before, "a report")
            # And one while it is away.
            times += 1
            backend.command("evaluate", 1)
            until(lambda: len(scene.recorder.reports()) > before + 1,
                  "another", 60)
            scene.start_again()
        backend.finish()
        check_end(scene, app, times, keeps)
        scene.unleash.end()


def check_end(scene, app, times, keeps):
    name = f"{scene.front.title}, {app}"
    reports = scene.recorder.reports()
    accepted = sum((counts(body) for body, status in reports
                    if status == 202), collections.Counter())
    unanswered = [body for body, status in reports if status != 202]
    note(f"{name}: {len(reports)} reports, answered " + ", ".join(
        f"{status or 'nothing'}: {count}" for status, count in sorted(
            collections.Counter(status for _, status in reports).items(),
            key=str)))
    check(len(reports) - len(unanswered) >= 12, f"{name}: all others are "
          "accepted")
    check(all(status is None or status in (202, 500, 502, 503, 504)
              for _, status in reports), f"{name}: there is no other answer")
    bound = sum((counts(body) for body in unanswered), accepted)
    if keeps:
        # It forgets observations that it makes while a report is under way
        # that fails.
        equal(accepted | evaluated(times), evaluated(times),
              f"{name}: it reports nothing else")
        equal({**accepted, ("latency", "count"): times}, evaluated(times),
              f"{name}: all it has evaluated was accepted in the end")
    else:
        check(bound >= evaluated(times), f"{name}: it has reported all that "
              "it has evaluated", bound, evaluated(times))
    # One whose answer was lost counts whole or not at all.
    wanted = sums(accepted, unanswered)
    until(lambda: spool_is_empty(scene), "the spool")
    found = in_redis(scene.redis, app)
    check(found in wanted, f"{name}: what was accepted is in Redis, once",
          found, accepted)
    note(f"{name}: of {len(unanswered)} without an answer "
         f"{sum((found - accepted).values())} counts were taken")
    registered = scene.recorder.all("/register")
    check(202 in {status for _, status in registered},
          f"{name}: it has registered")
    instances = scene.redis(
        "HGET", f"flagtally:{{production:{app}}}:instances", "i")
    equal((json.loads(instances or b"{}")).get("sdkVersion"),
          json.loads(registered[0][0])["sdkVersion"],
          f"{name}: its instance is kept")
    check(not [entry for entry in scene.unleash.seen if entry[0] == "POST"],
          f"{name}: Unleash gets none of it")


def node():
    for kind in (LighttpdSpawns, Nginx):
        while_killed(kind, ["node", f"{HERE}/backend.js"], "node", True)


def python():
    for kind in (LighttpdSpawns, Nginx):
        while_killed(kind, [f"{PYTHON}/bin/python", "-B",
                            f"{HERE}/backend.py"], "python", False)


def outage():
    """What Node's SDK posts after an hour without an answer is accepted."""
    with Place() as place:
        scene = Scene(place, Nginx)
        # It waits one interval more after each failure, up to eleven: twelve
        # are more than an hour's of 60 s.
        backend = Backend(place, ["node", f"{HERE}/backend.js"], scene.url,
                          "node", 20)
        scene.recorder.refuse = True
        for flags in (343, 2000, 10000, 30000):
            before = len(scene.recorder.reports())
            scene.recorder.refuse = True
            backend.command("spread", flags)
            backend.command("evaluate", 60)
            until(lambda: len(scene.recorder.reports()) >= before + 12,
                  "an hour's outage", 60)
            scene.recorder.refuse = False
            body, status = until(lambda: next(
                (entry for entry in scene.recorder.reports()[before:]
                 if entry[1] is not None), None), "a report", 60)
            equal(len(json.loads(body)["bucket"]["toggles"]), flags + 3,
                  f"{flags} flags: all are in one report")
            equal(status, 202, f"{flags} flags: {len(body)} bytes")
        backend.finish()


class Chromium(Process):
    def __init__(self, place, url):
        super().__init__(place, "chromium", [
            shutil.which("chromium") or "chromium", "--headless=new",
            "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-dev-shm-usage",
            f"--user-data-dir={place.file('profile')}", url],
            env={**environment(), "HOME": place.path})


def page(allowed):
    with Place() as place:
        own = Unleash()
        with open(f"{HERE}/page.html", "rb") as file:
            own.files["/page"] = file.read(), "text/html"
        with open(f"{NODE}/node_modules/unleash-proxy-client/build/"
                  "main.min.js", "rb") as file:
            own.files["/sdk.js"] = file.read(), "text/javascript"
        origin = f"http://127.0.0.1:{own.port}"
        scene = Scene(place, Nginx, cors_origins=origin if allowed else
                      "https://app.example.org")
        Chromium(place, f"{origin}/page?" + urlencode(
            {"url": scene.url + "/frontend", "token": BROWSER}))

        def told(word):
            return sum(path.startswith("/told?" + word)
                       for _, path, _ in own.seen)
        until(lambda: told("ready"), "the page", 60)
        if not allowed:
            until(lambda: told("error"), "an error", 60)
            check(scene.recorder.all("/client/metrics", "OPTIONS"),
                  "another origin: Chromium asks")
            equal(scene.recorder.reports(), [],
                  "another origin: and does not post")
            return
        until(lambda: told("sent") >= 2, "two reports", 60)
        reports = scene.recorder.reports()
        equal({status for _, status in reports}, {200},
              "the page's reports are accepted")
        equal({status for _, status in scene.recorder.all(
            "/client/metrics", "OPTIONS")}, {204}, "Chromium asked before")
        check(all(headers["Origin"] == origin for method, _, headers, _, _ in
                  scene.recorder.seen if method != "GET"),
              "from another origin")
        equal(told("error"), 0, "the page sees no error")
        wanted = sum((counts(body) for body, _ in reports),
                     collections.Counter())
        equal(wanted, collections.Counter({
            ("on", "yes"): 12, ("off", "no"): 12, ("painted", "yes"): 12,
            ("painted", "variant:blue"): 12, ("purchases", "value"): 24}),
            "it has reported all that it has evaluated")
        equal(in_redis(scene.redis, "web app"), wanted,
              "and Redis has it")
        equal(json.loads(scene.redis(
            "HGET", "flagtally:{production:web%20app}:instances",
            "browser") or b"{}").get("sdkVersion"), "unleash-js-sdk:3.8.2",
            "and the browser's instance")


def browser():
    page(True)


def browser_refused():
    page(False)


run([node, python, outage, browser, browser_refused])
