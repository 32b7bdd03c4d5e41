"""What comes from outside, wherever it is shown: bounded, and harmless.

A table of texts that do something to a terminal, to who reads a log line by
line, or to a parser, goes through every place in which it may come back: names
and values of a body, parameters of a request, errors of Redis, the records of
the spool, the configuration and the token file.  An answer is printable ASCII
and valid JSON, a line of the log is one line of printable ASCII.
"""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from tests.harness import fcgi
from tests.harness.servers import (PROGRAM, Flagtally, Place, Redis,
                                   environment)
from tests.harness.tap import check, equal, run
from tests.harness.wait import until

PATH = os.path.abspath(PROGRAM)
SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))
# Stands in all hostile texts.
MARK = "0wned"
HOSTILE = {
    "a terminal's title": "\x1b]0;0wned\x07",
    "a cleared screen": "\x1b[2J\x1b[H0wned",
    "a line of the log": "0wned\r\nflagtally[1]: error: forged",
    "a line's end alone": "0wned\nflagtally[1]: error: forged",
    "a return alone": "0wned\rflagtally[1]: error: forged",
    "backspaces": "0wned\b\b\b\b\b\x7f",
    "tabs, which end columns": "0wned\t1\t2\t3",
    "an escape of one byte": "\x9b31m0wned",
    "control characters of C1": "0wned\x85\x84\x90\x9c\x9d",
    "separators of lines": "0wned\u2028x\u2029y",
    "marks of direction": "0wned\u202egpj.\u2066exe\u2069\u200f",
    "what takes no room": "0\u200bw\ufeff\u2060\u00adned0wned",
    "the end of a string": '0wned","admin":true,"x":"',
    "the end of markup": "0wned</script><script>alert(1)//",
    "a format": "0wned%s%n%1000000d%p",
    "an escape, spelled out": "0wned\\x0a\\n\\u000a\\",
    "a command": "0wned`reboot`$(reboot);reboot",
    "letters of any script": "0wnedé日😀\U0010ffff\ufdd0",
    "much": "0wned" * 30000,
}
# Where bytes may be anything but NUL.
BYTES = {name: text.encode() for name, text in HOSTILE.items()}
BYTES["what is no UTF-8"] = b"0wned\xff\xfe\xc3(\xed\xa0\x80\xf4\x90\x80\x80"
PRINTABLE = re.compile(rb"[ -~]*")
LINE = re.compile(rb"flagtally\[\d+\]: (error|warning|info|debug): [ -~]*")
ANSWER_MAX = 16384


class Log:
    """What has come to the log since somebody last asked."""

    def __init__(self, place, process):
        self.path = place.file(process.log)
        self.read = os.path.getsize(self.path)

    def renew(self, process):
        """Have every line come again, though one like it has just come."""
        process.signal(signal.SIGHUP)

        def seen():
            self.trouble()
            return b"SIGHUP" in self.last
        until(seen, "SIGHUP in the log")

    def trouble(self):
        """What is wrong with the lines that have come."""
        with open(self.path, "rb") as file:
            file.seek(self.read)
            text = file.read()
        self.read += len(text)
        self.last = text
        return [f"a line of the log: {line[:300]!r}"
                for line in text.split(b"\n")[:-1]
                if not LINE.fullmatch(line) or len(line) > 2047]


def trouble(answer):
    """What is wrong with an answer that may have something in it."""
    faults = []
    if not PRINTABLE.fullmatch(answer.body) or len(answer.body) > ANSWER_MAX:
        faults.append(f"the answer: {answer.body[:300]!r}")
    for name, value in answer.headers.items():
        if MARK in name + value:
            faults.append(f"the header {name}: {value[:300]!r}")
    try:
        if answer.headers.get("content-type", "").endswith("json"):
            json.loads(answer.body)
    except ValueError as error:
        faults.append(f"the answer is no JSON: {error}")
    return faults


