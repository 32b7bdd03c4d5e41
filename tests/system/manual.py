"""The manual pages say what the program does, all of it, and nothing else.

What the program knows is asked of the program where it can tell, and else read
from the source.  What is missing is named, with the page that it is missing
from; the forms that are expected are those of the items that are there.
"""

import errno
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types

from tests.harness import fcgi
from tests.harness.servers import (PROGRAM, Flagtally, Place, Redis,
                                   connects, environment, find)
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PAGES = {name: os.path.join(TOP, "deploy", "man", name) for name in
         ("flagtally.8", "flagtally.ini.5", "flagtally.7")}
PATH = os.path.abspath(PROGRAM)
LARGEST = 2 ** 52


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


SOURCE = {name: read(PAGES[name]) for name in PAGES}


# Pages

def section(page, title):
    """The lines of a section, with its subsections, or of a subsection."""
    found = re.search(rf"^\.Sh {re.escape(title)}\n(.*?)(?=^\.Sh |\Z)|"
                      rf"^\.Ss {re.escape(title)}\n(.*?)(?=^\.S[hs] |\Z)",
                      SOURCE[page], flags=re.M | re.S)
    return (found[1] or found[2]) if found else ""


def plain(text):
    """Text without the escapes that stand for characters."""
    for escape, character in ((r"\(dq", '"'), (r"\(aq", "'"), (r"\(ha", "^"),
                              (r"\(ti", "~"),
                              (r"\e", "\\"), (r"\&", ""), (r"\~", " ")):
        text = text.replace(escape, character)
    return text


def items(page, macro, title=None):
    """{word: the text after it, up to the next item} of a page's lists."""
    text = section(page, title) if title else SOURCE[page]
    found = {}
    for words, after in re.findall(
            rf"^\.It {macro} (.*)\n(.*(?:\n(?!\.It |\.El|\.S[hs] ).*)*)",
            text, flags=re.M):
        found[plain(words)] = plain(after)
    return found


def mentions(page, macro):
    """All words that a macro marks up anywhere in a page."""
    found = set()
    for line in re.findall(rf"^\.(?:\w\w )*?(?:Op )?{macro} (.*)$",
                           SOURCE[page], flags=re.M):
        for word in line.split():
            if re.fullmatch(r"[A-Z][a-z]", word):
                break
            if re.search(r"\w", word):
                found.add(word)
    return found


def sentence(text):
    """The first sentence of an item, whose lines may be filled."""
    text = " ".join(line for line in text.splitlines()
                    if not line.startswith("."))
    return re.split(r"\.(?: |$)", text)[0]


def compare(program, manual, what, page, form):
    """Check that the program's words are the manual's."""
    check(program <= manual, f"{page} has every {what}",
          *(f"{word}: the program has it and the page has not; there should "
            f"be an item like\n{form.format(word)}"
            for word in sorted(program - manual)))
    check(manual <= program, f"{page} has no other {what}",
          *(f"{word}: the page has it, and the program has not"
            for word in sorted(manual - program)))


# The program

