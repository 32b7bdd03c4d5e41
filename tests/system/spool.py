"""What may happen to the spool and to Redis together, and what is said of it."""

import hashlib
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.servers import (NO_SPOOL, PROGRAM, Flagtally, Place, Redis,
                                   environment)
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

DAY = "flagtally:{e:%s}:2026-11-%d"


def metric(feature="f", app="a", day=23):
    return {"featureName": feature, "appName": app, "environment": "e",
            "timestamp": f"2026-11-{day}T09:30:00Z", "yes": 1, "no": 0,
            "variants": {}}


def answer(flagtally, *metrics):
    return fcgi.post(flagtally.address, json.dumps(
        {"applications": [], "metrics": list(metrics)}).encode())


def post(flagtally, *metrics):
    return answer(flagtally, *metrics).status


def yes(redis, feature="f", app="a", day=23):
    return int(redis("HGET", DAY % (app, day), feature + ":yes") or 0)


def start(place, redis, name="flagtally", **settings):
    return Flagtally(place, redis, name, **{
        "spool": place.file("spool.db"), **settings})


def command(place, redis, *arguments, **settings):
    url = redis if isinstance(redis, str) else redis.url()
    return subprocess.run(
        [os.path.abspath(PROGRAM), *arguments], capture_output=True,
        text=True, timeout=60, env=environment(**{
            "redis": url, "spool": place.file("spool.db"), **settings}))


def listed(place, redis):
    return [line.split("\t") for line in
            command(place, redis, "--spool").stdout.splitlines()
            if not line.startswith("#")]


def backstage(flagtally, name):
    path = "/internal-backstage/" + name
    connection = fcgi.Connection(flagtally.address)
    try:
        return connection.request(fcgi.params(
            REQUEST_METHOD="GET", CONTENT_LENGTH=None, CONTENT_TYPE=None,
            REQUEST_URI=path, SCRIPT_NAME=path, REMOTE_ADDR="127.0.0.1"))
    finally:
        connection.close()


def ready(flagtally):
    got = backstage(flagtally, "ready")
    return got.status, json.loads(got.body)


def parsed(flagtally):
    """How many bodies have been read."""
    return int(re.search(rb"flagtally_parse_seconds_count (\d+)",
                         backstage(flagtally, "metrics").body)[1])


def deleted():
    """The log or all of the spool is deleted while it takes everything."""
    for names in (["-wal"], ["", "-wal", "-shm"]):
        with Place() as place:
            redis = Redis(place)
            redis.kill()
            flagtally = start(place, redis)
            equal(post(flagtally, metric()), 202, "accepted without Redis")
            for name in names:
                os.unlink(place.file("spool.db" + name))
            equal({post(flagtally, metric()) for _ in range(50)}, {202},
                  f"{names} deleted: accepted")
            check("was deleted while in use; its content is saved" in
                  place.read(flagtally.log), "and the log says so",
                  place.read(flagtally.log))
            flagtally.kill()
            redis.start()
            start(place, redis, "again")
            until(lambda: yes(redis) == 51 and not listed(place, redis),
                  "replay by another process")


