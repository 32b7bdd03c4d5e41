"""Redis Cluster: counts go where their slots are, however these move."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import threading
import time

from tests.harness import fcgi, tls
from tests.harness.cluster import Cluster
from tests.harness.resp import Client
from tests.harness.servers import PROGRAM, Flagtally, Place, Redis, \
    environment, find, free_port
from tests.harness.tap import check, equal, note, run
from tests.harness.tls import TLS, Authority
from tests.harness.wait import until

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                      "deploy", "redis")
APPLICATIONS = [f"a{number}" for number in range(40)]
HOUR = "2026-11-23T09"
TOKEN = "*:*.issued"


def body(*applications, **more):
    return json.dumps({"applications": [], "metrics": [
        {"featureName": "f", "appName": application, "environment": "e",
         "timestamp": HOUR + ":30:00Z", "yes": 1, "no": 0, "variants": {}}
        for application in applications or APPLICATIONS], **more}).encode()


def bucket(application):
    return f"flagtally:{{e:{application}}}:{HOUR}"


def start(place, cluster, name="flagtally", **settings):
    return Flagtally(place, cluster, name, **{
        "spool": place.file(name + ".db"), "flush_interval": "100ms",
        **settings})


def post(flagtally, *applications, **more):
    return fcgi.post(flagtally.address, body(*applications, **more)).status


def command(cluster, *arguments, **settings):
    done = subprocess.run([os.path.abspath(PROGRAM), *arguments],
                          env=environment(redis=cluster.url(), **settings),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=30, check=False)
    return done.returncode, done.stdout


def counts(cluster):
    """How often the feature was on, of each application."""
    keys = {bucket(application).encode(): application
            for application in APPLICATIONS}
    return {keys[key]: int(value.get(b"f:yes", 0))
            for key, value in cluster.everything().items() if key in keys}


def waiting(place, name="flagtally"):
    """What is in the spool."""
    code, text = command_spool(place, name)
    return text if code == 0 else None


def command_spool(place, name):
    done = subprocess.run([os.path.abspath(PROGRAM), "--spool"],
                          env=environment(spool=place.file(name + ".db")),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=30, check=False)
    return done.returncode, done.stdout


# The whole job, in a cluster and in one server

REGISTRATION = {
    "appName": "a1", "environment": "e", "instanceId": "i", "interval": 60,
    "strategies": [], "started": HOUR + ":00:00Z"}
IMPACT = [{"name": name, "help": "h", "type": kind, "samples": [
    {"value": 2, "labels": {"environment": "e"}}]}
    for name, kind in (("c", "counter"), ("g", "gauge"))]


def job(place, server, name):
    """Everything that is written and read; return what is seen of it."""
    flagtally = start(place, server, name, auth="tokens",
                      token_set="flagtally:tokens")

    def request(content=b"", path="/api/client/metrics/bulk", **changes):
        return fcgi.post(flagtally.address, content, **{
            "REQUEST_URI": path, "SCRIPT_NAME": path,
            "REMOTE_ADDR": "127.0.0.1", "HTTP_AUTHORIZATION": TOKEN,
            **changes})

    def read(path):
        answer = request(path=path, REQUEST_METHOD="GET")
        return answer.status, re.sub(rb"\d\d:\d\d", b"", answer.body)

    seen = {
        "counts": [request(body()).status for _ in range(3)],
        "all else": request(body(
            applications=[REGISTRATION], impactMetrics=IMPACT,
            seenTokens=["*:e.token"])).status,
        "an Edge": request(json.dumps({"identifier": "one"}).encode(),
                           "/api/client/metrics/edge").status,
        "a bad token": request(body(), HTTP_AUTHORIZATION="*:*.no").status,
        "health": read("/internal-backstage/health")[0],
        "ready": read("/internal-backstage/ready")[0],
        "usage": read("/internal-backstage/usage"),
        "page": read("/flagtally")[0],
    }
    for arguments in (["--report"], ["--report", "e/a1"],
                      ["--report", "--stale", "1h"]):
        seen[" ".join(arguments)] = command(server, *arguments)
    flagtally.end()
    return seen


def shape(keys):
    """What is in Redis, without writers and times."""
    return {key: sorted(value) if re.search(
        rb":(seen|late|apps|environments|when|edges)$", key) else value
        for key, value in keys.items() if b":writer:" not in key}


def whole_job():
    with Place() as place:
        cluster = Cluster(place, replicas=0)
        redis = Redis(place, "single")
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        cluster("SADD", "flagtally:tokens", digest)
        redis("SADD", "flagtally:tokens", digest)
        wanted = job(place, redis, "one")
        found = job(place, cluster, "several")
        equal(found, wanted, "all is accepted and read as from one server")
        equal([wanted["counts"], wanted["all else"], wanted["a bad token"]],
              [[202] * 3, 202, 403], "as it should be")
        equal(shape(cluster.everything()),
              shape(redis.client.everything()), "all is in Redis as in one")
        check(all(node("DBSIZE") > 0 for node in cluster.nodes),
              "every master has a part")
        check("Redis" not in place.read("several.log"),
              "there is nothing to say", place.read("several.log"))
        before = shape(cluster.everything())
        tokens = place.file("tokens", TOKEN + "\n")
        code, text = command(cluster, "--check", tokens=tokens,
                             spool=place.file("check.db"))
        check(code == 0 and "redis   OK" in text, "--check", code, text)
        equal(shape(cluster.everything()), before, "which leaves nothing")


def declared():
    """Each key that a script touches is among those that it is called with."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis, limit_apps=2, limit_environments=1,
                          limit_features=2, limit_series=4, feed=10)
        monitor = Client(redis.path)
        monitor("MONITOR")
        buckets = [{"le": 1, "count": 1}, {"le": "+Inf", "count": 2}]
        histogram = {"name": "h_count", "help": "h", "type": "histogram",
                     "samples": [{"count": 2, "sum": 1.5, "labels": {},
                                  "buckets": buckets}]}
        for number in range(4):
            post(flagtally, f"a{number}", applications=[REGISTRATION],
                 impactMetrics=IMPACT, seenTokens=["*:e.token"])
            post(flagtally, f"a{number}", impactMetrics=[histogram])
            for key, member in (("apps", "e:a0"), ("environments", "e")):
                redis("ZADD", "flagtally:" + key, "1", member)
        equal(fcgi.post(flagtally.address, b'{"identifier":"one"}',
                        REQUEST_URI="/api/client/metrics/edge",
                        SCRIPT_NAME="/api/client/metrics/edge").status, 202,
              "all is accepted")
        redis("PING")
        scripts, keys, wrong = set(), [], set()
        for line in iter(monitor.stream.readline, b""):
            words = re.findall(rb'"((?:[^"\\\\]|\\\\.)*)"', line)
            command = words[0].upper()
            if command == b"EVALSHA":
                keys = words[3:3 + int(words[2])]
                scripts.add(words[1])
            elif b" lua] " in line and command != b"TIME" and \
                    words[1] not in keys:
                wrong.add(b" ".join(words[:2]))
            elif command == b"PING":
                break
        equal(len(scripts), 5, "every script was called")
        equal(wrong, set(), "with all of its keys")