def command(*arguments, **settings):
    done = subprocess.run([PATH, *arguments], env=environment(**settings),
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def configuration(**settings):
    """{key: value} as --check-config prints them; None and why if wrong."""
    status, output, errors = command("--config", os.devnull,
                                     "--check-config", **settings)
    if status != 0:
        return None, errors
    return {line.split(" = ")[0]: line.split(" = ", 1)[1].split(" ;")[0]
            for line in output.splitlines() if " = " in line}, errors


def code_constants(pattern, *names):
    """What a pattern finds in the files of the source."""
    return {found for name in names for path in
            sorted(glob.glob(os.path.join(TOP, name)))
            for found in re.findall(pattern, read(path))}


# Configuration

KEY_FORM = """.It Ic {}
Number from 1 to 1024, default 32.
(or Size, Duration, Mode, "Word: a, b or c, default b.", "Text, empty by \
default.")"""
TYPES = re.compile(
    r"(?:(?P<number>Number|Size|Duration|Mode) from (?P<least>\w+)"
    r"(?: to (?P<most>\w+))?|Word: (?P<words>[^.]*?)|(?P<text>Text))"
    r"(?:, default (?P<default>.*)|, (?P<empty>empty by default))")
UNITS = {"K": 2 ** 10, "M": 2 ** 20, "G": 2 ** 30, "ms": 1, "s": 1000,
         "m": 60000, "h": 3600000, "d": 86400000}


def units(kind, text):
    """A quantity in bytes, milliseconds, or as it is."""
    if kind == "Mode":
        return int(text, 8)
    digits, unit = re.fullmatch(r"(\d+)(\w*)", text).groups()
    if not unit:
        return int(digits) * (1000 if kind == "Duration" else 1)
    return int(digits) * UNITS[unit]


def written(kind, number):
    if kind == "Mode":
        return f"{number:o}"
    return f"{number}ms" if kind == "Duration" else str(number)


def keys():
    defaults, errors = configuration()
    check(defaults, "--check-config works", errors)
    described = items("flagtally.ini.5", "Ic")
    compare(set(defaults), set(described), "key", "flagtally.ini.5", KEY_FORM)
    for page in PAGES:
        unknown = mentions(page, "Ic") - set(defaults)
        check(not unknown, f"{page} mentions no other key", *unknown)
    for key, text in described.items():
        found = TYPES.fullmatch(sentence(text))
        if not check(found, f"flagtally.ini.5 says the type, range and "
                     f"default of {key}", sentence(text)):
            continue
        if key in defaults:
            default(key, found, defaults[key])
            accepts(key, found)


def default(key, found, printed):
    if key == "spool":
        # Where that is depends on how the program was configured.
        check(printed.endswith("lib/flagtally/spool.db") and
              "spool.db in lib/flagtally" in found["default"],
              "the default of spool", printed)
        return
    wanted = "" if found["empty"] else found["default"]
    if not found["text"]:
        values, errors = configuration(**{key: wanted})
        check(values, f"{key} may have its default", errors)
        wanted = (values or {}).get(key)
    equal(wanted, printed, f"the default of {key} in flagtally.ini.5")


def accepts(key, found):
    """The range or the words that a page says, and no more."""
    def status(value):
        values, errors = configuration(**{key: value})
        return "accepted" if values else errors
    if found["words"]:
        words = re.split(r", | or ", found["words"])
        for word in words:
            equal(status(word), "accepted", f"{key} may be {word}")
        check("no such value" in status("nonsense"),
              f"{key} may be nothing else")
    if not found["number"]:
        return
    kind = found["number"]
    least = units(kind, found["least"])
    most = units(kind, found["most"]) if found["most"] else LARGEST
    for value in (least, most):
        # What does not go together with other keys is another matter.
        check("out of range" not in status(written(kind, value)),
              f"{key} may be {written(kind, value)}")
    for value in ([least - 1] if least > 0 else []) + [most + 1]:
        check("out of range" in status(written(kind, value)),
              f"{key} may not be {written(kind, value)}",
              status(written(kind, value)))


def readme():
    """README.md has the same keys with the same defaults, if it has any."""
    table = re.search(r"^\| key \| default \|.*\n((?:\|.*\n)*)",
                      read("README.md"), flags=re.M)
    defaults, _ = configuration()
    seen = set()
    for row in table[1].splitlines()[1:] if table else []:
        names, values = (re.findall(r"`([^`]*)`", cell)
                         for cell in row.split("|")[1:3])
        values = values or [""]
        seen |= set(names)
        if not equal(len(names), len(values),
                     f"README.md: a default for each of {names}"):
            continue
        for name, value in zip(names, values):
            if name == "spool":
                continue
            parsed = configuration(**{name: value})[0] or {}
            equal(parsed.get(name), defaults.get(name),
                  f"README.md: the default of {name}")
    if seen:
        compare(set(defaults), seen, "key", "README.md",
                "| `{}` | `default` | meaning |")


def shipped():
    """deploy/flagtally.ini has every key, with its default."""
    found = dict(re.findall(r"^;(\w+) = *(.*)$", read(
        "deploy/flagtally.ini.in"), flags=re.M))
    defaults, _ = configuration()
    compare(set(defaults), set(found), "key", "deploy/flagtally.ini.in",
            ";{} = default")
    for key in set(found) & set(defaults) - {"spool"}:
        equal((configuration(**{key: found[key]})[0] or {}).get(key),
              defaults[key], f"deploy/flagtally.ini.in: the default of {key}")


def example_configurations():
    for number, text in enumerate(literals("flagtally.ini.5", "EXAMPLES")):
        with Place() as place:
            text = re.sub(r"(= *)/(?:etc|home/me/flagtally)/", r"\1" +
                          place.path + "/", text)
            for name in re.findall(rf"{place.path}/(\S*(?:password|tokens))",
                                   text):
                place.file(name, "*:*.secret\n")
            status, _, errors = command("--config", place.file("ini", text),
                                        "--check-config")
            equal((status, errors), (0, ""),
                  f"example {number + 1} of a configuration is one")
    text = literals("flagtally.ini.5", "TOKEN FILE")[0]
    tokens = [line for line in text.splitlines() if line[0] != "#"]
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, auth="tokens",
                              tokens=place.file("tokens", text),
                              spool=place.file("spool.db"))
        body = read("tests/example-request.json").encode()
        for line in tokens:
            token = line.split()[0]
            if token.startswith("sha256:"):
                continue
            answer = fcgi.post(flagtally.address, body,
                               HTTP_AUTHORIZATION=token)
            equal(answer.status, 403 if "frontend" in line else 202,
                  f"a token of the example: {line}")
        check(" tokens read" in place.read(flagtally.log) and
              "error" not in place.read(flagtally.log),
              "the example of a token file is one",
              place.read(flagtally.log))


