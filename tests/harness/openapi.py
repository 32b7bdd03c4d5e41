"""Checks JSON by the schemas of an OpenAPI text, as it is in tests/api.

Reads as much of YAML as that text uses: mappings and lists by their indentation,
and plain or quoted scalars.
"""

import datetime
import os
import re

TEXT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api",
                    "post-bulk-metrics.yaml")


def _scalar(text):
    if text in ("", "{}"):
        return {} if text else None
    if text in ("true", "false"):
        return text == "true"
    return text[1:-1] if text[0] == "'" else text


def _block(lines, indent):
    """Parse the lines that begin at this indentation or deeper."""
    result = None
    while lines and lines[0][0] >= indent:
        at, text = lines.pop(0)
        if text.startswith("- "):
            result = [] if result is None else result
            rest = text[2:]
            if re.match(r"('[^']*'|[\w$-]+):(\s|$)", rest):
                lines.insert(0, (at + 2, rest))
                result.append(_block(lines, at + 2))
            else:
                result.append(_scalar(rest))
            continue
        result = {} if result is None else result
        name, _, rest = re.match(r"('[^']*'|[^:]+)(:)\s*(.*)", text).groups()
        if rest:
            result[_scalar(name)] = _scalar(rest)
        else:
            # A list may be as deep as its name.
            deeper = at if lines and lines[0][0] == at and \
                lines[0][1].startswith("- ") else at + 1
            result[_scalar(name)] = _block(lines, deeper)
    return result


def load(path=TEXT):
    with open(path, encoding="utf-8") as file:
        return _block([(len(line) - len(line.lstrip()), line.strip())
                       for line in file if line.strip()], 0)


TYPES = {"string": str, "integer": int, "number": (int, float),
         "array": list, "object": dict, "null": type(None)}


class Schema:
    def __init__(self, name, document=None):
        self.document = document or load()
        self.name = name

    def faults(self, value):
        """What is wrong with a value, as lines; none if it is valid."""
        return list(self._check(
            {"$ref": "#/components/schemas/" + self.name}, value, "$"))

    def _check(self, schema, value, where):
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][
                schema["$ref"].rsplit("/", 1)[1]]
        if "oneOf" in schema:
            found = [list(self._check(one, value, where))
                     for one in schema["oneOf"]]
            if found.count([]) != 1:
                yield f"{where}: {found.count([])} of oneOf"
            return
        kinds = schema["type"]
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if isinstance(value, bool) or not any(
                isinstance(value, TYPES[kind]) for kind in kinds):
            yield f"{where}: {value!r} is no {' or '.join(kinds)}"
            return
        if value not in schema.get("enum", [value]):
            yield f"{where}: {value!r} is not in {schema['enum']}"
        if schema.get("format") == "date-time":
            try:
                datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
            except ValueError:
                yield f"{where}: {value!r} is no date-time"
        if isinstance(value, list):
            for number, one in enumerate(value):
                yield from self._check(schema["items"], one,
                                       f"{where}[{number}]")
        if isinstance(value, dict):
            yield from self._members(schema, value, where)

    def _members(self, schema, value, where):
        for name in schema.get("required", []):
            if name not in value:
                yield f"{where}: {name} is missing"
        for name, one in value.items():
            member = schema.get("properties", {}).get(
                name, schema.get("additionalProperties"))
            if member is None:
                yield f"{where}: {name} is unknown"
            else:
                yield from self._check(member, one, f"{where}.{name}")
