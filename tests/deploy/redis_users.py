"""The rights and settings of Redis that are shipped: enough, and no more."""

import hashlib
import json
import os
import re
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.resp import NO_RIGHT, Client, RedisError
from tests.harness.servers import NO_SPOOL, PROGRAM, Flagtally, Lighttpd, Place, \
    Redis, environment
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

HERE = os.path.dirname(os.path.abspath(__file__))
SHIPPED = os.path.join(HERE, "..", "..", "deploy", "redis")
with open(os.path.join(HERE, "..", "example-request.json"), "rb") as example:
    EXAMPLE = example.read()

ADMIN = "user default on nopass ~* &* +@all\n"
PASSWORD = "geheim"
DAY, HOUR = "2026-11-23", "2026-11-23T09"
MOST = 2 ** 53 - 1
# What tests/system/sentinel.py and tests/system/cluster.py show to be needed.
ELSEWHERE = ("role", "wait", "asking", "cluster|shards", "cluster|slots")
ISSUED, OTHER = "*:*.issued", "*:*.other"


def users():
    """The lines of the file that is shipped: each user's rules."""
    with open(os.path.join(SHIPPED, "users.acl"), encoding="ascii") as file:
        return {line.split()[1]: line.split()[2:] for line in file}


def rights(user):
    return [rule[1:] for rule in users()[user]
            if rule.startswith("+") and not rule.startswith("+@")]


def server(place, name="redis", prefix="flagtally", **options):
    """A Redis with the users as shipped, but that they have a password."""
    with open(os.path.join(SHIPPED, "users.acl"), encoding="ascii") as file:
        lines = [f"{line.strip()} >{PASSWORD}\n" for line in file]
    text = "".join(lines).replace("~flagtally", "~" + prefix)
    return Redis(place, name, aclfile=place.file(name + ".acl", ADMIN + text),
                 **options)


def login(redis, user):
    client = Client(redis.path)
    client("AUTH", user, PASSWORD)
    return client


def url(redis, user="flagtally"):
    return f"unix://{user}:{PASSWORD}@{redis.path}?db=1"


def body(application="a", feature="f", yes=1, hour=HOUR, **more):
    metric = {"featureName": feature, "appName": application, "yes": yes,
              "environment": "e", "timestamp": hour + ":30:00Z", "no": 0,
              "variants": {}}
    return json.dumps({"applications": [], "metrics": [metric],
                       **more}).encode()


def registration(instance, application="a"):
    return {"applications": [{
        "appName": application, "environment": "e", "instanceId": instance,
        "interval": 60, "strategies": [],
        "started": HOUR + ":00:00Z"}], "metrics": []}


def impact(labels):
    def sample(value):
        return [{"value": value, "labels": labels}]
    buckets = [{"le": 1, "count": 1}, {"le": "+Inf", "count": 2}]
    return body(impactMetrics=[
        {"name": "c", "help": "h", "type": "counter", "samples": sample(2)},
        {"name": "g", "help": "h", "type": "gauge", "samples": sample(3)},
        {"name": "h", "help": "h", "type": "histogram", "samples": [
            {"count": 2, "sum": 1.5, "buckets": buckets, "labels": labels}]}])


