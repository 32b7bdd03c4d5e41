"""deploy/shared-hosting, step by step as its page says, in an account that has
CGI and nothing else: no root, small limits, and at first no Redis.

The page's commands run as they stand; ssh, scp, curl and crontab are stand-ins
that lead to the account and its web server.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.apache import (MODULES, USUAL, account, as_account,
                                  hand_over, own_session)
from tests.harness.front import DEPLOY, processes, substituted
from tests.harness.pasted import commands, indented, stand_ins
from tests.harness.servers import (PROGRAM, Place, Process, Redis,
                                   environment, find, free_port)
from tests.harness.tap import check, equal, run
from tests.harness.tls import TLS, Authority, server
from tests.harness.wait import until
from tests.harness.web import Connection, chunked, head

HERE = os.path.join(DEPLOY, "shared-hosting")
PAGE = os.path.join(HERE, "README.md")
EXAMPLE = os.path.join(DEPLOY, "..", "tests", "example-request.json")
BULK = "/api/client/metrics/bulk"
DAY = "flagtally:{e:a}:2026-11-23"
# The page's first example, which a program without TLS takes only without.
HOSTED = f"redis{'s' * TLS}://redis.example.org:6379/0"
# Nobody else's, so that the limit of processes counts the account's alone.
CUSTOMER = (63210, 63210) if account() else None
ADDRESS_SPACE = 64 << 20
DESCRIPTORS = 64
EDGE_WAITS = 5

def threads_of_customer():
    """How many the limit of processes has to allow already."""
    if CUSTOMER:
        return 0
    done = subprocess.run(["ps", "-L", "-o", "lwp=", "-U", str(os.getuid())],
                          capture_output=True, text=True, check=True,
                          timeout=20)
    return len(done.stdout.splitlines())


class Hoster(Process):
    """Apache as hosters have it, with one customer, who has no shell on it.

    All of it runs as the customer, as its programs would by suexec.
    """

    def __init__(self, place, modules=("cgi",), override="FileInfo"):
        self.place = place
        self.home = place.file("home")
        self.modules, self.override = modules, override
        os.makedirs(place.file("home/public_html"), exist_ok=True)
        for name in ("hoster/run", "hoster/fcgid", "source/build/fcgi",
                     "source/tests", "bin"):
            os.makedirs(place.file(name), exist_ok=True)
        shutil.copy(PROGRAM, place.file("source/build/fcgi/flagtally"))
        shutil.copytree(HERE, place.file("source/deploy/shared-hosting"))
        if not TLS:
            name = "source/deploy/shared-hosting/flagtally.ini"
            place.file(name, place.read(name).replace(
                "\nredis = rediss:", "\nredis = redis:"), 0o644)
        shutil.copy(EXAMPLE, place.file("source/tests"))
        stand_ins(place)
        place.file("home/public_html/index.html", "the customer's page",
                   0o644)
        os.chmod(place.path, 0o755)
        for _ in range(5):
            self.port = free_port()
            self.configure()
            hand_over(place.path, CUSTOMER)
            super().__init__(place, "hoster", own_session(as_account(
                ["/bin/sh", "-c", f"ulimit -n {DESCRIPTORS}; exec \"$@\"",
                 "sh", find("apache2"), "-d", place.file("hoster"), "-f",
                 place.file("hoster/apache2.conf"), "-DFOREGROUND"],
                CUSTOMER)), env=environment())
            try:
                self.ready(lambda: self.get("/")[0] == 200)
                return
            except RuntimeError:
                # Another process was quicker to take the port.
                place.servers.remove(self)
        raise RuntimeError(place.read("hoster.log") +
                           place.read("hoster/error.log"))

    def configure(self):
        here, home = self.place.file("hoster"), self.home
        loads = "".join(
            f"Include {MODULES}/{name}.load\n"
            for name in ["mpm_prefork", *USUAL, "rewrite", *self.modules])
        self.place.file("hoster/apache2.conf", f"""
DefaultRuntimeDir {here}/run
PidFile {here}/run/apache2.pid
Mutex file:{here}/run default
ErrorLog {here}/error.log
ServerName localhost
{loads}
TypesConfig /etc/mime.types
StartServers 4
MinSpareServers 2
MaxSpareServers 8
MaxRequestWorkers 8
AccessFileName .htaccess
<Directory />
	Options None
	AllowOverride None
	Require all denied
