"""The systemd units under a systemd that runs: in a container, on a copy of this
system that is gone afterwards.

What happens in the container is told outside again.  Where none can be booted,
tests/deploy/systemd.py has to do.
"""

import json
import os
import pwd
import re
import subprocess
import sys
import threading

from tests.harness import fcgi
from tests.harness.servers import PROGRAM, Place, Redis, environment, find
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
UNITS = ("flagtally.service", "flagtally.socket", "redis-password.conf")
SYSTEM = "/etc/systemd/system"
# What of this system is of no use in the container.
MASKED = ("networking", "systemd-networkd", "systemd-networkd-wait-online",
          "ifupdown-wait-online", "redis-server", "apache2", "nginx", "caddy",
          "haproxy", "lighttpd", "dbus")

# In a mount namespace of its own.  Status 75: no container can be had here.
BOOT = """set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1" || exit 75
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" \
    "$1/root" || exit 75
cd "$1/root"
rm -rf etc/systemd/system/*.wants
echo uninitialized >etc/machine-id
cp -r "$2/." .
code=0
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0 timeout -k 5 90 systemd-nspawn -q \
    -D "$1/root" --boot --private-network --register=no --keep-unit \
    </dev/null >"$3.log" 2>&1 || code=$?
cp result "$3" || exit 75
"""

PROBE = """[Unit]
After=basic.target
[Service]
Type=oneshot
WorkingDirectory=/flagtally-test
Environment=PYTHONPATH=/flagtally-test FLAGTALLY=/usr/local/bin/flagtally
ExecStart=%s -B -m tests.deploy.booted inside
StandardOutput=append:/result
StandardError=append:/result
ExecStopPost=/bin/sh -c 'sync; systemctl --force --force poweroff'
"""

TARGET = """[Unit]
Requires=basic.target
After=basic.target
Wants=probe.service
AllowIsolate=yes
"""


# Outside

def put(root, path, text, mode=0o644):
    path = root + path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def installed(name):
    """A unit as make install has it, with /usr/local and /etc."""
    path = os.path.join(TOP, "deploy/systemd", name)
    with open(path if os.path.exists(path) else path + ".in",
              encoding="utf-8") as file:
        text = file.read()
    for variable, value in (("bindir", "/usr/local/bin"),
                            ("sysconfdir", "/etc")):
        text = text.replace(f"@{variable}@", value)
    return text


def furnish(root):
    """What the container has besides what is here."""
    for name in UNITS:
        folder = "/flagtally.service.d" if name.endswith(".conf") else ""
        put(root, f"{SYSTEM}{folder}/{name}", installed(name))
    put(root, SYSTEM + "/probe.service", PROBE % sys.executable)
    put(root, SYSTEM + "/default.target", TARGET)
    for name in MASKED:
        os.symlink("/dev/null", f"{root}{SYSTEM}/{name}.service")
    for source, target in ((PROGRAM, "usr/local/bin/flagtally"),
                           (os.path.join(TOP, "tests"),
                            "flagtally-test/tests")):
        target = os.path.join(root, target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        subprocess.run(["cp", "-rL", source, target], check=True, timeout=60)


def outside():
    if os.geteuid() != 0:
        note("no container, as this is not root")
        check(True, "as far as it goes without a systemd that runs")
        return
    with Place() as place:
        root, result = place.file("furniture"), place.file("result")
        furnish(root)
        os.makedirs(place.file("machine"))
        done = subprocess.run(
            [find("unshare"), "--mount", "/bin/sh", "-c", BOOT, "sh",
             place.file("machine"), root, result], check=False, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        text = place.read("result")
        if done.returncode == 75:
            note(f"no container can be booted here: {done.stdout}"
                 f"{place.read('result.log')[-2000:]}")
            check(True, "as far as it goes without a systemd that runs")
            return
        for line in text.splitlines():
            told = re.fullmatch(r"(ok|not ok) \d+ - (.*)", line)
            if told:
                check(told[1] == "ok", told[2])
            elif not line.startswith("1.."):
                note(line)
        check(re.search(r"^1\.\.", text, re.M), "all was done in there",
              done.stdout, place.read("result.log")[-2000:])


# Inside

SOCKET = "/run/flagtally/flagtally.sock"
KEY = "flagtally:{e:a}:2026-11-23"
SPOOL = "/var/lib/flagtally/spool.db"
# Beside the program, so that it is found with any sysconfdir.
INI = "/usr/local/bin/flagtally.ini"
PASSWORD = "/etc/flagtally/redis-password"


def systemctl(*words):
    return subprocess.run(["systemctl", *words], check=False, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)


def shown(name):
    return systemctl("show", "-P", name, "flagtally.service").stdout.strip()


def post(token, feature="f"):
    content = json.dumps({"applications": [], "metrics": [{
        "featureName": feature, "appName": "a", "environment": "e",
        "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
        "variants": {}}]}).encode()
    return fcgi.post(SOCKET, content, HTTP_AUTHORIZATION=token).status


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip().split(":\t", 1) for line in file
                    if ":\t" in line)


class Poster:
    """Posts without pause, and keeps what it was told."""

    def __init__(self):
        self.statuses, self.stopping = [], threading.Event()
        self.thread = threading.Thread(target=self.post, daemon=True)
        self.thread.start()

    def post(self):
        while not self.stopping.is_set():
            try:
                self.statuses.append(post("*:*.kept", "load"))
            except OSError as error:
                self.statuses.append(repr(error))

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self.statuses


def tokens(*names):
    put("", "/etc/flagtally/tokens", "".join(
        f"*:*.{name}\n" for name in names), 0o600)


def starts(redis):
    equal(systemctl("start", "flagtally.socket").returncode, 0,
          "the socket is there")
    equal(shown("ActiveState"), "inactive", "and nothing runs yet")
    equal(post("*:*.one"), 202, "the first request starts the service")
    equal(redis("HGET", KEY, "f:yes"), b"1",
          "it is in Redis, with the password that only root may read")
    equal(post("*:*.two"), 403, "another token is unknown")
    status = status_of(shown("MainPID"))
    user = int(status["Uid"].split()[0])
    check(user >= 61184 and status["CapEff"] == "0" * 16,
          "it is a user that systemd has made up, without rights", status)
    equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"),
          "and without a way to gain any")
    folder = "/run/credentials/flagtally.service"
    for name in ("tokens", "redis-password"):
        readers = [number for number in (user, 65534) if subprocess.run(
            ["setpriv", f"--reuid={number}", f"--regid={number}",
             "--clear-groups", "cat", f"{folder}/{name}"],
            check=False, capture_output=True, timeout=20).returncode == 0]
        equal(readers, [user], f"its copy of {name} is its own")


