"""What Redis says, and what becomes of it.

An error of one call holds up no other call and floods no log, words of the
server are told unless they may hold the password, and a URL that leads to the
wrong kind of server is named as such.
"""

import json
import os
import re
import socket
import subprocess
import threading
import time

from tests.harness import fcgi
from tests.harness.servers import (PROGRAM, Flagtally, Place, Process, Redis,
                                   connects, environment, find, free_port)
from tests.harness.resp import Client
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

DAY = "2026-11-23"
SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
PASSWORD = "Kzj7-Quux-0815"


def post(flagtally, application="a", feature="f"):
    return fcgi.post(flagtally.address, json.dumps({
        "applications": [], "metrics": [{
            "featureName": feature, "appName": application,
            "environment": "e", "timestamp": DAY + "T09:30:00Z", "yes": 1,
            "no": 0, "variants": {}}]}).encode()).status


def count(redis, application, feature="f"):
    return redis("HGET", f"flagtally:{{e:{application}}}:{DAY}",
                 feature + ":yes")


def lines(place, words, name="flagtally.log"):
    return [line for line in place.read(name).splitlines() if words in line]


def one_call():
    """A key that may not be touched: other applications go on."""
    with Place() as place:
        redis = Redis(place)
        redis("ACL", "SETUSER", "default", "resetkeys", "~flagtally:apps",
              "~flagtally:{flagtally:*", "~flagtally:{e:b*")
        flagtally = Flagtally(place, redis, spool=place.file("spool.db"))
        for turn in range(1, 21):
            equal(post(flagtally, "a"), 202, "the spool takes it")
            equal(post(flagtally, "b"), 202, "another application")
            equal(count(redis, "b"), str(turn).encode(),
                  "is in Redis at once")
        check("Redis takes changes again" not in place.read("flagtally.log")
              and len(place.read("flagtally.log").splitlines()) < 8,
              "no flood in the log", place.read("flagtally.log"))
        equal(len(lines(place, "a call is put off")), 1,
              "one line says why")
        redis("ACL", "SETUSER", "default", "allkeys")
        until(lambda: count(redis, "a") == b"20", "the counts of the spool")


def missing_right():
    """Every call is put off: a line a minute, and nothing is lost."""
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, spool=place.file("spool.db"))
        redis("ACL", "SETUSER", "default", "-hset")
        for turn in range(20):
            equal(post(flagtally, f"a{turn % 3}"), 202, "202")
        check(len(place.read("flagtally.log").splitlines()) < 8,
              "no flood in the log", place.read("flagtally.log"))
        redis("ACL", "SETUSER", "default", "+hset")
        until(lambda: [count(redis, f"a{i}") for i in range(3)] ==
              [b"7", b"7", b"6"], "all counts")


class Deaf:
    """A way to Redis on which, while it is deaf, no call gets an answer."""

    def __init__(self, place, redis):
        self.path, self.redis = place.file("deaf.sock"), redis
        self.deaf, self.dropped = True, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(50)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.redis.path)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self.pass_on, args=pair,
                                 daemon=True).start()

    def pass_on(self, source, target):
        try:
            while data := source.recv(1 << 20):
                if self.deaf and b"EVALSHA" in data:
                    self.dropped += 1
                else:
                    target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def alternating():
    """The probe succeeds, and every call fails: the log does not go on about
    it."""
    with Place() as place:
        redis = Redis(place)
        deaf = Deaf(place, redis)
        flagtally = Flagtally(place, "unix://" + deaf.path,
                              spool=place.file("spool.db"),
                              redis_timeout="100ms")
        began = time.monotonic()
        answers = []
        while time.monotonic() - began < 15:
            answers.append(post(flagtally))
        equal(set(answers), {202}, "the spool takes all of them")
        periods = (time.monotonic() - began) // 10 + 1
        check(0 < len(lines(place, "did not take a group")) <= periods,
              "a line in ten seconds", place.read("flagtally.log"))
        check(not lines(place, "takes changes again"),
              "and it is not said to be over", place.read("flagtally.log"))
        check(deaf.dropped > 10, "though it is tried", deaf.dropped)
        deaf.deaf = False
        until(lambda: count(redis, "a") == str(len(answers)).encode(),
              "the counts", 90)
        equal(len(lines(place, "takes changes again")), 1, "then it is, once")


