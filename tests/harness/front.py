"""Web servers with the configurations that ship, in front of flagtally.

A class for each way to have one; `fronts` names them all.  A front is started
by making it, in a place, with flagtally's settings, and then has `port`, and
`reload`, `restart` and `end`.  Its configuration is the file under deploy/ as
it stands, but for the values that the file's head lists as those to change.
"""

import os
import signal
import socket
import subprocess

from tests.harness.servers import (NO_SPOOL, PROGRAM, Flagtally, Process,
                                   environment, find, free_port)
from tests.harness.wait import until
from tests.harness.web import Connection, head

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "..", "..", "deploy")
SOCKET = "/run/flagtally/flagtally.sock"
INI = "/etc/flagtally.ini"
UNLEASH = "127.0.0.1:4242"


def substituted(name, text, changes):
    """Replace each value as often as it is said to stand there.

    Comments stay as they are, and count for nothing.
    """
    lines = text.splitlines(keepends=True)
    counts = dict.fromkeys(changes, 0)
    for i, line in enumerate(lines):
        if line.lstrip().startswith("#"):
            continue
        for old, (new, _) in changes.items():
            counts[old] += lines[i].count(old)
            lines[i] = lines[i].replace(old, str(new))
    for old, (_, times) in changes.items():
        if counts[old] != times:
            raise ValueError(f"deploy/{name} has {old!r} {counts[old]} times "
                             f"and not {times}")
    return "".join(lines)


def shipped(place, name, changes, to=None):
    """Put a file of deploy/ into the place, with the changes made."""
    with open(os.path.join(DEPLOY, name), encoding="utf-8") as file:
        text = file.read()
    return place.file(to or os.path.basename(name),
                      substituted(name, text, changes), 0o644)


def mentions(pid, path):
    """Whether a process was started in a directory, or with its name."""
    try:
        if os.readlink(f"/proc/{pid}/cwd") == path:
            return True
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                if path.encode() in file.read():
                    return True
    except OSError:
        pass
    return False


def processes(place):
    """All processes that were started in a place, with their names."""
    found = {}
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or not mentions(pid, place.path):
            continue
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8",
                      errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        if text.rpartition(")")[2].split()[0] != "Z":
            found[int(pid)] = text[text.index("(") + 1:text.rindex(")")]
    return found


def catches(pid, number):
    """Whether a process has a handler for a signal.

    A worker may answer while its master is still starting.
    """
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> number - 1 & 1)
    return False


class Front(Process):
    """What all have in common; a subclass says what is different.

    A subclass has `name`, `shape`, `configure` (write the configuration files
    for self.port), `command` (that runs the server in the foreground), and
    `reload`.  `spawns` says that the server itself starts flagtally.
    """

    spawns = False
    shape = "beside-unleash"
    # Answers after which the server closes the client's connection.
    closes_after = ()
    # flagtally's own state is found below this.
    backstage = "/flagtally"
    # Whether a reload waits for the requests that are still arriving.
    reload_waits = False
    # How large a body in chunks may be that is to reach flagtally.
    chunks_max = None

    def __init__(self, place, redis, standin=None, **settings):
        self.place, self.name, self.log = place, self.title, "front.log"
        self.standin, self.redis = standin, redis
        settings = {"auth": "none", "spool": NO_SPOOL, **settings}
        self.ini = place.file("flagtally.ini", "".join(
            f"{key} = {value}\n" for key, value in
            {"redis": redis.url(), **settings}.items()))
        self.flagtally = None
        if not self.spawns:
            self.start_flagtally = lambda: Flagtally(place, redis, **settings)
            self.flagtally = self.start_flagtally()
        self.socket = (self.flagtally.address if self.flagtally
                       else place.file("spawned.sock"))
        self.start_somewhere()

    def start_somewhere(self):
        for _ in range(5):
            self.port = free_port()
            self.configure()
            try:
                self.start()
                return
            except RuntimeError:
                # Another process may have been quicker to take the port.
                failure = self.place.read(self.log)
                self.end()
        raise RuntimeError(f"{self.title} does not start:\n" + failure)

    def start(self):
        super().__init__(self.place, "front", self.command(),
                         env=self.environment())
        self.ready(self.answers)

    def environment(self):
        """It names the place, as processes() wants it."""
        return {**environment(), "PLACE": self.place.path}

    def unleash(self):
        return f"127.0.0.1:{self.standin.port}"

    def answers(self):
        """Whether it answers, and flagtally behind it."""
        try:
            with Connection(self.port, timeout=5) as connection:
                connection.send(head("GET", "/api/client/metrics/bulk", [
                    ("Host", "x"), ("Connection", "close")]))
                return connection.reply("GET").status == 405
        except OSError:
            return False

    def reload(self):
        """Have the server read its configuration again; return at once."""
        raise NotImplementedError

    stop_signal = signal.SIGTERM

    def stop(self):
        """Stop the server, as its service would, and wait for the end."""
        until(lambda: catches(self.pid, self.stop_signal), "its handler")
        self.signal(self.stop_signal)
        self.wait()

    def restart(self):
        self.stop()
        self.start()

    def connect(self, timeout=30):
        return Connection(self.port, timeout=timeout)

    def generation(self):
        """The processes that a reload or a restart replaces."""
        stay = {self.pid, self.flagtally.pid if self.flagtally else 0}
        return {pid for pid, name in processes(self.place).items()
                if name != "redis-server"} - stay


