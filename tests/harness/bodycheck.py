"""Bodies for the program that reads each in pieces of many sizes.

BODYCHECK names it; see tests/tools/bodycheck.c.
"""

import os
import struct
import subprocess
import sys
import tempfile

PROGRAM = os.environ.get("BODYCHECK")
if not PROGRAM:
    sys.exit("BODYCHECK must name the program that reads the bodies")


def verdicts(bodies, *options):
    """What it says of each body, as a list of columns: ["ok"] or a fault's
    code, pointer (escaped as in JSON), offset and detail."""
    with tempfile.TemporaryFile() as given:
        given.write(b"".join([struct.pack("!I", len(body)) + body
                              for body in bodies]))
        given.seek(0)
        done = subprocess.run([PROGRAM, *options, "--stream"], stdin=given,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=600, check=False)
    lines = done.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1]
    if len(lines) != len(bodies):
        raise RuntimeError("%d lines for %d bodies, exit status %d: %s" % (
            len(lines), len(bodies), done.returncode,
            done.stderr.decode("utf-8", "replace")[-2000:]))
    return [line.split("\t")[1:] for line in lines]