class Peer:
    """A server that answers whatever comes with the same bytes.

    After these it sends those of `more` for ever, as fast as they are read.
    """

    def __init__(self, place, answer, greets=False, name="peer", more=b""):
        self.path = place.file(name + ".sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(50)
        self.answer, self.greets, self.more = answer, greets, more
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.answer_to, args=(client,),
                             daemon=True).start()

    def answer_to(self, client):
        with client:
            try:
                if not self.greets:
                    client.recv(65536)
                client.sendall(self.answer)
                while self.more:
                    client.sendall(self.more)
            except OSError:
                pass


def starts(place, url, words, name, **settings):
    """The program runs with this URL, and its log says so."""
    flagtally = Flagtally(place, url, name, spool=place.file(name + ".db"),
                          **settings)
    equal(post(flagtally), 202, f"{name}: the spool takes it")
    until(lambda: lines(place, words, name + ".log"), f"{words} in {name}")
    check(True, f"{name}: the log has {words}")
    return flagtally


def greeted():
    """A server that turns us away is quoted."""
    with Place() as place:
        for name, text in (("clients", "ERR max number of clients reached"),
                           ("denied", "DENIED Redis is running in protected "
                            "mode because protected mode is enabled")):
            for greets in (True, False):
                for user in ("", ":secret@"):
                    this = f"{name}{greets}{len(user)}"
                    peer = Peer(place, f"-{text}\r\n".encode(), greets, this)
                    starts(place, f"unix://{user}{peer.path}", text,
                           this + "-ft")
        redis = Redis(place, maxclients="2")
        others = [Client(redis.path) for _ in range(1)]
        starts(place, redis.url(), "ERR max number of clients reached", "real")
        del others


def secret():
    """No part of a password that a server repeats is in the log."""
    answers = [f"-ERR unknown command 'AUTH', with args beginning with: "
               f"'{PASSWORD}'", f"-ERR '{PASSWORD[:9]}' ...", "-" + PASSWORD,
               f"-{PASSWORD.upper()} x", f"-WRONGPASS {PASSWORD[3:]}",
               f"-NOPERM {PASSWORD}", f"-REFUSED {PASSWORD}"]
    with Place() as place:
        for number, answer in enumerate(answers):
            for greets in (False, True):
                name = f"s{number}{greets}"
                peer = Peer(place, answer.encode() + b"\r\n", greets, name)
                starts(place, f"unix://user:{PASSWORD}@{peer.path}",
                       "may hold the password", name + "-ft")
                log = place.read(name + "-ft.log").lower()
                check(not any(PASSWORD[i:i + 4].lower() in log for i in
                              range(len(PASSWORD) - 3)),
                      f"no part of the password for {answer!r}", log)
        redis = Redis(place, requirepass=PASSWORD)
        url = redis.url().replace(PASSWORD, "other")
        starts(place, url, "WRONGPASS invalid username-password pair",
               "wrong")


def endless():
    """A server that never stops sending has its time and no more."""
    with Place() as place:
        for name, answer, more in (
                ("status", b"+", b"x" * 4096),
                ("array", b"*4000000\r\n", b":1\r\n" * 16)):
            peer = Peer(place, answer, name=name, more=more)
            starts(place, f"unix://{peer.path}", "no answer in time",
                   name + "-ft", redis_timeout="200ms")


def too_large():
    """No reply takes more memory than its bytes, or all of the stack."""
    with Place() as place:
        for name, answer, more in (
                ("array", b"*2147483647\r\n", b""),
                ("sum", b"*2000000\r\n" * 3, b""),
                ("one-after-another", b"*4\r\n" + b"*1100000\r\n" +
                 b":1\r\n" * 1100000 + b"*3100000\r\n", b""),
                ("deep", b"*1\r\n" * 500000, b""),
                ("string", b"$2000000000\r\n", b"x" * 65536)):
            peer = Peer(place, answer, name=name, more=more)
            # A slow host does not receive all of the string in time.
            flagtally = starts(
                place, f"unix://{peer.path}", "Redis does not serve" if more
                else "a reply is too large", name + "-ft")
            with open(f"/proc/{flagtally.pid}/status",
                      encoding="ascii") as file:
                peak = int(re.search(r"VmHWM:\s*(\d+)", file.read()).group(1))
            check(peak < 400 << 10 or SANITIZER, f"{name}: bounded memory",
                  peak)