</Directory>
<FilesMatch "^\\.ht">
	Require all denied
</FilesMatch>
Listen 127.0.0.1:{self.port}
DocumentRoot {home}/public_html
<Directory {home}/public_html>
	Options SymLinksIfOwnerMatch
	AllowOverride {self.override}
	Require all granted
</Directory>
DirectoryIndex index.html
ScriptAlias /cgi-bin/ {home}/public_html/cgi-bin/
RLimitMEM {ADDRESS_SPACE}
RLimitNPROC {threads_of_customer() + 60}
RLimitCPU 10
<IfModule mod_cgid.c>
	ScriptSock {here}/run/cgi.sock
</IfModule>
<IfModule mod_fcgid.c>
	FcgidIPCDir {here}/fcgid
	FcgidProcessTableFile {here}/fcgid/shm
</IfModule>
""", 0o644)

    def variables(self):
        return {"HOME": self.home, "PORT": str(self.port),
                "PATH": self.place.file("bin") + ":/usr/bin:/bin"}

    def shell(self, text, typed=""):
        """Run commands on the customer's computer."""
        return subprocess.run(
            as_account(["/bin/bash", "-euc", "umask 022\n" + text], CUSTOMER),
            cwd=self.place.file("source"), env=self.variables(),
            input=typed, capture_output=True, text=True, check=False,
            timeout=120)

    def cron(self):
        """Run what is in the customer's crontab, as cron does."""
        lines = [line for line in self.place.read(
            "home/.crontab").splitlines() if not line.startswith("#")]
        statuses = []
        for line in lines:
            minutes, *_, command = line.split(None, 5)
            check(minutes == "*/5", "cron runs it every five minutes", line)
            statuses.append(subprocess.run(
                as_account(["/bin/sh", "-c", command], CUSTOMER),
                cwd=self.home, check=False, timeout=60,
                env={"HOME": self.home, "PATH": "/usr/bin:/bin"}).returncode)
        return statuses

    def program(self, *arguments):
        return subprocess.run(
            as_account([self.place.file("home/flagtally/flagtally"),
                        *arguments], CUSTOMER), cwd="/", env={},
            capture_output=True, text=True, check=False, timeout=60)

    def waiting(self):
        lines = self.program("--spool").stdout.splitlines()
        return [line.split("\t") for line in lines[1:]]

    def send(self, method, target, token=None, content=b"", framing="length",
             kind="application/json"):
        headers = [("Host", "example.org"), ("Content-Type", kind),
                   ("Connection", "close")]
        if token:
            headers.append(("Authorization", token))
        headers.append(("Content-Length", len(content))
                       if framing == "length" else
                       ("Transfer-Encoding", "chunked"))
        if framing != "length":
            content = chunked(content)
        with Connection(self.port, timeout=30) as connection:
            connection.push(head(method, target, headers) + content)
            reply = connection.reply(method)
        return reply.status, reply.body

    def get(self, target):
        try:
            return self.send("GET", target)
        except OSError:
            return 0, b""

    def post(self, token, feature="f", **more):
        return self.send("POST", BULK, token, body(feature), **more)[0]


def body(feature, size=0):
    text = json.dumps({"applications": [], "metrics": [{
        "featureName": feature, "appName": "a", "environment": "e",
        "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0,
        "variants": {}}]}).encode()
    return text + b" " * (size - len(text))


def follow(hoster):
    """Do what the page says, but for the first count; return the token."""
    found = commands(PAGE)
    text = "\n".join(found["2"] + found["3"] + found["4"])
    done = hoster.shell(text)
    equal(done.returncode, 0, "steps 2 to 4 succeed")
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    check("tokens = " + hoster.place.file("home/flagtally/tokens") in
          done.stdout, "--check-config finds the tokens", done.stdout)
    token = hoster.place.read("home/flagtally/tokens").strip()
    check(re.fullmatch(r"\*:\*\.[0-9a-f]{48}", token), "a token is set", token)
    return token


def first_count(hoster, token):
    return hoster.shell(f"token={token!r}\n" + "\n".join(commands(PAGE)["5"]))


