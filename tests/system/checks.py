"""What an operator is told: --check, --check-config, and a log that says the
same thing once in a while."""

import json
import os
import re
import sqlite3
import subprocess
import time

from tests.harness import fcgi
from tests.harness.servers import PROGRAM, Flagtally, Place, Redis, environment
from tests.harness.tap import check, equal, run

PATH = os.path.abspath(PROGRAM)
ACL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                   "deploy", "redis", "users.acl")
ADMIN = "user default on nopass ~* &* +@all\n"
BODY = (b'{"applications":[],"metrics":[{"featureName":"f","appName":"a",'
        b'"environment":"e","timestamp":"2026-11-23T09:30:00Z","yes":1,'
        b'"no":0,"variants":{}}]}')
NOBODY = 65534


def command(*arguments, user=None, **settings):
    """Run the program; return its status, output and messages."""
    done = subprocess.run([PATH, *arguments], stdin=subprocess.DEVNULL,
                          env=environment(**settings), capture_output=True,
                          text=True, timeout=30, check=False, user=user,
                          group=user, extra_groups=None if user is None
                          else [])
    return done.returncode, done.stdout, done.stderr


def place_of(place, **more):
    """Settings with which all is well, but for Redis."""
    os.makedirs(place.file("spool"), exist_ok=True)
    return {"tokens": place.file("tokens", "*:*.secret\n", 0o600),
            "spool": place.file("spool/spool.db"), **more}


def last(text):
    return text.splitlines()[-1]


def parts(output):
    """{part: the rest of its line} of what --check prints."""
    return dict(line.split(None, 1) for line in output.splitlines()[:-1])


def check_all():
    with Place() as place:
        with open(ACL, encoding="ascii") as file:
            lines = file.read().splitlines()
        rules = [line + " >geheim" for line in lines]
        redis = Redis(place, aclfile=place.file("users.acl", ADMIN + "\n".join(
            rules) + "\n"))

        def url(login):
            return f"unix://{login}@{redis.path}?db=1"
        settings = {**place_of(place), "feed": 1, "publish": "yes"}
        for login in ("flagtally:geheim", None):
            more = {"redis": url(login) if login else redis.url()}
            status, output, errors = command("--check", **settings, **more)
            equal((status, errors), (0, ""), f"all is well as {login}")
            equal([line.split()[1] for line in output.splitlines()[:-1]],
                  ["OK:"] * 3, "each part is said to be")
            check(last(output).startswith("OK for user"), "and all of it",
                  output)
        equal(redis.client.everything(), {}, "nothing is left in Redis")
        equal(os.listdir(place.file("spool")), [], "nor in the spool")
        for login, words in (
                ("flagtally:nothing-like-it", "user or the password is wrong"),
                ("nobody:geheim", "user or the password is wrong"),
                ("flagtally-reader:geheim", "lacks a right")):
            status, output, _ = command("--check", redis=url(login),
                                        **settings)
            equal(status, 75, f"{login}: what is wrong may pass")
            check(words in parts(output)["redis"] and "geheim" not in output,
                  f"{login}: it says why", output)
            check(last(output).startswith("not OK"), "and in the end", output)
        # Without any one of its rights it would fail, if only now and then.
        given = rules[0].split()[2:]
        for right in given:
            # Those for Sentinel, replicas and clusters are not tried by one
            # server.
            if right[0] != "+" or right in (
                    "+client|setname", "+role", "+wait", "+asking",
                    "+cluster|shards", "+cluster|slots"):
                continue
            redis("ACL", "SETUSER", "poor", "reset",
                  *(rule for rule in given if rule != right))
            status, output, _ = command("--check", redis=url("poor:geheim"),
                                        **settings)
            check(status == 75 and "lacks a right" in parts(output)["redis"],
                  f"without {right}", status, output)
        began = time.monotonic()
        status, output, _ = command("--check", redis="redis://127.0.0.1:1",
                                    **settings)
        check(status == 75 and time.monotonic() - began < 10 and
              "refused" in parts(output)["redis"], "Redis is not there",
              status, output)
        settings["spool"] = place.file("none/at/all/spool.db")
        status, output, _ = command("--check", redis=redis.url(), **settings)
        check(status == 78 and "install -d" in parts(output)["spool"],
              "no directory for the spool", status, output)
        place.file("tokens", "secret\n")
        status, output, errors = command("--check", redis=redis.url(),
                                         **settings)
        check(status == 78 and "no token is in force" in
              parts(output)["tokens"] and "tokens:1:" in errors,
              "a bad line of the token file", status, output, errors)


