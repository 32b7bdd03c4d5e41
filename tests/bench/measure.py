"""What the parts of the benchmark measure with: servers, clocks, tables."""

import datetime
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from tests.harness import fcgi
from tests.harness.cluster import Cluster
from tests.harness.failover import Server, on_a_port
from tests.harness.servers import (Flagtally, Place, Process, Redis,
                                   connects, find, free_port)
from tests.harness.wait import until

HERE = os.path.dirname(os.path.abspath(__file__))
HOUR_OR_DAY = 2                 # Every counter counts in two buckets.


class Directory(Place):
    """A fresh directory where the spool and Redis' files are to be."""

    def __init__(self, parent):
        self.path = tempfile.mkdtemp(prefix="ftbench.", dir=parent)
        self.servers = []


class Spread:
    """The median of what the rounds gave, with the least and the most."""

    def __init__(self, values):
        self.values = list(values)
        self.median = statistics.median(self.values)

    def text(self, form="{:.2f}"):
        if len(self.values) == 1:
            return form.format(self.median)
        return (form.format(self.median) + " (" +
                form.format(min(self.values)) + ".." +
                form.format(max(self.values)) + ")")


def table(title, heads, rows):
    """Print a table in Markdown's form, aligned to be read as it is."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [heads] + rows)
              for i in range(len(heads))]
    print(f"\n### {title}\n")
    for row in [heads, ["-" * width for width in widths]] + rows:
        print("| " + " | ".join(cell.ljust(width) for cell, width in
                                zip(row, widths)) + " |", flush=True)


# CPU time and memory

def family(pid):
    """A process and all below it."""
    pids = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children",
                      encoding="ascii") as file:
                for child in file.read().split():
                    pids += family(int(child))
    except FileNotFoundError:
        pass
    return pids


def cpu_seconds(pid):
    """CPU time of a process, its threads and its children, in seconds."""
    total = 0
    for one in family(pid):
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/schedstat",
                          encoding="ascii") as file:
                    total += int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total / 1e9


def own_children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peak_megabytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) / 1024


def redis_info(redis, section):
    return dict(line.split(":", 1) for line in
                redis("INFO", section).decode().splitlines() if ":" in line)


def redis_cpu(redis):
    info = redis_info(redis, "cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def redis_received(redis):
    return int(redis_info(redis, "stats")["total_net_input_bytes"])


# Servers

class Responder(Process):
    """A yardstick: it reads the body, and perhaps parses it with yajl."""

    def __init__(self, place, build, kind, threads):
        self.address = place.file(kind + ".sock")
        super().__init__(place, kind, [
            os.path.join(build, "tests/bench/responder"), kind, self.address,
            str(threads)])
        self.ready(lambda: connects(self.address))


class Target:
    """What requests go to behind the web server, under /NAME.

    The name begins with that of a responder, or with what ack is.
    """

    def __init__(self, place, build, name, processes=1, threads=32,
                 hash_entries=512):
        self.name = name
        self.redis = None
        if name in ("null", "yajl"):
            self.servers = [Responder(place, build, name, threads)]
        else:
            # The older name is known to every version.
            self.redis = Redis(place, "redis-" + name,
                               hash_max_ziplist_entries=str(hash_entries))
            self.servers = [Flagtally(
                place, self.redis, f"{name}-{i}",
                program=os.path.join(build, "fcgi/flagtally"),
                ack=name.split("-")[0],
                threads=threads, path_prefix="/" + name, backstage="all",
                spool=place.file(name + ".db"),
                # Another version may not have it.
                **({} if name.endswith("-before") else {"page": "all"}))
                for i in range(processes)]
        self.addresses = [server.address for server in self.servers]

    def redis_servers(self):
        return [self.redis] if self.redis else []

    def peak(self):
        return max(peak_megabytes(server.pid) for server in self.servers)

    def metric(self, name):
        path = f"/{self.name}/internal-backstage/metrics"
        text = fcgi.post(self.addresses[0], b"", REQUEST_METHOD="GET",
                         REQUEST_URI=path, SCRIPT_NAME=path).body.decode()
        return int(re.search(f"^{re.escape(name)} (\\d+)$", text, re.M)[1])

    def answered(self):
        """How many requests it has accepted so far."""
        return self.metric('flagtally_requests_total{code="202"}')

    def group_size(self):
        """Requests that were committed together since the last call."""
        if self.redis is None:
            return 0
        now = [self.metric("flagtally_group_requests_" + what)
               for what in ("sum", "count")]
        before, self.grouped = getattr(self, "grouped", (0, 0)), now
        return (now[0] - before[0]) / max(1, now[1] - before[1])

    def watch(self, key, field, each):
        """From now on every request adds so much to a field in Redis."""
        self.probe = (key, field, each)
        self.come_to_rest()
        self.before = self.redis and (self.answered(), self.held())

    def come_to_rest(self):
        """Requests that wrk gave up may be in the web server, and go on."""
        count = None
        while self.redis and count != self.answered():
            count = self.answered()
            time.sleep(0.5)

    def held(self):
        return int(self.redis("HGET", *self.probe[:2]) or 0)

    def settle(self):
        """Wait until Redis has all that was accepted, exactly once."""
        if self.redis is None:
            return
        answered, held = self.before

        def equal():
            return (self.held() - held ==
                    (self.answered() - answered) * self.probe[2])

        # What wrk did not wait for any more may still be on its way.
        until(equal, f"{self.name}: what was accepted, in {self.probe[1]}",
              60)


class Replicated(Target):
    """flagtally with a master and a replica, which has to confirm or not."""

    def __init__(self, place, build, name, threads=32, **settings):
        self.name = name
        self.redis = on_a_port(lambda port: Server(
            place, "master-" + name, port))
        self.replica = on_a_port(lambda port: Server(
            place, "replica-" + name, port, self.redis.port))
        until(lambda: self.redis.replicas() == 1 and self.replica.is_linked(),
              "the replica")
        self.servers = [Flagtally(
            place, self.redis, name, threads=threads, backstage="all",
            program=os.path.join(build, "fcgi/flagtally"),
            path_prefix="/" + name, spool=place.file(name + ".db"),
            **settings)]
        self.addresses = [self.servers[0].address]

    def redis_servers(self):
        return [self.redis, self.replica]


class Masters(Target):
    """flagtally with a cluster of so many masters, whose time is limited."""

    # Milliseconds that they run and stand still in turn: they are slow.
    RUN, STAND = 1, 15

    def __init__(self, place, build, count, threads=32):
        self.name = f"masters-{count}"
        self.redis = Cluster(place, masters=count, replicas=0, timeout=60000)
        self.servers = [Flagtally(
            place, self.redis, self.name, threads=threads, backstage="all",
            program=os.path.join(build, "fcgi/flagtally"),
            path_prefix="/" + self.name, spool=place.file(self.name + ".db"))]
        self.addresses = [self.servers[0].address]

    def redis_servers(self):
        return self.redis.nodes

    def load(self, *arguments):
        """wrk, and the time until Redis has it all, from slow masters."""
        stopping = threading.Event()

        def slow():
            while not stopping.is_set():
                for number, milliseconds in ((signal.SIGSTOP, self.STAND),
                                             (signal.SIGCONT, self.RUN)):
                    for node in self.redis.nodes:
                        node.signal(number)
                    stopping.wait(milliseconds / 1000)
            for node in self.redis.nodes:
                node.signal(signal.SIGCONT)

        thread = threading.Thread(target=slow)
        before = [cpu_seconds(node.pid) for node in self.redis.nodes]
        began = time.monotonic()
        thread.start()
        try:
            load = wrk(arguments[0], self, *arguments[1:])
            self.settle()
            load.whole = load.requests / (time.monotonic() - began)
        finally:
            stopping.set()
            thread.join()
        load.each = [(cpu_seconds(node.pid) - cpu) / load.requests * 1e6
                     for node, cpu in zip(self.redis.nodes, before)]
        return load


class Nginx(Process):
    def __init__(self, place, targets):
        self.port = free_port()
        locations = "".join(f"""
        location /{target.name}/ {{
            fastcgi_pass unix:{target.addresses[0]};
        }}""" for target in targets)
        variables = "".join(f"\n        fastcgi_param {name} ${value};"
                            for name, value in (
                                ("REQUEST_METHOD", "request_method"),
                                ("REQUEST_URI", "request_uri"),
                                ("SCRIPT_NAME", "fastcgi_script_name"),
                                ("CONTENT_TYPE", "content_type"),
                                ("CONTENT_LENGTH", "content_length")))
        # Else its workers could not write to our directory.
        user = "user root;" if os.geteuid() == 0 else ""
        config = place.file("nginx.conf", f"""