def with_redis(hoster, place, port, password, authority=None):
    """What the page says of a Redis: where it is, and its password."""
    changes = {HOSTED: (f"redis://127.0.0.1:{port}/0", 1),
               "; redis_password_file": ("redis_password_file", 1)}
    if authority:
        shutil.copy(authority.certificate,
                    place.file("home/flagtally/redis-ca.pem"))
        changes["; redis_tls_ca"] = "redis_tls_ca", 1
        changes[HOSTED] = f"rediss://localhost:{port}/0", 1
    place.file("home/flagtally/flagtally.ini", substituted(
        "flagtally.ini", place.read("home/flagtally/flagtally.ini"), changes))
    hand_over(place.file("home/flagtally"), CUSTOMER)
    typed, = (line for line in indented(PAGE) if "read -rs" in line)
    done = hoster.shell(typed, password + "\n")
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""),
          "the password is brought there, and never shown")
    done = hoster.shell("\n".join(line for line in indented(PAGE)
                                  if line.endswith("--check")))
    check("redis.password" not in done.stdout and "redis" in done.stdout,
          "--check says how Redis is", done.stdout, done.stderr)
    hand_over(place.file("home/flagtally"), CUSTOMER)


def counts(redis):
    return {field.decode(): int(value) for field, value in
            redis.client.everything().get(DAY.encode(), {}).items()}


def owned_by_customer():
    """What the customer has outside of the home."""
    found = []
    for folder in ("/tmp", "/var/tmp", "/var/lib", "/run", "/dev/shm",
                   "/var/spool/cron"):
        for entry in os.scandir(folder) if os.path.isdir(folder) else []:
            if CUSTOMER and entry.stat(
                    follow_symlinks=False).st_uid == CUSTOMER[0]:
                found.append(entry.path)
    return found


def many(hoster, token, names):
    """Post all of them, some at once; return statuses and the longest time."""
    def one(name):
        began = time.monotonic()
        return hoster.post(token, name), time.monotonic() - began

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(one, names))
    return {status for status, _ in done}, max(took for _, took in done)


def the_page():
    """No Redis for the first hour; then there is one, with a password."""
    with Place() as place:
        hoster = Hoster(place)
        before = owned_by_customer()
        token = follow(hoster)
        done = first_count(hoster, token)
        equal((done.returncode, done.stdout[:2]), (0, "{}"),
              "the first count is accepted without any Redis")
        equal({row[1] for row in hoster.waiting()}, {"queued"},
              "and waits in the spool")
        check("queued" in done.stdout, "as the page's last command shows",
              done.stdout, done.stderr)
        port, password = free_port(), "geheim%"
        authority = Authority(place, "authority") if TLS else None
        with_redis(hoster, place, port, password, authority)
        names = [f"f{i}" for i in range(24)]
        statuses, took = many(hoster, token, names)
        equal(statuses, {202}, "24 more are accepted while Redis is away")
        check(took < EDGE_WAITS, "before Edge gives up", took)
        equal([hoster.cron() for _ in range(3)], [[75]] * 3,
              "cron finds no Redis, and says so by its status")
        check(("localhost" if TLS else "127.0.0.1") in
              place.read("home/flagtally/replay.log"),
              "and in its log", place.read("home/flagtally/replay.log"))
        # A password is good for TCP; the test itself comes by the socket.
        if authority:
            redis = server(place, "redis", authority.sign(
                "local", "DNS:localhost"), authority, port,
                requirepass=password)
        else:
            redis = Redis(place, port=str(port), requirepass=password)
        equal(hoster.cron(), [0], "with Redis cron brings it all")
        wanted = {f"{name}:yes": 1 for name in names}
        equal(counts(redis), wanted, "each is counted once")
        equal(redis("HGET", "flagtally:{production:inventory-service}:"
                    "2024-01-15", "new-checkout-flow:yes"), b"300",
              "and the first one")
        equal((hoster.waiting(), hoster.cron(), counts(redis)),
              ([], [0], wanted), "nothing waits, and cron has nothing to do")
        table(hoster, token, redis)
        hidden(hoster, token, password)
        equal([path for path in owned_by_customer() if path not in
               (*before, place.path)], [],
              "nothing has been written outside of the home")
        modes(place)
        redis.signal(signal.SIGSTOP)
        equal(hoster.post(token, "late"), 202, "Redis hangs: 202")
        redis.signal(signal.SIGCONT)
        equal(hoster.cron(), [0], "cron brings that")
        equal(counts(redis)["late:yes"], 1, "once")


