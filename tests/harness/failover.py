"""Redis servers that replicate, and the sentinels that watch them."""

import os
import socket

from tests.harness.resp import Client
from tests.harness.servers import Process, Redis, find, free_port
from tests.harness.wait import until

MASTER = "counts"
DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                      "deploy", "redis")


class TcpClient(Client):
    """A client over TCP, on loopback."""

    def __init__(self, port, password=None, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.stream = self.socket.makefile("rb")
        if password is not None:
            self("AUTH", password)


def on_a_port(start):
    """What start(port) returns; another process may be quicker to take it."""
    for _ in range(5):
        try:
            return start(free_port())
        except RuntimeError as error:
            last = error
    raise last


class Server(Redis):
    """A server with a file of its own, which sentinels rewrite."""

    def __init__(self, place, name, port, master=None, **options):
        self.port = port
        config = {
            "port": port, "bind": "127.0.0.1", "appendonly": "yes",
            "appendfsync": "always", "save": '""', "dir": place.path,
            "unixsocket": place.file(name + ".sock"),
            "appendfilename": f'"{name}.aof"', "appenddirname": name + ".d",
            "dbfilename": name + ".rdb", "repl-diskless-sync-delay": "0",
            "repl-backlog-size": "64mb", "repl-timeout": "5",
            "repl-ping-replica-period": "1", **options,
        }
        if master:
            config["replicaof"] = f"127.0.0.1 {master}"
        self.config = place.file(name + ".conf", "".join(
            f"{key.replace('_', '-')} {value}\n"
            for key, value in config.items()))
        super().__init__(place, name, **{
            key: value for key, value in options.items()
            if key == "requirepass"})

    def start(self, place=None, name=None):
        self.command = [find("redis-server"), self.config]
        super().start(place, name)

    def __call__(self, *words):
        """Sentinels close the connections of a server that they change."""
        try:
            return super().__call__(*words)
        except OSError:
            self.client = Client(self.path, self.password)
            return super().__call__(*words)

    def role(self):
        return self("ROLE")[0].decode()

    def end(self):
        """Without the time that replicas get to catch up."""
        self.kill()

    def version(self):
        text = self("INFO", "server").decode()
        number = text.split("redis_version:")[1].split()[0].split(".")
        return tuple(map(int, number[:2]))

    def is_linked(self):
        """Whether this replica has all and follows its master."""
        reply = self("ROLE")
        return reply[0] == b"slave" and reply[3] == b"connected"

    def replicas(self):
        """How many replicas have acknowledged what they were sent."""
        reply = self("ROLE")
        return (len([row for row in reply[2] if int(row[2]) > 0])
                if reply[0] == b"master" else 0)


class Sentinel(Process):
    """One sentinel, with the configuration that deploy/redis ships."""

    def __init__(self, place, name, port, master, more="", password=None,
                 quorum=2):
        self.port, self.password = port, password
        with open(os.path.join(DEPLOY, "sentinel.conf"),
                  encoding="ascii") as file:
            shipped = file.read()
        for old, new in (("port 26379", f"port {port}\nbind 127.0.0.1"),
                         ("192.0.2.1 6379 2", f"127.0.0.1 {master} {quorum}"),
                         ("counts 5000", "counts 2000"),
                         ("counts 60000", "counts 5000")):
            if old not in shipped:
                raise RuntimeError(f"sentinel.conf has no {old}")
            shipped = shipped.replace(old, new)
        self.config = place.file(name + ".conf",
                                 shipped + f"dir {place.path}\n" + more)
        self.client = None
        self.begin(place, name)

    def begin(self, place=None, name=None):
        super().__init__(place or self.place, name or self.name,
                         [find("redis-server"), self.config, "--sentinel"])
        self.ready(self.answers)

    def answers(self):
        try:
            self.client = TcpClient(self.port, self.password)
            return self.client("PING") == b"PONG"
        except (OSError, ConnectionError):
            return False

    def __call__(self, *words):
        return self.client("SENTINEL", *words)

    def master(self):
        """The port of the server that it takes for the master."""
        return int(self("GET-MASTER-ADDR-BY-NAME", MASTER)[1])

    def known(self):
        """How many replicas and other sentinels it can work with."""
        def fit(rows):
            return len([row for row in rows if not
                        {b"s_down", b"o_down", b"disconnected"} &
                        set(dict(zip(row[::2], row[1::2]))[b"flags"]
                            .split(b","))])
        return fit(self("REPLICAS", MASTER)), fit(self("SENTINELS", MASTER))


class Watched:
    """A master, its replicas, and three sentinels."""

    def __init__(self, place, replicas=1, sentinels=3, quorum=2, more="",
                 **options):
        self.place = place
        first = on_a_port(lambda port: Server(place, "server0", port,
                                              **options))
        self.servers = [first]
        for i in range(1, replicas + 1):
            self.servers.append(on_a_port(lambda port, i=i: Server(
                place, f"server{i}", port, first.port, **options)))
        until(lambda: first.replicas() == replicas, "the replicas")
        self.sentinels = [on_a_port(lambda port, i=i: Sentinel(
            place, f"sentinel{i}", port, first.port, more, quorum=quorum))
            for i in range(sentinels)]
        self.settled()

    def url(self, sentinels=None, database=0):
        first, *others = [sentinel.port for sentinel in
                          sentinels or self.sentinels]
        return (f"redis-sentinel://127.0.0.1:{first}/{database}"
                f"?master={MASTER}" +
                "".join(f"&node=127.0.0.1:{port}" for port in others))

    def flags(self):
        """What each sentinel says of the master."""
        rows = [sentinel("MASTER", MASTER) for sentinel in self.sentinels]
        return [dict(zip(row[::2], row[1::2]))[b"flags"] for row in rows]

    def by_port(self, port):
        return next(server for server in self.servers if server.port == port)

    def master(self):
        """The server that all sentinels name, or None."""
        ports = {sentinel.master() for sentinel in self.sentinels}
        return self.by_port(ports.pop()) if len(ports) == 1 else None

    def settled(self, limit=60):
        """Wait until the next failover could begin; return the master."""
        others = len(self.servers) - 1

        def is_settled():
            master = self.master()
            return master and master.replicas() == others and all(
                server.is_linked() for server in self.servers
                if server != master) and all(
                sentinel.known() == (others, len(self.sentinels) - 1)
                for sentinel in self.sentinels) and master
        return until(is_settled, "servers and sentinels", limit)

    def moved_from(self, server, limit=60):
        """Wait until the sentinels name another master; return it."""
        def other():
            master = self.master()
            return master if master not in (None, server) else None
        return until(other, "the failover", limit)
