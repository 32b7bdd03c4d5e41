"""The main job: the API's example body, posted through lighttpd."""

import hashlib
import json
import os
import time

from tests.harness.servers import Flagtally, Lighttpd, Place, Redis
from tests.harness.tap import check, equal, run

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "..", "example-request.json"), "rb") as example:
    EXAMPLE = example.read()

APP = b"flagtally:{production:inventory-service}"
REGISTERED = b"flagtally:{default:inventory-service}"
HOUR, DAY = 3600, 86400


def without_writers(everything):
    return {key: value for key, value in everything.items()
            if b":writer:" not in key}


def seconds_to_live(redis, key):
    return redis("PTTL", key) / 1000


def near(got, wanted):
    """Equal but for the time that the test itself takes."""
    return wanted - 30 <= got <= wanted + 1


def example():
    with Place() as place:
        redis = Redis(place)
        tokens = place.file("tokens", "*:*.secret\n")
        web = Lighttpd(place, redis=redis.url(), tokens=tokens)
        before = int(time.time())
        answer = web.post(EXAMPLE, {"Authorization": "*:*.secret"})
        after = int(time.time())
        equal(answer[:2], (202, b"{}"), "the example body is accepted")
        equal(answer[2]["content-type"], "application/json",
              "the answer is JSON")
        everything = without_writers(redis.client.everything())
        registered = everything.pop(REGISTERED + b":instances:seen")
        listed = everything.pop(b"flagtally:apps")
        late = everything.get(APP + b":late")
        equal(set(late or []), {b"2024-01-15T09", b"2024-01-15"},
              "its buckets are late")
        counts = {b"new-checkout-flow:yes": b"300",
                  b"new-checkout-flow:no": b"120"}
        equal(everything, {
            APP + b":2024-01-15T09": counts,
            APP + b":2024-01-15": counts,
            APP + b":seen": {b"new-checkout-flow": 1705309200.0},
            b"flagtally:{flagtally:apps}:shares": {
                b"##": b"2", b"#default": b"1", b"#production": b"1",
                b"default:inventory-service": b"default",
                b"production:inventory-service": b"production"},
            APP + b":late": late,
            REGISTERED + b":instances": {b"default": json.dumps({
                "appName": "inventory-service", "environment": "default",
                "instanceId": "default",
                "interval": 60, "started": "2024-01-15T09:30:00Z",
                "strategies": ["default", "userWithId"],
            }, separators=(",", ":")).encode()},
        }, "exactly these keys and values are in Redis")
        equal(set(listed), {b"default:inventory-service",
                            b"production:inventory-service"},
              "both applications are listed")
        check(all(before <= score <= after for score in
                  [*listed.values(), *registered.values()]) and
              set(registered) == {b"default"},
              "what was seen was seen now", listed, registered)
        lives(redis)
        web.post(EXAMPLE, {"Authorization": "*:*.secret"})
        twice = {b"new-checkout-flow:yes": b"600",
                 b"new-checkout-flow:no": b"240"}
        equal([redis.client.value(APP + b":2024-01-15T09"),
               redis.client.value(APP + b":2024-01-15")], [twice, twice],
              "posted twice, twice the counts")


def lives(redis):
    for key, wanted in ((APP + b":2024-01-15T09", 2 * DAY),
                        (APP + b":2024-01-15", 90 * DAY)):
        got = seconds_to_live(redis, key)
        check(near(got, wanted), f"{key.decode()} lives for its retention",
              got)
    writers = redis("KEYS", "*:writer:*")
    check(len(writers) == 2 and
          all(near(seconds_to_live(redis, key), 30 * DAY)
              for key in writers),
          "a writer's key lives for 30 days", writers)
    for key in APP + b":seen", REGISTERED + b":instances":
        got = redis("TTL", key)
        check(near(got, 91 * DAY),
              f"{key.decode()} lives a day and the longer retention", got)
    equal(redis("TTL", b"flagtally:apps"), -1, "the list of all does not "
          "expire")


def body(**changes):
    metric = {"featureName": "f", "appName": "a", "environment": "e",
              "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
              "variants": {}}
    metric.update(changes)
    return json.dumps({"applications": [], "metrics": [metric]}).encode()


def retention():
    """A bucket lives until its end or now, whichever is later, and longer.

    What is more than a day ahead does not live until then.
    """
    now = int(time.time())
    hour = now - now % HOUR
    day = now - now % DAY
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(hour + 1))
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(day + DAY))
    ahead = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(day + 5 * DAY))
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, retention_hourly="3h",
                              retention_daily="10d")
        web = Lighttpd(place, socket_of=flagtally.address)
        for text, hour_end, day_end in (
                (stamp, hour + HOUR, day + DAY),
                (soon, day + DAY + HOUR, day + 2 * DAY),
                (ahead, now, now)):
            equal(web.post(body(timestamp=text))[0], 202, f"{text} counts")
            for key, wanted in ((text[:13], hour_end + 3 * HOUR),
                                (text[:10], day_end + 10 * DAY)):
                got = redis("TTL", "flagtally:{e:a}:" + key) + time.time()
                check(abs(got - wanted) < 10, f"{key} expires in time", got,
                      wanted)


def one_period():
    for hour, day, wanted in (("0", "90d", {b"p:{e:a}:2026-11-23"}),
                              ("48h", "0", {b"p:{e:a}:2026-11-23T09"})):
        with Place() as place:
            redis = Redis(place)
            flagtally = Flagtally(place, redis, retention_hourly=hour,
                                  retention_daily=day, prefix="p")
            web = Lighttpd(place, socket_of=flagtally.address)
            web.post(body())
            keys = set(redis("KEYS", "p:{e:a}:2026*"))
            equal(keys, wanted,
                  f"retention_hourly {hour}, retention_daily {day}")
            start = 1795392000 if hour == "0" else 1795424400
            equal(redis.client.value("p:{e:a}:seen"), {b"f": float(start)},
                  "seen has the start of the finest bucket")


def seen_tokens():
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        web = Lighttpd(place, socket_of=flagtally.address)
        web.post(json.dumps({"applications": [], "metrics": [],
                             "seenTokens": ["*:e.geheim", "x"]}).encode())
        digests = {hashlib.sha256(token).hexdigest().encode()
                   for token in (b"*:e.geheim", b"x")}
        equal(set(redis.client.value("flagtally:tokens:seen")), digests,
              "tokens that were seen stand there by their digests")
        dump = place.read("redis.d/redis.aof.1.incr.aof")
        check(digests.pop().decode() in dump, "Redis's file has a digest")
        logs = place.read(flagtally.log) + place.read(web.log)
        check("geheim" not in dump + logs, "no token is in Redis or a log")


run([example, retention, one_period, seen_tokens])
