"""What Edge and real SDKs post gets the right answer behind every web server, and counts.

The bodies and headers are those of tests/captured.  Names of classes of
tests/harness/front.py on the command line run those alone.
"""

import glob
import json
import os

from tests.harness import apache, front
from tests.harness.model import encode
from tests.harness.servers import Place, Redis
from tests.harness.tap import check, equal, run
from tests.harness.web import Standin, head

CAPTURED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                        "captured")
SECRET = "0f1e2d3c4b5a6978"
BACKEND = "*:{}." + SECRET
FRONTEND = "*:{}.browser" + SECRET
TOKENS = "".join(f"{BACKEND.format(name)}\n{FRONTEND.format(name)} "
                 "type=frontend\n"
                 for name in ("production", "development", "*"))
ORIGIN = "https://app.example.org"
ASKED = "authorization,content-type,unleash-appname,unleash-sdk"
# Of the start of their buckets.
HOURS = "2026-11-26T18", "2026-11-26T19"


class Post:
    """A request that was captured."""

    def __init__(self, name):
        self.name = name
        with open(os.path.join(CAPTURED, name + ".json"), "rb") as file:
            self.body = file.read()
        with open(os.path.join(CAPTURED, name + ".headers"), "rb") as file:
            first, *lines = file.read().decode("latin-1").splitlines()
        self.method, self.path, _ = first.split(" ")
        self.headers = [tuple(line.split(": ", 1)) for line in lines if line]
        self.browser = "/frontend/" in self.path
        self.bulk = self.path.endswith("/bulk")
        self.instance = self.path.endswith("/edge")
        self.registers = self.path.endswith("/register")

    @property
    def environment(self):
        """That of the token."""
        return dict((name.lower(), value) for name, value in self.headers)[
            "authorization"].split(":")[1].split(".")[0]

    def request(self, token=None, content=None, method=None, more=()):
        content = self.body if content is None else content
        token = (token or (FRONTEND if self.browser else BACKEND)).format(
            self.environment)
        headers = [(name, token if name.lower() == "authorization" else
                    len(content) if name.lower() == "content-length" else
                    ORIGIN if name == "Origin" else value)
                   for name, value in self.headers]
        return head(method or self.method, self.path,
                    [*headers, *more]), content


def posts():
    names = sorted(os.path.basename(name)[:-5] for name in
                   glob.glob(os.path.join(CAPTURED, "*.json")))
    return [Post(name) for name in names]


def ask(server, post, **changes):
    request, content = post.request(**changes)
    with server.connect() as connection:
        connection.send(request + content)
        return connection.reply(changes.get("method") or post.method)


def tag(environment, app):
    return f"{encode(environment)}:{encode(app)}"


def evaluations(post):
    """(application, feature, hour, counts) of all that a body counts."""
    body = json.loads(post.body)
    for metric in body["metrics"] if post.bulk else []:
        yield (metric["appName"], metric["featureName"],
               metric["timestamp"][:13], metric)
    bucket = body.get("bucket") or {}
    for feature, stats in (bucket.get("toggles") or {}).items():
        yield body["appName"], feature, bucket["start"][:13], stats


def expected(all_posts):
    """{key: {field: number}} of what the bodies count, by their own text."""
    found = {}
    for post in all_posts:
        for app, feature, hour, stats in evaluations(post):
            counts = {"yes": stats["yes"], "no": stats["no"], **{
                "variant:" + encode(name): count for name, count in
                (stats.get("variants") or {}).items()}}
            for name, count in counts.items():
                field = encode(feature) + ":" + name
                if count:
                    fields = found.setdefault(
                        f"flagtally:{{{tag(post.environment, app)}}}:{hour}",
                        {})
                    fields[field] = fields.get(field, 0) + count
    return found


def hashes(redis):
    return {key.decode(): {field.decode(): int(value)
                           for field, value in fields.items()}
            for key, fields in redis.client.everything().items()
            if key.decode().endswith(HOURS)}


def registered(post):
    """{(tag, instance): data} of what is kept of a body."""
    body = json.loads(post.body)
    found = []
    if post.bulk:
        # Of every environment, whatever the token's.
        found = body["applications"]
    elif post.registers:
        found = [{"sdkType": "backend", **body, "projects": None,
                  "environment": post.environment}]
    elif post.browser:
        found = [{"appName": "web-app", "environment": "production",
                  "instanceId": "browser", "sdkType": "frontend",
                  "connectionId": dict(post.headers)[
                      "unleash-connection-id"],
                  "sdkVersion": "unleash-js-sdk:3.8.2"}]
    return {(tag(kept["environment"], kept["appName"]),
             encode(kept["instanceId"])):
            {name: value for name, value in kept.items() if value is not None}
            for kept in found}


