"""The page at /flagtally, asked as a web server asks."""

import concurrent.futures
import csv
import html.parser
import io
import json
import os
import re
import time
from urllib.parse import quote, urlencode

from tests.harness import fcgi
from tests.harness.pages import HOSTILE, Story
from tests.harness.proxy import Proxy
from tests.harness.reports import BOUGHT, EDGE, LOAD, NOW, SECONDS, day, \
    metric, registration
from tests.harness.servers import Flagtally, Place, Redis, find
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SANITIZED = "FLAGTALLY_SANITIZER" in os.environ


class SlowReader(fcgi.Connection):
    """Takes 3 seconds to read 5 MB."""

    took = 0

    def read_record(self):
        began = time.monotonic()
        time.sleep(0.005)
        self.took += time.monotonic() - began
        return super().read_record()


class Page(html.parser.HTMLParser):
    """The elements and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.attributes = [], [], set()
        self.texts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs
                       if tag == "a" and name == "href"]

    def handle_data(self, data):
        self.texts.append(data)


def page_of(answer):
    equal(answer.status, 200, "a page is sent")
    return Page(answer.body.decode())


def views():
    with Place() as place:
        story = Story(place)
        story.post([metric("on", yes=9, no=1, variants={"blue": 4}),
                    metric("on", days=2, yes=5),
                    metric("old", days=45, yes=3),
                    metric("on", app="till", env="dev", yes=1)],
                   [registration("i1", "unleash-client-node:6.1.0")])
        found = page_of(story.get())
        check({"shop", "till", "dev", "production"} <= set(found.texts),
              "the first page lists environments and applications",
              found.texts)
        check("?env=production&app=shop" in found.links,
              "and leads to the applications", found.links)
        found = page_of(story.get(env="dev"))
        check("till" in found.texts and "shop" not in found.texts,
              "one environment alone")
        found = page_of(story.get(env="production", app="shop"))
        check({"on", "old", "stale", "unleash-client-node:6.1.0"} <=
              set(found.texts), "an application has features and SDKs",
              found.texts)
        check(found.texts.index("on") < found.texts.index("old"),
              "most evaluations first")
        check("?env=production&app=shop&feature=on" in found.links,
              "and leads to the features", found.links)
        found = page_of(story.get(env="production", app="shop", feature="on"))
        check("blue" in found.texts and day() in found.texts and
              "rect" in found.tags, "a feature has a chart, a table, variants")
        found = page_of(story.get(env="production", app="shop", feature="on",
                                  by="hour", periods=24))
        check(NOW.strftime("%Y-%m-%dT%H") in found.texts, "by hour, too")
        equal(sum("T" in text and len(text) == 13 for text in found.texts), 24,
              "as many periods as asked for")
        found = page_of(story.get(env="nowhere"))
        check(any("No application" in text for text in found.texts),
              "an unknown environment says so")


def more_views():
    """SDKs, stale features, impact metrics, Edge and health."""
    with Place() as place:
        story = Story(place, spool=place.file("spool.db"))
        story.post([metric("used"), metric("old", days=40)],
                   [registration("i1", "unleash-client-node:6.9.0"),
                    registration("i2", "unleash-client-node:6.10.0")],
                   [SECONDS, BOUGHT, LOAD])
        fcgi.post(story.program.address, json.dumps(EDGE).encode(),
                  REQUEST_URI="/api/client/metrics/edge")
        found = page_of(story.get(show="stale"))
        check("old" in found.texts and "used" not in found.texts,
              "stale features", found.texts)
        found = page_of(story.get(show="stale", days=50))
        check("old" not in found.texts, "of an age")
        found = page_of(story.get(show="sdks"))
        check({"unleash-client-node:6.9.0", "unleash-client-node:6.10.0",
               "shop"} <= set(found.texts), "SDKs of all applications")
        found = page_of(story.get(show="sdks",
                                  below="unleash-client-node:6.10.0"))
        check("unleash-client-node:6.9.0" in found.texts and
              "unleash-client-node:6.10.0" not in found.texts,
              "and those below a version")
        found = page_of(story.get(show="impact"))
        check({"request_seconds", "bought_total", "load", "0.25",
               'plan="pro"'} <= set(found.texts), "impact metrics",
              found.texts)
        at = found.texts.index("p99")
        equal([text for text in found.texts[at:at + 12] if text.strip()]
              [1:7], ['route="a\\"b\\\\"', "100", "0.425", "0.1", "1", "10"],
              "a histogram has its mean and percentiles")
        at = found.texts.index("Distribution")
        equal([text for text in found.texts[at + 1:at + 40]
               if text.strip()][:8],
              ["0.1", "50", "1", "45", "10", "4", "+Inf", "1"],
              "and what each bucket has alone")
        found = page_of(story.get(show="impact", metric="load"))
        check("load" in found.texts and "bought_total" not in found.texts,
              "one metric alone")
        until(lambda: "01EDGE" in page_of(story.get(show="edges")).texts,
              "the Edge to be listed")
        found = page_of(story.get(show="health"))
        check({"Redis", "Spool", "Dropped counts by reason", "queued",
               "labels"} <= set(found.texts), "health", found.texts)
        for show, columns in (("stale", "environment"), ("sdks", "sdk"),
                              ("impact", "p95"), ("edges", "identifier"),
                              ("health", "part")):
            answer = story.get(show=show, format="csv")
            check(columns in answer.body.decode().split("\n")[0].split(","),
                  f"{show} as CSV", answer.body)
            json.loads(story.get(show=show, format="json").body)
        equal(story.get(show="sdks", format="json", below="6.10").body,
              story.get(show="sdks", format="json",
                        below="unleash-client-node:6.10").body,
              "JSON takes the same query")


def queued():
    """A number that is behind is seen to be."""
    with Place() as place:
        story = Story(place, spool=place.file("spool.db"), ack="spool",
                      flush_interval="1h")
        answer = story.get()
        check("Not complete" not in answer.body.decode(),
              "nothing waits at first")
        equal(answer.headers["flagtally-queued"], "bytes=0, since=0",
              "and a header says so")
        story.post([metric("f")])
        for query in ({}, {"env": "production", "app": "shop"},
                      {"show": "stale"}, {"show": "impact"},
                      {"show": "health"}):
            check("Not complete: counts accepted since" in
                  story.get(**query).body.decode(),
                  f"{query} says that counts wait in the spool")
        answer = story.get(format="csv")
        check(re.fullmatch(r"bytes=[1-9]\d*, since=[1-9]\d*",
                           answer.headers["flagtally-queued"]),
              "CSV has a header that says so", answer.headers)
        check(json.loads(story.get(format="json").body)["queued"]["bytes"] > 0,
              "and JSON a member")


def formats():
    with Place() as place:
        story = Story(place)
        story.post([metric("f", yes=3, no=2), metric("g", days=1, yes=1)])
        answer = story.get(env="production", app="shop", format="csv")
        equal(answer.headers["content-type"],
              "text/csv; charset=utf-8; header=present", "CSV has its type")
        equal([(row["feature"], row["counter"], row["period"], row["count"])
               for row in csv.DictReader(io.StringIO(answer.body.decode()))],
              [("f", "yes", day(), "3"), ("f", "no", day(), "2"),
               ("g", "yes", day(1), "1")], "the same counts as CSV")
        answer = story.get(env="production", app="shop", format="json",
                           periods=2)
        equal([one["yes"] for one in json.loads(answer.body)["features"]],
              [[0, 3], [1, 0]], "and as JSON")
        equal(json.loads(story.get(format="json").body)["applications"][0]
              ["yes"], 4, "of all applications, too")


def hostile():
    with Place() as place:
        story = Story(place)
        for name in HOSTILE:
            story.post([metric(name, app=name, env=name or "e",
                               variants={name: 2})])
        plain = {"html", "head", "meta", "link", "title", "style", "body",
                 "header", "nav", "a", "main", "h1", "h2", "p", "div", "table",
                 "caption", "thead", "tbody", "tr", "th", "td", "svg",
                 "polyline", "rect", "bdi", "i", "footer", "span", "g", "ul",
                 "ol", "li", "form", "label", "input", "button"}
        for name in HOSTILE:
            where = {"env": name or "e", "app": name, "feature": name}
            for query in (*(dict(list(where.items())[:count])
                            for count in range(4)),
                          {"show": "sdks", "below": name},
                          {"show": "stale", "env": where["env"]},
                          {"show": "impact", "metric": name}):
                found = page_of(story.get(**query))
                strange = set(found.tags) - plain
                check(not strange and not any(
                    word.startswith("on") for word in found.attributes),
                    f"no markup comes from {name[:30]!r}", strange)
        answer = story.get()
        policy = answer.headers["content-security-policy"]
        check("default-src 'none'" in policy and "script" not in policy and
              "unsafe" not in policy, "the policy allows no script", policy)
        equal(answer.headers["x-content-type-options"], "nosniff",
              "types are not guessed")


def caching():
    with Place() as place:
        story = Story(place)
        story.post([metric("f")])
        first = story.get(env="production", app="shop")
        tag = first.headers["etag"]
        again = story.get(env="production", app="shop",
                          HTTP_IF_NONE_MATCH=tag)
        equal((again.status, again.body), (304, b""),
              "what has not changed is not sent again")
        story.post([metric("f")])
        again = story.get(env="production", app="shop",
                          HTTP_IF_NONE_MATCH=tag)
        check(again.status == 200 and again.headers["etag"] != tag,
              "what has changed is")
        equal(first.headers["cache-control"], "private, no-cache",
              "no cache keeps it for others")
        head = story.get("HEAD", env="production", app="shop")
        check(head.status == 200 and head.body == b"" and
              int(head.headers["content-length"]) > 1000,
              "HEAD has the length alone")


def kept():
    """A view that takes long to read is kept for a moment."""
    with Place() as place:
        redis = Redis(place)
        proxy = Proxy(place, redis.path)
        story = Story.__new__(Story)
        story.program = Flagtally(place, proxy)
        story.post([metric("f")])
        where = {"env": "production", "app": "shop"}
        # With how long each of Redis's replies is to take.
        views = [
            (0.002, lambda **more: story.get(**where, **more).body),
            (0.05, lambda **more: story.get(
                path="/internal-backstage/usage", **more).body)]

        def reads(view, **more):
            before = redis.calls("hgetall")
            return view(**more), redis.calls("hgetall") > before

        for seconds, view in views:
            proxy.delay(seconds)
            first, _ = reads(view)
            story.post([metric("f")])
            equal(reads(view, HTTP_CACHE_CONTROL=None), (first, False),
                  "a view that took long is sent again")
            fresh, read = reads(view)
            check(read and fresh != first, "a client can have a new one")
            until(lambda: reads(view, HTTP_CACHE_CONTROL=None)[1],
                  "an end of it")
        check(b"Redis cannot be read" not in story.get(show="health").body,
              "the health is well")
        redis.kill()
        check(b"Redis cannot be read" in story.get(
            show="health", HTTP_CACHE_CONTROL=None).body,
            "and always the current one")


def access():
    for word, local, remote in (("off", 404, 404), ("local", 200, 404),
                                ("all", 200, 200)):
        with Place() as place:
            story = Story(place, page=word)
            equal((story.get().status,
                   story.get(REMOTE_ADDR="192.0.2.1").status,
                   story.get(HTTP_X_FORWARDED_FOR="127.0.0.1").status),
                  (local, remote, remote), f"page = {word}")
    with Place() as place:
        story = Story(place, page="user", backstage="user")
        equal([story.get(**words).status for words in (
            {}, {"REMOTE_USER": ""}, {"HTTP_REMOTE_USER": "x"},
            {"HTTP_AUTHORIZATION": "Basic eDp5"}, {"REMOTE_USER": "x"},
            {"AUTH_TYPE": "Basic"}, {"AUTH_TYPE": "", "REMOTE_USER": "x"},
            {"AUTH_TYPE": "Basic", "REMOTE_USER": "x"},
            {"REDIRECT_REMOTE_USER": "x", "REMOTE_ADDR": "192.0.2.1"})],
            [404] * 7 + [200] * 2, "page = user admits whom the web server "
            "has authenticated")
        equal([story.get(path="/internal-backstage/usage", **words).status
               for words in ({}, {"REMOTE_USER": "x",
                                 "AUTH_TYPE": "Basic"})], [404, 200],
              "so does backstage = user")
    with Place() as place:
        story = Story(place, path_prefix="/flags")
        equal(story.get(path="/flags/flagtally/").status, 200,
              "path_prefix stands before it")
        equal(story.get("POST", path="/flags/flagtally").status, 405,
              "it is only read")


def wrong():
    with Place() as place:
        story = Story(place)
        for query, part in (({"by": "week"}, "by must be"),
                            ({"format": "xml"}, "format must be"),
                            ({"periods": "0"}, "periods must be"),
                            ({"periods": "99999"}, "periods must be"),
                            ({"periods": "-1"}, "periods must be"),
                            ({"periods": "1x"}, "periods must be"),
                            ({"show": "all"}, "show must be"),
                            ({"days": ""}, "days must be"),
                            ({"from": "0"}, "from must be"),
                            ({"top": "9" * 30}, "top must be"),
                            ({"app": "x"}, "app needs env"),
                            ({"env": "e", "feature": "x"}, "feature needs")):
            answer = story.get(**query)
            check(answer.status == 400 and part in answer.body.decode(),
                  f"{query} is an error that says why", answer.body)
        answer = story.get(QUERY_STRING="env=%zz")
        equal(answer.status, 400, "so is a broken escape")
        equal(story.get(QUERY_STRING="&&=&x=1&env").status, 200,
              "names that are not known do no harm")


def trouble():
    """Redis slow, cut off, or gone: no page that looks whole."""
    with Place() as place:
        redis = Redis(place)
        proxy = Proxy(place, redis.path)
        program = Flagtally(place, redis, name="other")
        story = Story.__new__(Story)
        story.program = program
        story.post([metric(f"feature-{i}") for i in range(500)])
        story.program = Flagtally(place, proxy, redis_timeout="500ms")
        whole = story.get(env="production", app="shop")
        check(b"feature-499" in whole.body, "the page is whole")
        for limit in (1, 500, 5000, 15000):
            proxy.cut(down=limit)
            answer = story.get(env="production", app="shop")
            equal((answer.status, b"<table" in answer.body), (503, False),
                  f"cut off after {limit} bytes it says so")
            proxy.mend()
        proxy.hold("down")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            began = time.monotonic()
            waiting = [pool.submit(story.get, env="production", app="shop")
                       for _ in range(6)]
            statuses = [one.result().status for one in waiting]
            took = time.monotonic() - began
        equal(statuses, [503] * 6, "with a Redis that hangs all are told")
        check(took < 10, "and not held for long", took)
        proxy.release()
        proxy.delay(0.005)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            before = redis.calls("hgetall")
            waiting = pool.submit(story.get, env="production", app="shop",
                                  periods=400)
            until(lambda: redis.calls("hgetall") > before + 51,
                  "the page to be on its way")
            redis.kill()
            answer = waiting.result()
        check(answer.status == 503 and b"<table" not in answer.body and
              re.search(rb"connection|sending|reset", answer.body),
              "Redis killed in the middle of a page: a message alone",
              answer.body)
        answer = story.get(env="production", app="shop")
        check(answer.status == 503 and b"<table" not in answer.body,
              "so it does without Redis", answer.body)
        check(b"Redis cannot be read" in story.get(show="health").body,
              "the health says so")


def large():
    with Place() as place:
        story = Story(place)
        for number in range(90):
            words = []
            for feature in range(1000):
                words += [f"feature-{feature}:yes", feature + number,
                          f"feature-{feature}:no", 1]
            story.redis("HSET", "flagtally:{production:shop}:" + day(number),
                        *words)
        took = []
        # Others use this machine, too: it is enough to be quick once.
        while len(took) < 50 and min(took, default=1) > 0.2:
            began = time.monotonic()
            answer = story.get(env="production", app="shop")
            took.append(time.monotonic() - began)
        equal(answer.body.count(b"<th scope=row>"), 500,
              "500 rows are on a page")
        rest = story.get(env="production", app="shop", **{"from": 501})
        equal(len({link for answer in (answer, rest)
                   for link in page_of(answer).links if "feature=" in link}),
              1000, "and all features on two")
        note(f"1,000 features, 90 days: {min(took) * 1000:.0f} ms, "
             f"{len(answer.body)} bytes")
        check(min(took) < 0.2 or SANITIZED, "in less than 200 ms", took)
        proxy = Proxy(place, story.redis.path)
        story.program = Flagtally(place, proxy, name="far")
        before = proxy.trips
        story.get(env="production", app="shop")
        check(proxy.trips - before > 10, "a Redis that is near gets a few "
              "requests at a time", proxy.trips - before)
        proxy.far()
        before = proxy.trips
        story.get(env="production", app="shop")
        equal(proxy.trips - before, 4, "three round trips for 90 days, 48 "
              "hours and the instances, and one to select the database")


def ten_thousand():
    """10,000 features, many with odd names: a page stays a page."""
    with Place() as place:
        story = Story(place)
        names = [f"{HOSTILE[number % len(HOSTILE)]}{number}"
                 for number in range(10000)]
        for number in range(30):
            words = []
            for name in names:
                words += [quote(name, safe="") + ":yes", number + 1]
            story.redis("HSET", "flagtally:{production:shop}:" + day(number),
                        *words)
        began = time.monotonic()
        answer = story.get(env="production", app="shop")
        took = time.monotonic() - began
        found = page_of(answer)
        check(len(answer.body) < 1000000, "of a size that a telephone takes",
              len(answer.body))
        check("?env=production&app=shop&from=501" in found.links,
              "with a link to the next 500", found.links[:40])
        seen = set()
        for first in range(1, 10001, 500):
            seen |= {link for link in page_of(story.get(
                env="production", app="shop", **{"from": first})).links
                if "feature=" in link}
        equal(len(seen), 10000, "all are reached")
        grown = story.program.resident()
        note(f"10,000 features, 30 days: {took:.2f} s, "
             f"{len(answer.body)} bytes, {grown >> 20} MB resident")
        check(grown < 200 << 20 or SANITIZED, "memory is bounded", grown)
        equal(len(json.loads(story.get(env="production", app="shop",
                                       format="json").body)["features"]),
              10000, "JSON has all")
        equal(len(page_of(story.get(env="production", app="shop", top=10))
                  .links) < 40, True, "and top=10 ten")
        slow = SlowReader(story.program.address)
        answer = slow.request(fcgi.params(
            REQUEST_METHOD="GET", SCRIPT_NAME="/flagtally",
            REQUEST_URI="/flagtally", REMOTE_ADDR="127.0.0.1",
            QUERY_STRING="env=production&app=shop&format=json"))
        check(slow.took > 2.5 and
              len(json.loads(answer.body)["features"]) == 10000,
              "a reader that is slow gets the whole answer", slow.took)


run([views, more_views, queued, formats, hostile, caching, kept, access, wrong,
     trouble, large, ten_thousand])