# The command line, signals, and the end

def options():
    status, output, _ = command("--help")
    equal(status, 0, "--help is answered")
    known = set(re.findall(r"--([a-z][a-z-]*)", output))
    equal(known, code_constants(r'\{ "([a-z-]+)", (?:no|required)_argument',
                                "fcgi/main.c"),
          "--help has every option")
    described = {word.split()[0].lstrip("-")
                 for word in items("flagtally.8", "Fl", "DESCRIPTION")}
    compare(known, described, "option", "flagtally.8", ".It Fl -{}")
    synopsis = set(re.findall(r"-([a-z][a-z-]+)",
                              section("flagtally.8", "SYNOPSIS")))
    equal(synopsis, known, "the synopsis of flagtally.8 has every option")
    for words in (["--stale", "30d"], ["--top", "3", "--check-config"],
                  ["--check-config", "--spool"]):
        status, output, errors = command(*words)
        check(status == 64 and errors.startswith("usage: ") and not output,
              f"{' '.join(words)} is not in the synopsis, and an error",
              status, output, errors)
    for page in PAGES:
        unknown = set(re.findall(r"(?:\.Fl -|flagtally --)([a-z][a-z-]+)",
                                 SOURCE[page])) - known
        check(not unknown, f"{page} mentions no other option", *unknown)


def exit_codes():
    described = {int(code) for code in re.findall(
        r"^\.It (\d+)$", section("flagtally.8", "EXIT STATUS"), flags=re.M)}
    known = {int(code) for code in code_constants(
        r"#define (?:EXIT|SPOOLCTL|CHECK_EXIT)_\w+ (\d+)", "fcgi/*.[ch]")} | {0, 1}
    compare(known, described, "exit status", "flagtally.8", ".It {}")
    with Place() as place:
        path = place.file("spool.db", "")
        seen = {command("--version")[0],
                command("--spool", spool=path)[0],
                command("--nonsense")[0],
                command("--spool-drop", "x", spool=path)[0],
                command(threads="0")[0]}
        with open(path + ".lease", "w", encoding="ascii") as lease:
            fcntl.flock(lease, fcntl.LOCK_EX)
            seen.add(command("--replay", spool=path)[0])
        equal(seen, described, "each exit status is one that it ends with")


def signals():
    described = set(re.findall(r"^\.It Dv (SIG\w+)$",
                               section("flagtally.8", "SIGNALS"), flags=re.M))
    known = code_constants(r"sigaddset\(&signals, (SIG\w+)\)", "fcgi/main.c")
    compare(known, described, "signal", "flagtally.8", ".It Dv {}")
    for name in sorted(described):
        with Place() as place:
            tokens = place.file("tokens", "*:*.secret\n")
            flagtally = Flagtally(place, "unix:///nowhere", auth="tokens",
                                  tokens=tokens)
            began = time.monotonic()
            flagtally.signal(getattr(signal, name))
            if name == "SIGHUP":
                until(lambda: place.read(flagtally.log).count(
                    "tokens read") == 2, "the tokens are read again")
                check(flagtally.running(), "SIGHUP does not end it")
                continue
            equal(flagtally.wait(), 0, f"{name} ends it with status 0")
            note(f"{name}: {time.monotonic() - began:.3f} s")