class Job:
    """All that flagtally does with Redis, a step after the other."""

    def __init__(self, place, name, without=()):
        self.place, self.name = place, name
        self.redis = server(place, name)
        self.redis("SELECT", "1")
        self.redis("SADD", "flagtally:tokens",
                   hashlib.sha256(ISSUED.encode()).hexdigest())
        for right in without:
            self.redis("ACL", "SETUSER", "flagtally", "-" + right)
        self.flagtally = Flagtally(
            place, url(self.redis), name + ".ft", auth="tokens",
            token_set="flagtally:tokens", limit_features="3",
            tokens=place.file(name + ".tokens", OTHER + "\n"),
            limit_apps="4", limit_series="100", feed="10", publish="yes")

    def post(self, content, token=OTHER, **changes):
        return fcgi.post(self.flagtally.address, content, **changes,
                         HTTP_AUTHORIZATION=token).status

    def log(self):
        return self.place.read(self.name + ".ft.log")

    def steps(self):
        """The steps: each returns what there is to see of it."""
        redis, post = self.redis, self.post
        yield "a count", post(body())
        yield "what is in Redis", redis.client.value("flagtally:{e:a}:" + DAY)
        yield "its end", redis("TTL", "flagtally:{e:a}:" + HOUR) > 0
        yield "the connection's name", \
            b"name=flagtally" in redis("CLIENT", "LIST")
        yield "a token that Redis has", post(body(), ISSUED)
        yield "a large count", post(body(feature="g", yes=MOST))
        yield "a larger one", post(body(feature="g", yes=MOST))
        yield "a registration", post(json.dumps(registration("i")).encode())
        yield "the same again", post(json.dumps(registration("i")).encode())
        redis("HSET", "flagtally:{e:a}:instances", "old", "{}")
        redis("ZADD", "flagtally:{e:a}:instances:seen", "1", "old")
        yield "another instance", post(json.dumps(registration("j")).encode())
        yield "old ones go", sorted(redis.client.value(
            "flagtally:{e:a}:instances")), sorted(redis.client.value(
                "flagtally:{e:a}:instances:seen"))
        yield "many features", [post(body(feature=name)) for name in "hij"]
        yield "up to the cap", len(redis.client.value(
            "flagtally:{e:a}:" + HOUR))
        for name in "xyz":
            redis("ZADD", "flagtally:apps", "1", "e:" + name)
        redis("ZADD", "flagtally:{e:r}:seen", *(
            word for i in range(30) for word in (i + 1, f"old-{i}")))
        yield "a feature beyond those that are remembered", post(body("r"))
        yield "the one not seen for longest goes", redis.client.value(
            "flagtally:{e:r}:seen").get(b"old-0"), redis(
                "ZCARD", "flagtally:{e:r}:seen")
        yield "what the feed has", len(redis(
            "XRANGE", "flagtally:{e:a}:feed", "-", "+"))
        yield "an application beyond the cap", post(body("b"))
        yield "old ones make room", sorted(redis.client.value(
            "flagtally:apps"))
        yield "impact metrics", post(impact({"a": "b"}))
        yield "more of them", post(impact({"a": "c"}))
        yield "a late count", post(body(hour="2001-02-03T04"))
        yield "its buckets", sorted(redis("KEYS", "flagtally:{e:a}:2001*"))
        yield "their values", redis.client.value("flagtally:{default}:impact:h")
        for query in ("", "env=e&app=a"):
            yield f"the page, ?{query}", fcgi.post(
                self.flagtally.address, b"", REQUEST_METHOD="GET",
                REQUEST_URI="/flagtally?" + query, QUERY_STRING=query,
                REMOTE_ADDR="127.0.0.1").status
        usage = fcgi.post(
            self.flagtally.address, b"", REQUEST_METHOD="GET",
            REQUEST_URI="/internal-backstage/usage",
            REMOTE_ADDR="127.0.0.1")
        yield "usage", usage.status, b"_truncated 0" in usage.body
        yield "an Edge", self.edge("one")
        for number in range(255):
            redis("HSET", "flagtally:edges", str(number), "{}")
        yield "an Edge beyond the cap", self.edge("two")
        yield "an old one makes room", redis("HLEN", "flagtally:edges")
        yield from self.refusals()
        self.flagtally.end()
        redis("FLUSHDB")
        yield "as a CGI program", self.cgi(body())
        yield "which cleans up", redis("KEYS", "*:writer:*")

    def edge(self, name):
        path = "/api/client/metrics/edge"
        return self.post(json.dumps({"identifier": name}).encode(),
                         REQUEST_URI=path, SCRIPT_NAME=path)

    def refusals(self):
        """What can never be counted leaves nothing behind."""
        redis, post = self.redis, self.post
        day = "flagtally:{e:c}:" + DAY
        redis("HSET", day, "f:yes", str(2 ** 63 - 1))
        yield "an overflow", post(body("c"))
        yield "is undone", redis("EXISTS", "flagtally:{e:c}:" + HOUR), \
            redis.client.value(day), len(redis("KEYS", "*{e:c}:writer:*"))
        redis("SET", "flagtally:{e:d}:seen", "x")
        yield "a key of another type", post(body("d"))
        yield "is told", [line.split(": ", 2)[2] for line in
                          self.log().splitlines() if "permanently" in line]

    def cgi(self, content):
        """One request to the program as a CGI program."""
        env = environment(redis=url(self.redis), auth="none", spool=NO_SPOOL)
        env.update(fcgi.params(content))
        done = subprocess.run([PROGRAM], input=content, env=env, timeout=20,
                              stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.DEVNULL)
        return fcgi.Answer(done.stdout).status

    def run(self, wanted=None):
        """Take the steps, up to the first whose outcome is not as wanted."""
        outcome = []
        for number, step in enumerate(self.steps()):
            outcome.append(step)
            if wanted is not None and wanted[number] != step:
                break
        return outcome

    def end(self):
        self.flagtally.end()
        self.redis.kill()


