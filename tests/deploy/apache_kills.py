"""The promise behind Apache: whatever is killed, reloaded or restarted, what got
202 is in Redis or in the spool, each body once at most, and nobody is left over.

Names of classes of tests/harness/apache.py on the command line run those alone.
FLAGTALLY_SEED=NUMBER repeats a run, as far as the system lets it.
"""

import os
import random
import signal
import subprocess
import time

from tests.harness.apache import (ApacheCgi, ApacheFcgid, ApacheProxy,
                                  as_account, program)
from tests.harness.front import processes
from tests.harness.load import KEY, Load, request
from tests.harness.servers import Place, Redis, environment
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until
from tests.harness.web import Standin, head

TEMPORARY_FAILURE = 75          # sysexits.h
SEED = int(os.environ.get("FLAGTALLY_SEED") or random.randrange(1 << 32))
KEPT = 120
EDGE_WAITS = 5
# Else mod_fcgid starts no new one for a while where too many have died.
ApacheFcgid.more = "FcgidSpawnScoreUpLimit 1000"


def pids(front):
    return [pid for pid, name in processes(front.place).items()
            if name == "flagtally"]


def send(pid, number):
    """Return whether there was still such a process: CGI programs end soon."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


class Trouble:
    """What happens to them, drawn at random."""

    def __init__(self, front, redis, rng):
        self.front, self.redis, self.rng = front, redis, rng
        self.killed = 0

    def start_again(self):
        """Somebody else does that for what Apache does not start."""
        flagtally = self.front.flagtally
        if flagtally and not flagtally.running():
            flagtally.process.wait()
            self.front.flagtally = self.front.start_flagtally()

    def signal_one(self, number):
        # Not always at the same point of a request.
        time.sleep(self.rng.random() * 0.004)
        until(lambda: any(send(self.rng.choice(found), number)
                          for found in [pids(self.front)] if found),
              "a flagtally")
        self.killed += 1
        if self.front.flagtally:
            self.front.flagtally.wait()
        self.start_again()

    def kill_one(self):
        self.signal_one(signal.SIGKILL)

    def end_one(self):
        self.signal_one(signal.SIGTERM)

    def kill_all(self):
        for pid in until(lambda: pids(self.front), "a flagtally"):
            self.killed += send(pid, signal.SIGKILL)
        if self.front.flagtally:
            self.front.flagtally.wait()
        self.start_again()

    def redis_restarts(self):
        self.redis.kill()
        self.redis.start()

    def kill_without_redis(self):
        self.redis.kill()
        for _ in range(3):
            self.kill_one()
        self.redis.start()

    def redis_hangs(self):
        self.redis.signal(signal.SIGSTOP)
        self.kill_one()
        self.redis.signal(signal.SIGCONT)

    def reload(self):
        reload(self.front)

    def happen(self):
        events = ([self.kill_one] * 8 + [self.end_one, self.kill_all] * 2 +
                  [self.redis_restarts, self.kill_without_redis,
                   self.redis_hangs, self.reload, self.reload])
        self.rng.shuffle(events)
        return events


def reload(front):
    """Reload Apache, and wait until mod_fcgid has come to itself.

    A second reload just then would hang Apache itself, as a process manager
    that has only begun does not hear its signal.
    """
    old = set(pids(front))
    front.reload()
    if isinstance(front, ApacheFcgid):
        until(lambda: set(pids(front)) and not set(pids(front)) & old,
              "mod_fcgid's new processes")


def replay(front, redis):
    """What cron does for CGI, again if it has to be tried again."""
    spool = front.place.file("spool.db")
    command = [program(front.place), "--replay"]
    if os.stat(spool).st_uid != os.geteuid():
        command = as_account(command)

    def done():
        last = subprocess.run(command, check=False, timeout=60, text=True,
                              capture_output=True, cwd=front.place.path,
                              env=environment(redis=redis.url(), spool=spool,
                                              limit_features=0))
        if last.returncode == TEMPORARY_FAILURE:
            note(f"{front.title}: replay: {last.stderr}")
            return False
        check(last.returncode == 0, f"{front.title}: replay", last.stderr)
        return True

    until(done, "replay", 30)


def stop(front, redis):
    """End all, and see to it that nobody is left over."""
    left_of(processes(front.place), front)
    front.stop()
    if front.flagtally:
        front.flagtally.end()
    until(lambda: set(processes(front.place)) == {redis.pid},
          "nothing but Redis to run")


def judge(front, redis, clients):
    replay(front, redis)
    lines = clients.differences(redis)
    found = len(redis.client.value(KEY))
    check(not lines, f"{front.title}: nothing that got 202 is lost, and "
          "nothing counts twice", *lines)
    check(len(clients.accepted) <= found <= len(clients.accepted) + len(
        clients.unknown), f"{front.title}: the sum lies between what was "
        "accepted and that with what got no answer", found, clients)
    rejected = {status for _, status in clients.statuses
                if status is not None and 400 <= status < 500}
    check(not rejected, f"{front.title}: nothing is rejected", clients)


def start(kind, place):
    redis = Redis(place, unixsocketperm="777")
    return redis, kind(place, redis, Standin(), limit_features=0,
                       spool=place.file("spool.db"), flush_interval="100ms")


def killed(kind):
    rng = random.Random(f"{SEED} {kind.__name__}")
    with Place() as place:
        redis, front = start(kind, place)
        clients = Load(lambda: [front.port], patience=EDGE_WAITS)
        trouble = Trouble(front, redis, rng)
        done = []
        for event in trouble.happen():
            done.append(event.__name__)
            event()
            clients.moved_on(rng.randrange(2, 12), 40)
        clients.stop()
        note(f"{front.title}: seed {SEED}: {', '.join(done)}")
        note(f"{front.title}: {trouble.killed} killed or ended; {clients}")
        check(trouble.killed > 12 and len(clients.accepted) > 50,
              f"{front.title}: there was load, and trouble", clients)
        stop(front, redis)
        check(True, f"{front.title}: nothing is left of it when it stops")
        judge(front, redis, clients)


def reloaded(kind):
    """Reloads and a restart under load, with nothing else going wrong.

    A request is half there when the first reload comes.
    """
    with Place() as place:
        redis, front = start(kind, place)
        clients = Load(lambda: [front.port], patience=EDGE_WAITS)
        clients.unknown.add("half")
        half = front.connect(timeout=1)
        half.send(HALF[:-20])
        for step in (reload, reload, restart):
            clients.moved_on(30)
            old = front.generation()
            step(front)
            clients.moved_on(30)
            if half:
                finish(half, front)
                half = None
            until(lambda: not left_of(old, front), "the old processes to end")
        clients.stop()
        note(f"{front.title}: reloads and a restart: {clients}")
        stop(front, redis)
        check(True, f"{front.title}: no process outlives its generation")
        judge(front, redis, clients)


def restart(front):
    front.restart()


HALF = request("half")


def finish(half, front):
    """Send the rest of a request on which a reload came."""
    half.send(HALF[-20:])
    try:
        status = half.reply().status
    except TimeoutError:
        status = None
    half.close()
    # Its configuration says why mod_fcgid's is never answered.
    equal(status, None if isinstance(front, ApacheFcgid) else 202,
          f"{front.title}: a request that was half there at a reload")


def waits_for_manager(pid):
    """Whether a thread of a process of Apache's waits for mod_fcgid's pipe.

    That is where it hangs in a reload, and not in any talk with flagtally.
    """
    for thread in os.listdir(f"/proc/{pid}/task"):
        # The main thread has a pipe of its own.
        if int(thread) != pid:
            with open(f"/proc/{pid}/task/{thread}/wchan",
                      encoding="ascii") as file:
                if "pipe_" in file.read():
                    return True
    return False


def left_of(old, front):
    """Processes that have to end yet; of those that hang none does."""
    left = []
    for pid, name in processes(front.place).items():
        if pid not in old:
            continue
        left.append(pid)
        if name == "apache2" and isinstance(front, ApacheFcgid) and (
                waits_for_manager(pid)):
            note(f"{front.title}: {pid} hangs in mod_fcgid after a reload")
            send(pid, signal.SIGKILL)
    return left


def crowded(kind):
    """Clients that keep their connections keep nobody out."""
    with Place() as place:
        redis, front = start(kind, place)
        kept = []
        for i in range(KEPT):
            connection = front.connect()
            connection.send(request(f"k{i}"))
            kept.append((connection, connection.reply().status))
            if i % 3 == 0:
                # The next request's head has only begun.
                connection.send(b"POST /api/client/met")
        equal({status for _, status in kept}, {202},
              f"{front.title}: {KEPT} connections are served and kept")
        silent = [front.connect() for _ in range(20)]
        began = time.monotonic()
        for i in range(10):
            with front.connect() as connection:
                connection.send(request(f"n{i}", close=True))
                check(connection.reply().status == 202, f"{front.title}: "
                      f"another one is served beside them ({i + 1})")
        took = time.monotonic() - began
        check(took < 10, f"{front.title}: without waiting", took)
        with front.connect() as connection:
            connection.send(head("GET", "/other", [
                ("Host", "x"), ("Connection", "close")]))
            equal(connection.reply("GET").status, 200,
                  f"{front.title}: and Unleash is reached")
        for connection, _ in kept:
            connection.close()
        for connection in silent:
            connection.close()
        equal(len(redis.client.value(KEY)), KEPT + 10,
              f"{front.title}: all are counted")


def a_test_of(kind):
    def test():
        killed(kind)
        reloaded(kind)
        crowded(kind)
    test.__name__ = kind.__name__
    return test


run([a_test_of(kind) for kind in (ApacheFcgid, ApacheProxy, ApacheCgi)])
