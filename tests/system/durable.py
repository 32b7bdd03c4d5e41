"""A 202 is a promise: the spool, replay, and what is set aside."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.servers import PROGRAM, Flagtally, Place, Redis, \
    environment
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

HOUR = "flagtally:{e:a}:2026-11-23T09"
DAY = "flagtally:{e:a}:2026-11-23"


def metric(feature="f", yes=1, app="a", **more):
    return {"featureName": feature, "appName": app, "environment": "e",
            "timestamp": "2026-11-23T09:30:00Z", "yes": yes, "no": 0,
            "variants": {}, **more}


def body(*metrics, **more):
    return json.dumps({"applications": [], "metrics": list(metrics),
                       **more}).encode()


def post(flagtally, *metrics, **more):
    return fcgi.post(flagtally.address, body(*metrics, **more)).status


def timed(flagtally, *metrics):
    begin = time.monotonic()
    status = post(flagtally, *metrics)
    return status, time.monotonic() - begin


def yes(redis, feature="f", key=HOUR):
    return int(redis("HGET", key, feature + ":yes") or 0)


def start(place, redis, name="flagtally", **settings):
    return Flagtally(place, redis, name, **{
        "spool": place.file("spool.db"), "flush_interval": "100ms",
        **settings})


def command(place, redis, *arguments, output=subprocess.PIPE, **settings):
    return subprocess.run(
        [os.path.abspath(PROGRAM), *arguments], stdout=output,
        stderr=subprocess.PIPE, text=True, timeout=30, env=environment(
            **{"redis": redis.url(), "spool": place.file("spool.db"),
               **settings}))


def away():
    """Redis is away: the spool takes it, and Redis has it when it is back."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis)
        equal(post(flagtally, metric()), 202, "before")
        redis.kill()
        results = [timed(flagtally, metric(), metric("g", 5))
                   for _ in range(20)]
        equal({status for status, _ in results}, {202},
              "without Redis every post is accepted")
        check(max(took for _, took in results) < 2, "within 2 s", results)
        check(sum(took for _, took in results[1:]) < 2, "only the first one "
              "waits for Redis", results)
        redis.start()
        until(lambda: yes(redis) == 21, "replay")
        until(lambda: yes(redis, "g", DAY) == 100, "replay")
        equal(post(flagtally, metric()), 202, "afterwards")
        equal(yes(redis), 22, "counted once each")
        equal(os.stat(place.file("spool.db")).st_mode & 0o777, 0o600,
              "the spool is for its owner alone")


def patient():
    """What gathers on purpose may wait long; what fell into the spool not."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis, flush_interval="1h")
        equal(post(flagtally, metric()), 202, "before")
        redis.kill()
        equal(post(flagtally, metric()), 202, "without Redis")
        redis.start()
        until(lambda: yes(redis) == 2, "replay, whatever flush_interval is")


def killed():
    """kill -9 after the answers: the next process replays."""
    with Place() as place:
        redis = Redis(place)
        redis.kill()
        flagtally = start(place, redis)
        equal({post(flagtally, metric()) for _ in range(10)}, {202},
              "accepted without Redis")
        flagtally.kill()
        redis.start()
        equal(yes(redis), 0, "not in Redis yet")
        flagtally = start(place, redis)
        until(lambda: yes(redis) == 10, "replay at the start")
        flagtally.kill()
        start(place, redis)
        equal(yes(redis), 10, "counted once each")


def silent():
    """Redis accepts and says nothing: nobody knows what it has applied."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis)
        post(flagtally, metric())
        for round_ in range(3):
            redis.signal(signal.SIGSTOP)
            with ThreadPoolExecutor(8) as pool:
                results = list(pool.map(
                    lambda _: timed(flagtally, metric()), range(24)))
            redis.signal(signal.SIGCONT)
            equal({status for status, _ in results}, {202},
                  f"{round_}: every post is accepted")
            check(max(took for _, took in results) < 2,
                  f"{round_}: within 2 s", max(results))
            wanted = 1 + 24 * (round_ + 1)
            until(lambda: yes(redis) >= wanted, "replay")
            until(lambda: waiting(place, redis) == [], "an empty spool")
            equal(yes(redis), wanted, f"{round_}: counted once each")