def pointer_step(name):
    return "/" + name.replace("~", "~0").replace("/", "~1")


def post(service, body, **changes):
    return service.request(fcgi.params(body, **changes), body, keep=True)


def body_names():
    """A name that is on the way to a fault is in the answer's pointer."""
    names = {**HOSTILE, "a NUL": "0wned\0x", "128 bytes": "0wned" + "é" * 61 +
             "x", "129 bytes": "0wned" + "é" * 62, "~ and /": "~0wned/~1"}
    with Place() as place:
        flagtally = Flagtally(place, "unix:///nowhere", log_level="debug")
        service = fcgi.Connection(flagtally.address)
        log = Log(place, flagtally)
        for kind, name in names.items():
            for escaped in (True, False):
                text = json.dumps(name, ensure_ascii=escaped)
                body = ('{"applications":[],"metrics":[],"x":{%s:[7,nul]}}'
                        % text).encode()
                answer = post(service, body)
                faults = trouble(answer) + log.trouble()
                wanted = "/x"
                if len(name.encode()) <= 128 and "\0" not in name:
                    wanted += pointer_step(name) + "/1"
                if answer.status != 400:
                    faults.append(f"status {answer.status}")
                else:
                    problem = json.loads(answer.body)
                    for pointer in (problem["pointer"],
                                    problem["details"][0]["path"]):
                        if pointer != wanted:
                            faults.append(f"{pointer!r}, not {wanted!r}")
                if b"rejected a body" not in log.last:
                    faults.append("nothing in the log")
                equal(faults, [], f"a name, {kind}, "
                      + ("escaped" if escaped else "as it is"))
        # 60 names of 128 bytes: the pointer stays within its bounds.
        name = json.dumps("é" * 64, ensure_ascii=False)
        body = ('{"x":' + ('{%s:' % name) * 60 + "nul").encode()
        answer = post(service, body)
        problem = json.loads(answer.body)
        equal((trouble(answer), log.trouble(), problem["pointer"]),
              ([], [], "/x" + pointer_step("é" * 64) * 3),
              "a pointer ends at the last name that fits")


def body_values():
    """Values are never shown, whatever is wrong with them."""
    metric = ('{"featureName":"f","appName":"a","environment":"e",'
              '"timestamp":%s,"yes":1,"no":0,"variants":{%s:%s},'
              '"sdkType":%s}')
    good = '"2026-11-23T09:30:00Z"'
    with Place() as place:
        flagtally = Flagtally(place, "unix:///nowhere", log_level="debug")
        service = fcgi.Connection(flagtally.address)
        log = Log(place, flagtally)
        for kind, text in HOSTILE.items():
            quoted = json.dumps(text, ensure_ascii=False)
            faults = []
            for item in ('"metrics":[%s]' % (metric % (
                            quoted, '"v"', "1", "null")),
                         '"metrics":[%s]' % (metric % (
                             good, '"v"', quoted, "null")),
                         '"metrics":[%s]' % (metric % (
                             good, '"v"', "1", quoted)),
                         '"metrics":[],"metrics":%s' % quoted,
                         '"metrics":[],"seenTokens":%s' % quoted,
                         '"metrics":[],"impactMetrics":[{"type":%s}]'
                         % quoted):
                answer = post(service, (
                    '{"applications":[],%s}' % item).encode())
                faults += trouble(answer) + log.trouble()
                if answer.status != 400 or MARK.encode() in answer.body or \
                        MARK.encode() in log.last:
                    faults.append(f"{item[:200]}: {answer.body[:300]!r}")
            equal(faults, [], f"a value, {kind}")


