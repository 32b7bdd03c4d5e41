"""What Redis must hold after a number of bodies: the contract, said again.

Shares nothing with the program: bodies are read with Python's json, counted
with unlimited integers and fractions, and written down as plain dicts.
"""

import datetime
import hashlib
import json
import time
from fractions import Fraction

KEPT = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"
MEMBERS = ["connectionId", "interval", "started", "strategies", "projects",
           "connectVia", "sdkVersion", "sdkType", "sdkFlavor",
           "sdkFlavorVersion", "yggdrasilVersion", "platformName",
           "platformVersion"]


class Number(str):
    """A number as it stands in the body."""


def parse(body):
    return json.loads(body, parse_int=Number, parse_float=Number)


def encode(name):
    return "".join(chr(byte) if chr(byte) in KEPT else f"%{byte:02X}"
                   for byte in name.encode())


def number_text(value):
    """Digits of an exact integer, else the first %g that reads back."""
    if value == int(value) and abs(value) < 2 ** 53:
        return str(int(value))
    for digits in (15, 16, 17):
        text = f"{value:.{digits}g}"
        if float(text) == value:
            return text
    raise ValueError(value)


def hour_of(stamp):
    """The UTC hour of a date-time, as (name, start in seconds)."""
    date, rest = stamp[:10], stamp[11:]
    year, month, day = (int(part) for part in date.split("-"))
    if rest[-1] in "zZ":
        clock, minutes = rest[:-1], 0
    else:
        clock, zone = rest[:-6], rest[-6:]
        minutes = int(zone[1:3]) * 60 + int(zone[4:6])
        minutes *= -1 if zone[0] == "-" else 1
    hour, minute = int(clock[0:2]), int(clock[3:5])
    # A leap second belongs to the minute it ends, so seconds do not matter.
    # The calendar repeats every 400 years; Python's begins with year 1.
    shift = 400 if year < 4000 else -400
    moment = datetime.datetime(year + shift, month, day, hour, minute)
    moment -= datetime.timedelta(minutes=minutes)
    year = moment.year - shift
    name = f"{'-' if year < 0 else ''}{abs(year):04}" + moment.strftime(
        "-%m-%dT%H")
    epoch = datetime.datetime(1970, 1, 1)
    seconds = int((moment - epoch).total_seconds())
    return name, (seconds - seconds % 3600) - shift // 400 * 146097 * 86400


def prometheus_name(text):
    units = text.encode("utf-16-le", "surrogatepass")
    name = "".join(
        chr(unit) if unit < 128 and (chr(unit).isalnum() or unit == 95)
        else "_" for unit in (int.from_bytes(units[i:i + 2], "little")
                              for i in range(0, len(units), 2)))
    return None if name == "" or name[0].isdigit() else name


def label_text(labels):
    """The label set as Prometheus writes it, without braces."""
    named = {}
    for key, value in labels.items():
        name = prometheus_name(key)
        if name not in (None, "environment") and not name.startswith("__"):
            if isinstance(value, Number):
                value = number_text(float(value))
            named.setdefault(name, []).append(value)
    named = {name: values for name, values in named.items() if values[-1]}
    return ",".join('{}="{}"'.format(
        name, named[name][-1].replace("\\", "\\\\").replace(
            '"', '\\"').replace("\n", "\\n")) for name in sorted(named)), named


def own(key):
    """Whether a key is for flagtally itself, and so nothing to a reader."""
    return b":writer:" in key or key.endswith(
        (b"}:late", b"}:sizes", b"}:shares"))


def observations(sample):
    """How many are beyond each finite bound and not beyond the next one."""
    count = int(Fraction(sample["count"]))
    at_most = {}
    for bucket in sample["buckets"]:
        if bucket["le"] != "+Inf":
            bound = number_text(float(bucket["le"]))
            at_most[bound] = max(at_most.get(bound, 0), min(
                count, int(Fraction(bucket["count"]))))
    found, reached = {}, 0
    for bound in sorted(at_most, key=float):
        found[bound] = max(at_most[bound] - reached, 0)
        reached += found[bound]
    return found


HISTOGRAM_ENDINGS = ("_count", "_sum", "_bucket")