def dripping():
    """Redis answers byte by byte: that is no answer in time."""
    with Place() as place:
        redis = Redis(place)
        proxy = Proxy(place, redis.path)
        flagtally = start(place, proxy.url())
        post(flagtally, metric())
        proxy.drip("down")
        # A hundred replies, which take longer than anybody waits.
        many = [metric(app=f"a{i}") for i in range(100)]
        results = [timed(flagtally, *many) for _ in range(3)]
        equal({status for status, _ in results}, {202}, "accepted")
        check(max(took for _, took in results) < 2, "within 2 s", results)
        proxy.release()
        until(lambda: waiting(place, redis) == [], "replay")
        equal([yes(redis, key=f"flagtally:{{e:a{i}}}:2026-11-23")
               for i in range(100)], [3] * 100, "counted once each")


def outage():
    """A long outage fits into the spool, because it merges.

    FLAGTALLY_OUTAGE says how many posts it lasts; 1800000 are an hour of 500
    in a second.
    """
    posts = int(os.environ.get("FLAGTALLY_OUTAGE") or 6000)
    bodies = [body(*[metric(f"feature-{(5 * i + j) % 200}", 1, f"app-{i % 7}")
                     for j in range(5)]) for i in range(280)]
    with Place() as place:
        redis = Redis(place)
        redis.kill()
        flagtally = start(place, redis)
        sizes = []

        def client(number):
            connection = fcgi.Connection(flagtally.address)
            statuses = set()
            for i in range(number, posts, 16):
                text = bodies[i % len(bodies)]
                statuses.add(connection.request(fcgi.params(text), text,
                                                keep=True).status)
                if number == 0 and i % (posts // 4 // 16 * 16) == 0:
                    sizes.append(spooled(place))
            return statuses

        begin = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            statuses = set().union(*pool.map(client, range(16)))
        took = time.monotonic() - begin
        equal(statuses, {202}, f"{posts} posts are accepted without Redis")
        note(f"{posts / took:.0f} posts/s, spool {sizes}")
        check(sizes[-1] < 4 << 20, "the spool stays small", sizes)
        begin = time.monotonic()
        redis.start()
        until(lambda: waiting(place, redis) == [], "replay", 60)
        took = time.monotonic() - begin
        check(took < 30, "replay takes less than 30 s", took)
        total = sum(int(value) for i in range(7)
                    for value in redis.client.value(
                        f"flagtally:{{e:app-{i}}}:2026-11-23").values())
        equal(total, 5 * posts, "and every count is there once")


def spooled(place):
    """Bytes on disk."""
    return sum(os.path.getsize(place.file(name))
               for name in ("spool.db", "spool.db-wal"))


def waiting(place, redis):
    lines = command(place, redis, "--spool").stdout.splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def cut():
    """The connection breaks after any byte and does not come back in time."""
    with Place() as place:
        redis = Redis(place)
        posted = 0
        statuses = set()
        for way, step, end in (("down", 40, 500), ("up", 301, 4200)):
            for limit in range(1, end, step):
                proxy = Proxy(place, redis.path, f"proxy{way}{limit}")
                flagtally = start(place, proxy.url(), f"f{way}{limit}")
                post(flagtally, metric("warm"))
                proxy.cut(**{way: limit, "stay": True})
                proxy.drop_if(limit % 2)
                statuses.add(post(flagtally, metric(), metric(app="b")))
                posted += 1
                proxy.mend()
                until(lambda: waiting(place, redis) == [], "replay")
                flagtally.end()
                proxy.end()
        equal(statuses, {202}, "every post is accepted")
        equal((yes(redis), yes(redis, key="flagtally:{e:b}:2026-11-23")),
              (posted, posted), "and counted exactly once")


def restarted():
    """The process ends while Redis is away; another begins."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis)
        redis.signal(signal.SIGSTOP)
        with ThreadPoolExecutor(4) as pool:
            posts = [pool.submit(post, flagtally, metric())
                     for _ in range(4)]
            until(lambda: flagtally.running(), "the process")
            statuses = {future.result() for future in posts}
        flagtally.signal(signal.SIGTERM)
        equal((statuses, flagtally.wait()), ({202}, 0),
              "accepted, and it ends with 0")
        redis.signal(signal.SIGCONT)
        start(place, redis)
        until(lambda: yes(redis) >= 4 and not waiting(place, redis), "replay")
        equal(yes(redis), 4, "counted once each")


def refused():
    """What Redis refuses for good is set aside, shown, and can be retried."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis)
        redis("SET", DAY, "x")
        equal(post(flagtally, metric(), metric(app="b")), 202,
              "what is refused is set aside, and the answer is 202")
        equal(yes(redis, key="flagtally:{e:b}:2026-11-23"), 1,
              "the rest is in Redis")
        redis.kill()
        equal(post(flagtally, metric(yes=10)), 202, "also by replay")
        redis.start()
        until(lambda: len(waiting(place, redis)) == 2 and all(
            line[1] == "quarantined" for line in waiting(place, redis)), "replay")
        rows = waiting(place, redis)
        check(all("is a string, not a hash" in row[4] for row in rows),
              "with the reason", rows)
        exported = [json.loads(line) for line in command(
            place, redis, "--spool-export").stdout.splitlines()]
        check([entry["call"][0] for entry in exported] == ["EVALSHA"] * 2 and
              "flagtally:{e:a}:2026-11-23" in exported[0]["call"],
              "exported as JSON", exported)
        with open("/dev/full", "w", encoding="ascii") as disk:
            done = [command(place, redis, option, output=disk)
                    for option in ("--spool-export", "--spool")]
        check(all(each.returncode == 1 and "standard output" in each.stderr
                  for each in done), "a full disk is an error, so that nobody "
              "drops what was not exported", done)
        equal(command(place, redis, "--spool-retry", rows[0][0]).returncode,
              0, "one is retried")
        until(lambda: [row[1] for row in waiting(place, redis)] ==
              ["quarantined"] * 2, "refused again")
        redis("DEL", DAY)
        command(place, redis, "--spool-retry", "all")
        until(lambda: waiting(place, redis) == [], "replay")
        equal((yes(redis), yes(redis, key=DAY)), (11, 11),
              "mended and retried, they count once")
        redis("SET", DAY, "x")
        post(flagtally, metric())
        equal(command(place, redis, "--spool-drop", "4711").returncode, 1,
              "an unknown record cannot be dropped")
        command(place, redis, "--spool-drop", "all")
        equal(waiting(place, redis), [], "dropped")
        check(flagtally.running(), "the process goes on")


def full():
    """A full spool is 503, and what it has is not lost."""
    with Place() as place:
        redis = Redis(place)
        redis.kill()
        flagtally = start(place, redis, spool_limit="256K",
                          limit_features=0)
        accepted = []
        status = 202
        number = 0
        while status == 202 and number < 3000:
            names = [f"{number}-{i}" for i in range(200)]
            status = post(flagtally, *[metric(name) for name in names])
            if status == 202:
                accepted += names
            number += 1
        equal(status, 503, "a full spool is 503")
        check(len(accepted) > 1000, "after it took something", len(accepted))
        redis.start()
        until(lambda: redis("HLEN", DAY) == len(accepted), "replay")
        equal(redis.client.value(HOUR), {f"{name}:yes".encode(): b"1"
                                         for name in accepted},
              "all that was accepted counts once")
        until(lambda: post(flagtally, metric()) == 202, "room again")


def spool_first():
    """With ack = spool the answer waits for the spool alone."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis, ack="spool")
        equal({post(flagtally, metric()) for _ in range(50)}, {202},
              "accepted")
        until(lambda: yes(redis) == 50, "the flush")
        redis.kill()
        equal({post(flagtally, metric()) for _ in range(50)}, {202},
              "accepted without Redis")
        redis.start()
        until(lambda: yes(redis) == 100, "the flush")
        post(flagtally, metric())
        flagtally.signal(signal.SIGTERM)
        equal(flagtally.wait(), 0, "ends")
        start(place, redis, "again")
        until(lambda: yes(redis) == 101, "the next process")


def cgi():
    """Plain CGI: Redis first, the spool on failure, and --replay."""
    def one(place, redis):
        text = body(metric())
        env = {**environment(redis=redis.url(), auth="none",
                             spool=place.file("spool.db")),
               **fcgi.params(text)}
        answer = subprocess.run([os.path.abspath(PROGRAM)], input=text,
                                capture_output=True, timeout=20, env=env)
        return fcgi.Answer(answer.stdout).status

    with Place() as place:
        redis = Redis(place)
        equal(one(place, redis), 202, "CGI with Redis")
        equal(yes(redis), 1, "counted")
        equal(redis("KEYS", "*writer*"), [], "and no writer is left behind")
        redis.kill()
        with ThreadPoolExecutor(8) as pool:
            equal(set(pool.map(lambda _: one(place, redis), range(8))),
                  {202}, "CGI without Redis")
        equal(command(place, redis, "--replay").returncode, 75,
              "--replay without Redis: later")
        redis.start()
        done = command(place, redis, "--replay")
        equal(done.returncode, 0, "--replay with Redis")
        equal((yes(redis), waiting(place, redis)), (9, []),
              "all is counted once")


def gauges():
    """An older value never overwrites a newer one."""
    def gauge(value, instance):
        return {"impactMetrics": [{
            "type": "gauge", "name": "g", "help": "h", "samples": [
                {"value": value, "labels": {"environment": "e"}}]}],
            "applications": [{
                "appName": "a", "environment": "e", "instanceId": "i",
                "interval": instance, "started": "2026-11-23T09:30:00Z",
                "strategies": []}]}

    def value(redis):
        return (redis("HGET", "flagtally:{e}:impact:g", ""),
                json.loads(redis("HGET", "flagtally:{e:a}:instances", "i"))[
                    "interval"])

    with Place() as place:
        redis = Redis(place)
        redis.kill()
        late = start(place, redis, "late")
        equal(post(late, **gauge(1, 1)), 202, "a gauge goes to the spool")
        late.kill()
        redis.start()
        early = Flagtally(place, redis, "early")
        # Registrations are compared by the second.
        second = int(time.time())
        until(lambda: int(time.time()) > second + 1, "the next second")
        post(early, **gauge(2, 2))
        equal(value(redis), (b"2", 2), "a newer one is in Redis")
        start(place, redis, "again")
        until(lambda: waiting(place, redis) == [], "replay")
        equal(value(redis), (b"2", 2), "the older one does not replace it")


def merged():
    """While Redis is away the spool grows with what is distinct."""
    with Place() as place:
        redis = Redis(place)
        redis.kill()
        flagtally = start(place, redis)
        features = [metric(f"f{i}", 3) for i in range(20)]

        def client(_):
            return [post(flagtally, *features) for _ in range(60)]

        with ThreadPoolExecutor(8) as pool:
            statuses = {status for result in pool.map(client, range(8))
                        for status in result}
        equal(statuses, {202}, "480 posts are accepted without Redis")
        until(lambda: len(waiting(place, redis)) <= 60, "merging")
        redis.start()
        until(lambda: yes(redis, "f19", DAY) == 480 * 3, "replay")
        equal(redis.client.value(HOUR), {
            f"f{i}:yes".encode(): str(480 * 3).encode() for i in range(20)},
            "sums are exact")


def shared():
    """Several processes, one spool."""
    with Place() as place:
        redis = Redis(place)
        redis.kill()
        processes = [start(place, redis, f"f{i}") for i in range(3)]
        with ThreadPoolExecutor(9) as pool:
            statuses = set(pool.map(
                lambda i: post(processes[i % 3], metric()), range(90)))
        equal(statuses, {202}, "all accept without Redis")
        processes[0].kill()
        redis.start()
        until(lambda: yes(redis) >= 90 and not waiting(place, redis),
              "replay")
        equal(yes(redis), 90, "counted once each")


def foreign():
    """What is no spool is left alone, by those who look and those who serve."""
    def contents(path):
        with open(path, "rb") as file:
            return file.read()

    with Place() as place:
        redis = Redis(place)
        path = place.file("spool.db")
        grafana = sqlite3.connect(path)
        grafana.executescript("CREATE TABLE dashboard (title TEXT); "
                              "INSERT INTO dashboard VALUES ('x');")
        grafana.close()
        newer = place.file("newer.db")
        start(place, redis, spool=newer).end()
        with sqlite3.connect(newer) as database:
            database.execute("PRAGMA user_version = 3")
        database.close()
        rubbish = place.file("rubbish.db", "rubbish" * 10000)
        for spool, why in ((path, "no spool of flagtally"),
                           (newer, "the spool of another version"),
                           (rubbish, "no spool of flagtally")):
            before = contents(spool)
            for option in ("--spool", "--spool-export", "--replay"):
                done = command(place, redis, option, spool=spool)
                check(done.returncode != 0 and why in done.stderr,
                      f"{option} says what is wrong", done)
            name = os.path.basename(spool)
            flagtally = start(place, redis, f"on-{name}", spool=spool)
            equal(post(flagtally, metric()), 202, "Redis takes it alone")
            check(why in place.read(flagtally.log), "and the log says why",
                  place.read(flagtally.log))
            flagtally.end()
            equal(contents(spool), before, f"{name} is as it was")
        check(not any("damaged" in name for name in os.listdir(place.path)),
              "nothing was moved", os.listdir(place.path))


def damaged():
    """A damaged spool is renamed, and work goes on."""
    with Place() as place:
        redis = Redis(place)
        start(place, redis, "first").end()
        redis.kill()
        with open(place.file("spool.db"), "r+b") as file:
            file.seek(4096)
            file.write(b"rubbish" * 10000)
        flagtally = start(place, redis)
        equal(post(flagtally, metric()), 202, "accepted all the same")
        check(any(".damaged-" in name for name in os.listdir(place.path)),
              "the damaged file is kept", os.listdir(place.path))
        redis.start()
        until(lambda: yes(redis) == 1, "replay")
        check("spool" in place.read(flagtally.log), "the log says so")


def samples(text):
    """Prometheus' text as a dict."""
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.decode().splitlines()
            if line and not line.startswith("#")}


