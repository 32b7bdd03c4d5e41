"""The image and the compose file of deploy/container, step by step as its page says,
with podman and no registry of images: those that it would fetch are stand-ins, made
of this system's lighttpd and Redis.

All of it is in namespaces and in a directory of its own, and gone afterwards.  It
takes root.  A kernel that lets no container run is a failure.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys

from tests.harness.front import DEPLOY
from tests.harness.pasted import commands
from tests.harness.servers import PROGRAM, Place, find
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

HERE = os.path.join(DEPLOY, "container")
PAGE = os.path.join(HERE, "README.md")
EXAMPLE = os.path.join(DEPLOY, "..", "tests", "example-request.json")
PROJECT = "container"
KEY = "flagtally:{production:inventory-service}:2024-01-15"

STORAGE = """[storage]
driver = "overlay"
graphroot = "{0}/images"
runroot = "{0}/state"
"""
# Limits that are no higher than our own take no right that we may lack.
ENGINE = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{0}/networks"
"""
USERS = "root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n"


# Inside

class Machine:
    """Where podman is, and the source beside it."""

    def __init__(self, place):
        self.place = place
        self.env = {
            **{name: value for name, value in os.environ.items()
               if not name.startswith("FLAGTALLY")},
            "CONTAINERS_STORAGE_CONF": place.file(
                "storage.conf", STORAGE.format(place.path)),
            "CONTAINERS_CONF": place.file(
                "containers.conf", ENGINE.format(place.path)),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
            "TMPDIR": place.path,
        }
        self.source = place.file("source")
        for name in ("build/fcgi", "build/image/spool", "tests"):
            os.makedirs(os.path.join(self.source, name))
        shutil.copy(PROGRAM, self.source + "/build/fcgi")
        shutil.copy(EXAMPLE, self.source + "/tests")
        shutil.copytree(HERE, self.source + "/deploy/container")

    def shell(self, text, **options):
        """Run commands of the page; return what they print."""
        done = subprocess.run(["/bin/bash", "-euc", text], cwd=self.source,
                              env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              check=False, timeout=120, **options)
        if done.returncode != 0:
            raise RuntimeError(f"{text}: status {done.returncode}\n"
                               f"{done.stdout[-3000:]}")
        return done.stdout

    def podman(self, *words):
        return subprocess.run([find("podman"), *words], env=self.env,
                              stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.PIPE, text=True, timeout=120)

    def in_it(self, service, *command):
        return self.podman("exec", self.name(service), *command)

    def name(self, service):
        """Its separators depend on the version of podman-compose."""
        names = self.podman("ps", "-a", "--format", "{{.Names}}").stdout.split()
        return next(name for name in names if re.fullmatch(
            f"{PROJECT}[-_]{service}[-_]1", name))

    def address(self, service):
        shown = json.loads(self.podman("inspect", self.name(service)).stdout)
        networks = shown[0]["NetworkSettings"]["Networks"].values()
        return next(iter(networks))["IPAddress"]


def libraries(path):
    done = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, check=False, timeout=20)
    return re.findall(r"(/\S+) \(0x", done.stdout)


