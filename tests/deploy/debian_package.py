"""The Debian package: built from a tarball, looked at by lintian, and installed,
used, removed and purged on this host, under a layer that takes the changes.

That takes root: who is not becomes root by sudo.
"""

import os
import re
import stat
import subprocess
import sys

from tests.harness import fcgi
from tests.harness.packaging import (NAME, TOP, VERSION, examples, ran, read,
                                     surroundings, tarball)
from tests.harness.servers import (Place, Process, Redis, connects,
                                   environment, find)
from tests.harness.tap import check, equal, run

PACKAGE = "flagtally"
FULL = f"{VERSION}-1"
TOKEN = "*:*.secret"
KEY = "flagtally:{production:inventory-service}:2024-01-15"
UNITS = ("flagtally.service", "flagtally.socket")
# What lintian takes for words in machine code, among them the end of "environment",
# and what only some versions know: that Debian 13 has a newer policy, and that
# nothing starts it without systemd, which depends on the web server.
SUPPRESSED = ("spelling-error-in-binary", "out-of-date-standards-version",
              "package-supports-alternative-init-but-no-init.d-script")
# What dpkg and systemd's tools write down for themselves.
NOTES = re.compile(r"var/(lib/(dpkg|systemd)|log|cache)/.*|"
                   r"run/systemd/systemd-units-load")


def architecture():
    return ran(["dpkg", "--print-architecture"]).strip()


def build(place):
    """Build it as the README says; return where the packages are."""
    path = tarball(place)
    ran([os.path.join(TOP, "deploy/debian/build"), path, place.file("deb")],
        env=surroundings(DEB_BUILD_OPTIONS="nocheck parallel=2"), limit=600)
    return place.file("deb")


def the_build(folder):
    name = f"{PACKAGE}_{FULL}_{architecture()}"
    for path in (f"{name}.deb", f"{name}.changes", f"{PACKAGE}_{FULL}.dsc"):
        check(os.path.exists(os.path.join(folder, path)), f"{path} is made")
    again = subprocess.run(
        [os.path.join(TOP, "deploy/debian/build"),
         os.path.join(folder, "..", NAME + ".tar.gz"), folder],
        capture_output=True, text=True, check=False, timeout=60)
    check(again.returncode == 1 and "is there already" in again.stderr,
          "nothing is built over what is there", again.stderr)
    return os.path.join(folder, name)


def lintian(changes):
    known = [tag for tag in SUPPRESSED if subprocess.run(
        [find("lintian-explain-tags"), tag], check=False, timeout=60,
        capture_output=True).returncode == 0]
    done = subprocess.run(
        [find("lintian"), "--allow-root", "--pedantic", "--info",
         "--display-info", "--suppress-tags", ",".join(known),
         "--fail-on",
         "error,warning,info,pedantic,experimental", changes],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=surroundings(LC_ALL="C"), check=False, timeout=300)
    equal((done.returncode, done.stdout), (0, ""), "lintian finds no fault")


