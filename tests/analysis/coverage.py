"""Which lines of lib/ the tests have executed.

usage: coverage.py BUILD

BUILD is a build with --enable-coverage in which tests have run (tests/run
coverage does both).  Prints a line for each file and each function of which
something is left, and fails if less than 95 % of all lines were executed.
What a run leaves differs a little, as some lines are for races and for time.
"""

import collections
import glob
import json
import os
import subprocess
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
ENOUGH = 95

ABORT = "it aborts, and a process that does writes no counts"
NEVER = "a guard: no input leads there"
FREE = "free of NULL, which nobody happens to need"
THREAD = "no thread is to be had"
LIBRARY = "the library asks for the function and does not call it"
RACE = "another process must come in between"

# Why a function is not executed whole.
LEFT = {
    "alloc_resize": ABORT, "block_create": ABORT, "buffer_room": ABORT,
    "checked": ABORT,
    "calls_add_identity": NEVER, "load_defaults": NEVER,
    "quantity_range": NEVER, "redis_script": NEVER, "set_name": NEVER,
    "element_take": NEVER, "schema_expected": NEVER, "take_byte": NEVER,
    "unpack_bytes": NEVER, "unpack_feed": NEVER, "join": NEVER,
    "spelling_distance": NEVER, "time_until": NEVER,
    "admission_free": FREE, "issuer_stop": FREE, "redis_free": FREE,
    "sink_free": FREE,
    "commit_start": THREAD, "issuer_start": THREAD, "replay_start": THREAD,
    "start_thread": THREAD,
    "yajl_give_back": LIBRARY, "zlib_give_back": LIBRARY,
    "settle": RACE, "try_lock": RACE, "let_settle": RACE, "lock": RACE,
    "replay_all": RACE, "wait_for_room": RACE,
    "has_room": "a group that fills up just then",
    "flush": "calls of a group that Redis took in part, sent again",
    "flush_gathered": "Redis is away at the very end",
    "run": "Redis is away at the very end",
    "feed_batch": "what a reader takes beyond the elements, each of which is "
                  "looked at before",
    "cache_open": "a file that is something else; the same is tried for stats",
    "take_context": "hiredis finds no memory",
    "make_non_blocking": "fcntl fails",
    "connect_host": "all addresses of a host fail, or time runs out between",
    "convert_integers": "a reply of more integers than any script's",
    "exchange": "hiredis finds no memory; a connection that breaks again and "
                "again",
    "resolve_addresses": "a name server's own error of the system",
    "allow": "a system call that this machine has not got",
    "allow_if": "a system call that this machine has not got",
    "encode_impact": "an environment whose metrics were all left out",
    "impact_count": "a sample beyond the limit of memory",
    "registration_count": "an application beyond the limit of memory",
    "admission_ask": "Redis goes away between two questions of a group",
    "consider_root": "Redis goes away between two questions of a group",
    "arena_take": "a size that wraps round, which nobody asks for",
    "close_shown": "a system without /proc",
    "admit": "more applications in a group than are asked of at once",
    "lose": "a sink that has nobody to keep what is refused",
    "first_line": "a read that fails: of a directory it does",
    "examine": "a file whose state cannot be read",
    "replace": "a directory in which no file can be made",
    "place_put_aside": "a damaged file that cannot be renamed",
    "place_is_remote": "a network's file system",
    "fail": "a lock that is held for too long",
    "query": "SQLite fails while it is asked for a number",
    "open_with": "a database that can only be read",
    "begin": "a lock that is held for too long",
    "spool_lock": "a lease that cannot be made",
    "read_file": "a token file that goes away between two calls",
    "replay_calls": "the spool fails while a record is removed",
    "replay_stop": "a second's fraction that carries",
    "prepare_tallies": "the spool fails while a group is made",
    "take_tally": "two tallies that may not be merged",
    "are_many": "the spool fails while its records are counted",
    "merge_some": "the spool fails while tallies are merged",
}


def documents(build):
    """What gcov says of each object, also of those that never ran."""
    for notes in sorted(glob.glob(os.path.join(build, "lib", "*.gcno"))):
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
            if not path.startswith("lib/"):
                continue
            for line in file["lines"]:
                number = line["line_number"]
                counts[path][number] += line["count"]
                owners[path][number] = line.get("function_name", "")
    return counts, owners


def left_in(path, counts, owners):
    """{function: lines that were not executed}."""
    found = collections.defaultdict(list)
    for number, count in sorted(counts.items()):
        if count == 0:
            found[owners[number]].append(number)
    return found


def main():
    counts, owners = measure(sys.argv[1])
    every = sum(len(lines) for lines in counts.values())
    done = sum(count > 0 for lines in counts.values()
               for count in lines.values())
    for path, lines in sorted(counts.items()):
        executed = sum(count > 0 for count in lines.values())
        print(f"{path:24} {executed:4} of {len(lines):4} lines "
              f"{100 * executed / len(lines):6.1f} %")
        for name, numbers in left_in(path, lines, owners[path]).items():
            print(f"    {name}: {' '.join(map(str, numbers))}: "
                  f"{LEFT.get(name, 'has no reason here')}")
    share = 100 * done / every
    print(f"lib: {done} of {every} lines, {share:.1f} %")
    return 0 if share >= ENOUGH else 1


sys.exit(main())