class Lighttpd(Front):
    title = "lighttpd, remote socket"
    reload_waits = True
    fastcgi = "remote.conf"

    def configure(self):
        changes = {"spawned.conf": (self.fastcgi, 1),
                   "/var/log/lighttpd/flagtally.log":
                   (self.place.file("breakage.log"), 1)}
        if self.shape == "beside-unleash":
            changes['"port" => 4242'] = (f'"port" => {self.standin.port}', 1)
        shipped(self.place, f"lighttpd/{self.shape}.conf", changes)
        if self.spawns:
            shipped(self.place, "lighttpd/spawned.conf", {
                "/run/lighttpd/flagtally.sock": (self.socket, 2),
                "/usr/local/bin/flagtally": (os.path.abspath(PROGRAM), 1),
                INI: (self.ini, 1)})
        else:
            shipped(self.place, "lighttpd/remote.conf",
                    {SOCKET: (self.socket, 2)})
        # What stands in Debian's lighttpd.conf.
        self.config = self.place.file("lighttpd.conf", f"""
server.modules = ( "mod_indexfile", "mod_access", "mod_alias", "mod_redirect" )
server.document-root = "{self.place.path}"
server.upload-dirs = ( "{self.place.path}" )
server.errorlog = "{self.place.file('lighttpd.log')}"
server.bind = "127.0.0.1"
server.port = {self.port}
server.feature-flags += ("server.h2proto" => "enable")
server.feature-flags += ("server.h2c" => "enable")
server.feature-flags += ("server.graceful-shutdown-timeout" => 5)
server.http-parseopts = (
  "header-strict" => "enable", "host-strict" => "enable",
  "host-normalize" => "enable", "url-normalize-unreserved" => "enable",
  "url-normalize-required" => "enable", "url-ctrls-reject" => "enable",
  "url-path-2f-decode" => "enable", "url-path-dotseg-remove" => "enable" )
index-file.names = ( "index.php", "index.html" )
url.access-deny = ( "~", ".inc" )
static-file.exclude-extensions = ( ".php", ".pl", ".fcgi" )
include "{self.shape}.conf"
server.modules += ( "mod_dirlisting", "mod_staticfile" )
""")

    def command(self):
        return [find("lighttpd"), "-D", "-f", self.config]

    def reload(self):
        self.signal(signal.SIGUSR1)


class LighttpdSpawns(Lighttpd):
    title = "lighttpd, spawns it"
    fastcgi = "spawned.conf"
    spawns = True


class LighttpdAlone(Lighttpd):
    title = "lighttpd, remote socket, alone"
    shape = "alone"
    backstage = ""


class LighttpdSpawnsAlone(LighttpdSpawns):
    title = "lighttpd, spawns it, alone"
    shape = "alone"
    backstage = ""