def contents(package):
    """All files, with their owners and modes, and nothing else."""
    have = {}
    for line in ran(["dpkg-deb", "-c", package]).splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        if not path.endswith("/"):
            # Units are below /usr since Debian 13.
            path = re.sub(r"^\./(usr/(?=lib/systemd/))?", "", path)
            have[path] = mode, owner
    wanted = {"usr/bin/flagtally": "-rwxr-xr-x",
              "etc/flagtally.ini": "-rw-r--r--",
              "etc/flagtally/tokens": "-rw-------"}
    plain = [f"usr/share/man/man{section}/{name}.{section}.gz" for
             section, name in ((8, "flagtally"), (7, "flagtally"),
                               (5, "flagtally.ini"))]
    plain.append("usr/share/bash-completion/completions/flagtally")
    plain += [f"lib/systemd/system/{name}" for name in UNITS]
    plain += [f"usr/share/doc/flagtally/{name}" for name in (
        "README.Debian", "README.md", "changelog.Debian.gz", "changelog.gz",
        "copyright")] + ["usr/share/lintian/overrides/flagtally"]
    wanted.update(dict.fromkeys(plain, "-rw-r--r--"))
    wanted.update({f"usr/share/doc/flagtally/examples/{name}":
                   "-rwxr-xr-x" if mode == "0o755" else "-rw-r--r--"
                   for name, mode in examples().items()})
    equal(have, {path: (mode, "root/root") for path, mode in wanted.items()},
          "the package has what it should have")
    fields = dict(line.split(": ", 1) for line in ran(
        ["dpkg-deb", "-f", package]).splitlines() if re.match(r"\w", line)
        and ": " in line)
    equal((fields["Package"], fields["Version"]), (PACKAGE, FULL),
          "it has name and version")
    missing = [name for name in ("libc6", "libfcgi", "libyajl", "libhiredis",
                                 "libsodium", "libsqlite3", "libseccomp",
                                 "libinih", "libunistring", "zlib1g")
               if name not in fields["Depends"]]
    equal(missing, [], "it depends on its libraries")