def applications(post):
    """The tags of all applications that a body names."""
    if post.instance:
        return set()
    named = {app for app, _, _, _ in evaluations(post)}
    if not post.bulk:
        named.add(json.loads(post.body)["appName"])
    return {tag(post.environment, app) for app in named} | {
        place for place, _ in registered(post)}


def registrations(redis):
    return {(key.decode().split("{")[1].split("}")[0], field.decode()):
            json.loads(value)
            for key, fields in redis.client.everything().items()
            if key.endswith(b":instances")
            for field, value in fields.items()}


def right_headers(reply, post):
    """Whether a browser lets its page see the answer."""
    allowed = reply.headers.get("access-control-allow-origin")
    vary = reply.headers.get("vary", "")
    return (allowed == ORIGIN and "Origin" in vary if post.browser else
            allowed is None)


def check_answers(server, everything):
    for post in everything:
        title = f"{server.title}: {post.name}"
        reply = ask(server, post)
        equal((reply.status, reply.body, right_headers(reply, post)),
              (200, b"OK", True) if post.browser else
              (202, b"{}" if post.bulk or post.instance else b"", True),
              f"{title}: taken")
        reply = ask(server, post, token=BACKEND if post.browser else FRONTEND)
        equal((reply.status, right_headers(reply, post)), (403, True),
              f"{title}: a token of the other kind")
        reply = ask(server, post, content=post.body.rstrip()[:-1])
        equal((reply.status, right_headers(reply, post)), (400, True),
              f"{title}: not JSON")


def check_preflight(server, post):
    preflight = [("Access-Control-Request-Method", "POST"),
                 ("Access-Control-Request-Headers", ASKED)]
    request = head("OPTIONS", post.path, [
        ("Host", "x"), ("Origin", ORIGIN), *preflight])
    with server.connect() as connection:
        connection.send(request)
        reply = connection.reply("OPTIONS")
    wanted = {"access-control-allow-origin": ORIGIN,
              "access-control-allow-headers": ASKED,
              "access-control-allow-methods": "POST",
              "access-control-max-age": "86400"}
    equal((reply.status, reply.body, {name: reply.headers.get(name)
                                      for name in wanted}),
          (204, b"", wanted), f"{server.title}: a browser's question")
    check("Access-Control-Request-Headers" in reply.headers.get("vary", ""),
          f"{server.title}: the answer varies by what it asks for")


def check_counts(server, redis, everything):
    equal(hashes(redis), expected(everything),
          f"{server.title}: all counts are in Redis, once")
    apps = {member.decode() for member in redis("ZRANGE", "flagtally:apps",
                                                "0", "-1")}
    equal(apps, set().union(*map(applications, everything)),
          f"{server.title}: applications")
    wanted = {}
    for post in everything:
        wanted.update(registered(post))
    equal(registrations(redis), wanted, f"{server.title}: instances")
    check_impact(server, redis)
    edges = {name: json.loads(data) for name, data in redis.client.everything(
        )[b"flagtally:edges"].items()}
    for post in everything:
        if post.instance:
            data = json.loads(post.body)
            kept = edges.pop(data["identifier"].encode(), {})
            equal({**kept, "received": None},
                  {**data, "received": None, "environment": "development"},
                  f"{server.title}: the data of an Edge")


def check_impact(server, redis):
    """Purchases are the token's environment's, whatever their labels say."""
    for environment, wanted in (
            ("production", {'{appName="java-imp"}': 5}),
            ("development", {
                '{always_on="enabled",appName="node-dev-d1",'
                'two_variants="blue"}': 2,
                '{appName="node-dev-d1"}': 12,
                '{appName="py-dev-d1"}': 12,
                '{always_on="enabled",appName="node-dev-e1",origin="edge",'
                'two_variants="blue"}': 6,
                '{appName="node-dev-e1",origin="edge"}': 36,
                '{appName="py-dev-e1",origin="edge"}': 12})):
        found = redis.client.everything()[
            f"flagtally:{{{environment}}}:impact:purchases".encode()]
        equal({field.decode(): float(value) for field, value in found.items()
               if not field.startswith(b"#")}, wanted,
              f"{server.title}: impact metrics of {environment}")


def replay(kind):
    with Place() as place:
        redis = Redis(place)
        standin = Standin()
        server = kind(place, redis, standin, auth="tokens",
                      tokens=place.file("tokens", TOKENS),
                      cors_origins=f"https://x.example {ORIGIN}")
        everything = posts()
        check(len(everything) == 17, "all that was captured is there")
        check_answers(server, everything)
        for post in everything:
            if post.browser:
                check_preflight(server, post)
        check_counts(server, redis, everything)
        check(not standin.seen, f"{server.title}: Unleash gets none of it",
              [entry[:2] for entry in standin.seen])
        standin.end()


def a_replay_for(kind):
    def test():
        replay(kind)
    test.__name__ = kind.__name__
    return test


run([a_replay_for(kind) for kind in front.fronts + apache.fronts])