def copied():
    """Another process has had our identity, as after a snapshot."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis)
        equal(post(flagtally, metric()), 202, "before")
        for key in redis("KEYS", "*:writer:*"):
            redis("SET", key, 1000000, "EX", 3600)
        equal({post(flagtally, metric()) for _ in range(30)}, {202},
              "posts are accepted")
        equal(yes(redis), 31, "and each counts")
        check("this host was copied or restored from a snapshot" in
              place.read(flagtally.log), "the log says so",
              place.read(flagtally.log))


# All that only looks, and whether it reads the spool.
LOOKS = [
    (["--spool"], True), (["--spool-export"], True),
    (["--report"], False), (["--report", "e/a"], False),
    (["--report", "--stale", "1d"], False),
    *((["--report", "--show", what], False) for what in
      ("sdks", "impact", "edges", "health")),
    (["--check-config"], False), (["--check"], False), (["--ready"], False),
    (["--version"], False), (["--help"], False)]


def places(place):
    """Directories with a file spool.db, and whether that is a spool."""
    def directory(name):
        os.mkdir(place.file(name))
        return place.file(name + "/spool.db")

    directory("none")
    for name, content in (("empty", b""), ("text", b"x" * 10000),
                          ("zeros", bytes(4096))):
        with open(directory(name), "wb") as file:
            file.write(content)
    other = sqlite3.connect(directory("foreign"))
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("CREATE TABLE dashboard (title TEXT)")
    for ending in ("", "-wal"):
        shutil.copy(place.file("foreign/spool.db") + ending,
                    place.file("foreign/copy") + ending)
    other.close()
    for ending in ("", "-wal"):
        os.rename(place.file("foreign/copy") + ending,
                  place.file("foreign/spool.db") + ending)
    path = directory("killed")
    program = start(place, "unix:///nowhere", spool=path)
    equal(post(program, metric()), 202, "a spool with a record")
    program.kill()
    for name, endings in (("copied", ("", "-wal")),
                          ("a?b#c%41", ("", "-wal")),
                          ("newer", ("", "-wal", "-shm"))):
        copy = directory(name)
        for ending in endings:
            shutil.copy(path + ending, copy + ending)
    with open(place.file("newer/spool.db"), "r+b") as file:
        # user_version in SQLite's header
        file.seek(60)
        file.write(b"\0\0\0\3")
    path = directory("whole")
    shutil.copy(place.file("killed/spool.db"), path)
    shutil.copy(place.file("killed/spool.db-wal"), path + "-wal")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    for ending in ("-wal", "-shm"):
        check(not os.path.exists(path + ending), f"no {ending}")
    path = directory("live")
    program = start(place, "unix:///nowhere", "live", spool=path)
    equal(post(program, metric()), 202, "a spool in use")
    return {"none": None, "empty": False, "text": False, "zeros": False,
            "foreign": False, "newer": False, "killed": True, "copied": True,
            "a?b#c%41": True, "whole": True, "live": True}


def state(directory):
    """All files and what is in them, but not what processes share of it."""
    found = {}
    for entry in os.scandir(directory):
        info = entry.stat()
        with open(entry.path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
        if entry.name.endswith("-shm") or ".stats-" in entry.name:
            content = "shared"
        found[entry.name] = (info.st_ino, info.st_mode, content)
    return found


def looking():
    """Whatever only looks creates and changes no file, whatever is there."""
    with Place() as place:
        redis = Redis(place)
        for name, is_spool in places(place).items():
            directory = place.file(name)
            for words, reads in LOOKS:
                before = state(directory)
                done = command(place, redis, *words,
                               spool=directory + "/spool.db",
                               listen=directory + "/socket", auth="none")
                equal(state(directory), before,
                      f"{name}: {' '.join(words)} leaves it as it was")
                if reads and is_spool is not None:
                    equal(done.returncode == 0, is_spool,
                          f"{name}: {' '.join(words)} reads a spool alone")
                if words == ["--spool"] and is_spool:
                    equal(len(done.stdout.splitlines()), 2,
                          f"{name}: with its record")
                if words[-1] == "health" and is_spool:
                    check("queued_since" in done.stdout,
                          f"{name}: so does a report of health", done)


def foreign(redis, ahead):
    """Let another call have the next number of each writer, or a later one."""
    for key in redis("KEYS", "*:writer:*"):
        number, *rest = redis("GET", key).split(b"-")
        redis("SET", key, b"-".join([b"%d" % (int(number) + ahead), *rest]),
              "EX", 3600)


def restored():
    """The same, and the first sending is lost: the next one has to tell whether
    it is its own call that Redis knows."""
    with Place() as place:
        redis = Redis(place)
        proxy = Proxy(place, redis.path)
        flagtally = start(place, proxy.url())
        posted = 0
        troubles = {
            "a dead connection": lambda: proxy.cut(up=1),
            "a lost reply": lambda: proxy.cut(down=1),
            "lost scripts": lambda: redis("SCRIPT", "FLUSH"),
            "no trouble": lambda: None}
        for name, trouble in troubles.items():
            for ahead in (1, 1000):
                equal(post(flagtally, metric()), 202, "before")
                foreign(redis, ahead)
                trouble()
                equal(post(flagtally, metric()), 202, name)
                posted += 2
                until(lambda: not listed(place, redis), "replay")
                equal(yes(redis), posted, f"{name}, {ahead} ahead: each counts")
        # A call that is known is that which was sent, and no other.
        proxy.cut(down=1)
        equal(post(flagtally, metric()), 202, "a lost reply")
        until(lambda: not listed(place, redis), "replay")
        equal(yes(redis), posted + 1, "counts once")


def restored_spool():
    """The same for calls of two processes, alike but for their writers, which
    wait in the spool."""
    with Place() as place:
        redis = Redis(place)
        ways = [Proxy(place, redis.path, name) for name in ("one", "two")]
        processes = [start(place, way.url(), f"f{i}", flush_interval="100ms")
                     for i, way in enumerate(ways)]
        equal([post(each, metric()) for each in processes], [202] * 2,
              "before")
        for way in ways:
            way.hold("up")
        equal([post(each, metric()) for each in processes], [202] * 2,
              "accepted, though Redis is silent")
        equal([line[1] for line in listed(place, redis)], ["in-doubt"] * 4,
              "a call and a touch of each are in doubt")
        foreign(redis, 1)
        for way in ways:
            way.release(lose=True)
        until(lambda: not listed(place, redis), "replay")
        equal(yes(redis), 4, "each counts once")


def handed_over():
    """Calls that a process took and did not send are sent by another one."""
    with Place() as place:
        redis = Redis(place)
        ways = [Proxy(place, redis.path, name) for name in ("one", "two")]
        apps = [f"a{i}" for i in range(30)]

        def process(i):
            return start(place, ways[i].url(), f"f{i}", redis_timeout="3s",
                         flush_interval="100ms")

        def applied():
            return sum(yes(redis, app=app) for app in apps)

        first = process(0)
        equal(post(first, metric(app="live")), 202, "Redis is there")
        redis.kill()
        equal(post(first, *[metric(app=app) for app in apps]), 202,
              "accepted without Redis")
        ways[0].delay(0.15)
        redis.start()

        # For a post Redis is too slow, so replay ends after it has taken them.
        def taken():
            post(first, metric(app="live"))
            return applied() or sum("in-doubt" in line
                                    for line in listed(place, redis))
        until(lambda: taken() > 1, "calls to be taken")
        os.rename(ways[0].path, ways[0].path + ".away")
        ways[0].drop()
        check(applied() < len(apps), "they were not all sent", applied())
        ways[1].delay(0.1)
        second = process(1)
        until(lambda: applied() == len(apps), "the second one sends them")
        second.kill()
        check(listed(place, redis), "and does not know of all")
        ways[0].delay(0)
        os.rename(ways[0].path + ".away", ways[0].path)
        until(lambda: not listed(place, redis), "the first one to go on")
        equal([yes(redis, app=app) for app in apps], [1] * len(apps),
              "each counts once")
        check("copied" not in place.read(first.log), "this is no copied host")


def together(place, redis, url, *metrics):
    """Post bodies of a metric each as one group, without a spool; return the
    statuses, and the process."""
    proxy = Proxy(place, redis.path)
    flagtally = Flagtally(place, url.replace(redis.path, proxy.path),
                          spool=NO_SPOOL, limit_apps=0, redis_timeout="10s")
    equal(post(flagtally, metric()), 202, "before")
    before = redis.calls(), parsed(flagtally)
    proxy.hold("down")
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(post, flagtally, metric())
        until(lambda: redis.calls() > before[0], "the first one, alone")
        rest = [pool.submit(post, flagtally, each) for each in metrics]
        until(lambda: parsed(flagtally) == before[1] + 1 + len(metrics),
              "the others")
        proxy.release()
        equal(first.result(), 202, "the first one")
        return [future.result() for future in rest], flagtally


def unusable():
    """A call in the spool that cannot be sent does not hold up the rest."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, "unix:///nowhere")
        equal(post(flagtally, metric()), 202, "a record")
        flagtally.end()
        with sqlite3.connect(place.file("spool.db")) as spool:
            spool.execute("INSERT INTO call (tag, since, stored, counters, "
                          "bytes) VALUES (0, 1, 1, 1, x'2a310d')")
        spool.close()
        flagtally = start(place, redis, "again")
        until(lambda: [line[1] for line in listed(place, redis)] ==
              ["quarantined"], "all but it")
        equal(yes(redis), 1, "the rest counts")
        check("a call in the spool is quarantined: " in
              place.read(flagtally.log), "the log says so",
              place.read(flagtally.log))


