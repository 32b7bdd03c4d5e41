"""Whether a text is JSON, and a body the schema's: said by another parser.

Shares nothing with the program.  Python's json reads the text, made as strict
as RFC 8259 and the program's own rules; what has to be done for that:

- Python takes bytes in UTF-16 and UTF-32: it is given text, decoded strictly
  from UTF-8 (no overlong forms, no surrogates, nothing above U+10FFFF), without
  one byte-order mark before it.
- It reads NaN, Infinity and -Infinity: parse_constant refuses them.
- It lets lone surrogates pass in escapes: all strings are searched for them.
- A dict forgets the first of two members of one name: objects become lists of
  pairs, so that names that stand twice, and what is in them, are seen.
- Numbers overflow to infinity, or take for ever: they stay text, which may
  have 4,096 characters.
- It nests as deep as its stack lets it: the depth is measured afterwards.

The schema is OpenAPI's of post-bulk-metrics, and what real senders send beyond
it, written down as data; see SHAPES.
"""

import datetime
import json
import re
from fractions import Fraction

DEPTH_MAX = 64
STRING_MAX = 64 * 1024
NUMBER_MAX = 4 * 1024
NAME_MAX = 4 * 1024
COUNT_MAX = 2 ** 53 - 1


class Invalid(Exception):
    """The text is not JSON, or the body is not the schema's."""


class Number(str):
    """A number as it stands in the text."""


class Object(list):
    """The members of an object, as (name, value)."""


def _number(text):
    if len(text) > NUMBER_MAX:
        raise Invalid("a long number")
    return Number(text)


def _constant(text):
    raise Invalid(text)


DECODER = json.JSONDecoder(object_pairs_hook=Object, parse_int=_number,
                           parse_float=_number, parse_constant=_constant)


def _string(text):
    if not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise Invalid("a lone surrogate") from None
    else:
        size = len(text)
    if size > STRING_MAX:
        raise Invalid("a long string")


def _examine(value, depth):
    """Find what Python lets pass, in a value at some depth."""
    kind = type(value)
    if kind is str:
        _string(value)
    elif kind is Object:
        if depth == DEPTH_MAX:
            raise Invalid("too deep")
        for name, member in value:
            _string(name)
            _examine(member, depth + 1)
    elif kind is list:
        if depth == DEPTH_MAX:
            raise Invalid("too deep")
        for item in value:
            _examine(item, depth + 1)


def parse(text):
    """The value of a JSON text in bytes; raises Invalid."""
    try:
        value = DECODER.decode(text.decode("utf-8-sig", "strict"))
    except (ValueError, RecursionError) as error:
        raise Invalid(str(error)) from None
    _examine(value, 0)
    return value


# The schema.  A shape is a function that raises Invalid.

# Numbers of which a few may add up to what is too large: sums are not for this
# to say.
LARGE = []


def _fail(what):
    raise Invalid(what)


def text(value):
    """A string as long as a name may be."""
    if type(value) is not str:
        _fail("no string")
    if len(value.encode()) > NAME_MAX:
        _fail("a long name")


def any_text(value):
    if type(value) is not str:
        _fail("no string")


def one_of(*values):
    return lambda value: value in values and type(value) is str or _fail(
        "no such value")


def integer(value):
    if type(value) is not Number:
        _fail("no number")
    # An exponent of many digits makes a number that no memory holds.
    match = re.fullmatch(r"-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?",
                         value)
    whole, fraction, exponent = match.groups()
    digits = (whole + (fraction or "")).rstrip("0")
    if not digits.strip("0"):
        return 0
    shift = int(exponent or 0) - len(fraction or "")
    shift += len(whole + (fraction or "")) - len(digits)
    if shift < 0:
        _fail("no integer")
    size = len(digits.lstrip("0")) + shift
    if size > 30:
        return COUNT_MAX + 1 if value[0] != "-" else -1
    return int(Fraction(value))


def count(value):
    if not 0 <= integer(value) <= COUNT_MAX:
        _fail("no count")
    if integer(value) > COUNT_MAX // 4096:
        LARGE.append(value)


def real(value):
    if type(value) is not Number:
        _fail("no number")
    if abs(float(value)) == float("inf"):
        _fail("too large")
    if abs(float(value)) > 1e300:
        LARGE.append(value)


def bound(value):
    if type(value) is not str:
        return real(value)
    return value == "+Inf" or _fail("no bound")


