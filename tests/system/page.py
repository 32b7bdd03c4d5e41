"""The page at /flagtally, asked as a web server asks."""

import concurrent.futures
import csv
import html.parser
import io
import json
import re
import time
from urllib.parse import quote, urlencode

from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.reports import NOW, day, metric, registration
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, note, run

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
           "'onmouseover='x", "\u202eRTL", "", "x" * 300, "a b&c=d+e%20",
           "\u0001\u001b[31m", "&lt;", "</title>"]


class Story:
    def __init__(self, place, **settings):
        self.place = place
        self.redis = Redis(place)
        self.program = Flagtally(place, self.redis, **settings)

    def post(self, metrics, applications=()):
        answer = fcgi.post(self.program.address, json.dumps(
            {"applications": list(applications),
             "metrics": metrics}).encode())
        equal(answer.status, 202, "counts are accepted")

    def get(self, method="GET", path="/flagtally", **query):
        changes = {name: query.pop(name) for name in list(query)
                   if name.isupper()}
        text = urlencode(query, quote_via=quote)
        return fcgi.post(self.program.address, b"", **{
            "REQUEST_METHOD": method, "QUERY_STRING": text,
            "REMOTE_ADDR": "127.0.0.1", "REQUEST_URI": path + "?" + text,
            **changes})


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
                 "ol", "li"}
        for name in HOSTILE:
            where = {"env": name or "e", "app": name, "feature": name}
            for count in range(4):
                query = dict(list(where.items())[:count])
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
        redis.kill()
        answer = story.get(env="production", app="shop")
        check(answer.status == 503 and b"<table" not in answer.body,
              "so it does without Redis", answer.body)


SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def samples_of(text):
    """{(name, labels): value}, of a text that is checked as it is read."""
    found, family, families = {}, None, set()
    for line in text.split("\n")[:-1]:
        if line.startswith("# TYPE "):
            family = line.split()[2]
            check(family not in families, f"{family} is one family")
            families.add(family)
        elif not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            pairs = LABEL.findall(labels or "")
            at = name, tuple((key, re.sub(r"\\(.)", lambda one: {
                "n": "\n"}.get(one[1], one[1]), text)) for key, text in pairs)
            if not name.startswith(family) or at in found:
                check(False, f"{line} is where it belongs")
            found[at] = float(value)
    return found


def impact(name, kind, samples):
    return {"name": name, "help": "What \\ it\nis", "type": kind,
            "samples": samples}


def usage():
    with Place() as place:
        story = Story(place)
        story.post([metric("f", yes=3, no=2, variants={"blue": 4}),
                    metric("f", days=1, yes=100),
                    metric('o"d\\d\n', app="till", env="dev", yes=1)])
        body = {"applications": [], "metrics": [], "impactMetrics": [
            impact("requests", "counter", [
                {"labels": {"environment": "other", "a": 'x"y,le="'},
                 "value": 5}]),
            impact("seconds", "histogram", [
                {"labels": {"b": "c"}, "count": 4, "sum": 2.5, "buckets": [
                    {"le": 10, "count": 3}, {"le": 0.5, "count": 1},
                    {"le": "+Inf", "count": 4}]}])]}
        equal(fcgi.post(story.program.address,
                        json.dumps(body).encode()).status, 202,
              "impact metrics are accepted")
        answer = story.get(path="/internal-backstage/usage")
        equal(answer.status, 200, "usage is answered")
        text = answer.body.decode()
        found = samples_of(text)
        shop = (("environment", "production"), ("app_name", "shop"),
                ("feature", "f"))
        total = "feature_flag_evaluations_total"
        equal({at: value for at, value in found.items()
               if at[0].startswith("feature_flag")}, {
            (total, (*shop, ("enabled", "true"))): 3,
            (total, (*shop, ("enabled", "false"))): 2,
            (total, (("environment", "dev"), ("app_name", "till"),
                     ("feature", 'o"d\\d\n'), ("enabled", "true"))): 1,
            ("feature_flag_variants_total", (*shop, ("variant", "blue"))): 4,
            ("feature_flag_scrape_truncated", ()): 0,
        }, "the evaluations of today, and of no other day")
        equal(found[("requests", (("environment", "other"),
                                  ("a", 'x"y,le="')))], 5,
              "an impact metric has the environment of its record")
        lines = [line for line in text.split("\n")
                 if line.startswith("seconds_")]
        labels = 'environment="default",b="c"'
        equal(lines, [
            f'seconds_bucket{{{labels},le="0.5"}} 1',
            f'seconds_bucket{{{labels},le="10"}} 3',
            f'seconds_bucket{{{labels},le="+Inf"}} 4',
            f'seconds_count{{{labels}}} 4',
            f'seconds_sum{{{labels}}} 2.5'], "buckets are in order")
        check("# HELP seconds What \\\\ it\\nis" in text.split("\n"),
              "help is escaped")
        equal(story.get(path="/internal-backstage/usage",
                        REMOTE_ADDR="192.0.2.1").status, 404,
              "by default for this host alone")
        small = Flagtally(place, story.redis, name="small", limit_scrape=3)
        story.program = small
        found = samples_of(story.get(
            path="/internal-backstage/usage").body.decode())
        equal((len(found), found["feature_flag_scrape_truncated", ()]),
              (4, 1), "limit_scrape bounds it, and says so")
        story.redis.kill()
        equal(story.get(path="/internal-backstage/usage").status, 503,
              "without Redis there is none")


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
        for _ in range(5):
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
        check(min(took) < 2, "in a short time", took)


run([views, formats, hostile, caching, access, wrong, trouble, usage, large])