def variables():
    """Variables of the environment and of a request, and none else."""
    described = set()
    for page in PAGES:
        described |= mentions(page, "Ev")
    known = code_constants(r'getenv\("([A-Z_]+)"', "fcgi/*.c", "lib/*/*.c") | \
        code_constants(r'setenv\("([A-Z_]+)"', "fcgi/*.c") | \
        code_constants(r'(?:cgi|has)_parameter\(cgi,\s*"([A-Z_]+)"',
                       "fcgi/*.c") | \
        code_constants(r'"(HTTP_[A-Z_]+[A-Z])"', "fcgi/*.c")
    ours = {name for name in described if name.startswith("FLAGTALLY_")}
    # Only a build for tests knows that one.
    known -= {"CRASH_AT"}
    compare(known | {"HTTP_AUTHORIZATION", "REDIRECT_HTTP_AUTHORIZATION"},
            described - ours, "variable", "flagtally.8", ".Ev {}")
    defaults, _ = configuration()
    unknown = ours - {"FLAGTALLY_", "FLAGTALLY_CONFIG"} - {
        "FLAGTALLY_" + key.upper() for key in defaults}
    check(not unknown, "no other variable of flagtally is in the manual",
          *unknown)


# Metrics

METRIC_FORM = """.It Dv {}
Counter by reason: environment, name.
(or Counter., Gauge., Histogram., with "by LABEL: VALUES" if it has a label)"""


def metrics():
    with Place() as place:
        flagtally = Flagtally(place, Redis(place), spool=place.file("s.db"))
        text = fcgi.post(flagtally.address, b"", REQUEST_METHOD="GET",
                         REMOTE_ADDR="127.0.0.1",
                         REQUEST_URI="/internal-backstage/metrics",
                         SCRIPT_NAME="/internal-backstage/metrics").body
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text.decode(),
                            flags=re.M))
    labels = {name: {} for name in kinds}
    for name, label, value in re.findall(r'^(\w+)\{(\w+)="([^"]*)"\}',
                                         text.decode(), flags=re.M):
        if label != "le":
            labels[name].setdefault(label, set()).add(value)
    described = items("flagtally.8", "Dv", "BACKSTAGE")
    compare(set(kinds), set(described), "metric", "flagtally.8", METRIC_FORM)
    for name in set(kinds) & set(described):
        found = re.fullmatch(r"(Counter|Gauge|Histogram)"
                             r"(?: by (\w+)(?:: (.*))?)?",
                             sentence(described[name]))
        if not check(found, f"flagtally.8 says what {name} is",
                     sentence(described[name])):
            continue
        equal(found[1].lower(), kinds[name], f"the type of {name}")
        wanted = {} if not found[2] else {
            found[2]: set(found[3].split(", ")) if found[3] else
            labels[name].get(found[2])}
        equal(wanted, labels[name], f"the labels of {name} in flagtally.8")
    for page in list(PAGES.values()) + ["README.md"]:
        unknown = set(re.findall(r"\bflagtally_[a-z]\w+", read(page))) - set(
            kinds)
        check(not unknown, f"{os.path.basename(page)} mentions no other "
              "metric", *unknown)
    codes = {int(code) for code in labels["flagtally_requests_total"]["code"]}
    described = {int(code) for code in re.findall(
        r"^\.It (\d+)$", section("flagtally.8", "Responses"), flags=re.M)}
    compare(codes, described, "status of a response", "flagtally.8", ".It {}")


# Redis

NAME = r"[A-Za-z0-9._~%-]*"
PLACES = {"ENV": NAME, "APP": NAME, "FEATURE": NAME, "VARIANT": NAME,
          "METRIC": r"[A-Za-z_]\w*", "ID": r"\w+", "LABELS": r".+",
          "HOUR": r"\d{4}-\d\d-\d\dT\d\d", "DAY": r"\d{4}-\d\d-\d\d",
          "BOUND": r'[^"]+', "P": "odd",
          "LIST": "(?:apps|environments|tokens:seen)"}
