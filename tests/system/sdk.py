"""What SDKs report without Edge: who may, for which environment, and from where.

Which bodies count what is gold.py's; behind web servers it is
tests/deploy/captured.py that replays what real SDKs post.
"""

import hashlib
import json
import os
import signal
import subprocess

from tests.harness import fcgi
from tests.harness.servers import NO_SPOOL, PROGRAM, Flagtally, Place, \
    Redis, environment
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

METRICS, REGISTER = "/api/client/metrics", "/api/client/register"
FRONTEND = "/api/frontend/client/metrics"
FRONTEND_REGISTER = "/api/frontend/client/register"
BULK = "/api/client/metrics/bulk"
BROWSER = {"HTTP_ORIGIN": "https://app.example.org",
           "HTTP_UNLEASH_SDK": "unleash-js-sdk:3.8.2",
           "HTTP_UNLEASH_SDK_FLAVOR": "react",
           "HTTP_UNLEASH_SDK_FLAVOR_VERSION": "5.0.1",
           "HTTP_UNLEASH_CONNECTION_ID": "0b5a7a4e"}


def report(app="shop", feature="flag", **changes):
    return json.dumps({
        "appName": app, "instanceId": "i", "environment": "ignored",
        "bucket": {"start": "2026-11-23T09:30:00Z",
                   "stop": "2026-11-23T10:30:00Z",
                   "toggles": {feature: {"yes": 3, "no": 1}}},
        **changes}).encode()


def registration(**changes):
    return json.dumps({"appName": "shop", "instanceId": "i", "interval": 2,
                       "started": "2026-11-23T09:30:00Z", "strategies": [],
                       "environment": "ignored", **changes}).encode()


BULK_BODY = json.dumps({"applications": [], "metrics": []}).encode()


def post(program, path, body, **changes):
    return fcgi.post(program.address, body, **{
        "REQUEST_URI": path, "SCRIPT_NAME": path, **changes})


def yes(redis, environment_name, app="shop", feature="flag"):
    return int(redis("HGET", f"flagtally:{{{environment_name}:{app}}}:"
                     "2026-11-23T09", feature + ":yes") or 0)


def instance(redis, environment_name, app="shop", name="i"):
    text = redis("HGET", f"flagtally:{{{environment_name}:{app}}}:instances",
                 name)
    return text and json.loads(text)


def answers():
    with Place() as place:
        redis = Redis(place)
        program = Flagtally(place, redis)
        for path, body, status, content, kind in (
                (METRICS, report(), 202, b"", None),
                (REGISTER, registration(), 202, b"", None),
                (FRONTEND, report(), 200, b"OK", "text/plain"),
                (FRONTEND_REGISTER, registration(), 200, b"OK",
                 "text/plain"),
                (METRICS, b"[]", 202, b"", None),
                (METRICS, report(bucket=None), 202, b"", None),
                (FRONTEND, b'{"appName":5}', 200, b"OK", "text/plain")):
            answer = post(program, path, body)
            equal((answer.status, answer.body,
                   answer.headers.get("content-type")),
                  (status, content, kind), f"{path}, {body[:20]}")
        for path in (METRICS, REGISTER, FRONTEND, FRONTEND_REGISTER):
            for name, status, body, changes in (
                    ("not JSON", 400, b"hello", {}),
                    ("empty", 400, b"", {}),
                    ("cut off", 400, report()[:-1], {}),
                    ("another type", 415, report(),
                     {"CONTENT_TYPE": "text/plain"}),
                    ("another encoding", 415, report(),
                     {"HTTP_CONTENT_ENCODING": "br"}),
                    ("too long", 413, b" " * (5 << 20), {}),
                    ("GET", 405, b"", {"REQUEST_METHOD": "GET"})):
                answer = post(program, path, body, **changes)
                equal((answer.status, answer.headers.get(
                    "access-control-allow-origin")),
                    (status, "*" if "frontend" in path else None),
                    f"{path}: {name}, and whether a page may read why")
        for path in (METRICS, REGISTER, BULK):
            equal(post(program, path, b"", REQUEST_METHOD="OPTIONS").status,
                  405, f"{path}: browsers do not post there")