def stand_in(machine, image, programs, files=()):
    """An image with these programs of this system, and what they load."""
    root = machine.place.file(re.sub(r"\W", "-", image))
    for path in {path for program in programs for path in
                 (program, *libraries(program))} | set(files):
        os.makedirs(root + os.path.dirname(path), exist_ok=True)
        shutil.copy(path, root + path)
    for name in ("etc", "tmp", "data", "var/empty", "usr/bin", "bin"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    shutil.copy(find("dash"), root + "/bin/sh")
    # It has all that is asked for.
    shutil.copy(find("true"), root + "/usr/bin/apt-get")
    with open(root + "/etc/passwd", "w", encoding="ascii") as file:
        file.write(USERS)
    with subprocess.Popen(["tar", "-C", root, "-c", "."],
                          stdout=subprocess.PIPE) as archive:
        subprocess.run([find("podman"), "import", "-q", "-", image],
                       stdin=archive.stdout, env=machine.env, check=True,
                       stdout=subprocess.PIPE, timeout=120)


def can_run(machine):
    """A container of nothing but a program that ends."""
    folder = machine.place.file("trial")
    os.mkdir(folder)
    shutil.copy(PROGRAM, folder + "/flagtally")
    with open(folder + "/Containerfile", "w", encoding="ascii") as file:
        file.write("FROM scratch\nCOPY flagtally /\n"
                   'ENTRYPOINT ["/flagtally"]\n')
    for words in (("build", "-q", "-t", "trial", folder),
                  ("run", "--rm", "trial", "--version")):
        done = machine.podman(*words)
        if done.returncode != 0:
            return check(False, "the kernel lets a container run", done.stderr)
    return True


def built(machine):
    for line in commands(PAGE)["1"][0].splitlines():
        if not line.startswith(("./autogen.sh", "mkdir")):
            machine.shell(line)
    image = json.loads(machine.podman(
        "inspect", "localhost/flagtally").stdout)[0]
    equal((image["Config"]["User"], list(image["Config"]["Volumes"])),
          ("10001:10001", ["/var/lib/flagtally"]),
          "the image has an ordinary user and a volume")
    check(image["Size"] < 16 << 20, "and is small", image["Size"])
    equal(image["Healthcheck"]["Test"][1:], ["/usr/bin/flagtally", "--ready"],
          "the program tells its health")


def started(machine):
    token, = machine.shell("\n".join(commands(PAGE)["2"])).split()
    up, post = commands(PAGE)["3"][0].splitlines()
    machine.shell(up)
    health = ["healthcheck", "run", machine.name("flagtally")]
    until(lambda: machine.podman(*health).returncode == 0, "health")
    check(True, "it is healthy")
    return token, f"token={token!r}\n{post}"


def counted(machine, post):
    # Whether the port is published is podman's concern, and the kernel's.
    post = post.replace("127.0.0.1", machine.address("lighttpd"))
    until(lambda: machine.shell(f"({post}) 2>&1 || true") == "{}", "a 202")
    until(lambda: machine.in_it("redis", "redis-cli", "HGET", KEY,
                                "new-checkout-flow:yes").stdout == "300\n",
          "the count in Redis")
    check(True, "it is in Redis")
    return post


def kept(machine, post):
    """What waits in the volume outlives the container."""
    machine.podman("stop", "-t", "2", machine.name("redis"))
    body = post.replace("@tests/example-request.json", "@tests/second.json")
    machine.shell("sed s/new-checkout-flow/kept/ tests/example-request.json"
                  " >tests/second.json")
    equal(machine.shell(body), "{}", "without Redis the spool takes it")
    name = machine.name("flagtally")
    waiting = machine.podman("exec", name, "/usr/bin/flagtally", "--spool")
    check(re.search("queued|in-doubt", waiting.stdout), "where it waits",
          waiting)
    user = machine.podman("top", name, "huser").stdout.split()[1:]
    equal(set(user), {"10001"}, "the process is an ordinary user's")
    machine.podman("kill", name)
    machine.podman("start", name, machine.name("redis"))
    until(lambda: machine.in_it("redis", "redis-cli", "HGET", KEY,
                                "kept:yes").stdout == "300\n",
          "its replay after both were started again")
    check(True, "it is brought to Redis when both run again")


def inside():
    with Place() as place:
        machine = Machine(place)
        if not can_run(machine):
            return
        redis = [find("redis-server"), find("redis-cli")]
        stand_in(machine, "docker.io/library/redis:8",
                 [os.path.realpath(path) for path in redis] + redis)
        modules = glob.glob("/usr/lib/lighttpd/mod_*.so")
        stand_in(machine, "docker.io/library/debian:13-slim",
                 [find("lighttpd"), *modules])
        built(machine)
        _, post = started(machine)
        post = counted(machine, post)
        kept(machine, post)


# Outside

PREPARE = """set -e
mount -t tmpfs -o mode=755 containers /run
ip link set lo up
exec "$@"
"""


def outside():
    if os.geteuid() != 0:
        check(True, "podman takes root here # SKIP")
        return
    done = subprocess.run(
        [find("unshare"), "--mount", "--net", "--pid", "--fork", "--ipc",
         "--kill-child", "--mount-proc", "--propagation", "private", "--",
         "/bin/sh", "-c", PREPARE, "sh", sys.executable, "-B",
         os.path.abspath(__file__), "inside"], check=False, timeout=300,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in done.stdout.splitlines():
        told = re.fullmatch(r"(ok|not ok) \d+ - (.*)", line)
        if told:
            check(told[1] == "ok", told[2])
        elif not line.startswith("1.."):
            note(line)
    check(re.search(r"^1\.\.", done.stdout, re.M), "all was done in there",
          done.returncode)


if sys.argv[1:] == ["inside"]:
    del sys.argv[1:]
    run([inside])
else:
    run([outside])