def left_out():
    """With invalid = skip the log names the first part that is left out."""
    with Place() as place:
        redis = Redis(place, appendfsync="everysec")
        flagtally = Flagtally(place, redis, invalid="skip")
        service = fcgi.Connection(flagtally.address)
        log = Log(place, flagtally)
        for kind, name in HOSTILE.items():
            body = ('{"applications":[],"metrics":[{"variants":{%s:-1}}]}'
                    % json.dumps(name[:60000], ensure_ascii=False)).encode()
            log.renew(flagtally)
            answer = post(service, body)
            faults = trouble(answer) + log.trouble()
            if answer.status != 202 or b"left out" not in log.last:
                faults.append(f"{answer.status}, {log.last!r}")
            equal(faults, [], f"an element that is left out, {kind}")
        for count in (1, 11, 300000):
            body = b'{"applications":[],"metrics":[' + b",".join(
                [b"7"] * count) + b"]}"
            log.renew(flagtally)
            began = time.monotonic()
            answer = post(service, body)
            took = time.monotonic() - began
            faults = log.trouble()
            lines = re.findall(rb"left out (\d+) parts of a body, the first at "
                               rb"/metrics/0, byte 30: ", log.last)
            equal((answer.status, faults, lines),
                  (202, [], [b"%d" % count]),
                  f"{count} elements are left out in one line")
            check(took < 2 or SANITIZER, "and quickly", took)


def parameters():
    """What describes a request is not shown, but for the peer's address."""
    good = b'{"applications":[],"metrics":[]}'
    with Place() as place:
        flagtally = Flagtally(place, "unix:///nowhere", log_level="debug",
                              auth="tokens", limit_cgi_params="64K",
                              tokens=place.file("tokens", "*:*.secret\n"))
        log = Log(place, flagtally)
        for kind, text in BYTES.items():
            faults = []
            for name in ("REQUEST_URI", "SCRIPT_NAME", "PATH_INFO",
                         "QUERY_STRING", "REQUEST_METHOD", "CONTENT_TYPE",
                         "CONTENT_LENGTH", "HTTP_CONTENT_ENCODING",
                         "HTTP_TRANSFER_ENCODING", "HTTP_AUTHORIZATION",
                         "REDIRECT_HTTP_AUTHORIZATION", "REMOTE_ADDR",
                         "REMOTE_PORT", "HTTP_X_FORWARDED_FOR",
                         "HTTP_USER_AGENT", "SERVER_PROTOCOL", "HTTP_X",
                         None):
                if name is None:
                    changes = {text: "x"}
                else:
                    changes = {name: text}
                for token in (b"*:*.secret", b"x:y.wrong"):
                    service = fcgi.Connection(flagtally.address)
                    values = {**fcgi.params(good, HTTP_AUTHORIZATION=token),
                              **changes}
                    answer = service.request(values, good)
                    service.close()
                    faults += [f"{name}: {fault}" for fault in
                               trouble(answer) + log.trouble()]
                    if MARK.encode() in answer.body:
                        faults.append(f"{name}: {answer.body[:300]!r}")
                    if name != "REMOTE_ADDR" and MARK.encode() in log.last:
                        faults.append(f"{name}: {log.last[:300]!r}")
            equal(faults, [], f"parameters, {kind}")
        check(flagtally.running(), "it goes on")


def addresses():
    """The address of who was turned away is in the log, cut and escaped."""
    for kind, text in BYTES.items():
        with Place() as place:
            # Such a line comes once in a while, so each has its own process.
            flagtally = Flagtally(place, "unix:///nowhere", auth="tokens",
                                  tokens=place.file("tokens", "*:*.x\n"))
            log = Log(place, flagtally)
            answer = fcgi.post(flagtally.address, b"{}",
                               REMOTE_ADDR=text[:4000])
            faults, shown = [], []

            def told():
                # The first of Redis may come between.
                faults.extend(log.trouble())
                shown.extend(re.findall(rb"turned away a request from (.*): "
                                        rb"it has no token", log.last))
                return faults or shown
            until(told, "a line of the log")
            wanted = b"".join(
                b"\\\\" if byte == 92 else bytes([byte]) if 32 <= byte < 127
                else b"\\x%02x" % byte for byte in text[:45])
            equal((answer.status, trouble(answer) + faults, shown),
                  (403, [], [wanted]), f"an address, {kind}")


