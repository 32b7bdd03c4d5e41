"""Private servers in fresh directories, on Unix sockets or free ports."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from tests.harness.resp import Client
from tests.harness.tap import check
from tests.harness.wait import until

PROGRAM = os.environ.get("FLAGTALLY", "build/fcgi/flagtally")

# The path of a spool that cannot be used, as if its disk had failed: then all
# counts go to Redis at once, and the answer is 503 if they cannot.
NO_SPOOL = "/proc/nowhere/spool.db"
SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def find(name):
    path = shutil.which(name, path=SBIN)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed")
    return path


def quick_directory():
    """Where files are in memory, so that no slow disk decides about time."""
    try:
        system = os.statvfs("/dev/shm")
    except OSError:
        return "/tmp"
    room = system.f_bavail * system.f_frsize
    fit = room > 512 << 20 and not system.f_flag & os.ST_NOEXEC
    return "/dev/shm" if fit and os.access("/dev/shm", os.W_OK) else "/tmp"


class Place:
    """A fresh directory, and what runs in it; all goes with it."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="ft.", dir=quick_directory())
        self.servers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in reversed(self.servers):
            server.end()
        self.complain()
        shutil.rmtree(self.path, ignore_errors=True)

    def complain(self):
        """Report what a sanitizer has found in any of the processes."""
        for name in sorted(os.listdir(self.path)):
            if name.endswith(".log"):
                text = self.read(name)
                place = max(text.find("Sanitizer:"),
                            text.find("runtime error:"))
                if place >= 0:
                    check(False, f"{name}: no sanitizer has complained",
                          text[max(0, place - 200):place + 4000])

    def file(self, name, text=None, mode=0o600):
        path = os.path.join(self.path, name)
        if text is not None:
            new = path + ".new"
            with open(new, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(new, mode)
            os.rename(new, path)
        return path

    def read(self, name):
        try:
            with open(self.file(name), encoding="utf-8",
                      errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""


class Process:
    """A server's process, whose output goes to a file of its place."""

    def __init__(self, place, name, command, env=None, stdin=None):
        self.place, self.name = place, name
        self.log = name + ".log"
        with open(place.file(self.log), "ab") as log:
            self.process = subprocess.Popen(
                command, env=env, stdin=stdin or subprocess.DEVNULL,
                stdout=log, stderr=log, cwd=place.path)
        if self not in place.servers:
            place.servers.append(self)

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        """Send a signal; after SIGSTOP all threads have stopped."""
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.pid,
                      os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def wait(self, limit=20):
        return self.process.wait(timeout=limit)

    def running(self):
        return self.process.poll() is None

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()

    def end(self):
        if self.running():
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()

    def ready(self, condition):
        """Wait for the condition while the process runs."""
        def check():
            if not self.running():
                raise RuntimeError(f"{self.name} ended:\n" +
                                   self.place.read(self.log)[-2000:])
            return condition()
        until(check, self.name)


def connects(path):
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
        return True
    except OSError:
        return False


class Redis(Process):
    """redis-server on a Unix socket; all it took is on disk when it says so."""

    def __init__(self, place, name="redis", **options):
        self.path = place.file(name + ".sock")
        self.password = options.get("requirepass")
        self.command = [find("redis-server")]
        defaults = {
            "port": "0", "unixsocket": self.path, "dir": place.path,
            "appendonly": "yes", "appendfsync": "always", "save": "",
            "appendfilename": name + ".aof", "appenddirname": name + ".d",
            "dbfilename": name + ".rdb",
        }
        for key, value in {**defaults, **options}.items():
            self.command += ["--" + key.replace("_", "-"), value]
        self.client = None
        self.start(place, name)

    def start(self, place=None, name=None):
        super().__init__(place or self.place, name or self.name, self.command)
        self.ready(lambda: connects(self.path) and self.answers())

    def answers(self):
        try:
            self.client = Client(self.path, self.password)
            return self.client("PING") == b"PONG"
        except Exception:
            return False

    def __call__(self, *words):
        return self.client(*words)

    def url(self, database=0):
        credentials = f":{self.password}@" if self.password else ""
        return f"unix://{credentials}{self.path}?db={database}"

    def calls(self, command="evalsha"):
        """How often a command has been executed since the last reset."""
        for line in self("INFO", "commandstats").decode().splitlines():
            if line.startswith(f"cmdstat_{command}:calls="):
                return int(line.split("=")[1].split(",")[0])
        return 0


def environment(**settings):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("FLAGTALLY")}
    env.update({"FLAGTALLY_" + name.upper(): str(value)
                for name, value in settings.items()})
    return env


class Flagtally(Process):
    """The program, listening on a Unix socket of its own.

    Its Redis is a server of the test's, a URL, or None for the default.
    """

    def __init__(self, place, redis, name="flagtally", program=None,
                 **settings):
        self.address = place.file(name + ".sock")
        settings = {"listen": self.address, "auth": "none", "spool": NO_SPOOL,
                    **settings}
        if redis is not None:
            settings["redis"] = (redis if isinstance(redis, str)
                                 else redis.url())
        super().__init__(place, name, [os.path.abspath(program or PROGRAM)],
                         environment(**settings))
        if settings["listen"] == self.address:
            self.ready(lambda: connects(self.address))
        self.ready(lambda: " is ready" in place.read(self.log))

    def resident(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lighttpd(Process):
    """lighttpd, which starts flagtally, or passes requests on to one."""

    def __init__(self, place, name="lighttpd", socket_of=None, extra="",
                 processes=1, **settings):
        settings = {"spool": NO_SPOOL, **settings}
        for _ in range(5):
            self.port = free_port()
            config = self.write(place, name, socket_of, extra, processes,
                                settings)
            super().__init__(place, name, [find("lighttpd"), "-D", "-f",
                                           config],
                             environment())
            try:
                self.ready(self.answers)
                return
            except RuntimeError:
                # Another process was quicker to take the port.
                place.servers.remove(self)
        raise RuntimeError("lighttpd does not start:\n" + place.read(self.log))

    def write(self, place, name, socket_of, extra, processes, settings):
        if socket_of:
            target = f'"socket" => "{socket_of}"'
        else:
            variables = ", ".join(
                f'"FLAGTALLY_{key.upper()}" => "{value}"'
                for key, value in settings.items())
            target = (f'"bin-path" => "{os.path.abspath(PROGRAM)}",\n'
                      f'"socket" => "{place.file(name)}.fcgi",\n'
                      f'"max-procs" => {processes},\n'
                      f'"bin-environment" => ({variables})')
        return place.file(name + ".conf", f"""
server.modules = ( "mod_fastcgi" )
server.bind = "127.0.0.1"
server.port = {self.port}
server.document-root = "{place.path}"
server.errorlog = "{place.file(name)}.error.log"
server.breakagelog = "{place.file(name)}.breakage.log"
fastcgi.server = ( "/api/client/metrics" => ((
{target},
"check-local" => "disable" )) )
{extra}
""")

    def answers(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                    timeout=5)
            connection.request("GET", "/")
            return connection.getresponse().status in (403, 404)
        except OSError:
            return False

    def post(self, body, headers=None, path="/api/client/metrics/bulk",
             method="POST"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=30)
        try:
            connection.request(method, path, body, {
                "Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return response.status, response.read(), dict(
                (name.lower(), value) for name, value in response.getheaders())
        finally:
            connection.close()