daemon off;
{user}
worker_processes 1;
pid {place.file("nginx.pid")};
error_log {place.file("nginx.error.log")};
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {place.file("nginx.body")};
    fastcgi_temp_path {place.file("nginx.fastcgi")};
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{self.port} backlog=2048;
        client_max_body_size 64m;
        client_body_buffer_size 128k;{variables}{locations}
    }}
}}
""", 0o644)
        super().__init__(place, "nginx", [find("nginx"), "-c", config,
                                          "-p", place.path])
        self.ready(lambda: port_open(self.port))


class Lighttpd(Process):
    def __init__(self, place, targets, name="lighttpd"):
        self.port = free_port()
        def host(address):
            return f"""
        ( "socket" => "{address}", "check-local" => "disable" ),"""

        hosts = "".join(
            f"""
    "/{target.name}/" => (""" + "".join(map(host, target.addresses)) + """
    ),""" for target in targets)
        config = place.file(name + ".conf", f"""
server.modules = ( "mod_fastcgi" )
server.bind = "127.0.0.1"
server.port = {self.port}
server.document-root = "{place.path}"
server.errorlog = "{place.file(name)}.error.log"
server.max-keep-alive-requests = 65535
server.max-connections = 2048
server.max-fds = 8192
fastcgi.server = ({hosts}
)
""")
        super().__init__(place, name, [find("lighttpd"), "-D", "-f", config])
        self.ready(lambda: port_open(self.port))


def port_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


# Load

class Load:
    """What wrk saw, and what it cost."""

    def __init__(self, text, cpu, shares):
        found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", text)
        if found is None:
            raise RuntimeError("wrk failed:\n" + text)
        self.requests, duration, refused, broken, self.p50, self.p99 = map(
            int, found.groups())
        self.p999 = int(re.search(r"TAIL (\d+)", text)[1])
        self.rate = self.requests / (duration / 1e6)
        self.cpu = cpu                  # Seconds of all processes.
        self.shares = shares            # Of each.
        if refused or broken or not self.requests:
            raise RuntimeError(f"{refused} answers are no 202, {broken} "
                               f"connections broke:\n{text}")


def wrk(web, target, body, connections, seconds, pause=0, token=""):
    """Load one target through the web server."""
    processes = {"web": [web], "it": target.servers,
                 "redis": target.redis_servers()}

    def spent():
        return {name: sum(cpu_seconds(one.pid) for one in some)
                for name, some in processes.items()}

    before = spent()
    before["wrk"] = own_children_seconds()
    result = subprocess.run([
        find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s",
        "-s", os.path.join(HERE, "load.lua"), "--timeout", "10s",
        f"http://127.0.0.1:{web.port}/{target.name}/api/client/metrics/bulk"],
        env={**os.environ, "BODY": body, "PAUSE": str(pause), "TOKEN": token},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=seconds + 60, check=False)
    shares = {name: now - before[name] for name, now in spent().items()}
    shares["wrk"] = own_children_seconds() - before["wrk"]
    return Load(result.stdout, sum(shares.values()), shares)


class Readers:
    """Views pages of an application, and scrapes, at a rate that is given."""

    VIEWS, SCRAPES = 0.1, 1.0           # Seconds between two.

    def __init__(self, target, features):
        self.target, self.took = target, []
        self.on = threading.Event()
        today = datetime.datetime.now(datetime.timezone.utc)
        tag = "flagtally:{production:viewed}:"
        names = [tag + (today - datetime.timedelta(days=i)).strftime(
            "%Y-%m-%d") for i in range(90)]
        names += [tag + (today - datetime.timedelta(hours=i)).strftime(
            "%Y-%m-%dT%H") for i in range(48)]
        for name in names:
            target.redis("HSET", name, *(
                word for i in range(features) for counter in ("yes", "no")
                for word in (f"feature-{i}:{counter}", i + 1)))
        target.redis("ZADD", "flagtally:apps", 1, "production:viewed")
        for interval, path, query in (
                (self.VIEWS, "/flagtally", "env=production&app=viewed"),
                (self.SCRAPES, "/internal-backstage/usage", "")):
            threading.Thread(target=self.read, daemon=True,
                             args=(interval, path, query)).start()

    def reading(self, on):
        (self.on.set if on else self.on.clear)()

    def read(self, interval, path, query):
        path = f"/{self.target.name}{path}"
        due = time.monotonic()
        while True:
            self.on.wait()
            due = max(due + interval, time.monotonic() - interval)
            time.sleep(max(0, due - time.monotonic()))
            began = time.monotonic()
            try:
                answer = fcgi.post(
                    self.target.addresses[0], b"", REQUEST_METHOD="GET",
                    REQUEST_URI=f"{path}?{query}", QUERY_STRING=query,
                    SCRIPT_NAME=path, HTTP_CACHE_CONTROL=None)
            except OSError:
                return                  # It has ended.
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.body!r}")
            if query:
                self.took.append((time.monotonic() - began) * 1e3)
