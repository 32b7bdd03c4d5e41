"""The benchmark: tables of ratios, each taken in one run.

usage: bench.py [--build DIR] [--quick | --smoke] [--directory DIR]
                [--rounds N] [--servers NAME...] [--connections N...]
                [--before DIR] [--hash-entries N] [--svg FILE] [--peer DIR]
                [--] [PART...]

The parts are parse, whole, cluster, commit, feed, growth, replay, readers; all if
none is named.  peer and edge must be named: they install Unleash's server with
npm, and its Edge with cargo.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

from tests.bench import bodies, peer
from tests.bench.measure import (
    Directory, HOUR_OR_DAY, Lighttpd, Masters, Nginx, Readers, Replicated,
    Spread, Target, own_children_seconds, redis_cpu, redis_received, table, wrk)
from tests.harness.servers import Redis, environment, find

MODES = {
    #         rounds, ms of parsing, seconds of load, its connections
    "full": {"rounds": 5, "parse": 400, "load": 3,
             "connections": (1, 8, 32, 128), "servers": ("lighttpd", "nginx"),
             "large": 28 << 20, "groups": 4, "rows": 20000},
    "quick": {"rounds": 3, "parse": 60, "load": 1,
              "connections": (32,), "servers": ("lighttpd",),
              "large": 4 << 20, "groups": 1, "rows": 2000},
    "smoke": {"rounds": 1, "parse": 5, "load": 1,
              "connections": (8,), "servers": ("nginx",),
              "large": 1 << 18, "groups": 1, "rows": 50},
}


# What a body's targets are held against.
YARDSTICKS = (("1-metric", "null"), ("edge-95K", "yajl"))


class Bench:
    def __init__(self, options):
        self.build = os.path.abspath(options.build)
        self.mode = "quick" if options.quick else (
            "smoke" if options.smoke else "full")
        self.options = options
        for name, value in MODES[self.mode].items():
            setattr(self, name, value)
        for name in ("rounds", "connections", "servers"):
            setattr(self, name, getattr(options, name) or
                    getattr(self, name))
        self.curves = {}

    def program(self, name):
        return os.path.join(self.build, "tests/bench", name)

    def place(self):
        return Directory(self.options.directory)

    # a. Parsing

    def parse_rounds(self, paths, rounds=None, milliseconds=None):
        """{path: [(ns bare, allocations, ns whole, allocations)...]}"""
        text = subprocess.run(
            [self.program("parse"), str(rounds or self.rounds),
             str(milliseconds or self.parse), *paths], check=True,
            stdout=subprocess.PIPE, text=True).stdout
        found = {}
        for line in text.splitlines():
            path, *numbers = line.split("\t")
            found.setdefault(path, []).append([float(n) for n in numbers])
        return found

    def instructions(self, which, path):
        """Of one reading; None where callgrind is not installed."""
        if self.mode == "smoke" or shutil.which("valgrind") is None:
            return None
        text = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=measured",
             "--callgrind-out-file=/dev/null", self.program("parse"),
             "--once", which, path], check=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True).stdout
        return int(text.split("Collected : ")[1].split()[0])

    def run_parse(self):
        with self.place() as place:
            made = bodies.parse_bodies(self.large)
            paths = bodies.store(place.path, made)
            found = self.parse_rounds(list(paths.values()))
            rows = []
            for name, path in paths.items():
                rounds = found[path]
                share = Spread(one[0] / one[2] for one in rounds)
                entries = bodies.entries(made[name])
                speed = Spread(len(made[name]) / one[2] * 1e3
                               for one in rounds)
                each = Spread(one[2] / entries for one in rounds)
                bare = whole = None
                if len(made[name]) < 1 << 21:
                    bare = self.instructions("bare", path)
                    whole = self.instructions("whole", path)
                rows.append([
                    name, len(made[name]), entries, share.text(),
                    speed.text("{:.0f}"), each.text("{:.0f}"),
                    f"{whole:,}" if whole else "-",
                    f"{bare / whole:.2f}" if whole else "-",
                    f"{rounds[0][3]:.0f} / {rounds[0][1]:.0f}"])
        table("Parsing: body bytes to sealed tally, against bare yajl",
              ["body", "bytes", "entries", "share of bare yajl's throughput",
               "MB/s", "ns for each entry", "instructions",
               "share by instructions", "allocations: ours / yajl's"], rows)

    # b. The whole path

    def one_load(self, web, targets, body, connections):
        loads = {target.name: [] for target in targets}
        for _ in range(self.rounds):
            for target in targets:
                loads[target.name].append(
                    wrk(web, target, body, connections, self.load))
                target.settle()
        return loads

    @staticmethod
    def watch(targets, tree):
        """From now on the targets are held against so many of this body."""
        entry = next(one for one in tree["metrics"] if one["yes"])
        each = sum(one["yes"] for one in tree["metrics"] if all(
            one[name] == entry[name] for name in ("featureName", "appName")))
        for target in targets:
            target.watch("flagtally:{%s:%s}:2026-11-23" % (
                entry["environment"], entry["appName"]),
                entry["featureName"] + ":yes", each)

    def whole_rows(self, web, server, targets, name, made, path, yardstick):
        tree = json.loads(made)
        self.watch(targets, tree)
        rows = []
        for connections in self.connections:
            loads = self.one_load(web, targets, path, connections)
            base = loads[yardstick]
            for target in targets:
                mine = loads[target.name]
                before = loads.get(target.name + "-before", [])
                metrics = len(tree["metrics"]) / 1e6
                cpu = Spread(l.cpu / l.requests * 1e6 for l in mine)
                rows.append([
                    server, name, connections, target.name,
                    Spread(l.rate for l in mine).text("{:.0f}"),
                    Spread(l.rate / b.rate for l, b in
                           zip(mine, base)).text(),
                    Spread(b.cpu / b.requests / (l.cpu / l.requests)
                           for l, b in zip(mine, base)).text(),
                    *([Spread(l.rate / b.rate for l, b in
                              zip(mine, before)).text() if before else "-"]
                      if self.options.before else []),
                    *(f"{Spread(getattr(l, p) for l in mine).median / 1e3:.2f}"
                      for p in ("p50", "p99", "p999")),
                    f"{cpu.median:.0f}",
                    *(f"{Spread(l.shares.get(p, 0) / l.requests / metrics for l in mine).median:.2f}"
                      for p in ("it", "redis")),
                    f"{target.group_size():.1f}", f"{target.peak():.1f}"])
        return rows

    def run_whole(self):
        rows, paced = [], []
        with self.place() as place:
            made = {"1-metric": bodies.one(),
                    "edge-95K": bodies.usage(95 * 1024)}
            paths = bodies.store(place.path, made)
            names = ("null", "yajl", "spool", "redis")
            targets = [Target(place, self.build, name,
                              hash_entries=self.options.hash_entries)
                       for name in names
                       if self.mode != "smoke" or name in ("yajl", "redis")]
            if self.options.before:
                targets[2:2] = [Target(place, self.options.before, name,
                                       hash_entries=self.options.hash_entries)
                                for name in ("spool-before", "redis-before")]
            for server in self.servers:
                web = {"lighttpd": Lighttpd, "nginx": Nginx}[server](
                    place, targets)
                for name, yardstick in YARDSTICKS[self.mode == "smoke":]:
                    rows += self.whole_rows(web, server, targets, name,
                                            made[name], paths[name],
                                            yardstick)
                if self.mode != "smoke":
                    paced += self.paced(web, server, targets[-1],
                                        made, paths)
                web.end()
        heads = ["server", "body", "connections", "target", "requests/s",
                 "share of yardstick", "share by CPU time",
                 *(["times before"] if self.options.before else []),
                 "p50 ms", "p99 ms", "p99.9 ms", "CPU us/request, all",
                 "its CPU s/M metrics", "Redis CPU s/M metrics",
                 "requests a group", "peak MB"]
        table("The whole path: wrk, web server, target, Redis.  The yardstick "
              "of 1-metric is null, that of edge-95K is yajl", heads, rows)
        if paced:
            table("Parts of the maximum rate, 32 connections, ack=redis",
                  ["server", "body", "of the maximum", "rate", "p50 ms",
                   "p99 ms", "p99.9 ms", "Redis CPU us/request"], paced)

    def paced(self, web, server, target, made, paths):
        rows = []

        def load(name, pause):
            load = wrk(web, target, paths[name], 32, max(self.load, 3), pause)
            target.settle()
            return load

        for name in paths:
            self.watch([target], json.loads(made[name]))
            maximum = load(name, 0).rate
            for percent in (10, 50, 100):
                pause = max(32e3 / (maximum * percent / 100) - 1, 1)
                loads = [load(name, pause if percent < 100 else 0)
                         for _ in range(self.rounds)]
                rows.append([
                    server, name, f"{percent} %",
                    Spread(l.rate for l in loads).text("{:.0f}"),
                    *(Spread(getattr(l, p) / 1e3 for l in loads).text()
                      for p in ("p50", "p99", "p999")),
                    Spread(l.shares["redis"] / l.requests * 1e6
                           for l in loads).text("{:.0f}")])
        return rows

    def run_cluster(self):
        rows = []
        made = bodies.usage(95 * 1024, apps=40)
        with self.place() as place:
            path = bodies.store(place.path, {"edge-95K": made})["edge-95K"]
            targets = [Masters(place, self.build, count)
                       for count in (1, 2, 3)]
            web = Lighttpd(place, targets)
            entry = next(one for one in json.loads(made)["metrics"]
                         if one["yes"])
            each = sum(one["yes"] for one in json.loads(made)["metrics"]
                       if all(one[name] == entry[name] for name in
                              ("featureName", "appName")))
            loads = {target: [] for target in targets}
            for target in targets:
                target.watch("flagtally:{%s:%s}:2026-11-23" % (
                    entry["environment"], entry["appName"]),
                    entry["featureName"] + ":yes", each)
            for _ in range(self.rounds):
                for target in targets:
                    loads[target].append(target.load(web, path, 32, self.load))
            base = loads[targets[0]]
            for target in targets:
                mine = loads[target]
                rows.append([
                    len(target.redis.nodes),
                    Spread(l.rate for l in mine).text("{:.0f}"),
                    Spread(l.whole for l in mine).text("{:.0f}"),
                    Spread(l.whole / b.whole for l, b in
                           zip(mine, base)).text(),
                    f"{Spread(l.p50 for l in mine).median / 1e3:.1f}",
                    f"{Spread(l.p99 for l in mine).median / 1e3:.1f}",
                    " / ".join(f"{Spread(cpus).median:.0f}" for
                               cpus in zip(*(l.each for l in mine)))])
            web.end()
        table("A cluster of slow masters, each of which runs for "
              f"{Masters.RUN} of {Masters.RUN + Masters.STAND} ms: 95 KiB of "
              "40 applications, 32 connections", [
                  "masters", "requests/s", "until Redis has them",
                  "times one", "p50 ms", "p99 ms",
                  "CPU us/request of each"], rows)

    def run_replicas(self):
        """What it costs that a replica confirms."""
        rows = []
        made = {"1-metric": bodies.one(), "edge-95K": bodies.usage(95 * 1024)}
        with self.place() as place:
            paths = bodies.store(place.path, made)
            targets = [Replicated(place, self.build, "none"),
                       Replicated(place, self.build, "replica",
                                  redis_replicas=1)]
            if targets[0].redis.version() >= (7, 2):
                targets.append(Replicated(place, self.build, "file",
                                          redis_replicas=1, redis_aof="yes"))
            web = Lighttpd(place, targets)
            for name, path in paths.items():
                tree = json.loads(made[name])
                entry = next(one for one in tree["metrics"] if one["yes"])
                each = sum(one["yes"] for one in tree["metrics"] if all(
                    one[key] == entry[key]
                    for key in ("featureName", "appName")))
                for target in targets:
                    target.watch("flagtally:{%s:%s}:2026-11-23" % (
                        entry["environment"], entry["appName"]),
                        entry["featureName"] + ":yes", each)
                for connections in (1, 32):
                    loads = self.one_load(web, targets, path, connections)
                    for target in targets:
                        mine, base = loads[target.name], loads["none"]
                        rows.append([
                            name, connections, target.name,
                            Spread(l.rate for l in mine).text("{:.0f}"),
                            Spread(l.rate / b.rate for l, b in
                                   zip(mine, base)).text(),
                            *(Spread(getattr(l, p) / 1e3 for l in mine).text()
                              for p in ("p50", "p99")),
                            f"{Spread(l.cpu / l.requests * 1e6 for l in mine).median:.0f}"])
            web.end()
        table("A master and its replica: nothing is confirmed, redis_replicas "
              "= 1, and redis_aof as well", [
                  "body", "connections", "confirmed by", "requests/s",
                  "times none", "p50 ms", "p99 ms", "CPU us/request, all"],
              rows)

    # c. Commit

    def commit_once(self, redis, tallies, counters, applications, groups,
                    *announced):
        """Microseconds for each merged counter, bytes for each, and calls."""
        command = [self.program("commit"), redis.path]
        numbers = [str(n) for n in (tallies, counters, applications, groups,
                                    *announced)]
        redis("CONFIG", "RESETSTAT")
        cpu, received = redis_cpu(redis), redis_received(redis)
        own = int(subprocess.run(command + numbers, check=True,
                                 stdout=subprocess.PIPE).stdout)
        merged = counters * groups
        return ((redis_cpu(redis) - cpu) * 1e6 / merged, own / 1e3 / merged,
                (redis_received(redis) - received) / merged,
                redis.calls() / groups)

    def commit_spread(self, redis, *plan, groups=None):
        groups = groups or max(2, self.groups * 20000 // plan[1])
        if plan[0] * plan[1] * groups > 40e6:
            groups = max(1, int(40e6 / plan[0] / plan[1]))
        self.commit_once(redis, 1, plan[1], plan[2], 1)
        return list(zip(*(self.commit_once(redis, *plan, groups)
                          for _ in range(self.rounds))))

    def run_commit(self):
        rows = []
        sizes = ((1, 2), (32, 2), (1, 100), (32, 100), (32, 600), (32, 1000),
                 (32, 10000), (128, 10000), (128, 100000))
        if self.mode != "full":
            sizes = ((1, 2), (32, 100), (32, 1000), (32, 10000))
        if self.mode == "smoke":
            sizes = ((32, 100),)
        for appendonly in ("yes", "no")[:1 if self.mode == "smoke" else 2]:
            for tallies, counters in sizes:
                with self.place() as place:
                    redis = Redis(place, appendonly=appendonly)
                    us, own, size, calls = self.commit_spread(
                        redis, tallies, counters, 1)
                rows.append([
                    appendonly, tallies, counters,
                    Spread(u / HOUR_OR_DAY for u in us).text(),
                    Spread(own).text(), f"{Spread(size).median:.1f}",
                    f"{Spread(calls).median:.1f}"])
        table("Commit: groups of tallies that all have the same counters",
              ["appendonly", "tallies", "distinct counters",
               "Redis CPU us for each merged counter and bucket",
               "our CPU us for each merged counter",
               "bytes sent for each", "script calls a group"], rows)

    # d. The feed

    def run_feed(self):
        """Each way beside the others, on the same Redis, in each round."""
        ways = {"off": (0, 0), "publish": (0, 1), "feed": (1000, 0),
                "both": (1000, 1)}
        sizes = ((2, 4000), (20, 2000), (100, 1000), (500, 400), (1000, 200))
        if self.mode != "full":
            sizes = ((2, 400), (100, 100))[self.mode == "smoke":]
        rows = []
        for counters, groups in sizes:
            found = {way: [] for way in ways}
            with self.place() as place:
                redis = Redis(place)
                for _ in range(1 + 2 * self.rounds):
                    for way, announced in ways.items():
                        found[way].append(self.commit_once(
                            redis, 1, counters, 1, groups, *announced)[0])
            # The first round had everything to create.
            found = {way: times[1:] for way, times in found.items()}
            for way, times in found.items():
                rows.append([
                    counters, way, Spread(
                        us / HOUR_OR_DAY for us in times).text(), Spread(
                        us / off for us, off in zip(times, found["off"])
                    ).text("{:.3f}")])
        table("Feed and publish: groups of one application",
              ["distinct counters", "what is on",
               "Redis CPU us for each counter and bucket", "times off"], rows)

    # e. Growth

    def curve(self, name, unit, points):
        self.curves[name] = (unit, points)
        first = points[0][1].median
        table(f"Growth: {name}", [name, unit, "relative to the first"],
              [[x, spread.text("{:.3g}"), f"{spread.median / first:.2f}"]
               for x, spread in points])

    def sizes(self, *values):
        return values if self.mode == "full" else values[:3]

    def grow_bodies(self, place):
        sizes = self.sizes(1, 10, 100, 1000, 10000, 100000)
        made = {f"size-{n}": bodies.many_metrics(n) for n in sizes}
        paths = bodies.store(place.path, made)
        found = self.parse_rounds(list(paths.values()))
        self.curve("metrics in a body", "ns to parse one", [
            (n, Spread(one[2] / n for one in found[paths[f"size-{n}"]]))
            for n in sizes])
        sizes = self.sizes(100, 1000, 10000, 100000)
        made = {f"counters-{n}": bodies.counters(n) for n in sizes}
        paths = bodies.store(place.path, made)
        found = self.parse_rounds(list(paths.values()))
        self.curve("distinct counters in a body", "ns to parse one", [
            (n, Spread(one[2] / n for one in found[paths[f"counters-{n}"]]))
            for n in sizes])

    def grow_groups(self):
        points = []
        for applications in self.sizes(1, 10, 100, 1000):
            with self.place() as place:
                us, *_ = self.commit_spread(
                    Redis(place), 1, 20 * applications, applications)
            points.append((applications, Spread(us)))
        self.curve("applications in a group (20 counters each)",
                   "Redis CPU us for each counter", points)
        points = []
        for features in self.sizes(0, 1000, 10000, 100000):
            with self.place() as place:
                redis = Redis(place)
                fill(redis, features)
                us, *_ = self.commit_spread(redis, 1, 1000, 1)
            points.append((max(features, 1), Spread(us)))
        self.curve("features already in the bucket",
                   "Redis CPU us for each counter", points)

    def grow_load(self):
        with self.place() as place:
            path = bodies.store(place.path, {"one": bodies.one()})["one"]
            target = Target(place, self.build, "redis")
            web = Lighttpd(place, [target])
            points = []
            for connections in self.sizes(1, 4, 16, 64, 256):
                loads = [wrk(web, target, path, connections, self.load)
                         for _ in range(self.rounds)]
                points.append((connections, Spread(
                    (l.shares["it"] + l.shares["redis"]) / l.requests * 1e6
                    for l in loads)))
            self.curve("connections", "CPU us a request, ours and Redis'",
                       points)

    def grow_processes(self):
        points = []
        for count in self.sizes(1, 2, 4):
            with self.place() as place:
                path = bodies.store(place.path, {"e": bodies.usage(97280)})
                target = Target(place, self.build, "redis", count)
                web = Lighttpd(place, [target])
                loads = [wrk(web, target, path["e"], 32, self.load)
                         for _ in range(self.rounds)]
                points.append((count, Spread(l.cpu / l.requests * 1e6
                                             for l in loads)))
        self.curve("processes (95 KiB, 32 connections)",
                   "CPU us a request, client, server, Redis", points)

    def run_growth(self):
        with self.place() as place:
            self.grow_bodies(place)
        if self.mode != "smoke":
            self.grow_groups()
        if self.mode == "full":
            self.grow_load()
            self.grow_processes()
        if self.options.svg:
            plot(self.curves, self.options.svg)

    # f. Replay

    def run_replay(self):
        rows = []
        for counters in (100,) if self.mode == "smoke" else (2, 100):
            found = []
            for _ in range(self.rounds):
                with self.place() as place:
                    found.append(self.replay_once(place, counters))
            took, sent, cpu = zip(*found)
            rows.append([
                self.rows, counters,
                Spread(self.rows / t for t in took).text("{:.0f}"),
                Spread(self.rows * counters / t
                       for t in took).text("{:.0f}"),
                Spread(c / self.rows * 1e6 for c in cpu).text("{:.0f}"),
                Spread(sent).median])
        table("Replay: a spool that has gathered, one tally a row",
              ["rows", "counters in each", "rows/s", "counters/s",
               "CPU us a row, ours and Redis'", "script calls"], rows)

    def replay_once(self, place, counters):
        redis = Redis(place)
        spool = place.file("spool.db")
        subprocess.run([self.program("commit"), "--spool", spool,
                        str(self.rows), str(counters), "1"], check=True,
                       stdout=subprocess.DEVNULL)
        redis("CONFIG", "RESETSTAT")
        own, cpu = own_children_seconds(), redis_cpu(redis)
        began = time.monotonic()
        subprocess.run(
            [os.path.join(self.build, "fcgi/flagtally"), "--replay"],
            env=environment(redis=redis.url(), spool=spool,
                            log_level="warning"), check=True,
            stdout=subprocess.DEVNULL)
        took = time.monotonic() - began
        got = int(redis("HGET", "flagtally:{production:shop-0}:2026-11-23",
                        "flag-0:yes"))
        if got != 3 * self.rows:
            raise RuntimeError(f"replayed {got}, not {3 * self.rows}")
        return (took, redis.calls(), own_children_seconds() - own +
                redis_cpu(redis) - cpu)

    # g. Readers

    def run_readers(self):
        """Posts with and without a scrape each second and ten page views."""
        rows = []
        for features in (100,) if self.mode == "smoke" else (100, 1000):
            with self.place() as place:
                path = bodies.store(place.path, {"one": bodies.one()})["one"]
                target = Target(place, self.build, "redis")
                web = Lighttpd(place, [target])
                readers = Readers(target, features)
                found = {False: [], True: []}
                for _ in range(self.rounds * 3):
                    for reading in found:
                        readers.reading(reading)
                        found[reading].append(wrk(
                            web, target, path, 8, self.load, pause=20))
                readers.reading(False)
            for percentile in ("p50", "p99", "p999"):
                without, reading = (
                    [getattr(load, percentile) / 1e3 for load in found[way]]
                    for way in (False, True))
                rows.append([
                    features, percentile, Spread(without).text(),
                    Spread(reading).text(), Spread(
                        b / a for a, b in zip(without, reading)).text()])
            rows.append([features, "posts/s", *(
                Spread(load.rate for load in found[way]).text("{:.0f}")
                for way in (False, True)), ""])
            rows.append([features, "page views, ms", "",
                         Spread(readers.took).text(), ""])
        table("Posts while pages of an application with so many features are "
              "viewed ten times a second, and usage is scraped each second: "
              "1-metric, 8 connections, ack=redis",
              ["features", "of posts", "without ms", "with ms",
               "with / without"], rows)

    # h. The optional peers

    def run_peer(self):
        peer.run(self, self.options.peer)

    def run_edge(self):
        peer.run_edge(self, self.options.peer)


def fill(redis, features):
    """Put features into the buckets that the benchmark counts in."""
    tag = "flagtally:{production:shop-0}"
    for first in range(0, features, 1000):
        some = range(first, min(first + 1000, features))
        for period in ("2026-11-23T09", "2026-11-23"):
            redis("HSET", f"{tag}:{period}", *(
                word for i in some for word in (f"old-{i}:yes", "1")))


def plot(curves, path):
    """Growth in one picture, a panel each; level is linear, falling better."""
    down = (len(curves) + 1) // 2
    lines = [f"set terminal svg size 900,{250 * down + 30} font 'sans,12'",
             f"set multiplot layout {down},2 title 'What one costs when "
             "there are more of them; dashed: linear'",
             "set logscale x", "set yrange [0:*]", "set offsets 0,0,0,0",
             "set grid ytics lt 1 lw 0.5 lc rgb '#dddddd'", "unset key",
             "set border 3", "set tics nomirror", "set tmargin 3",
             "set bars 0.6", "set pointintervalbox 0"]
    for number, (name, (unit, points)) in enumerate(curves.items()):
        rows = "\n".join(f"{x} {spread.median} {min(spread.values)} "
                         f"{max(spread.values)}" for x, spread in points)
        ticks = ", ".join(f"'{x if x < 1000 else f'{x // 1000}k'}' {x}"
                          for x, _ in points)
        top = max(max(spread.values) for _, spread in points)
        lines += [f"$d{number} << EOD\n{rows}\nEOD",
                  f'set title "{name}"', f'set ylabel "{unit}"',
                  f"set xtics ({ticks})", f"set yrange [0:{top * 1.15}]",
                  f"set xrange [{points[0][0] * 0.8}:{points[-1][0] * 1.25}]",
                  f"plot {points[0][1].median} dt 2 lc rgb '#888888', "
                  f"$d{number} with yerrorbars pt 7 ps 0.5 lc rgb '#1f5fa8', "
                  f"$d{number} with lines lw 2 lc rgb '#1f5fa8'"]
    picture = subprocess.run(
        [find("gnuplot")], check=True, text=True, stdout=subprocess.PIPE,
        input="\n".join(lines) + "\n").stdout
    # Most of what gnuplot writes says nothing.
    picture = picture.replace(
        ' stroke-linecap="butt" stroke-linejoin="miter"', "")
    empty = re.compile(r"\s*<g [^>]*>\s*</g>")
    while empty.search(picture):
        picture = empty.sub("", picture)
    with open(path, "w", encoding="utf-8") as file:
        file.write(picture)


def sync_time(directory):
    """Median milliseconds for a small write to be on disk there."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(50):
            began = time.monotonic()
            os.write(file.fileno(), b"x" * 512)
            os.fdatasync(file.fileno())
            times.append(time.monotonic() - began)
    return Spread(times).median * 1e3


