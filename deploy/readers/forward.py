#!/usr/bin/python3
"""Forward what flagtally counts to an Unleash server, whose own UI then shows it.

usage: UNLEASH_TOKEN=TOKEN forward.py [--prefix P] [--interval SECONDS] REDIS URL

such as: forward.py redis://flagtally-follower:PASSWORD@127.0.0.1:6379/0
         http://unleash.example.org

It needs `feed` in flagtally.ini, and Debian's package python3-redis.  Start one
for each Unleash server and environment of the token, and let systemd or the like
restart it.

It reads the feeds by the consumer group "unleash", adds up what is new, posts it
to URL/api/client/metrics/bulk, and acknowledges it in Redis after the answer 202:
so whatever is killed in between, nothing is lost.  What was sent and not
acknowledged is sent again, byte by byte the same unless applications were added
meanwhile; Unleash may count it twice.  Registrations and impact metrics are not
in the feeds.
"""

import argparse
import json
import os
import sys
import time
import urllib.request
from urllib.parse import unquote

import redis

GROUP, CONSUMER = "unleash", "forward"
FEEDS = 50                  # Feeds that are read at once,
ENTRIES = 50                # and entries of each.
BODY_MAX = 90000            # Bytes; Unleash takes 100 KiB.
PAUSE_MAX = 60              # Seconds after a failure.


def say(text):
    print(f"forward: {text}", file=sys.stderr, flush=True)


def read(server, feeds, start):
    """Return [(feed, [(id, entry)])]: new entries, or from start "0" those that
    were delivered and not acknowledged."""
    pipe = server.pipeline(transaction=False)
    for feed in feeds:
        pipe.xreadgroup(GROUP, CONSUMER, {feed: start}, count=ENTRIES)
    found, missing = [], []
    for feed, reply in zip(feeds, pipe.execute(raise_on_error=False)):
        if isinstance(reply, redis.ResponseError) and \
                str(reply).startswith("NOGROUP"):
            missing.append(feed)
        elif isinstance(reply, Exception):
            raise reply
        elif reply and reply[0][1]:
            found.append((feed, reply[0][1]))
    pipe = server.pipeline(transaction=False)
    for feed in missing:
        pipe.xgroup_create(feed, GROUP, "0")
    # One that has no feed yet has an error here.
    created = pipe.execute(raise_on_error=False)
    missing = [feed for feed, reply in zip(missing, created) if reply is True]
    return found + (read(server, missing, start) if missing else [])


def warn_of_trimmed(server, feeds):
    """Say what was trimmed before it was read, where Redis 7 knows it."""
    pipe = server.pipeline(transaction=False)
    for feed in feeds:
        pipe.xinfo_groups(feed)
        pipe.xinfo_stream(feed)
    replies = pipe.execute(raise_on_error=False)
    for feed, groups, stream in zip(feeds, replies[::2], replies[1::2]):
        for group in groups if isinstance(groups, list) else []:
            if group["name"] != GROUP or group.get("entries-read") is None:
                continue
            # The group's lag does not say it since Redis 8.
            trimmed = stream["entries-added"] - group["entries-read"] - \
                stream["length"]
            if trimmed > 0:
                say(f"{feed}: {trimmed} entries were trimmed before they "
                    "were read: raise feed in flagtally.ini")


def merge(batch):
    """Return the metrics of the entries, equal ones added up."""
    metrics = {}
    for feed, entries in batch:
        tag = feed[feed.index("{") + 1:feed.rindex("}")]
        environment, application = map(unquote, tag.split(":"))
        for number, entry in entries:
            if not entry:
                say(f"{feed}: {number} was trimmed before it was sent")
            period = entry.get("period", "")
            for field, count in entry.items():
                feature, _, counter = field.partition(":")
                kind, _, variant = counter.partition(":")
                if kind not in ("yes", "no", "variant"):
                    continue
                metric = metrics.setdefault((tag, period, feature), {
                    "featureName": unquote(feature), "appName": application,
                    "environment": environment, "timestamp": period + (
                        ":00:00Z" if "T" in period else "T00:00:00Z"),
                    "yes": 0, "no": 0, "variants": {}})
                counts = metric["variants"] if kind == "variant" else metric
                name = unquote(variant) if kind == "variant" else kind
                counts[name] = counts.get(name, 0) + int(count)
    return list(metrics.values())


def post(url, token, metrics):
    """Post them, in bodies that Unleash takes; raise unless all get 202."""
    parts, size = [], 0
    for metric in metrics + [None]:
        text = metric and json.dumps(metric)
        if parts and (text is None or size + len(text) > BODY_MAX):
            body = '{"applications": [], "metrics": [%s]}' % ", ".join(parts)
            request = urllib.request.Request(
                url + "/api/client/metrics/bulk", body.encode(), {
                    "Content-Type": "application/json",
                    "Authorization": token})
            with urllib.request.urlopen(request, timeout=30) as response:
                if response.status != 202:
                    raise OSError(f"the answer is {response.status}, not 202")
            parts, size = [], 0
        if text is not None:
            parts.append(text)
            size += len(text) + 2


def forward(server, prefix, url, token, start):
    """Forward what there is from there; return how many entries that were."""
    count = 0
    # Sorted, so that a batch is the same when it is read again.
    feeds = [f"{prefix}:{{{name}}}:feed"
             for name in sorted(server.zrange(f"{prefix}:apps", 0, -1))]
    for first in range(0, len(feeds), FEEDS):
        some = feeds[first:first + FEEDS]
        if start == ">":
            warn_of_trimmed(server, some)
        while batch := read(server, some, start):
            post(url, token, merge(batch))
            pipe = server.pipeline(transaction=False)
            for feed, entries in batch:
                pipe.xack(feed, GROUP, *(number for number, _ in entries))
                count += len(entries)
            pipe.execute()
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("redis")
    parser.add_argument("url")
    parser.add_argument("--prefix", default="flagtally")
    parser.add_argument("--interval", type=float, default=10)
    options = parser.parse_args()
    server = redis.Redis.from_url(options.redis, decode_responses=True,
                                  socket_timeout=60)
    place = (options.prefix, options.url.rstrip("/"),
             os.environ.get("UNLEASH_TOKEN", ""))
    pause, start = options.interval / 10, "0"
    while True:
        try:
            forward(server, *place, start)
            pause, start = options.interval / 10, ">"
            time.sleep(options.interval)
        except (OSError, redis.RedisError) as error:
            say(f"{error}; again in {pause:g} s")
            time.sleep(pause)
            pause, start = min(2 * pause, PAUSE_MAX), "0"


if __name__ == "__main__":
    main()
