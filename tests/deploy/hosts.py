"""Two hosts that count into one Redis, and lose the way to it now and then.

Each host is a network namespace with a link of its own to that of Redis.  Where
the test may not make these, a host is a set of processes whose way to Redis is
a proxy.  FLAGTALLY_HOSTS=proxies has it that way anyhow.
"""

import collections
import json
import os
import subprocess
import threading

from tests.harness import fcgi
from tests.harness.proxy import Proxy
from tests.harness.servers import (PROGRAM, Flagtally, Place, Redis,
                                   environment, find)
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

CLIENTS = 3
PROCESSES = 2
TIMES = ("2026-11-23", "2026-11-23T09")


def body(feature, host):
    """1 of a feature of its own and of one for all; and 1 of the host's."""
    def metric(application, name):
        return {"featureName": name, "appName": application,
                "environment": "e", "timestamp": "2026-11-23T09:30:00Z",
                "yes": 1, "no": 0, "variants": {}}
    return json.dumps({"applications": [], "metrics": [
        metric("all", feature), metric("all", "sum"),
        metric(host, feature)]}).encode()


# How hosts reach Redis.

class Networks:
    """A namespace for Redis, and one for each host, linked to it."""

    def __init__(self, place, names):
        self.mark = f"ft{os.getpid()}"
        self.names = names
        self.redis_options = {"port": "6379", "bind": "* -::*",
                              "protected-mode": "no"}
        place.servers.append(self)
        self.add("redis")
        for number, name in enumerate(names):
            self.add(name)
            self.link(name, number)

    def ip(self, *words):
        subprocess.run([find("ip"), *words], check=True, timeout=20,
                       capture_output=True)

    def add(self, name):
        self.ip("netns", "add", f"{self.mark}{name}")
        self.ip("-n", f"{self.mark}{name}", "link", "set", "dev", "lo", "up")

    def link(self, name, number):
        host, redis = self.mark + name, self.mark + "redis"
        self.ip("link", "add", "redis", "netns", host, "type", "veth", "peer",
                "name", name, "netns", redis)
        for where, device, last in ((redis, name, 1), (host, "redis", 2)):
            self.ip("-n", where, "address", "add",
                    f"192.0.2.{4 * number + last}/30", "dev", device)
            self.ip("-n", where, "link", "set", "dev", device, "up")

    def inside(self, name, command):
        return [find("nsenter"), f"--net=/run/netns/{self.mark}{name}",
                *command]

    def url(self, name):
        return f"redis://192.0.2.{4 * self.names.index(name) + 1}:6379/0"

    def cut(self, name, there):
        """There, packets vanish; here, the host has no network any more."""
        self.turn(name, there, "down")

    def mend(self, name, there):
        self.turn(name, there, "up")

    def turn(self, name, there, way):
        where, device = ("redis", name) if there else (name, "redis")
        self.ip("-n", self.mark + where, "link", "set", "dev", device, way)

    def end(self):
        for name in ("redis", *self.names):
            subprocess.run([find("ip"), "netns", "delete", self.mark + name],
                           check=False, capture_output=True, timeout=20)


class Proxies:
    """A proxy for each host, which keeps what comes while it is cut."""

    def __init__(self, place, names):
        self.place, self.proxies = place, {}
        self.redis_options = {}
        for name in names:
            self.proxies[name] = Proxy(place, place.file("redis.sock"),
                                       "way-" + name)

    def inside(self, _, command):
        return command

    def url(self, name):
        return self.proxies[name].url()

    def cut(self, name, there):
        self.proxies[name].hold("up" if there else "down")

    def mend(self, name, there):
        self.proxies[name].release()


def make_ways(place, names):
    """Namespaces, where a first one can be made."""
    if os.environ.get("FLAGTALLY_HOSTS") != "proxies":
        probe = subprocess.run([find("unshare"), "--net", find("ip"), "link",
                                "add", "type", "veth"], check=False,
                               capture_output=True, timeout=20)
        if os.geteuid() == 0 and probe.returncode == 0:
            return Networks(place, names)
        note(f"no network namespaces here: {probe.stderr}")
    return Proxies(place, names)


# Hosts

class Host:
    """Some processes with one spool, and a way to Redis."""

    def __init__(self, place, ways, name):
        self.place, self.ways, self.name = place, ways, name
        self.spool = place.file(f"{name}.spool")
        # The namespace is entered by the program that is started.
        self.program = place.file(f"{name}.sh", "#!/bin/sh\nexec " + " ".join(
            ways.inside(name, [os.path.abspath(PROGRAM)])) + " \"$@\"\n",
            0o755)
        self.nodes = [Node(self, f"{name}{i}") for i in range(PROCESSES)]
        self.accepted, self.unknown = set(), set()
        self.statuses = collections.Counter()

    def kill(self, count):
        for node in self.nodes[:count]:
            node.kill()
        for node in self.nodes[:count]:
            node.start()

    def waiting(self):
        """What is in the spool."""
        done = subprocess.run([self.program, "--spool"], check=True,
                              capture_output=True, text=True, timeout=20,
                              env=environment(spool=self.spool,
                                              redis=self.ways.url(self.name)))
        return done.stdout.splitlines()[1:]

    def moved_on(self, posts):
        wanted = len(self.accepted) + posts
        until(lambda: len(self.accepted) >= wanted, f"load on {self.name}")