def redirected():
    """The map is read again, ASK is followed, and TRYAGAIN waits."""
    with Place() as place:
        cluster = Cluster(place, replicas=0)
        flagtally = start(place, cluster)
        key = "flagtally:tokens:seen"
        target, source, slot = begin_move(cluster)

        def errors(name):
            found = re.search(name.encode() + rb":count=(\d+)",
                              source("INFO", "errorstats"))
            return int(found.group(1)) if found else 0

        equal(post(flagtally, seenTokens=["*:e.one"]), 202, "while it moves")
        until(lambda: errors("errorstat_ASK") > 0, "ASK")
        target("ASKING")
        equal(target("ZCARD", key), 1, "the other node has the key")
        for node in (target, source):
            node("CLUSTER", "SETSLOT", slot, "NODE", target.id())
        equal(post(flagtally, seenTokens=["*:e.two"]), 202, "when it moved")
        moved = errors("errorstat_MOVED")
        check(moved > 0, "MOVED says so", moved)
        for number in range(3):
            equal(post(flagtally, seenTokens=[f"*:e.{number}"]), 202, "again")
        until(lambda: target("ZCARD", key) == 5, "all tokens")
        equal(errors("errorstat_MOVED"), moved, "and only once")

        name = APPLICATIONS[0]
        target, source, slot = begin_move(cluster, bucket(name))
        before = counts(cluster)
        equal(post(flagtally), 202, "while an application moves")
        check(re.search("(TRYAGAIN|ASK)", place.read("flagtally.log")) and
              f"{{e:{name}}}" in waiting(place), "its counts wait",
              place.read("flagtally.log"))
        equal({other: count - before[other] for other, count in
               counts(cluster).items() if other != name},
              dict.fromkeys(APPLICATIONS[1:], 1), "and no others")
        while keys := source("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS",
                   *keys)
        for node in (target, source):
            node("CLUSTER", "SETSLOT", slot, "NODE", target.id())
        until(lambda: counts(cluster)[name] == before[name] + 1, "replay", 40)