def whole_job():
    """Every right of the user has something that fails without it."""
    with Place() as place:
        job = Job(place, "all")
        wanted = job.run()
        job.end()
        for name, *seen in wanted:
            note(f"{name}: {seen}")
        seen = {name: values[0] if len(values) == 1 else values
                for name, *values in wanted}
        equal([seen[name] for name in
               ("a count", "a token that Redis has", "a larger one",
                "another instance", "many features", "impact metrics")],
              [202, 202, 202, 202, [202] * 3, 202], "all is counted")
        equal(seen["what is in Redis"], {b"f:yes": b"1"}, "as it should be")
        equal(seen["old ones go"], [[b"i", b"j"], [b"i", b"j"]],
              "old instances are removed")
        equal(seen["up to the cap"], 3, "features are held to their cap")
        equal(seen["is undone"][0::2], [0, 0], "what is refused is undone")
        equal(len(seen["is told"]), 1, "and logged, once in a while")
        equal(seen["the one not seen for longest goes"], [None, 30],
              "the list of features is held to its cap")
        check(not NO_RIGHT.search(job.log()), "no right is missing", job.log())

        lock = threading.Lock()

        def without(right):
            name = "-" + right.replace("|", "-")
            one = Job(place, name, [right])
            outcome = one.run(wanted)
            one.end()
            with lock:
                check(outcome != wanted,
                      f"{right} is needed: {outcome[-1][0]}")
                # What flagtally has to say about it.  A name it can do
                # without; what it leaves behind goes away by itself.
                if right not in ("client|setname", "unlink", "del", "hdel"):
                    check(NO_RIGHT.search(one.log()),
                          f"{right}: that it is missing is told", one.log())

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(without, (right for right in rights("flagtally")
                                    if right not in ELSEWHERE)))


def never_lost():
    """Rights that are missing cost time, but no counts, and none twice."""
    with Place() as place:
        for missing in (["evalsha"], ["script|load"], ["hset"], ["zadd"],
                        ["expire"], ["expire", "hdel", "del"],
                        ["time"],
                        ["hset", "hdel"], ["hset", "del"], ["hmget", "type"], ["select"]):
            name = "lost" + "-".join(missing).replace("|", "-")
            redis = server(place, name)
            redis("SELECT", "1")
            flagtally = Flagtally(place, url(redis), name + ".ft",
                                  spool=place.file(name + ".db"))
            key = "flagtally:{e:a}:" + DAY
            for right in missing:
                redis("ACL", "SETUSER", "flagtally", "-" + right)
            # So that it has to log in, and to load its scripts.
            redis("SCRIPT", "FLUSH")
            redis("CLIENT", "KILL", "TYPE", "normal")
            wanted = {}
            for feature in "fgf":
                field = feature.encode() + b":yes"
                equal(fcgi.post(flagtally.address,
                                body(feature=feature)).status, 202,
                      f"without {missing} the spool takes it")
                wanted[field] = wanted.get(field, 0) + 1
            log = place.read(name + ".ft.log")
            check(NO_RIGHT.search(log),
                  f"without {missing}: the log says why", log)
            for right in missing:
                redis("ACL", "SETUSER", "flagtally", "+" + right)
            until(lambda: {field: int(value) for field, value in
                           redis.client.value(key).items()} == wanted
                  if redis("EXISTS", key) else False,
                  f"the counts after {missing}: {wanted}")
            flagtally.end()
            equal({field: int(value) for field, value in
                   redis.client.value(key).items()}, wanted,
                  f"after {missing} each counts once")
            redis.kill()


