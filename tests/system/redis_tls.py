"""Redis over TLS: who is trusted, what the log says, and that nothing hangs.

A program that was built without TLS says so when it starts.
"""

import json
import os
import socket
import subprocess
import threading
import time

from tests.harness import fcgi
from tests.harness.servers import (PROGRAM, Flagtally, Place, Redis,
                                   environment, free_port)
from tests.harness.tap import check, equal, note, run
from tests.harness.tls import Authority, openssl, server
from tests.harness.wait import until

DAY = "2026-11-23"
BODY = json.dumps({"applications": [], "metrics": [{
    "featureName": "f", "appName": "a", "environment": "e", "timestamp":
    DAY + "T09:30:00Z", "yes": 1, "no": 0, "variants": {}}]}).encode()


def start(url, **settings):
    """Have the configuration read, and printed if nothing is wrong."""
    return subprocess.run([PROGRAM, "--check-config"], env=environment(
        redis=url, auth="none", spool="", **settings), timeout=20,
        capture_output=True, text=True, check=False)


def compiled_in():
    return "built without TLS" not in start("rediss://localhost").stderr


def without():
    has = subprocess.run(["pkg-config", "--exists", "hiredis_ssl"],
                         check=False).returncode == 0
    equal(compiled_in(), has, "TLS is compiled in where hiredis_ssl is")
    if has:
        return
    with Place() as place:
        process = subprocess.run(
            [PROGRAM], env=environment(redis="rediss://localhost", auth="none",
                                       listen=place.file("s")), timeout=20,
            capture_output=True, text=True, check=False)
        check(process.returncode != 0 and "redis asks for TLS (rediss://): "
              "this program was built without TLS" in process.stderr,
              "rediss:// is an error at the start that says why",
              process.stderr)


def as_cgi(place, port, name, host="localhost", **settings):
    """One request; return its status, the log, and how long it took."""
    began = time.monotonic()
    env = environment(redis=f"rediss://{host}:{port}", auth="none",
                      spool=place.file(name + ".db"), **settings)
    env.update(fcgi.params(BODY))
    done = subprocess.run([PROGRAM], input=BODY, env=env, timeout=20,
                          capture_output=True, check=False)
    return (fcgi.Answer(done.stdout).status, done.stderr.decode(),
            time.monotonic() - began)


def count(redis):
    return int(redis("HGET", f"flagtally:{{e:a}}:{DAY}", "f:yes") or 0)


def refused():
    """Each kind of failure is named, and the spool takes what it met."""
    with Place() as place:
        good, other = Authority(place, "good"), Authority(place, "other")
        local = good.sign("local", "DNS:localhost,IP:127.0.0.1")
        table = [
            ("fine", local, good, {}, ""),
            ("name", good.sign("name", "DNS:elsewhere.example"), good, {},
             "hostname mismatch"),
            ("expired", good.sign(
                "expired", "DNS:localhost", "-not_before", "20240101000000Z",
                "-not_after", "20240201000000Z"), good, {},
             "certificate has expired"),
            ("unknown", other.sign("unknown", "DNS:localhost"), good, {},
             "unable to get local issuer certificate"),
            ("client", local, good, {"tls_auth_clients": "yes"},
             "certificate required"),
        ]
        for name, pair, trusted, options, words in table:
            redis = server(place, name, pair, good, **options)
            status, log, took = as_cgi(place, redis.tls, name,
                                       redis_tls_ca=trusted.certificate)
            equal(status, 202, f"{name}: 202")
            check(took < 2.5, f"{name}: in time", took)
            equal(count(redis), 0 if words else 1, f"{name}: counts in Redis")
            check(words in log and bool(words) == ("TLS" in log),
                  f"{name}: the log says why", log)
        status, log, _ = as_cgi(place, redis.tls, "with",
                                redis_tls_ca=good.certificate,
                                redis_tls_cert=local[0],
                                redis_tls_key=local[1])
        equal((status, count(redis)), (202, 1),
              "with a client certificate it counts")
        # An address is held against the addresses of the certificate.
        redis = server(place, "address", local, good)
        as_cgi(place, redis.tls, "address", "127.0.0.1",
               redis_tls_ca=good.certificate)
        equal(count(redis), 1, "the address 127.0.0.1 is in the certificate")
        as_cgi(place, redis.tls, "system")
        equal(count(redis), 1, "the system's authorities do not know ours")
        folder = place.file("folder")
        os.mkdir(folder)
        with open(good.certificate, "rb") as source, open(
                os.path.join(folder, "good.pem"), "wb") as target:
            target.write(source.read())
        openssl("rehash", folder)
        as_cgi(place, redis.tls, "folder", redis_tls_ca=folder)
        equal(count(redis), 2, "a directory of authorities")


