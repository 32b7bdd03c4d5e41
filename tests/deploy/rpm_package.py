"""The RPM package, as far as Debian's rpm can tell: the dependencies are those of
Fedora and not looked for, and systemd's macros are stand-ins.
"""

import os
import re
import subprocess

from tests.harness.packaging import (TOP, VERSION, examples, ran, surroundings,
                                     tarball)
from tests.harness.servers import Place, find
from tests.harness.tap import check, equal, run

SPEC = os.path.join(TOP, "deploy/rpm/flagtally.spec")
FILTERS = os.path.join(TOP, "deploy/rpm/flagtally.rpmlintrc")
UNITS = "/usr/lib/systemd/system"
# As systemd-rpm-macros of Fedora has them, but that these only tell.
MACROS = {"_unitdir": UNITS, "systemd_requires": "Requires: systemd",
          "systemd_post()": "echo post %{?*}",
          "systemd_preun()": "echo preun %{?*}",
          "systemd_postun_with_restart()": "echo restart %{?*}"}
# Where Fedora has the header files that configure.ac and the code ask for.
NEEDED = {"fcgi-devel", "gcc", "hiredis-devel", "inih-devel",
          "libseccomp-devel", "libsodium-devel", "libunistring-devel", "make",
          "pkgconfig", "sqlite-devel", "systemd-rpm-macros", "yajl-devel",
          "zlib-devel"}


# Fedora's settings of rpmlint, so far as they matter here; Debian has none.  The
# last three are of some versions: 2.4 looks for a manual page named by its
# section, and later ones look at words and at names that begin with a dot.
SETTINGS = """
CompressExtension = "gz"
ValidLicenses = ["BSD-2-Clause"]
Filters = ["no-buildroot-tag", "no-group-tag", "no-packager-tag",
    "no-signature", "only-non-binary-in-usr-lib",
    "no-manual-page-for-binary flagtally", "spelling-error .*usermod",
    "hidden-file-or-dir .*/examples/.*/.htaccess"]
"""


def lint(place, package):
    """Both in one run, for a filter that is not needed is a fault, too."""
    done = subprocess.run(
        [find("rpmlint"), "-c", place.file("rpmlint.toml", SETTINGS),
         "-r", FILTERS, SPEC, package],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=120, env=surroundings(LC_ALL="C.UTF-8"))
    told = [line for line in done.stdout.splitlines()
            if re.search(r": [EW]: ", line)]
    equal((done.returncode, told), (0, []), "rpmlint finds no fault")


def macros():
    return [word for name, body in MACROS.items()
            for word in ("--define", f"{name} {body}")]


def spec():
    text = ran([find("rpmspec"), *macros(), "-P", SPEC])
    equal(re.findall(r".*%\{.*|.*%systemd_.*", text), [],
          "all its macros are known")
    needed = set(re.findall(r"^BuildRequires: +(\S+)", text, flags=re.M))
    equal(needed, NEEDED, "it needs what the build needs, by Fedora's names")


def build(place):
    """Build it, in the place alone; return the package."""
    top = place.file("rpm")
    ran([find("rpmbuild"), "-tb", "--nodeps", tarball(place), *macros(),
         "--define", f"_topdir {top}", "--define", f"_tmppath {place.path}",
         "--define", "_smp_mflags -j2", "--define", "debug_package %{nil}",
         "--define", "optflags -O0", "--define", "_docdir_fmt %{NAME}",
         "--define", "_build_id_links none",
         # Debian's own is for a shell that is not its /bin/sh.
         "--define", "__os_install_post bash /usr/lib/rpm/brp-compress; "
         "strip %{buildroot}%{_bindir}/*",
         # Its own tests are those that this test is among.
         "--nocheck"],
        env=surroundings(HOME=place.path, LC_ALL="C"), limit=600)
    found = [os.path.join(folder, name)
             for folder, _, names in os.walk(os.path.join(top, "RPMS"))
             for name in names]
    equal([os.path.basename(path).split(".")[:-2] for path in found],
          [f"flagtally-{VERSION}-1".split(".")], "one package is made")
    return found[0]


def query(package, *words):
    return ran([find("rpm"), "-qp", "--dbpath", "/nonexistent", *words,
                package])


def contents(package):
    have = {}
    for line in query(package, "--queryformat",
                      "[%{FILENAMES}\t%{FILEMODES:perms}\t%{FILEUSERNAME}:"
                      "%{FILEGROUPNAME}\t%{FILEFLAGS:fflags}\n]").splitlines():
        path, mode, owner, flags = line.split("\t")
        if not mode.startswith("d"):
            have[path] = mode, owner, flags
    wanted = {"/usr/bin/flagtally": ("-rwxr-xr-x", ""),
              "/etc/flagtally.ini": ("-rw-r--r--", "cn"),
              "/etc/flagtally/tokens": ("-rw-------", "cn"),
              "/usr/share/licenses/flagtally/LICENSE": ("-rw-r--r--", "l")}
    wanted["/usr/share/bash-completion/completions/flagtally"] = (
        "-rw-r--r--", "")
    for name in ("flagtally.service", "flagtally.socket"):
        wanted[f"{UNITS}/{name}"] = "-rw-r--r--", ""
    for name in ("man8/flagtally.8", "man7/flagtally.7",
                 "man5/flagtally.ini.5"):
        wanted[f"/usr/share/man/{name}.gz"] = "-rw-r--r--", "d"
    for name in ("README.md", "CHANGES.md"):
        wanted[f"/usr/share/doc/flagtally/{name}"] = "-rw-r--r--", "d"
    for name, mode in examples().items():
        wanted[f"/usr/share/doc/flagtally/examples/{name}"] = (
            "-rwxr-xr-x" if mode == "0o755" else "-rw-r--r--", "d")
    equal(have, {path: (mode, "root:root", flags)
                 for path, (mode, flags) in wanted.items()},
          "the package has what it should have")


def unpacked(place, package):
    top = place.file("unpacked")
    os.mkdir(top)
    with open(package, "rb") as file:
        archive = subprocess.run([find("rpm2archive"), "-n", "-"], stdin=file,
                                 stdout=subprocess.PIPE, check=True,
                                 timeout=60).stdout
    subprocess.run([find("tar"), "-C", top, "-xf", "-"], input=archive,
                   check=True, timeout=60)

    def read(path):
        with open(top + path, encoding="utf-8") as file:
            return file.read()

    equal(ran([top + "/usr/bin/flagtally", "--version"]).split(" with")[0],
          f"flagtally {VERSION}", "the program runs")
    check("\nExecStart=/usr/bin/flagtally\n" in read(
        f"{UNITS}/flagtally.service"), "its unit starts it")
    check("\nSocketGroup=flagtally\n" in read(f"{UNITS}/flagtally.socket"),
          "its socket is for the group that it makes")
    check("\ntokens = /etc/flagtally/tokens\n" in read("/etc/flagtally.ini"),
          "its configuration names the tokens")
    scripts = query(package, "--scripts")
    for text in ("getent group flagtally >/dev/null || groupadd -r flagtally",
                 "\necho post flagtally.socket flagtally.service\n",
                 "\necho preun flagtally.socket flagtally.service\n",
                 "\necho restart flagtally.service"):
        check(text in scripts, f"a script has {text.strip()!r}", scripts)


def package():
    with Place() as place:
        path = build(place)
        contents(path)
        unpacked(place, path)
        lint(place, path)


run([spec, package])