EVERYTHING = b"""{"applications": [
    {"appName": "a:b {c}", "instanceId": "i/1", "interval": 1, "environment":
     "e", "started": "2026-11-23T09:30:00Z", "strategies": []}],
"metrics": [{"featureName": "f:1", "appName": "a:b {c}", "environment": "e",
    "timestamp": "2026-11-23T09:30:00Z", "yes": 1, "no": 2,
    "variants": {"v w": 3}},
   {"featureName": "f:1", "appName": "a:b {c}", "environment": "e",
    "timestamp": "2001-02-03T04:30:00Z", "yes": 1, "no": 0, "variants": {}}],
"impactMetrics": [
    {"type": "counter", "name": "c-1", "help": "x", "samples":
     [{"value": 1}, {"value": 1.5, "labels": {"b": "x", "a": "y"}}]},
    {"type": "gauge", "name": "g", "help": "x", "samples":
     [{"value": 1}, {"value": 1, "labels": {"a": "y"}}]},
    {"type": "histogram", "name": "h", "help": "x", "samples":
     [{"count": 1, "sum": 2, "buckets": [{"le": 1, "count": 1},
       {"le": "+Inf", "count": 1}]},
      {"count": 1, "sum": 2, "labels": {"a": "y"},
       "buckets": [{"le": 0.5, "count": 1}]}]}],
"seenTokens": ["*:e.secret"]}"""
FULL_DAY = b"""{"applications": [],
"metrics": [{"featureName": "f:1", "appName": "a:b {c}", "environment": "e",
    "timestamp": "2026-11-23T10:30:00Z", "yes": 1, "no": 2,
    "variants": {"x y": 3}}]}"""
KEY_LINE = re.compile(r"(Hash|Set|Sorted set|String|Stream); "
                      r"(expires|does not expire)")
REDIS_TYPES = {b"hash": "Hash", b"set": "Set", b"zset": "Sorted set",
               b"string": "String", b"stream": "Stream"}


def expression(pattern):
    """A pattern of the manual as a regular expression."""
    if pattern == "(empty)":
        return ""
    return "".join(PLACES.get(part, re.escape(part)) for part in
                   re.findall(r"[A-Z]+|[^A-Z]+", pattern))


def one_of(name, patterns):
    """Those of the patterns that a name follows."""
    return [pattern for pattern in patterns
            if re.fullmatch(expression(pattern), name)]


def key_items():
    """{pattern: (type, whether it expires, patterns of its fields)}."""
    found, latest = {}, None
    text = section("flagtally.7", "For readers") + section(
        "flagtally.7", "For flagtally itself")
    for line in text.splitlines():
        item = re.match(r"\.It Li (.*)", plain(line))
        if item and item[1].startswith("P:"):
            latest = item[1]
        elif item:
            found[latest][2].extend(item[1].split(" , "))
        elif latest is not None and latest not in found:
            said = KEY_LINE.fullmatch(line.rstrip("."))
            check(said, f"flagtally.7 says the type of {latest}, and whether "
                  "it expires", line)
            found[latest] = (said[1] if said else "",
                             bool(said) and said[2] == "expires", [])
    return found


def fields_of(redis, key):
    """The fields of a hash, or of all entries of a stream."""
    if redis("TYPE", key) != b"stream":
        return list(redis.client.value(key))
    return [field for _, entry in redis("XRANGE", key, "-", "+")
            for field in entry[::2]]


def redis_keys():
    described = key_items()
    fields = {field: pattern for pattern in described
              for field in described[pattern][2]}
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis, prefix="odd", feed=10,
                              limit_variants=3)
        for body in (EVERYTHING, FULL_DAY):
            equal(fcgi.post(flagtally.address, body).status, 202,
                  "a body with everything is accepted")
        edge = "/api/client/metrics/edge"
        equal(fcgi.post(flagtally.address, b'{"identifier":"x"}',
                        REQUEST_URI=edge, SCRIPT_NAME=edge).status, 202,
              "and an Edge's data")
        names, used = [], set()
        for key in sorted(redis("KEYS", "*")):
            name = key.decode()
            patterns = one_of(name, described)
            if not equal(len(patterns), 1, f"{name} is of one kind of key in "
                         "flagtally.7"):
                continue
            kind, expires, inside = described[patterns[0]]
            names += patterns
            equal(REDIS_TYPES[redis("TYPE", key)], kind, f"the type of {name}")
            equal(redis("TTL", key) >= 0, expires, f"whether {name} expires")
            if not inside:
                continue
            for field in fields_of(redis, key):
                found = one_of(field.decode(), inside)
                check(found, f"flagtally.7 has the field {field.decode()!r} "
                      f"of {patterns[0]}", inside)
                used |= set(found)
    missing = set(described) - set(names)
    check(not missing, "flagtally.7 has no other key", *missing)
    missing = {field for field in fields if field not in used and
               fields[field] != "P:{ENV:APP}:DAY"}
    check(not missing, "flagtally.7 has no other field", *missing)
    for part in sorted(code_constants(r'"(:[a-z:]+)"', "lib/*/*.c") - {":"}):
        check(any(part.rstrip(":") in pattern for pattern in described) or
              f"P{part} ." in SOURCE["flagtally.7"],
              f"flagtally.7 has the keys or the channel with {part} in them")
    return described