def like_errors():
    """A password that has letters of MOVED, ASK and the hosts."""
    password = "ASK.MOVED.127.0.0.1"
    key = "flagtally:tokens:seen"
    with Place() as place:
        cluster = Cluster(place, replicas=0, aclfile=place.file(
            "users.acl", "user default on nopass ~* &* +@all\n"
            f"user flagtally on >{password} ~* &* +@all\n"))
        flagtally = start(place, cluster.url(
            credentials=f"flagtally:{password}@"))
        target, source, slot = begin_move(cluster)
        equal(post(flagtally, seenTokens=["*:e.one"]), 202, "while it moves")
        until(lambda: target("ASKING") and target("ZCARD", key) == 1,
              "ASK to be followed")
        for node in (target, source):
            node("CLUSTER", "SETSLOT", slot, "NODE", target.id())
        equal(post(flagtally, seenTokens=["*:e.two"]), 202, "when it moved")
        until(lambda: target("ZCARD", key) == 2, "MOVED to be followed")
        check("may hold" not in place.read("flagtally.log"),
              "no redirection is put off", place.read("flagtally.log"))


def shipped():
    """The configuration and the users that are shipped, in a cluster."""
    password = "tiger"
    text = {}
    for name in ("flagtally.conf", "cluster.conf", "users.acl"):
        with open(os.path.join(DEPLOY, name), encoding="ascii") as file:
            text[name] = file.read()
    replica = re.search(r"user flagtally-replica .*", text["cluster.conf"])
    users = "user default on nopass ~* &* +@all\n" + "".join(
        f"{line} >{password}\n" for line in
        [*text["users.acl"].splitlines(), replica.group()])
    with Place() as place:
        config = place.file("redis.conf", text["flagtally.conf"] +
                            text["cluster.conf"])
        cluster = Cluster(place, config=config,
                          aclfile=place.file("users.acl", users),
                          masteruser="flagtally-replica", masterauth=password)
        url = cluster.url(credentials=f"flagtally:{password}@")
        sent = 0
        for missing in ([], ["cluster|shards"], ["wait"], ["asking"],
                        ["cluster|shards", "cluster|slots"]):
            name = "without-" + "-".join(missing).replace("|", "-")
            for node in cluster.nodes:
                for right in missing:
                    node("ACL", "SETUSER", "flagtally", "-" + right)
            flagtally = start(place, url, name, redis_replicas=1)
            if missing == ["asking"]:
                # The slot has to be empty when it is assigned.
                for key in ("flagtally:tokens:seen",
                            "flagtally:{flagtally:tokens:seen}:shares"):
                    cluster("DEL", key)
                target, source, slot = begin_move(cluster)
            wanted = {"": "is ready", "cluster|shards": "is ready",
                      "asking": "moves from node to node"}.get(
                          " ".join(missing), "NOPERM")

            statuses = []

            def told():
                statuses.append(post(flagtally, seenTokens=["*:e.one"]))
                return wanted in place.read(name + ".log")

            until(told, wanted)
            sent += len(statuses)
            equal(set(statuses), {202}, f"{name}: accepted")
            log = place.read(name + ".log")
            check(("NOPERM" in log) == (wanted == "NOPERM"),
                  f"{name}: the log says what is missing", log)
            for node in cluster.nodes:
                for right in missing:
                    node("ACL", "SETUSER", "flagtally", "+" + right)
            if missing == ["asking"]:
                for node in (target, source):
                    node("CLUSTER", "SETSLOT", slot, "NODE", target.id())
                cluster.settled()
            flagtally.end()
            flagtally = start(place, url, name)
            # Rows for the journal have no tag.
            until(lambda: len(waiting(place, name).splitlines()) == 1,
                  "replay", 40)
            flagtally.end()
        equal(set(counts(cluster).values()), {sent}, "each is counted once")
        done = subprocess.run(
            [find("redis-cli"), "-c", "-p", str(cluster.nodes[0].port),
             "--user", "flagtally-reader", "--pass", password,
             "--no-auth-warning", "HGET", bucket("a7"), "f:yes"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=20, check=False)
        equal(done.stdout.strip(), str(sent), "a reader finds it with redis-cli -c")
        cluster.take_over(cluster.nodes[0])
        flagtally = start(place, url, "after")
        equal(post(flagtally), 202, "after a failover")
        until(lambda: set(counts(cluster).values()) == {sent + 1},
              "the counts", 40)
        check(True, "a replica has taken over, with its user")


def begin_move(cluster, key="flagtally:tokens:seen"):
    """Have the slot of a key begin to move to another node."""
    source = cluster.owner(key)
    target = next(node for node in cluster.masters() if node is not source)
    slot = source("CLUSTER", "KEYSLOT", key)
    target("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id())
    source("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id())
    return target, source, slot


def nodes_of_url():
    """One node of the URL that answers is enough; with none the spool."""
    with Place() as place:
        cluster = Cluster(place, replicas=0)
        ports = [node.port for node in cluster.nodes]
        dead = "redis-cluster://127.0.0.1:1"
        for number, (name, url) in enumerate((
                ("one", f"redis-cluster://localhost:{ports[1]}"),
                ("after", f"{dead}?node=nowhere.invalid"
                          f"&node=127.0.0.1:{ports[2]}")), 1):
            flagtally = start(place, url, name)
            equal(post(flagtally), 202, f"{name}: accepted")
            until(lambda: set(counts(cluster).values()) == {number},
                  "the counts")
            flagtally.end()
        equal(set(counts(cluster).values()), {2}, "all is counted")
        flagtally = start(place, dead, "none")
        equal(post(flagtally), 202, "without any node the spool takes it")
        flagtally.end()
        check(re.search("does not serve: 127.0.0.1:1: .*refused",
                        place.read("none.log")), "and the log names it",
              place.read("none.log"))
        flagtally = start(place, cluster, "none")
        until(lambda: set(counts(cluster).values()) == {3}, "replay")
        for url, why in (("redis-cluster://h/1", "database other than 0"),
                         ("redis-cluster://h?n=i", "node=HOST:PORT")):
            done = subprocess.run(
                [os.path.abspath(PROGRAM), "--check-config"], text=True,
                env=environment(redis=url), stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL, check=False, timeout=20)
            check(done.returncode != 0 and why in done.stderr,
                  f"{url} is an error", done.stderr)


# Slots move, and masters fail, while clients go on

class Load:
    """Clients that post the same body again and again, and count."""

    def __init__(self, flagtally, clients=16):
        self.flagtally, self.stopping = flagtally, False
        self.sent, self.others, self.longest = 0, [], 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run)
                        for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        content = body()
        while not self.stopping:
            began = time.monotonic()
            try:
                status = fcgi.post(self.flagtally.address, content).status
            except OSError as error:
                status = str(error)
                self.stopping = True
            took = time.monotonic() - began
            with self.lock:
                self.longest = max(self.longest, took)
                if status == 202:
                    self.sent += 1
                else:
                    self.others.append(status)

    def during(self, name, action):
        """Do something, and say what became of the posts meanwhile."""
        before, began = self.sent, time.monotonic()
        result = action()
        # Some more, with what has changed.
        more = self.sent + 32
        until(lambda: self.sent >= more, "posts")
        with self.lock:
            note(f"{name}: {self.sent - before} posts in "
                 f"{time.monotonic() - began:.1f} s, the longest of all took "
                 f"{self.longest:.3f} s")
        return result

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()
        equal(self.others, [], "every post was accepted")
        check(self.longest < 2, "within 2 s", self.longest)
        return self.sent


def exact(cluster, load, what):
    """Wait until all that was accepted is in Redis, and no more."""
    wanted = load.stop()
    try:
        until(lambda: set(counts(cluster).values()) == {wanted} or
              max(counts(cluster).values()) > wanted, "all counts", 60)
    except TimeoutError:
        pass
    found = counts(cluster)
    equal({name: found.get(name) for name in APPLICATIONS},
          dict.fromkeys(APPLICATIONS, wanted),
          f"{what}: {wanted} posts are counted once each")


def stopped(node, seconds):
    """Stop a node for so long; clients and nodes wait for nothing else."""
    node.signal(signal.SIGSTOP)
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, "the end of it")
    node.signal(signal.SIGCONT)


def moving():
    """Slots move, nodes come, go, stop, and die: each post counts once."""
    with Place() as place:
        cluster = Cluster(place)
        flagtally = start(place, cluster, redis_replicas=1)
        load = Load(flagtally)
        first, second, third = cluster.nodes[:3]
        load.during("slots move", lambda: cluster.reshard(first, second, 500))
        master = load.during("a node is added", cluster.add)
        cluster.add_replica(master)
        load.during("and gets slots",
                    lambda: cluster.reshard(third, master, 500))
        load.during("and loses them",
                    lambda: cluster.reshard(master, third, 500))
        load.during("and is removed", lambda: cluster.remove(master))
        load.during("a node stops for 5 s", lambda: stopped(third, 5))
        cluster.settled()
        load.during("a master dies", lambda: cluster.take_over(second))
        second.start()
        cluster.settled()
        load.during("and comes back", lambda: None)
        exact(cluster, load, "all of that")
        equal(len(cluster.masters()), 3, "there are three masters")


def failovers():
    """Masters are killed in a row, and their replicas take over.

    FLAGTALLY_FAILOVERS=20 makes it longer.
    """
    number_of = int(os.environ.get("FLAGTALLY_FAILOVERS", 3))
    seed = int(os.environ.get("FLAGTALLY_SEED", random.randrange(1 << 31)))
    note(f"seed {seed}: repeat with FLAGTALLY_SEED={seed}")
    chance = random.Random(seed)
    with Place() as place:
        cluster = Cluster(place, timeout=500)
        load = Load(start(place, cluster, redis_replicas=1))
        for number in range(number_of):
            master = chance.choice(cluster.masters())
            load.during(f"{number}: {master.name}",
                        lambda: cluster.take_over(master))
            master.start()
            cluster.settled()
            until(lambda: all(node("ROLE")[2] for node in cluster.masters()),
                  "a replica for each master", 40)
        exact(cluster, load, f"{number_of} failovers")


def over_tls():
    """With TLS to each node, whose certificates are checked."""
    if not TLS:
        note("the program was built without TLS")
        return
    with Place() as place:
        authority, other = Authority(place, "good"), Authority(place, "other")
        cluster = Cluster(place, replicas=0, **tls.settings(authority.sign(
            "node", "IP:127.0.0.1"), authority))
        flagtally = start(place, cluster.url("rediss-cluster"), "tls",
                          redis_tls_ca=authority.certificate)
        equal([post(flagtally) for _ in range(3)], [202] * 3, "accepted")
        until(lambda: set(counts(cluster).values()) == {3}, "the counts")
        check(all(re.search(rb"name=flagtally ", node("CLIENT", "LIST"))
                  for node in cluster.nodes), "each node has a connection")
        cluster.reshard(*cluster.nodes[:2], 500)
        equal(post(flagtally), 202, "after slots have moved")
        until(lambda: set(counts(cluster).values()) == {4}, "the counts")
        flagtally.end()
        flagtally = start(place, cluster.url("rediss-cluster"), "wrong",
                          redis_tls_ca=other.certificate)
        equal(post(flagtally), 202, "with another authority the spool has it")
        check("certificate" in place.read("wrong.log"), "and the log says why",
              place.read("wrong.log"))


def wrong_kind():
    """What to do about a URL of the wrong kind."""
    with Place() as place:
        cluster = Cluster(place, replicas=0)
        redis = Redis(place, "single", port=str(free_port()),
                      bind="127.0.0.1")
        port = redis("CONFIG", "GET", "port")[1].decode()
        tokens = place.file("tokens", TOKEN + "\n")
        for url, words in (
                (f"redis-cluster://127.0.0.1:{port}", "begin with redis://"),
                (f"redis://127.0.0.1:{cluster.nodes[0].port}",
                 "begin with redis-cluster://")):
            done = subprocess.run(
                [os.path.abspath(PROGRAM), "--check"], text=True, timeout=30,
                env=environment(redis=url, spool=place.file("check.db"),
                                tokens=tokens),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            check(done.returncode != 0 and words in done.stdout,
                  f"{url} should {words}", done.stdout)


def partly_down():
    """A master without a replica is down: its counts alone wait."""
    with Place() as place:
        cluster = Cluster(place, replicas=0,
                          cluster_require_full_coverage="no")
        flagtally = start(place, cluster)
        equal(post(flagtally), 202, "before")
        lost = cluster.owner(bucket("a0"))
        theirs = [name for name in APPLICATIONS
                  if cluster.owner(bucket(name)) is lost]
        others = [name for name in APPLICATIONS if name not in theirs]
        lost.kill()
        results = [(post(flagtally), post(flagtally, *others[:5]))
                   for _ in range(10)]
        equal(set(results), {(202, 202)}, "while it is down all is accepted")
        found = counts(cluster)
        equal(found, {name: 21 if name in others[:5] else 11
                      for name in others},
              "what the other masters have is counted at once")
        tags = re.findall(r"\{e:(\w+)\}", waiting(place))
        check(tags and set(tags) <= set(theirs),
              "the spool has counts of that master alone", waiting(place))
        log = place.read("flagtally.log")
        check(f"AWAY 127.0.0.1:{lost.port}: " in log and
              "takes changes again" not in log, "as the log says", log)
        lost.start()
        until(lambda: counts(cluster).get("a0") == 11, "replay", 40)
        until(lambda: set(counts(cluster).values()) == {11, 21}, "the rest")
        equal(counts(cluster), {name: 21 if name in others[:5] else 11
                                for name in APPLICATIONS}, "once each")


run([whole_job, declared, redirected, like_errors, shipped, nodes_of_url,
     over_tls, wrong_kind, moving, failovers, partly_down])
