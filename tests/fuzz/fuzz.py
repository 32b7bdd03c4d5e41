"""Fuzz with all harnesses, one after the other, and count what was tried.

usage: fuzz.py BUILD [--seconds N] [--keep] [NAME...]

BUILD is a build with --enable-fuzzer (tests/run fuzz makes one).  N is how long
a harness runs on average, 60 by default: those whose inputs take longest to try
get more of it.  What is found on the way gathers in BUILD/fuzz-found/NAME, and a
finding in BUILD/fuzz-findings.  --keep puts into the tree the least of it
that reaches all that is known to be reached.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

from tests.fuzz import corpus

HERE = os.path.dirname(os.path.abspath(__file__))

# Each harness, its share of the time, and options for it.
HARNESSES = {
    "body": (3, ["-max_len=600"]), "cluster": (1.5, []), "config": (1, []),
    "date": (0.3, []),
    "json": (1, ["-max_len=600"]), "number": (0.3, []), "codec": (1, []),
    "redis": (2, []), "request": (2, []), "stats": (0.4, []),
    "spool": (1.5, []), "text": (0.5, []), "token_file": (0.5, []),
    "decompress": (1, ["-max_len=600"]),
}


def settings(build):
    """Why these: see README.md."""
    temporary = os.path.join(build, "fuzz-temporary")
    os.makedirs(temporary, exist_ok=True)
    return {**os.environ, "TMPDIR": temporary,
            "ASAN_OPTIONS": "allocator_may_return_null=1:"
                            "max_allocation_size_mb=512",
            "LSAN_OPTIONS": "print_suppressions=0:suppressions=" +
                            os.path.join(HERE, "..", "lsan.supp"),
            "UBSAN_OPTIONS": "print_stacktrace=1"}


def fuzz(build, name, *options):
    """Run a harness; return whether it was content, and what it printed."""
    words = os.path.join(HERE, name + ".dict")
    findings = os.path.join(build, "fuzz-findings")
    os.makedirs(findings, exist_ok=True)
    done = subprocess.run(
        [os.path.join(build, "tests", "fuzz", name), "-dict=" + words,
         "-malloc_limit_mb=100000", f"-artifact_prefix={findings}/{name}-",
         *options], env=settings(build), stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    return done.returncode == 0, done.stdout


def found_by(build, name):
    """The directory of its inputs, which begins with those of the tree."""
    directory = os.path.join(build, "fuzz-found", name)
    corpus.unpack(os.path.join(HERE, "corpus", name + ".corpus"), directory)
    return directory


def try_one(build, name, seconds):
    share, options = HARNESSES[name]
    total = sum(share for share, _ in HARNESSES.values())
    seconds = max(1, int(seconds * share * len(HARNESSES) / total))
    content, output = fuzz(build, name, *options, "-print_final_stats=1",
                           f"-max_total_time={seconds}",
                           found_by(build, name))
    match = re.search(r"number_of_executed_units: (\d+)", output)
    number = int(match.group(1)) if match else 0
    print(f"{name:10} {number:12,} in {seconds:4} s" +
          ("" if content and number else "  FINDING"), flush=True)
    if not (content and number):
        print(output[-6000:], flush=True)
    return content and number > 0, number


def keep(build, name):
    """Make the tree's corpus of the least that reaches as much."""
    least = os.path.join(build, "fuzz-least")
    shutil.rmtree(least, ignore_errors=True)
    os.makedirs(least)
    content, output = fuzz(build, name, *HARNESSES[name][1], "-merge=1",
                           least, found_by(build, name))
    if not content:
        sys.exit(output)
    corpus.pack(least, os.path.join(HERE, "corpus", name + ".corpus"))


def main():
    parser = argparse.ArgumentParser(
        usage=__doc__.partition("usage: ")[2])
    parser.add_argument("build")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_intermixed_args()
    build = os.path.abspath(options.build)
    every, content = 0, True
    for name in options.names or sorted(HARNESSES):
        fine, number = try_one(build, name, options.seconds)
        content = content and fine
        every += number
        if options.keep and fine:
            keep(build, name)
    print(f"{every:,} executions, {'no' if content else 'a'} finding")
    sys.exit(0 if content else 1)


main()
