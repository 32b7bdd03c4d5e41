"""The systemd units, as far as they go without a systemd that is running."""

import json
import os
import re
import shutil
import signal
import subprocess

from tests.harness import fcgi
from tests.harness.servers import NO_SPOOL, PROGRAM, Place, Process, Redis, connects, \
    environment, find, free_port
from tests.harness.tap import check, equal, run
from tests.harness.wait import until
from tests.tools import confined

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = os.path.join(HERE, "..", "..", "deploy", "systemd")
CONFINED = os.path.join(HERE, "..", "tools", "confined.py")
KEY = "flagtally:{e:a}:2026-11-23"
NAMES = ("flagtally.service", "flagtally.socket")

# The exposure of the service, times ten, may be this at most.
EXPOSURE = 15


def body(feature="f", yes=1, fill=0):
    metric = {"featureName": feature, "appName": "a", "environment": "e",
              "timestamp": "2026-11-23T09:30:00Z", "yes": yes, "no": 0,
              "variants": {"x" * fill: 1} if fill else {}}
    return json.dumps({"applications": [], "metrics": [metric]}).encode()


def post(address, content, **more):
    return fcgi.post(address, content, HTTP_AUTHORIZATION="*:*.secret",
                     **more).status


def unit(place, name, change=lambda text: text):
    """A unit as it is installed, but that its program is the one to test."""
    source = os.path.join(UNITS, name)
    if not os.path.exists(source):
        source += ".in"
    with open(source, encoding="utf-8") as file:
        text = file.read()
    text = text.replace("ExecStart=@bindir@/flagtally",
                        "ExecStart=" + place.file("flagtally"))
    text = text.replace("@sysconfdir@", "/etc")
    return place.file(name, change(text), 0o644)


def units(place):
    """All units, and a program that everybody may execute."""
    shutil.copy(PROGRAM, place.file("flagtally"))
    if os.geteuid() == 0:
        os.chown(place.path, confined.NOBODY, confined.NOBODY)
    return [unit(place, name) for name in NAMES]