def machine(bench):
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()

    def version(*command):
        return subprocess.run([find(command[0]), *command[1:]],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False).stdout.splitlines()[0]

    print(f"{os.cpu_count()} x {model}, Linux {platform.release()}, load "
          f"{os.getloadavg()[0]:.1f} at the start; mode {bench.mode}, "
          f"{bench.rounds} rounds: median (least..most)")
    print(version("redis-server", "--version"))
    print(version("lighttpd", "-v") + "; " + version("nginx", "-v"))
    print(f"files in {bench.options.directory}, where a small write is on "
          f"disk after {sync_time(bench.options.directory):.2f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--quick", action="store_true",
                        help="less than three minutes")
    parser.add_argument("--smoke", action="store_true",
                        help="seconds: does it all run?")
    parser.add_argument("--directory", default=tempfile.gettempdir(),
                        help="where the files of Redis and the spool lie")
    parser.add_argument("--rounds", type=int, help="of everything")
    parser.add_argument("--connections", type=int, nargs="+",
                        help="of whole")
    parser.add_argument("--servers", nargs="+", choices=("lighttpd", "nginx"),
                        help="of whole")
    parser.add_argument("--before", help="of whole: the build directory of "
                        "another version, to be measured beside this one")
    parser.add_argument("--hash-entries", type=int, default=512, help="fields "
                        "that Redis keeps as a list, in part whole")
    parser.add_argument("--svg", help="plot growth into this file")
    parser.add_argument("--peer", help="where the peers are installed (the "
                        "user's cache)")
    parser.add_argument("parts", nargs="*", metavar="PART")
    options = parser.parse_args()
    bench = Bench(options)
    parts = ["parse", "whole", "cluster", "replicas", "commit", "feed", "growth",
             "replay", "readers"]
    unknown = set(options.parts) - set(parts) - {"peer", "edge"}
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    machine(bench)
    for part in parts + ["peer", "edge"]:
        if part in (options.parts or parts):
            getattr(bench, "run_" + part)()


main()