class Pretender:
    """Something that takes itself for Redis, and answers what it is told."""

    def __init__(self, place):
        self.path = place.file("pretender.sock")
        self.login = self.script = b"+OK\r\n"
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        self.listening.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,),
                             daemon=True).start()

    def serve(self, client):
        try:
            with client, client.makefile("rb") as file:
                while True:
                    line = file.readline()
                    if not line:
                        return
                    words = []
                    for _ in range(int(line[1:])):
                        size = int(file.readline()[1:])
                        words.append(file.read(size + 2)[:-2])
                    client.sendall(self.answer(words))
        except OSError:
            pass

    def answer(self, words):
        if words[0] == b"SELECT":
            return self.login
        if words[0] == b"TIME":
            return b"*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"
        if words[:2] == [b"SCRIPT", b"LOAD"]:
            return b"$40\r\n%s\r\n" % hashlib.sha1(
                words[2]).hexdigest().encode()
        if words[0] == b"EVALSHA" and words[3].endswith(b":apps"):
            return b":1\r\n"
        if words[0].startswith(b"EVAL"):
            return self.script
        return b":1\r\n" if words[0] in (b"ZADD", b"PUBLISH") else b"+OK\r\n"


def command(place, pretender, *words):
    return subprocess.run([PATH, *words], env=environment(
        redis=f"unix://{pretender.path}?db=1", redis_timeout="300ms",
        spool=place.file("spool.db")), timeout=30, capture_output=True,
        check=False)


def redis_errors():
    """What Redis says goes to the log and to the spool, and is listed."""
    # An error of Redis is one line; since hiredis 1.0 nothing else is an error.
    texts = {kind: text for kind, text in BYTES.items()
             if not re.search(rb"[\r\n]", text)}
    body = (b'{"applications":[],"metrics":[{"featureName":"f","appName":"a",'
            b'"environment":"e","timestamp":"2026-11-23T09:30:00Z","yes":1,'
            b'"no":0,"variants":{}}]}')
    with Place() as place:
        pretender = Pretender(place)
        flagtally = Flagtally(
            place, f"unix://{pretender.path}?db=1", limit_apps=0,
            redis_timeout="300ms", spool=place.file("spool.db"))
        service = fcgi.Connection(flagtally.address)
        log = Log(place, flagtally)
        for kind, text in texts.items():
            pretender.script = b"-WRONGTYPE " + text + b"\r\n"
            log.renew(flagtally)
            answer = post(service, body)
            until(lambda: log.trouble() or
                  b"rejected a call permanently" in log.last,
                  "a line of the log")
            equal((answer.status, trouble(answer), log.trouble()),
                  (202, [], []), f"an error of Redis for good, {kind}")
        listed = command(place, pretender, "--spool")
        lines = listed.stdout.split(b"\n")[1:-1]
        equal((listed.returncode, len(lines), len(listed.stderr)),
              (0, len(texts), 0), "they are listed, a line each")
        wrong = [line for line in lines if line.count(b"\t") != 4 or
                 not PRINTABLE.fullmatch(line.replace(b"\t", b""))]
        equal(wrong, [], "with four tabs, in printable ASCII")
        exported = command(place, pretender, "--spool-export").stdout
        check(PRINTABLE.fullmatch(exported.replace(b"\n", b"")),
              "they are exported in printable ASCII")
        reasons = [json.loads(line)["reason"]
                   for line in exported.split(b"\n")[:-1]]
        wanted = [(b"WRONGTYPE " + text)[:299].decode("utf-8", "replace")[:150]
                  for text in texts.values()]
        equal([reason[:150].replace("\ufffd", "?") for reason in reasons],
              [reason.replace("\ufffd", "?") for reason in wanted],
              "and are what Redis said")


# What hiredis since 1.0 says of an error with a line's end in it.
NO_ERROR = b"Bad simple string value"


