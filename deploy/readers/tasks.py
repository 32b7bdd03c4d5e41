#!/usr/bin/python3
"""Reads flagtally's counts: python3 tasks.py TASK ARGUMENT...

It takes Debian's python3-redis, and REDIS_URL if Redis is not on this host:
    top ENV APP, stale ENV APP, rollout ENV APP FLAG, month ENV APP YYYY-MM,
    p95 ENV METRIC, below SDK VERSION
"""
import json, os, re, sys, time
from urllib.parse import quote, unquote
import redis

server = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1"), decode_responses=True)

def key(*names):
    return "flagtally:{" + ":".join(quote(name, safe="") for name in names) + "}:"

def periods(count, seconds, form):
    return [time.strftime(form, time.gmtime(time.time() - n * seconds)) for n in reversed(range(count))]

def pipelined(command, keys, *arguments):
    """One round trip for all keys."""
    pipe = server.pipeline(transaction=False)
    for one in keys:
        getattr(pipe, command)(one, *arguments)
    return pipe.execute()

def top(environment, application):
    """The ten flags that were evaluated most in seven days, by day."""
    days = periods(7, 86400, "%Y-%m-%d")
    totals = {}
    for at, bucket in enumerate(pipelined("hgetall", [key(environment, application) + day for day in days])):
        for field, count in bucket.items():
            flag, counter = field.split(":", 1)
            if counter in ("yes", "no"):
                totals.setdefault(flag, [0] * 7)[at] += int(count)
    print("flag", *days, sep="\t")
    for flag in sorted(totals, key=lambda flag: (-sum(totals[flag]), flag))[:10]:
        print(unquote(flag), *totals[flag], sep="\t")

def stale(environment, application):
    """The flags that were not evaluated for 30 days, and the day when they last were."""
    limit = int(time.time()) - 30 * 86400
    for flag, seen in server.zrangebyscore(key(environment, application) + "seen", "-inf", f"({limit}", withscores=True):
        print(unquote(flag), time.strftime("%Y-%m-%d", time.gmtime(seen)), sep="\t")

def rollout(environment, application, flag):
    """The yes-share of a flag in each of 24 hours, in percent."""
    hours = periods(24, 3600, "%Y-%m-%dT%H")
    fields = [f"{quote(flag, safe='')}:{counter}" for counter in ("yes", "no")]
    found = pipelined("hmget", [key(environment, application) + hour for hour in hours], fields)
    for hour, counts in zip(hours, found):
        yes, no = (int(count or 0) for count in counts)
        if yes + no:
            print(hour, yes, no, 100 * yes // (yes + no), sep="\t")

def month(environment, application, name):
    """All counters of a month as CSV for a spreadsheet, in which no name becomes a formula."""
    def cell(text):
        return '"' + ("'" if text[:1] in tuple("=+-@\t\r") else "") + text.replace('"', '""') + '"'
    days = [f"{name}-{day:02}" for day in range(1, 32)]
    print("day,flag,counter,count", end="\r\n")
    for day, bucket in zip(days, pipelined("hgetall", [key(environment, application) + day for day in days])):
        for field in sorted(bucket):
            flag, counter = map(unquote, field.split(":", 1))
            print(day, cell(flag), cell(counter), bucket[field], sep=",", end="\r\n")

def p95(environment, metric):
    """The 95th percentile of a histogram over all its series, which have the same bounds."""
    buckets = {}
    for field, count in server.hgetall(key(environment) + "impact:" + metric).items():
        if found := re.search(r'^_bucket\{.*le="([^"]*)"\}$', field):
            buckets[float(found[1])] = buckets.get(float(found[1]), 0) + int(count)
    rank, below, before = 0.95 * max(buckets.values()), 0, 0
    for bound in sorted(buckets):
        if buckets[bound] >= rank and bound != float("inf"):
            below += (bound - below) * (rank - before) / (buckets[bound] - before)
        if buckets[bound] >= rank:
            break
        below, before = bound, buckets[bound]
    print(f"{below:.6g}")

def below(sdk, version):
    """The instances that run a version of an SDK below this one: two round trips."""
    def number(text):
        return [int(part) for part in re.findall(r"\d+", text)[:3]]
    applications = server.zrange("flagtally:apps", 0, -1)
    for application, instances in zip(applications, pipelined("hgetall", [f"flagtally:{{{name}}}:instances" for name in applications])):
        for instance in sorted(instances):
            name, _, runs = (json.loads(instances[instance]).get("sdkVersion") or "").rpartition(":")
            if name == sdk and number(runs) < number(version):
                print(*map(unquote, application.split(":")), unquote(instance), runs, sep="\t")

TASKS = {task.__name__: task for task in (top, stale, rollout, month, p95, below)}
if len(sys.argv) < 2 or sys.argv[1] not in TASKS:
    sys.exit(__doc__)
TASKS[sys.argv[1]](*sys.argv[2:])