def backstage():
    """Health, readiness and numbers, of several processes together."""
    def get(process, name, **more):
        values = fcgi.params(
            REQUEST_METHOD="GET", CONTENT_LENGTH=None, CONTENT_TYPE=None,
            REQUEST_URI="/internal-backstage/" + name,
            SCRIPT_NAME="/internal-backstage/" + name,
            REMOTE_ADDR="127.0.0.1", **more)
        connection = fcgi.Connection(process.address)
        try:
            return connection.request(values)
        finally:
            connection.close()

    def ready(process):
        answer = get(process, "ready")
        return answer.status, json.loads(answer.body)

    with Place() as place:
        redis = Redis(place)
        one, two = (start(place, redis, f"f{i}") for i in range(2))
        equal(get(one, "health").status, 200, "it is healthy")
        equal(ready(one), (200, {"status": "ready", "redis": "up",
                                 "spool": "ok", "tokens": "ok"}), "and ready")
        equal(get(one, "ready", HTTP_X_FORWARDED_FOR="9.9.9.9").status, 404,
              "who comes through a proxy does not see it")
        for _ in range(3):
            post(one, metric())
            post(two, metric("g"), metric("h"))
        fcgi.post(two.address, b"{}")
        numbers = samples(get(one, "metrics").body)
        equal((numbers['flagtally_requests_total{code="202"}'],
               numbers['flagtally_requests_total{code="400"}'],
               numbers["flagtally_counters_applied_total"],
               numbers["flagtally_group_requests_sum"]), (6, 1, 9, 6),
              "the numbers of both processes stand together")
        redis.kill()
        post(one, metric())
        until(lambda: ready(two)[1]["redis"] == "down", "the news")
        equal(ready(two), (200, {"status": "degraded", "redis": "down",
                                 "spool": "ok", "tokens": "ok"}),
              "without Redis it is degraded, and the other process knows")
        numbers = samples(get(two, "metrics").body)
        check(sum(numbers[f'flagtally_spooled_total{{state="{state}"}}']
                  for state in ("queued", "in-doubt")) >= 1,
              "what was spooled is counted", numbers)
        one.kill()
        redis.start()
        until(lambda: yes(redis) == 4, "replay")
        until(lambda: ready(two) == (200, {
            "status": "ready", "redis": "up", "spool": "ok",
            "tokens": "ok"}), "readiness")
        numbers = samples(get(two, "metrics").body)
        check(numbers['flagtally_requests_total{code="202"}'] == 7,
              "what a killed process has counted stays", numbers)
        until(lambda: samples(get(two, "metrics").body)[
            "flagtally_replayed_total"] >= 1, "the count of replay")
    with Place() as place:
        redis = Redis(place)
        alone = Flagtally(place, redis)
        redis.kill()
        post(alone, metric())
        equal(ready(alone), (503, {"status": "unavailable", "redis": "down",
                                   "spool": "failed", "tokens": "ok"}),
              "with neither Redis nor spool it is unavailable")
        redis.start()
        until(lambda: ready(alone)[0] == 200, "readiness by itself")