def main_job():
    """The API's example through a web server, with a prefix of its own."""
    with Place() as place:
        redis = server(place, prefix="my-own")
        redis("SELECT", "1")
        tokens = place.file("tokens", OTHER + "\n")
        web = Lighttpd(place, redis=f"unix://flagtally@{redis.path}?db=1",
                       redis_password_file=place.file("password",
                                                      PASSWORD + "\n"),
                       prefix="my-own", tokens=tokens,
                       spool=place.file("spool.db"))
        equal(web.post(EXAMPLE, {"Authorization": OTHER})[:2], (202, b"{}"),
              "the example is accepted")
        equal(redis("HGET", "my-own:{production:inventory-service}:2024-01-15",
                    "new-checkout-flow:yes"), b"300", "and is in Redis")


def refused(client, *words):
    try:
        client(*words)
    except RedisError as error:
        return str(error).startswith("NOPERM")
    return False


def nothing_else():
    """Neither other commands nor other keys."""
    others = (["FLUSHALL"], ["FLUSHDB"], ["KEYS", "*"], ["SCAN", "0"],
              ["CONFIG", "GET", "*"], ["CONFIG", "SET", "maxmemory", "1"],
              ["ACL", "LIST"], ["ACL", "WHOAMI"], ["LATENCY", "RESET"],
              ["SCRIPT", "FLUSH"], ["EVAL", "return 1", "0"], ["INFO"],
              ["CLIENT", "LIST"], ["CLIENT", "KILL", "TYPE", "normal"],
              ["SAVE"], ["SHUTDOWN"], ["MONITOR"], ["REPLICAOF", "NO", "ONE"],
              ["PUBLISH", "c", "m"], ["SUBSCRIBE", "c"], ["SWAPDB", "0", "1"],
              ["RENAME", "flagtally:apps", "flagtally:x"], ["RANDOMKEY"],
              ["DUMP", "flagtally:apps"], ["PERSIST", "flagtally:apps"])
    foreign = (["GET", "other"], ["SET", "other", "1"], ["DEL", "other"],
               ["HSET", "other", "a", "1"], ["HGET", "other", "a"],
               ["TYPE", "other"], ["UNLINK", "other"], ["EXISTS", "other"],
               ["SMEMBERS", "flagtallyx"], ["ZADD", "other", "1", "a"])
    with Place() as place:
        redis = server(place)
        redis("SET", "other", "mine")
        for user in users():
            client = login(redis, user)
            for words in others + foreign:
                if user == "flagtally-reader" and words[0] in ("SCAN",
                                                               "INFO"):
                    continue
                check(refused(client, *words),
                      f"{user} may not {' '.join(words)}")
        writing = (["SET", "flagtally:apps", "1"], ["DEL", "flagtally:apps"],
                   ["HSET", "flagtally:{e:a}:x", "a", "1"],
                   ["ZADD", "flagtally:apps", "1", "a"],
                   ["SADD", "flagtally:tokens", "a"],
                   ["SMEMBERS", "flagtally:tokens"],
                   ["EVALSHA", "0" * 40, "0"], ["SCRIPT", "LOAD", "return 1"])
        reader = login(redis, "flagtally-reader")
        for words in writing:
            check(refused(reader, *words),
                  f"a reader may not {' '.join(words)}")
        issuer = login(redis, "flagtally-issuer")
        equal(issuer("SADD", "flagtally:tokens", "-"), 1,
              "an issuer may issue")
        for words in writing[:4] + (["HGETALL", "flagtally:{e:a}:x"],):
            check(refused(issuer, *words),
                  f"an issuer may not {' '.join(words)}")
        # Without a password, as they are shipped, nobody can log in.
        with open(os.path.join(SHIPPED, "users.acl"), encoding="ascii") as acl:
            bare = Redis(place, "bare", aclfile=place.file(
                "bare.acl", ADMIN + acl.read()))
        for user in users():
            for password in ("", PASSWORD):
                try:
                    Client(bare.path)("AUTH", user, password)
                    check(False, f"{user} has no password")
                except RedisError as error:
                    check("WRONGPASS" in str(error),
                          f"{user} cannot log in without a password", error)


