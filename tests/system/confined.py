"""What the process gives up, and what it does not leave lying about."""

import glob
import json
import os
import resource
import secrets
import signal
import stat
import subprocess

from tests.harness import fcgi
from tests.harness.servers import (NO_SPOOL, PROGRAM, Flagtally, Place, Redis,
                                   connects, environment)
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
PATH = os.path.abspath(PROGRAM)
# Whoever builds without libseccomp says so in the log.
SECRET = "geheim" + secrets.token_hex(8)
TOKEN = f"default:e.{SECRET}"
BODY = json.dumps({"applications": [], "metrics": [
    {"featureName": "f", "appName": "a", "environment": "e", "variants": {},
     "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 0}]}).encode()


def status_of(pid):
    """What /proc says of all threads of a process, by the name of a line."""
    found = {}
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(path, encoding="ascii") as file:
            for line in file:
                name, _, value = line.partition(":")
                found.setdefault(name, set()).add(value.strip())
    return found


def filters(**settings):
    """Whether each kind of process is confined as its settings say."""
    wanted = "2" if not settings and not SANITIZER else "0"
    name = "sandbox = off" if settings else "by default"
    with Place() as place:
        redis = Redis(place)
        program = Flagtally(place, redis, log_level="info", **settings)
        found = status_of(program.pid)
        equal((found["Seccomp"], found["NoNewPrivs"]),
              ({wanted}, {"0" if settings else "1"}),
              f"{name}: all threads of a server")
        log = place.read(program.log)
        check(("without a filter" in log) == (SANITIZER and not settings),
              f"{name}: the log says if there is none", log)
        equal(fcgi.post(program.address, BODY).status, 202,
              f"{name}: it serves")
        with open(f"/proc/{program.pid}/maps", encoding="utf-8") as maps:
            both = [line for line in maps if "wx" in line.split()[1]]
        check(SANITIZER or not both,
              f"{name}: no memory is both writable and executable", *both)
        process = subprocess.Popen(
            [PATH], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={
                **environment(auth="none", redis=redis.url(),
                              spool=place.file("cgi.db"), **settings),
                **fcgi.params(BODY)})
        until(lambda: status_of(process.pid).get("Seccomp") == {wanted},
              "the CGI program")
        answer, errors = process.communicate(BODY, timeout=20)
        equal((fcgi.Answer(answer).status, errors), (202, b""),
              f"{name}: a CGI program serves, and says nothing")


def confinement():
    filters()
    filters(sandbox="off")


def descriptors():
    """What whoever starts it has left open is not its business."""
    with Place() as place:
        redis = Redis(place)
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [PATH], pass_fds=[writing], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env=environment(
                auth="none", spool=NO_SPOOL, redis=redis.url(),
                listen=place.file("s.sock")))
        os.close(writing)
        until(lambda: connects(place.file("s.sock")), "the program")
        equal(os.read(reading, 1), b"", "an inherited descriptor is closed")
        process.terminate()
        process.communicate(timeout=20)
        os.close(reading)


def files():
    """What it makes is for its owner alone, whatever the umask was."""
    with Place() as place:
        redis = Redis(place)
        before = os.umask(0)
        try:
            place.file("tokens", TOKEN + "\n")
            program = Flagtally(
                place, redis, spool=place.file("new/spool.db"), auth="tokens",
                tokens=place.file("tokens"), token_set="flagtally:tokens")
        finally:
            os.umask(before)
        redis.kill()
        equal(fcgi.post(program.address, BODY,
                        HTTP_AUTHORIZATION=TOKEN).status, 202, "to the spool")
        modes = {name: stat.S_IMODE(os.stat(os.path.join(
            place.path, "new", name)).st_mode)
            for name in os.listdir(place.file("new"))}
        check(len(modes) >= 3 and not [name for name, mode in modes.items()
                                       if mode & 0o077],
              "files of the spool", {name: oct(mode)
                                     for name, mode in modes.items()})


def memory_of(pid):
    """All that a core dump would have in it."""
    pieces = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            extent, rights = line.split()[:2]
            begin, end = (int(part, 16) for part in extent.split("-"))
            if "r" not in rights or "[v" in line:
                continue
            memory.seek(begin)
            pieces.append(memory.read(end - begin))
    return b"".join(pieces)


def in_pieces(address, size):
    """A request whose head comes piece by piece, and is collected."""
    data = fcgi.begin() + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(*item) for item in fcgi.params(
            BODY, HTTP_AUTHORIZATION=TOKEN).items())) + fcgi.stream(
                fcgi.STDIN, BODY)
    connection = fcgi.Connection(address)
    for i in range(0, len(data), size):
        connection.send(data[i:i + size])
    answer = connection.read_answer()
    connection.close()
    return answer.status


def memory():
    """No token that was sent or read from the file is left in memory."""
    with Place() as place:
        redis = Redis(place)
        place.file("tokens", TOKEN + "\n" + "".join(
            f"p:e.{SECRET}-{number}\n" for number in range(500)))
        program = Flagtally(place, redis, core_dumps="on", threads=4,
                            tokens=place.file("tokens"), auth="tokens",
                            log_level="debug", backstage="all",
                            token_set="flagtally:tokens")
        redis("SADD", "flagtally:tokens", "-")

        def statuses(**changes):
            return [fcgi.post(program.address, BODY, **{
                "HTTP_AUTHORIZATION": text, **changes}).status
                for text in (TOKEN, "Bearer " + TOKEN, TOKEN + "-bad",
                             f"{SECRET} junk")]
        equal(statuses(), [202, 202, 403, 403], "requests with tokens")
        equal(statuses(HTTP_X_LARGE="x" * 9000), [202, 202, 403, 403],
              "and with parameters larger than a buffer")
        equal(statuses(REDIRECT_HTTP_AUTHORIZATION=TOKEN,
                       REDIRECT_REDIRECT_HTTP_AUTHORIZATION=TOKEN),
              [202, 202, 403, 403], "after redirections")
        equal([in_pieces(program.address, size) for size in (7, 50, 200)],
              [202] * 3, "in pieces")
        equal(fcgi.post(program.address, BODY, HTTP_AUTHORIZATION=TOKEN,
                        REQUEST_METHOD="GET").status, 405,
              "a token of a request that is refused before")
        connection = fcgi.Connection(program.address)
        for _ in range(3):
            connection.request(fcgi.params(
                BODY, HTTP_AUTHORIZATION=TOKEN), BODY, keep=True)
        found = memory_of(program.pid)
        check(b"core_dumps" in found, "the memory can be seen")
        places = [found[max(0, i - 100):i + 40] for i in range(len(found))
                  if found.startswith(SECRET.encode(), i)] if (
                      SECRET.encode() in found) else []
        equal(places[:3], [], "no token is in it")
        with open(f"/proc/{program.pid}/cmdline", "rb") as file:
            check(SECRET.encode() not in file.read(), "nor in its arguments")


def variables():
    """A password in the environment is not there for long."""
    with Place() as place:
        redis = Redis(place, requirepass=SECRET)
        program = Flagtally(place, redis, core_dumps="on")
        equal(fcgi.post(program.address, BODY).status, 202, "Redis is used")
        with open(f"/proc/{program.pid}/environ", "rb") as file:
            found = file.read()
        check(b"FLAGTALLY_REDIS=" in found and SECRET.encode() not in found,
              "the password is wiped from the environment")


def ended_by(program, number):
    """How a process that was killed came to its end."""
    hard = resource.prlimit(program.pid, resource.RLIMIT_CORE)[1]
    most = 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)
    resource.prlimit(program.pid, resource.RLIMIT_CORE, (most, hard))
    program.signal(number)
    found = os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    program.wait()
    return found.si_code


def core_dumps():
    """None is written unless it is asked for."""
    with Place() as place:
        redis = Redis(place)
        for number in (signal.SIGABRT, signal.SIGSEGV):
            program = Flagtally(place, redis, str(number))
            equal(ended_by(program, number), os.CLD_KILLED,
                  f"{number.name}: no core is dumped")
        with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
            elsewhere = file.read().startswith(("|", "@"))
        program = Flagtally(place, redis, "wanted", core_dumps="on")
        ended = ended_by(program, signal.SIGABRT)
        # Whether it is taken there is somebody else's business.
        check(elsewhere or ended == os.CLD_DUMPED,
              "core_dumps = on: a core is dumped", ended)


run([confinement, descriptors, files, variables] +
    ([] if SANITIZER else [memory, core_dumps]))