def nowhere():
    """A spool that cannot be had does not keep Redis from working."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis, spool="/proc/nowhere/spool.db")
        equal(post(flagtally, metric()), 202, "accepted with Redis")
        redis.kill()
        status, took = timed(flagtally, metric())
        equal(status, 503, "503 without")
        check(took < 2, "within 2 s", took)
        redis.start()
        until(lambda: post(flagtally, metric()) == 202, "Redis")
        equal(yes(redis), 2, "counted once each")


def as_root():
    """Root acts for the owner of a spool to which the owner cannot get.

    So it is with systemd's DynamicUser: above its directory is one of root's.
    """
    if os.geteuid() != 0:
        return
    with Place() as place:
        folder = place.file("private/state")
        os.makedirs(folder)
        spool = os.path.join(folder, "spool.db")
        redis = Redis(place, unixsocketperm="777")
        os.chmod(place.path, 0o755)
        env = environment(redis=redis.url(), spool=spool, auth="none")

        def call(option):
            return subprocess.run([os.path.abspath(PROGRAM), option], env=env,
                                  text=True, timeout=60, check=False,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        redis.kill()
        flagtally = start(place, redis, spool=spool)
        equal(post(flagtally, metric()), 202, "a record waits in the spool")
        flagtally.end()
        for name in ("", *os.listdir(folder)):
            os.chown(os.path.join(folder, name), 65534, 65534)
        # Made anew by whoever opens it.
        for name in ("-shm", "-wal", ".lease"):
            if os.path.exists(spool + name):
                os.unlink(spool + name)
        os.chmod(place.file("private"), 0o700)
        redis.start()
        done = call("--spool")
        equal((done.returncode, len(done.stdout.splitlines())), (0, 2),
              "root lists it")
        done = call("--replay")
        equal((done.returncode, yes(redis)), (0, 1), "root replays it")
        owners = {name: os.stat(os.path.join(folder, name)).st_uid
                  for name in os.listdir(folder)}
        equal(set(owners.values()), {65534}, f"all is the owner's: {owners}")
        equal(len(call("--spool").stdout.splitlines()), 1, "nothing waits")


def at_the_shell():
    """What a person does there makes no files, and can be interrupted."""
    with Place() as place:
        redis = Redis(place)
        for option, status in (("--replay", 0), ("--spool", 0),
                               ("--spool-export", 0)):
            done = command(place, redis, option)
            check(done.returncode == status and "no spool yet" in done.stderr,
                  f"{option} where there is no spool", done)
        equal(os.listdir(place.path).count("spool.db"), 0, "none is made")
        redis.kill()
        flagtally = start(place, redis)
        equal(post(flagtally, metric()), 202, "a record waits")
        flagtally.end()
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(place.file("silent.sock"))
            silent.listen()
            silent.settimeout(20)
            replay = subprocess.Popen(
                [os.path.abspath(PROGRAM), "--replay"],
                stderr=subprocess.DEVNULL, env=environment(
                    redis="unix://" + place.file("silent.sock"),
                    redis_timeout="60s", spool=place.file("spool.db")))
            connection, _ = silent.accept()
            replay.send_signal(signal.SIGINT)
            equal(replay.wait(timeout=20), -signal.SIGINT,
                  "replay can be interrupted")
            connection.close()
        redis.start()
        equal(command(place, redis, "--replay").returncode, 0,
              "after that it is replayed")
        equal(yes(redis), 1, "and counts once")


run([away, patient, killed, silent, dripping, outage, cut, restarted, refused,
     full, spool_first, cgi, gauges, merged, shared, foreign,
     damaged, backstage, nowhere,
     at_the_shell, as_root])
