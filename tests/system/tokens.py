"""Who may come in: tokens in a large file, and tokens that Redis holds."""

import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import threading
import time

from tests.harness import fcgi
from tests.harness.servers import (NO_SPOOL, PROGRAM, Flagtally, Place, Redis,
                                   environment)
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

KEY = "flagtally:tokens"
SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
FACTOR = 5 if SANITIZER else 1
# Every secret of this test begins like this, and nothing may tell one.
SECRET = "geheim-" + secrets.token_hex(8)
ANSWER_TIME_MAX = 2.0
RESULTS = ("cached", "asked", "stale", "failed")


def token(number, environment="e"):
    return f"default:{environment}.{SECRET}-{number}"


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def body(*environments):
    return json.dumps({"applications": [], "metrics": [
        {"featureName": "f", "appName": "a", "environment": name,
         "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
         "variants": {}}
        for name in environments or ("e",)]}).encode()


BODY = body()


class Service:
    """The program and its Redis, which has a set of tokens."""

    def __init__(self, place, redis=None, name="flagtally", url=None,
                 **settings):
        self.place, self.url = place, url
        self.redis = redis or Redis(place)
        self.settings = {"auth": "tokens", "token_set": KEY,
                         "spool": place.file(name + ".db"),
                         "log_level": "debug", "backstage": "all",
                         "token_ttl": "200ms", **settings}
        self.name = name
        self.start()

    def start(self):
        self.program = Flagtally(self.place, self.url or self.redis,
                                 self.name, **self.settings)

    def issue(self, *tokens):
        self.redis("SADD", KEY, *map(digest, tokens))

    def revoke(self, *tokens):
        self.redis("SREM", KEY, *map(digest, tokens))

    def post(self, text, content=BODY, **changes):
        answer = fcgi.post(self.program.address, content, **{
            "HTTP_AUTHORIZATION": text, **changes})
        check(answer.status != 503 or "retry-after" in answer.headers,
              "a 503 has a Retry-After") if answer.status == 503 else None
        return answer.status

    def lookups(self):
        """How many tokens were looked up, by result."""
        text = fcgi.post(self.program.address, b"", REQUEST_METHOD="GET",
                         REQUEST_URI="/internal-backstage/metrics",
                         SCRIPT_NAME="/internal-backstage/metrics").body
        return {result: int(text.decode().split(
            f'lookups_total{{result="{result}"}} ')[1].split("\n")[0])
            for result in RESULTS}

    def log(self):
        return self.place.read(self.program.log)

    def count(self, environment="e"):
        return int(self.redis("HGET", f"flagtally:{{{environment}:a}}:"
                              "2026-11-23T09", "f:yes") or 0)

    def no_secret(self, name):
        text = "".join(self.place.read(file) for file in
                       os.listdir(self.place.path) if file.endswith(".log"))
        check(SECRET not in text, f"{name}: no token is in a log")


def cgi(redis, text, **settings):
    """The answer of one CGI process, and its log."""
    done = subprocess.run(
        [os.path.abspath(PROGRAM)], input=BODY, capture_output=True,
        timeout=20, check=False,
        env={**environment(auth="tokens", token_set=KEY, redis=redis.url(),
                           **settings),
             **fcgi.params(BODY, HTTP_AUTHORIZATION=text)})
    return fcgi.Answer(done.stdout).status, done.stderr.decode()