def label(value):
    return real(value) if type(value) is Number else text(value)


STAMP = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):"
                   r"([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?"
                   r"(?:[Zz]|([-+])([0-9]{2}):([0-9]{2}))")


def stamp(value):
    """RFC 3339, with leap seconds at the ends of June and December alone."""
    any_text(value)
    match = STAMP.fullmatch(value) or _fail("no date-time")
    year, month, day, hour, minute, second = (
        int(part) for part in match.groups()[:6])
    sign, hours, minutes = match.groups()[6:]
    hours, minutes = int(hours or 0), int(minutes or 0)
    if second > 60 or hours > 23 or minutes > 59:
        _fail("no such time")
    try:
        # The calendar repeats every 400 years; Python's begins with year 1.
        moment = datetime.datetime(year + 400 if year < 4000 else year - 400,
                                   month, day, hour, minute)
    except ValueError:
        _fail("no such day")
    if second == 60:
        offset = datetime.timedelta(hours=hours, minutes=minutes)
        moment += offset if sign == "-" else -offset
        if (moment.month, moment.day, moment.hour, moment.minute) not in (
                (6, 30, 23, 59), (12, 31, 23, 59)):
            _fail("no leap second")


def nullable(shape):
    return lambda value: value is None or shape(value)


def array(item):
    def shape(value):
        if type(value) is not list:
            _fail("no array")
        for element in value:
            item(element)
    return shape


def mapping(item):
    """An object whose names are any; one may stand there again."""
    def shape(value):
        if type(value) is not Object:
            _fail("no object")
        for name, member in value:
            text(name)
            item(member)
    return shape


def members(value, known):
    """Those of an object that are known, each of which stands there once."""
    if type(value) is not Object:
        _fail("no object")
    found = {}
    for name, member in value:
        if name not in known:
            continue
        if name in found:
            _fail("twice: " + name)
        found[name] = member
    return found


def structure(required, optional):
    known = {**required, **optional}

    def shape(value):
        found = members(value, known)
        for name in required:
            if name not in found:
                _fail("without " + name)
        for name, member in found.items():
            known[name](member)
    return shape


SDK = {
    "sdkType": nullable(one_of("frontend", "backend")),
    "sdkVersion": nullable(text), "yggdrasilVersion": nullable(text),
    "platformName": nullable(text), "platformVersion": nullable(text),
    "sdkFlavor": nullable(text), "sdkFlavorVersion": nullable(text),
}
# A metric's are checked, not kept, so a long one does no harm.
SDK_UNKEPT = {name: shape if name == "sdkType" else nullable(any_text)
              for name, shape in SDK.items()}
SHAPES = {
    "via": structure({"appName": text, "instanceId": text}, {}),
    "bucket": structure({"le": nullable(bound), "count": count}, {}),
}
LABELS = {"labels": nullable(mapping(label))}
SHAPES["numeric"] = structure({"value": nullable(real)}, LABELS)
SHAPES["histogram"] = structure({
    "count": count, "sum": nullable(real),
    "buckets": array(SHAPES["bucket"])}, LABELS)
SHAPES["application"] = structure({
    "appName": text, "interval": integer, "started": stamp,
    "strategies": array(text)}, {
    "connectVia": nullable(array(SHAPES["via"])),
    "connectionId": nullable(text), "environment": nullable(text),
    "instanceId": nullable(text), "projects": nullable(array(text)), **SDK})
SHAPES["metric"] = structure({
    "appName": text, "environment": text, "featureName": text, "no": count,
    "timestamp": stamp, "variants": nullable(mapping(count)), "yes": count},
    SDK_UNKEPT)


def impact(value):
    """An impact metric, whose type says what its samples are."""
    kind = members(value, ["type"]).get("type")
    one_of("counter", "gauge", "histogram")(kind)
    structure({"help": text, "name": text, "type": any_text, "samples": array(
        SHAPES["histogram" if kind == "histogram" else "numeric"])}, {})(value)


SHAPES["body"] = structure({
    "applications": array(SHAPES["application"]),
    "metrics": array(SHAPES["metric"])}, {
    "impactMetrics": nullable(array(impact)),
    "seenTokens": nullable(array(any_text))})


def accepts(text):
    """Whether a body in bytes is to be accepted; None if that is unsure."""
    LARGE.clear()
    try:
        SHAPES["body"](parse(text))
    except Invalid:
        return False
    return None if LARGE else True