def replay_errors():
    """What passes is told by the log, and by --replay."""
    # Each takes the two seconds after which a request goes to the spool.
    for kind in ("a terminal's title", "a line's end alone", "much",
                 "what is no UTF-8"):
        text = BYTES[kind]
        with Place() as place:
            pretender = Pretender(place)
            pretender.login = b"-LOADING " + text + b"\r\n"
            flagtally = Flagtally(
                place, f"unix://{pretender.path}?db=1", limit_apps=0,
                redis_timeout="300ms", spool=place.file("spool.db"))
            answer = fcgi.post(flagtally.address, (
                b'{"applications":[],"metrics":[{"featureName":"f",'
                b'"appName":"a","environment":"e","yes":1,"no":0,'
                b'"timestamp":"2026-11-23T09:30:00Z","variants":{}}]}'))
            flagtally.end()
            log = Log(place, flagtally)
            log.read = 0
            faults = log.trouble()
            replayed = command(place, pretender, "--replay")
            wrong = [line for line in replayed.stderr.split(b"\n")
                     if not PRINTABLE.fullmatch(line)]
            told = [any(words in text for words in (said, NO_ERROR))
                    for text, said in ((log.last, MARK.encode()),
                                       (replayed.stderr, b"LOADING"))]
            equal((answer.status, faults, replayed.returncode, wrong, told),
                  (202, [], 75, [], [True, True]),
                  f"an error of Redis that passes, {kind}")


def settings():
    """The configuration and the token file, in messages and in the list."""
    for kind, text in HOSTILE.items():
        if len(text) > 1000:
            text = text[:150]
        single = re.sub("[\r\n]", "_", text)
        faults = []
        with Place() as place:
            ini = place.file("flagtally.ini")
            for line in (f"prefix = {single}", f"{single} = 1",
                         f"[{single}]", f"threads = {single}", single,
                         f"ack = {single}", f"listen = {single}",
                         f"redis = {single}", f"redis = redis://{single}",
                         f"tokens = {single}"):
                place.file("flagtally.ini", line + "\n")
                done = subprocess.run(
                    [PATH, "--check-config", "--config", ini],
                    env=environment(), timeout=20, capture_output=True,
                    check=False)
                faults += output_faults(line, done)
            for name, value in (("PREFIX", text), ("SPOOL", text),
                                ("X" + single, "1"), ("ACK", text),
                                ("REDIS", text), ("TOKENS", text)):
                done = subprocess.run(
                    [PATH, "--check-config"], timeout=20, check=False,
                    env={**environment(), "FLAGTALLY_" + name: value},
                    capture_output=True)
                faults += output_faults(name, done)
            for line in (text, f"*:*.x {single}", f"sha256:{single} x",
                         f"*:{single}.x type={single}"):
                done = subprocess.run(
                    [PATH, "--check-config"], timeout=20, check=False,
                    env=environment(tokens=place.file("tokens", line + "\n")),
                    capture_output=True)
                faults += output_faults("a line of the token file", done)
                if MARK.encode() in done.stderr:
                    faults.append(f"of the token file: {done.stderr!r}")
        equal(faults, [], f"settings, {kind}")


def output_faults(what, done):
    """What is wrong with what --check-config prints."""
    faults = []
    if done.returncode not in (0, 78):
        faults.append(f"{what}: status {done.returncode}")
    for line in done.stderr.split(b"\n")[:-1]:
        if not LINE.fullmatch(line):
            faults.append(f"{what}: {line[:300]!r}")
    lines = done.stdout.split(b"\n")[:-1]
    for line in lines:
        if not PRINTABLE.fullmatch(line):
            faults.append(f"{what}: {line[:300]!r}")
    names = [line.split(b" = ")[0] for line in lines]
    if len(set(names)) != len(names):
        faults.append(f"{what}: a key is listed twice")
    return faults


run([body_names, body_values, left_out, parameters, addresses, redis_errors,
     replay_errors, settings])