def table(hoster, token, redis):
    """Large bodies, chunks, refusals; and the customer's own pages."""
    large = body("large", 1 << 20)
    many_features = json.dumps({"applications": [], "metrics": [
        {**json.loads(body(f"n{i}"))["metrics"][0]} for i in range(5000)]})
    for name, wanted, got in (
            ("in chunks", 202, hoster.post(token, "g", framing="chunked")),
            ("with Bearer", 202, hoster.post("Bearer " + token, "h")),
            ("no token", 403, hoster.post(None)),
            ("another token", 403, hoster.post("*:*.x")),
            ("no JSON", 415, hoster.post(token, kind="text/plain")),
            ("1 MiB", 202, hoster.send("POST", BULK, token, large)[0]),
            ("1 MiB, no token", 403, hoster.send("POST", BULK, None,
                                                 large)[0]),
            ("1 MiB in chunks, no token", 403, hoster.send(
                "POST", BULK, None, large, framing="chunked")[0]),
            ("5 MiB", 413, hoster.send("POST", BULK, token,
                                       body("x", 5 << 20))[0]),
            ("5000 features", 202, hoster.send("POST", BULK, token,
                                               many_features.encode())[0]),
            ("GET", 405, hoster.get(BULK)[0]),
            ("a slash", 202, hoster.send("POST", BULK + "/", token,
                                         body("slash"))[0]),
            ("flagtally's state", 404, hoster.get(
                "/internal-backstage/health")[0])):
        equal(got, wanted, name)
    equal(hoster.get("/"), (200, b"the customer's page"),
          "the customer's page is there")
    equal(hoster.send("POST", BULK + "/more", token, body("x"))[0], 404,
          "another path is the site's")
    got = counts(redis)
    equal(({name: got.get(f"{name}:yes") for name in
            ("g", "h", "large", "slash", "n0", "n4999", "x")}, len(got)),
          ({"g": 1, "h": 1, "large": 1, "slash": 1, "n0": 1, "n4999": 1,
            "x": None}, 24 + 4 + 5000), "they are counted as answered")


def hidden(hoster, token, password):
    """Nothing of flagtally's can be fetched, also not from a wrong place."""
    place = hoster.place
    secrets = [token.encode(), password.encode(), b"redis_password_file",
               b"SQLite format", b"\x7fELF", b"#!/bin/sh"]
    names = os.listdir(place.file("home/flagtally"))
    check({"flagtally", "flagtally.ini", "tokens", "redis.password",
           "spool.db"} <= set(names), "all is where the page says", names)
    targets = [f"/{path}{name}" for name in names for path in
               ("flagtally/", "../flagtally/", "%2e%2e/flagtally/",
                "cgi-bin/../../flagtally/", "~customer/flagtally/")]
    targets += ["/.htaccess", "/cgi-bin/", "/flagtally/", "/cgi-bin/tokens"]
    wrong = exposed(hoster, targets, secrets)
    # As if all had been uploaded to the wrong directory.
    for folder in ("", "cgi-bin/", "flagtally/"):
        to = place.file("home/public_html/" + folder)
        os.makedirs(to, exist_ok=True)
        for name in names:
            shutil.copy(place.file(f"home/flagtally/{name}"), to + name)
            os.chmod(to + name, 0o644)
        hand_over(hoster.home, CUSTOMER)
        there = [f"/{folder}{name}" for name in names]
        targets += there
        wrong += exposed(hoster, there, secrets)
        for name in names:
            os.unlink(to + name)
    equal(wrong, [], f"none of {len(targets)} paths leads to a file")


def exposed(hoster, targets, secrets):
    """The targets of which something comes that nobody may see."""
    wrong = []
    for target in targets:
        status, content = hoster.get(target)
        if status == 200 or any(secret in content for secret in secrets):
            wrong.append(f"{target}: {status}")
    return wrong