def own_calls():
    """Each body is answered by what became of its own calls."""
    with Place() as place:
        redis = Redis(place)
        redis("ACL", "SETUSER", "f", "on", ">secret", "+@all",
              "~flagtally:apps", "~flagtally:{e:a}:[a-z]*",
              f"~{DAY % ('a', 23)}*")
        statuses, _ = together(
            place, redis, f"unix://f:secret@{redis.path}?db=0",
            metric(), metric(), metric(app="b"), metric(day=24),
            metric("g"), metric("g", day=24))
        equal(statuses, [202, 202, 503, 503, 202, 503],
              "what Redis does not take for now fails, and nothing else")
        equal((yes(redis), yes(redis, "g")), (4, 1), "once for each 202")


def own_refusals():
    """The same, where Redis refuses for good."""
    with Place() as place:
        redis = Redis(place)
        redis("SET", DAY % ("a", 24), "x")
        statuses, flagtally = together(
            place, redis, redis.url(), metric(), metric(day=24), metric("g"),
            metric("g", day=24), metric(app="b"))
        equal(statuses, [202, 503, 202, 503, 202],
              "only a body whose calls count is accepted")
        equal((yes(redis), yes(redis, "g"), yes(redis, app="b")), (3, 1, 1),
              "once for each 202")
        check("parts of a body" not in place.read(flagtally.log),
              "no body lost a part", place.read(flagtally.log))
        equal(post(flagtally, metric(), metric(day=24)), 202,
              "of a body that counts in part, the rest is lost")
        check("1 of 2 parts of a body are lost" in
              place.read(flagtally.log), "and the log says so",
              place.read(flagtally.log))