def environments():
    """The token's, else that of default_environment; never the body's."""
    with Place() as place:
        redis = Redis(place)
        tokens = place.file("tokens", "*:dev.a\n*:*.b\n*:dev.f type=frontend\n"
                            "*:*.g type=frontend\n")
        program = Flagtally(place, redis, auth="tokens", tokens=tokens,
                            default_environment="live")
        for token, path, name in (("*:dev.a", METRICS, "dev"),
                                  ("*:*.b", METRICS, "live"),
                                  ("*:dev.f", FRONTEND, "dev"),
                                  ("*:*.g", FRONTEND, "live")):
            post(program, path, report(feature=token, app=path, impactMetrics=[
                {"name": "hits", "help": "", "type": "counter", "samples": [
                    {"labels": {"environment": "x"}, "value": 1}]}]),
                HTTP_AUTHORIZATION=token)
            app = path.replace("/", "%2F")
            feature = token.replace(":", "%3A").replace("*", "%2A")
            equal(yes(redis, name, app, feature), 3, f"{token}: for {name}")
        for token, name in (("*:dev.a", "dev"), ("*:*.b", "live")):
            post(program, REGISTER, registration(), HTTP_AUTHORIZATION=token)
            equal((instance(redis, name) or {}).get("environment"), name,
                  f"{token} registers for {name}")
        equal({bytes(name) for name in redis("SMEMBERS",
                                             "flagtally:{live}:impact")},
              {b"hits"}, "impact metrics are there as well")
        equal({bytes(key) for key in redis("KEYS", "*ignored*")} | {
            bytes(key) for key in redis("KEYS", "flagtally:{x}*")}, set(),
              "and nowhere else")
        # A bulk body that names no environment.
        post(program, BULK, json.dumps({"metrics": [], "applications": [
            json.loads(registration(environment=None, instanceId="b"))],
        }).encode(), HTTP_AUTHORIZATION="*:*.b")
        check(instance(redis, "live", name="b"),
              "default_environment is that of bulk as well")
    with Place() as place:
        redis = Redis(place)
        program = Flagtally(place, redis)
        post(program, METRICS, report())
        equal(yes(redis, "default"), 3, "without tokens it is default")


def kinds(program, redis, client, frontend, refused):
    """Each kind of token may report on its own paths, and nowhere else."""
    for path, body in ((BULK, BULK_BODY), (METRICS, report()),
                       (REGISTER, registration()), (FRONTEND, report()),
                       (FRONTEND_REGISTER, registration())):
        browsers = "frontend" in path
        for token, own in ((client, not browsers), (frontend, browsers)):
            answer = post(program, path, body, HTTP_AUTHORIZATION=token)
            equal(answer.status, 403 if not own else 200 if browsers else 202,
                  f"{path}, {token}")
            check(own or refused in answer.body,
                  f"{path}, {token}: why it is refused", answer.body)
    equal(yes(redis, "dev"), 6, "what was taken is counted, no more")


def file_kinds():
    with Place() as place:
        redis = Redis(place)
        program = Flagtally(place, redis, auth="tokens", tokens=place.file(
            "tokens", "*:dev.a type=backend\n*:dev.f type=frontend\n"))
        kinds(program, redis, "*:dev.a", "*:dev.f",
              b"a token of this type cannot report here")


def member(token, kind=""):
    return kind + hashlib.sha256(token.encode()).hexdigest()


