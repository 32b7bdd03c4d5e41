"""make install and make uninstall, from the tarball, into a prefix and with
DESTDIR; and that all who tell the version tell the same one.
"""

import os
import re
import subprocess

from tests.harness import fcgi
from tests.harness.packaging import (NAME, TOP, VERSION, examples, listing,
                                     ran, read, surroundings, tarball)
from tests.harness.servers import Flagtally, Place, Redis, find
from tests.harness.tap import check, equal, run

PAGES = ("man5/flagtally.ini.5", "man7/flagtally.7", "man8/flagtally.8")
UNITS = ("flagtally.service", "flagtally.socket")
DOCUMENTS = ("README.md", "CHANGES.md", "LICENSE")
BODY = (b'{"applications":[],"metrics":[{"featureName":"f","appName":"a",'
        b'"environment":"e","timestamp":"2026-11-23T09:30:00Z","yes":1,'
        b'"no":0,"variants":{}}]}')


def versions():
    """Each packaging names the version of configure.ac."""
    for name, pattern in (
            ("CHANGES.md", r"^## (\S+)"),
            ("deploy/debian/changelog", r"^flagtally \((\S+)-[^-]+\) "),
            ("deploy/rpm/flagtally.spec", r"^Version: +(\S+)$"),
            ("deploy/rpm/flagtally.spec", r"^\* .* - (\S+)-\d+$"),
            ("deploy/alpine/APKBUILD", r"^pkgver=(\S+)$")):
        found = re.search(pattern, read(name), flags=re.M)
        equal(found and found[1], VERSION, f"{name} has the version")


class Tree:
    """An unpacked tarball, its build, and where that is installed."""

    def __init__(self, place):
        self.place = place
        self.build = place.file("build")
        self.prefix = place.file("opt")
        os.mkdir(self.build)
        ran(["tar", "-C", place.path, "-xf", tarball(place)])
        self.configure(f"--prefix={self.prefix}")
        self.make("-j2", "all")

    def configure(self, *options):
        ran([self.place.file(f"{NAME}/configure"), "-q", *options],
            cwd=self.build, env=surroundings(CFLAGS="-O0"))

    def make(self, *words):
        ran(["make", *words], cwd=self.build)


def expected():
    """{path below the prefix: mode} of what is to be installed."""
    wanted = {"bin/flagtally": "0o755",
              "share/bash-completion/completions/flagtally": "0o644"}
    wanted.update({f"share/man/{name}": "0o644" for name in PAGES})
    wanted.update({f"lib/systemd/system/{name}": "0o644" for name in UNITS})
    wanted.update({f"share/doc/flagtally/{name}": "0o644"
                   for name in DOCUMENTS})
    wanted.update({f"share/doc/flagtally/examples/{name}": mode
                   for name, mode in examples().items()})
    return wanted


def modes(files):
    return {name: mode for name, (mode, _) in files.items()}


def left(top):
    """Files, and folders of flagtally's own."""
    return [os.path.join(folder, name)
            for folder, folders, names in os.walk(top)
            for name in [*names, *(folder for folder in folders
                                   if "flagtally" in folder)]]


def paths(files, prefix):
    """What is installed names this prefix, and nobody else's."""
    wrong = []
    for name, (_, content) in files.items():
        if name == "bin/flagtally" or os.path.basename(name) in DOCUMENTS:
            continue
        text = content.decode().replace(prefix, "PREFIX")
        # The examples of a manual for all may name what others have.
        wrong += [f"{name}: {found}" for found in re.findall(
            r".*@\w+dir@.*|.*/usr/local/bin.*"
            r"|.*(?<!PREFIX)/(?:etc|var/lib)/flagtally.*", text)]
    equal(wrong, [], "no file names another place")
    for name, text in (
            ("lib/systemd/system/flagtally.service",
             f"\nExecStart={prefix}/bin/flagtally\n"),
            ("lib/systemd/system/flagtally.service",
             f"\nLoadCredential=tokens:{prefix}/etc/flagtally/tokens\n"),
            ("share/man/man8/flagtally.8",
             f"\n.It Pa {prefix}/var/lib/flagtally/spool.db\n"),
            *((f"share/doc/flagtally/examples/{name}", text) for name, text in
              (("lighttpd/spawned.conf",
                f'\n\t\t"bin-path" => "{prefix}/bin/flagtally",\n'),
               ("apache/fcgid-alone.conf",
                f'\n\tFcgidInitialEnv FLAGTALLY_CONFIG {prefix}/etc/'
                "flagtally.ini\n"),
               ("openrc/flagtally", f'\ncommand="{prefix}/bin/flagtally"\n'),
               ("flagtally.ini",
                f"\n;spool = {prefix}/var/lib/flagtally/spool.db\n")))):
        check(text.encode() in files[name][1],
              f"{name} names this prefix", text, files[name][1][:2000])


