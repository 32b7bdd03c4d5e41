"""Random valid bodies, written in every way that JSON allows."""

import json

ODD = ["", ":", "{", "}", "%", " ", "\0", "%25", "a:b", "{x}", "}{", "\n",
       "\"", "\\", "é", "日本", "😀", "\x7f", "~", "%zz", "/", "\u2028",
       "\ufeff", "\uffff", "yes", "variant:a", "#type", "a.b-c_d~", "*",
       "\x1f", "A" * 40, "\t", "default"]
STAMPS = ["2026-11-23T09:30:00Z", "2026-11-23T09:59:59.999999999Z",
          "2026-11-23T10:00:00+00:00", "2026-11-23t23:59:59z",
          "2026-11-24T00:00:00+00:01", "2026-11-24T05:29:59+05:30",
          "2026-11-24T05:30:00+05:30", "2026-11-23T15:59:59-08:00",
          "2026-12-31T23:59:60Z", "2016-12-31T15:59:60-08:00",
          "2024-02-29T12:00:00Z", "2024-02-29T23:30:00-23:59",
          "0000-01-01T00:00:00Z", "0000-01-01T00:00:00+23:59",
          "9999-12-31T23:59:59-23:59", "1969-12-31T23:00:00Z",
          "1970-01-01T00:00:00.5Z", "2026-01-01T00:59:59+01:00"]


class Raw(str):
    """Text that goes into the body as it is."""