def set_kinds():
    """A frontend token's member of the set says what it is."""
    with Place() as place:
        redis = Redis(place)
        redis("SADD", "tokens", "-", member("*:dev.a"),
              member("*:dev.f", "frontend:"))
        program = Flagtally(place, redis, auth="tokens", token_set="tokens",
                            token_ttl="100ms",
                            spool=place.file("spool.db"))
        for again in range(2):
            redis("DEL", "flagtally:{dev:shop}:2026-11-23T09")
            kinds(program, redis, "*:dev.a", "*:dev.f",
                  b"no token that may report metrics was sent")
        redis("SREM", "tokens", member("*:dev.f", "frontend:"))
        until(lambda: post(program, FRONTEND, report(),
                           HTTP_AUTHORIZATION="*:dev.f").status == 403,
              "a frontend token that is revoked")
        # It would be another token's digest without the word before it.
        redis("SADD", "tokens", member("*:dev.f"))
        until(lambda: post(program, METRICS, report(),
                           HTTP_AUTHORIZATION="*:dev.f").status == 202,
              "the same token as a client's")
        equal(post(program, FRONTEND, report(),
                   HTTP_AUTHORIZATION="*:dev.f").status, 403,
              "which is no frontend's then")


def instances():
    """What is known of instances, and of applications that only report."""
    with Place() as place:
        redis = Redis(place)
        program = Flagtally(place, redis)
        post(program, FRONTEND, report(), **BROWSER)
        equal(instance(redis, "default"), {
            "appName": "shop", "environment": "default", "instanceId": "i",
            "connectionId": "0b5a7a4e", "sdkVersion": "unleash-js-sdk:3.8.2",
            "sdkType": "frontend", "sdkFlavor": "react",
            "sdkFlavorVersion": "5.0.1"},
            "a browser's headers say what its instance is")
        post(program, FRONTEND, report("none"))
        equal(instance(redis, "default", "none"), None,
              "without them there is none")
        post(program, METRICS, report("backend"), **BROWSER)
        equal(instance(redis, "default", "backend"), None,
              "a backend's registers by itself")
        for header in ("caf\xe9:1", "a\tb", "x" * 257, ""):
            post(program, FRONTEND, report("bad"),
                 HTTP_UNLEASH_SDK=header.encode("latin-1"))
        equal(instance(redis, "default", "bad"), None,
              "nor of a header that is not text")
        post(program, REGISTER, registration(instanceId="r"), **BROWSER)
        equal({name: (instance(redis, "default", name="r") or {}).get(name)
               for name in ("sdkType", "sdkVersion", "interval")},
              {"sdkType": "backend", "sdkVersion": "unleash-js-sdk:3.8.2",
               "interval": 2}, "headers add to a registration")
        post(program, FRONTEND_REGISTER, registration(
            instanceId="s", sdkVersion="own:1"), **BROWSER)
        equal({name: (instance(redis, "default", name="s") or {}).get(name)
               for name in ("sdkType", "sdkVersion")},
              {"sdkType": "frontend", "sdkVersion": "own:1"},
              "and change nothing in it")
        for app, changes in (
                ("idle", {"bucket": None}),
                ("java", {"bucket": {"start": "1970-01-01T00:00:00Z",
                                     "stop": "1970-01-01T00:00:00Z",
                                     "toggles": {}}})):
            post(program, METRICS, report(app, **changes))
            check(redis("ZSCORE", "flagtally:apps", "default:" + app),
                  f"{app}: it has been seen")
            equal(redis("KEYS", f"*{{default:{app}}}*"), [],
                  f"{app}: and there is nothing else of it")


def through_the_spool():
    """An application that only reports is seen when Redis is back, too."""
    with Place() as place:
        redis = Redis(place)
        program = Flagtally(place, redis, spool=place.file("spool.db"))
        redis.kill()
        equal(post(program, METRICS, report("idle", bucket=None)).status, 202,
              "Redis is away")
        equal(post(program, METRICS, report("busy")).status, 202,
              "likewise, with counts")
        redis.start()
        until(lambda: yes(redis, "default", "busy") == 3, "the replay")
        until(lambda: redis("ZSCORE", "flagtally:apps", "default:idle"),
              "the application that only reports")


