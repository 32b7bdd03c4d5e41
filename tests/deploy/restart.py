"""Servers that are reloaded, restarted, and full of idle connections.

Names of classes of tests/harness/front.py on the command line run those alone.
"""

import collections
import os
import signal
import subprocess
import time

from tests.harness.front import fronts, processes
from tests.harness.load import KEY, Load, request
from tests.harness.servers import PROGRAM, Place, Redis, environment
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until
from tests.harness.web import Standin, head

IDLE = 50
# What was counted beside the load.
HALVES = []


def pids(place, name):
    return {pid for pid, found in processes(place).items() if found == name}


def passes_on(front):
    """Whether what is not flagtally's reaches the server that is behind."""
    with front.connect() as connection:
        connection.send(head("GET", "/somewhere", [
            ("Host", "x"), ("Connection", "close")]))
        try:
            connection.reply("GET")
        except OSError:
            return False
    return bool(front.standin.seen)


# What is done to the servers.

def reload(front):
    """With a new configuration; the old processes end with their requests.

    One of these is half there, and is answered nevertheless.
    """
    old = front.generation()
    whole = request(f"half-{len(HALVES)}", close=True)
    half = front.connect()
    half.send(whole[:-20])
    # So that it is not in the queue any more.
    passes_on(front)
    front.standin = Standin()
    front.configure()
    front.reload()
    if not front.reload_waits:
        until(lambda: passes_on(front), "the new configuration")
    half.send(whole[-20:])
    equal(half.reply().status, 202,
          f"{front.title}: a request that was half there at a reload")
    half.close()
    HALVES.append(f"half-{len(HALVES)}")
    until(lambda: passes_on(front), "the new configuration")
    until(lambda: not old & set(processes(front.place)),
          "the processes of the old one to end")


def restart(front):
    old = front.generation()
    front.stop()
    until(lambda: not old & set(processes(front.place)),
          "the processes of the server to end")
    front.start()


def stop_flagtally(front, number=signal.SIGTERM):
    """Whoever has started it starts it again: the server, or here the test."""
    old = pids(front.place, "flagtally")
    for pid in old:
        os.kill(pid, number)
    if front.flagtally:
        front.flagtally.wait()
        front.flagtally = front.start_flagtally()
    until(lambda: pids(front.place, "flagtally") - old, "flagtally")


def kill_flagtally(front):
    stop_flagtally(front, signal.SIGKILL)


def replay(place, redis):
    """Bring to Redis what a flagtally that was killed has left."""
    subprocess.run([os.path.abspath(PROGRAM), "--replay"], check=True,
                   timeout=60, capture_output=True, env=environment(
                       redis=redis.url(), spool=place.file("spool.db"),
                       limit_features=0))


def under_load(kind):
    HALVES.clear()
    with Place() as place:
        redis = Redis(place)
        front = kind(place, redis, Standin(), spool=place.file("spool.db"),
                     limit_features=0, flush_interval="100ms")
        clients = Load(lambda: [front.port])
        for step in (reload, reload, restart, stop_flagtally, kill_flagtally,
                     reload, restart):
            before = clients.statuses.copy()
            step(front)
            clients.moved_on(60)
            told = clients.statuses - before
            note(f"{front.title}: {step.__name__}: {clients.told_as(told)}")
            # A kept connection may be closed just when a request is sent, and
            # a server that stops breaks off what it has.
            if step in (reload, restart):
                check({status for _, status in told} <= {202, None},
                      f"{front.title}: {step.__name__} under load", told)
        clients.stop()
        front.stop()
        if front.flagtally:
            front.flagtally.end()
        until(lambda: set(processes(place)) == {redis.pid},
              f"nothing but Redis to run, and not {processes(place)}")
        check(True, f"{front.title}: nothing is left of it when it stops")
        replay(place, redis)
        clients.accepted.update(HALVES)
        lines = clients.differences(redis)
        check(not lines, f"{front.title}: nothing that got 202 is lost, and "
              "nothing counts twice", *lines)
        rejected = {status for _, status in clients.statuses
                    if status is not None and 400 <= status < 500}
        check(not rejected, f"{front.title}: nothing is rejected", clients)


def busy(kind):
    """With two threads and a hundred clients that do nothing, all is served.

    Half of them keep a connection, and half do not come to the end of a body.
    """
    with Place() as place:
        redis = Redis(place)
        front = kind(place, redis, Standin(), threads=2)
        kept = [front.connect() for _ in range(IDLE)]
        for i, connection in enumerate(kept):
            connection.send(request(f"kept-{i}"))
        statuses = [connection.reply().status for connection in kept]
        halves = [front.connect() for _ in range(IDLE)]
        for i, connection in enumerate(halves):
            connection.send(request(f"half-{i}")[:-20])
        slowest = 0
        for i in range(20):
            began = time.monotonic()
            with front.connect() as connection:
                connection.send(request(f"new-{i}"))
                statuses.append(connection.reply().status)
            slowest = max(slowest, time.monotonic() - began)
        # Each of them has its turn again.
        for i, connection in enumerate(kept):
            connection.send(request(f"again-{i}"))
            statuses.append(connection.reply().status)
        for i, connection in enumerate(halves):
            connection.send(request(f"half-{i}")[-20:])
            statuses.append(connection.reply().status)
        equal(collections.Counter(statuses), {202: 3 * IDLE + 20},
              f"{front.title}: {2 * IDLE} idle connections and 2 threads")
        check(slowest < 5, f"{front.title}: nobody waits for them", slowest)
        found = redis.client.value(KEY)
        check(len(found) == 3 * IDLE + 20 and set(found.values()) == {b"1"},
              f"{front.title}: each of them counts once", len(found))
        for connection in kept + halves:
            connection.close()


def a_test_of(kind):
    def test():
        under_load(kind)
        busy(kind)
    test.__name__ = kind.__name__
    return test


run([a_test_of(kind) for kind in fronts if kind.shape == "beside-unleash"])