def reasons():
    """A 503 says what failed, and so does the log."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, spool=NO_SPOOL)
        redis.kill()
        got = answer(flagtally, metric())
        text = got.body.decode()
        check(got.status == 503 and "Redis cannot take" in text and
              "spool cannot be used" in text, "the answer names both", text)
        log = place.read(flagtally.log)
        line = next((line for line in log.splitlines()
                     if "neither Redis nor the spool" in line), "")
        check("Redis: connecting:" in line and NO_SPOOL in line,
              "the log says why", log)
        check("went to the spool" not in log, "and nothing that is false",
              log)


def full_and_ready():
    """Readiness is what decides about the next post, too."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis, spool_limit="256K", limit_features=0)
        redis.kill()
        number = 0
        while post(flagtally, *[metric(f"{number}-{i}")
                                for i in range(200)]) == 202:
            number += 1
        got = answer(flagtally, *[metric(f"x-{i}") for i in range(200)])
        check(got.status == 503 and b"the spool is full" in got.body,
              "a full spool is 503, and the answer says so", got.body)
        until(lambda: ready(flagtally) == (503, {
            "status": "unavailable", "redis": "down", "spool": "full",
            "tokens": "ok"}),
              "readiness says so")
        redis.start()
        until(lambda: ready(flagtally)[1]["status"] == "ready", "room")
        until(lambda: redis("HLEN", DAY % ("a", 23)) == number * 200, "replay")