def health(**settings):
    """The spool's part of --report --show health."""
    status, output, _ = command("--report", "--show", "health", "--format",
                                "json", **settings)
    equal(status, 0, "health is reported")
    return json.loads(output)["spool"]


def spools():
    """A spool that takes nothing is not OK, and its health says why."""
    with Place() as place:
        redis = Redis(place)
        settings = {**place_of(place), "redis": redis.url(),
                    "spool_limit": "256k"}
        path = settings["spool"]

        def refused(expected, name, *words, **changes):
            status, output, _ = command("--check", **settings, **changes)
            check(status == expected and "not OK" in parts(output)["spool"]
                  and all(word in parts(output)["spool"] for word in words),
                  f"{name}: --check says so", status, output)
            found = health(**settings, **changes)
            check(found["state"] != "ok" and
                  all(word in found["reason"] for word in words[:1]),
                  f"{name}: so does health", found)
            equal(redis.client.everything(), {}, "nothing is left in Redis")

        with sqlite3.connect(path) as foreign:
            foreign.execute("CREATE TABLE t (x)")
        foreign.close()
        with open(path, "rb") as file:
            content = file.read()
        refused(78, "another program's", "no spool of flagtally")
        status, output, _ = command("--check-config", **settings)
        check(status == 0 and last(output).startswith("; OK, but the spool")
              and "no spool of flagtally" in last(output),
              "so does --check-config", output)
        with open(path, "rb") as file:
            equal((file.read(), os.listdir(place.file("spool"))),
                  (content, ["spool.db"]), "it is as it was")
        os.unlink(path)
        place.file("spool/spool.db", "nonsense" * 1000)
        refused(78, "a text", "no spool of flagtally")
        os.unlink(path)
        # Full, as Redis is away.
        flagtally = Flagtally(place, "redis://127.0.0.1:1", spool=path,
                              spool_limit="256k", limit_features=0)
        number = 0
        while fcgi.post(flagtally.address, json.dumps({
                "applications": [], "metrics": [{
                    "featureName": f"{number}.{i}", "appName": "a",
                    "environment": "e", "yes": 1, "no": 0, "variants": {},
                    "timestamp": "2026-11-23T09:30:00Z"}
                    for i in range(500)]}).encode()).status == 202:
            number += 1
        flagtally.kill()
        refused(75, "a full one", "full")
        os.unlink(path)
        for name in os.listdir(place.file("spool")):
            os.unlink(place.file("spool/" + name))
        if os.geteuid() != 0:
            return
        disk = place.file("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none",
                           disk], check=False).returncode != 0:
            return
        try:
            settings["spool"] = os.path.join(disk, "spool.db")
            with open(os.path.join(disk, "filler"), "wb") as file:
                file.write(b"x" * 60000)
            status, output, _ = command("--check", **settings)
            check(status == 75 and "full" in parts(output)["spool"],
                  "no room for one", status, output)
            equal(os.listdir(disk), ["filler"], "nothing is left of it")
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            status, output, _ = command("--check", **settings)
            check(status == 78 and "Read-only" in parts(output)["spool"],
                  "a disk that is read-only", status, output)
        finally:
            subprocess.run(["umount", "-l", disk], check=False)


def token_sets():
    """A set of tokens that cannot be asked is not OK."""
    with Place() as place:
        redis = Redis(place)
        redis("ACL", "SETUSER", "poor", "on", "nopass", "~*", "&*", "+@all")
        settings = {**place_of(place), "auth": "tokens",
                    "token_set": "flagtally:tokens",
                    "redis": f"unix://poor:x@{redis.path}"}

        def said():
            status, output, _ = command("--check", **settings)
            check(parts(output)["redis"].startswith("OK"), "Redis is OK",
                  output)
            return status, parts(output)["token_set"]
        status, words = said()
        check(status == 75 and "there is no set flagtally:tokens" in words,
              "there is none", status, words)
        redis("SET", "flagtally:tokens", "x")
        status, words = said()
        check(status == 75 and "WRONGTYPE" in words, "it is a string", status,
              words)
        redis("DEL", "flagtally:tokens")
        redis("SADD", "flagtally:tokens", "x")
        equal(said(), (0, "OK: flagtally:tokens"), "it can be asked")
        # A key alone: the commands are needed elsewhere, too.
        redis("ACL", "SETUSER", "poor", "resetkeys", "~flagtally:check*",
              "~flagtally:{check*")
        status, words = said()
        check(status == 75 and "lacks a right" in words, "not this key",
              status, words)
        redis("ACL", "SETUSER", "poor", "allkeys", "-exists")
        status, output, _ = command("--check", **settings)
        check(status == 75 and "lacks a right" in parts(output)["token_set"],
              "nor this command", status, output)


