"""The rules of the code: who includes what, who is called what, and the map."""

import os
import re

from tests.harness.tap import check, equal, run

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# Each library's headers, and the files that may include them.
OWNERS = {
    r"fcgiapp\.h|fcgi_.*|fcgio\.h": r"fcgi/.*",
    r"yajl/.*": r"lib/json/json\.c",
    r"hiredis/.*": r"lib/redis/(link|reply)\.c",
    r"openssl/.*": r"lib/redis/redis_tls\.c",
    r"zlib\.h": r"lib/body/decompress\.c",
    r"sodium.*": r"lib/base/digest\.c",
    r"unistr\.h|unicase\.h|uni.*\.h(?<!unistd\.h)": r"lib/base/utf8\.c",
    r"ini\.h": r"lib/config/config\.c",
    r"sqlite3\.h": r"lib/spool/spool_db\.h",
    r"seccomp\.h": r"lib/sandbox/sandbox\.c",
}

# The rooms of lib/, and which others each may use; fcgi/ may use all.
ROOMS = {
    "lib/base": set(),
    "lib/json": {"lib/base"},
    "lib/tally": {"lib/base"},
    "lib/spool": {"lib/base", "lib/tally"},
    "lib/sandbox": {"lib/base"},
    "lib/stats": {"lib/base", "lib/spool", "lib/tally"},
    "lib/body": {"lib/base", "lib/json", "lib/tally"},
    "lib/redis": {"lib/base", "lib/stats", "lib/tally"},
    "lib/auth": {"lib/base", "lib/redis", "lib/stats"},
    "lib/commit": {"lib/base", "lib/redis", "lib/spool", "lib/stats",
                   "lib/tally"},
    "lib/report": {"lib/base", "lib/json", "lib/redis"},
    "lib/config": {"lib/base", "lib/body", "lib/json", "lib/redis"},
}


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def sources(*folders):
    return sorted(os.path.relpath(os.path.join(path, name), TOP)
                  for folder in folders
                  for path, _, names in os.walk(os.path.join(TOP, folder))
                  for name in names if name.endswith((".c", ".h")))


def code(name):
    """A file without its comments and strings."""
    text = re.sub(r"/\*.*?\*/", "", read(name), flags=re.S)
    return re.sub(r'"(\\.|[^"\\])*"', '""', text)


def includes():
    for name in sources("lib", "fcgi"):
        wrong = []
        for bracket, header in re.findall(r'#include ([<"])([^>"]*)[>"]',
                                          read(name)):
            if bracket == '"' and not re.match(r"(lib|fcgi)/", header):
                wrong.append(f"{header} is not named by its folder")
            if name.startswith("lib/") and header.startswith("fcgi/"):
                wrong.append(f"{header} is above lib/")
            for headers, owners in OWNERS.items():
                if re.fullmatch(headers, header) and \
                        not re.fullmatch(owners, name):
                    wrong.append(f"{header} belongs to {owners}")
        check(not wrong, f"{name} includes what it may", *wrong)


def arrows():
    """{file: the files of the tree that it includes}"""
    return {name: re.findall(r'^#include "((?:lib|fcgi)/[^"]*[^a]\.h)"',
                             read(name), flags=re.M)
            for name in sources("lib", "fcgi")}


def raw_errors():
    """The text of a server's error is read only where it is not printed."""
    for name in sources("lib", "fcgi"):
        found = re.findall(r"error(?:\.|->)raw\b", code(name))
        check(not found or name in ("lib/redis/error_reply.c",
                                    "lib/redis/slots.c"),
              f"{name} prints errors of Redis by error_reply_print", *found)


def rooms():
    """A room uses only those below it, and no header includes itself."""
    for name, headers in arrows().items():
        room = os.path.dirname(name)
        allowed = ROOMS.get(room, set(ROOMS) | {"fcgi"}) | {room}
        wrong = [header for header in headers
                 if os.path.dirname(header) not in allowed]
        check(not wrong, f"{name} uses what its room may", *wrong)
    for room in ROOMS:
        below, seen = set(ROOMS[room]), set()
        while below - seen:
            one = (below - seen).pop()
            seen.add(one)
            below |= ROOMS[one]
        check(room not in below, f"{room} is below nothing that it uses")
    reached = {name: set(headers) for name, headers in arrows().items()
               if name.endswith(".h")}
    for _ in reached:
        for name, headers in reached.items():
            for header in list(headers):
                headers |= reached.get(header, set())
    circles = [name for name, headers in reached.items() if name in headers]
    equal(circles, [], "no header includes itself by way of others")


