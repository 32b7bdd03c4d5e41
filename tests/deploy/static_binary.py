"""The one file of --enable-static-binary: it is whole, small, and works."""

import os
import struct
import subprocess

from tests.harness.front import processes
from tests.harness.servers import (PROGRAM, Flagtally, Place, Redis,
                                   environment, find, free_port)
from tests.harness import fcgi
from tests.harness.tap import check, equal, run
from tests.harness.tls import TLS, Authority, server
from tests.harness.wait import until

EXECUTABLE, SHARED = 2, 3
DYNAMIC, INTERPRETER = 2, 3
NEEDED = 1
BODY = (b'{"applications":[],"metrics":[{"featureName":"f","appName":"a",'
        b'"environment":"e","timestamp":"2026-11-23T09:30:00Z","yes":1,'
        b'"no":0,"variants":{}}]}')


def segments(data):
    """The program headers of an ELF file: type, offset, size."""
    offset, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for i in range(count):
        kind, _, at, _, _, length = struct.unpack_from(
            "<IIQQQQ", data, offset + i * size)
        yield kind, at, length


def whole():
    """No loader, no library, and small enough to upload."""
    with open(PROGRAM, "rb") as file:
        data = file.read()
    equal(data[:6], b"\x7fELF\x02\x01", "it is a file of 64 bits")
    kinds = [kind for kind, _, _ in segments(data)]
    check(INTERPRETER not in kinds, "it asks for no loader", kinds)
    needed = []
    for kind, at, length in segments(data):
        if kind == DYNAMIC:
            tags = struct.iter_unpack("<QQ", data[at:at + length])
            needed += [value for tag, value in tags if tag == NEEDED]
    equal(needed, [], "it asks for no shared library")
    equal(struct.unpack_from("<H", data, 16)[0], SHARED,
          "it can be loaded anywhere (PIE)")
    said = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True,
                          check=False, timeout=20)
    check("statically linked" in said.stdout or
          "not a dynamic executable" in said.stderr, "ldd says so, too",
          said.stdout, said.stderr)
    with Place() as place:
        small = place.file("flagtally")
        subprocess.run([find("strip"), "-o", small, PROGRAM], check=True,
                       timeout=60)
        size = os.path.getsize(small)
        most = 12 if TLS else 5
        check(size < most << 20, f"stripped it is smaller than {most} MB",
              size)
        said = subprocess.run([small, "--version"], capture_output=True,
                              text=True, check=False, env={}, timeout=20)
        equal((said.returncode, said.stdout.split(" ")[0]), (0, "flagtally"),
              "and runs")


def mapped(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        return {line.split()[5] for line in file if len(line.split()) > 5
                and line.split()[5].startswith("/")}


def names():
    """Redis by a host's name, without loading anything for it."""
    port = free_port()
    with Place() as place:
        redis = Redis(place, port=str(port), requirepass="geheim")
        url = f"redis://:geheim@localhost:{port}/0"
        flagtally = Flagtally(place, url)
        equal(fcgi.post(flagtally.address, BODY).status, 202,
              "Redis is found by a host's name")
        equal(redis("HGET", "flagtally:{e:a}:2026-11-23", "f:yes"), b"1",
              "and counts")
        libraries = [name for name in mapped(flagtally.pid)
                     if ".so" in name]
        equal(libraries, [], "no shared library has been loaded")
        check(all(name == "flagtally" or name == "redis-server"
                  for name in processes(place).values()),
              "nor another program started", processes(place))
    with Place() as place:
        flagtally = Flagtally(place, "redis://nowhere.invalid:6379/0",
                              spool=place.file("spool.db"))
        equal(fcgi.post(flagtally.address, BODY).status, 202,
              "a host that is not found: the spool takes it")
        until(lambda: "connecting to nowhere.invalid: " in
              place.read(flagtally.log), "the log")
        equal([name for name in mapped(flagtally.pid) if ".so" in name], [],
              "still nothing has been loaded")
        done = subprocess.run(
            [PROGRAM, "--replay"], capture_output=True, text=True,
            check=False, timeout=60, env=environment(
                redis="redis://nowhere.invalid:6379/0",
                spool=place.file("spool.db")))
        check(done.returncode == 75 and "nowhere.invalid: " in done.stderr,
              "--replay says which host, and why", done)


# A module that cannot be loaded, and all connections ask for it.
OPENSSL = """openssl_conf = all
[all]
providers = list
[list]
other = part
[part]
module = /usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so
activate = 1
"""


def encrypted():
    """Redis over TLS, whatever the host has for its own OpenSSL."""
    has = subprocess.run(["pkg-config", "--exists", "hiredis_ssl"],
                         check=False, timeout=20).returncode == 0
    equal(TLS, has, "TLS is built in where hiredis has it")
    if not has:
        return
    with Place() as place:
        authority = Authority(place, "authority")
        redis = server(place, "redis", authority.sign(
            "local", "DNS:localhost"), authority)
        os.environ["OPENSSL_CONF"] = place.file("openssl.cnf", OPENSSL)
        flagtally = Flagtally(place, f"rediss://localhost:{redis.tls}/0",
                              redis_tls_ca=authority.certificate)
        del os.environ["OPENSSL_CONF"]
        equal(fcgi.post(flagtally.address, BODY).status, 202, "over TLS")
        equal(redis("HGET", "flagtally:{e:a}:2026-11-23", "f:yes"), b"1",
              "it counts")
        equal([name for name in mapped(flagtally.pid) if ".so" in name], [],
              "and no shared library has been loaded")


run([whole, names, encrypted])