def modes(place):
    """Whoever else has an account on the host can read nothing."""
    def mode(name):
        return oct(os.stat(place.file(f"home/{name}")).st_mode & 0o777)

    equal({name: mode(name) for name in (
        "flagtally", "flagtally/flagtally.ini", "flagtally/tokens",
        "flagtally/spool.db")},
        {"flagtally": "0o700", "flagtally/flagtally.ini": "0o600",
         "flagtally/tokens": "0o600", "flagtally/spool.db": "0o600"},
        "modes keep others out")


# What suexec passes on; all else is gone.
PASSED = re.compile(r"(HTTP|SSL)_.*|AUTH_TYPE|CONTENT_(LENGTH|TYPE)|DOCUMENT_"
                    r"ROOT|GATEWAY_INTERFACE|PATH_INFO|QUERY_STRING|REMOTE_.*"
                    r"|REQUEST_(METHOD|URI|SCHEME)|SCRIPT_(NAME|FILENAME)|"
                    r"SERVER_.*|REDIRECT_(STATUS|URL|QUERY_STRING)")


def suexec():
    """What suexec demands of script and directory, and what it passes on."""
    with Place() as place:
        hoster = Hoster(place)
        token = follow(hoster)
        folder = place.file("home/public_html/cgi-bin")
        script = os.path.join(folder, "flagtally.cgi")
        for path in (folder, script):
            status = os.lstat(path)
            check(not status.st_mode & 0o022 and (
                not CUSTOMER or (status.st_uid, status.st_gid) == CUSTOMER),
                f"{os.path.basename(path)} is the customer's alone", status)
        check(not os.path.islink(script) and os.access(script, os.X_OK) and
              not os.stat(script).st_mode & 0o6000,
              "flagtally.cgi is a file that can be run")
        content = body("f")
        variables = {
            **fcgi.params(content, SCRIPT_NAME="/cgi-bin/flagtally.cgi"),
            "HTTP_AUTHORIZATION": token, "FLAGTALLY_AUTH": "none",
            "REDIRECT_HTTP_AUTHORIZATION": token, "HOME": "/"}
        for name, given in (("in its directory", "flagtally.cgi"),
                            ("by its path", script)):
            for key in (token, None):
                kept = {name: value for name, value in variables.items()
                        if PASSED.fullmatch(name)}
                kept["PATH"] = "/usr/local/bin:/usr/bin:/bin"
                if key is None:
                    del kept["HTTP_AUTHORIZATION"]
                done = subprocess.run(
                    as_account(["/bin/sh", given], CUSTOMER), cwd=folder,
                    env=kept, input=content, capture_output=True,
                    check=False, timeout=30)
                equal(fcgi.Answer(done.stdout).status, 202 if key else 403,
                      f"called {name}, {'with' if key else 'without'} token")
        equal({row[1] for row in hoster.waiting()}, {"queued"},
              "what was accepted waits")
        os.rename(place.file("home/flagtally"), place.file("home/elsewhere"))
        status, content = hoster.send("POST", BULK, token, body("f"))
        equal((status, content), (503, b"flagtally is not installed here.\n"),
              "without the program the sender keeps its counts")


def with_fcgid():
    """The other way: mod_fcgid keeps a process."""
    with Place() as place:
        hoster = Hoster(place, ("fcgid",), "FileInfo Options")
        token = follow(hoster)
        text = place.read("home/public_html/.htaccess")
        rules = re.findall(r'^(RewriteRule "\^api/.*) "/cgi-bin/', text, re.M)
        equal(len(rules), 1, "one rule calls flagtally.cgi")
        text = text.replace("\n" + rules[0], "\n# " + rules[0])
        for line in ("Options +ExecCGI", "AddHandler fcgid-script .fcgi",
                     rules[0] + ' "/flagtally.fcgi" [END]'):
            equal(text.count("#   " + line + "\n"), 1, "foreseen: " + line)
            text = text.replace("#   " + line + "\n", line + "\n")
        place.file("home/public_html/.htaccess", text, 0o644)
        shutil.copy(os.path.join(HERE, "flagtally.fcgi"),
                    place.file("home/public_html"))
        os.chmod(place.file("home/public_html/flagtally.fcgi"), 0o755)
        port = free_port()
        with_redis(hoster, place, port, "geheim")
        hand_over(hoster.home, CUSTOMER)
        statuses, took = many(hoster, token, [f"f{i}" for i in range(12)])
        equal(statuses, {202}, "mod_fcgid: accepted while Redis is away")
        check(took < EDGE_WAITS, "mod_fcgid: before Edge gives up", took)
        redis = Redis(place, port=str(port), requirepass="geheim")
        until(lambda: sum(counts(redis).values()) >= 12, "replay by itself")
        statuses, _ = many(hoster, token, [f"f{i}" for i in range(12)])
        until(lambda: sum(counts(redis).values()) >= 24, "replay")
        equal((statuses, counts(redis)),
              ({202}, {f"f{i}:yes": 2 for i in range(12)}),
              "mod_fcgid: each is counted once")
        equal(hoster.get("/flagtally.fcgi")[0] in (403, 404), True,
              "mod_fcgid: the script itself is no way to flagtally's files")
        check("flagtally" in processes(place).values(),
              "mod_fcgid: the process stays", processes(place))
        hoster.end()
        until(lambda: "flagtally" not in processes(place).values(),
              "the end of the processes")
        check(True, "mod_fcgid: it ends with Apache")