def analyze(*arguments):
    return subprocess.run([find("systemd-analyze"), "--no-pager", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60, check=False)


def verify():
    with Place() as place:
        done = analyze("verify", "--man=no", *units(place))
        equal((done.returncode, done.stdout), (0, ""), "the units are valid")
        bad = unit(place, "flagtally.service",
                   lambda text: text.replace("UMask=", "Umask="))
        done = analyze("verify", "--man=no", bad)
        check("Umask" in done.stdout, "a slip in them would be told",
              done.stdout)


def hardened():
    def rate(path, *more):
        return analyze("security", "--offline=true",
                       f"--threshold={EXPOSURE}", *more, path)

    with Place() as place:
        service, _ = units(place)
        done = rate(service)
        equal(done.returncode, 0, "systemd-analyze rates it well enough")
        exposure = re.search(r"level for flagtally.service: ([\d.]+)",
                             done.stdout)
        check(exposure and float(exposure[1]) * 10 <= EXPOSURE,
              "it says 1.5 or better", done.stdout[-300:])
        open_house = unit(place, "flagtally.service", lambda text:
                          text.replace("SystemCallFilter", "#"))
        check(rate(open_house).returncode != 0,
              "without its filter it would not be")


SECRETS = {"tokens": "*:*.secret\n", "redis-password": "geheim\n"}


def in_unit(place, redis_url):
    """The service's environment, with systemd's directories in the place."""
    have = confined.settings(unit(place, "flagtally.service"))
    more = confined.settings(unit(place, "redis-password.conf"))
    os.makedirs(place.file("state/flagtally"), 0o700, exist_ok=True)
    os.makedirs(place.file("credentials"), 0o700, exist_ok=True)
    loaded = [value.split(":") for value in
              have["LoadCredential"] + more["LoadCredential"]]
    equal(loaded, [[name, "/etc/flagtally/" + name] for name in SECRETS],
          "both secrets are credentials")
    for name, _ in loaded:
        place.file("credentials/" + name, SECRETS[name])
    env = environment(redis=redis_url)
    for line in have["Environment"] + more["Environment"]:
        name, _, value = line.partition("=")
        env[name] = value.replace("%d", place.file("credentials")).replace(
            "%S", place.file("state"))
    if os.geteuid() == 0:
        for folder in ("state", "credentials"):
            for path, _, names in os.walk(place.file(folder)):
                for name in ["", *names]:
                    os.chown(os.path.join(path, name), confined.NOBODY,
                             confined.NOBODY)
    return env


def under_filter():
    """All that the program does passes the service's system call filter."""
    with Place() as place:
        service, _ = units(place)
        redis = Redis(place, unixsocketperm="777", requirepass="geheim")
        env = in_unit(place, f"unix://{redis.path}")
        address = place.file("confined.sock")
        env["FLAGTALLY_LISTEN"] = address
        command = ["/usr/bin/python3", "-B", CONFINED, service,
                   place.file("flagtally")]
        flagtally = Process(place, "confined", command, env)
        flagtally.ready(lambda: connects(address))
        equal(post(address, body()), 202, "a request is counted")
        equal(redis("HGET", KEY, "f:yes"), b"1", "it is in Redis")
        equal(post(address, b"{"), 400, "what is wrong is refused")
        equal(fcgi.post(address, body()).status, 403, "so is a stranger")
        redis.kill()
        equal(post(address, body()), 202, "the spool takes what Redis cannot")
        flagtally.signal(signal.SIGHUP)
        for path in ("health", "ready", "metrics"):
            equal(post(address, b"", REQUEST_METHOD="GET", REMOTE_ADDR="::1",
                       SERVER_ADDR="::1",
                       REQUEST_URI=f"/internal-backstage/{path}",
                       SCRIPT_NAME=f"/internal-backstage/{path}"), 200,
                  f"{path} is told")
        redis.start()
        until(lambda: redis("HGET", KEY, "f:yes") == b"2", "replay")
        check(True, "the spool is replayed")
        flagtally.signal(signal.SIGTERM)
        equal(flagtally.wait(), 0, "it ends as it should")
        for arguments in (["--check-config"], ["--spool"], ["--replay"]):
            done = subprocess.run(command + arguments, env=env, timeout=20,
                                  stdout=subprocess.DEVNULL, check=False)
            equal(done.returncode, 0, f"{arguments[0]} passes the filter")
        # Over TCP, and by a name that has to be looked up.
        port = free_port()
        env["FLAGTALLY_REDIS"] = f"redis://localhost:{port}/0"
        other = Redis(place, "tcp", port=str(port), bind="127.0.0.1 -::1",
                      requirepass="geheim")
        flagtally = Process(place, "confined", command, env)
        flagtally.ready(lambda: connects(address))
        equal(post(address, body()), 202, "a request is counted over TCP")
        equal(other("HGET", KEY, "f:yes"), b"1", "it is in Redis")
        flagtally.signal(signal.SIGTERM)
        equal(flagtally.wait(), 0, "it ends as it should")


def filter_bites():
    with Place() as place:
        service, _ = units(place)
        done = subprocess.run(
            ["/usr/bin/python3", "-B", CONFINED, service, "/usr/bin/python3",
             "-c", "import os; os.chroot('/')"], stderr=subprocess.DEVNULL,
            timeout=20, check=False)
        equal(done.returncode, -signal.SIGSYS, "another call would be seen")


def listeners():
    """The paths and ports of the shipped socket, brought into the place."""
    with Place() as place:
        unit(place, "flagtally.socket")
        have = confined.settings(place.file("flagtally.socket"))
        equal(have["ListenStream"], ["/run/flagtally/flagtally.sock"],
              "the socket is where the web servers' configurations look")
        equal(have["SocketMode"], ["0660"], "it is not for everybody")
        check("Accept" not in have, "one process serves all connections")


def passed():
    """Sockets that systemd passes: several, of different kinds."""
    with Place() as place:
        redis = Redis(place)
        first, second = place.file("a.sock"), place.file("b.sock")
        port = free_port()
        settings = environment(redis=redis.url(), spool=NO_SPOOL, auth="none")
        command = [find("systemd-socket-activate")]
        for address in (first, second, f"127.0.0.1:{port}"):
            command += ["-l", address]
        for name, value in settings.items():
            if name.startswith("FLAGTALLY"):
                command += ["-E", f"{name}={value}"]
        activated = Process(place, "activate",
                            [*command, os.path.abspath(PROGRAM)])
        activated.ready(lambda: os.path.exists(second) and
                        "127.0.0.1" in place.read("activate.log"))
        check(" is ready" not in place.read("activate.log"),
              "nothing runs before the first request")
        for number, address in enumerate(
                (first, second, ("127.0.0.1", port), first), 1):
            equal(post(address, body()), 202, f"socket {number} is served")
            equal(redis("HGET", KEY, "f:yes"), b"%d" % number, "it is counted")
        # It may serve before it says so.
        until(lambda: " is ready" in place.read("activate.log"), "its word")
        equal(place.read("activate.log").count(" is ready"), 1,
              "by one process")
        # An idle connection does not keep it.
        idle = fcgi.Connection(first)
        activated.signal(signal.SIGTERM)
        equal(activated.wait(), 0, "it ends as it should")
        idle.close()


run([verify, hardened, filter_bites, under_filter, listeners, passed])