def like_errors():
    """What an error is does not depend on the password's letters."""
    password = "NOSCRIPT.REFUSED.READONLY.wrongtype"
    with Place() as place:
        redis = Redis(place, requirepass=password)
        flagtally = Flagtally(place, redis, spool=place.file("spool.db"))
        equal(post(flagtally), 202, "the first")
        redis("SCRIPT", "FLUSH")
        equal(post(flagtally), 202, "after the scripts are lost")
        equal(count(redis, "a"), b"2", "they are loaded again at once")
        redis("SET", f"flagtally:{{e:b}}:{DAY}", "x")
        equal(post(flagtally, "b"), 202, "a key of another type")
        until(lambda: lines(place, "Redis rejected a call permanently: "
                            "REFUSED"), "the call to be rejected")
        redis("REPLICAOF", "127.0.0.1", "1")
        equal(post(flagtally), 202, "the server is a replica")
        until(lambda: lines(place, "this Redis is a replica"), "the words")
        done = subprocess.run([os.path.abspath(PROGRAM), "--spool"],
                              capture_output=True, text=True, timeout=20,
                              check=False, env=environment(
                                  spool=place.file("spool.db")))
        check("quarantined" in done.stdout, "--spool lists it", done)
        check(password not in done.stdout + place.read("flagtally.log"),
              "nothing has the password", done.stdout,
              place.read("flagtally.log"))


def low_port():
    """A free port; a node of a cluster also takes the one 10,000 above."""
    while (port := free_port()) > 55000:
        pass
    return port


def wrong_server():
    """A replica, a node of a cluster: said in words, once."""
    with Place() as place:
        redis = Redis(place)
        redis("REPLICAOF", "127.0.0.1", "1")
        flagtally = starts(place, redis.url(), "this Redis is a replica",
                           "replica")
        for _ in range(5):
            post(flagtally)
        equal(len(lines(place, "this Redis is a replica", "replica.log")), 1,
              "once")
        port = low_port()
        redis = Redis(place, "node", cluster_enabled="yes", port=str(port),
                      cluster_config_file=place.file("nodes.conf"))
        redis("CLUSTER", "ADDSLOTS", *map(str, range(0, 8000)))
        redis("CONFIG", "SET", "cluster-require-full-coverage", "no")
        other = Redis(place, "other", cluster_enabled="yes",
                      port=str(low_port()),
                      cluster_config_file=place.file("others.conf"))
        other("CLUSTER", "ADDSLOTS", *map(str, range(8000, 16384)))
        other("CLUSTER", "MEET", "127.0.0.1", str(port))
        until(lambda: b"cluster_known_nodes:2" in redis("CLUSTER", "INFO") and
              len([1 for line in redis("CLUSTER", "NODES").splitlines()
                   if b"8000-16383" in line]), "the nodes to meet")
        flagtally = Flagtally(place, redis.url(0).replace("?db=0", ""),
                              "cluster", spool=place.file("cluster.db"))
        for number in range(8):
            equal(post(flagtally, f"a{number}"), 202, "202")
        until(lambda: lines(place, "one node of a cluster", "cluster.log"),
              "the words")
        equal(len(lines(place, "one node of a cluster: the URL must begin with "
                        "redis-cluster://", "cluster.log")), 1,
              "a cluster is named once")
        for path in (redis.path, other.path):
            done = subprocess.run(
                [os.path.abspath(PROGRAM), "--report"], capture_output=True,
                text=True, timeout=60, check=False, env=environment(
                    redis="unix://" + path, spool=place.file("cluster.db")))
            if done.returncode:
                check("must begin with redis-cluster://" in done.stderr,
                      "a report says so, too", done.stderr)
                break
        else:
            check(False, "no node has all keys")
        place.file("sentinel.conf", "port 0\nunixsocket " +
                   place.file("sentinel.sock") + "\n")
        Process(place, "sentinel", [find("redis-server"),
                                    place.file("sentinel.conf"),
                                    "--sentinel"])
        until(lambda: connects(place.file("sentinel.sock")), "the sentinel")
        starts(place, "unix://" + place.file("sentinel.sock"),
               "perhaps a sentinel (redis-sentinel://)", "watcher")


def tls_port():
    """A plain URL that leads to a TLS port is named as such."""
    with Place() as place:
        key, certificate = place.file("key.pem"), place.file("cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj",
                        "/CN=localhost", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        port = free_port()
        Process(place, "tls", [
            "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-key",
            key, "-cert", certificate, "-quiet"])

        def listens():
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return True
            except OSError:
                return False
        until(listens, "the server")
        starts(place, f"redis://127.0.0.1:{port}",
               "perhaps it expects TLS (rediss://)", "plain")
        peer = Peer(place, b"\x15\x03\x03\x00\x02\x02\x46", False, "alert")
        starts(place, f"unix://{peer.path}",
               "the URL must begin with rediss://", "alerted")


run([one_call, missing_right, alternating, greeted, secret, endless, too_large,
     like_errors, wrong_server, tls_port])
