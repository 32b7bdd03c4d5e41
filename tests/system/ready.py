"""--ready: the process that runs is asked whether it accepts requests."""

import hashlib
import json
import os
import socket
import subprocess
import threading
import time

from tests.harness import fcgi
from tests.harness.servers import (PROGRAM, Flagtally, Place, Redis,
                                   environment, free_port)
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

BODY = json.dumps({"applications": [], "metrics": [{
    "featureName": "f", "appName": "a", "environment": "e", "yes": 1, "no": 0,
    "timestamp": "2026-11-23T09:30:00Z", "variants": {}}]}).encode()
PATH = os.path.abspath(PROGRAM)
# A library to preload: no name is ever found, and none is known not to be.
NO_ANSWER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>

int
getaddrinfo(const char * host, const char * service,
    const struct addrinfo * hints, struct addrinfo ** out)
{
	int (*next)(const char *, const char *, const struct addrinfo *,
	    struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");

	if (host != NULL && !(hints->ai_flags & AI_NUMERICHOST))
		for (;;)
			pause();
	return (next(host, service, hints, out));
}
"""


def ready(**settings):
    """The status, the words on standard output, those on the log."""
    done = subprocess.run([PATH, "--ready"], env=environment(**settings),
                          capture_output=True, text=True, check=False,
                          timeout=30)
    return done.returncode, done.stdout, done.stderr


def states():
    """Ready, degraded, unavailable, stopped."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, redis_timeout="300ms")
        equal(ready(listen=flagtally.address)[:2:2], (0,), "it is ready")
        told = json.loads(ready(listen=flagtally.address)[1])
        equal((told["redis"], set(told)), ("up", {"status", "redis", "spool", "tokens"}),
              "and says so")
        redis.kill()
        equal(fcgi.post(flagtally.address, BODY).status, 503,
              "neither Redis nor a spool")

        def unavailable():
            status, output, errors = ready(listen=flagtally.address)
            return (status == 1 and errors == "" and
                    json.loads(output)["status"] == "unavailable")
        until(unavailable, "that it is not ready")
        redis.start()
        until(lambda: ready(listen=flagtally.address)[0] == 0,
              "that it is ready again, with Redis")
        flagtally.end()
        status, output, errors = ready(listen=flagtally.address)
        check((status, output) == (1, "") and flagtally.address in errors and
              "No such file" in errors, "nothing runs", status, errors)


def state(flagtally):
    """Status and words of /internal-backstage/ready."""
    answer = fcgi.post(flagtally.address, b"", REQUEST_METHOD="GET",
                       REQUEST_URI="/internal-backstage/ready",
                       SCRIPT_NAME="/internal-backstage/ready",
                       REMOTE_ADDR="127.0.0.1")
    return answer.status, json.loads(answer.body)


def metric(flagtally, name):
    page = fcgi.post(flagtally.address, b"", REQUEST_METHOD="GET",
                     REQUEST_URI="/internal-backstage/metrics",
                     SCRIPT_NAME="/internal-backstage/metrics",
                     REMOTE_ADDR="127.0.0.1").body.decode()
    return float(page.split(f"\n{name} ")[1].split()[0])


def refused():
    """Redis serves the probe and what an Edge posts, and refuses all calls."""
    edge = json.dumps({"identifier": "edge", "appName": "a"}).encode()
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        equal(fcgi.post(flagtally.address, BODY).status, 202, "before")
        redis("ACL", "SETUSER", "default", "-hset")
        for _ in range(5):
            equal(fcgi.post(flagtally.address, BODY).status, 503, "503")
            began = time.monotonic()
            until(lambda began=began: time.monotonic() - began > 0.3,
                  "some probes")
            status, words = state(flagtally)
            equal((status, words["status"], words["redis"]),
                  (503, "unavailable", "down"), "it is not ready")
            equal(metric(flagtally, "flagtally_redis_up"), 0, "in metrics")
            redis("ACL", "SETUSER", "default", "+hset")
            equal(fcgi.post(flagtally.address, edge,
                            REQUEST_URI="/api/client/metrics/edge",
                            SCRIPT_NAME="/api/client/metrics/edge").status,
                  202, "an Edge's data")
            redis("ACL", "SETUSER", "default", "-hset")
            equal(state(flagtally)[0], 503, "which does not make it ready")
        redis("ACL", "SETUSER", "default", "+hset")
        equal(fcgi.post(flagtally.address, BODY).status, 202, "they pass")
        status, words = state(flagtally)
        equal((status, words["redis"]), (200, "up"), "it is ready")


def filled():
    """The same with a spool that is full, and drains by itself."""
    def post(number):
        return fcgi.post(flagtally.address, json.dumps({
            "applications": [], "metrics": [{
                "featureName": f"{number}.{i}", "appName": f"a{number}",
                "environment": "e", "yes": 1, "no": 0,
                "timestamp": "2026-11-23T09:30:00Z", "variants": {}}
                for i in range(300)]}).encode()).status
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, spool=place.file("spool.db"),
                              spool_limit="512k")
        redis("ACL", "SETUSER", "default", "-hset")
        said = set()
        posted = 0
        while (status := post(posted)) == 202 and posted < 500:
            posted += 1
            said.add(state(flagtally)[1]["status"])
        check("ready" not in said and "degraded" in said,
              "the spool alone takes them", said)
        equal(status, 503, "until it is full")
        equal(state(flagtally)[0], 503, "then it is not ready")
        redis("ACL", "SETUSER", "default", "+hset")
        until(lambda: state(flagtally) == (200, {
            "status": "ready", "redis": "up", "spool": "ok",
            "tokens": "ok"}),
              "that it is ready again, without a request", 90)