def issued():
    """What another service adds to the set and removes from it."""
    with Place() as place:
        redis = Redis(place)
        service = Service(place, redis, tokens=place.file("tokens", "\n".join(
            [token("file"), token("frontend") + " type=frontend", ""])))
        service.issue(token(1), token("any", "*"), token("frontend"),
                      "no token at all", token("file"))
        everything = body("e", "f")
        before = redis.calls("smismember")
        equal([service.post(token("file")), service.post(token("frontend"))],
              [202, 403], "what the file says comes first")
        equal([service.post(text) for text in (
            None, "", "no token at all", "x:y", "a.b:c", ":e.s", "p:.s",
            "p:e.", "p:" + "e" * 256 + ".s", digest(token(1)))], [403] * 10,
            "what is no token at all")
        equal(redis.calls("smismember"), before,
              "for none of these Redis was asked")
        before = service.count(), service.count("f")
        equal(service.post(token(1), everything), 202, "a token of the set")
        equal((service.count(), service.count("f")),
              (before[0] + 1, before[1]), "may report its own environment")
        equal(service.post("Bearer " + token("any", "*"), everything), 202,
              "a token for any environment")
        equal((service.count(), service.count("f")),
              (before[0] + 2, before[1] + 1), "may report each")
        equal([service.post(text) for text in (
            token(2), token(1) + "x", token(1)[:-1], token(1, "f"),
            token(1).upper())], [403] * 5, "tokens that are not in it")
        service.issue(token(2))
        until(lambda: service.post(token(2)) == 202, "the new token", 5)
        service.revoke(token(1))
        until(lambda: service.post(token(1)) == 403, "it to be revoked", 5)
        equal(service.post(token(2)), 202, "and no other")
        for text in (token(2), token("file")):
            spaced = (f"{text} ", f"{text}\t", f"{text} \t ", f" {text}",
                      f"\t{text}\t", f"Bearer {text} ", f"bearer\t {text}",
                      f" Bearer  {text}\t")
            equal([service.post(given) for given in spaced], [202] * 8,
                  "white space around a token does not count")
        equal([service.post(given) for given in (
            " ", "\t", "Bearer ", "Bearer \t", "Bearer" + token(2),
            token(2)[:5] + " " + token(2)[5:], token(2) + "\v",
            token(2) + "\xa0")], [403] * 8, "within it, and other such does")
        service.no_secret("issued")
        equal(cgi(redis, token(2), spool=NO_SPOOL)[0], 202, "CGI: a token")
        equal(cgi(redis, token(1), spool=NO_SPOOL)[0], 403, "CGI: one revoked")
        service.program.end()
        header = Service(place, redis, "header", auth_header="X-Token")
        equal([header.post(None, HTTP_X_TOKEN=token(2)),
               header.post(token(2))], [202, 403], "auth_header")
        header.no_secret("auth_header")


