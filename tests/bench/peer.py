"""Unleash's own server beside flagtally: the same bodies, the same load.

It is no package of Debian's, so it is asked for by name, and installed by npm
into a directory that stays; without npm or PostgreSQL there is nothing to see.
"""

import glob
import http.client
import json
import os
import pwd
import shutil
import subprocess

from tests.bench import bodies
from tests.bench.measure import (Lighttpd, Spread, Target, peak_megabytes,
                                 port_open, table, wrk)
from tests.harness import fcgi
from tests.harness.servers import Flagtally, Process, find, free_port
from tests.harness.wait import until

VERSION = "7.5.1"               # The last that runs with Node.js 20.
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
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
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


def install(directory):
    """Return the server's program, which is installed if it is not there."""
    directory = os.path.join(directory or cache(), "unleash-" + VERSION)
    program = os.path.join(
        directory, "node_modules/unleash-server/dist/server.js")
    if not os.path.exists(program):
        os.makedirs(directory, exist_ok=True)
        print(f"installing unleash-server {VERSION} into {directory}",
              flush=True)
        done = subprocess.run(
            ["npm", "install", "--prefix", directory, "--omit=dev",
             "--ignore-scripts", "--no-audit", "--no-fund", "--silent",
             "unleash-server@" + VERSION], check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0 or not os.path.exists(program):
            raise OSError("npm cannot install unleash-server: " +
                          done.stdout[-500:].strip())
    return program


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

    def __init__(self, place, program, postgres, port):
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
        super().__init__(place, "unleash", ["node", program],
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
    name = "unleash"
    pid = 0

    def __init__(self, server, postgres):
        self.servers, self.redis = [server], postgres
        self.port = server.port


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


def rounds(bench, place, program, made, paths):
    """{(body, target): [load...]} and {target: peak MB}."""
    postgres = Postgres(place)
    server = Unleash(place, program, postgres, free_port())
    for feature in sorted({one["featureName"] for body in made.values()
                           for one in json.loads(body)["metrics"]}):
        server.create(feature)
    peer = Peer(server, postgres)
    targets = [Target(place, bench.build, ack) for ack in ACKS]
    web = Lighttpd(place, targets)
    loads = {}
    for _ in range(bench.rounds):
        for name, path in paths.items():
            for behind, one in ((peer, peer),
                                *((web, target) for target in targets)):
                loads.setdefault((name, one.name), []).append(
                    wrk(behind, one, path, 32, bench.load, token=CLIENT))
    peaks = {target.name: target.peak() for target in targets}
    peaks["unleash"] = peak_megabytes(server.pid)
    server.kill()
    return loads, peaks


def rows_of(loads, peaks, names):
    rows = []
    for name in names:
        base = loads[name, "unleash"]
        for target in ("unleash", *ACKS):
            mine = loads[name, target]
            rows.append([
                name, "Unleash " + VERSION if target == "unleash" else
                "flagtally, ack=" + target,
                Spread(l.rate for l in mine).text("{:.0f}"),
                Spread(l.rate / b.rate for l, b in zip(mine, base)).text(
                    "{:.1f}"),
                *(f"{Spread(getattr(l, p) for l in mine).median / 1e3:.1f}"
                  for p in ("p50", "p99")),
                f"{peaks[target]:.0f}"])
    return rows


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


def run(bench, directory):
    why = missing()
    if why is None:
        try:
            program = install(directory)
        except OSError as error:
            why = str(error)
    if why is not None:
        print(f"\nNo peer to measure: {why}.")
        return
    made = {"1-metric": bodies.one(),
            "edge-95K": acceptable(bodies.usage(95 * 1024))}
    with bench.place() as place:
        loads, peaks = rounds(bench, place, program, made,
                              bodies.store(place.path, made))
    table("Unleash's server with PostgreSQL, and flagtally behind lighttpd "
          "with Redis: 32 connections",
          ["body", "server", "requests/s", "times Unleash's", "p50 ms",
           "p99 ms", "peak MB"], rows_of(loads, peaks, made))
    rows = []
    with bench.place() as place:
        rows.append(["Unleash " + VERSION, *killed_unleash(place, program)])
    with bench.place() as place:
        rows.append(["flagtally, ack=redis",
                     *killed_flagtally(place, bench.build)])
    table("kill -9 after that many requests were accepted",
          ["server", "accepted", "of these there afterwards",
           "there if nobody kills it"], rows)
