"""Failovers by kill -9 under load: nothing is lost, and nothing counts twice.

FLAGTALLY_FAILOVERS says how many there are in a row (a few in the tests, 20 by
hand).  What happens when comes from a printed seed; FLAGTALLY_SEED repeats it.
"""

import os
import random
import signal
import subprocess

from tests.harness.failover import Watched
from tests.harness.load import KEY, Load
from tests.harness.servers import (PROGRAM, Flagtally, Lighttpd, Place,
                                   environment)
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

SEED = int(os.environ.get("FLAGTALLY_SEED") or
           int.from_bytes(os.urandom(3), "big"))
FAILOVERS = int(os.environ.get("FLAGTALLY_FAILOVERS") or 2)
CLIENTS = 16


def waiting(place):
    """How many records wait in the spool."""
    listed = subprocess.run(
        [os.path.abspath(PROGRAM), "--spool"], capture_output=True, text=True,
        timeout=60, check=False, env=environment(
            spool=place.file("spool.db"))).stdout
    return len([line for line in listed.splitlines()
                if not line.startswith("#")])


def kill(watched, load, chance):
    """Kill the master, half of the times with counts that it has alone."""
    former = watched.master()
    replica = next(server for server in watched.servers
                   if server is not former)
    behind = chance.random() < 0.5
    if behind:
        # What the socket holds would still reach it.
        replica.signal(signal.SIGSTOP)
        former("CLIENT", "KILL", "TYPE", "replica")
        load.moved_on(chance.randrange(20, 60))
    former.kill()
    if behind:
        replica.signal(signal.SIGCONT)
    load.moved_on(chance.randrange(1, 100))
    return former, "behind" if behind else "up to date"


def back(watched, former, chance):
    """Start the former master again, at one of the bad moments."""
    when = chance.choice(["under way", "over"])
    if when == "under way":
        until(lambda: any(b"failover_in_progress" in flags for flags in
                          watched.flags()), "the failover to begin")
        former.start()
    master = watched.moved_from(former)
    if when == "over":
        former.start()
    return master, when


def failovers():
    """One replica, which must confirm; 16 clients; the master is killed."""
    chance = random.Random(SEED)
    with Place() as place:
        watched = Watched(place)
        flagtally = Flagtally(place, watched.url(),
                              spool=place.file("spool.db"),
                              flush_interval="100ms", redis_replicas=1,
                              limit_features=0)
        web = Lighttpd(place, socket_of=flagtally.address)
        load = Load(lambda: [web.port], CLIENTS, pause=0.02)
        for number in range(FAILOVERS):
            former = watched.master()
            confirmed = former.calls("wait")
            until(lambda: former.calls("wait") > confirmed + 5,
                  "groups that are confirmed", 60)
            load.moved_on(chance.randrange(1, 300))
            former, state = kill(watched, load, chance)
            master, when = back(watched, former, chance)
            watched.settled()
            check(master is not former, f"failover {number + 1} to a replica "
                  f"that was {state}; the former master came back when it "
                  f"was {when}")
        load.moved_on(100)
        load.stop()
        until(lambda: waiting(place) == 0, "replay", 60)
        note(load)
        master = watched.master()
        lines = load.differences(master)
        check(not lines, f"seed {SEED}: of {len(load.accepted)} counts that "
              "got 202, none is lost or doubled", *lines,
              place.read("flagtally.log")[-3000:] if lines else "")
        equal({status for _, status in load.statuses}, {202},
              "every post got 202")
        check(load.slowest < 5, "before a client of Edge gives up",
              load.slowest)
        replica = next(server for server in watched.servers
                       if server is not master)
        equal(replica("HLEN", KEY), master("HLEN", KEY),
              "the replica has them, too")


note(f"seed {SEED}: repeat with FLAGTALLY_SEED={SEED}")
run([failovers])
