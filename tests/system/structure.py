"""The rules of the code: who includes what, who is called what, and the map."""

import os
import re

from tests.harness.tap import check, equal, run

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# Each library's headers, and the files that may include them.
OWNERS = {
    r"fcgiapp\.h|fcgi_.*|fcgio\.h": r"fcgi/.*",
    r"yajl/.*": r"lib/json/json\.c",
    r"hiredis/.*": r"lib/redis/redis\.c",
    r"zlib\.h": r"lib/body/decompress\.c",
    r"sodium.*": r"lib/base/digest\.c",
    r"unistr\.h|unicase\.h|uni.*\.h(?<!unistd\.h)": r"lib/json/json\.c",
    r"ini\.h": r"lib/config/config\.c",
    r"sqlite3\.h": r"lib/spool/spool\.c",
    r"seccomp\.h": r"lib/sandbox/sandbox\.c",
}

# Files of lib/ that have their contracts in another file's header.
PARTS = {"registration": "element", "impact": "element", "metric": "element"}


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


def prefixes():
    """x.h declares x_* and nothing else, and what it declares is in x.c."""
    for name in sources("lib", "fcgi"):
        module = os.path.basename(name)[:-2]
        if not name.endswith(".h") or module == "text":
            continue
        functions = re.findall(r"^(?!#|\s|static|typedef)[^=\n{]*?\b(\w+)\(",
                               re.sub(r"__attribute__\(\(.*?\)\)\)?", "",
                                      code(name)), flags=re.M)
        allowed = [module, *(part for part, whole in PARTS.items()
                             if whole == module),
                   *(["token_store"] if module == "token" else []),
                   *(["workspace"] if module == "request" else [])]
        wrong = [function for function in functions if not any(
            function.startswith(prefix + "_") for prefix in allowed)]
        check(not wrong, f"{name} declares only {module}_*", *wrong)


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
        check(len(lines) <= 600, f"{name} is no longer than 600 lines",
              len(lines))
        long = [number + 1 for number, line in enumerate(lines)
                if len(line.expandtabs(8)) > 80]
        check(not long, f"{name} has no line over 80 columns", long)


run([includes, prefixes, no_exit, headers, the_map, sizes])
