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

If Unleash rejects a body (400, 413, 422), it is divided until the metrics that
are at fault are alone.  They are set aside: printed as JSON, and acknowledged.
After 100 of them it rather is the address or the server that is wrong, and the
rest is kept and tried again, as after any other error.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import unquote

import redis

GROUP, CONSUMER = "unleash", "forward"
FEEDS = 50                  # Feeds that are read at once,
ENTRIES = 50                # and entries of each.
BODY_MAX = 90000            # Bytes; Unleash takes 100 KiB.
PAUSE_MAX = 60              # Seconds after a failure.
REJECTIONS = (400, 413, 422)
ASIDE_MAX = 100             # Metrics that are set aside.


def say(text):
    print(f"forward: {text}", file=sys.stderr, flush=True)


said = set()


def say_once(text):
    if text not in said:
        said.add(text)
        say(text)


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
        elif isinstance(reply, redis.ResponseError) and \
                str(reply).startswith("WRONGTYPE"):
            say_once(f"{feed} is no stream, and is left out")
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
        environment, _, application = map(unquote, tag.partition(":"))
        for number, entry in entries:
            if not entry:
                say(f"{feed}: {number} was trimmed before it was sent")
            period = entry.get("period", "")
            for field, count in entry.items():
                feature, _, counter = field.partition(":")
                kind, _, variant = counter.partition(":")
                if kind not in ("yes", "no", "variant"):
                    continue
                if not count.isdecimal():
                    say(f"{feed}: {number} has no number of {field}")
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


class Unleash:
    def __init__(self, url, token):
        self.url = url + "/api/client/metrics/bulk"
        self.token = token
        self.aside = 0

    def post(self, metrics):
        """Post them, in bodies that Unleash takes; raise unless all get 202."""
        parts, size = [], 0
        for metric in metrics + [None]:
            text = metric and json.dumps(metric)
            if parts and (text is None or size + len(text) > BODY_MAX):
                self.post_parts(parts)
                parts, size = [], 0
            if text is not None:
                parts.append(text)
                size += len(text) + 2

    def post_parts(self, parts):
        """Post them in one body; divide it if it is rejected."""
        body = '{"applications": [], "metrics": [%s]}' % ", ".join(parts)
        request = urllib.request.Request(self.url, body.encode(), {
            "Content-Type": "application/json", "Authorization": self.token})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                if response.status != 202:
                    raise OSError(f"the answer is {response.status}, not 202")
        except urllib.error.HTTPError as error:
            if error.code not in REJECTIONS or self.aside == ASIDE_MAX:
                raise
            if len(parts) == 1:
                self.aside += 1
                say(f"{error}; this metric is set aside: {parts[0]}")
            else:
                middle = len(parts) // 2
                self.post_parts(parts[:middle])
                self.post_parts(parts[middle:])


def forward(server, prefix, unleash):
    """Forward what there is.

    What was delivered and not acknowledged comes first, in every pass: what a
    connection that broke had asked for may be delivered late.
    """
    # Sorted, so that a batch is the same when it is read again.
    feeds = [f"{prefix}:{{{name}}}:feed"
             for name in sorted(server.zrange(f"{prefix}:apps", 0, -1))]
    for first in range(0, len(feeds), FEEDS):
        some = feeds[first:first + FEEDS]
        for start in ("0", ">"):
            if start == ">":
                warn_of_trimmed(server, some)
            while batch := read(server, some, start):
                unleash.post(merge(batch))
                pipe = server.pipeline(transaction=False)
                for feed, entries in batch:
                    pipe.xack(feed, GROUP, *(number for number, _ in entries))
                pipe.execute()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("redis")
    parser.add_argument("url")
    parser.add_argument("--prefix", default="flagtally")
    parser.add_argument("--interval", type=float, default=10)
    options = parser.parse_args()
    server = redis.Redis.from_url(options.redis, decode_responses=True,
                                  socket_timeout=60)
    unleash = Unleash(options.url.rstrip("/"),
                      os.environ.get("UNLEASH_TOKEN", ""))
    pause = options.interval / 10
    while True:
        try:
            forward(server, options.prefix, unleash)
            pause = options.interval / 10
            time.sleep(options.interval)
        except (OSError, redis.RedisError) as error:
            say(f"{error}; again in {pause:g} s")
            time.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX)


if __name__ == "__main__":
    main()
