"""The configurations of web servers, each put as its text says into a copy of
what the distribution's package installs, and a post that gets 202.

The commands in the texts run as they stand, but for the root of their paths.
"""

import json
import os
import re
import shutil
import socket
import subprocess

from tests.harness.front import DEPLOY
from tests.harness.pasted import commands
from tests.harness.servers import (PROGRAM, Flagtally, Place, Process, Redis,
                                   environment, find, free_port)
from tests.harness.tap import check, equal, run
from tests.harness.wait import until
from tests.harness.web import Connection, head

TOKEN = "*:*.secret"
USER = "www-data"
BODY = json.dumps({"applications": [], "metrics": [{
    "featureName": "f", "appName": "a", "environment": "e",
    "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
    "variants": {}}]}).encode()
ROOTS = re.compile(r"(?<![\w./$}\])-])/(etc|var|run|usr/local/bin)(?=[/\"])")


class Stock:
    """A server's package as it comes, below a root of its own."""

    folders = ()

    def __init__(self, place, redis, name, skip=None):
        self.place, self.redis = place, redis
        self.port = free_port()
        os.chmod(place.path, 0o755)
        for folder in ("etc", "usr/local/bin", "run/flagtally", "var/lib",
                       "var/www/html", "deploy", "bin", *self.folders):
            os.makedirs(place.file(folder), exist_ok=True)
            os.chmod(place.file(folder), 0o755)
        for folder in self.folders:
            shutil.chown(place.file(folder), USER)
        shutil.copy(PROGRAM, place.file("usr/local/bin/flagtally"))
        self.copy("/etc/" + self.package, "etc/" + self.package)
        self.copy(os.path.join(DEPLOY, self.source), "deploy/" + self.source)
        shutil.copy(os.path.join(DEPLOY, "tokens"), place.file("deploy"))
        self.settings = {"redis": redis.url(), "tokens":
                         place.file("etc/flagtally/tokens"),
                         "spool": place.file("var/lib/flagtally/spool.db")}
        place.file("etc/flagtally.ini", "".join(
            f"{key} = {value}\n" for key, value in self.settings.items()),
            0o644)
        self.stand_in("systemctl", "exit 0")
        self.prepare(name)
        self.follow(name, skip)

    def rooted(self, text):
        return ROOTS.sub(lambda found: self.place.path + found[0], text)

    def copy(self, source, name):
        """A directory with all paths in its files below our root."""
        target = self.place.file(name)
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        for folder, _, files in os.walk(target):
            for path in (os.path.join(folder, file) for file in files):
                if os.path.islink(path):
                    to = os.readlink(path)
                    os.unlink(path)
                    os.symlink(self.rooted(to), path)
                    continue
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                with open(path, "w", encoding="utf-8") as file:
                    file.write(self.changed(self.rooted(text)))

    def stand_in(self, name, script):
        self.place.file("bin/" + name, f"#!/bin/sh\n{script}\n", 0o755)

    def variables(self):
        return {**environment(), "PATH": self.place.file("bin") +
                ":/usr/sbin:/usr/bin:/sbin:/bin"}

    def commands(self, name, skip):
        """What the text has an operator type, and what belongs to it."""
        text = self.place.read(f"deploy/{self.source}/{name}")
        return [line for line in re.findall(r"^#     (\S.*)$", text,
                                            flags=re.M)
                if not skip or skip not in line]

    def follow(self, name, skip):
        lines = self.commands(name, skip)
        check(lines, f"{name} says what to do")
        for line in lines:
            if " --check" in line:
                self.place.file("etc/flagtally/tokens", TOKEN + "\n")
                shutil.chown(self.place.file("etc/flagtally/tokens"), USER)
            done = subprocess.run(
                ["/bin/bash", "-euc", line], env=self.variables(), text=True,
                cwd=self.place.file("deploy/" + self.source), timeout=60,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if skip is None:
                equal(done.returncode, 0, f"{name}: "
                      f"{line.replace(self.place.path, '')}")
            if done.returncode and skip is None:
                raise RuntimeError(done.stdout)

    def flagtally(self):
        """The program as a service, where the text expects it."""
        path = self.place.file("run/flagtally/flagtally.sock")
        os.makedirs(self.place.file("etc/flagtally"), exist_ok=True)
        Flagtally(self.place, self.redis, listen=path, listen_mode="0666",
                  auth="tokens", spool=self.place.file("spool.db"),
                  tokens=self.place.file("etc/flagtally/tokens",
                                         TOKEN + "\n"))

        def listens():
            with socket.socket(socket.AF_UNIX) as client:
                return client.connect_ex(path) == 0
        until(listens, "flagtally to listen")

    def serve(self, command):
        server = Process(self.place, self.package, command, self.variables())
        try:
            server.ready(lambda: self.post() != 0)
        except RuntimeError as error:
            logs = [self.place.read(f"{folder}/error.log")
                    for folder in self.folders if "log" in folder]
            raise RuntimeError("".join([str(error), *logs])) from error
        return server

    def post(self):
        try:
            with Connection(self.port, timeout=10) as connection:
                connection.push(head("POST", "/api/client/metrics/bulk", [
                    ("Host", "localhost"), ("Connection", "close"),
                    ("Content-Type", "application/json"),
                    ("Authorization", TOKEN),
                    ("Content-Length", len(BODY))]) + BODY)
                return connection.reply("POST").status
        except OSError:
            return 0


class Nginx(Stock):
    package = source = "nginx"
    folders = ("var/log/nginx", "var/lib/nginx")

    def changed(self, text):
        text = re.sub(r"(listen (?:\[::\]:)?)80\b", rf"\g<1>{self.port}", text)
        return text

    def prepare(self, name):
        config = self.place.file("etc/nginx/nginx.conf")
        text = self.place.read("etc/nginx/nginx.conf")
        temporary = "".join(
            f"\t{kind}_temp_path {self.place.path}/var/lib/nginx/{kind};\n"
            for kind in ("fastcgi", "proxy", "scgi", "uwsgi"))
        self.place.file("etc/nginx/nginx.conf", text.replace(
            "http {\n", f"http {{\n\tclient_body_temp_path {self.place.path}"
            f"/var/lib/nginx/body;\n{temporary}"), 0o644)
        self.command = [find("nginx"), "-e",
                        self.place.file("var/log/nginx/error.log"), "-c",
                        config]
        self.stand_in("nginx", f"exec {' '.join(self.command)} \"$@\"")

    def start(self):
        self.flagtally()
        return self.serve([*self.command, "-g", "daemon off;"])


class Apache(Stock):
    package, source = "apache2", "apache"
    folders = ("var/log/apache2", "run/apache2", "var/lock", "var/fcgid")

    def changed(self, text):
        text = re.sub(r"\*:80\b", f"*:{self.port}", text)
        return re.sub(r"^Listen 80$", f"Listen {self.port}", text, flags=re.M)

    def prepare(self, name):
        shutil.copy("/etc/mime.types", self.place.file("etc"))
        # As installed: the defaults of FcgidIPCDir are the machine's.
        self.place.file("etc/apache2/conf-enabled/own.conf", f"""
ServerName localhost
<IfModule mod_fcgid.c>
	FcgidIPCDir {self.place.path}/var/fcgid
	FcgidProcessTableFile {self.place.path}/var/fcgid/shm
</IfModule>
""", 0o644)
        self.command = [find("apache2"), "-d",
                        self.place.file("etc/apache2")]
        self.stand_in("apachectl", f"exec {' '.join(self.command)} -t")
        self.spawns = "fcgid" in name

    def variables(self):
        path = self.place.path
        return {**super().variables(), "APACHE_CONFDIR": path + "/etc/apache2",
                "APACHE_STATE_DIRECTORY": path + "/var/lib/apache2",
                "APACHE_RUN_USER": USER, "APACHE_RUN_GROUP": USER,
                "APACHE_PID_FILE": path + "/run/apache2/apache2.pid",
                "APACHE_RUN_DIR": path + "/run/apache2",
                "APACHE_LOCK_DIR": path + "/var/lock",
                "APACHE_LOG_DIR": path + "/var/log/apache2"}

    def start(self):
        if not self.spawns:
            self.flagtally()
        return self.serve([find("setsid"), *self.command, "-DFOREGROUND"])


class Lighttpd(Stock):
    package = source = "lighttpd"
    folders = ("var/log/lighttpd", "run/lighttpd", "var/cache/lighttpd",
               "var/cache/lighttpd/uploads")
    fastcgi = "spawned.conf"

    def changed(self, text):
        return re.sub(r"^(server.port +)= 80$", rf"\g<1>= {self.port}", text,
                      flags=re.M)

    def prepare(self, name):
        with open(find("lighty-enable-mod"), encoding="utf-8") as file:
            self.place.file("bin/lighty-enable-mod", file.read().replace(
                '"/etc/lighttpd/"', f'"{self.place.path}/etc/lighttpd/"'),
                0o755)
        self.stand_in("setpriv", f'exec {find("setpriv")} "$@"')

    def commands(self, name, skip):
        more = super().commands(self.fastcgi, skip)
        return more + [line.replace("spawned.conf /", f"{self.fastcgi} /")
                       for line in super().commands(name, skip)]

    def start(self):
        if self.fastcgi != "spawned.conf":
            self.flagtally()
        return self.serve([find("lighttpd"), "-D", "-f",
                           self.place.file("etc/lighttpd/lighttpd.conf")])


class LighttpdRemote(Lighttpd):
    fastcgi = "remote.conf"


class Readme(Lighttpd):
    """README.md from top to bottom, the first count included."""

    def follow(self, name, skip):
        """Each block is pasted as it stands; the server runs for the last."""
        redis = self.place.file("redis.sock")
        os.unlink(self.place.file("etc/flagtally.ini"))
        self.stand_in("redis-cli", f'exec {find("redis-cli")} -s {redis} "$@"')
        # It was started by systemctl, and is so now.
        self.stand_in("systemctl", "exit 0")
        self.blocks = [self.changed(self.rooted(block)).replace(
            "redis://127.0.0.1:6379/0", self.redis.url()) for block in
            sum(commands(os.path.join(DEPLOY, "..", name)).values(), [])]
        first = next(i for i, block in enumerate(self.blocks)
                     if "curl" in block)
        done = self.paste(self.blocks[:first])
        equal((done.returncode, done.stderr), (0, ""),
              "README.md: all blocks up to the post")
        check("redis   OK" in done.stdout, "README.md: --check says OK",
              done.stdout)
        # lighty-enable-mod says by its status that it has been done.
        again = self.paste(self.blocks[:first - 1])
        tokens = self.place.read("etc/flagtally/tokens").splitlines()
        equal((again.returncode, len(tokens)), (0, 2),
              "README.md: pasted again, there is one token more")
        self.rest = self.blocks[first:]

    def paste(self, blocks):
        return subprocess.run(
            ["/bin/bash", "-euc", "\n".join(blocks)], text=True,
            env=self.variables(), cwd=os.path.join(DEPLOY, ".."), timeout=60,
            capture_output=True, check=False)

    def counts(self):
        """What the last blocks print, and what the page says they do."""
        token = self.place.read("etc/flagtally/tokens").splitlines()[-1]
        text = [block.replace("http://localhost/",
                              f"http://127.0.0.1:{self.port}/")
                for block in self.rest]
        done = self.paste([f"token='{token}'", *text])
        check("HTTP/1.1 202 Accepted" in done.stdout and "\n{}" in
              done.stdout, "README.md: the post is answered as it says",
              done.stdout, done.stderr)
        with open(os.path.join(DEPLOY, "..", "README.md"),
                  encoding="utf-8") as file:
            shown, = re.findall(r"^```\n(new-checkout.*?)^```", file.read(),
                                flags=re.M | re.S)
        found = done.stdout.rpartition("{}")[2].split()
        equal(sorted(zip(found[::2], found[1::2])),
              sorted(zip(shown.split()[::2], shown.split()[1::2])),
              "README.md: and Redis holds what it shows")

    def routes(self):
        """What SDKs post to leads to flagtally as well."""
        for path in ("client/metrics", "client/register",
                     "frontend/client/metrics", "frontend/client/register"):
            with Connection(self.port) as connection:
                connection.send(head("GET", "/api/" + path, [("Host", "x")]))
                reply = connection.reply("GET")
            equal((reply.status, reply.headers.get("allow")), (405, "POST"),
                  f"README.md: /api/{path}")


def readme():
    with Place() as place:
        port = free_port()
        redis = Redis(place, port=str(port))
        redis.url = lambda: f"redis://127.0.0.1:{port}/0"
        stock = Readme(place, redis, "README.md")
        server = stock.start()
        stock.counts()
        stock.routes()
        check("is ready" in place.read("var/log/lighttpd/flagtally.log"),
              "README.md: flagtally's log is where it says")
        server.end()


def counted(redis):
    return {key: value for key, value in redis.client.everything().items()
            if b"2026-11-23" in key}


def as_the_text_says(kind, name, skip=None):
    with Place() as place:
        port = free_port()
        redis = Redis(place, port=str(port))
        # The socket is not for other users.
        redis.url = lambda: f"redis://127.0.0.1:{port}/0"
        stock = kind(place, redis, name, skip)
        server = stock.start()
        status = stock.post()
        if skip:
            check(status != 202, f"{kind.__name__} {name} without {skip}: "
                  "the default site would take it", status)
            return
        equal(status, 202, f"{kind.__name__} {name}: a post gets 202")
        if status != 202:
            check(False, "the logs", place.read("flagtally.log"),
                  place.read(stock.package + ".log"))
        check(counted(redis), f"{kind.__name__} {name}: and is counted")
        if kind is Lighttpd:
            until(lambda: "is ready" in place.read(
                "var/log/lighttpd/flagtally.log"), "flagtally's log")
        server.end()


def debian():
    return all(os.path.exists(path) for path in (
        "/etc/nginx/sites-enabled/default", "/usr/sbin/lighty-enable-mod",
        "/etc/apache2/sites-enabled/000-default.conf")) and \
        os.geteuid() == 0


def nginx():
    for name in ("alone.conf", "beside-unleash.conf"):
        as_the_text_says(Nginx, name)
    as_the_text_says(Nginx, "alone.conf", "rm -f")


def apache():
    for way in ("proxy-fcgi", "fcgid"):
        for shape in ("alone", "beside-unleash"):
            as_the_text_says(Apache, f"{way}-{shape}.conf")
    as_the_text_says(Apache, "proxy-fcgi-alone.conf", "a2dissite")


def lighttpd():
    for kind in (Lighttpd, LighttpdRemote):
        for name in ("alone.conf", "beside-unleash.conf"):
            as_the_text_says(kind, name)


def skipped():
    check(True, "these need root, and Debian's packages # SKIP")


run([nginx, apache, lighttpd, readme] if debian() else [skipped])