class Throwaway:
    """This host under a layer; its files are at what file() says."""

    def __init__(self, place):
        self.here = place.file("throwaway")
        os.mkdir(self.here)
        self.holder = subprocess.Popen(
            [find("unshare"), "--mount", "--propagation", "private", "--",
             "/bin/sh", os.path.join(TOP, "tests/tools/throwaway.sh"),
             self.here, place.path, TOP],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        place.servers.append(self)
        words = self.holder.stdout.readline().split()
        if not words or words[0] != "ready":
            raise RuntimeError("no layer can be laid over this host: " +
                               self.holder.communicate()[1])
        self.pid, self.before = words[1], set()
        # Nothing may ever be done to the host itself.
        if os.path.samestat(os.stat(self.file("/")), os.stat("/")):
            raise RuntimeError("the layer is not there")

    def end(self):
        self.holder.stdin.close()
        self.holder.wait(timeout=20)

    def inside(self, *command):
        return [find("nsenter"), "--target", self.pid, "--mount", "--root",
                "--wdns=/", "--", *command]

    def __call__(self, *command, **more):
        return ran(self.inside(*command), env=surroundings(
            PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C",
            DEBIAN_FRONTEND="noninteractive"), **more)

    def file(self, path):
        return f"/proc/{self.pid}/root{path}"

    def read(self, path):
        with open(self.file(path), encoding="utf-8") as file:
            return file.read()

    def append(self, path, text):
        with open(self.file(path), "a", encoding="utf-8") as file:
            file.write(text)

    def changed(self):
        """Paths of what has been made, changed or removed, but folders."""
        upper = f"{self.here}/upper/"
        return {path.removeprefix(upper) for path in
                self("find", upper, "!", "-type", "d").splitlines()}

    def begin(self):
        """Have the host without the package, whatever it has itself."""
        self("dpkg", "--purge", PACKAGE)
        self.before = self.changed()

    def left(self):
        """Paths of what has been changed since the beginning."""
        return sorted(self.changed() - self.before)


def remarkable(layer):
    return [path for path in layer.left() if not NOTES.fullmatch(path)]


def install(layer, package):
    # Some images of Debian leave manuals and documents out.
    layer("dpkg", "--path-include=*", "-i", package)


def installed(layer, package):
    install(layer, package)
    equal(layer("dpkg-query", "-W", "-f", "${Status}", PACKAGE),
          "install ok installed", "dpkg -i installs it")
    equal(layer("dpkg", "-V", PACKAGE), "", "all its files are as shipped")
    equal(layer("flagtally", "--version").split(" with")[0],
          f"flagtally {VERSION}",
          "the program runs")
    status = os.stat(layer.file("/etc/flagtally/tokens"))
    equal((stat.S_IMODE(status.st_mode), status.st_uid), (0o600, 0),
          "the tokens are root's alone")
    equal([line for line in layer.read("/etc/flagtally/tokens").splitlines()
           if line and not line.startswith("#")], [], "there are none yet")
    for wants, name in (("multi-user", UNITS[0]), ("sockets", UNITS[1])):
        equal(os.readlink(layer.file(
            f"/etc/systemd/system/{wants}.target.wants/{name}"))
            .removeprefix("/usr"),
            f"/lib/systemd/system/{name}", f"{name} is enabled")
    layer("systemd-analyze", "verify", *(f"/lib/systemd/system/{name}"
                                         for name in UNITS))
    check(True, "systemd finds no fault in the units, and their manual")
    text = layer("flagtally", "--check-config")
    check(re.search(r"^tokens *= */etc/flagtally/tokens\b.*/etc/flagtally.ini",
                    text, re.M), "/etc/flagtally.ini is in force", text)
    check(layer("man", "-P", "cat", "8", "flagtally").startswith(
        "FLAGTALLY(8)"), "man shows the manual")


def main_job(layer, place):
    """Its own test, and then as its unit runs it: nobody in particular."""
    equal(layer("/bin/sh", "-c", "cd \"$1\" && exec ./debian/tests/main-job",
                "sh", place.file(f"deb/{NAME}")).splitlines()[-1], "counted",
          "the package's own test passes")
    redis = Redis(place, unixsocketperm="777")
    layer.append("/etc/flagtally.ini", f"redis = {redis.url()}\n")
    layer.append("/etc/flagtally/tokens", TOKEN + "\n")
    spool = "/var/lib/private/flagtally"
    layer("install", "-d", "-m", "700", "-o", "nobody", spool)
    layer("chmod", "711", os.path.dirname(spool))
    layer("ln", "-s", spool, "/var/lib/flagtally")
    layer("install", "-d", "-m", "755", "-o", "nobody", "/run/ft")
    layer("install", "-m", "400", "-o", "nobody", "/etc/flagtally/tokens",
          "/run/ft/tokens")
    os.chmod(place.path, 0o755)
    address = place.file("sockets/flagtally.sock")
    os.mkdir(os.path.dirname(address))
    os.chmod(os.path.dirname(address), 0o777)
    flagtally = Process(place, "installed", layer.inside(
        "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
        "--no-new-privs", "/usr/bin/flagtally"),
        environment(listen=address, tokens="/run/ft/tokens"))
    flagtally.ready(lambda: connects(address))
    body = read("tests/example-request.json").encode()
    equal((fcgi.post(address, body).status,
           fcgi.post(address, body, HTTP_AUTHORIZATION=TOKEN).status),
          (403, 202), "it lets in who has a token")
    equal((redis("HGET", KEY, "new-checkout-flow:yes"),
           redis("HGET", KEY, "new-checkout-flow:no")), (b"300", b"120"),
          "it counts")
    redis.kill()
    equal(fcgi.post(address, body, HTTP_AUTHORIZATION=TOKEN).status, 202,
          "its spool takes what Redis cannot")
    check(os.path.exists(layer.file(spool + "/spool.db")),
          "it is where the unit has its state")
    flagtally.end()
    layer("rm", "-r", "/run/ft")


def spawned(layer, place):
    """Started by a web server instead, as README.Debian tells."""
    readme = layer.read("/usr/share/doc/flagtally/README.Debian")
    recipe = readme[readme.index("4. If the web server"):]
    commands = re.findall(r"^ {7}(\S.*)$", recipe, re.M)
    setting, = re.findall(r"`(spool = \S+)`", recipe)
    equal([line.split()[0] for line in commands],
          ["systemctl", "chown", "install"], "the recipe's commands")
    # The last section's systemd is another test's.
    layer("/bin/sh", "-euc", "\n".join(commands[1:]))
    redis = Redis(place, "another", unixsocketperm="777")
    layer.append("/etc/flagtally.ini", setting + "\n")
    address = place.file("sockets/spawned.sock")
    as_server = ("setpriv", "--reuid=www-data", "--regid=www-data",
                 "--clear-groups", "/usr/bin/flagtally")
    done = subprocess.run(layer.inside(*as_server, "--check"),
                          env=environment(redis=redis.url()), text=True,
                          capture_output=True, check=False, timeout=60)
    equal((done.returncode, done.stderr, done.stdout.splitlines()[-1:]),
          (0, "", ["OK for user 33"]), "--check as the web server finds no fault")
    flagtally = Process(place, "spawned", layer.inside(*as_server),
                        environment(redis=redis.url(), listen=address))
    flagtally.ready(lambda: connects(address))
    body = read("tests/example-request.json").encode()
    equal(fcgi.post(address, body, HTTP_AUTHORIZATION=TOKEN).status, 202,
          "spawned, it lets in who has a token")
    equal(redis("HGET", KEY, "new-checkout-flow:yes"), b"300",
          "spawned, it counts")
    redis.kill()
    equal(fcgi.post(address, body, HTTP_AUTHORIZATION=TOKEN).status, 202,
          "spawned, it has a spool")
    check(os.path.exists(layer.file(setting.split()[-1])),
          "where the recipe has put it")
    flagtally.end()
    layer("rm", "-r", os.path.dirname(setting.split()[-1]))
    layer("chown", "root", "/etc/flagtally/tokens")


def upgraded(layer, package):
    """What an administrator has changed stays as it is."""
    files = ("/etc/flagtally.ini", "/etc/flagtally/tokens")
    before = [layer.read(path) for path in files]
    install(layer, package)
    equal([layer.read(path) for path in files], before,
          "an upgrade leaves the configuration alone")
    equal(stat.S_IMODE(os.stat(layer.file(files[1])).st_mode), 0o600,
          "and nobody else may read the tokens")


def removed(layer):
    layer.append("/etc/flagtally/redis-password", "geheim\n")
    layer("dpkg", "--remove", PACKAGE)
    left = remarkable(layer)
    equal([path for path in left if not path.startswith("var/lib/private/")],
          ["etc/flagtally.ini", "etc/flagtally/redis-password",
           "etc/flagtally/tokens", *(f"etc/systemd/system/{name}" for name in (
               "multi-user.target.wants/flagtally.service",
               "sockets.target.wants/flagtally.socket")),
           "var/lib/flagtally"], "removed, it leaves its configuration")
    check("var/lib/private/flagtally/spool.db" in left, "and its spool", left)
    layer("dpkg", "--purge", PACKAGE)
    equal(remarkable(layer), [], "purged, it leaves nothing")
    equal([path for path in layer.left()
           if "flagtally" in path and not path.startswith("var/cache/")], [],
          "not even a note of its own")
    done = subprocess.run(layer.inside("dpkg-query", "-W", PACKAGE),
                          capture_output=True, check=False, timeout=60)
    equal(done.returncode, 1, "dpkg knows nothing of it")


def package():
    with Place() as place:
        folder = build(place)
        path = the_build(folder)
        lintian(path + ".changes")
        contents(path + ".deb")
        layer = Throwaway(place)
        layer.begin()
        installed(layer, path + ".deb")
        main_job(layer, place)
        spawned(layer, place)
        upgraded(layer, path + ".deb")
        removed(layer)


def sudo():
    """The same once more, as root."""
    done = subprocess.run([find("sudo"), "-n", "true"], stderr=subprocess.PIPE,
                          text=True, check=False, timeout=20)
    if done.returncode == 0:
        os.execv(find("sudo"), ["sudo", "-n", "env", *(
            f"{name}={os.environ[name]}" for name in
            ("PYTHONPATH", "FLAGTALLY") if name in os.environ),
            sys.executable, "-B", *sys.argv])
    check(False, "there is root, or a sudo that does not ask for a password, "
          "to install it", done.stderr)


run([sudo if os.geteuid() != 0 else package])
