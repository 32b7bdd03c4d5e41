"""Waiting for conditions; nothing here ever waits for time to pass."""

import time

LIMIT = 20.0


def until(condition, what, limit=LIMIT, pause=0.002):
    """Return the condition's first true value; raise after the limit.

    A test that measures pauses for longer between two looks.
    """
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit} s for {what}")
        time.sleep(pause)
