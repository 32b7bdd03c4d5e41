"""What the tests of packages share: a tarball, and commands with their output."""

import os
import re
import subprocess

from tests.harness.servers import PROGRAM

# Compilers run for long, and the tests beside this one measure time.
os.nice(10)

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.dirname(os.path.dirname(os.path.abspath(PROGRAM)))


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


VERSION = re.search(r"AC_INIT\(\[flagtally\], \[(.*?)\]\)",
                    read("configure.ac"))[1]
NAME = f"flagtally-{VERSION}"


def surroundings(**more):
    """The environment, without what the make that runs us has told."""
    return {**{name: value for name, value in os.environ.items()
               if not name.startswith(("MAKE", "MFLAGS", "FLAGTALLY",
                                       "DEB_", "DH_", "TESTS"))}, **more}


def ran(command, limit=300, **options):
    """The output of a command that must succeed."""
    options.setdefault("env", surroundings())
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                          check=False, timeout=limit, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: status {done.returncode}\n" +
                           done.stdout[-4000:])
    return done.stdout


def tarball(place):
    """What `make dist` makes, but in the place; others may do so as well."""
    ran(["make", "-C", BUILD, "distdir", f"distdir={place.file(NAME)}"])
    path = place.file(f"{NAME}.tar.gz")
    ran(["tar", "-C", place.path, "--sort=name", "--owner=0", "--group=0",
         "--numeric-owner", "-czf", path, NAME])
    ran(["rm", "-r", place.file(NAME)])
    return path


def listing(top):
    """{path below top: (mode, content)} of all files."""
    found = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, top)] = (
                    oct(os.stat(path).st_mode & 0o7777), file.read())
    return found


def examples():
    """{path among the examples: mode} of all that deploy/ has to show."""
    found = {}
    for folder, _, names in os.walk(os.path.join(TOP, "deploy")):
        folder = os.path.relpath(folder, os.path.join(TOP, "deploy"))
        if folder.split("/")[0] in ("man", "debian", "rpm", "alpine",
                                    "bash"):
            continue
        for name in names:
            path = os.path.normpath(os.path.join(folder, name))
            mode = os.stat(os.path.join(TOP, "deploy", path)).st_mode
            found[path.removesuffix(".in")] = "0o755" if mode & 1 else "0o644"
    for name in ("local.mk", "packages.sh", "quickstart",
                 "systemd/flagtally.service", "systemd/flagtally.socket"):
        found.pop(name)
    return found
