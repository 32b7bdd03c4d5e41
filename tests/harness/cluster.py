"""A Redis Cluster on loopback, made and changed by redis-cli as operators do."""

import json
import subprocess

from tests.harness.resp import Client, RedisError
from tests.harness.servers import Process, connects, find, free_port
from tests.harness.wait import until

SLOTS = 16384


class Node(Process):
    """A node: clients of the cluster use its port, the test its socket."""

    def __init__(self, place, name, timeout, config=None, **options):
        self.path = place.file(name + ".sock")
        self.config = [config] if config else []
        self.options = {
            "bind": "127.0.0.1", "unixsocket": self.path, "dir": place.path,
            "cluster-config-file": name + ".nodes",
            "cluster-node-timeout": str(timeout),
            **({} if config else {"cluster-enabled": "yes", "save": "",
                                  "appendonly": "yes",
                                  "appendfsync": "always"}),
            "appendfilename": name + ".aof", "appenddirname": name + ".d",
            "dbfilename": name + ".rdb", "repl-diskless-sync-delay": "0",
            **{key.replace("_", "-"): str(value)
               for key, value in options.items()}}
        self.place, self.name, self.client = place, name, None
        for attempt in range(5):
            self.port, self.bus = free_port(), free_port()
            if "tls-cert-file" in self.options:
                self.tls = free_port()
                self.options["tls-port"] = str(self.tls)
            try:
                self.start()
                return
            except RuntimeError:
                # Another process was quicker to take a port.
                place.servers.remove(self)
                if attempt == 4:
                    raise

    def start(self):
        command = [find("redis-server"), *self.config, "--port", str(self.port),
                   "--cluster-port", str(self.bus)]
        for key, value in self.options.items():
            command += ["--" + key, *([value] if value else [""])]
        super().__init__(self.place, self.name, command)
        self.ready(lambda: connects(self.path) and self.answers())

    def answers(self):
        try:
            self.client = Client(self.path)
            return self.client("PING") == b"PONG"
        except (OSError, RedisError):
            return False

    def __call__(self, *words):
        """As a client; a replica may be loading what its master has sent."""
        def reply():
            try:
                return (self.client(*words),)
            except RedisError as error:
                if not str(error).startswith("LOADING"):
                    raise
                return None
        return until(reply, f"{self.name} to be loaded")[0]

    @property
    def address(self):
        return f"127.0.0.1:{self.port}@{self.bus}"

    def id(self):
        return self("CLUSTER", "MYID").decode()

    def is_master(self):
        return self("ROLE")[0] == b"master"


class Cluster:
    """Nodes, of which the first are the masters and the others replicas."""

    def __init__(self, place, masters=3, replicas=1, timeout=2000, **options):
        self.place, self.timeout, self.options = place, timeout, options
        self.nodes = [self.node() for _ in range(masters * (1 + replicas))]
        if masters >= 3:
            self.cli("create", *[node.address for node in self.nodes],
                     "--cluster-replicas", str(replicas), "--cluster-yes")
        else:
            self.meet(masters)
        self.settled()

    def node(self):
        number = sum(server.name.startswith("node")
                     for server in self.place.servers)
        return Node(self.place, f"node{number}", self.timeout, **self.options)

    def meet(self, masters):
        """What redis-cli does, which wants three masters at least."""
        for i, node in enumerate(self.nodes):
            node("CLUSTER", "ADDSLOTSRANGE", SLOTS * i // masters,
                 SLOTS * (i + 1) // masters - 1)
            node("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            self.nodes[0]("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)

    def cli(self, command, *arguments):
        """Run redis-cli --cluster; return its output."""
        done = subprocess.run(
            [find("redis-cli"), "--cluster", command, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"redis-cli --cluster {command}:\n" +
                               done.stdout[-3000:])
        return done.stdout

    def running(self):
        return [node for node in self.nodes if node.running()]

    def masters(self):
        return [node for node in self.running() if node.is_master() and
                owned(node)]

    def agrees(self):
        """Do all nodes that run say the same of all slots?"""
        maps = set()
        for node in self.running():
            if b"cluster_state:ok" not in node("CLUSTER", "INFO"):
                return False
            maps.add(json.dumps(sorted(
                [first, last, master[1]] for first, last, master, *_ in
                node("CLUSTER", "SLOTS"))))
        return len(maps) == 1

    def settled(self, limit=40):
        until(self.agrees, "a cluster whose nodes agree", limit)

    def url(self, scheme="redis-cluster", credentials=""):
        first, *others = [
            f"127.0.0.1:{node.port if scheme == 'redis-cluster' else node.tls}"
            for node in self.running()]
        nodes = "&".join("node=" + node for node in others)
        return f"{scheme}://{credentials}{first}" + \
            (f"?{nodes}" if nodes else "")

    def owner(self, key):
        """The node that has a key."""
        slot = self.running()[0]("CLUSTER", "KEYSLOT", key)
        for first, last, master, *_ in self.running()[0]("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes
                            if node.port == master[1])
        raise LookupError(f"no node has slot {slot}")

    def __call__(self, command, key, *words):
        return self.owner(key)(command, key, *words)

    def everything(self):
        """All keys of all masters, with their values."""
        self.settled()
        return {key: node.client.value(key) for node in self.masters()
                for key in node("KEYS", "*")}

    @staticmethod
    def replicates(node, master):
        return b"myself,slave " + master.id().encode() in node(
            "CLUSTER", "NODES")

    def replica_of(self, master):
        return next(node for node in self.running()
                    if self.replicates(node, master))

    def take_over(self, master):
        """Kill a master, and wait until its replica has its slots."""
        replica = self.replica_of(master)
        master.kill()
        until(replica.is_master, "a replica that takes over", 40)
        self.settled()
        return replica

    def add(self):
        """Add an empty master."""
        node = self.node()
        self.cli("add-node", node.address, self.nodes[0].address)
        self.nodes.append(node)
        until(lambda: len(node("CLUSTER", "SLOTS")) > 0, "the new node's map")
        self.settled()
        return node

    def add_replica(self, master):
        node = self.node()
        self.cli("add-node", node.address, master.address, "--cluster-slave",
                 "--cluster-master-id", master.id())
        self.nodes.append(node)
        until(lambda: master("ROLE")[2], "the new replica")
        self.settled()
        return node

    def reshard(self, source, target, slots):
        self.settled()
        self.cli("reshard", source.address, "--cluster-from", source.id(),
                 "--cluster-to", target.id(), "--cluster-slots", str(slots),
                 "--cluster-yes")
        self.settled()

    def remove(self, node):
        """Remove a master that has no slots any more, with its replicas."""
        for other in self.running():
            if self.replicates(other, node):
                self.remove(other)
        self.cli("del-node", self.nodes[0].address, node.id())
        self.nodes.remove(node)
        node.kill()


def owned(node):
    """How many slots a node says that it has."""
    port = node.port
    return sum(last - first + 1 for first, last, master, *_ in
               node("CLUSTER", "SLOTS") if master[1] == port)
