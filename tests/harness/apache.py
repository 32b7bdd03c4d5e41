"""Apache with the configurations that ship; see tests/harness/front.py.

Apache does not run its workers as root.  Where the tests are root's, all of it
runs as nobody, to whom the place is handed over.
"""

import os
import shutil
import signal

from tests.harness.front import DEPLOY, INI, SOCKET, UNLEASH, Front, shipped
from tests.harness.servers import PROGRAM, environment, find

MODULES = "/etc/apache2/mods-available"
# What Debian's Apache has switched on, but for the multi-processing module.
USUAL = ["access_compat", "alias", "authn_core", "authn_file", "authz_core",
         "auth_basic", "authz_host", "authz_user", "autoindex", "deflate",
         "dir", "env", "filter", "mime", "negotiation", "reqtimeout",
         "setenvif", "status"]
NOBODY = 65534


def account():
    """Whom Apache runs as: (user, group), or None for whom we are."""
    return (NOBODY, NOBODY) if os.geteuid() == 0 else None


def hand_over(path, who=None):
    """Let that account do in a directory what it wants."""
    who = who or account()
    if account() is None:
        return
    for folder, _, names in os.walk(path):
        for name in [folder, *(os.path.join(folder, name)
                               for name in names)]:
            os.chown(name, *who, follow_symlinks=False)


def as_account(command, who=None):
    """A command that runs as that account, or as another."""
    if account() is None:
        return command
    user, group = who or account()
    return [find("setpriv"), f"--reuid={user}", f"--regid={group}",
            "--clear-groups", "--no-new-privs", *command]


def own_session(command):
    """Apache ends its process group, in which the test itself would be."""
    return [find("setsid"), *command]


def program(place):
    """The program where that account can reach it."""
    os.makedirs(place.file("flagtally"), exist_ok=True)
    path = place.file("flagtally/flagtally")
    if not os.path.exists(path):
        shutil.copyfile(PROGRAM, path)
        os.chmod(path, 0o755)
    return path


class Apache(Front):
    modules = []
    mpm = "event"
    closes_after = (400, 413, 500, 503)
    # What Debian's `systemctl stop apache2` sends.
    stop_signal = signal.SIGWINCH
    # What a test wants to have set besides.
    more = ""

    def __init__(self, place, redis, standin=None, **settings):
        super().__init__(place, redis, standin,
                         **{"listen_mode": "0666", **settings})

    def configure(self):
        self.program = program(self.place)
        for name in ("root", "run", "fcgid", "tmp"):
            os.makedirs(self.place.file(name), exist_ok=True)
        text = self.site()
        path = self.place.path
        self.config = self.place.file("apache2.conf", f"""
ServerRoot {path}
DefaultRuntimeDir {path}/run
PidFile {path}/run/apache2.pid
Mutex file:{path}/run default
ErrorLog {path}/apache.log
LogLevel info
ServerName localhost
{self.load()}
Timeout 300
KeepAlive On
MaxKeepAliveRequests 100
KeepAliveTimeout 5
AccessFileName .htaccess
<Directory />
	Options FollowSymLinks
	AllowOverride None
	Require all denied
</Directory>
<FilesMatch "^\\.ht">
	Require all denied
</FilesMatch>
Listen 127.0.0.1:{self.port}
DocumentRoot {path}/root
<IfModule mod_fcgid.c>
	FcgidIPCDir {path}/fcgid
	FcgidProcessTableFile {path}/fcgid/shm
</IfModule>
{self.more}
{text}
""", 0o644)
        hand_over(path)

    def load(self):
        """LoadModule for all that is wanted, with Debian's settings."""
        lines = ["Define APACHE_RUN_DIR " + self.place.file("run")]
        for name in [f"mpm_{self.mpm}", *USUAL, *self.modules]:
            lines.append(f"Include {MODULES}/{name}.load")
            if name not in ("status", "autoindex", "cgid") and os.path.exists(
                    f"{MODULES}/{name}.conf"):
                lines.append(f"Include {MODULES}/{name}.conf")
        if "cgid" in self.modules:
            lines.append(f"ScriptSock {self.place.file('run')}/cgi.sock")
        return "\n".join(lines)

    def site(self):
        """Write what ships, and return what includes it."""
        changes = {"*:80": (f"127.0.0.1:{self.port}", 1), **self.changes()}
        if self.shape == "beside-unleash":
            changes[UNLEASH] = (self.unleash(), 1)
        shipped(self.place, f"apache/{self.way}-{self.shape}.conf", changes,
                "site.conf")
        return "Include site.conf"

    def command(self):
        # Redis makes its socket anew when it starts.
        if os.path.exists(self.redis.path):
            os.chmod(self.redis.path, 0o777)
        return own_session(as_account([
            find("apache2"), "-d", self.place.path, "-f", self.config,
            "-DFOREGROUND"]))

    def reload(self):
        self.signal(signal.SIGUSR1)


class ApacheFcgid(Apache):
    title = "Apache, mod_fcgid"
    modules = ["fcgid", "proxy", "proxy_http"]
    way = "fcgid"
    spawns = True

    def changes(self):
        alone = self.shape == "alone"
        folder = os.path.dirname(self.program)
        return {"/usr/local/bin/flagtally": (self.program, 1 if alone else 2),
                '"/usr/local/bin"': (f'"{folder}"', 1), INI: (self.ini, 1)}


class ApacheFcgidAlone(ApacheFcgid):
    title = "Apache, mod_fcgid, alone"
    modules = ["fcgid"]
    shape = "alone"
    backstage = ""


class ApacheProxy(Apache):
    title = "Apache, mod_proxy_fcgi"
    modules = ["proxy", "proxy_http", "proxy_fcgi"]
    way = "proxy-fcgi"

    def changes(self):
        return {SOCKET: (self.socket, 1 if self.shape == "alone" else 2)}


class ApacheProxyAlone(ApacheProxy):
    title = "Apache, mod_proxy_fcgi, alone"
    modules = ["proxy", "proxy_fcgi"]
    shape = "alone"
    backstage = ""


class ApacheCgi(Apache):
    """What ships is .htaccess; the rest is what a hoster has."""

    title = "Apache, CGI"
    modules = ["cgid", "rewrite", "proxy", "proxy_http"]
    spawns = True

    def site(self):
        changes = {}
        if self.shape == "beside-unleash":
            changes[UNLEASH] = (self.unleash(), 1)
        shipped(self.place, f"apache/cgi-{self.shape}.htaccess", changes,
                "root/.htaccess")
        os.makedirs(self.place.file("cgi-bin"), exist_ok=True)
        shutil.copy(os.path.join(DEPLOY, "shared-hosting/flagtally.cgi"),
                    self.place.file("cgi-bin"))
        shutil.copy(self.ini, self.place.file("flagtally"))
        return f"""
ScriptAlias /cgi-bin/ {self.place.file("cgi-bin")}/
<Directory {self.place.file("cgi-bin")}>
	Require all granted
</Directory>
<Directory {self.place.file("root")}>
	AllowOverride FileInfo
	Options SymLinksIfOwnerMatch
	Require all granted
</Directory>
"""


class ApacheCgiAlone(ApacheCgi):
    title = "Apache, CGI, alone"
    modules = ["cgid", "rewrite"]
    shape = "alone"
    backstage = ""


fronts = [ApacheFcgid, ApacheFcgidAlone, ApacheProxy, ApacheProxyAlone,
          ApacheCgi, ApacheCgiAlone]
