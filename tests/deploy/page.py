"""The page behind a password: the examples for web servers, and ways around."""

import base64
import os
import shutil
import subprocess

from tests.harness import apache, front
from tests.harness.front import DEPLOY, SOCKET, shipped
from tests.harness.servers import Place, Redis, find
from tests.harness.tap import check, equal, run
from tests.harness.web import Connection, Standin, head

NAME, PASSWORD = "anna", "geheim: ja"
BODY = (b'{"applications":[],"metrics":[{"featureName":"secret-feature",'
        b'"appName":"a","environment":"e",'
        b'"timestamp":"2026-11-23T09:30:00Z","yes":1,"no":0,"variants":{}}]}')


def passwords(place):
    """As the examples say, by htpasswd; the server's user may read it."""
    path = place.file("htpasswd")
    subprocess.run([find("htpasswd"), "-B", "-b", "-c", path, NAME, PASSWORD],
                   check=True, capture_output=True, timeout=20)
    os.chmod(path, 0o644)
    return path


def inserted(path, before, text):
    """Put a text into a file before the first line that begins like that."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    at = next(i for i, line in enumerate(lines)
              if line.strip().startswith(before))
    lines.insert(at, text)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


class NginxPage(front.NginxAlone):
    title = "nginx, alone, with a password"

    def configure(self):
        super().configure()
        shipped(self.place, "nginx/page.conf", {
            "/etc/nginx/flagtally.htpasswd": (passwords(self.place), 1),
            SOCKET: (self.socket, 1)}, "flagtally-page.conf")
        inserted(self.place.file(self.shape + ".conf"), "location ",
                 "include flagtally-page.conf;")


class NginxBesidePage(NginxPage):
    title = "nginx, beside Unleash, with a password"
    shape = "beside-unleash"
    backstage = "/flagtally"


class LighttpdPage(front.LighttpdAlone):
    title = "lighttpd, alone, with a password"

    def configure(self):
        super().configure()
        shipped(self.place, "lighttpd/page.conf", {
            "/etc/lighttpd/flagtally.htpasswd": (passwords(self.place), 1)})
        inserted(self.config, "include ", 'include "page.conf"')


class LighttpdBesidePage(LighttpdPage):
    title = "lighttpd, beside Unleash, with a password"
    shape = "beside-unleash"
    backstage = "/flagtally"

    def configure(self):
        super().configure()
        path = self.place.file(self.shape + ".conf")
        text = self.place.read(self.shape + ".conf")
        old, new = "/flagtally/internal-backstage/[a-z]+", \
            "/flagtally(/internal-backstage/[a-z]+)?"
        if text.count(old) != 1 or new not in self.advice():
            raise ValueError("page.conf says what is to be changed there")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))

    def advice(self):
        with open(os.path.join(DEPLOY, "lighttpd/page.conf"),
                  encoding="utf-8") as file:
            return file.read()


class CaddyPage(front.CaddyAlone):
    title = "Caddy, alone, with a password"

    def configure(self):
        super().configure()
        done = subprocess.run(
            [find("caddy"), "hash-password", "--plaintext", PASSWORD],
            check=True, capture_output=True, timeout=60, text=True,
            env=self.environment())
        shipped(self.place, "caddy/page.Caddyfile", {
            "\t\tNAME HASH": (f"\t\t{NAME} {done.stdout.strip()}", 1),
            SOCKET: (self.socket, 1)}, "flagtally-page.Caddyfile")
        inserted(self.config, "@", "import flagtally-page.Caddyfile")


class CaddyBesidePage(CaddyPage):
    title = "Caddy, beside Unleash, with a password"
    shape = "beside-unleash"
    backstage = "/flagtally"


class HaproxyPage(front.HaproxyAlone):
    title = "HAProxy, alone, with a password"

    def configure(self):
        super().configure()
        done = subprocess.run(
            [find("openssl"), "passwd", "-6", "-stdin"], input=PASSWORD,
            check=True, capture_output=True, timeout=20, text=True)
        self.page = shipped(self.place, "haproxy/page.cfg", {
            "user NAME password HASH":
            (f"user {NAME} password {done.stdout.strip()}", 1),
            "server flagtally 127.0.0.1:9021":
            (f"server flagtally {self.listen}", 1)})
        advice = "use_backend flagtally-page if { path_reg ^/+flagtally/*$ }"
        if advice not in self.place.read(os.path.basename(self.page)):
            raise ValueError("page.cfg says what is to be added")
        inserted(self.config, "default_backend", advice)

    def command(self):
        return [*super().command(), "-f", self.page]


class HaproxyBesidePage(HaproxyPage):
    title = "HAProxy, beside Unleash, with a password"
    shape = "beside-unleash"
    backstage = "/flagtally"


class ApachePage:
    """Mixed into a way to have Apache."""

    def configure(self):
        shipped(self.place, "apache/page.conf", {
            "/etc/apache2/flagtally.htpasswd": (passwords(self.place), 1),
            SOCKET: (self.socket, 1)}, "flagtally-page.conf")
        super().configure()

    def site(self):
        text = super().site()
        path = self.place.file("site.conf")
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        at = next(i for i, line in enumerate(lines)
                  if line.startswith("<VirtualHost"))
        lines.insert(at + 1, "Include flagtally-page.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        return text


class ApacheProxyPage(ApachePage, apache.ApacheProxyAlone):
    title = "Apache, mod_proxy_fcgi, alone, with a password"


class ApacheProxyBesidePage(ApachePage, apache.ApacheProxy):
    title = "Apache, mod_proxy_fcgi, beside Unleash, with a password"


class ApacheFcgidPage(ApachePage, apache.ApacheFcgidAlone):
    title = "Apache, mod_fcgid, alone, with a password"


class SharedHostingPage(apache.ApacheCgiAlone):
    """What a customer has: .htaccess alone, and CGI."""

    title = "Apache, CGI on shared hosting, with a password"

    def site(self):
        text = super().site()
        page = shipped(self.place, "shared-hosting/page.htaccess", {
            "/home/you/flagtally/page.htpasswd": (passwords(self.place), 1)})
        with open(os.path.join(DEPLOY, "shared-hosting/.htaccess"),
                  encoding="utf-8") as file:
            lines = file.read()
        self.place.file("root/.htaccess",
                        self.place.read(os.path.basename(page)) + lines, 0o644)
        shutil.copy(self.place.file("htpasswd"), self.place.file("root"))
        return text.replace("AllowOverride FileInfo",
                            "AllowOverride FileInfo AuthConfig")


# However the page's path is written.
WAYS = ["/flagtally", "/flagtally/", "//flagtally", "/flagtally//",
        "/flagtally?show=sdks", "/%66lagtally", "/%2Fflagtally",
        "/x/../flagtally", "/./flagtally", "/flagtally/.",
        "/flagtally/../flagtally", "/flagtally/x/..", "/flagtally%2F",
        "/flagtally%3Fx", "/flagtally%00", "/FLAGTALLY", "/flagtally;x",
        "/flagtally#x", "http://x/flagtally", "/flagtally/flagtally",
        "/x/flagtally", "/%2566lagtally", "/flagtally/internal-backstage/..",
        "/cgi-bin/flagtally.cgi/flagtally", "/cgi-bin/flagtally.cgi",
        "/cgi-bin/flagtally.cgi?flagtally",
        "/api/client/metrics/../../../flagtally",
        "/internal-backstage/../flagtally", "/flagtally/index.html"]


def credentials(name, password):
    pair = base64.b64encode(f"{name}:{password}".encode()).decode()
    return "Authorization", "Basic " + pair


def ask(server, target, *headers, method="GET", content=b""):
    lines = [("Host", "x"), ("Connection", "close"), *headers]
    if content:
        lines += [("Content-Type", "application/json"),
                  ("Content-Length", str(len(content)))]
    with server.connect() as connection:
        connection.send(head(method, target, lines) + content)
        return connection.reply(method)


def shows(reply):
    return b"secret-feature" in reply.body or b"flagtally</title>" in \
        reply.body or b"feature_flag_" in reply.body


def guarded(kind):
    with Place() as place:
        redis, standin = Redis(place), Standin()
        server = kind(place, redis, standin, page="user",
                      backstage="user")
        equal(ask(server, "/api/client/metrics/bulk", method="POST",
                  content=BODY).status, 202,
              f"{kind.title}: counts come in as before")
        mine = credentials(NAME, PASSWORD)
        for target in ("/flagtally", "/flagtally/",
                       "/flagtally?env=e&app=a&format=csv"):
            reply = ask(server, target, mine)
            check(reply.status == 200 and (b"</title>" in reply.body or
                                           b"secret-feature" in reply.body),
                  f"{kind.title}: {target} is shown to whom it should",
                  reply)
        reply = ask(server, "/flagtally")
        check(reply.status == 401 and
              reply.headers["www-authenticate"].startswith("Basic realm"),
              f"{kind.title}: others are asked for a password", reply)
        for wrong in (credentials(NAME, "x"), credentials("x", PASSWORD),
                      credentials("", ""), ("Remote-User", NAME),
                      ("Redirect-Remote-User", NAME),
                      ("Authorization", "Basic ?")):
            reply = ask(server, "/flagtally", wrong)
            check(reply.status in (400, 401) and not shows(reply),
                  f"{kind.title}: {wrong} is refused", reply)
        for target in WAYS:
            for headers in ([], [credentials(NAME, "x")],
                            [("Remote_User", NAME)]):
                reply = ask(server, target, *headers)
                if shows(reply):
                    check(False, f"{kind.title}: {target} with {headers} "
                          "shows nothing", reply)
        for target in ("/internal-backstage/usage",
                       "/flagtally/internal-backstage/usage"):
            reply = ask(server, target, credentials("x", "y"))
            check(not shows(reply), f"{kind.title}: {target} with a name that "
                  "nothing has checked shows nothing", reply)
        check(True, f"{kind.title}: no other spelling of the path shows it")
        standin.end()


def test_of(kind):
    def test():
        guarded(kind)

    test.__name__ = kind.__name__
    return test


run([test_of(kind) for kind in (
    NginxPage, NginxBesidePage, LighttpdPage, LighttpdBesidePage,
    CaddyPage, CaddyBesidePage, HaproxyPage, HaproxyBesidePage,
    ApacheProxyPage, ApacheProxyBesidePage, ApacheFcgidPage,
    SharedHostingPage)])
