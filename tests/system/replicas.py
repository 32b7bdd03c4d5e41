"""redis_replicas: counts are in Redis when its replicas have them, too."""

import os
import signal
import socket
import subprocess
import threading
import time

from tests.harness.failover import Server, on_a_port
from tests.harness.load import body
from tests.harness.proxy import Proxy
from tests.harness.servers import PROGRAM, Flagtally, Place, Redis, environment
from tests.harness.tap import check, equal, run
from tests.harness.wait import until
from tests.harness import fcgi

KEY = "flagtally:{e:load}:2026-11-23"


def post(flagtally, feature="f"):
    return fcgi.post(flagtally.address, body(feature)).status


def yes(server, feature="f"):
    return int(server("HGET", KEY, feature + ":yes") or 0)


def start(place, redis, name="flagtally", **settings):
    return Flagtally(place, redis, name, **{
        "spool": place.file("spool.db"), "flush_interval": "100ms",
        "redis_replicas": 1, **settings})


def servers(place, replicas=1, **options):
    """A master and its replicas, which are up to date."""
    found = [on_a_port(lambda port: Server(place, "master", port, **options))]
    for i in range(replicas):
        found.append(on_a_port(lambda port, i=i: Server(
            place, f"replica{i}", port, found[0].port, **options)))
    until(lambda: found[0].replicas() == replicas and
          all(server.is_linked() for server in found[1:]), "the replicas")
    return found


def spool(place):
    """The states of what is in the spool."""
    listed = subprocess.run(
        [os.path.abspath(PROGRAM), "--spool"], capture_output=True, text=True,
        timeout=30, check=False, env=environment(
            spool=place.file("spool.db"))).stdout
    return [line.split("\t")[1] for line in listed.splitlines()
            if not line.startswith("#")]


def confirmed():
    """A 202 says that the replica has it; what it has not is in doubt."""
    with Place() as place:
        master, replica = servers(place)
        flagtally = start(place, master.url())
        for turn in range(1, 51):
            equal((post(flagtally), yes(replica)), (202, turn),
                  "at once in the replica")
        check(master.calls("wait") >= 50, "by WAIT", master.calls("wait"))
        replica.signal(signal.SIGSTOP)
        began = time.monotonic()
        equal(post(flagtally), 202, "the replica is silent")
        check(time.monotonic() - began < 2, "within 2 s")
        check("in-doubt" in spool(place), "the call is in doubt", spool(place))
        equal(yes(master), 51, "and done by the master")
        began = time.monotonic()
        equal([post(flagtally) for _ in range(50)], [202] * 50,
              "what comes then goes to the spool")
        check(time.monotonic() - began < 2, "and waits for nothing",
              time.monotonic() - began)
        replica.signal(signal.SIGCONT)
        until(lambda: yes(replica) == 101 and not spool(place), "replay")
        equal(yes(master), 101, "each counts once")
        check(master.calls("expire") > 0, "a call that was done before "
              "writes, so that there is something to wait for")
        until(lambda: post(flagtally) == 202 and yes(replica) == yes(master)
              and not spool(place), "Redis to be used again")


def enough():
    """Fewer replicas than there must be: all waits, until there are enough."""
    with Place() as place:
        master, one, two = servers(place, 2)
        flagtally = start(place, master.url(), redis_replicas=2)
        equal(post(flagtally), 202, "before")
        equal((yes(one), yes(two)), (1, 1), "is in both")
        two.kill()
        until(lambda: master.replicas() == 1, "the master to notice")
        posts = [post(flagtally) for _ in range(20)]
        equal(posts, [202] * 20, "the spool takes it")
        words = "1 of 2 replicas have the counts in time"
        until(lambda: words in place.read("flagtally.log"), words)
        # Replay tries again and again, and none of it counts.
        tries = master.calls("wait")
        until(lambda: master.calls("wait") > tries + 2, "some tries")
        check(spool(place), "it stays in the spool")
        two.start()
        until(lambda: yes(two) == 21 and not spool(place), "replay")
        equal((yes(master), yes(one)), (21, 21), "each counts once")


def promoted():
    """What a master has done alone is done again by its replica."""
    with Place() as place:
        master, replica = servers(place)
        # Both under one name, as a provider has it.
        proxy = Proxy(place, master.path)
        flagtally = start(place, proxy.url())
        equal(post(flagtally), 202, "before")
        master("CLIENT", "KILL", "TYPE", "replica")
        replica.signal(signal.SIGSTOP)
        for turn in range(10):
            equal(post(flagtally, f"g{turn % 2}"), 202, "202")
        check(yes(master, "g0") == 1, "the master has one of these",
              yes(master, "g0"))
        master.kill()
        replica.signal(signal.SIGCONT)
        replica("REPLICAOF", "NO", "ONE")
        equal(yes(replica, "g0"), 0, "the replica has not")
        third = on_a_port(lambda port: Server(place, "third", port,
                                              replica.port))
        proxy.target = replica.path
        proxy.drop()
        until(lambda: [yes(third, name) for name in ("f", "g0", "g1")] ==
              [1, 5, 5] and not spool(place), "replay")
        equal([yes(replica, name) for name in ("f", "g0", "g1")], [1, 5, 5],
              "each counts once")


