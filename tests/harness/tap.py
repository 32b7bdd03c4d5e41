"""Checks that print the Test Anything Protocol (TAP, version 12)."""

import os
import resource
import sys
import time
import traceback

_count = 0
_failed = 0


def check(condition, name, *details):
    """Print whether a condition holds, and the details if it does not."""
    global _count, _failed
    _count += 1
    if condition:
        print(f"ok {_count} - {name}", flush=True)
        return True
    _failed += 1
    print(f"not ok {_count} - {name}", flush=True)
    for detail in details:
        for line in str(detail).splitlines():
            print(f"# {line[:2000]}", flush=True)
    return False


def equal(got, wanted, name):
    """Check that two values are equal, and show where they differ."""
    if got == wanted:
        return check(True, name)
    return check(False, name, *differences(got, wanted))


def differences(got, wanted):
    """Lines that say how two values differ."""
    if not (isinstance(got, dict) and isinstance(wanted, dict)):
        return [f"got    {got!r}", f"wanted {wanted!r}"]
    lines = []
    for key in sorted(set(got) | set(wanted), key=repr):
        if key not in got:
            lines.append(f"missing {key!r}: {wanted[key]!r}")
        elif key not in wanted:
            lines.append(f"extra   {key!r}: {got[key]!r}")
        elif got[key] != wanted[key]:
            lines.append(f"at {key!r}:")
            lines += ["    " + line
                      for line in differences(got[key], wanted[key])]
    return lines[:40]


def note(text):
    """Print a remark."""
    print(f"# {text}", flush=True)


def clocks():
    """Seconds that have passed, and those of a processor in our processes."""
    used = [resource.getrusage(which) for which in
            (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.monotonic(), sum(one.ru_utime + one.ru_stime for one in used)


def run(tests):
    """Run the functions, each of which may fail as a whole, and end.

    With names on the command line, run only those.  How long each takes is
    noted, for the table of tests/run.
    """
    names = sys.argv[1:]
    for test in tests:
        if names and test.__name__ not in names:
            continue
        start = clocks()
        try:
            test()
        except Exception:
            check(False, test.__name__, traceback.format_exc())
        passed, used = (now - then for now, then in zip(clocks(), start))
        note(f"{test.__name__} took {passed:.1f} s, {used:.1f} of a processor")
    print(f"1..{_count}", flush=True)
    # Threads of a test that went wrong must not keep us.
    os._exit(1 if _failed or not _count else 0)