def full_disk():
    """On a full disk what can be done is done, and then it drains."""
    if os.geteuid() != 0:
        return
    with Place() as place:
        disk = place.file("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10M", "none",
                           disk], check=False).returncode != 0:
            return
        try:
            redis = Redis(place)
            spool = os.path.join(disk, "spool.db")
            flagtally = start(place, redis, spool=spool, limit_features=0)
            redis.kill()
            filler = os.path.join(disk, "filler")
            with open(filler, "wb") as file:
                room = os.statvfs(disk)
                file.write(b"x" * (room.f_bavail * room.f_frsize -
                                   (1 << 20)))
            number = 0
            while post(flagtally, *[metric(f"{number}-{i}")
                                    for i in range(200)]) == 202:
                number += 1
            check(number > 10, "a disk is filled", number)
            until(lambda: ready(flagtally)[0] == 503, "readiness")
            done = command(place, redis, "--spool", spool=spool)
            check(done.returncode == 0 and "queued" in done.stdout,
                  "--spool works", done)
            os.unlink(filler)
            redis.start()
            until(lambda: redis("HLEN", DAY % ("a", 23)) == number * 200,
                  "it drains")
            flagtally.end()
        finally:
            subprocess.run(["umount", "-l", disk], check=False)


def shell():
    """Exit statuses and the list, for scripts."""
    with Place() as place:
        redis = Redis(place)
        flagtally = start(place, redis)
        redis.kill()
        done = command(place, redis, "--replay",
                       spool=place.file("none.db"))
        equal(done.returncode, 75, "no spool and no Redis: later")
        done = command(place, redis, "--replay",
                       spool=place.file("none.db"))
        for i in range(3):
            post(flagtally, metric(app=f"a{i}"))
        rows = listed(place, redis)
        check(len(rows) >= 3 and all(row[4] for row in rows),
              "each line has a reason", rows)
        flagtally.end()
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(place.file("closing.sock"))
        listening.listen()

        def close_all():
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                client.close()
        threading.Thread(target=close_all, daemon=True).start()
        done = command(place, "unix://" + place.file("closing.sock"),
                       "--replay")
        equal(done.returncode, 75, "a Redis that hangs up is no end by "
              "SIGPIPE")
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        redis.start()
        equal(command(place, redis, "--replay").returncode, 0, "replayed")
        redis.kill()
        equal(command(place, redis, "--replay").returncode, 75,
              "an empty spool and no Redis: later")


def cgi():
    """A CGI program folds what it has spooled, and so does --replay."""
    with Place() as place:
        redis = Redis(place)
        redis.kill()
        text = json.dumps({"applications": [], "metrics": [
            metric(f"f{i}") for i in range(300)]}).encode()
        for _ in range(20):
            env = {**environment(redis=redis.url(), auth="none",
                                 spool=place.file("spool.db")),
                   **fcgi.params(text)}
            done = subprocess.run([os.path.abspath(PROGRAM)], input=text,
                                  capture_output=True, timeout=20, env=env)
            if fcgi.Answer(done.stdout).status != 202:
                check(False, "CGI: accepted without Redis", done)
        rows = listed(place, redis)
        equal([row[1] for row in rows], ["queued"], "20 posts are one line")
        size = os.path.getsize(place.file("spool.db"))
        check(size < 200000, "and small", size)
        redis.start()
        equal(command(place, redis, "--replay").returncode, 0, "replayed")
        equal((yes(redis, "f0"), yes(redis, "f299")), (20, 20),
              "and counted")


def stuck():
    """A call that Redis does not take for now holds up its own tag only."""
    with Place() as place:
        redis = Redis(place)
        redis("ACL", "SETUSER", "f", "on", ">secret", "+@all",
              "~flagtally:*")
        flagtally = start(place, f"unix://f:secret@{redis.path}?db=0",
                          ack="spool", flush_interval="50ms", limit_apps=0)
        equal({post(flagtally, metric(app=app)) for app in "ab"}, {202},
              "before")
        until(lambda: yes(redis) == 1 and yes(redis, app="b") == 1, "replay")
        redis("ACL", "SETUSER", "f", "resetkeys", "~flagtally:apps",
              "~flagtally:{e:a}*")
        for _ in range(10):
            post(flagtally, metric(app="b"))
            post(flagtally, metric())
        until(lambda: yes(redis) == 11, "the application that is allowed")
        equal(yes(redis, app="b"), 1, "the other one waits")
        redis("ACL", "SETUSER", "f", "~flagtally:*")
        until(lambda: yes(redis, app="b") == 11, "and counts in the end", 60)


run([deleted, copied, looking, unusable, restored, restored_spool,
     handed_over, own_calls, own_refusals, reasons, full_and_ready, full_disk,
     shell, cgi, stuck])