def pages(tree):
    for name in PAGES:
        path = os.path.join(tree.prefix, "share/man", name)
        done = subprocess.run([find("mandoc"), "-Tlint", "-Wstyle", path],
                              stdout=subprocess.PIPE, text=True, timeout=20,
                              stderr=subprocess.STDOUT, check=False)
        # What other pages there are is up to the host.
        told = [line for line in done.stdout.splitlines()
                if "referenced manual not found" not in line and
                "outdated mandoc.db" not in line]
        equal(told, [], f"mandoc finds no fault in {name}")
        text = ran([find("mandoc"), "-Tascii", "-mdoc", path])
        text = re.sub(".\b", "", text)
        check(text.startswith(os.path.basename(name)[:-2].upper()) and
              "\nNAME\n" in text and len(text.splitlines()) > 100,
              f"{name} is rendered", text[:500])


def runs(tree):
    """The program that is installed finds its own configuration, and counts."""
    program = os.path.join(tree.prefix, "bin/flagtally")
    equal(ran([program, "--version"]).split(" with")[0],
          f"flagtally {VERSION}",
          "it tells its version")
    os.mkdir(os.path.join(tree.prefix, "etc"))
    path = os.path.join(tree.prefix, "etc/flagtally.ini")
    with open(path, "w", encoding="utf-8") as file:
        file.write("prefix = other\nauth = none\n")
    text = ran([program, "--check-config"])
    check(re.search(rf"^prefix *= *other\b.*{re.escape(path)}", text, re.M),
          "it finds the configuration in sysconfdir", text)
    check(re.search(rf"^spool *= *{tree.prefix}/var/lib/flagtally/spool.db\b",
                    text, re.M), "its spool is in localstatedir", text)
    redis = Redis(tree.place)
    flagtally = Flagtally(tree.place, redis, program=program)
    equal(fcgi.post(flagtally.address, BODY).status, 202, "it answers")
    equal(redis("HGET", "other:{e:a}:2026-11-23", "f:yes"), b"1",
          "and counts as its configuration says")
    flagtally.end()
    ran([find("systemd-analyze"), "verify", "--man=no", *(os.path.join(
        tree.prefix, "lib/systemd/system", name) for name in UNITS)])
    check(True, "systemd finds no fault in the units")
    os.unlink(path)
    os.rmdir(os.path.dirname(path))


def install():
    with Place() as place:
        tree = Tree(place)
        tree.make("install")
        files = listing(tree.prefix)
        equal(modes(files), expected(), "all is where it belongs")
        paths(files, tree.prefix)
        pages(tree)
        runs(tree)
        tree.make("uninstall")
        equal(left(tree.prefix), [], "uninstall leaves nothing")
        staged = place.file("stage")
        tree.make("install", f"DESTDIR={staged}")
        equal(listing(staged + tree.prefix), files,
              "with DESTDIR it is the same, below it")
        equal((len(listing(staged)), left(tree.prefix)), (len(files), []),
              "and nowhere else")
        tree.make("uninstall", f"DESTDIR={staged}")
        equal(left(staged), [], "uninstall with DESTDIR leaves nothing")
        elsewhere(tree)


def elsewhere(tree):
    """Each directory can be chosen, the units left out, the name changed."""
    tree.configure("--prefix=/usr", "--bindir=/b", "--mandir=/m",
                   "--docdir=/d", "--sysconfdir=/etc", "--localstatedir=/var",
                   "--with-systemdsystemunitdir=no")
    staged = tree.place.file("stage")
    tree.make("install", f"DESTDIR={staged}")
    wanted = {name.replace("share/doc/flagtally", "d").replace(
        "share/man", "m").replace("bin/", "b/").replace(
        "share/bash", "usr/share/bash"): mode
        for name, mode in expected().items() if "system/" not in name}
    files = listing(staged)
    equal(modes(files), wanted, "each directory can be chosen")
    for name, text in (
            ("m/man8/flagtally.8", b"\n.It Pa /var/lib/flagtally/spool.db\n"),
            ("d/examples/sh/spawn-fcgi.sh", b"{PROGRAM:-/b/flagtally}"),
            ("d/examples/lighttpd/spawned.conf",
             b'"FLAGTALLY_CONFIG" => "/etc/flagtally.ini"')):
        check(text in files[name][1], f"{name} names it", text)
    tree.make("uninstall", f"DESTDIR={staged}")
    equal(left(staged), [], "uninstall finds it there")
    renamed = "program_transform_name=s,^,my-,"
    tree.make("install", f"DESTDIR={staged}", renamed)
    equal(sorted(name for name in listing(staged) if "d/" not in name),
          ["b/my-flagtally", "m/man5/my-flagtally.ini.5",
           "m/man7/my-flagtally.7", "m/man8/my-flagtally.8",
           "usr/share/bash-completion/completions/flagtally"],
          "with another name the pages have it, too")
    tree.make("uninstall", f"DESTDIR={staged}", renamed)
    equal(left(staged), [], "uninstall knows the other name")


def documented():
    """README.md names what there is to build packages with."""
    text = read("README.md")
    for name in ("deploy/debian/build", "deploy/rpm/flagtally.spec",
                 "deploy/alpine/APKBUILD"):
        check(name in text and os.path.exists(os.path.join(TOP, name)),
              f"README.md names {name}")


run([versions, documented, install])