def check_config():
    with Place() as place:
        settings = place_of(place)
        status, output, errors = command("--check-config", **settings)
        check((status, errors) == (0, "") and
              last(output).startswith("; OK for user"), "it ends with OK",
              output, errors)
        place.file("again.ini", output)
        equal(command("--check-config", "--config", place.file("again.ini"))[0],
              0, "what it prints is a configuration")
        for spool, words in (("none/spool.db", "there is no directory"),
                             ("tokens/spool.db", "is no directory"),
                             ("spool", "is no file")):
            status, output, _ = command("--check-config", **{
                **settings, "spool": place.file(spool)})
            check(status == 0 and words in last(output) and
                  last(output).startswith("; OK, but the spool"),
                  f"{spool}: the last line says what is wrong", output)
        place.file("tokens", "secret\n")
        status, output, errors = command("--check-config", **settings)
        check(status == 78 and "no token is in force" in last(output),
              "a bad token line", output)
        check("503" in errors, "the log says what comes of it", errors)
        # On one pipe, as in the journal, the reason is behind the values.
        done = subprocess.run([PATH, "--check-config"], text=True,
                              env=environment(**settings), check=False,
                              stdout=subprocess.PIPE, timeout=30,
                              stderr=subprocess.STDOUT)
        check("tokens:1:" in "".join(done.stdout.splitlines(True)[-3:]),
              "the reason is at the end", done.stdout)


def other_user():
    """What another user may not read or write is said with who may."""
    if os.geteuid() != 0:
        check(True, "only root can become another user # SKIP")
        return
    with Place() as place:
        os.chmod(place.path, 0o755)
        settings = place_of(place)
        status, output, errors = command("--check-config", user=NOBODY,
                                         **settings)
        check(status == 78 and f"chown {NOBODY} {settings['tokens']}" in
              errors, "whose the token file has to be", errors)
        os.chown(settings["tokens"], NOBODY, NOBODY)
        status, output, _ = command("--check-config", user=NOBODY, **settings)
        check(status == 0 and f"user {NOBODY} cannot write to it" in
              last(output), "a spool's directory of root's", output)
        os.chown(place.file("spool"), NOBODY, NOBODY)
        status, output, _ = command("--check-config", user=NOBODY, **settings)
        equal((status, last(output)), (0, f"; OK for user {NOBODY}"),
              "all is this user's")
        os.chown(settings["tokens"], 0, 0)
        status, _, errors = command("--check-config", **settings)
        check(status == 0 and f"chown {NOBODY} {settings['tokens']}" in
              errors, "root is told that another has to read the tokens",
              errors)


def seldom():
    """Many threads and connections that fail, and one line of each kind."""
    with Place() as place:
        began = time.monotonic()
        flagtally = Flagtally(place, "redis://127.0.0.1:1", threads=4,
                              auth="tokens", **place_of(place),
                              token_set="flagtally:tokens",
                              redis_timeout="100ms")
        for i in range(60):
            fcgi.post(flagtally.address, BODY, HTTP_AUTHORIZATION="*:*.secret"
                      if i % 3 else "*:*.other")
        periods = (time.monotonic() - began) // 10 + 1
        kinds = {}
        for line in place.read("flagtally.log").splitlines():
            kind = re.sub(r"flagtally\[\d+\]: |: .*", "", line[:80])
            kinds.setdefault(kind, []).append(line)
        text = place.read("flagtally.log")
        check("Redis does not serve" in text, "Redis is away", text)
        for said in ("Redis does not serve", "Redis did not take",
                     "tokens in Redis cannot", "lost Redis",
                     "turned away a request"):
            count = text.count(said)
            check(count <= periods, f"{said}: once in ten seconds",
                  count, text)


run([check_all, spools, token_sets, check_config, other_user, seldom])