def readers():
    """A reader sees what README.md shows, with each of its commands."""
    with Place() as place:
        redis = server(place)
        flagtally = Flagtally(place, f"unix://flagtally:{PASSWORD}@"
                              f"{redis.path}")
        equal(fcgi.post(flagtally.address, impact({"a": "b"})).status, 202,
              "there is something to read")
        key = "flagtally:{e:a}:" + DAY
        calls = {
            "ping": [], "select": ["0"], "client|setname": ["r"],
            "type": [key], "exists": [key], "ttl": [key], "pttl": [key],
            "hmget": [key, "f:yes"],
            "hgetall": [key], "hkeys": [key], "hlen": [key],
            "hexists": [key, "f:yes"], "hscan": [key, "0"],
            "smembers": ["flagtally:{default}:impact"],
            "sismember": ["flagtally:{default}:impact", "c"],
            "scard": ["flagtally:{default}:impact"],
            "zrange": ["flagtally:apps", "0", "-1"],
            "zrangebyscore": ["flagtally:apps", "0", "+inf"],
            "zrevrangebyscore": ["flagtally:apps", "+inf", "0"],
            "zscore": ["flagtally:apps", "e:a"],
            "zcount": ["flagtally:apps", "0", "+inf"],
            "zcard": ["flagtally:apps"], "zscan": ["flagtally:apps", "0"],
            "zrevrange": ["flagtally:apps", "0", "-1"],
            "xrange": ["flagtally:{e:a}:x", "-", "+"],
            "xread": ["STREAMS", "flagtally:{e:a}:x", "0"],
            "scan": ["0"], "info": ["server"], "role": [],
            # These queue what comes between them.
            "multi": [], "hget": [key, "f:yes"], "exec": [],
            "discard": [], "cluster|slots": [], "cluster|shards": [],
            "subscribe": [f"__keyspace@0__:{key}", "flagtally:changes"],
            "psubscribe": ["__keyspace@*__:flagtally:{*"],
        }
        redis("XADD", "flagtally:{e:a}:x", "*", "a", "1")
        equal(sorted(calls), sorted(rights("flagtally-reader")),
              "these are its rights")
        client = login(redis, "flagtally-reader")
        for right, arguments in calls.items():
            try:
                reply = client(*right.split("|"), *arguments)
            except RedisError as error:
                # It has no cluster, and no transaction is open.
                reply = error
                check("NOPERM" not in str(error) and right in (
                    "discard", "cluster|slots", "cluster|shards"),
                    f"a reader may {right}", error)
            check(reply not in (None, [], 0), f"a reader may {right}", reply)
        for right, channel in (("subscribe", "__keyspace@0__:other"),
                               ("psubscribe", "*")):
            check(refused(login(redis, "flagtally-reader"), right, channel),
                  f"a reader may not {right} {channel}")
        client = login(redis, "flagtally-reader")
        for words in ([], ["e/a"], ["--stale", "1d"]):
            equal(subprocess.run(
                [os.path.abspath(PROGRAM), "--report", *words],
                env=environment(redis=f"unix://flagtally-reader:{PASSWORD}@"
                                f"{redis.path}", spool=NO_SPOOL),
                stdout=subprocess.DEVNULL, check=False).returncode, 0,
                f"--report {' '.join(words)} needs no more")
        redis("HSET", "flagtally:edges", "x", "{}")
        equal(client("HGETALL", "flagtally:edges"), [b"x", b"{}"],
              "and see the Edges")
        redis("SADD", "flagtally:tokens:seen", "x")
        equal(client("SMEMBERS", "flagtally:tokens:seen"), [b"x"],
              "and see when tokens were seen")