class Model:
    def __init__(self, prefix="flagtally"):
        self.prefix = prefix
        self.hashes = {}        # key -> field -> sum (int or Fraction)
        self.latest = {}        # key -> field -> values that may stand there
        self.seen = {}          # key -> member -> score
        self.now = {}           # key -> members that were seen now
        self.names = {}         # key -> members of a set
        self.types = {}
        self.spread = {}        # (key, labels) -> bound -> observations
        self.bounds = {}        # (key, labels) -> those of the first body
        self.bodies = 0

    def key(self, tag, rest):
        return f"{self.prefix}:{{{tag}}}{rest}"

    def add(self, key, field, value):
        fields = self.hashes.setdefault(key, {})
        fields[field] = fields.get(field, 0) + value

    def set(self, key, field, value, ordered):
        values = self.latest.setdefault(key, {}).setdefault(field, [])
        if ordered:
            values.clear()
        values.append(value)

    def body(self, body, scope="*", ordered=True):
        """Count a body that was accepted; in order, or among others."""
        content = parse(body)
        self.bodies += 1
        for metric in content["metrics"]:
            self.metric(metric, scope)
        for application in content["applications"]:
            self.application(application, scope, ordered)
        for metric in content.get("impactMetrics") or []:
            self.impact(metric, scope, ordered)
        for token in content.get("seenTokens") or []:
            self.now.setdefault(self.prefix + ":tokens:seen", set()).add(
                hashlib.sha256(token.encode()).hexdigest())

    def list_application(self, environment, application):
        tag = encode(environment) + ":" + encode(application)
        self.now.setdefault(self.prefix + ":apps", set()).add(tag)
        return tag

    def metric(self, metric, scope):
        counts = {"yes": metric["yes"], "no": metric["no"]}
        for name, count in (metric["variants"] or {}).items():
            counts["variant:" + encode(name)] = count
        counts = {name: int(Fraction(count))
                  for name, count in counts.items() if Fraction(count) != 0}
        if not counts or scope not in ("*", metric["environment"]):
            return
        tag = self.list_application(metric["environment"], metric["appName"])
        feature = encode(metric["featureName"])
        hour, start = hour_of(metric["timestamp"])
        for period in (hour, hour.rsplit("T", 1)[0]):
            for name, count in counts.items():
                self.add(self.key(tag, ":" + period), feature + ":" + name,
                         count)
        scores = self.seen.setdefault(self.key(tag, ":seen"), {})
        # What is dated ahead was seen in this hour.
        now = int(time.time())
        start = start if start <= now else now - now % 3600
        scores[feature] = max(start, scores.get(feature, start))

    def application(self, application, scope, ordered):
        environment = application.get("environment")
        if environment is None:
            environment = "default" if scope == "*" else scope
        instance = application.get("instanceId") or "default"
        tag = self.list_application(environment, application["appName"])
        registration = {"appName": application["appName"],
                        "environment": environment, "instanceId": instance}
        for name in MEMBERS:
            value = application.get(name)
            if name == "connectVia" and value is not None:
                value = [{"appName": via["appName"],
                          "instanceId": via["instanceId"]} for via in value]
            if value is not None:
                registration[name] = value
        self.set(self.key(tag, ":instances"), encode(instance),
                 registration, ordered)
        self.now.setdefault(self.key(tag, ":instances:seen"), set()).add(
            encode(instance))

    def impact(self, metric, scope, ordered):
        name = prometheus_name(metric["name"])
        if name is None:
            return
        samples = metric["samples"]
        if metric["type"] == "gauge":
            # The first with the same labels counts, so it is set last.
            samples = samples[::-1]
        for sample in samples:
            if metric["type"] == "histogram":
                numbers = [sample["sum"]] + [
                    bucket["le"] for bucket in sample["buckets"]]
            else:
                numbers = [sample["value"]]
            labels = sample.get("labels") or {}
            text, named = label_text(labels)
            if None in numbers or (metric["type"] == "histogram" and
                                   "le" in named):
                continue
            environment = scope
            if scope == "*":
                environment = labels.get("environment") or "default"
                if isinstance(environment, Number):
                    environment = number_text(float(environment))
            key = self.key(encode(environment), ":impact:" + name)
            if metric["type"] == "counter" and Fraction(
                    sample["value"]) < 0:
                continue
            if self.clashes(key, metric["type"]):
                continue
            self.types[key] = metric["type"]
            self.now.setdefault(self.prefix + ":environments", set()).add(
                encode(environment))
            self.names.setdefault(self.key(encode(environment), ":impact"),
                                  set()).add(name)
            self.set(key, "#type", metric["type"], ordered)
            self.set(key, "#help", metric["help"], ordered)
            self.sample(key, metric["type"], sample, text, ordered)

    def clashes(self, key, kind):
        """Whether a metric's key and type leave no place for another one."""
        if key in self.types:
            return self.types[key] != kind
        if kind == "histogram" and any(
                key + ending in self.types for ending in HISTOGRAM_ENDINGS):
            return True
        return any(self.types.get(key.removesuffix(ending)) == "histogram"
                   for ending in HISTOGRAM_ENDINGS if key.endswith(ending))

    def sample(self, key, kind, sample, labels, ordered):
        braces = "{" + labels + "}" if labels else ""
        if kind == "gauge":
            self.set(key, braces, number_text(float(sample["value"])),
                     ordered)
            self.now.setdefault(key + ":when", set()).add(braces)
        elif kind == "counter":
            self.add(key, braces, Fraction(float(sample["value"])))
        else:
            self.add(key, "_sum" + braces, Fraction(float(sample["sum"])))
            self.add(key, "_count" + braces, int(Fraction(sample["count"])))
            found = observations(sample)
            first, bounds = self.bounds.setdefault(
                (key, labels), (self.bodies, set()))
            if first == self.bodies or not ordered:
                bounds.update(found)
            self.now.setdefault(key + ":bounds", {})[labels] = (
                bounds, ordered)
            spread = self.spread.setdefault((key, labels), {})
            for bound, count in found.items():
                spread[bound] = spread.get(bound, 0) + count

    def buckets(self, key, bounds):
        """The fields that a histogram has with the bounds in Redis."""
        fields = {}
        for labels, known in bounds.items():
            spread = self.spread.get((key, labels), {})
            before = "_bucket{" + (labels + "," if labels else "") + 'le="'
            for bound in known.split():
                fields[before + bound + '"}'] = sum(
                    count for le, count in spread.items()
                    if float(le) <= float(bound))
            count = "_count" + ("{" + labels + "}" if labels else "")
            fields[before + '+Inf"}'] = self.hashes[key].get(count)
        return fields

    def differences(self, everything, now, slack=120):
        """How Redis, as Client.everything shows it, differs from this."""
        wanted = set(self.hashes) | set(self.latest) | set(self.seen) | set(
            self.now) | set(self.names)
        got = {key.decode(): value for key, value in everything.items()
               if not own(key)}
        lines = [f"missing key {key}" for key in sorted(wanted - set(got))]
        lines += [f"extra key {key}" for key in sorted(set(got) - wanted)]
        for key in sorted(wanted & set(got)):
            if key in self.names:
                if {name.decode() for name in got[key]} != self.names[key]:
                    lines.append(f"{key}: {got[key]}")
            elif key in self.now:
                lines += self.now_differences(key, got[key], now, slack)
            elif key in self.seen:
                scores = {member.decode(): score
                          for member, score in got[key].items()}
                if scores != self.seen[key]:
                    lines.append(f"{key}: {scores}, not {self.seen[key]}")
            else:
                bounds = {labels.decode(): value.decode() for labels, value in
                          got.get(key + ":bounds", {}).items()}
                lines += self.hash_differences(key, got[key],
                                               self.buckets(key, bounds))
        return lines

    def now_differences(self, key, got, now, slack):
        if key.endswith(":bounds"):
            return self.bounds_differences(key, got)
        if key.endswith(":when"):
            got = {member: int(value) / 1000 for member, value in got.items()}
        members = {member.decode() for member in got}
        lines = []
        if members != self.now[key]:
            lines.append(f"{key}: {sorted(members ^ self.now[key])} differ")
        lines += [f"{key}: {member} has {score}"
                  for member, score in got.items()
                  if not now - slack <= score <= now + 1]
        return lines

    def bounds_differences(self, key, got):
        """Those of the first report, or with others at once of some."""
        got = {labels.decode(): value.decode().split()
               for labels, value in got.items()}
        lines = [f"{key}: {labels}" for labels in set(got) ^ set(
            self.now[key])]
        for labels in set(got) & set(self.now[key]):
            bounds, ordered = self.now[key][labels]
            if (set(got[labels]) != bounds if ordered
                    else set(got[labels]) - bounds) or got[labels] != sorted(
                        got[labels], key=float):
                lines.append(f"{key} {labels}: {got[labels]}, not {bounds}")
        return lines

    def hash_differences(self, key, got, buckets):
        lines = []
        sums = {**self.hashes.get(key, {}), **buckets}
        latest = self.latest.get(key, {})
        got = {field.decode(): value for field, value in got.items()}
        for field in sorted(set(sums) | set(latest) | set(got)):
            value = got.get(field)
            if field in sums:
                total = sums[field]
                text = str(total) if isinstance(total, int) else number_text(
                    float(total))
                right = value == text.encode()
                expected = text
            else:
                expected = latest.get(field, [])
                if value is not None and key.endswith(":instances"):
                    value = parse(value)
                elif value is not None:
                    value = value.decode()
                right = value in expected
            if not right:
                lines.append(f"{key} {field}: {value!r}, not {expected!r}")
        return lines
