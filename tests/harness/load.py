"""Clients that post without pause, and what they were told."""

import collections
import json
import threading
import time

from tests.harness.wait import until
from tests.harness.web import Connection, head

BULK = "/api/client/metrics/bulk"
KEY = "flagtally:{e:load}:2026-11-23"


def body(feature):
    return json.dumps({"applications": [], "metrics": [{
        "featureName": feature, "appName": "load", "environment": "e",
        "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
        "variants": {}}]}).encode()


def request(feature, close=False):
    content = body(feature)
    return head("POST", BULK, [
        ("Host", "metrics.example"), ("Content-Type", "application/json"),
        ("Content-Length", len(content)),
        ("Connection", "close" if close else "keep-alive")]) + content


class Load:
    """Each post counts 1 of a feature of its own, so each can be found.

    Of the clients every other one keeps its connection while it can; the rest
    take a new one for each post.  `ports` says where, as they are at the time.
    After an answer, a client does nothing for `pause` seconds.
    """

    def __init__(self, ports, clients=6, patience=20, pause=0):
        self.ports, self.patience, self.pause = ports, patience, pause
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.accepted, self.unknown = set(), set()
        self.statuses = collections.Counter()
        self.slowest = 0
        self.threads = [threading.Thread(target=self.client, args=(i,),
                                         daemon=True)
                        for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def client(self, number):
        keep = number % 2 == 0
        connection = None
        i = 0
        while not self.stopping.is_set():
            i += 1
            feature = f"c{number}-{i}"
            began = time.monotonic()
            status = None
            try:
                if connection is None:
                    ports = self.ports()
                    connection = Connection(ports[i % len(ports)],
                                            timeout=self.patience)
                connection.send(request(feature, not keep))
                reply = connection.reply()
                status = reply.status
                if not keep or reply.headers.get("connection") == "close":
                    connection.close()
                    connection = None
            except (OSError, ValueError):
                if connection:
                    connection.close()
                connection = None
            self.told(feature, keep, status, time.monotonic() - began)
            # Without an answer, there may be nobody at the moment.
            pause = 0.005 if status is None else self.pause
            if pause:
                self.stopping.wait(pause)

    def told(self, feature, keep, status, took):
        with self.lock:
            (self.accepted if status == 202 else self.unknown).add(feature)
            self.statuses["kept" if keep else "fresh", status] += 1
            self.slowest = max(self.slowest, took)

    def moved_on(self, posts, limit=20):
        """Wait until so many more have been accepted."""
        wanted = len(self.accepted) + posts
        until(lambda: len(self.accepted) >= wanted, "the load", limit)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def differences(self, redis):
        """Lines that say what is lost, counted twice, or out of nowhere."""
        found = {field.decode().removesuffix(":yes"): int(value)
                 for field, value in redis.client.value(KEY).items()}
        sent = self.accepted | self.unknown
        lines = [f"lost: {feature}" for feature in self.accepted
                 if feature not in found]
        lines += [f"{feature}: {count}" for feature, count in found.items()
                  if count != 1 or feature not in sent]
        return lines[:20]

    @staticmethod
    def told_as(statuses):
        return ", ".join(f"{count} {way} {status or 'no answer'}"
                         for (way, status), count in
                         sorted(statuses.items(), key=str))

    def __str__(self):
        return f"{self.told_as(self.statuses)}; slowest {self.slowest:.2f} s"
