"""Starting it without systemd: the plain shell script, spawn-fcgi, OpenRC."""

import os
import re
import shutil
import signal
import subprocess

from tests.harness import fcgi
from tests.harness.servers import PROGRAM, Place, Redis, connects, \
    environment, find
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BODY = (b'{"applications":[],"metrics":[{"featureName":"f","appName":"a",'
        b'"environment":"e","timestamp":"2026-11-23T09:30:00Z","yes":1,'
        b'"no":0,"variants":{}}]}')
KEY = "flagtally:{e:a}:2026-11-23"
TOKEN = "*:*.secret"


def shipped(place, name, directory):
    """A script as it is installed, with the program in that directory."""
    with open(os.path.join(TOP, "deploy", name + ".in"),
              encoding="utf-8") as file:
        text = file.read()
    for variable in ("bindir", "sysconfdir", "localstatedir"):
        text = text.replace(f"@{variable}@", directory)
    # The program may have the same name.
    return place.file("shipped-" + os.path.basename(name), text, 0o755)


def alive(pid):
    """Whether a process runs; one that has ended may wait for its parent."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii",
                  errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Host:
    """A place where the script and the program lie side by side."""

    def __init__(self, place, script):
        self.place = place
        self.redis = Redis(place)
        shutil.copy(PROGRAM, place.file("flagtally"))
        place.file("tokens", TOKEN + "\n")
        place.file("flagtally.ini", f"redis = {self.redis.url()}\n"
                   f"tokens = {place.file('tokens')}\n"
                   f"spool = {place.file('spool.db')}\n")
        self.script = shipped(place, script, place.path)
        self.socket = place.file("flagtally.sock")
        # As an unprivileged user would run it.
        self.env = {**environment(), "RUN": place.path, "USER_NAME": "",
                    "PATIENCE": "10"}

    def __call__(self, *words):
        """Call the script; return its status and all it says."""
        done = subprocess.run([self.script, *words], env=self.env,
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, timeout=60,
                              stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout

    def pid(self):
        return int(self.place.read("flagtally.pid") or 0)

    def post(self):
        return fcgi.post(self.socket, BODY, HTTP_AUTHORIZATION=TOKEN).status

    def clean(self):
        if self.pid() and alive(self.pid()):
            os.kill(self.pid(), signal.SIGKILL)


def script():
    with Place() as place:
        host = Host(place, "sh/flagtally.sh")
        try:
            lifetime(host)
            stale(host)
            killed(host)
            trouble(host)
            together(host)
        finally:
            host.clean()


def lifetime(host):
    equal(host("status")[0], 3, "it does not run yet")
    equal(host("reload")[0], 1, "so it cannot read its tokens again")
    status, text = host("start")
    first = host.pid()
    equal((status, str(first) in text), (0, True), "start says its number")
    equal(host.post(), 202, "it serves when start returns")
    equal(host.redis("HGET", KEY, "f:yes"), b"1", "and counts")
    equal(host("status")[0], 0, "status says that it runs")
    status, text = host("start")
    equal((status, host.pid()), (0, first), "start again does nothing")
    host.place.file("tokens", "*:*.other\n")
    equal(host("reload")[0], 0, "reload succeeds")
    until(lambda: host.post() == 403, "the new tokens")
    host.place.file("tokens", TOKEN + "\n")
    status, text = host("restart")
    second = host.pid()
    check(status == 0 and second != first and not alive(first),
          "restart makes another process", text)
    equal(host.post(), 202, "which serves")
    status, text = host("stop")
    equal((status, alive(second), os.path.exists(host.socket)),
          (0, False, False), "stop ends it, and its socket is gone")
    equal(host("stop")[0], 0, "stop again is no error")
    equal(host("status")[0], 3, "status says that it does not run")
    equal(host("dance")[0], 64, "what is no command is wrong usage")
    equal(host("start", "stop")[0], 64, "so are two commands")


def stale(host):
    """A number of a process that is another's by now, or of nobody."""
    other = subprocess.Popen([find("sleep"), "1000"])
    try:
        for text in (f"{other.pid}\n", "4194305\n", "junk\n", "", "-1\n"):
            host.place.file("flagtally.pid", text)
            equal(host("status")[0], 3, f"{text!r} is not flagtally")
            equal(host("stop")[0], 0, "nothing is to be stopped")
            equal(other.poll(), None, "nobody else is ended")
            host.place.file("flagtally.pid", text)
            equal(host("start")[0], 0, "it starts nevertheless")
            equal(host.post(), 202, "and serves")
            equal(host("stop")[0], 0, "and ends")
    finally:
        other.kill()
        other.wait()


