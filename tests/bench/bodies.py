"""The bodies of the benchmark: made anew each time, always the same."""

import json
import os
import random

# Edge writes the members that nobody has set as null.
METRICS_MEMBERS = dict.fromkeys((
    "sdkVersion", "sdkType", "yggdrasilVersion", "platformName",
    "platformVersion", "sdkFlavor", "sdkFlavorVersion"))


def write(body):
    """As Unleash Edge writes it: no white space."""
    return json.dumps(body, separators=(",", ":")).encode()


def metric(chance, feature, app, variants, environment="production"):
    """An entry of metrics with Edge's full set of members, in its order."""
    return {
        "featureName": feature, "appName": app, "environment": environment,
        "timestamp": f"2026-11-23T09:{chance.randrange(60):02}:"
                     f"{chance.randrange(60):02}."
                     f"{chance.randrange(10 ** 9):09}Z",
        "yes": chance.randrange(2000), "no": chance.randrange(2000),
        "variants": variants, **METRICS_MEMBERS}


def application(number):
    return {
        "appName": f"shop-{number}", "connectVia": None,
        "environment": "production", "projects": ["default"],
        "instanceId": f"checkout-{number}-5d9f7c6b4-x{number:04}",
        "connectionId": f"0197f0c6-2f3b-7c11-9d1f-{number:012}",
        "interval": 15000, "started": "2026-11-23T08:00:00.123456Z",
        "strategies": ["default", "flexibleRollout", "userWithId"],
        "sdkVersion": "unleash-client-node:6.1.0", "sdkType": "backend",
        "yggdrasilVersion": "0.17.3", "platformName": "node",
        "platformVersion": "22.11.0", "sdkFlavor": None,
        "sdkFlavorVersion": None}


def variants_of(chance):
    """Every fourth metric has some."""
    if chance.random() >= 0.25:
        return {}
    return {name: chance.randrange(1, 500)
            for name in ("control", "treatment", "disabled")
            [:chance.randrange(1, 4)]}


def usage(size, features=300, apps=5, seed=1):
    """Metrics of so many features and applications, up to so many bytes."""
    chance = random.Random(seed)
    body = {"applications": [application(i) for i in range(apps)],
            "metrics": []}
    length = len(write(body))
    while length < size:
        entry = metric(chance, f"flag-{chance.randrange(features)}",
                       f"shop-{chance.randrange(apps)}",
                       variants_of(chance))
        body["metrics"].append(entry)
        length += len(write(entry)) + 1
    return write(body)


def one():
    chance = random.Random(2)
    return write({"applications": [], "metrics": [
        metric(chance, "flag-1", "shop-1", {})]})


def counters(count, seed=3):
    """As many metrics as it takes for so many distinct counters."""
    chance = random.Random(seed)
    return write({"applications": [], "metrics": [
        {**metric(chance, f"flag-{i}", "shop-1", {}),
         "yes": 1, "no": 1} for i in range(count // 2)]})


def many_metrics(count, seed=4):
    """So many metrics, of 300 features and 5 applications."""
    chance = random.Random(seed)
    return write({"applications": [], "metrics": [
        metric(chance, f"flag-{chance.randrange(300)}",
               f"shop-{chance.randrange(5)}", {}) for _ in range(count)]})


def impact(size, seed=5):
    """Counters, gauges and histograms with labels."""
    chance = random.Random(seed)

    def labels(i):
        return {"environment": "production", "origin": "sdk",
                "appName": f"shop-{i % 5}", "route": f"/r/{i}"}

    def histogram(i):
        return {"labels": labels(i), "count": chance.randrange(10 ** 6),
                "sum": chance.random() * 1e6,
                "buckets": [{"le": le, "count": chance.randrange(10 ** 6)}
                            for le in (0.005, 0.05, 0.1, 0.5, 1.0, 5.0,
                                       "+Inf")]}

    body = {"applications": [], "metrics": [], "impactMetrics": []}
    length = len(write(body))
    while length < size:
        kind = ("counter", "gauge", "histogram")[
            len(body["impactMetrics"]) % 3]
        entry = {"name": f"metric_{len(body['impactMetrics'])}",
                 "help": "What it measures, in a few words",
                 "type": kind,
                 "samples": [histogram(i) if kind == "histogram" else
                             {"labels": labels(i),
                              "value": chance.randrange(10 ** 6) / 8}
                             for i in range(8)]}
        body["impactMetrics"].append(entry)
        length += len(write(entry)) + 1
    return write(body)


def all_new(size, seed=6):
    """The worst case: every name comes once, and nothing is null."""
    chance = random.Random(seed)
    body = {"applications": [], "metrics": []}
    length = len(write(body))
    while length < size:
        i = len(body["metrics"])
        name = f"{chance.getrandbits(64):016x}"
        entry = metric(chance, f"feature-{name}", f"app-{name}",
                       {f"variant-{name}": 1}, f"env-{name}")
        entry["yes"], entry["no"] = i + 1, i + 2
        entry.update({key: value or f"{key}-{name}"
                      for key, value in entry.items() if key in METRICS_MEMBERS
                      and key != "sdkType" and value is None})
        body["metrics"].append(entry)
        length += len(write(entry)) + 1
    return write(body)


def sdk(size, seed=8):
    """The usage of one backend, as Node's SDK writes it."""
    chance = random.Random(seed)
    toggles = {}
    body = {"appName": "shop-1", "instanceId": "checkout-1-5d9f7c6b4-x0001",
            "connectionId": "3ab263ae-bf2b-4310-8400-08d3cd2db13b",
            "bucket": {"start": "2026-11-26T19:21:37.071Z",
                       "stop": "2026-11-26T19:22:37.078Z",
                       "toggles": toggles},
            "platformName": "node", "platformVersion": "20.20.2",
            "yggdrasilVersion": None, "specVersion": "5.2.0"}
    while len(write(body)) < size:
        toggles[f"flag-{len(toggles)}"] = {
            "yes": chance.randrange(2000), "no": chance.randrange(2000),
            "variants": variants_of(chance)}
    return write(body)


def parse_bodies(large):
    """{name: body} for the benchmark of parsing."""
    return {"1-metric": one(), "sdk-24K": sdk(24 * 1024),
            "edge-95K": usage(95 * 1024),
            "impact-95K": impact(95 * 1024),
            "all-new-1M": all_new(1 << 20),
            f"edge-{large >> 20}M": usage(large, seed=7)}


def entries(body):
    """How many metrics, or samples of impact metrics, a body holds."""
    tree = json.loads(body)
    if "bucket" in tree:
        return len(tree["bucket"]["toggles"])
    return len(tree["metrics"]) + sum(
        len(metric["samples"]) for metric in tree.get("impactMetrics", []))


def store(folder, bodies):
    """Write bodies to files; return their paths in order."""
    paths = {}
    for name, body in bodies.items():
        paths[name] = os.path.join(folder, name + ".json")
        with open(paths[name], "wb") as file:
            file.write(body)
    return paths