class Node(Flagtally):
    def __init__(self, host, name):
        self.host = host
        super().__init__(host.place, host.ways.url(host.name), name,
                         program=host.program, spool=host.spool,
                         limit_features="0", flush_interval="100ms",
                         redis_timeout="500ms")

    def start(self):
        # What the one before has said is not this one's.
        os.unlink(self.place.file(self.log))
        self.__init__(self.host, self.name)


class Load:
    """Clients of both hosts, who post without pause."""

    def __init__(self, hosts):
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.client, daemon=True,
                                         args=(host, node, i))
                        for host in hosts for node in range(PROCESSES)
                        for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def client(self, host, node, number):
        i = 0
        while not self.stopping.is_set():
            i += 1
            feature = f"{host.name}{node}-{number}-{i}"
            try:
                status = fcgi.post(host.nodes[node].address,
                                   body(feature, host.name)).status
            except OSError:
                # There may be nobody at the moment.
                status = None
                self.stopping.wait(0.005)
            with self.lock:
                host.statuses[status] += 1
                (host.accepted if status == 202 else
                 host.unknown).add(feature)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


# What happens

def happen(hosts, redis):
    one, two = hosts
    for host in hosts:
        host.moved_on(50)
    ways = one.ways
    ways.cut("a", there=True)
    one.moved_on(50)
    check(one.waiting(), "cut off, a host goes on with its spool")
    two.moved_on(50)
    two.kill(1)
    one.kill(1)
    for host in hosts:
        host.moved_on(50)
    ways.mend("a", there=True)
    one.moved_on(50)
    ways.cut("b", there=False)
    two.moved_on(50)
    check(two.waiting(), "so does the other")
    two.kill(PROCESSES)
    redis.kill()
    redis.start()
    one.kill(PROCESSES)
    ways.mend("b", there=False)
    for host in hosts:
        host.moved_on(50)


def judge(hosts, redis):
    """Each body that got 202 counts once, and each other at most once."""
    found = {(name, time): {
        field.decode().removesuffix(":yes"): int(value) for field, value in
        redis.client.value(f"flagtally:{{e:{name}}}:{time}").items()}
        for name in ("all", *(host.name for host in hosts)) for time in TIMES}
    every = found["all", TIMES[0]]
    accepted = set().union(*(host.accepted for host in hosts))
    sent = accepted.union(*(host.unknown for host in hosts))
    total = every.pop("sum")
    equal(found["all", TIMES[1]].pop("sum"), total, "hour and day agree")
    lines = [f"lost: {feature}" for feature in accepted if feature not in every]
    lines += [f"{feature}: {count}" for feature, count in every.items()
              if count != 1 or feature not in sent]
    check(not lines, "what got 202 is in Redis, once; what got none, once at "
          "most", *lines[:20])
    equal(total, len(every), "the sum of both hosts is exact")
    for host in hosts:
        mine = found[host.name, TIMES[0]]
        check(host.accepted <= set(mine) <= host.accepted | host.unknown and
              set(mine.values()) == {1}, f"{host.name}'s own counts are exact",
              len(mine), len(host.accepted))
        equal(found[host.name, TIMES[1]], mine, f"{host.name}: by hour, too")


def two_hosts():
    with Place() as place:
        ways = make_ways(place, ["a", "b"])
        note(f"hosts: {type(ways).__name__}")
        redis = Inside(place, ways)
        hosts = [Host(place, ways, name) for name in ("a", "b")]
        load = Load(hosts)
        happen(hosts, redis)
        load.stop()
        for host in hosts:
            until(lambda host=host: not host.waiting(),
                  f"the replay of {host.name}")
            note(f"{host.name}: {dict(host.statuses)}")
            check(len(host.accepted) > 200 and set(host.statuses) <= {
                202, None}, f"{host.name}: all is accepted that is answered",
                host.statuses)
            for node in host.nodes:
                node.end()
        judge(hosts, redis)


class Inside(Redis):
    """Redis in its namespace; the test reads it at its Unix socket."""

    def __init__(self, place, ways):
        self.ways = ways
        super().__init__(place, **ways.redis_options)

    def start(self, place=None, name=None):
        if "nsenter" not in self.command[0]:
            self.command = self.ways.inside("redis", self.command)
        super().start(place, name)


run([two_hosts])