def reloads(redis):
    poster = Poster()
    until(lambda: len(poster.statuses) > 20, "load")
    old = shown("MainPID")
    tokens("two", "kept")
    done = systemctl("reload", "flagtally")
    equal(done.returncode, 0, "reload succeeds")
    equal((post("*:*.one"), post("*:*.two")), (403, 202),
          "and from then on it is the new tokens that count")
    redis("CONFIG", "SET", "requirepass", "second")
    put("", PASSWORD, "second\n", 0o600)
    equal(systemctl("reload", "flagtally").returncode, 0, "reload again")
    equal(post("*:*.two", "g"), 202, "a request after it")
    equal(redis("HGET", KEY, "g:yes"), b"1", "Redis has it, with the new "
          "password")
    now = shown("MainPID")
    check(now != old and shown("ActiveState") == "active", "it runs", now)
    put("", INI, "thread = 1\n")
    check(systemctl("reload", "flagtally").returncode != 0,
          "a bad setting makes reload fail")
    put("", INI, "threads = 4\n")
    os.rename("/etc/flagtally/tokens", "/etc/flagtally/away")
    check(systemctl("reload", "flagtally").returncode != 0,
          "so does a token file that is not there")
    os.rename("/etc/flagtally/away", "/etc/flagtally/tokens")
    equal((shown("MainPID"), post("*:*.two")), (now, 202),
          "and what ran before runs on")
    statuses = poster.stop()
    equal(set(statuses), {202}, "meanwhile nobody was refused")
    equal(redis("HGET", KEY, "load:yes"), b"%d" % len(statuses),
          "and each counts once")


def replays(redis):
    redis.kill()
    equal(post("*:*.two", "h"), 202, "the spool takes what Redis cannot")
    equal(systemctl("stop", "flagtally.socket", "flagtally.service")
          .returncode, 0, "it stops")
    equal(shown("Result"), "success", "as it should")
    env = environment(spool=SPOOL, redis_password_file=PASSWORD)
    redis.password = "second"
    redis.command[redis.command.index("--requirepass") + 1] = "second"
    redis.start()

    def call(option):
        done = subprocess.run(["/usr/local/bin/flagtally", option], env=env,
                              stdout=subprocess.PIPE, text=True, timeout=60,
                              check=False)
        return done.returncode, done.stdout
    status, listed = call("--spool")
    check(status == 0 and "flagtally:{e:a}" in listed,
          "root can list its spool", status, listed)
    equal(call("--replay"), (0, ""), "and replay it")
    equal(redis("HGET", KEY, "h:yes"), b"1", "Redis has it then")
    equal(systemctl("start", "flagtally.socket").returncode, 0,
          "it starts again")
    equal(post("*:*.two", "i"), 202, "and serves")
    equal(redis("HGET", KEY, "i:yes"), b"1", "and counts")
    redis.kill()
    equal(post("*:*.two", "h"), 202, "its spool is still its own")
    redis.start()
    until(lambda: redis("HGET", KEY, "h:yes") == b"2", "its replay")
    check(True, "which it replays itself")


def inside():
    put("", INI, "threads = 4\n")
    put("", PASSWORD, "first\n", 0o600)
    tokens("one", "kept")
    check(pwd.getpwnam("www-data"), "there is a web server's group")
    with Place() as place:
        redis = Redis(place, port="6379", bind="127.0.0.1",
                      requirepass="first")
        starts(redis)
        reloads(redis)
        replays(redis)
        systemctl("stop", "flagtally.socket", "flagtally.service")


if sys.argv[1:] == ["inside"]:
    del sys.argv[1:]
    run([inside])
run([outside])