def remembered():
    """Redis is asked once for what it has said lately, and all at once."""
    with Place() as place:
        redis = Redis(place)
        service = Service(place, redis, token_ttl="1h", threads=32)
        service.issue(token(1))
        service.post(token("warm up"))
        before, asked = service.lookups(), redis.calls("smismember")
        equal({service.post(token(1)) for _ in range(50)}, {202},
              "a token 50 times")
        equal(redis.calls("smismember") - asked, 1, "Redis is asked once")
        after = service.lookups()
        equal({result: after[result] - before[result] for result in RESULTS},
              {"cached": 49, "asked": 1, "stale": 0, "failed": 0},
              "the metrics say so")
        service.program.kill()
        service.start()
        asked = redis.calls("smismember")
        equal([service.post(token(1)),
               cgi(redis, token(1), token_ttl="1h",
                   spool=service.settings["spool"])[0]], [202] * 2,
              "after a restart, and with CGI")
        equal(redis.calls("smismember"), asked,
              "what is remembered is remembered")
        # What comes while Redis says nothing is asked for together.
        redis("CLIENT", "PAUSE", 400, "ALL")
        statuses = []
        threads = [threading.Thread(target=lambda n=n: statuses.append(
            service.post(token(f"many-{n}")))) for n in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(statuses, [403] * 30, "30 tokens while Redis pauses")
        check(redis.calls("smismember") - asked <= 3,
              "they are asked for together",
              redis.calls("smismember") - asked)


def timed(function, *arguments):
    began = time.monotonic()
    result = function(*arguments)
    return result, time.monotonic() - began


def away():
    """Without Redis, good tokens stay good and others are not refused."""
    with Place() as place:
        redis = Redis(place)
        service = Service(place, redis, token_ttl="100ms")
        service.issue(token(1), token(2), token(3))
        equal([service.post(token(1)), service.post(token(3))], [202] * 2,
              "two tokens")
        redis.kill()
        seen = [timed(service.post, token(number))
                for number in (1, 2, "bad", 1, 2, "bad", 3) for _ in "ab"]
        equal([status for status, _ in seen],
              [202, 202, 503, 503, 503, 503] * 2 + [202, 202],
              "Redis is away: known ones stay good, others get 503")
        check(max(spent for _, spent in seen) < ANSWER_TIME_MAX,
              "all within two seconds", seen)
        check(max(spent for _, spent in seen[3:]) < 0.5 * FACTOR,
              "and nobody waits once it is known", seen)
        equal([service.post("no token"), service.post(None)], [403] * 2,
              "what is no token gets 403 all the same")
        check(service.lookups()["stale"] >= 4 and
              service.lookups()["failed"] >= 8, "the metrics say so",
              service.lookups())
        service.program.kill()
        service.start()
        equal([service.post(token(1)), service.post(token(2))], [202, 503],
              "the same after a restart")
        spool = service.settings["spool"]
        equal([cgi(redis, token(n), spool=spool, token_ttl="100ms")[0]
               for n in (1, 2)], [202, 503], "and with CGI")
        redis.start()
        service.revoke(token(3))
        until(lambda: service.post(token(3)) == 403, "it to be revoked", 10)
        equal([service.post(token(n)) for n in (1, 2, "bad")],
              [202, 202, 403], "Redis is back")
        check("can be looked up in Redis again" in service.log(),
              "the log says so")
        service.no_secret("away")


def grace():
    """How long a token stays good while Redis is away is bounded."""
    with Place() as place:
        redis = Redis(place)
        service = Service(place, redis, token_ttl="100ms",
                          token_stale="1500ms")
        service.issue(token(1))
        equal(service.post(token(1)), 202, "a token")
        redis.kill()
        began = time.monotonic()
        statuses = []

        def ends():
            statuses.append(service.post(token(1)))
            return statuses[-1] != 202
        until(ends, "the end of token_stale", 10)
        spent = time.monotonic() - began
        check(spent > 1, "it stays good for token_stale", spent)
        equal(set(statuses), {202, 503}, "and is not refused then")


def silent():
    """A Redis that takes connections and says nothing."""
    with Place() as place:
        redis = Redis(place)
        service = Service(place, redis, token_ttl="100ms")
        service.issue(token(1))
        equal(service.post(token(1)), 202, "a token")
        redis.signal(signal.SIGSTOP)
        seen = [timed(service.post, token(n))
                for n in (1, "bad", 1, "bad", 2, 1)]
        redis.signal(signal.SIGCONT)
        equal([status for status, _ in seen], [202, 503, 202, 503, 503, 202],
              "Redis is silent: known tokens stay good, others get 503")
        check(max(spent for _, spent in seen) < ANSWER_TIME_MAX,
              "all within two seconds", seen)
        until(lambda: service.post(token("bad")) == 403, "Redis", 10)


def meanwhile():
    """Others are served while those wait whose tokens are looked up."""
    with Place() as place:
        redis = Redis(place)
        service = Service(place, redis)
        service.issue(token(1))
        equal(service.post(token(1)), 202, "a token")
        redis.signal(signal.SIGSTOP)
        count = os.cpu_count() + 1
        answers = []
        askers = [threading.Thread(target=lambda n=n: answers.append(fcgi.post(
            service.program.address, BODY,
            HTTP_AUTHORIZATION=token(f"ask-{n}")).status))
            for n in range(count)]
        for asker in askers:
            asker.start()
        seen = []
        while any(asker.is_alive() for asker in askers):
            seen.append(timed(service.post, "no token"))
        redis.signal(signal.SIGCONT)
        equal(answers, [503] * count, "they get 503")
        equal({status for status, _ in seen}, {403},
              "others are answered meanwhile")
        check(max(spent for _, spent in seen) < 0.5 * FACTOR,
              "and do not wait", max(spent for _, spent in seen))


def faults():
    """What is wrong with the set, or with Redis, is no sender's fault."""
    with Place() as place:
        redis = Redis(place)
        service = Service(place, redis)
        equal(service.post(token(1)), 503, "there is no set")
        check(f"no set {KEY}" in service.log(), "the log says so",
              service.log())
        redis("SADD", KEY, "-")
        until(lambda: service.post(token(1)) == 403,
              "any member is enough", 5)
        service.issue(token(1))
        until(lambda: service.post(token(1)) == 202, "the token", 5)
        redis("DEL", KEY)
        until(lambda: service.post(token(1)) == 503, "the loss", 5)
        equal(service.post(token(2)), 503, "the set is lost: nobody is in, "
              "and nobody refused")
        redis("SET", KEY, "x")
        equal([service.post(token(1)), service.post(token(2))], [202, 503],
              "the key is of another type: nothing can be looked up")
        until(lambda: "WRONGTYPE" in service.log(), "the log", 5)
        redis("DEL", KEY)
        service.issue(token(1))
        until(lambda: service.post(token(1)) == 202, "the set", 10)
        service.program.end()
        redis("ACL", "SETUSER", "limited", "on", "nopass", "~*", "+@all",
              "-smismember")
        url = f"unix://limited:@{redis.path}"
        service = Service(place, redis, "limited", url)
        equal(service.post(token(2)), 503, "a user without the right")
        until(lambda: "NOPERM" in service.log(), "the log", 5)
        redis("ACL", "SETUSER", "limited", "-@all", "+smismember", "+exists")
        service.program.end()
        service = Service(place, redis, "enough", url, spool=NO_SPOOL,
                          log_level="info")
        equal(service.post(token(2)), 403,
              "the rights to SMISMEMBER and EXISTS are enough")


def flood():
    """Random tokens from all sides neither slow good ones nor fill memory."""
    with Place() as place:
        redis = Redis(place)
        service = Service(place, redis, token_ttl="100ms", threads=16,
                          log_level="info")
        service.issue(token(1))
        service.post(token(1))
        stop = threading.Event()
        refused = []

        def attack():
            connection = fcgi.Connection(service.program.address)
            while not stop.is_set():
                refused.append(connection.request(fcgi.params(
                    BODY, HTTP_AUTHORIZATION=token(secrets.token_hex(8))),
                    BODY, keep=True).status)
            connection.close()
        threads = [threading.Thread(target=attack) for _ in range(12)]
        asked = redis.calls("smismember")
        for thread in threads:
            thread.start()
        # What each thread needs it has by then.
        until(lambda: len(refused) > 2000 // FACTOR, "the first ones", 60)
        resident = service.program.resident()
        seen = []
        while len(refused) < 8000 // FACTOR or len(seen) < 50:
            seen.append(timed(service.post, token(1)))
        stop.set()
        for thread in threads:
            thread.join()
        times = sorted(spent for _, spent in seen)
        note(f"{len(refused)} bad tokens, {len(seen)} good ones, median "
             f"{times[len(times) // 2] * 1000:.1f} ms, longest "
             f"{times[-1] * 1000:.1f} ms, "
             f"{redis.calls('smismember') - asked} exchanges")
        equal({status for status, _ in seen}, {202}, "good ones are let in")
        equal(set(refused), {403}, "bad ones are not")
        check(times[len(times) // 2] < 0.1 * FACTOR, "and quickly", times)
        grown = service.program.resident() - resident
        check(SANITIZER or grown < 2 << 20, "memory does not grow", grown)
        lines = [line for line in service.log().splitlines()
                 if "turned away" in line]
        check(1 <= len(lines) <= 3, "the log has but a line now and then",
              lines)
        service.no_secret("flood")


def refusals():
    """The log says who was turned away and why, and not too often."""
    with Place() as place:
        service = Service(place, tokens=place.file(
            "tokens", token("f") + " type=frontend\n"), token_set="")
        cases = (("192.0.2.7", token("bad"), "its token is unknown"),
                 ("2001:db8::8", None, "it has no token"),
                 ("192.0.2.9", token("f"), "of this type"),
                 ("x\nforged " * 20, "junk", None))
        for address, text, _ in cases:
            for _ in range(20):
                service.post(text, REMOTE_ADDR=address)
        lines = [line for line in service.log().splitlines()
                 if "turned away" in line]
        equal(len(lines), 3, "one line of each kind")
        for address, _, why in cases[:3]:
            check(any(address + ": " in line and why in line
                      for line in lines), f"{address}: {why}", *lines)
        check(not any(line.startswith("forged")
                      for line in service.log().splitlines()),
              "an address forges no line")
        service.no_secret("refusals")


def write_large(path, count, extra=()):
    """A file of so many tokens, put in place at once."""
    new = path + ".new"
    with open(new, "w", encoding="ascii") as file:
        os.chmod(new, 0o600)
        for text in extra:
            file.write(text + "\n")
        for number in range(count):
            file.write(f"p:env{number % 50}.{number:064x}\n")
    os.rename(new, path)


def large_file():
    """Hundreds of thousands of tokens, replaced while requests come."""
    count = 60000 if SANITIZER else 300000
    with Place() as place:
        path = place.file("tokens")
        write_large(path, count, [token(1)])
        redis = Redis(place)
        began = time.monotonic()
        service = Service(place, redis, tokens=path, token_set="",
                          log_level="info")
        loaded = time.monotonic() - began
        resident = service.program.resident() >> 20
        note(f"{count} tokens: started in {loaded:.2f} s, {resident} MB")
        check(loaded < 5 * FACTOR, "they are read quickly", loaded)
        check(SANITIZER or resident < 40, "in little memory", resident)
        equal([service.post(token(1)), service.post(token(2)),
               service.post(f"p:env49.{count - 1:064x}"),
               service.post(f"p:env48.{count - 1:064x}")],
              [202, 403, 202, 403], "each of them is known, and no other")
        stop = threading.Event()
        times = []

        def honest():
            while not stop.is_set():
                times.append(timed(service.post, token(1)))
        threads = [threading.Thread(target=honest) for _ in range(4)]
        for thread in threads:
            thread.start()
        meanwhile = []
        for number in range(2, 5):
            write_large(path, count, [token(1), token(number)])
            before = len(times)
            equal(service.post(token(number)), 202,
                  "a new one counts from the next request on")
            meanwhile.append(len(times) - before)
            equal(service.post(token(number - 1) if number > 2 else "p:e.x"),
                  403, "and one that has gone does not")
        stop.set()
        for thread in threads:
            thread.join()
        equal({status for status, _ in times}, {202},
              "meanwhile others are let in")
        longest = sorted(spent for _, spent in times)
        note(f"{len(times)} requests, median "
             f"{longest[len(times) // 2] * 1000:.1f} ms, longest "
             f"{longest[-1] * 1000:.0f} ms")
        # The request that sees the change reads the file.
        check(min(meanwhile) > 20, "and do not wait for the file",
              meanwhile)
        check(SANITIZER or service.program.resident() >> 20 < 120,
              "nor does memory grow without end",
              service.program.resident() >> 20)


def in_place():
    """A file that is written in place, line by line, is read when it lies
    still, so that half of it never counts."""
    with Place() as place:
        path = place.file("tokens", token(1) + "\n")
        service = Service(place, tokens=path, token_set="", log_level="info")
        statuses = set()
        stop = threading.Event()

        def honest():
            while not stop.is_set():
                statuses.add(service.post(token(1)))
        thread = threading.Thread(target=honest)
        thread.start()
        for _ in range(20):
            with open(path, "w", encoding="ascii") as file:
                for number in range(50):
                    file.write(f"p:e.{number}\n")
                    file.flush()
                file.write(token(1) + "\n")
        stop.set()
        thread.join()
        equal(statuses, {202}, "a token that is in it all the time is good")


run([issued, remembered, away, grace, silent, meanwhile, faults, flood, refusals,
     large_file, in_place])