class Nginx(Front):
    title = "nginx"
    stop_signal = signal.SIGQUIT

    def changes(self):
        changes = {
            "listen 80;": (f"listen 127.0.0.1:{self.port};", 1),
            SOCKET: (self.socket, 1 if self.shape == "alone" else 2)}
        if self.shape != "alone":
            changes[UNLEASH] = (self.unleash(), 1)
        return changes

    def configure(self):
        shipped(self.place, f"nginx/{self.shape}.conf", self.changes())
        with open("/etc/nginx/fastcgi_params", encoding="utf-8") as file:
            self.place.file("fastcgi_params", file.read())
        path = self.place.path
        self.config = self.place.file("nginx.conf", f"""
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 2;
daemon off;
pid {path}/nginx.pid;
error_log {path}/nginx.error.log;
events {{
	worker_connections 768;
}}
http {{
	access_log {path}/nginx.access.log;
	client_body_temp_path {path}/body;
	proxy_temp_path {path}/proxy;
	fastcgi_temp_path {path}/fastcgi;
	uwsgi_temp_path {path}/uwsgi;
	scgi_temp_path {path}/scgi;
	default_type application/octet-stream;
	include {self.shape}.conf;
}}
""")

    def command(self):
        return [find("nginx"), "-c", self.config, "-p", self.place.path,
                "-e", self.place.file("nginx.error.log")]

    def reload(self):
        subprocess.run([*self.command(), "-s", "reload"], check=True,
                       cwd=self.place.path, timeout=20)


class NginxAlone(Nginx):
    title = "nginx, alone"
    shape = "alone"
    backstage = ""


class Caddy(Front):
    title = "Caddy"

    def configure(self):
        changes = {
            ":80 {": (f":{self.port} {{", 1),
            "/run/caddy/admin.sock": (self.place.file("admin.sock"), 1),
            SOCKET: (self.socket, 1 if self.shape == "alone" else 2)}
        if self.shape != "alone":
            changes[UNLEASH] = (self.unleash(), 1)
        self.config = shipped(self.place, f"caddy/{self.shape}.Caddyfile",
                              changes)

    def command(self):
        return [find("caddy"), "run", "--config", self.config, "--adapter",
                "caddyfile"]

    def environment(self):
        """Caddy keeps certificates and its last configuration at home."""
        return {**super().environment(), "HOME": self.place.path,
                "XDG_CONFIG_HOME": self.place.path,
                "XDG_DATA_HOME": self.place.path}

    def reload(self):
        subprocess.run(
            [find("caddy"), "reload", "--force", "--config", self.config,
             "--adapter", "caddyfile"], check=True, cwd=self.place.path,
            env=self.environment(), timeout=20, capture_output=True)


class CaddyAlone(Caddy):
    title = "Caddy, alone"
    shape = "alone"
    backstage = ""


class Haproxy(Front):
    title = "HAProxy"
    chunks_max = 12288

    def __init__(self, place, redis, standin=None, **settings):
        settings.setdefault("listen", f"127.0.0.1:{free_port()}")
        self.listen = settings["listen"]
        super().__init__(place, redis, standin, **settings)

    def configure(self):
        changes = {"bind :80": (f"bind 127.0.0.1:{self.port}", 1),
                   "127.0.0.1:9021": (self.listen, 1)}
        if self.shape != "alone":
            changes[UNLEASH] = (self.unleash(), 1)
        self.config = shipped(self.place, f"haproxy/{self.shape}.cfg",
                              changes)
        # What stands in Debian's haproxy.cfg, where the root is as empty.
        os.makedirs(self.place.file("empty"), exist_ok=True)
        root = f"chroot {self.place.file('empty')}"
        self.main = self.place.file("haproxy.cfg", f"""
global
	{root if os.geteuid() == 0 else ""}
	maxconn 2000
defaults
	mode http
	option dontlognull
	timeout connect 5000
	timeout client 50000
	timeout server 50000
""")

    def command(self):
        return [find("haproxy"), "-W", "-f", self.main, "-f", self.config]

    def reload(self):
        until(lambda: catches(self.pid, signal.SIGUSR2), "its handler")
        self.signal(signal.SIGUSR2)


class HaproxyAlone(Haproxy):
    title = "HAProxy, alone"
    shape = "alone"
    backstage = ""


fronts = [Lighttpd, LighttpdSpawns, LighttpdAlone, LighttpdSpawnsAlone,
          Nginx, NginxAlone, Caddy, CaddyAlone, Haproxy, HaproxyAlone]
