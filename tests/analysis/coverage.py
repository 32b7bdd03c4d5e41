"""Which lines of the program the tests have executed.

usage: coverage.py BUILD

BUILD is a build with --enable-coverage in which tests have run (tests/run
coverage does both).  Prints a line for each file and each function of which
something is left.  Fails if less than 95 % of all lines were executed, or if a
function was never called and LEFT has no reason.  What a run leaves differs a
little, as some lines are for races and for time.
"""

import collections
import glob
import json
import os
import subprocess
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
ENOUGH = 95

# Functions that no test calls, and why.
LEFT = {
    "become_owner": "it makes the process another user's, who cannot write "
                    "the counts of the build",
    "take_nothing": "the reader skips values of which nothing is taken",
    "yajl_give_back": "yajl asks for it, and frees a parser with its arena",
    "zlib_give_back": "zlib asks for it, and frees a stream with its arena",
}


def documents(build):
    """What gcov says of each object, also of those that never ran."""
    for notes in sorted(glob.glob(os.path.join(build, "lib", "*", "*.gcno")) +
                        glob.glob(os.path.join(build, "fcgi", "*.gcno"))):
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", os.path.relpath(
                notes, build)], cwd=build, capture_output=True, check=True)
        for line in done.stdout.splitlines():
            yield json.loads(line)


def measure(build):
    """{file: {line: times}} and {file: {line: function}}."""
    counts = collections.defaultdict(collections.Counter)
    owners = collections.defaultdict(dict)
    for document in documents(build):
        for file in document["files"]:
            path = os.path.relpath(os.path.join(
                build, file["file"]), TOP)
            if not path.startswith(("lib/", "fcgi/")):
                continue
            for line in file["lines"]:
                number = line["line_number"]
                counts[path][number] += line["count"]
                owners[path][number] = line.get("function_name", "")
    return counts, owners


def functions(counts, owners):
    """{function: (lines that were executed, lines that were not)}."""
    found = collections.defaultdict(lambda: ([], []))
    for number, count in sorted(counts.items()):
        found[owners[number]][count == 0].append(number)
    return found


def main():
    counts, owners = measure(sys.argv[1])
    every = sum(len(lines) for lines in counts.values())
    done = sum(count > 0 for lines in counts.values()
               for count in lines.values())
    wrong, known = [], set()
    for path, lines in sorted(counts.items()):
        executed = sum(count > 0 for count in lines.values())
        print(f"{path:28} {executed:4} of {len(lines):4} lines "
              f"{100 * executed / len(lines):6.1f} %")
        for name, (ran, left) in functions(lines, owners[path]).items():
            known.add(name)
            if left:
                print(f"    {name}: {' '.join(map(str, left))}")
            if not ran:
                print(f"        never called: {LEFT.get(name, 'why?')}")
                if name not in LEFT:
                    wrong.append(name)
    wrong += sorted(set(LEFT) - known)
    share = 100 * done / every if every else 0
    print(f"{done} of {every} lines, {share:.1f} %")
    print("to be explained, or explained and not there:", *wrong)
    return 0 if share >= ENOUGH and not wrong else 1


sys.exit(main())