class Bodies:
    def __init__(self, random, environments, applications=8, features=30,
                 conflicts=False):
        self.random = random
        self.environments = environments
        self.names = ODD + [f"name-{i}" for i in range(features)] + [
            self.any_text() for _ in range(features)]
        self.applications = [self.random.choice(self.names)
                             for _ in range(applications)]
        self.conflicts = conflicts

    def any_text(self):
        """A few characters out of all of Unicode."""
        ends = [0x80, 0x800, 0xd800, 0x110000]
        return "".join(chr(code) for code in (
            self.random.randrange(self.random.choice(ends))
            for _ in range(self.random.randrange(1, 5)))
            if not 0xd800 <= code < 0xe000)

    def count(self):
        count = self.random.choice([0, 0, 1, 1, 2, 3, 7, 1000, 2 ** 40])
        forms = [str(count), f"{count}.0", f"{count}e0",
                 f"{count * 10}E-1"]
        if count % 10 == 0 and count:
            forms.append(f"{count // 10}e+1")
        return Raw(self.random.choice(forms[:1] * 4 + forms))

    def real(self):
        """A number whose sums are exact in any order."""
        return Raw(repr(self.random.randrange(-4096, 4096) / 64))

    def optional(self, members):
        """Some of the members; some of them null."""
        return {name: self.random.choice([value, value, None])
                for name, value in members.items()
                if self.random.random() < 0.6}

    def metric(self):
        choice = self.random.choice
        variants = {choice(self.names): self.count()
                    for _ in range(choice([0, 0, 1, 3]))}
        return {
            "featureName": choice(self.names),
            "appName": choice(self.applications),
            "environment": choice(self.environments),
            "timestamp": choice(STAMPS),
            "yes": self.count(), "no": self.count(),
            "variants": choice([variants, variants, variants, None])
            if not variants else variants,
            **self.optional({
                "sdkVersion": "1.0", "sdkType": choice(["frontend",
                                                        "backend"]),
                "yggdrasilVersion": "0.13", "platformName": "p",
                "platformVersion": "v", "sdkFlavor": "f",
                "sdkFlavorVersion": "w"}),
        }

    def application(self):
        choice = self.random.choice
        return {
            "appName": choice(self.applications),
            "interval": Raw(choice(["60", "15000", "0", "6e1", "-1"])),
            "started": choice(STAMPS),
            "strategies": [choice(self.names) for _ in range(choice([0, 2]))],
            **self.optional({
                "connectVia": [{"appName": choice(self.names),
                                "instanceId": choice(self.names)}],
                "environment": choice(self.environments),
                "projects": [choice(self.names)],
                "instanceId": choice(self.names),
                "connectionId": choice(self.names),
                "sdkVersion": choice(self.names),
                "sdkType": choice(["frontend", "backend"]),
                "yggdrasilVersion": "0.13.1", "platformName": "RustCPython",
                "platformVersion": choice(self.names), "sdkFlavor": "x",
                "sdkFlavorVersion": "y"}),
        }

    def labels(self):
        choice = self.random.choice
        labels = {choice(self.names): choice(
            [choice(self.names), self.real()])
            for _ in range(choice([0, 1, 2, 4]))}
        # What becomes the same name would depend on the order.
        labels.update(self.random.choice([{}, {}, {
            "environment": choice(self.environments)}, {"9lives": "x"},
            {"__name__": "x"}, {"empty": ""}]))
        return choice([labels, labels, labels, None]) if not labels else labels

    def sample(self, kind):
        choice = self.random.choice
        sample = {"labels": self.labels()}
        if sample["labels"] is None and choice([True, False]):
            del sample["labels"]
        if kind != "histogram":
            sample["value"] = choice([self.real()] * 9 + [None])
            return sample
        bounds = [Raw("0.1"), Raw("1.0"), Raw("1e1"), Raw("2.5"), "+Inf",
                  Raw("-3"), Raw("1e-7"), Raw("1e300")]
        if choice([True, False]):
            self.random.shuffle(bounds)
        sample["count"] = self.count()
        sample["sum"] = choice([self.real()] * 9 + [None])
        sample["buckets"] = [{"le": bound, "count": self.count()}
                             for bound in bounds[:choice([0, 2, 5, 8])]]
        return sample

    def impact(self):
        kinds = ["counter", "gauge", "histogram"]
        kind = self.random.choice(kinds)
        name = self.random.choice(["requests", "über.zeit", "9nines", "a b",
                                   "😀", "latency_ms"])
        if self.conflicts:
            name += self.random.choice(["", "", "_count", ".sum", "_bucket"])
        else:
            name = {"counter": "c_", "gauge": "g_", "histogram": "h "}[
                kind] + name
        return {"type": kind, "name": name,
                "help": self.random.choice(self.names),
                "samples": [self.sample(kind)
                            for _ in range(self.random.randrange(4))]}

    def body(self):
        random = self.random
        some = random.choice([1, 3, 3, 10, 40])
        content = {
            "applications": [self.application()
                             for _ in range(random.randrange(some))],
            "metrics": [self.metric() for _ in range(random.randrange(some))],
        }
        if random.random() < 0.5:
            content["impactMetrics"] = random.choice([None, [
                self.impact() for _ in range(random.randrange(4))]])
        if random.random() < 0.3:
            content["seenTokens"] = random.choice([None, [
                f"*:e.{random.randrange(20)}"]])
        text = self.write(content, random.choice([0.0, 0.0, 0.3]))
        return text.encode()

    def write(self, value, spread):
        """JSON with members shuffled, strangers among them, and space."""
        random = self.random

        def space():
            return random.choice([" ", "\n", "\t", "\r\n  "]) if (
                random.random() < spread) else ""
        if isinstance(value, Raw):
            return space() + value + space()
        if isinstance(value, dict):
            members = [(name, self.write(item, spread))
                       for name, item in value.items()]
            closed = "appName" in value or "metrics" in value
            if closed and random.random() < 0.1:
                members.append(("x-unknown", '{"a":[1,{"b":null}],"c":"}"}'))
            if closed and random.random() < 0.5:
                random.shuffle(members)
            return space() + "{" + ",".join(
                self.string(name) + space() + ":" + text
                for name, text in members) + space() + "}"
        if isinstance(value, list):
            return space() + "[" + ",".join(
                self.write(item, spread) for item in value) + space() + "]"
        if value is None:
            return "null"
        return space() + self.string(value) + space()

    def string(self, text):
        way = self.random.random()
        if way < 0.7:
            return json.dumps(text, ensure_ascii=False)
        if way < 0.85:
            return json.dumps(text)
        units = text.encode("utf-16-be")
        return '"' + "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}"
                             for i in range(0, len(units), 2)) + '"'
