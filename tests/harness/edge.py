"""A real Unleash Edge, and as much of Unleash as it wants before it serves."""

import json
import os
import urllib.request

from tests.harness.servers import Process, environment, free_port
from tests.harness.web import Standin

VERSION = "20.1.0"              # The last that is open source.
EDGE = os.environ.get("UNLEASH_EDGE", "unleash-edge")


class Unleash(Standin):
    def answer(self, handler):
        body = self.read(handler)
        path = handler.path.split("?")[0]
        self.seen.append((handler.command, path, {}, body))
        status, content = 202, {}
        if path == "/edge/validate":
            status, content = 200, {"tokens": [
                {"token": token, "type": "client", "projects": ["*"],
                 "environment": token.split(":")[1].split(".")[0]}
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
    """It reports to its upstream's port once in an interval, in seconds."""

    def __init__(self, place, upstream, token, interval=1, program=EDGE,
                 below=""):
        self.port, self.token, self.below = free_port(), token, below
        super().__init__(place, "edge", [
            program, "--port", str(self.port), "--interface", "127.0.0.1",
            *(["--base-path", below] if below else []), "edge", "--upstream-url", f"http://127.0.0.1:{upstream}",
            "--tokens", token, "--metrics-interval-seconds", str(interval)],
            env=environment())
        self.ready(self.answers)

    def answers(self):
        try:
            return self.ask("/internal-backstage/health").status == 200
        except OSError:
            return False

    def ask(self, path, body=None):
        return urllib.request.urlopen(urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.below}{path}", body,
            {"Authorization": self.token,
             "Content-Type": "application/json"}), timeout=30)
