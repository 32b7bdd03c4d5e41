"""Random bodies, many at once: Redis must hold what the model says."""

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness import fcgi
from tests.harness.generate import Bodies
from tests.harness.model import Model
from tests.harness.servers import Flagtally, Lighttpd, Place, Redis
from tests.harness.tap import check, equal, note, run

SEED = int(os.environ.get("FLAGTALLY_SEED") or
           int.from_bytes(os.urandom(4), "big"))
SCALE = float(os.environ.get("FLAGTALLY_SCALE") or 1)
TOKENS = {"*": "*:*.all", "prod": "default:prod.one", "é{:}%": "p:é{:}%.two"}
ENVIRONMENTS = ["prod", "é{:}%", "default", "dev", ""]


def start(place, **options):
    redis = Redis(place, appendfsync="everysec")
    tokens = place.file("tokens", "\n".join(TOKENS.values()) + "\n")
    return redis, Flagtally(place, redis, auth="tokens", tokens=tokens,
                            limit_apps=0, **options)


def compare(redis, model, name):
    differences = model.differences(redis.client.everything(),
                                    int(time.time()))
    check(not differences, name, f"seed {SEED}", *differences[:30])


def in_order():
    """One client: what takes the latest value takes the last one."""
    bodies = Bodies(random.Random(SEED), ENVIRONMENTS, conflicts=True)
    with Place() as place:
        redis, flagtally = start(place)
        model = Model()
        connection = fcgi.Connection(flagtally.address)
        wrong = []
        for _ in range(int(1500 * SCALE)):
            body = bodies.body()
            scope = bodies.random.choice(list(TOKENS))
            answer = connection.request(
                fcgi.params(body, HTTP_AUTHORIZATION=TOKENS[scope]), body,
                keep=True, piece=bodies.random.choice([1000, 65528]))
            model.body(body, scope)
            if answer.status != 202:
                wrong.append((answer.body, body))
        equal(wrong[:3], [], "all bodies of one client are accepted")
        compare(redis, model, "in order, Redis and the model agree")


def at_once():
    """16 clients through a web server; their order is not known."""
    with Place() as place:
        redis, flagtally = start(place)
        web = Lighttpd(place, socket_of=flagtally.address)
        model = Model()
        lock = threading.Lock()
        wrong = []

        def client(number):
            bodies = Bodies(random.Random(SEED * 100 + number), ENVIRONMENTS)
            for _ in range(int(150 * SCALE)):
                body = bodies.body()
                scope = bodies.random.choice(list(TOKENS))
                status, text, _ = web.post(body, {
                    "Authorization": TOKENS[scope].encode()})
                with lock:
                    model.body(body, scope, ordered=False)
                    if status != 202:
                        wrong.append((status, text, body))

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(client, range(16)))
        equal(wrong[:3], [], "all bodies of 16 clients are accepted")
        compare(redis, model, "at once, Redis and the model agree")


note(f"seed {SEED}: repeat with FLAGTALLY_SEED={SEED}")
run([in_order, at_once])
