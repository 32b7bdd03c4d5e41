"""Bodies whose counts reports are made of."""

import datetime
import json

from tests.harness import fcgi
from tests.harness.servers import Flagtally, Redis
from tests.harness.tap import equal

NOW = datetime.datetime.now(datetime.timezone.utc)


def metric(feature, app="shop", env="production", days=0, hours=0, yes=1,
           no=0, variants=None):
    when = NOW - datetime.timedelta(days=days, hours=hours)
    return {"featureName": feature, "appName": app, "environment": env,
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "yes": yes,
            "no": no, "variants": variants or {}}


def registration(instance, version=None, app="shop", env="production"):
    found = {"appName": app, "environment": env, "instanceId": instance,
             "interval": 60, "strategies": [],
             "started": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {**found, "sdkVersion": version} if version else found


def day(days=0):
    return (NOW - datetime.timedelta(days=days)).strftime("%Y-%m-%d")


def hour(hours=0):
    return (NOW - datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H")


def histogram(labels, counts, total):
    """A sample of which ``counts`` has the observations of each bound."""
    seen, buckets = 0, []
    for bound, count in counts.items():
        seen += count
        buckets.append({"le": bound, "count": seen})
    return {"labels": labels, "count": seen, "sum": total, "buckets": buckets}


# 100 observations: half of them below 0.1, 45 below 1, four below 10.
SECONDS = {"name": "request_seconds", "help": "Time of a request",
           "type": "histogram", "samples": [histogram(
               {"route": 'a"b\\'}, {0.1: 50, 1: 45, 10: 4, "+Inf": 1}, 42.5)]}
BOUGHT = {"name": "bought_total", "help": "Purchases", "type": "counter",
          "samples": [{"labels": {"plan": "pro"}, "value": 7}]}
LOAD = {"name": "load", "help": "Load", "type": "gauge",
        "samples": [{"labels": {}, "value": 0.25}]}
EDGE = {"identifier": "01EDGE", "appName": "eu-edge", "region": None,
        "edgeVersion": "20.1.0", "hosting": "self-hosted",
        "started": "2026-11-26T18:55:38.136Z", "traffic": {"get": {}},
        "offline": False}


class Counted:
    """A program, its Redis, and counts."""

    def __init__(self, place, redis=None, **settings):
        self.place = place
        self.redis = Redis(place)
        self.settings = settings
        self.program = Flagtally(place, redis or self.redis, **settings)

    def post(self, metrics=(), applications=(), impact=()):
        answer = fcgi.post(self.program.address, json.dumps(
            {"applications": list(applications), "metrics": list(metrics),
             "impactMetrics": list(impact)}).encode())
        equal(answer.status, 202, "counts are accepted")