def wrong_files():
    """Files that cannot be used are errors at the start."""
    with Place() as place:
        good = Authority(place, "good")
        one, two = (good.sign(name, "DNS:x") for name in ("one", "two"))
        empty = place.file("empty", "")
        for settings, words in (
                ({"redis_tls_ca": "/nowhere"}, "redis_tls_ca holds no"),
                ({"redis_tls_ca": empty}, "redis_tls_ca holds no"),
                ({"redis_tls_cert": empty}, "redis_tls_cert holds no"),
                ({"redis_tls_cert": one[0], "redis_tls_key": two[1]},
                 "or it is not the certificate's"),
                ({"redis_tls_key": one[1]}, "requires redis_tls_cert")):
            done = start("rediss://localhost", **settings)
            check(done.returncode != 0 and words in done.stderr,
                  f"{words}: at the start", done.stderr)


class Proxy:
    """Passes so many bytes of the server on, then closes or says nothing."""

    def __init__(self, port, limit, close=True):
        self.target, self.limit, self.close = port, limit, close
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.passed, self.kept = 0, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            self.kept.append(client)
            threading.Thread(target=self.pump, args=(client,),
                             daemon=True).start()

    def pump(self, client):
        server_side = socket.create_connection(("127.0.0.1", self.target))
        left = self.limit
        threading.Thread(target=self.back, args=(client, server_side),
                         daemon=True).start()
        while left > 0:
            try:
                data = server_side.recv(min(left, 65536))
                if not data:
                    break
                client.sendall(data)
            except OSError:
                break
            left -= len(data)
            self.passed += len(data)
        if self.close:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass            # It has left already.

    @staticmethod
    def back(client, server_side):
        try:
            while data := client.recv(65536):
                server_side.sendall(data)
            server_side.close()
        except OSError:
            pass


def cut():
    """The handshake ends at any byte, by a close or by silence."""
    with Place() as place:
        good = Authority(place, "good")
        redis = server(place, "redis", good.sign("local", "DNS:localhost"),
                       good)
        whole = Proxy(redis.tls, 10 ** 9)
        settings = {"redis_tls_ca": good.certificate, "redis_timeout": "200ms"}
        as_cgi(place, whole.port, "whole", **settings)
        equal(count(redis), 1, "through a proxy it counts")
        note(f"{whole.passed} bytes")
        wrong = []
        places = [*range(0, 12), *range(12, whole.passed, 41)]
        for limit in places:
            proxy = Proxy(redis.tls, limit)
            status, log, took = as_cgi(place, proxy.port, f"cut{limit}",
                                       **settings)
            if status != 202 or took > 2.5 or "Redis does not serve" not in \
                    log and "lost Redis" not in log and count(redis) < 2:
                wrong.append((limit, status, log, took))
        check(not wrong, f"closed at {len(places)} places: 202 in time, and "
              "the log says why", *wrong[:3])
        for limit in (0, 3, 700):
            proxy = Proxy(redis.tls, limit, close=False)
            status, log, took = as_cgi(place, proxy.port, f"mute{limit}",
                                       **settings)
            check(status == 202 and took < 2.5 and "no answer in time" in log,
                  f"silence after {limit} bytes: 202 in time", status, log,
                  took)


def goes_on():
    """The program serves, resumes sessions, and replays after a failure."""
    with Place() as place:
        good = Authority(place, "good")
        pair = good.sign("local", "DNS:localhost")
        redis = server(place, "redis", pair, good)
        flagtally = Flagtally(place, f"rediss://localhost:{redis.tls}",
                              spool=place.file("spool.db"), log_level="debug",
                              redis_tls_ca=good.certificate)
        for turn in range(1, 31):
            equal(fcgi.post(flagtally.address, BODY).status, 202, "202")
            equal(count(redis), turn, "is in Redis")
            if turn % 10 == 0:
                redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        check("an earlier session resumed" in place.read("flagtally.log"),
              "a new connection resumes the session",
              place.read("flagtally.log"))
        large = json.loads(BODY)
        large["metrics"] = [{**large["metrics"][0], "featureName": f"f{i}",
                             "variants": dict.fromkeys("abcdefgh", 1)}
                            for i in range(4000)]
        equal(fcgi.post(flagtally.address, json.dumps(large).encode()).status,
              202, "36,000 counters over TLS")
        redis.kill()
        for _ in range(5):
            equal(fcgi.post(flagtally.address, BODY).status, 202, "spooled")
        redis.start()
        until(lambda: count(redis) == 35, "what was in the spool")


run([without, refused, wrong_files, cut, goes_on] if compiled_in() else
    [without])
