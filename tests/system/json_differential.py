"""Random texts, right and wrong: the program must say what Python's json says.

The oracle (tests/harness/oracle.py) says how Python is made as strict as the
program, and has the schema.  Texts are made of tokens that are right or odd,
and some are spoilt, by tokens and by bytes.  They come as the value of an
unknown member at some depth, as a name, and as bodies that are spoilt as a
whole: wrong types, nulls, members that are missing or stand twice.

The program reads each in pieces of several sizes (tests/tools/bodycheck.c), and
what differs from one size to another fails too.

FLAGTALLY_SEED repeats a run, FLAGTALLY_CASES says how many texts.
"""

import os
import random
import re

from tests.harness import oracle
from tests.harness.bodycheck import verdicts
from tests.harness.tap import check, equal, note, run

SEED = int(os.environ.get("FLAGTALLY_SEED") or
           int.from_bytes(os.urandom(4), "big"))
CASES = int(os.environ.get("FLAGTALLY_CASES") or 24000)
BATCH = 8000

SPACES = ["", "", "", "", "", " ", "\n", "\t", "\r\n", "  \t"]
# What is inside of strings, right and (behind the None) wrong.
BITS = ["a", "b", "é", "日", "😀", " ", "/", "~", "'", "{", "]", ",", ":",
        "\x7f", "\u2028", "\ufeff", "\uffff", "\x80", "\u07ff", "\u0800",
        "\ud7ff", "\ue000", "\U00010000", "\U0010ffff", "true", "0",
        '\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0000",
        "\\u001f", "\\u0041", "\\u00e9", "\\u00E9", "\\uffff", "\\ud7ff",
        "\\ue000", "\\ud83d\\ude00", "\\uD800\\uDC00", "\\uDBFF\\uDFFF",
        "\\\\ud800", "\\u005cud800", None,
        "\\ud800", "\\udc00", "\\ude00\\ud83d", "\\ud800\\u0041",
        "\\ud800\\ud800", "\\ud800x", "\\ud800\\n", "\\ud800\\\\",
        "\\ud83d\\ude00\\ude00", "\\u", "\\u1", "\\u12", "\\u123", "\\u12g4",
        "\\u+123", "\\u 123", "\\u-001", "\\u0x41", "\\u1_23", "\\x41",
        "\\U0041", "\\a", "\\v", "\\0", "\\'", "\\ ", "\\\n", "\\é", "\\",
        "\0", "\x01", "\b", "\t", "\n", "\v", "\f", "\r", "\x1f"]