def cut():
    """The connection breaks anywhere, also before the confirmation."""
    with Place() as place:
        master, replica = servers(place)
        posts = 0
        for limit in range(1, 80, 2):
            proxy = Proxy(place, master.path, f"proxy{limit}")
            flagtally = start(place, proxy.url(), f"f{limit}")
            post(flagtally, "warm")
            proxy.cut(down=limit)
            equal(post(flagtally), 202, f"cut after {limit} bytes: 202")
            posts += 1
            until(lambda: yes(replica) == posts and not spool(place),
                  f"{posts} counts")
            flagtally.end()
            proxy.end()
        equal((yes(master), yes(replica)), (posts, posts), "counted once")


def rights():
    """Without the right to WAIT nothing is lost, and the log says why."""
    with Place() as place:
        master, replica = servers(place)
        master("ACL", "SETUSER", "default", "-wait")
        flagtally = start(place, master.url())
        equal(post(flagtally), 202, "the spool takes it")
        until(lambda: "NOPERM" in place.read("flagtally.log"), "the log")
        master("ACL", "SETUSER", "default", "+wait")
        until(lambda: yes(replica) == 1 and not spool(place), "replay")
        check(True, "it counts when the right is there")


class Translator:
    """Answers WAITAOF in the place of a Redis that may not know it."""

    def __init__(self, place, target, reply):
        self.path = place.file("translator.sock")
        self.target, self.reply = target, reply
        self.asked = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(20)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,),
                             daemon=True).start()

    @staticmethod
    def words(stream, line):
        found = []
        for _ in range(int(line[1:])):
            size = int(stream.readline()[1:])
            found.append(stream.read(size + 2)[:-2])
        return found

    def serve(self, client):
        """One command at a time, so that replies keep their order."""
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        requests, replies = client.makefile("rb"), server.makefile("rb")
        try:
            while line := requests.readline():
                words = self.words(requests, line)
                if words[0] == b"WAITAOF":
                    self.asked.append([int(word) for word in words[1:]])
                    client.sendall(b"*2\r\n:%d\r\n:%d\r\n" % self.reply)
                    continue
                server.sendall(b"*%d\r\n" % len(words) + b"".join(
                    b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
                client.sendall(self.one(replies))
        except OSError:
            pass

    def one(self, replies):
        line = replies.readline()
        if line[:1] == b"$" and int(line[1:]) >= 0:
            return line + replies.read(int(line[1:]) + 2)
        if line[:1] == b"*":
            return line + b"".join(self.one(replies)
                                   for _ in range(int(line[1:])))
        return line


def files():
    """redis_aof: the files of the master and of replicas count."""
    with Place() as place:
        master, replica = servers(place)
        translator = Translator(place, master.path, (1, 1))
        flagtally = start(place, f"unix://{translator.path}", redis_aof="yes")
        equal(post(flagtally), 202, "both have it")
        equal((yes(master), yes(replica), spool(place)), (1, 1, []),
              "and it is in no spool")
        check(translator.asked and all(words[:2] == [1, 1] and
                                       0 < words[2] <= 1000
                                       for words in translator.asked),
              "WAITAOF for the master and one replica", translator.asked)
        for reply, words in (((0, 1), "the counts are not in the append-only "
                              "file in time"),
                             ((1, 0), "0 of 1 replicas have the counts")):
            before = yes(master)
            translator.reply = reply
            equal(post(flagtally), 202, f"{reply}: the spool takes it")
            until(lambda: words in place.read("flagtally.log"), words)
            check(spool(place), f"{reply}: it waits")
            translator.reply = (1, 1)
            until(lambda: yes(master) == before + 1 and not spool(place),
                  "replay")
            # The log says a reason again after a while only.
            flagtally.end()
            flagtally = start(place, f"unix://{translator.path}",
                              redis_aof="yes")


def real_files():
    """The same with Redis itself, which knows WAITAOF from 7.2 on."""
    with Place() as place:
        master, replica = servers(place)
        flagtally = start(place, master.url(), redis_aof="yes")
        for turn in range(1, 21):
            equal((post(flagtally), yes(replica)), (202, turn),
                  "at once in the replica")
        equal(spool(place), [], "nothing is in doubt")
        known = master.version() >= (7, 2)
        equal("has no WAITAOF" in place.read("flagtally.log"), not known,
              "the log says if Redis does not know it")
        check(master.calls("waitaof" if known else "wait") >= 20,
              "it is asked each time")


def without():
    """By default nothing waits, and no right is needed for it."""
    with Place() as place:
        redis = Redis(place)
        redis("ACL", "SETUSER", "default", "-wait")
        flagtally = start(place, redis, redis_replicas=0)
        equal(post(flagtally), 202, "accepted")
        equal((yes(redis), redis.calls("wait")), (1, 0), "at once in Redis")


run([confirmed, enough, promoted, cut, rights, files, real_files, without])
