"""The tests themselves: however they are started, they go as they should.

A parent that ignores and blocks signals (a background job, nohup), has closed
standard input, and leaves the variables of a web server or systemd.
"""

import os
import re
import signal
import subprocess
import sys

from tests.harness import OF_PYTHON, VARIABLES
from tests.harness.servers import PROGRAM
from tests.harness.tap import check, equal, run

HERE = os.path.dirname(os.path.abspath(__file__))
UNIT = os.path.join(os.path.dirname(os.path.abspath(PROGRAM)), "..", "tests",
                    "unit")
# What a process that a test starts has inherited.
CHILD = """
import subprocess, sys
from tests.harness.servers import environment
text = "cat /proc/self/status; ls /proc/self/fd; umask; env"
sys.stdout.write(subprocess.run(["/bin/sh", "-c", text], env=environment(),
                                capture_output=True, text=True).stdout)
"""


def hostile():
    """What is done between fork and exec."""
    for number in signal.valid_signals() - OF_PYTHON - {
            signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    os.umask(0o777)
    os.close(0)


def started(*command):
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120,
        preexec_fn=hostile, env={**os.environ,
                                 **{name: "0" for name in VARIABLES}})
    return done.returncode, done.stdout, done.stderr


def inherited():
    status, output, errors = started(sys.executable, "-c", CHILD)
    equal((status, errors), (0, ""), "a test is started")
    for name in ("SigIgn", "SigBlk"):
        mask = int(re.findall(rf"^{name}:\s*(\w*)$", output, re.M)[0], 16)
        # The C library keeps 32 and 33 to itself: nobody can set them.
        equal(mask & ~(3 << 31), 0, f"{name}: its processes get all signals")
    check(re.search(r"^0\n1\n2\n", output, re.M),
          "they have the standard descriptors", output)
    check("\n0022\n" in output, "and the usual umask", output)
    equal([name for name in VARIABLES if f"\n{name}=" in output], [],
          "and no variable that says what they are")


def real_ones():
    """Tests that failed, or would fail, under such a parent."""
    for command in ([sys.executable, "-B", os.path.join(HERE, "durable.py"),
                     "at_the_shell"],
                    [os.path.join(UNIT, "sandbox")],
                    [os.path.join(UNIT, "log")]):
        status, output, errors = started(*command)
        equal(status, 0, f"{os.path.basename(command[-1])} passes")
        check("not ok" not in output, "with all its checks", output, errors)


def all_of_them():
    """Only a test that imports the harness is started as it sets things."""
    for room in ("system", "deploy"):
        folder = os.path.join(HERE, "..", room)
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".py"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                check(re.search(r"^(from|import) tests\.", file.read(), re.M),
                      f"{room}/{name} imports the harness")


run([inherited, real_ones, all_of_them])