BAD_BYTES = [b"\x80", b"\xbf", b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf", b"\xc2",
             b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe2\x82", b"\xed\xa0\x80",
             b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x9f\x98",
             b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80",
             b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff",
             b"\xc3\xa9\xa9", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3"]
NUMBERS = ["0", "-0", "1", "-1", "12", "0.5", "-0.0", "1e5", "1E5", "1e+5",
           "1e-5", "0e0", "0E+0", "1.50e-10", "10", "1e400", "-1e400",
           "1e-400", "9007199254740992", "18446744073709551616",
           "1" * 30, "0." + "3" * 30, "1e99999999999999999999", None,
           "+1", "01", "-01", "00", ".5", "-.5", "1.", "1.e1", "1e", "1e+",
           "1e-", "-", "--1", "+", "1.2.3", "1e5.5", "1e1e1", "0x10", "0x",
           "0b1", "1_000", "1,000", "1 000", "NaN", "-NaN", "Infinity",
           "-Infinity", "inf", "1f", "1d", "1n", "١", "１", "½", "0-1",
           "1+1", "1e0x1", "- 1", "−1"]
WORDS = ["null", "true", "false", None, "Null", "TRUE", "nul", "nulll", "tru",
         "truefalse", "none", "None", "undefined", "nan", "t", "f", "n", "yes"]
STRAY = ["{", "}", "[", "]", ",", ":", '"', "\\", "'", "/", "//", "/*x*/", "#",
         ";", "=", "(", ")", "\0", "\v", "\f", "\x1a", "\x1c", "\x7f", "\x85",
         "\xa0", "\u2028", "\u3000", "\ufeff", "\u200b", "null", "0", "{}",
         "[]", '""', "1", "-", "e", ".", "u", "\\u0022", "\\u005b", "\n"]


class Texts:
    """Makes JSON texts, as lists of tokens."""

    def __init__(self, number):
        self.random = random.Random(number)
        # How often something odd is put in; none in half of the texts.
        self.odd = 0.0

    def pick(self, table):
        """One of the right entries, or seldom of the wrong ones."""
        middle = table.index(None)
        if self.odd and self.random.random() < self.odd:
            return self.random.choice(table[middle + 1:])
        return table[self.random.randrange(middle)]

    def string(self):
        length = self.random.choice((0, 1, 1, 1, 2, 3, 8))
        return '"' + "".join([self.pick(BITS)
                              for _ in range(length)]) + '"'

    def value(self, depth, out):
        kind = self.random.random()
        if depth == 0 or kind < 0.5:
            choice = self.random.random()
            out.append(self.string() if choice < 0.4 else
                       self.pick(NUMBERS) if choice < 0.75 else
                       self.pick(WORDS))
            return
        is_object = kind < 0.75
        out.append("{" if is_object else "[")
        for i in range(self.random.choice((0, 1, 1, 2, 3))):
            if i:
                out.append(",")
            if is_object:
                out += [self.string(), ":"]
            self.value(depth - 1, out)
        out.append("}" if is_object else "]")

    def tokens(self):
        self.odd = self.random.choice((0, 0, 0, 0.05, 0.2))
        out = []
        self.value(self.random.choice((0, 1, 2, 3, 4)), out)
        return out

    def spoil_tokens(self, tokens):
        choice = self.random.randrange
        at = choice(len(tokens))
        way = choice(6)
        if way == 0:
            del tokens[at]
        elif way == 1:
            tokens.insert(at, tokens[choice(len(tokens))])
        elif way == 2:
            tokens.insert(at, self.random.choice(STRAY))
        elif way == 3:
            tokens[at] = self.random.choice(STRAY)
        elif way == 4:
            other = choice(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        else:
            del tokens[at:]

    def spoil_bytes(self, text):
        choice = self.random.randrange
        way = choice(7)
        if not text:
            return self.random.choice(BAD_BYTES)
        at = choice(len(text))
        if way == 0:
            return text[:at] + bytes([choice(256)]) + text[at + 1:]
        if way == 1:
            return text[:at] + bytes([text[at] ^ 1 << choice(8)]) + \
                text[at + 1:]
        if way == 2:
            return text[:at] + self.random.choice(BAD_BYTES) + text[at:]
        if way == 3:
            return text[:at] + self.random.choice(STRAY).encode() + text[at:]
        if way == 4:
            return text[:at] + text[at + choice(4):]
        if way == 5:
            end = at + choice(len(text) - at)
            return text[:at] + text[at:end] * 2 + text[end:]
        return text[:at]

    def joined(self, tokens):
        spread = self.random.choice((0, 0, 0.3))
        if not spread:
            return "".join(tokens).encode("utf-8", "surrogatepass")
        return "".join([self.random.choice(SPACES) + token
                        for token in tokens]).encode("utf-8", "surrogatepass")

    def spoilt(self, tokens):
        """The text of tokens, perhaps spoilt."""
        way = self.random.random()
        if way < 0.3 and tokens:
            self.spoil_tokens(tokens)
        text = self.joined(tokens)
        if way >= 0.7:
            text = self.spoil_bytes(text)
        return text

    def deep(self):
        """A value nested about as deep as it may be, or far deeper."""
        depth = self.random.choice((1, 30, 55, 61, 62, 63, 64, 65, 66, 200,
                                    2000))
        closers = []
        out = []
        for _ in range(depth):
            if self.random.random() < 0.5:
                out.append("[")
                closers.append("]")
            else:
                out.append('{"":')
                closers.append("}")
        return "".join(out + ["0"] + closers[::-1]).encode()

    def wrap(self, text):
        """A body that is right but for an unknown member's value."""
        before, after = b"", b""
        for _ in range(self.random.choice((0, 0, 0, 1, 2, 5))):
            if self.random.random() < 0.5:
                before, after = before + b"[", b"]" + after
            else:
                before, after = before + b'{"k":', b"}" + after
        text = before + text + after
        place = self.random.randrange(5)
        if place == 0:
            return b'{"applications":[],"metrics":[],"x":' + text + b"}"
        if place == 1:
            return (b'{"applications":[{"x":' + text + b',"appName":"a",'
                    b'"interval":1,"started":"2026-11-24T00:00:00Z",'
                    b'"strategies":[]}],"metrics":[]}')
        if place == 2:
            return (b'{"applications":[],"metrics":[],"impactMetrics":[{'
                    b'"name":"a","help":"b","type":"gauge","samples":['
                    b'{"buckets":' + text + b',"value":1}]}]}')
        return b'{"x":' + text + b',"applications":[],"metrics":[]}'

    def as_value(self):
        """A random text, as the value of an unknown member."""
        if self.random.random() < 0.01:
            return self.wrap(self.deep())
        return self.wrap(self.spoilt(self.tokens()))

    def as_name(self):
        """A random string, as the name of an unknown member, or nearly."""
        self.odd = self.random.choice((0, 0, 0.1, 0.5))
        name = self.string().encode("utf-8", "surrogatepass")
        if self.random.random() < 0.2:
            name = self.spoil_bytes(name)
        return self.random.choice((
            b'{%s:[],"applications":[],"metrics":[]}',
            b'{"applications":[],"metrics":[],"x":{"y":{},%s:{}}}',
            b'{"applications":[],"metrics":[{"featureName":"a","appName":"b",'
            b'"environment":"c","timestamp":"2026-11-24T00:00:00Z","yes":1,'
            b'"no":1,"variants":{"a":1,%s:2}}]}')) % name

    def as_whole(self):
        """A body with odd members, and what may stand around it."""
        self.odd = self.random.choice((0, 0, 0, 0.05, 0.2))
        out = ["{", '"applications"', ":", "[", "]"]
        for _ in range(self.random.choice((0, 1, 1, 2))):
            out += [",", self.string(), ":"]
            self.value(self.random.choice((0, 1, 3)), out)
        out += [",", '"metrics"', ":", "[", "]", "}"]
        if self.random.random() < 0.3:
            out.insert(self.random.choice((0, len(out))),
                       self.random.choice(STRAY + SPACES))
        return self.spoilt(out)


STAMPS = ["2026-11-23T09:30:00Z", "2026-11-23t23:59:59.123456789z",
          "2026-11-24T05:29:59+05:30", "2016-12-31T23:59:60Z",
          "2016-12-31T15:59:60-08:00", "2024-02-29T12:00:00Z",
          "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", None,
          "2026-11-23T09:30:60Z", "2023-02-29T12:00:00Z", "2026-11-23",
          "2026-11-23T09:30:00", "2026-11-23 09:30:00Z", "",
          "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
          "2026-11-31T00:00:00Z", "2026-11-23T24:00:00Z",
          "2026-11-23T09:60:00Z", "2026-11-23T09:30:61Z",
          "2026-11-23T09:30:00.Z", "2026-11-23T09:30:00+0100",
          "2026-11-23T09:30:00+24:00", "2026-11-23T09:30:00+01:60",
          "2026-11-23T09:30:00ZZ", "1700000000", "20261123T093000Z",
          "２026-11-23T09:30:00Z", "2026-11-23T09:30:00−01:00"]
COUNTS = ["0", "1", "3", "1.0", "1e3", "10E-1", "0.0", "-0", "1.50e1",
          "0e999", "0.1e1", None, "-1", "1.5", "1e-1", "9007199254740992",
          "1e16", "1e400", "1e-400", "9007199254740991", "true", "null",
          '"1"', "[]", "{}"]
REALS = ["0", "-1.5", "1e300", "1e-400", "0.1", "9007199254740993", "null",
         None, "1e309", "-1e400", "true", '"1"', "[]", "{}", '"NaN"']
KINDS = ["counter", "gauge", "histogram", None, "summary", "", "Counter"]
TYPES = ["null", "true", "0", "-1", "1.5", '""', '"a"', "[]", "{}", "[[]]",
         '{"a":1}', '"frontend"', '"+Inf"', '[null]', '["a"]', '[1]',
         '[{}]', '[{"appName":"a","instanceId":"b"}]', '"counter"',
         '"2026-11-23T09:30:00Z"', "1e999"]


class Bodies(Texts):
    """Makes bodies of the schema; objects are lists of members until then."""

    def quoted(self, words):
        return '"%s"' % self.pick(words)

    def text(self):
        return self.random.choice(('"a"', '"b"', '"default"', '""', '"é"',
                                   '"\\u0000"', '"\\ud83d\\ude00"'))

    def some(self, make, most=3):
        return [make() for _ in range(self.random.randrange(most))]

    def sdk(self):
        random_ = self.random
        return [[name, "null" if random_.random() < 0.3 else
                 self.quoted(["frontend", "backend", None, "server", ""])
                 if name == "sdkType" else self.text()]
                for name in ("sdkType", "sdkVersion", "yggdrasilVersion",
                             "platformName", "platformVersion", "sdkFlavor",
                             "sdkFlavorVersion")
                if random_.random() < 0.2]

    def metric(self):
        variants = [[self.random.choice("ab"), self.pick(COUNTS)]
                    for _ in range(self.random.randrange(3))]
        return ["{}", [
            ["featureName", self.text()], ["appName", self.text()],
            ["environment", self.text()],
            ["timestamp", self.quoted(STAMPS)], ["yes", self.pick(COUNTS)],
            ["no", self.pick(COUNTS)],
            ["variants", ["{}", variants] if variants else
             self.random.choice(("{}", "null"))]] + self.sdk()]

    def via(self):
        return ["{}", [["appName", self.text()], ["instanceId", self.text()]]]

    def application(self):
        optional = [
            ["connectVia", ["[]", self.some(self.via)]],
            ["environment", self.text()],
            ["projects", ["[]", self.some(self.text)]],
            ["instanceId", self.text()], ["connectionId", self.text()]]
        return ["{}", [
            ["appName", self.text()],
            ["interval", self.pick(["60", "15000", "-1", "0", "6e1", "1e400",
                                    "1.0", None, "1.5", "null", '"60"'])],
            ["started", self.quoted(STAMPS)],
            ["strategies", ["[]", self.some(self.text)]]] + [
                [name, self.random.choice((item, item, "null"))]
                for name, item in optional if self.random.random() < 0.3] +
            self.sdk()]

    def bucket(self):
        return ["{}", [["le", self.pick(["1", "0.5", "1e1", '"+Inf"', "null",
                                         None, '"-Inf"', '"1"', "1e400",
                                         "true", "[]", "{}"])],
                       ["count", self.pick(COUNTS)]]]

    def sample(self, kind):
        labels = [[self.random.choice("ab"), self.random.choice(
            ('"x"', "1", "1.5", '""'))]
            for _ in range(self.random.randrange(3))]
        members = [["labels", ["{}", labels] if labels else
                    self.random.choice(("{}", "null"))]]
        if self.random.random() < 0.3:
            members = []
        if kind != "histogram" or self.random.random() < 0.2:
            members.append(["value", self.pick(REALS)])
        if kind == "histogram" or self.random.random() < 0.2:
            members += [["count", self.pick(COUNTS)],
                        ["sum", self.pick(REALS)],
                        ["buckets", ["[]", self.some(self.bucket)]]]
        return ["{}", members]

    def impact(self):
        kind = self.pick(KINDS)
        members = [
            ["type", '"%s"' % kind], ["name", self.text()],
            ["help", self.text()],
            ["samples", ["[]", [self.sample(kind) for _ in range(
                self.random.randrange(3))]]]]
        if self.random.random() < 0.3:
            self.random.shuffle(members)
        return ["{}", members]

    def tree(self):
        """A body, right but for what is odd in it."""
        self.odd = self.random.choice((0, 0, 0, 0, 0.03, 0.1))
        members = [["applications", ["[]", self.some(self.application)]],
                   ["metrics", ["[]", self.some(self.metric)]]]
        if self.random.random() < 0.5:
            members.append(["impactMetrics", self.random.choice(
                (["[]", self.some(self.impact)],
                 ["[]", self.some(self.impact)], "null"))])
        if self.random.random() < 0.3:
            members.append(["seenTokens", self.random.choice(
                (["[]", self.some(self.text)], "null"))])
        return ["{}", members]

    def places(self, node, found):
        """Every list of members or elements in a tree."""
        if type(node) is not list:
            return found
        found.append(node)
        for child in node[1]:
            self.places(child[1] if node[0] == "{}" else child, found)
        return found

    def spoil_tree(self, tree):
        """Do what a sender gets wrong, somewhere in a body."""
        random_ = self.random
        places = [place for place in self.places(tree, []) if place[1]]
        if not places:
            return
        kind, children = random_.choice(places)
        at = random_.randrange(len(children))
        way = random_.randrange(7)
        if way == 0:
            del children[at]
        elif way == 1:
            children.insert(random_.randrange(len(children) + 1),
                            children[at])
        elif way == 2 and kind == "{}":
            children[at] = [random_.choice((
                children[at][0].upper(), "x", "", children[at][0] + "\\u0000",
                "value", "count", "type", "appName")), children[at][1]]
        elif way == 3:
            random_.shuffle(children)
        elif way == 4:
            children.insert(at, [random_.choice(("x", "", "value", "sum")),
                                 random_.choice(TYPES)] if kind == "{}"
                            else random_.choice(TYPES))
        elif kind == "{}":
            children[at] = [children[at][0], random_.choice(TYPES)]
        else:
            children[at] = random_.choice(TYPES)

    def spelled(self, name):
        """A name, perhaps with an escape in it: it is the same name."""
        if not name or "\\" in name or self.random.random() > 0.05:
            return '"%s"' % name
        at = self.random.randrange(len(name))
        return '"%s\\u%04x%s"' % (name[:at], ord(name[at]), name[at + 1:])

    def flatten(self, node, out):
        if type(node) is not list:
            out.append(node)
            return out
        kind, children = node
        out.append(kind[0])
        for i, child in enumerate(children):
            if i:
                out.append(",")
            if kind == "{}":
                out += [self.spelled(child[0]), ":"]
                child = child[1]
            self.flatten(child, out)
        out.append(kind[1])
        return out

    def as_body(self):
        tree = self.tree()
        spoilt = self.random.choice((0, 0, 1, 1, 1, 2))
        for _ in range(spoilt):
            self.spoil_tree(tree)
        tokens = self.flatten(tree, [])
        if spoilt == 0 and self.random.random() < 0.2:
            return self.spoilt(tokens)
        return self.joined(tokens)


PLACE = re.compile(r"(?:/(?:[^~/]|~[01])*)*", re.DOTALL)


def trouble(text, wanted, got):
    """What is wrong with what the program says, or None."""
    if got[0] == "differs":
        return "it differs from one size of pieces to another"
    if got[0] == "ok":
        return None if wanted is not False else "it is accepted"
    if wanted:
        return "it is rejected"
    # What is wrong and too large may be found to be too large first.
    if len(got) != 4 or got[0] not in ("invalid", "overflow"):
        return "no such fault"
    if not 0 <= int(got[2]) <= len(text):
        return "the offset is beyond the text"
    if not PLACE.fullmatch(got[1]):
        return "the pointer is none"
    return None


def compare(name, make, count):
    """Make texts and compare; say how many were right and wrong."""
    accepted = unsure = 0
    wrong = []
    for start in range(0, count, BATCH):
        texts = [make() for _ in range(min(BATCH, count - start))]
        for text, got in zip(texts, verdicts(texts, "--few-sizes")):
            wanted = oracle.accepts(text)
            accepted += wanted is True
            unsure += wanted is None
            why = trouble(text, wanted, got)
            if why and len(wrong) < 20:
                wrong.append("%s: %r: %s" % (why, text, " ".join(got)))
    note("%s: %d texts, %d of them right, %d for nobody to say" % (
        name, count, accepted, unsure))
    equal(wrong, [], "%s: the program and Python's json agree" % name)
    # Who makes only one kind of text compares nothing.
    check(count / 20 < accepted < count * 19 / 20,
          "%s: there are both, right and wrong ones" % name, accepted)
    check(unsure < count / 20 + 1, "%s: nearly all are sure" % name, unsure)


def values():
    compare("value", Texts(SEED).as_value, CASES * 5 // 12)


def names():
    compare("name", Texts(SEED + 1).as_name, CASES // 6)


def wholes():
    compare("whole", Texts(SEED + 2).as_whole, CASES // 12)


def bodies():
    compare("body", Bodies(SEED + 3).as_body, CASES // 3)


note(f"seed {SEED}: repeat with FLAGTALLY_SEED={SEED} FLAGTALLY_CASES={CASES}")
run([values, names, wholes, bodies])