def tokens():
    """Tokens that cannot be checked: the requests get 503, and it says so."""
    def post(token):
        return fcgi.post(flagtally.address, BODY,
                         HTTP_AUTHORIZATION=token).status

    def becomes(status, word, name):
        def there():
            answer, words = state(flagtally)
            return answer == status and words["tokens"] == word
        until(there, name)
        check(True, name)

    with Place() as place:
        redis = Redis(place)
        key, path = "flagtally:tokens", place.file("tokens", "nonsense\n")
        member = hashlib.sha256(b"*:e.in-redis").hexdigest()
        flagtally = Flagtally(place, redis, "file", auth="tokens", tokens=path,
                              spool=place.file("file.db"))
        equal(post("*:e.secret"), 503, "the file is invalid")
        becomes(503, "failed", "and it is not ready")
        place.file("tokens", "# none\n")
        equal(post("*:e.secret"), 403, "the file is empty")
        becomes(503, "failed", "and it is not ready either")
        place.file("tokens", "*:e.secret\n")
        becomes(200, "ok", "a token makes it ready")
        equal(post("*:e.secret"), 202, "as a request is")
        flagtally.end()
        flagtally = Flagtally(place, redis, "set", auth="tokens",
                              spool=place.file("set.db"), token_set=key,
                              token_ttl="100ms", token_stale="3s")
        equal(post("*:e.in-redis"), 503, "there is no set")
        becomes(503, "failed", "and it is not ready")
        redis("SADD", key, member)
        equal(post("*:e.in-redis"), 202, "now there is")
        becomes(200, "ok", "and it is ready")
        redis.kill()
        equal(post("*:e.other"), 503, "Redis is away")
        becomes(200, "partial", "which matters to some")
        equal(post("*:e.in-redis"), 202, "not to all of them")
        becomes(503, "failed", "but to all after token_stale")
        equal(post("*:e.in-redis"), 503, "as it is")
        redis.start()
        becomes(200, "ok", "it is ready again by itself")
        redis("SET", "other", "string")
        redis("RENAME", "other", key)
        equal(post("*:e.in-redis"), 503, "the key is a string")
        becomes(503, "failed", "and it is not ready")
        flagtally.end()
        flagtally = Flagtally(place, redis, "both", auth="tokens", tokens=path,
                              spool=place.file("both.db"), token_set=key)
        equal([post("*:e.secret"), post("*:e.in-redis")], [202, 503],
              "with a file, too")
        becomes(200, "partial", "it is degraded")


def addresses():
    """However listen has it."""
    with Place() as place:
        redis = Redis(place)
        for number, host in enumerate(("127.0.0.1", "0.0.0.0", "[::]",
                                       "localhost", "")):
            address = f"{host}:{free_port()}"
            flagtally = Flagtally(place, redis, f"at{number}", threads=2,
                                  listen=address, path_prefix="/below")
            equal(ready(listen=address)[0], 0, f"at {address}")
            flagtally.end()
            status, _, errors = ready(listen=address)
            check(status == 1 and "refused" in errors, "refused", errors)
        status, _, errors = ready()
        check(status == 78 and "listen" in errors, "no listen", errors)


def no_name_server():
    """A host's name that nobody answers for does not hang a health check."""
    with Place() as place:
        library = place.file("no_answer.so")
        subprocess.run([os.environ.get("CC", "cc").split()[-1], "-shared",
                        "-fPIC", "-o", library, place.file("no_answer.c",
                                                           NO_ANSWER)],
                       check=True)
        port = free_port()
        Flagtally(place, Redis(place), listen=f"127.0.0.1:{port}", threads=2)
        began = time.monotonic()
        for host, expected in (("127.0.0.1", 0), ("", 0), ("some.test", 1)):
            env = {**environment(listen=f"{host}:{port}"),
                   "LD_PRELOAD": library, "ASAN_OPTIONS":
                   "verify_asan_link_order=0:detect_leaks=0"}
            done = subprocess.run([PATH, "--ready"], env=env, text=True,
                                  capture_output=True, check=False,
                                  timeout=30)
            equal(done.returncode, expected, f"at {host}:PORT")
            check(not expected or "timed out" in done.stderr,
                  "the error says why", done.stderr)
        took = time.monotonic() - began
        check(took < 15, "it took 5 seconds or little more", took)


def others():
    """No answer, and answers that are none."""
    with Place() as place:
        flagtally = Flagtally(place, Redis(place), backstage="off")
        status, output, errors = ready(listen=flagtally.address)
        check((status, output) == (1, "") and "backstage" in errors,
              "backstage is off", status, output, errors)
        answers = [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\1\6\0\1\0\7",
                   fcgi.record(fcgi.STDOUT, b"Status: 200 OK\r\n\r\n{}"),
                   b"\1" * 20000, None]
        for number, answer in enumerate(answers):
            path = place.file(f"peer{number}")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen()

                def serve(answer=answer, listener=listener):
                    client, _ = listener.accept()
                    with client:
                        while client.recv(4096):
                            if answer is not None:
                                client.sendall(answer)
                                return
                peer = threading.Thread(target=serve, daemon=True)
                peer.start()
                status, output, errors = ready(listen=path)
                check((status, output) == (1, "") and path in errors,
                      f"an answer of {answer and answer[:20]!r}", status,
                      output, errors)
                peer.join()


run([states, refused, filled, tokens, addresses, no_name_server, others])