def follower():
    """A follower reads feeds by a consumer group, and nothing else."""
    with Place() as place:
        redis = server(place)
        flagtally = Flagtally(place, f"unix://flagtally:{PASSWORD}@"
                              f"{redis.path}", feed="10", publish="yes")
        feed = "flagtally:{e:a}:feed"
        client = login(redis, "flagtally-follower")
        listener = login(redis, "flagtally-follower")
        equal(listener("SUBSCRIBE", "flagtally:changes")[0], b"subscribe",
              "a follower may subscribe")
        equal(fcgi.post(flagtally.address, body()).status, 202, "a count")
        equal(listener._read()[2], b"flagtally:{e:a}:" + HOUR.encode(),
              "and is told of it")
        calls = {
            "ping": [], "select": ["0"], "client|setname": ["r"],
            "zrange": ["flagtally:apps", "0", "-1"], "exists": [feed],
            "xlen": [feed], "xrange": [feed, "-", "+"],
            "xread": ["STREAMS", feed, "0"],
            "xgroup|create": [feed, "g", "0"],
            "xreadgroup": ["GROUP", "g", "c", "STREAMS", feed, ">"],
            "xpending": [feed, "g"], "xinfo|groups": [feed],
            "xinfo|stream": [feed],
            "xautoclaim": [feed, "g", "c", "0", "0"],
            "xack": [feed, "g", redis("XRANGE", feed, "-", "+")[0][0]],
            "cluster|slots": [], "cluster|shards": []}
        equal(sorted([*calls, "subscribe"]),
              sorted(rights("flagtally-follower")), "these are its rights")
        for right, arguments in calls.items():
            try:
                reply = client(*right.split("|"), *arguments)
            except RedisError as error:
                # It has no cluster.
                reply = error
                check("cluster" in right and "NOPERM" not in str(error),
                      f"a follower may {right}", error)
            check(reply not in (None, [], 0), f"a follower may {right}", reply)
        for words in (["HGETALL", "flagtally:{e:a}:" + DAY],
                      ["XRANGE", "flagtally:{e:a}:" + DAY, "-", "+"],
                      ["XADD", feed, "*", "a", "1"], ["XTRIM", feed, "MAXLEN", "0"],
                      ["XGROUP", "DESTROY", feed, "g"], ["DEL", feed],
                      ["SUBSCRIBE", "c"]):
            check(refused(client, *words),
                  f"a follower may not {' '.join(words)}")


def settings():
    """The settings as they stand, and that they keep the promise."""
    path = os.path.join(SHIPPED, "flagtally.conf")
    with open(path, encoding="ascii") as file:
        lines = dict(line.split(" ", 1) for line in
                     re.findall(r"^(?!#)(\S+ .+)$", file.read(), re.M))
    with Place() as place:
        # Only what the test's servers must have is given beside the file.
        redis = Redis(place, include=os.path.abspath(path))
        shown = {name: redis("CONFIG", "GET", name)[1].decode()
                 for name in lines}
        lines["maxmemory"] = str(512 << 20)
        equal(shown, lines, "Redis takes the settings as they stand")
        flagtally = Flagtally(place, redis, spool=place.file("spool.db"))
        for _ in range(5):
            equal(fcgi.post(flagtally.address, body()).status, 202, "counted")
        redis.signal(signal.SIGKILL)
        redis.wait()
        redis.start()
        key = "flagtally:{e:a}:" + DAY
        equal(redis("HGET", key, "f:yes"), b"5",
              "what was acknowledged survives that Redis is killed")
        redis("CONFIG", "SET", "maxmemory", "1")
        equal(fcgi.post(flagtally.address, body()).status, 202,
              "a Redis that is full: the spool takes it")
        check("OOM" in place.read("flagtally.log"), "the log says why",
              place.read("flagtally.log"))
        equal(redis("HGET", key, "f:yes"), b"5", "Redis has not")
        redis("CONFIG", "SET", "maxmemory", "512mb")
        until(lambda: redis("HGET", key, "f:yes") == b"6", "replay")
        check(True, "and brings it when there is room")


run([main_job, whole_job, never_lost, nothing_else, readers, follower,
     settings])