def cors():
    """A browser's question is answered at once, whatever else waits."""
    with Place() as place:
        redis = Redis(place)
        program = Flagtally(
            place, redis, auth="tokens", token_set="tokens",
            cors_origins="https://app.example.org, https://b.example",
            spool=place.file("spool.db"))
        redis.signal(signal.SIGSTOP)
        for path in (FRONTEND, FRONTEND_REGISTER):
            answer = post(program, path, b"", REQUEST_METHOD="OPTIONS",
                          CONTENT_TYPE=None, CONTENT_LENGTH=None,
                          HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
                          HTTP_ACCESS_CONTROL_REQUEST_HEADERS="a,b", **BROWSER)
            equal(answer.headers, {
                "status": "204 No Content", "cache-control": "no-store",
                "access-control-allow-origin": "https://app.example.org",
                "access-control-allow-credentials": "true",
                "access-control-allow-headers": "a,b",
                "access-control-allow-methods": "POST",
                "access-control-max-age": "86400",
                "vary": "Origin, Access-Control-Request-Headers"},
                f"{path}: the answer to a browser's question")
            equal(answer.body, b"", f"{path}: has no body")
        redis.signal(signal.SIGCONT)
        for name, status, changes in (
                ("no token", 403, {}),
                ("another method", 405, {"REQUEST_METHOD": "PUT"})):
            answer = post(program, FRONTEND, report(), **BROWSER, **changes)
            equal((answer.status,
                   answer.headers.get("access-control-allow-origin"),
                   answer.headers.get("vary")),
                  (status, "https://app.example.org", "Origin"),
                  f"{name}: the page may read why")
        answer = post(program, FRONTEND, report(), HTTP_ORIGIN="https://x")
        equal(answer.headers.get("access-control-allow-origin"), None,
              "a page of another origin may not")
        answer = post(program, METRICS, report(), **BROWSER)
        equal(answer.headers.get("access-control-allow-origin"), None,
              "nor any on the paths of backends")


def cgi():
    """The same as a plain CGI program."""
    with Place() as place:
        redis = Redis(place)
        for method, path, wanted in (
                ("POST", METRICS, b"Status: 202 Accepted\r\n"
                 b"Content-Length: 0\r\nCache-Control: no-store\r\n\r\n"),
                ("OPTIONS", FRONTEND, b"Status: 204 No Content\r\n"
                 b"Cache-Control: no-store\r\n"
                 b"Access-Control-Allow-Origin: *\r\n"
                 b"Access-Control-Allow-Methods: POST\r\n"
                 b"Access-Control-Max-Age: 86400\r\n"
                 b"Vary: Origin, Access-Control-Request-Headers\r\n\r\n"),
                ("POST", FRONTEND, b"Status: 200 OK\r\n"
                 b"Content-Type: text/plain\r\nContent-Length: 2\r\n"
                 b"Cache-Control: no-store\r\n"
                 b"Access-Control-Allow-Origin: *\r\nVary: Origin\r\n\r\nOK")):
            body = report() if method == "POST" else b""
            done = subprocess.run(
                [os.path.abspath(PROGRAM)], input=body, capture_output=True,
                timeout=20, check=False, env={
                    **environment(auth="none", redis=redis.url(),
                                  spool=NO_SPOOL),
                    **fcgi.params(body, REQUEST_METHOD=method,
                                  REQUEST_URI=path, SCRIPT_NAME=path)})
            equal(done.stdout, wanted, f"CGI: {method} {path}")
        equal(yes(redis, "default"), 6, "CGI: it is counted")


def log():
    """What is left out is counted, and a flood of it is one line."""
    with Place() as place:
        redis = Redis(place)
        program = Flagtally(place, redis, backstage="all")
        bad = report(bucket={"start": "2026-11-23T09:30:00Z", "toggles": {
            "flag": {"yes": 3}, "\ud800": {"yes": 1}, "x": 5}})
        for _ in range(50):
            equal(post(program, METRICS, bad).status, 202, "it is taken")
        equal(yes(redis, "default"), 150, "what is right counts")
        text = post(program, "/internal-backstage/metrics", b"",
                    REQUEST_METHOD="GET").body.decode()
        check('flagtally_dropped_total{reason="invalid"} 100\n' in text,
              "all that is left out is counted", text)
        equal(place.read(program.log).count("left out 2 parts of a body, the "
              "first at /bucket/toggles/"), 1, "and mentioned once",)


run([answers, environments, file_kinds, set_kinds, instances,
     through_the_spool, cors, cgi, log])