# Examples

def literals(page, title):
    """The literal displays of a section."""
    return [plain(text) for text in re.findall(
        r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed", section(page, title),
        flags=re.M | re.S)]


def python_examples(text, redis):
    """Run a program in Python with another module redis; its output."""
    class Connection:
        def hgetall(self, key):
            return redis.client.value(key)

        smembers = hgetall

    printed = []
    module = types.ModuleType("redis")
    module.Redis = Connection
    sys.modules["redis"] = module
    exec(text, {"print": printed.append})  # pylint: disable=exec-used
    return printed


ODD_NAMES = b"""{"applications": [], "metrics": [{"featureName": "a:b c",
    "appName": "inventory-service", "environment": "production",
    "timestamp": "2024-01-15T23:59:59Z", "yes": 1, "no": 0,
    "variants": {"v/ %": 1}}], "impactMetrics": [{"type": "gauge",
    "name": "g", "help": "A gauge.", "samples": [{"value": 1, "labels":
    {"environment": "production"}}, {"value": 2, "labels":
    {"environment": "production", "a": "y"}}]}]}"""


def examples():
    """What the pages show as examples for readers works as it stands."""
    shell, python = [], []
    for text in literals("flagtally.7", "EXAMPLES"):
        if text.startswith("redis-cli"):
            shell.append(text)
        elif text.startswith("import"):
            python.append(text)
    in_readme = read("README.md")
    python += re.findall(r"```python\n(.*?)```", in_readme, flags=re.S)
    shell += [text.replace("\n    ", "\n") for text in re.findall(
        r"^    (redis-cli .*(?:\n    .*)*)", in_readme, flags=re.M)]
    check(len(shell) >= 3 and python, "there are examples")
    with Place() as place:
        redis = Redis(place)
        flagtally = Flagtally(place, redis)
        equal(fcgi.post(flagtally.address, read(
            "tests/example-request.json").encode()).status, 202,
            "the body of the examples is accepted")
        equal(fcgi.post(flagtally.address, ODD_NAMES).status, 202,
              "names that have to be encoded are accepted")
        redis("ZADD", "flagtally:{production:inventory-service}:seen", 1,
              "stale")
        place.file("redis-cli", f"#!/bin/sh\nexec {find('redis-cli')} "
                   f"-s {redis.path} \"$@\"\n", mode=0o700)
        for text in shell:
            done = subprocess.run(
                ["sh", "-euc", f"PATH={place.path}:$PATH\n{text}"],
                capture_output=True, text=True, timeout=60, check=False)
            check(done.returncode == 0 and "error" not in done.stdout.lower()
                  and done.stdout.strip(), f"an example: {text.split()[1]}",
                  text, done.stdout, done.stderr)
        for text in python:
            if "impact" in text:
                equal(python_examples(text, redis), [
                    "# TYPE g gauge", "g 1", 'g{a="y"} 2'],
                    "an example in Python of impact metrics")
                continue
            equal(python_examples(text, redis), [
                {"new-checkout-flow": {"yes": 300, "no": 120},
                 "a:b c": {"yes": 1, "variant:v/ %": 1}}],
                "an example in Python")