# Queries that were commands, and a way to a configuration of a stranger's own.
QUERIES = ("--spool-drop+all", "--spool-retry+all", "--spool", "--version",
           "--check-config", "--replay", "--config+HOME/evil.ini",
           "--config+/dev/stdin", "--spool-drop+all+--config+HOME/evil.ini",
           "stray", "-x", "--")
EVIL = """auth = none
redis = redis://:x@127.0.0.1:PORT/0
redis_password_file = HOME/flagtally/tokens
"""


def set_aside(hoster, token):
    """Have something in the spool that --spool-drop would remove."""
    place = hoster.place
    port = free_port()
    with_redis(hoster, place, port, "geheim")
    redis = Redis(place, port=str(port), requirepass="geheim")
    redis("SET", DAY, "of another type")
    hoster.post(token, "aside")
    until(lambda: hoster.cron() and [row[1] for row in hoster.waiting()] ==
          ["quarantined"], "a call in quarantine")
    return redis


def arguments(module, direct):
    """A query string is no command line, of whatever it consists."""
    with Place() as place:
        hoster = Hoster(place, (module,))
        token = follow(hoster)
        target = "/cgi-bin/flagtally.cgi"
        if direct:
            # Under a name that .htaccess does not hide; the configuration is
            # found beside it.
            target = "/cgi-bin/count"
            shutil.copy(place.file("home/flagtally/flagtally"),
                        place.file("home/public_html/cgi-bin/count"))
        name = f"{module}, {'the program' if direct else 'the script'}"
        redis = set_aside(hoster, token)
        if direct:
            place.file("home/public_html/cgi-bin/flagtally.ini", re.sub(
                r"^(tokens|spool|redis_password_file) = ",
                rf"\1 = {hoster.home}/flagtally/",
                place.read("home/flagtally/flagtally.ini"), flags=re.M))
        evil = EVIL.replace("HOME", hoster.home).replace(
            "PORT", str(free_port()))
        place.file("home/evil.ini", evil)
        hand_over(hoster.home, CUSTOMER)
        before = hoster.waiting(), sorted(redis("KEYS", "*"))
        got = {}
        for query in QUERIES:
            for content in (body("evil"), evil.encode()):
                got[query] = hoster.send(
                    "POST", f"{target}{BULK}?" + query.replace(
                        "HOME", hoster.home), None, content)
                if b"NoAccessError" not in got[query][1]:
                    break
        equal({query: status if b"NoAccessError" in answer else answer
               for query, (status, answer) in got.items()},
              dict.fromkeys(QUERIES, 403),
              f"{name}: whatever the query is, it takes a token")
        equal((hoster.waiting(), sorted(redis("KEYS", "*"))), before,
              f"{name}: what is set aside stays, and nothing is counted")
        equal(hoster.send("POST", f"{target}{BULK}?--spool-drop+all", token,
                          b"{}")[0], 400,
              f"{name}: it serves as without a query")


def arguments_of(module, direct):
    def test():
        arguments(module, direct)
    test.__name__ = f"arguments_{module}_{'direct' if direct else 'script'}"
    return test


run([the_page, suexec, with_fcgid] +
    [arguments_of(module, direct) for module in ("cgi", "cgid")
     for direct in (False, True)])
