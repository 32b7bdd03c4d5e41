"""Static analysis of the program: gcc -fanalyzer, clang-tidy, cppcheck.

What one of them says is a failure, unless an exception below argues that it may
be; and one that argues against nothing any more is a failure, too.  The tests
themselves are not tried: for them there are the compilers' warnings and the
sanitizers.
"""

import concurrent.futures
import os
import re
import subprocess
import time

from tests.harness.tap import check, note, run

# One to a line; see local.mk.
FLAGS = os.environ["ANALYSIS_FLAGS"]
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

CHECKS = "-*,bugprone-*,cert-*,concurrency-*,clang-analyzer-*"

# Checks that say nothing here, whatever they say.
DISABLED = {
    "bugprone-easily-swappable-parameters":
        "two lengths or two texts side by side are what C offers; the "
        "headers have the contracts, and the tests call every function",
    "bugprone-narrowing-conversions":
        "the compilers' -Wconversion looks for the same, and knows that a "
        "character constant, which is an int in C, fits into a char",
    "bugprone-not-null-terminated-result":
        "texts travel with their lengths (lib/base/text.h); bytes of RESP and JSON "
        "that are copied without a NUL are no strings",
    "bugprone-sizeof-expression":
        "arrays of pointers are sorted and allocated, and their elements are "
        "named by sizeof(*array)",
    "clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling":
        "it asks for memcpy_s and the like, which no libc here has",
}

# check: {function: why its results need no look, or why it is safe here}.
EXCEPTIONS = {
    "concurrency-mt-unsafe": {
        "getenv": "nobody changes the environment while there are threads",
        "getopt_long": "no thread runs yet",
        "mallopt": "no thread runs yet",
        "readdir": "each caller reads a directory that it has opened itself",
        "setenv": "no thread runs yet",
        "strerror": "musl's never changes, and glibc's has a buffer for "
                    "each thread since 2.32; before, only the text of an "
                    "unknown number is in a common one",
    },
    "cert-err33-c": {
        "fclose": "it was only read, or its memory is all there is to it",
        "fflush": "as with fprintf",
        "fprintf": "standard output is looked at once, at the end of main; of "
                   "an error on standard error nobody could be told",
        "fputc": "as with fprintf",
        "fputs": "as with fprintf",
        "fwrite": "as with fprintf",
        "putc": "as with fprintf",
        "setvbuf": "it could only be slower",
        "signal": "SIGPIPE can be ignored",
        "snprintf": "messages may be cut off, and what may not is given as "
                    "much room as it can take, or is looked at",
        "strftime": "a time always fits into its room",
        "vsnprintf": "as with snprintf",
    },
}

# As deep as it goes in twenty seconds: by default it gives up on a function
# much earlier.  Unoptimised code keeps the shape of the source.
GCC = ["gcc", "-std=gnu17", "-O0", "-fanalyzer", "-c", "-o", "/dev/null",
       "--param", "analyzer-bb-explosion-factor=30",
       "--param", "analyzer-max-enodes-per-program-point=12"]

DIAGNOSIS = re.compile(
    r"^(/?[^\s:]+):(\d+):(\d+): (?:warning|error|fatal error|style|"
    r"performance|portability): (.*) \[([\w.,-]+)(?:,-warnings-as-errors)?\]$")


def sources(*folders):
    return sorted(os.path.relpath(os.path.join(path, name), TOP)
                  for folder in folders
                  for path, _, names in os.walk(os.path.join(TOP, folder))
                  for name in names if name.endswith(".c"))


def execute(command):
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True,
                          check=False, env={**os.environ, "LC_ALL": "C"})
    return done.returncode, done.stdout + done.stderr


def analyse(job):
    """Run one command; return what it said, or that it failed."""
    name, command = job
    status, output = execute(command)
    found = [DIAGNOSIS.match(line) for line in output.splitlines()]
    found = [match.groups() for match in found if match]
    if status != 0 and not found:
        return name, [(name, "1", "1", output[-2000:], "failed")]
    return name, found


def word_at(path, line, column):
    """The name that a diagnosis points at."""
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        text = file.read().splitlines()[int(line) - 1]
    match = re.match(r"\w+", text[int(column) - 1:])
    return match.group() if match else ""


def argued(diagnosis, used):
    path, line, column, _, kind = diagnosis
    reasons = EXCEPTIONS.get(kind)
    if reasons is None:
        return False
    word = word_at(path, line, column)
    used.add((kind, word))
    return word in reasons


def commands(files, flags):
    tidy = ["clang-tidy", "--quiet", "--checks=" + ",".join(
        [CHECKS] + ["-" + name for name in DISABLED])]
    # One call for each file: its analysis of va_list mixes files up.
    for name in files:
        yield f"gcc: {name}", [*GCC, *flags, name]
        yield f"clang-tidy: {name}", [*tidy, name, "--", *flags]
    yield "cppcheck", [
        "cppcheck", "--quiet", "--std=c11", "--inline-suppr",
        "--enable=warning,portability,performance",
        "--template={file}:{line}:{column}: {severity}: {message} [{id}]",
        "--error-exitcode=1", "-D_GNU_SOURCE",
        *(flag for flag in flags if flag.startswith("-I")), *files]


def analysis():
    with open(FLAGS, encoding="utf-8") as file:
        flags = file.read().splitlines()
    files = sources("lib", "fcgi")
    used = set()
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, found in pool.map(analyse, commands(files, flags)):
            wrong = [diagnosis for diagnosis in found
                     if not argued(diagnosis, used)]
            check(not wrong, f"{name}: nothing to say", *(
                f"{path}:{line}:{column}: {text} [{kind}]"
                for path, line, column, text, kind in wrong))
    cpu = sum(os.times()[2:4])
    note(f"{time.monotonic() - began:.0f} s, {cpu:.0f} s of a processor")
    for kind, reasons in EXCEPTIONS.items():
        for word in reasons:
            check((kind, word) in used,
                  f"the exception for {word} from {kind} is needed")


run([analysis])
