"""The package of Alpine, as far as another system can tell: its APKBUILD is read
by a shell as abuild reads it, with stand-ins for what abuild provides.
"""

import os
import re
import subprocess

from tests.harness.packaging import (TOP, VERSION, examples, listing, ran,
                                     surroundings, tarball)
from tests.harness.servers import Place
from tests.harness.tap import check, equal, run

FOLDER = os.path.join(TOP, "deploy/alpine")
APKBUILD = os.path.join(FOLDER, "APKBUILD")
# Where Alpine has what the build needs, beside its build-base.
NEEDED = {"fcgi-dev", "hiredis-dev", "inih-dev", "libseccomp-dev",
          "libsodium-dev", "libunistring-dev", "pkgconf", "sqlite-dev",
          "yajl-dev", "zlib-dev"}
# What abuild sets before it calls a function; a group that is not there is
# noted by `install` and not given.
CALL = """set -e
srcdir=$1 pkgdir=$2 startdir=${3%/*} CBUILD=$4 CHOST=$4
install() {
	printf 'install %s\\n' "$*"
	owner=
	for word; do
		shift
		case $owner$word in
		-g) owner=-g ;;
		-g*) owner= ;;
		*) set -- "$@" "$word" ;;
		esac
	done
	command install "$@"
}
. "$3"
builddir=${builddir:-$srcdir/$pkgname-$pkgver}
cd "$builddir"
"""


def value(name):
    return ran(["/bin/sh", "-euc", f'. "$1"; printf %s "${name}"', "sh",
                APKBUILD])


def variables():
    """What abuild asks of each APKBUILD."""
    ran(["/bin/sh", "-n", APKBUILD])
    equal((value("pkgname"), value("pkgver")), ("flagtally", VERSION),
          "it has name and version")
    check(value("pkgrel").isdigit(), "it has a release")
    description = value("pkgdesc")
    check(0 < len(description) < 128 and "\n" not in description,
          "it has a description that is short enough", description)
    for name in ("url", "arch", "license", "source"):
        check(value(name), f"it has {name}")
    equal(value("source"), f"flagtally-{VERSION}.tar.gz",
          "it is made of what make dist makes")
    equal(set(value("makedepends").split()), NEEDED,
          "it needs what the build needs, by Alpine's names")
    equal(value("subpackages").split(), ["flagtally-doc", "flagtally-openrc"],
          "manual and service are packages of their own, as is the custom")
    with open(APKBUILD, encoding="utf-8") as file:
        text = file.read()
    equal(len(re.findall(r"^# Maintainer: .+ <.+@.+>$", text, re.M)), 1,
          "it has a maintainer")
    for name in ("build", "check", "package"):
        check(re.search(rf"^{name}\(\) \{{$", text, re.M), f"it has {name}()")


def accounts():
    """The user is there before the files, and nothing fails when it was."""
    names = value("install").split()
    equal(names, ["flagtally.pre-install"], "it has a script to install")
    path = os.path.join(FOLDER, names[0])
    check(os.access(path, os.X_OK), "which can be run")
    equal((value("pkgusers"), value("pkggroups")), ("flagtally", "flagtally"),
          "the build knows the user")
    with Place() as place:
        for status in (0, 1):
            for name in ("addgroup", "adduser"):
                place.file(name, f'#!/bin/sh\nprintf "{name} %s\\n" "$*" '
                           f'>>"{place.path}/calls"\nexit {status}\n', 0o755)
            ran([path], env=surroundings(PATH=f"{place.path}:/bin:/usr/bin"))
        equal(place.read("calls").splitlines(), 2 * [
            "addgroup -S flagtally",
            "adduser -S -D -H -h /var/lib/flagtally -s /sbin/nologin "
            "-G flagtally -g flagtally flagtally"], "it makes the user")


class Build:
    """The functions of the APKBUILD, called one after the other."""

    def __init__(self, place):
        self.source, self.package = place.file("src"), place.file("pkg")
        for folder in (self.source, self.package):
            os.mkdir(folder)
        ran(["tar", "-C", self.source, "-xf", tarball(place)])
        self.machine = ran(["gcc", "-dumpmachine"]).strip()

    def __call__(self, function):
        return ran(["/bin/sh", "-c", CALL + function, "sh", self.source,
                    self.package, APKBUILD, self.machine],
                   env=surroundings(CFLAGS="-O0", MAKEFLAGS="-j2"))


def package():
    with Place() as place:
        build = Build(place)
        build("build")
        said = build("package")
        files = listing(build.package)
        wanted = {"usr/bin/flagtally": "0o755", "etc/flagtally.ini": "0o644",
                  "etc/flagtally/tokens": "0o640",
                  "etc/init.d/flagtally": "0o755",
                  "etc/conf.d/flagtally": "0o644",
                  "usr/share/bash-completion/completions/flagtally":
                  "0o644"}
        for name in ("man8/flagtally.8", "man7/flagtally.7",
                     "man5/flagtally.ini.5"):
            wanted[f"usr/share/man/{name}"] = "0o644"
        for name in ("README.md", "CHANGES.md", "LICENSE"):
            wanted[f"usr/share/doc/flagtally/{name}"] = "0o644"
        for name, mode in examples().items():
            wanted[f"usr/share/doc/flagtally/examples/{name}"] = mode
        equal({name: mode for name, (mode, _) in files.items()}, wanted,
              "the package has what it should have")
        check(re.search(r"^install .*-g flagtally .*etc/flagtally/tokens$",
                        said, re.M), "the tokens are for the service", said)
        service(build, files)


def service(build, files):
    """The service and its settings fit each other and the user."""
    equal(ran([build.package + "/usr/bin/flagtally", "--version"]).split(" with")[0],
          f"flagtally {VERSION}", "the program runs")
    script = files["etc/init.d/flagtally"][1].decode()
    settings = files["etc/conf.d/flagtally"][1].decode()
    check(script.startswith("#!/sbin/openrc-run\n") and
          '\ncommand="/usr/bin/flagtally"\n' in script,
          "its service starts it", script)
    got = subprocess.run(
        ["/bin/sh", "-euc", settings + "\n" + "\n".join(re.findall(
            r'^: "\$\{.*$', script, re.M)) +
            '\necho "$flagtally_user $flagtally_group $flagtally_config"'],
        stdout=subprocess.PIPE, text=True, check=True, timeout=20).stdout
    equal(got, "flagtally flagtally /etc/flagtally.ini\n",
          "it runs as the user that is made")
    check(b"\ntokens = /etc/flagtally/tokens\n" in
          files["etc/flagtally.ini"][1], "its configuration names the tokens")


run([variables, accounts, package])
