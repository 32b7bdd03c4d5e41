"""A real Unleash Edge before flagtally, which hangs: each count counts once.

Needs the program unleash-edge, named by UNLEASH_EDGE; `tests/run sdks` builds
it.  It gives up after 5 s and repeats, so this takes half a minute.
"""

import json
import signal

from tests.harness import fcgi
from tests.harness.edge import Edge, Unleash
from tests.harness.front import Lighttpd, Nginx
from tests.harness.servers import Place, Redis
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

TOKEN = "*:development.secret"
DAY = "flagtally:{development:a}:2026-11-23"
# Edge tries again 5 s after it has begun to wait: a stall of 15 s and more.
TRIES, STALL = 4, 40


def report(edge, count):
    """Report to Edge as an SDK does."""
    equal(edge.ask("/api/client/metrics", json.dumps({
        "appName": "a", "instanceId": "i", "bucket": {
            "start": "2026-11-23T09:30:00Z",
            "stop": "2026-11-23T09:31:00Z", "toggles": {
                "f": {"yes": count, "no": 0, "variants": {}}}}}).encode())
        .status, 202, "Edge takes a report")


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
        edge = Edge(place, front.port, TOKEN)
        report(edge, 7)
        until(lambda: count() == 7, "a batch")
        before = connections(place)
        front.flagtally.signal(signal.SIGSTOP)
        report(edge, 5)
        until(lambda: connections(place) >= before + TRIES,
              "Edge to repeat", STALL)
        front.flagtally.signal(signal.SIGCONT)
        until(lambda: count() > 7, "the batch", STALL)
        # When a later batch has arrived, no repeat of this one is left.
        report(edge, 1)
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
