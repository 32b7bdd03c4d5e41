"""A real Unleash Edge before flagtally, which hangs: each count counts once.

Needs the program unleash-edge, named by UNLEASH_EDGE; `tests/run sdks` builds
it.  It gives up after 5 s and repeats, so this takes half a minute.
"""

import json
import os
import signal
import urllib.request

from tests.harness import fcgi
from tests.harness.front import Lighttpd, Nginx
from tests.harness.servers import (Place, Process, Redis, environment,
                                   free_port)
from tests.harness.tap import check, equal, run
from tests.harness.wait import until
from tests.harness.web import Standin

EDGE = os.environ.get("UNLEASH_EDGE", "unleash-edge")
TOKEN = "*:development.secret"
DAY = "flagtally:{development:a}:2026-11-23"
# Edge tries again 5 s after it has begun to wait: a stall of 15 s and more.
TRIES, STALL = 4, 40


class Unleash(Standin):
    """As much of the server as Edge wants before it serves."""

    def answer(self, handler):
        body = self.read(handler)
        path = handler.path.split("?")[0]
        self.seen.append((handler.command, path, {}, body))
        status, content = 202, {}
        if path == "/edge/validate":
            status, content = 200, {"tokens": [
                {"token": token, "type": "client", "projects": ["*"],
                 "environment": "development"}
                for token in json.loads(body)["tokens"]]}
        elif path == "/api/client/features":
            status, content = 200, {
                "version": 2, "segments": [], "query": {}, "features": [
                    {"name": "f", "type": "release", "enabled": True,
                     "project": "default", "variants": [], "strategies": [
                         {"name": "default", "parameters": {}}]}]}
        elif handler.command != "POST":
            status = 404
        text = json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)


class Edge(Process):
    def __init__(self, place, upstream):
        self.port = free_port()
        super().__init__(place, "edge", [
            EDGE, "--port", str(self.port), "--interface", "127.0.0.1",
            "edge", "--upstream-url", f"http://127.0.0.1:{upstream}",
            "--tokens", TOKEN, "--metrics-interval-seconds", "1"],
            env=environment())
        self.ready(self.answers)

    def answers(self):
        try:
            return self.ask("/internal-backstage/health").status == 200
        except OSError:
            return False

    def ask(self, path, body=None):
        return urllib.request.urlopen(urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body and json.dumps(
                body).encode(), {"Authorization": TOKEN,
                                 "Content-Type": "application/json"}),
            timeout=30)

    def report(self, count):
        """Report as an SDK does."""
        equal(self.ask("/api/client/metrics", {
            "appName": "a", "instanceId": "i", "bucket": {
                "start": "2026-11-23T09:30:00Z",
                "stop": "2026-11-23T09:31:00Z", "toggles": {
                    "f": {"yes": count, "no": 0, "variants": {}}}}}).status,
              202, "Edge takes a report")


def connections(place):
    """Connections to flagtally's socket, accepted or not."""
    with open("/proc/net/unix", encoding="utf-8") as file:
        return sum(1 for line in file if f" {place.path}/." in line)


def metric(address, name):
    page = fcgi.post(address, b"", REQUEST_METHOD="GET",
                     REQUEST_URI="/internal-backstage/metrics",
                     SCRIPT_NAME="/internal-backstage/metrics",
                     REMOTE_ADDR="127.0.0.1").body.decode()
    return int(float(page.split(f"\n{name} ")[1].split()[0]))


def stall(kind):
    with Place() as place:
        redis, unleash = Redis(place), Unleash()
        front = kind(place, redis, unleash, spool=place.file("spool.db"))

        def count():
            return int(redis("HGET", DAY, "f:yes") or 0)
        edge = Edge(place, front.port)
        edge.report(7)
        until(lambda: count() == 7, "a batch")
        before = connections(place)
        front.flagtally.signal(signal.SIGSTOP)
        edge.report(5)
        until(lambda: connections(place) >= before + TRIES,
              "Edge to repeat", STALL)
        front.flagtally.signal(signal.SIGCONT)
        until(lambda: count() > 7, "the batch", STALL)
        # When a later batch has arrived, no repeat of this one is left.
        edge.report(1)
        until(lambda: count() not in (7, 12), "another batch", STALL)
        equal(count(), 13, f"{front.title}: each is counted once")
        spared = [metric(front.flagtally.address, f"flagtally_{name}_total")
                  for name in ("repeated", "abandoned")]
        check(sum(spared) >= 1, f"{front.title}: repeats were recognized",
              spared)
        unleash.end()


def lighttpd():
    stall(Lighttpd)


def nginx():
    stall(Nginx)


run([lighttpd, nginx])