def killed(host):
    """Killed, it leaves its socket and its number behind."""
    host("start")
    first = host.pid()
    os.kill(first, signal.SIGKILL)
    until(lambda: not alive(first), "its end")
    check(os.path.exists(host.socket), "the socket is still there")
    equal(host("status")[0], 3, "status sees that it has died")
    equal(host("start")[0], 0, "it starts again")
    equal(host.post(), 202, "and serves")
    # One that does not end by itself is killed in the end.
    os.kill(host.pid(), signal.SIGSTOP)
    host.env["PATIENCE"] = "1"
    status, text = host("stop")
    check(status == 0 and host("status")[0] == 3,
          "one that hangs is ended, too", text)
    host.env["PATIENCE"] = "10"


def trouble(host):
    good = host.place.read("flagtally.ini")
    host.place.file("flagtally.ini", good + "thread = 3\n")
    status, text = host("start")
    check(status == 1 and "flagtally.ini:4" in text and "thread" in text,
          "start says what is wrong with the configuration", text)
    equal(host("status")[0], 3, "and it does not run")
    host.place.file("flagtally.ini", good)
    # A lock of a script that was killed does not stand in the way.
    host.place.file("flagtally.lock", "4194305\n")
    equal(host("start")[0], 0, "the lock of a dead script is no obstacle")
    host("stop")


def together(host):
    """cron and a person start it at the same time."""
    starts = [subprocess.Popen([host.script, "start"], env=host.env,
                               stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
              for _ in range(4)]
    equal([start.wait(60) for start in starts], [0] * 4, "all succeed")
    equal(host.post(), 202, "one serves")
    mine = [pid for pid in os.listdir("/proc") if pid.isdigit() and
            runs(pid) == host.place.file("flagtally")]
    equal(mine, [str(host.pid())], "and only one runs")
    equal(host("stop")[0], 0, "it ends")


def runs(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def spawned():
    """spawn-fcgi opens the socket and passes it on as standard input."""
    with Place() as place:
        host = Host(place, "sh/spawn-fcgi.sh")
        try:
            status, text = host()
            equal(status, 0, "spawn-fcgi starts it")
            until(lambda: connects(host.socket), "the socket")
            equal(host.post(), 202, "a request is counted")
            equal(host.redis("HGET", KEY, "f:yes"), b"1", "it is in Redis")
            equal(os.stat(host.socket).st_mode & 0o777, 0o660,
                  "the socket is for the group, too")
            check(str(host.pid()) in text and
                  runs(host.pid()) == place.file("flagtally"),
                  "the number is the program's own", text)
            check(" is ready" in place.read("flagtally.log"),
                  "what it says is in the log")
            os.kill(host.pid(), signal.SIGTERM)
            until(lambda: not alive(host.pid()), "its end")
            check(True, "it ends on SIGTERM")
        finally:
            host.clean()


# What OpenRC's shell has for service scripts, as far as this one uses it.
OPENRC = """
ebegin() { :; }
eend() { return "$1"; }
checkpath() { echo "checkpath $*"; }
need() { echo "need $*"; }
use() { echo "use $*"; }
before() { echo "before $*"; }
RC_SVCNAME=flagtally
"""


def openrc():
    """The OpenRC script's own part, in a shell that stands for OpenRC's."""
    def call(text):
        done = subprocess.run(
            ["sh", "-uc", f"{OPENRC}\n. {script}\n{text}"], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20,
            env={**environment(), "PATH": f"{place.path}:/usr/bin:/bin"},
            check=False)
        return done.returncode, done.stdout

    with Place() as place:
        shutil.copy(PROGRAM, place.file("flagtally"))
        place.file("supervise-daemon", "#!/bin/sh\necho \"$0 $*\"\n", 0o755)
        place.file("flagtally.ini", "threads = 3\n")
        script = shipped(place, "openrc/flagtally", place.path)
        confd = shipped(place, "openrc/flagtally.confd", place.path)
        status, text = call("depend; start_pre; reload")
        equal(status, 0, "the script is valid")
        for wanted in ("need localmount", "redis", "nginx",
                       "-o flagtally:nginx /run/flagtally "
                       f"{place.path}/lib/flagtally",
                       "--signal HUP --pidfile /run/flagtally.pid"):
            check(wanted in text, f"it does {wanted}", text)
        status, text = call("checkconfig")
        check(status == 0 and "threads = 3" in text,
              "checkconfig prints the configuration", text)
        _, text = call('echo "$command $command_args $FLAGTALLY_LISTEN"')
        check(text.startswith(f"{place.file('flagtally')} --config "
                              f"{place.file('flagtally.ini')} /run/"),
              "the program, its configuration and its socket", text)
        place.file("flagtally.ini", "thread = 3\n")
        status, text = call("start_pre")
        check(status != 0 and "flagtally.ini:1" in text,
              "a bad configuration keeps it from starting", text)
        # Each setting that the file offers is one that the script knows, with
        # the same default.
        with open(script, encoding="utf-8") as file:
            known = re.findall(r'^: "\$\{(\w+):=(.*)\}"$', file.read(), re.M)
        with open(confd, encoding="utf-8") as file:
            offered = re.findall(r"^#(\w+)=(.*)$", file.read(), re.M)
        equal(offered, known, "the settings are those of the script")


run([script, spawned, openrc])