def diagnostics():
    """Each error and warning of the log is in the manual, and none else."""
    text = section("flagtally.8", "DIAGNOSTICS")
    described = [plain(line) for line in re.findall(r'^\.It "(.*)"$', text,
                                                    flags=re.M)]
    sources = "".join(re.sub(r'"\s*(?:PACKAGE_VERSION\s*)?"', "", read(name))
                      for folder in ("lib/*", "fcgi") for name in
                      sorted(glob.glob(os.path.join(TOP, folder, "*.[ch]"))))
    for said in re.findall(r'log_(?:(?:error|warning)(?:_limited)?\(|limited\('
                           r'[^"()]*)\s*"([^"]*)"', sources):
        # What is fixed in it; less may be a file's name and an error.
        part = max(re.split(r"%[-.*\d]*[a-z]+", said), key=len)
        part = re.split("; | \\(", part)[0].strip(": ")
        if len(part) > 5:
            check(any(part in line for line in described),
                  f"flagtally.8 has in DIAGNOSTICS: {said}")
    literals_of = [re.split(r"%[-.*\d]*[a-z]+", text) for text in
                   set(re.findall(r'"([^"\\\n]{9,})"', sources))]
    for line in described:
        # One message with what may stand in it, or pieces of some.
        wanted = len(re.sub(r"\b[A-Z][A-Z_]*\b", "", line)) / 2
        whole = any(sum(map(len, parts)) >= wanted and re.search(
            ".*".join(map(re.escape, parts)), line) for parts in literals_of)
        pieces = [piece for piece in re.split(r"\b[A-Z][A-Z_]*\b|: ", line)
                  if len(piece.strip()) > 5]
        check(whole or all(piece in sources or piece == os.strerror(
            errno.EADDRINUSE) for piece in pieces),
            f"the program says: {line}", *pieces)


ODD = "a b!'()*~-._:/%{}$&+=@\u00e4"


def encodings():
    """What flagtally(7) says of languages gives the names that it writes."""
    named = items("flagtally.7", "Em", "Names in keys and fields")
    wanted = "".join(chr(byte) if re.match(r"[A-Za-z0-9._~-]", chr(byte))
                     else f"%{byte:02X}" for byte in ODD.encode())
    equal(eval(re.search(r"urllib\S+\(.*?\)", named["Python"])[0], {  # pylint: disable=eval-used
        "urllib": __import__("urllib.parse"), "name": ODD}), wanted,
        "flagtally.7: Python encodes as it says")
    text = named["JavaScript"]
    programs = {
        "node": ["-e", "name = process.argv[1]; console.log(" +
                 "encodeURIComponent(name)" +
                 re.search(r"\.replace\(.*", text)[0] + ")", ODD],
        "perl": ["-MURI::Escape", "-CAS", "-e", "$name = $ARGV[0]; print " +
                 re.search(r"uri_\w+\(.*?\)", named["Perl"])[0], ODD]}
    for program, arguments in programs.items():
        if not shutil.which(program) or program == "perl" and subprocess.run(
                ["perl", "-MURI::Escape", "-e1"], stderr=subprocess.DEVNULL,
                check=False).returncode:
            check(True, f"there is no {program} # SKIP")
            continue
        done = subprocess.run([program, *arguments], capture_output=True,
                              text=True, timeout=60, check=False)
        equal(done.stdout.strip(), wanted,
              f"flagtally.7: {program} encodes as it says")


# The pages as such

def lint():
    done = subprocess.run([find("mandoc"), "-Tlint", "-Wstyle",
                           *PAGES.values()], capture_output=True, text=True,
                          timeout=60, check=False)
    # Which other manuals are installed is the host's affair.
    wrong = [line for line in done.stdout.splitlines()
             if "referenced manual not found" not in line]
    check(not wrong, "mandoc has no complaint", *wrong)
    for page, text in SOURCE.items():
        done = subprocess.run([find("mandoc"), "-Tutf8", PAGES[page]],
                              capture_output=True, timeout=60, check=False)
        check(done.returncode == 0 and len(done.stdout) > len(text) / 2,
              f"{page} can be rendered")
        for name, part in re.findall(r"^\.Xr (flagtally\S*) (\d)", text,
                                     flags=re.M):
            check(f"{name}.{part}" in PAGES, f"{page}: {name}({part}) is "
                  "there")
        for title in re.findall(r"\.Sx (.*?)(?: [.,;)])?$", text, flags=re.M):
            check(any(section(other, title) for other in PAGES),
                  f"{page}: there is a section {title}")


run([keys, readme, shipped, example_configurations, options, exit_codes, signals,
     variables, metrics, redis_keys, examples, encodings,
     diagnostics, lint])