def prefixes():
    """x.h declares x_* and nothing else, and what it declares is in x.c."""
    for name in sources("lib", "fcgi"):
        module = os.path.basename(name)[:-2]
        if not name.endswith(".h") or module == "text":
            continue
        functions = re.findall(r"^(?!#|\s|static|typedef)[^=\n{]*?\b(\w+)\(",
                               re.sub(r"__attribute__\(\(.*?\)\)\)?", "",
                                      code(name)), flags=re.M)
        wrong = [function for function in functions
                 if not function.startswith(module + "_")]
        check(not wrong, f"{name} declares only {module}_*", *wrong)


def statics():
    """A static function has a name that no other file uses."""
    files = {}
    for name in sources("lib", "fcgi"):
        for function in set(re.findall(r"^static [^;{}=()]*\n(\w+)\(",
                                       code(name), flags=re.M)):
            files.setdefault(function, []).append(name)
    shared = [f"{function}: {', '.join(names)}"
              for function, names in sorted(files.items()) if len(names) > 1]
    equal(shared, [], "no two files have a static function of one name")


def tags():
    """A struct, union or enum has a tag that no other one has."""
    files = {}
    for name in sources("lib", "fcgi"):
        for tag in set(re.findall(r"^\s*(?:typedef )?(?:struct|union|enum) "
                                  r"(\w+) \{", code(name), flags=re.M)):
            files.setdefault(tag, []).append(name)
    shared = [f"{tag}: {', '.join(names)}"
              for tag, names in sorted(files.items()) if len(names) > 1]
    equal(shared, [], "no two files have a struct, union or enum of one name")


def unit_tests():
    """A unit test is named after the module that it is for."""
    modules = {os.path.basename(name)[:-2] for name in sources("lib", "fcgi")}
    found = {os.path.basename(name)[:-2] for name in sources("tests/unit")
             if name.endswith(".c")}
    equal(sorted(found - modules), [], "each unit test is of a module")


def no_exit():
    for name in sources("lib"):
        found = re.findall(r"\b(_?exit|quick_exit|setlocale|strtok|sleep|"
                           r"usleep|gets|strcat|sprintf)\(", code(name))
        equal(found, [], f"{name} does not end the process, nor use what is "
              "forbidden")


def headers():
    """Each public function has its contract before it."""
    for name in sources("lib", "fcgi"):
        if not name.endswith(".h"):
            continue
        text = read(name)
        declared = re.findall(r"^(?!#|\s|static|typedef)[^=\n{/*]*?\b(\w+)\(",
                              text, flags=re.M)
        documented = re.findall(r"^ \* (\w+)\(", text, flags=re.M)
        wrong = set(declared) - set(documented) - {"__attribute__"}
        check(not wrong, f"{name} says what its functions do", *wrong)


def the_map():
    text = read("lib/README.md")
    for name in sources("lib", "fcgi") + [
            f"lib/redis/{name}"
            for name in os.listdir(os.path.join(TOP, "lib/redis"))
            if name.endswith(".lua")]:
        base = name[:-2] if name.endswith((".c", ".h")) else name
        check(f"`{base}`" in text or f"`{name}`" in text,
              f"lib/README.md says what {name} is for")
    for name in re.findall(r"^\| `((?:lib|fcgi)/[\w./]+)`", text, flags=re.M):
        check(any(os.path.exists(os.path.join(TOP, name + end))
                  for end in ("", ".c", ".h")),
              f"{name} of the map is there")


def sizes():
    for name in sources("lib", "fcgi"):
        lines = read(name).splitlines()
        if len(lines) > 900:
            print(f"# {name} has {len(lines)} lines: can it be divided?")
        long = [number + 1 for number, line in enumerate(lines)
                if len(line.expandtabs(8)) > 80]
        check(not long, f"{name} has no line over 80 columns", long)


run([includes, raw_errors, rooms, prefixes, statics, tags, unit_tests, no_exit,
     headers, the_map, sizes])
