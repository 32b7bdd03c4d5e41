"""Gold cases: bodies, and what each comes to or what is wrong with it.

BODYCHECK names the program that reads a body in pieces of many sizes; see
tests/tools/bodycheck.c.  A case fails too if two sizes differ in anything.

In the body of a fault a `@` stands before the byte at fault and is taken out:
before the first byte of the value or name at fault, before the brace of an
object that lacks a member or whose counts do not fit, before the byte that
cannot stand there, or at the end of a text that ends too early.

Expected values are written by hand, from the schema and the design, never
taken from the program's output.
"""

import concurrent.futures
import datetime
import gzip
import hashlib
import json
import os
import subprocess
import tempfile
import zlib

from tests.harness.bodycheck import PROGRAM
from tests.harness.tap import check, equal, run

CASES = []


def valid(name, body, expected=None, *options):
    """The body is valid; it comes to the tally expected, if one is given."""
    if isinstance(body, str):
        body = body.encode()
    CASES.append((name, body, list(options), {"tally": expected}))


def fault(name, body, pointer, word, *options, code="invalid", offset=None):
    """The body is at fault; with offset "any" the place has no mark."""
    if isinstance(body, str):
        body = body.encode()
    if offset is None:
        offset = body.index(b"@")
        body = body[:offset] + body[offset + 1:]
        assert b"@" not in body, name
    CASES.append((name, body, list(options), {
        "code": code, "pointer": pointer, "offset": offset, "word": word}))


# Bodies.  Values are JSON text; None leaves a member out.

def json_object(members, changes):
    members = dict(members)
    members.update(changes)
    return "{" + ",".join('"%s":%s' % item for item in members.items()
                          if item[1] is not None) + "}"


def metric(**changes):
    return json_object({
        "featureName": '"flag"', "appName": '"shop"',
        "environment": '"production"',
        "timestamp": '"2024-01-15T09:30:00Z"',
        "yes": "3", "no": "1", "variants": "{}"}, changes)


def application(**changes):
    return json_object({
        "appName": '"shop"', "interval": "60",
        "started": '"2024-01-15T09:30:00Z"', "strategies": "[]"}, changes)


def impact(**changes):
    return json_object({
        "type": '"counter"', "name": '"hits"', "help": '"Hits"',
        "samples": '[{"value":1}]'}, changes)


def sample(**changes):
    return json_object({"count": "3", "sum": "2.5", "buckets":
                        '[{"le":1,"count":2},{"le":"+Inf","count":3}]'},
                       changes)


def histogram(*samples, **changes):
    return impact(type='"histogram"', samples="[%s]" % ",".join(samples),
                  **changes)


def body(*more, applications="[]", metrics="[]"):
    return json_object({"applications": applications, "metrics": metrics},
                       dict(more))


def metrics(*items):
    return body(metrics="[%s]" % ",".join(items))


def applications(*items):
    return body(applications="[%s]" % ",".join(items))


def impacts(*items):
    return body(("impactMetrics", "[%s]" % ",".join(items)))


def tokens(*items):
    return body(("seenTokens", "[%s]" % ",".join(items)))


MINIMAL = '{"applications":[],"metrics":[]}'


# Tallies.

def tally(*parts):
    tree = {}
    for part in parts:
        part(tree)
    return tree


def place(tree, *path):
    for step in path:
        tree = tree.setdefault(step, {})
    return tree


def hours(text):
    """Hours since 1970 of a text such as 2024-01-15T09."""
    instant = datetime.datetime.strptime(text + "+0000", "%Y-%m-%dT%H%z")
    return int(instant.timestamp()) // 3600


def feature(environment, app, hour, name, yes=0, no=0, variants=None):
    if isinstance(hour, str):
        hour = hours(hour)
    value = {"yes": yes, "no": no}
    if variants:
        value["variants"] = variants
    return lambda tree: place(
        tree, "environments", environment, "applications", app, "buckets",
        hour).update({name: value})


def instance(environment, app, identity, registration):
    return lambda tree: place(
        tree, "environments", environment, "applications", app,
        "instances").update({identity: registration})


def series(environment, kind, name, help_text, values):
    """The values are by labels, as Prometheus text has them."""
    return lambda tree: place(
        tree, "environments", environment, "metrics").update(
            {(kind, name): {"help": help_text, "series": values}})


def value(number):
    return {"value": number}


def counted(count, total, bounds=None):
    result = {"count": count, "sum": total}
    if bounds:
        result["bounds"] = bounds
    return result


def token(text):
    digest = hashlib.sha256(text.encode()).hexdigest()
    return lambda tree: place(tree, "tokens").update({digest: True})


def dropped(**numbers):
    return lambda tree: tree.update({"dropped": numbers})


def normal(dump):
    """A dump of the program as a tally of the kind above."""
    tree = json.loads(dump)
    for environment in tree.get("environments", {}).values():
        for app in environment.get("applications", {}).values():
            if "buckets" in app:
                app["buckets"] = {bucket["period"]: bucket["features"]
                                  for bucket in app["buckets"]}
        if "metrics" in environment:
            environment["metrics"] = {
                (item["type"], item["name"]): {
                    "help": item["help"], "series": item.get("series", {})}
                for item in environment["metrics"]}
    if "tokens" in tree:
        tree["tokens"] = {digest: True for digest in tree["tokens"]}
    return tree


# What metric(), application() and histogram(sample()) come to.
COUNTED = feature("production", "shop", "2024-01-15T09", "flag", yes=3, no=1)
REGISTERED = instance(
    "default", "shop", "default",
    '{"appName":"shop","environment":"default","instanceId":"default",'
    '"interval":60,"started":"2024-01-15T09:30:00Z","strategies":[]}')
HITS = series("default", "counter", "hits", "Hits", {"": value(1)})
HITS5 = series("default", "counter", "hits", "Hits", {"": value(5)})
SPREAD = series("default", "histogram", "hits", "Hits",
                {"": counted(3, 2.5, {"1": 2})})


def name_of(raw):
    """A value as it can stand in a case's name."""
    if isinstance(raw, bytes):
        raw = raw.decode("latin-1")
    return raw if len(raw) <= 40 else raw[:37] + "..."


# The body itself.

valid("the least body", MINIMAL, tally())
valid("metrics may stand before applications",
      '{"metrics":[%s],"applications":[%s]}' % (metric(), application()),
      tally(COUNTED, REGISTERED))
valid("white space may stand between all tokens",
      ' \t\r\n{ \n"applications"\t:\r[ ] ,\n "metrics" : [ %s ] }\r\n\t '
      % metric().replace('"yes":3', '"yes" : 3\n'), tally(COUNTED))
valid("names of members may be escaped",
      '{"\\u0061pplications":[],"metric\\u0073":[%s]}' % metric(),
      tally(COUNTED))
valid("the members that Edge sends, with null for what is unset", body(
    ("impactMetrics", "null"), ("seenTokens", "null"),
    applications='[{"appName":"shop","connectVia":null,"environment":null,'
    '"projects":[],"instanceId":null,"connectionId":null,"interval":60,'
    '"started":"2024-01-15T09:30:00.123456789Z","strategies":["default"],'
    '"sdkVersion":null,"sdkType":null,"yggdrasilVersion":null,'
    '"platformName":null,"platformVersion":null,"sdkFlavor":null,'
    '"sdkFlavorVersion":null}]',
    metrics='[{"featureName":"flag","appName":"shop",'
    '"environment":"production","timestamp":"2024-01-15T09:30:00.5Z",'
    '"yes":3,"no":1,"variants":{},"sdkVersion":null,"sdkType":null,'
    '"yggdrasilVersion":null,"platformName":null,"platformVersion":null,'
    '"sdkFlavor":null,"sdkFlavorVersion":null}]'),
    tally(COUNTED, instance(
        "default", "shop", "default",
        '{"appName":"shop","environment":"default","instanceId":"default",'
        '"interval":60,"started":"2024-01-15T09:30:00.123456789Z",'
        '"strategies":["default"],"projects":[]}')))
valid("everything at once", '{"seenTokens":["*:production.secret"],'
      '"impactMetrics":[%s],"metrics":[%s],"applications":[%s]}'
      % (impact(), metric(), application()),
      tally(COUNTED, REGISTERED, HITS, token("*:production.secret")))

for raw in ("[]", '"text"', "12", "-0.5e3", "true", "false", "null"):
    fault("the body is %s" % raw, "@" + raw, "", "the body must be an object")
fault("the body is a number with white space after it", " @12\n", "",
      "the body must be an object")

fault("applications are missing", '@{"metrics":[]}', "",
      '"applications" is missing')
fault("metrics are missing", '@{"applications":[]}', "",
      '"metrics" is missing')
fault("everything is missing", " @{ }", "", "is missing")
fault("names of members are case-sensitive",
      '@{"Applications":[],"metrics":[]}', "", '"applications" is missing')

for member in ("applications", "metrics"):
    for raw in ("null", "{}", '"text"', "1", "true"):
        fault("%s are %s" % (member, raw), body((member, "@" + raw)),
              "/" + member, '"%s" must be an array' % member)
for member in ("impactMetrics", "seenTokens"):
    valid("%s may be null" % member, body((member, "null")), tally())
    valid("%s may be empty" % member, body((member, "[]")), tally())
    for raw in ("{}", '"text"', "0", "false"):
        fault("%s are %s" % (member, raw), body((member, "@" + raw)),
              "/" + member, '"%s" must be an array or null' % member)
for member in ("applications", "metrics", "impactMetrics", "seenTokens"):
    expected = "a string" if member == "seenTokens" else "an object"
    for raw in ("null", "[]", "1", "true"):
        fault("an element of %s is %s" % (member, raw),
              body((member, "[@%s]" % raw)), "/%s/0" % member,
              "must be " + expected)
for member in ("applications", "metrics"):
    fault("%s twice" % member,
          '{"applications":[],"metrics":[],@"%s":[]}' % member,
          "/" + member, "twice")
for member in ("impactMetrics", "seenTokens"):
    fault("%s twice, once null" % member,
          '{"%s":null,"applications":[],"metrics":[],@"%s":[]}'
          % (member, member), "/" + member, "twice")
fault("a member of the body twice, once escaped",
      '{"metrics":[],"applications":[],@"\\u006detrics":[]}', "/metrics",
      "twice")

# Unknown members, at every level and of any depth.

ANYTHING = ('{"appName":7,"metrics":{},"x":[[{"yes":-1}],null,true,1e400,'
            '"\\u0000"],"x":1}')
valid("unknown members of the body",
      '{"x":%s,"applications":[],"":0,"metrics":[%s],"X":[]}'
      % (ANYTHING, metric()), tally(COUNTED))
valid("unknown members of an application",
      applications(application(x=ANYTHING, yes="-1")), tally(REGISTERED))
valid("unknown members of an item of connectVia",
      applications(application(connectVia='[{"x":%s,"appName":"edge",'
                               '"y":[],"instanceId":"1"}]' % ANYTHING)),
      tally(instance(
          "default", "shop", "default",
          '{"appName":"shop","environment":"default","instanceId":"default",'
          '"interval":60,"started":"2024-01-15T09:30:00Z","strategies":[],'
          '"connectVia":[{"appName":"edge","instanceId":"1"}]}')))
valid("unknown members of a metric",
      metrics(metric(x=ANYTHING, instanceId="5", interval='"x"')),
      tally(COUNTED))
valid("unknown members of an impact metric",
      impacts(impact(x=ANYTHING, value="null")), tally(HITS))
valid("unknown members of a sample",
      impacts(impact(samples='[{"x":%s,"value":1,"type":0}]' % ANYTHING)),
      tally(HITS))
valid("unknown members of a bucket",
      impacts(histogram(sample(
          buckets='[{"x":%s,"le":1,"count":2,"value":"x"},'
          '{"le":"+Inf","sum":null,"count":3}]' % ANYTHING))),
      tally(SPREAD))
valid("an unknown member twice",
      metrics('{"x":1,"x":2,' + metric()[1:]), tally(COUNTED))

# Applications: required members, types, and what is kept.


def registered(text, environment="default", app="shop", identity="default"):
    return tally(instance(environment, app, identity, text))


def registration(more):
    return ('{"appName":"shop","environment":"default",'
            '"instanceId":"default","interval":60,'
            '"started":"2024-01-15T09:30:00Z","strategies":[]%s}' % more)


valid("an application with nothing but what is required",
      applications(application()), tally(REGISTERED))
for member in ("appName", "interval", "started", "strategies"):
    fault("an application without %s" % member,
          applications("@" + application(**{member: None})),
          "/applications/0", '"%s" is missing' % member)
for member, raws, expected in (
        ("appName", ("null", "1", "false", "[]", "{}"), "a string"),
        ("interval", ("null", '"60"', "true", "[]", "{}"), "a number"),
        ("started", ("null", "1705311000", "true", "[]", "{}"), "a string"),
        ("strategies", ("null", '"default"', "1", "{}"), "an array"),
        ("projects", ('"default"', "1", "{}"), "an array or null"),
        ("connectVia", ('"edge"', "1", "{}"), "an array or null")):
    for raw in raws:
        fault("an application's %s is %s" % (member, raw),
              applications(application(**{member: "@" + raw})),
              "/applications/0/" + member, "must be " + expected)
for member in ("environment", "instanceId", "connectionId", "sdkVersion",
               "sdkType", "sdkFlavor", "sdkFlavorVersion",
               "yggdrasilVersion", "platformName", "platformVersion"):
    valid("an application's %s is null" % member,
          applications(application(**{member: "null"})), tally(REGISTERED))
    for raw in ("1", "true", "[]", "{}"):
        fault("an application's %s is %s" % (member, raw),
              applications(application(**{member: "@" + raw})),
              "/applications/0/" + member, "must be a string or null")
for member in ("sdkVersion", "sdkFlavor", "sdkFlavorVersion",
               "yggdrasilVersion", "platformName", "platformVersion"):
    valid("an application's %s is kept" % member,
          applications(application(**{member: '"a \\"\\u00e9\\n"'})),
          registered(registration(',"%s":"a \\"é\\n"' % member)))
for raw in ("frontend", "backend"):
    valid("an application's sdkType is %s" % raw,
          applications(application(sdkType='"%s"' % raw)),
          registered(registration(',"sdkType":"%s"' % raw)))
for raw in ('"Backend"', '""', '"mobile"', '"backend\\u0000"'):
    fault("an application's sdkType is %s" % raw,
          applications(application(sdkType="@" + raw)),
          "/applications/0/sdkType", '"frontend" or "backend"')
valid("all members of an application in any order", applications(
    '{"platformVersion":"22","strategies":["default","userWithId"],'
    '"sdkFlavorVersion":"2","yggdrasilVersion":"0.14","interval":15,'
    '"sdkType":"backend","projects":["p","q"],"sdkFlavor":"edge",'
    '"connectionId":"c-1","platformName":"node",'
    '"connectVia":[{"instanceId":"e-1","appName":"edge"},'
    '{"appName":"edge","instanceId":"e-2"}],"environment":"production",'
    '"started":"2024-01-15T09:30:00+01:00","instanceId":"i-1",'
    '"sdkVersion":"node:5","appName":"shop"}'),
    registered(
        '{"appName":"shop","environment":"production","instanceId":"i-1",'
        '"connectionId":"c-1","interval":15,'
        '"started":"2024-01-15T09:30:00+01:00",'
        '"strategies":["default","userWithId"],"projects":["p","q"],'
        '"connectVia":[{"appName":"edge","instanceId":"e-1"},'
        '{"appName":"edge","instanceId":"e-2"}],"sdkVersion":"node:5",'
        '"sdkType":"backend","sdkFlavor":"edge","sdkFlavorVersion":"2",'
        '"yggdrasilVersion":"0.14","platformName":"node",'
        '"platformVersion":"22"}', "production", "shop", "i-1"))
valid("empty lists of an application are kept",
      applications(application(projects="[]", connectVia="[]")),
      registered(registration(',"projects":[],"connectVia":[]')))
valid("lists of an application that are null are as if absent",
      applications(application(projects="null", connectVia="null")),
      tally(REGISTERED))
for member in ("strategies", "projects"):
    for raw in ("null", "1", "true", "{}", '["a"]'):
        fault("an item of %s is %s" % (member, raw),
              applications(application(**{member: '["a",@%s]' % raw})),
              "/applications/0/%s/1" % member, "must be a string")
for raw in ("null", '"edge"', "1", "[]"):
    fault("an item of connectVia is %s" % raw,
          applications(application(connectVia="[@%s]" % raw)),
          "/applications/0/connectVia/0", "must be an object")
for member in ("appName", "instanceId"):
    other = {"appName": "instanceId", "instanceId": "appName"}[member]
    fault("an item of connectVia without %s" % member,
          applications(application(connectVia='[@{"%s":"a"}]' % other)),
          "/applications/0/connectVia/0", '"%s" is missing' % member)
    for raw in ("null", "1", "{}"):
        fault("an item of connectVia with %s %s" % (member, raw),
              applications(application(
                  connectVia='[{"%s":"a","%s":@%s}]' % (other, member, raw))),
              "/applications/0/connectVia/0/" + member, "must be a string")
fault("a member of an item of connectVia twice",
      applications(application(connectVia='[{"appName":"a",@"appName":"a",'
                               '"instanceId":"b"}]')),
      "/applications/0/connectVia/0/appName", "twice")
for member in ("appName", "connectVia", "environment", "projects",
               "instanceId", "connectionId", "interval", "started",
               "strategies", "sdkVersion", "sdkType", "yggdrasilVersion",
               "platformName", "platformVersion", "sdkFlavor",
               "sdkFlavorVersion"):
    once = {"interval": "1", "started": '"2024-01-15T09:30:00Z"',
            "strategies": "[]", "appName": '"shop"'}.get(member, "null")
    fault("%s twice in an application" % member,
          applications(application(**{member: once})[:-1] +
                       ',@"%s":%s}' % (member, once)),
          "/applications/0/" + member, "twice")
fault("appName twice in an application, once escaped",
      applications(application()[:-1] + ',@"a\\u0070pName":"x"}'),
      "/applications/0/appName", "twice")
fault("a second value's type does not matter if the member stands twice",
      applications(application()[:-1] + ',@"appName":1}'),
      "/applications/0/appName", "twice")
for raw in ("0", "-1", "-0", "15", "9007199254740992", "123456789012345678901",
            "60.0", "1e3", "1.5e1", "10e-1", "1e400"):
    valid("an interval of %s" % raw,
          applications(application(interval=raw)),
          registered(registration("").replace(":60,", ":%s," % raw)))
for raw in ("1.5", "1e-1", "-0.5", "1e-400"):
    fault("an interval of %s" % raw,
          applications(application(interval="@" + raw)),
          "/applications/0/interval", "not an integer")
for raw in ("", "yesterday", "2024-01-15", "2024-02-30T09:30:00Z"):
    fault("started is %s" % (raw or "empty"),
          applications(application(started='@"%s"' % raw)),
          "/applications/0/started", "date-time")
valid("started with any number of digits of a fraction",
      applications(application(started='"2024-01-15T09:30:00.%sZ"'
                               % ("1" * 5000))))
valid("an empty instanceId",
      applications(application(instanceId='""')), tally(REGISTERED))
valid("an empty appName", applications(application(appName='""')),
      registered(registration("").replace('"shop"', '""'), app=""))
valid("the latest registration of an instance counts",
      applications(application(instanceId='"i"', interval="1"),
                   application(instanceId='"j"', interval="2"),
                   application(instanceId='"i"', interval="3")),
      tally(instance("default", "shop", "i", registration("").replace(
          '"instanceId":"default"', '"instanceId":"i"').replace(
              ":60,", ":3,")),
          instance("default", "shop", "j", registration("").replace(
              '"instanceId":"default"', '"instanceId":"j"').replace(
                  ":60,", ":2,"))))
valid("the same instanceId in two environments and applications",
      applications(application(environment='"a"'),
                   application(environment='"b"'),
                   application(environment='"b"', appName='"web"')),
      tally(instance("a", "shop", "default", registration("").replace(
          '"environment":"default"', '"environment":"a"')),
          instance("b", "shop", "default", registration("").replace(
              '"environment":"default"', '"environment":"b"')),
          instance("b", "web", "default", registration("").replace(
              '"environment":"default"', '"environment":"b"').replace(
                  '"shop"', '"web"'))))
valid("what one application has does not leak into the next",
      applications(application(
          instanceId='"i"', connectionId='"c"', environment='"e"',
          sdkVersion='"v"', sdkType='"backend"', projects='["p"]',
          connectVia='[{"appName":"a","instanceId":"b"}]',
          strategies='["s"]'), application()),
      tally(REGISTERED, instance(
          "e", "shop", "i",
          '{"appName":"shop","environment":"e","instanceId":"i",'
          '"connectionId":"c","interval":60,'
          '"started":"2024-01-15T09:30:00Z","strategies":["s"],'
          '"projects":["p"],"connectVia":[{"appName":"a","instanceId":"b"}],'
          '"sdkVersion":"v","sdkType":"backend"}')))

# Metrics: required members and types.

valid("a metric", metrics(metric()), tally(COUNTED))
valid("the members of a metric in another order", metrics(
    '{"variants":{"a":2},"yes":3,"no":1,"timestamp":"2024-01-15T09:30:00Z",'
    '"sdkType":"frontend","environment":"production","appName":"shop",'
    '"featureName":"flag"}'),
    tally(feature("production", "shop", "2024-01-15T09", "flag", 3, 1,
                  {"a": 2})))
for member in ("appName", "environment", "featureName", "no", "timestamp",
               "variants", "yes"):
    fault("a metric without %s" % member,
          metrics(metric(), "@" + metric(**{member: None})), "/metrics/1",
          '"%s" is missing' % member)
    fault("%s twice in a metric" % member,
          metrics(metric()[:-1] + ',@"%s":0}' % member),
          "/metrics/0/" + member, "twice")
for member in ("appName", "environment", "featureName", "timestamp"):
    for raw in ("null", "1", "true", "[]", "{}"):
        fault("a metric's %s is %s" % (member, raw),
              metrics(metric(**{member: "@" + raw})), "/metrics/0/" + member,
              '"%s" must be a string' % member)
for member in ("yes", "no"):
    for raw in ("null", '"12"', "true", "[]", "{}"):
        fault("a metric's %s is %s" % (member, raw),
              metrics(metric(**{member: "@" + raw})), "/metrics/0/" + member,
              '"%s" must be a number' % member)
for raw in ("[]", '"a"', "1", "true"):
    fault("a metric's variants are %s" % raw,
          metrics(metric(variants="@" + raw)), "/metrics/0/variants",
          '"variants" must be an object or null')
for member in ("sdkVersion", "sdkType", "yggdrasilVersion", "platformName",
               "platformVersion", "sdkFlavor", "sdkFlavorVersion"):
    valid("a metric's %s is null" % member,
          metrics(metric(**{member: "null"})), tally(COUNTED))
    for raw in ("1", "false", "[]", "{}"):
        fault("a metric's %s is %s" % (member, raw),
              metrics(metric(**{member: "@" + raw})), "/metrics/0/" + member,
              "must be a string or null")
    fault("%s twice in a metric, both null" % member,
          metrics(metric(**{member: "null"})[:-1] +
                  ',@"%s":null}' % member), "/metrics/0/" + member, "twice")
    if member != "sdkType":
        valid("a metric's %s is a string" % member,
              metrics(metric(**{member: '"1.2"'})), tally(COUNTED))
for raw in ("frontend", "backend"):
    valid("a metric's sdkType is %s" % raw,
          metrics(metric(sdkType='"%s"' % raw)), tally(COUNTED))
for raw in ('"server"', '"FRONTEND"', '""'):
    fault("a metric's sdkType is %s" % raw,
          metrics(metric(sdkType="@" + raw)), "/metrics/0/sdkType",
          '"frontend" or "backend"')
fault("yes twice in a metric, once escaped",
      metrics(metric()[:-1] + ',@"\\u0079es":3}'), "/metrics/0/yes", "twice")
valid("empty names are names",
      metrics(metric(appName='""', environment='""', featureName='""')),
      tally(feature("", "", "2024-01-15T09", "", 3, 1)))

# Counts.

for raw, count in (
        ("0", 0), ("7", 7), ("1.0", 1), ("1e3", 1000), ("10e-1", 1),
        ("1E+2", 100), ("-0", 0), ("-0.0", 0), ("-0e5", 0), ("0.000", 0),
        ("1.50e1", 15), ("0e999", 0), ("0e-999", 0), ("0.5e1", 5),
        ("999999999999999", 999999999999999),
        ("9007199254740991", 9007199254740991),
        ("9007199254740991.000", 9007199254740991),
        ("0.9007199254740991e16", 9007199254740991),
        ("90071992547409910e-1", 9007199254740991),
        ("1" + "0" * 40 + "e-40", 1),
        ("0." + "0" * 400 + "1e401", 1)):
    valid("a count of %s" % name_of(raw),
          metrics(metric(yes=raw, no="1", variants='{"a":%s}' % raw)),
          tally(feature("production", "shop", "2024-01-15T09", "flag", count,
                        1, {"a": count} if count else None)))
for raw, word in (
        ("-1", "0..9007199254740991"), ("-1.0", "0..9007199254740991"),
        ("1.5", "not an integer"), ("0.1", "not an integer"),
        ("1e-1", "not an integer"), ("1e-400", "not an integer"),
        ("9007199254740991.5", "not an integer"),
        ("9007199254740992", "0..9007199254740991"),
        ("9007199254740993.0", "0..9007199254740991"),
        ("9999999999999999", "0..9007199254740991"),
        ("1e16", "0..9007199254740991"), ("1e400", "0..9007199254740991"),
        ("18446744073709551616", "0..9007199254740991"),
        ("1e99999999999999999999", "0..9007199254740991")):
    for member in ("yes", "no"):
        fault("%s of %s" % (member, raw),
              metrics(metric(**{member: "@" + raw})), "/metrics/0/" + member,
              word)
    fault("a variant's count of %s" % raw,
          metrics(metric(variants='{"a":1,"b":@%s}' % raw)),
          "/metrics/0/variants/b", word)

valid("an entry of nothing but zeros counts nothing",
      metrics(metric(yes="0", no="0", variants='{"a":0,"b":0.0}')), tally())
valid("a variant of zero counts nothing",
      metrics(metric(variants='{"a":0,"b":2}')),
      tally(feature("production", "shop", "2024-01-15T09", "flag", 3, 1,
                    {"b": 2})))
valid("an entry of nothing but variants",
      metrics(metric(yes="0", no="0", variants='{"a":2}')),
      tally(feature("production", "shop", "2024-01-15T09", "flag", 0, 0,
                    {"a": 2})))
valid("variants may be null",
      metrics(metric(variants='{"a":2}', featureName='"f"'),
              metric(variants="null")),
      tally(COUNTED, feature("production", "shop", "2024-01-15T09", "f", 3, 1,
                             {"a": 2})))
valid("the name of a variant is any name",
      metrics(metric(variants='{"":1,"yes":2,"appName":3,"a:b/c~d":4,'
                     '"\\u00e9":5,"\\u0000":6}')),
      tally(feature("production", "shop", "2024-01-15T09", "flag", 3, 1,
                    {"": 1, "yes": 2, "appName": 3, "a:b/c~d": 4, "é": 5,
                     "\0": 6})))
for raw in ("null", '"1"', "true", "[]", "{}"):
    fault("a variant's count is %s" % raw,
          metrics(metric(variants='{"a":@%s}' % raw)),
          "/metrics/0/variants/a", "must be a number")
valid("the entries of a feature add", metrics(
    metric(variants='{"a":1,"b":2}'),
    metric(yes="10", no="0", variants='{"b":5,"c":1}'),
    metric(yes="0", no="4", variants="null")),
    tally(feature("production", "shop", "2024-01-15T09", "flag", 13, 5,
                  {"a": 1, "b": 7, "c": 1})))
valid("environment, application, hour and feature tell entries apart",
      metrics(metric(), metric(environment='"e"'), metric(appName='"web"'),
              metric(timestamp='"2024-01-15T10:00:00Z"'),
              metric(featureName='"g"'), metric()),
      tally(feature("production", "shop", "2024-01-15T09", "flag", 6, 2),
            feature("production", "shop", "2024-01-15T09", "g", 3, 1),
            feature("production", "shop", "2024-01-15T10", "flag", 3, 1),
            feature("production", "web", "2024-01-15T09", "flag", 3, 1),
            feature("e", "shop", "2024-01-15T09", "flag", 3, 1)))
valid("all minutes of an hour are one bucket",
      metrics(metric(timestamp='"2024-01-15T09:00:00Z"'),
              metric(timestamp='"2024-01-15T09:59:59.999999999Z"')),
      tally(feature("production", "shop", "2024-01-15T09", "flag", 6, 2)))
valid("a sum of 2^53-1",
      metrics(metric(yes="9007199254740990"), metric(yes="1")),
      tally(feature("production", "shop", "2024-01-15T09", "flag",
                    9007199254740991, 2)))
fault("a sum of 2^53 of yes", metrics(
    metric(yes="9007199254740991"), "@" + metric(yes="1")), "/metrics/1",
    "sum", code="overflow")
fault("a sum of 2^53 of no", metrics(
    metric(no="1"), metric(), "@" + metric(no="9007199254740990")),
    "/metrics/2", "sum", code="overflow")
fault("a sum of 2^53 of a variant", metrics(
    metric(variants='{"a":9007199254740991}'),
    "@" + metric(variants='{"b":1,"a":1}')), "/metrics/1", "sum",
    code="overflow")
valid("sums of different buckets do not run over together",
      metrics(metric(yes="9007199254740991"),
              metric(yes="9007199254740991",
                     timestamp='"2024-01-15T10:30:00Z"')),
      tally(feature("production", "shop", "2024-01-15T09", "flag",
                    9007199254740991, 1),
            feature("production", "shop", "2024-01-15T10", "flag",
                    9007199254740991, 1)))

# Dates.

YEAR_ZERO = -719528 * 24
for text, hour in (
        ("2024-01-15T09:30:00Z", "2024-01-15T09"),
        ("2024-01-15t09:30:00z", "2024-01-15T09"),
        ("2024-01-15T23:59:59.999Z", "2024-01-15T23"),
        ("2024-01-15T09:30:00.1Z", "2024-01-15T09"),
        ("2024-01-15T09:30:00.123456789Z", "2024-01-15T09"),
        ("2024-01-15T09:30:00." + "9" * 5000 + "Z", "2024-01-15T09"),
        ("2024-01-15T09:30:00+00:00", "2024-01-15T09"),
        ("2024-01-15T09:30:00-00:00", "2024-01-15T09"),
        ("2024-01-15T00:30:00+02:00", "2024-01-14T22"),
        ("2024-01-15T23:45:00-05:30", "2024-01-16T05"),
        ("2024-01-15T12:00:00.5+05:45", "2024-01-15T06"),
        ("2024-01-15T23:58:00+23:59", "2024-01-14T23"),
        ("2024-12-31T23:00:00-01:00", "2025-01-01T00"),
        ("2024-03-01T00:00:00+00:01", "2024-02-29T23"),
        ("2023-03-01T00:00:00+00:01", "2023-02-28T23"),
        ("2024-02-29T12:00:00Z", "2024-02-29T12"),
        ("2000-02-29T12:00:00Z", "2000-02-29T12"),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:30:00Z", -1),
        ("1969-12-31T23:00:00Z", -1),
        ("1969-12-31T22:59:59Z", -2),
        ("0000-01-01T00:00:00Z", YEAR_ZERO),
        ("0000-02-29T00:00:00Z", YEAR_ZERO + 59 * 24),
        ("0000-01-01T00:00:00+01:00", YEAR_ZERO - 1),
        ("9999-12-31T23:59:59Z", "9999-12-31T23"),
        ("9999-12-31T23:59:59-00:01", 2932897 * 24),
        ("2016-12-31T23:59:60Z", "2016-12-31T23"),
        ("2016-12-31T23:59:60.999Z", "2016-12-31T23"),
        ("2015-06-30T23:59:60Z", "2015-06-30T23"),
        ("2017-01-01T00:59:60+01:00", "2016-12-31T23"),
        ("2016-12-31T15:59:60-08:00", "2016-12-31T23"),
        ("2017-01-01T05:29:60+05:30", "2016-12-31T23")):
    valid("a timestamp of %s" % name_of(text),
          metrics(metric(timestamp='"%s"' % text)),
          tally(feature("production", "shop", hour, "flag", 3, 1)))
valid("escapes in a timestamp",
      metrics(metric(timestamp='"2024\\u002d01-15\\u005409:30:00\\u005A"')),
      tally(COUNTED))
for text in (
        "", "now", "2024", "2024-01-15", "2024-01-15T09:30Z",
        "2024-01-15T09:30:00", "2024-01-15T09:30:00.5",
        "2024-01-15 09:30:00Z", "2024-01-15T09:30:00 Z",
        "2024-01-15T09:30:00Z ", " 2024-01-15T09:30:00Z",
        "2024-01-15T09:30:00ZZ", "2024-01-15T09:30:00.Z",
        "2024-01-15T09:30:00,5Z", "2024-01-15T09:30:00.5.5Z",
        "2024-01-15T09:30:00+02", "2024-01-15T09:30:00+0200",
        "2024-01-15T09:30:00+24:00", "2024-01-15T09:30:00+02:60",
        "2024-01-15T09:30:00+2:00", "2024-01-15T09:30:00+02:00Z",
        "2024-01-15T09:30:00\\u221202:00", "2024-01-15T09:30:00Y",
        "2024-1-15T09:30:00Z", "2024-01-15T9:30:00Z",
        "24-01-15T09:30:00Z", "+2024-01-15T09:30:00Z",
        "12024-01-15T09:30:00Z", "-001-01-15T09:30:00Z",
        "2024/01/15T09:30:00Z", "2024-01-15T09.30.00Z", "20240115T093000Z",
        "2024-00-15T09:30:00Z", "2024-13-15T09:30:00Z",
        "2024-01-00T09:30:00Z", "2024-01-32T09:30:00Z",
        "2024-04-31T09:30:00Z", "2024-02-30T09:30:00Z",
        "2023-02-29T09:30:00Z", "1900-02-29T09:30:00Z",
        "2024-01-15T24:00:00Z", "2024-01-15T09:60:00Z",
        "2024-01-15T09:30:61Z", "2024-01-15T-9:30:00Z",
        "2024-01-15T09:30:60Z", "2016-12-31T23:58:60Z",
        "2016-12-31T22:59:60Z", "2016-12-30T23:59:60Z",
        "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z",
        "2024-01-15T09:30:00\\u0000Z", "2024-01-15T09:30:00Z\\u0000",
        "２024-01-15T09:30:00Z", "Mon, 15 Jan 2024 09:30:00 GMT",
        "1705311000"):
    fault("a timestamp of %s" % (name_of(text) or "nothing"),
          metrics(metric(timestamp='@"%s"' % text)), "/metrics/0/timestamp",
          "date-time")

# Impact metrics: required members, types, and the three kinds.

valid("a counter", impacts(impact()), tally(HITS))
valid("a gauge",
      impacts(impact(type='"gauge"', samples='[{"value":-1.5}]')),
      tally(series("default", "gauge", "hits", "Hits", {"": value(-1.5)})))
valid("a histogram", impacts(histogram(sample())), tally(SPREAD))
valid("an impact metric without samples counts nothing",
      impacts(impact(samples="[]"), histogram()), tally())
for member in ("type", "name", "help", "samples"):
    fault("an impact metric without %s" % member,
          impacts(impact(), "@" + impact(**{member: None})),
          "/impactMetrics/1", '"%s" is missing' % member)
    once = {"type": '"counter"', "samples": "[]"}.get(member, '"hits"')
    fault("%s twice in an impact metric" % member,
          impacts(impact()[:-1] + ',@"%s":%s}' % (member, once)),
          "/impactMetrics/0/" + member, "twice")
    raws = ("null", "1", "true", "{}")
    raws += ('"a"',) if member == "samples" else ("[]",)
    for raw in raws:
        fault("an impact metric's %s is %s" % (member, raw),
              impacts(impact(**{member: "@" + raw})),
              "/impactMetrics/0/" + member,
              "must be an array" if member == "samples"
              else "must be a string")
for raw in ('"summary"', '""', '"Counter"', '"counter "', '"histogra"',
            '"gauge\\u0000"'):
    fault("an impact metric's type is %s" % raw,
          impacts(impact(type="@" + raw)), "/impactMetrics/0/type",
          '"counter", "gauge" or "histogram"')
for kind, good in (("counter", '{"value":1}'), ("gauge", '{"value":1}'),
                   ("histogram", sample())):
    for raw in ("null", "1", '"a"', "[]"):
        fault("a sample of a %s is %s" % (kind, raw),
              impacts(impact(type='"%s"' % kind,
                             samples="[%s,@%s]" % (good, raw))),
              "/impactMetrics/0/samples/1", "must be an object")
    for raw in ("[]", '"a"', "1", "true"):
        fault("labels of a %s are %s" % (kind, raw),
              impacts(impact(type='"%s"' % kind, samples="[%s]" % (
                  good[:-1] + ',"labels":@%s}' % raw))),
              "/impactMetrics/0/samples/0/labels",
              '"labels" must be an object or null')
    for raw in ("null", "true", "[]", "{}"):
        fault("a label of a %s is %s" % (kind, raw),
              impacts(impact(type='"%s"' % kind, samples="[%s]" % (
                  good[:-1] + ',"labels":{"a":"b","c":@%s}}' % raw))),
              "/impactMetrics/0/samples/0/labels/c",
              "must be a string or a number")
    fault("labels twice in a sample of a %s" % kind,
          impacts(impact(type='"%s"' % kind, samples="[%s]" % (
              good[:-1] + ',"labels":{},@"labels":{}}'))),
          "/impactMetrics/0/samples/0/labels", "twice")
for kind in ("counter", "gauge"):
    fault("a sample of a %s without its value" % kind,
          impacts(impact(type='"%s"' % kind,
                         samples='[{"value":1},@{"labels":{}}]')),
          "/impactMetrics/0/samples/1", '"value" is missing')
    for raw in ('"1"', "true", "[]", "{}"):
        fault("a value of a %s is %s" % (kind, raw),
              impacts(impact(type='"%s"' % kind,
                             samples='[{"value":@%s}]' % raw)),
              "/impactMetrics/0/samples/0/value", "must be a number")
    fault("a value of a %s twice" % kind,
          impacts(impact(type='"%s"' % kind,
                         samples='[{"value":1,@"value":1}]')),
          "/impactMetrics/0/samples/0/value", "twice")
    fault("a value of a %s beyond a double" % kind,
          impacts(impact(type='"%s"' % kind, samples='[{"value":@1e400}]')),
          "/impactMetrics/0/samples/0/value", "double")
    valid("a sample of a %s whose value is null is dropped" % kind,
          impacts(impact(type='"%s"' % kind,
                         samples='[{"value":null},{"value":2}]')),
          tally(dropped(null=1),
                series("default", kind, "hits", "Hits", {"": value(2)})))
    valid("what only a histogram's samples have is unknown to a %s" % kind,
          impacts(impact(type='"%s"' % kind, samples=(
              '[{"count":-1,"sum":"a","sum":1,"buckets":[{"le":true}],'
              '"value":2}]'))),
          tally(series("default", kind, "hits", "Hits", {"": value(2)})))
for member in ("count", "sum", "buckets"):
    fault("a sample of a histogram without %s" % member,
          impacts(histogram(sample(), "@" + sample(**{member: None}))),
          "/impactMetrics/0/samples/1", '"%s" is missing' % member)
    fault("%s of a histogram twice" % member,
          impacts(histogram(sample()[:-1] + ',@"%s":[]}' % member)),
          "/impactMetrics/0/samples/0/" + member, "twice")
for raw in ('"1"', "true", "[]", "null"):
    fault("a count of a histogram is %s" % raw,
          impacts(histogram(sample(count="@" + raw))),
          "/impactMetrics/0/samples/0/count", '"count" must be a number')
for raw in ('"1"', "true", "[]", "{}"):
    fault("a sum of a histogram is %s" % raw,
          impacts(histogram(sample(sum="@" + raw))),
          "/impactMetrics/0/samples/0/sum", '"sum" must be a number')
for raw in ("null", '"1"', "1", "{}"):
    fault("buckets of a histogram are %s" % raw,
          impacts(histogram(sample(buckets="@" + raw))),
          "/impactMetrics/0/samples/0/buckets", "must be an array")
for raw in ("null", '"1"', "1", "[]"):
    fault("a bucket is %s" % raw,
          impacts(histogram(sample(buckets='[{"le":1,"count":1},@%s]'
                                   % raw))),
          "/impactMetrics/0/samples/0/buckets/1", "must be an object")
for raw, word in (("-1", "0..9007199254740991"), ("1.5", "not an integer"),
                  ("9007199254740992", "0..9007199254740991")):
    fault("a histogram's count of %s" % raw,
          impacts(histogram(sample(count="@" + raw))),
          "/impactMetrics/0/samples/0/count", word)
    fault("a bucket's count of %s" % raw,
          impacts(histogram(sample(buckets='[{"le":1,"count":@%s}]' % raw))),
          "/impactMetrics/0/samples/0/buckets/0/count", word)
for member, other in (("le", '"count":1'), ("count", '"le":1')):
    fault("a bucket without %s" % member,
          impacts(histogram(sample(buckets="[@{%s}]" % other))),
          "/impactMetrics/0/samples/0/buckets/0", '"%s" is missing' % member)
    fault("%s twice in a bucket" % member,
          impacts(histogram(sample(
              buckets='[{"le":1,"count":1,@"%s":1}]' % member))),
          "/impactMetrics/0/samples/0/buckets/0/" + member, "twice")
for raw in ('"1"', '"Inf"', '"+inf"', '"-Inf"', '""', "true", "[]", "{}"):
    fault("le is %s" % raw,
          impacts(histogram(sample(buckets='[{"count":1,"le":@%s}]' % raw))),
          "/impactMetrics/0/samples/0/buckets/0/le", '"+Inf"')
for raw in ('"1"', "null", "true", "{}"):
    fault("a bucket's count is %s" % raw,
          impacts(histogram(sample(buckets='[{"le":1,"count":@%s}]' % raw))),
          "/impactMetrics/0/samples/0/buckets/0/count", "must be a number")
fault("le beyond a double",
      impacts(histogram(sample(buckets='[{"le":@1e400,"count":1}]'))),
      "/impactMetrics/0/samples/0/buckets/0/le", "double")
fault("a sum of a histogram beyond a double",
      impacts(histogram(sample(sum="@-1e400"))),
      "/impactMetrics/0/samples/0/sum", "double")
valid("a histogram without buckets",
      impacts(histogram(sample(buckets="[]"))),
      tally(series("default", "histogram", "hits", "Hits",
                   {"": counted(3, 2.5)})))
valid("numbers of a histogram as Edge writes them",
      impacts(histogram('{"labels":{},"count":3,"sum":2.5,"buckets":['
                        '{"le":1.0,"count":2},{"le":"+Inf","count":3}]}')),
      tally(SPREAD))
valid("le in any notation is one bound",
      impacts(histogram(sample(buckets=(
          '[{"le":0.5,"count":1},{"le":5e-1,"count":2},'
          '{"le":0.50,"count":4},{"le":1E0,"count":1},{"le":-1.5,"count":0},'
          '{"le":0.1,"count":9}]')))),
      tally(series("default", "histogram", "hits", "Hits", {"": counted(
          3, 2.5, {"-1.5": 0, "0.1": 3, "0.5": 0, "1": 0})})))
valid("a bound's observations are those beyond the next lower bound",
      impacts(histogram(sample(count="9", buckets=(
          '[{"le":"+Inf","count":9},{"le":10,"count":7},{"le":-2,"count":1},'
          '{"le":9,"count":4},{"le":1e1,"count":6}]')))),
      tally(series("default", "histogram", "hits", "Hits", {"": counted(
          9, 2.5, {"-2": 1, "9": 3, "10": 3})})))
valid("a bucket holds no less than a lower one, and no more than there are",
      impacts(histogram(sample(count="5", buckets=(
          '[{"le":1,"count":3},{"le":2,"count":1},{"le":3,"count":4},'
          '{"le":4,"count":9007199254740991},{"le":"+Inf","count":0}]')))),
      tally(series("default", "histogram", "hits", "Hits", {"": counted(
          5, 2.5, {"1": 3, "2": 0, "3": 1, "4": 1})})))

# Label sets and bounds that come again, in any order.


def labelled(numbers, kind):
    return impact(type='"%s"' % kind, name='"%s"' % kind, samples="[%s]" %
                  ",".join('{"labels":{"b":"x%d","a":"\\u00e9","c":%d,"__":"",'
                           '"a":"%d"},"value":%d}' % (n, n, n % 3, n)
                           for n in numbers))


def labelled_series(kind, numbers):
    return series("default", kind, kind, "Hits", {
        'a="%d",b="x%d",c="%d"' % (n % 3, n, n): value(number)
        for n, number in enumerate(numbers)})


valid("metrics have the same label sets in any order",
      impacts(labelled(range(40), "counter"), labelled(range(40), "gauge"),
              labelled(range(39, -1, -1), "counter"),
              labelled([7, 7, 8], "counter")),
      tally(dropped(name=123), labelled_series(
          "counter", [n * (4 if n == 7 else 3 if n == 8 else 2)
                      for n in range(40)]),
            labelled_series("gauge", range(40))))


def bounded(name, *bounds):
    return histogram(*(sample(buckets="[%s]" % ",".join(
        '{"le":%s,"count":%d}' % (le, count + 1)
        for count, le in enumerate(each))) for each in bounds),
                     name='"%s"' % name)


valid("histograms have the same bounds, or others",
      impacts(bounded("a", ("0.5", "1.0"), ("0.25", "1.0"), ("0.5", "1")),
              bounded("b", ("0.5", "1"), ("2", "3")),
              bounded("c", ("1", "0.5"))),
      tally(series("default", "histogram", "a", "Hits", {"": counted(
          9, 7.5, {"0.5": 2, "0.25": 1, "1": 3})}),
            series("default", "histogram", "b", "Hits", {"": counted(
                6, 5, {"0.5": 1, "1": 1, "2": 1, "3": 1})}),
            series("default", "histogram", "c", "Hits", {"": counted(
                3, 2.5, {"0.5": 2, "1": 0})})))
valid("a histogram's sum that is null is dropped",
      impacts(histogram(sample(sum="null"), sample())),
      tally(dropped(null=1), SPREAD))
valid("a histogram's le that is null is dropped",
      impacts(histogram(sample(buckets='[{"le":null,"count":1}]'))),
      tally(dropped(null=1)))
valid("what only a counter's samples have is unknown to a histogram",
      impacts(histogram('{"value":"x","value":[{"value":null}],' +
                        sample()[1:])), tally(SPREAD))

# The type may come last.

for kind in ("counter", "gauge"):
    valid("the type of a %s comes last" % kind,
          impacts('{"samples":[{"value":1}],"help":"Hits","name":"hits",'
                  '"type":"%s"}' % kind),
          tally(series("default", kind, "hits", "Hits", {"": value(1)})))
    valid("a %s's samples have odd members before the type" % kind,
          impacts('{"samples":[{"count":"x","count":1.5,"sum":{"a":[]},'
                  '"buckets":[{"le":"x","le":2},7,{"count":null}],'
                  '"value":1,"labels":{"a":"b"}},{"buckets":null,"value":2}],'
                  '"help":"Hits","name":"hits","type":"%s"}' % kind),
          tally(series("default", kind, "hits", "Hits",
                       {'a="b"': value(1), "": value(2)})))
    fault("a %s's value is wrong before the type" % kind,
          impacts('{"samples":[{"value":1,"count":null},{"sum":[],'
                  '"value":@"x"},{"value":true}],"help":"Hits",'
                  '"name":"hits","type":"%s"}' % kind),
          "/impactMetrics/0/samples/1/value", "must be a number")
    fault("a %s's value is missing before the type" % kind,
          impacts('{"samples":[{"value":1},@%s],"help":"Hits",'
                  '"name":"hits","type":"%s"}' % (sample(), kind)),
          "/impactMetrics/0/samples/1", '"value" is missing')
    fault("a %s's value stands twice before the type" % kind,
          impacts('{"samples":[{"value":1,"sum":0,@"value":1}],'
                  '"help":"Hits","name":"hits","type":"%s"}' % kind),
          "/impactMetrics/0/samples/0/value", "twice")
valid("the type of a histogram comes last",
      impacts('{"help":"Hits","samples":[%s],"name":"hits",'
              '"type":"histogram"}' % sample()), tally(SPREAD))
valid("a histogram's samples have odd members before the type",
      impacts('{"help":"Hits","samples":[%s],"name":"hits",'
              '"type":"histogram"}' % sample(value='{"value":[]},"value":1e400'
                                             )), tally(SPREAD))
fault("a histogram's bucket is wrong before the type",
      impacts('{"samples":[%s],"help":"Hits","name":"hits",'
              '"type":"histogram"}' % sample(
                  value='"x"', buckets='[{"le":1,"count":1},'
                  '{"le":@true,"count":-1}]')),
      "/impactMetrics/0/samples/0/buckets/1/le", '"+Inf"')
fault("a histogram's bucket lacks le before the type",
      impacts('{"samples":[%s],"help":"Hits","name":"hits",'
              '"type":"histogram"}' % sample(buckets='[@{"count":1}]')),
      "/impactMetrics/0/samples/0/buckets/0", '"le" is missing')
fault("a histogram's sum is missing before the type",
      impacts('{"samples":[@%s],"help":"Hits","name":"hits",'
              '"type":"histogram"}' % sample(sum=None, value="1")),
      "/impactMetrics/0/samples/0", '"sum" is missing')
fault("the first of two faults before the type counts",
      impacts('{"samples":[{"value":1,"count":@"1","sum":true}],'
              '"help":"Hits","name":"hits","type":"histogram"}'),
      "/impactMetrics/0/samples/0/count", "must be a number")
fault("labels are wrong before the type",
      impacts('{"samples":[{"value":1,"labels":{"a":@null}}],'
              '"help":"Hits","name":"hits","type":"counter"}'),
      "/impactMetrics/0/samples/0/labels/a", "a string or a number")
fault("the type does not come at all",
      impacts('@{"samples":[{"value":1}],"help":"Hits","name":"hits"}'),
      "/impactMetrics/0", '"type" is missing')
fault("the type comes last and is wrong",
      impacts('{"samples":[{"value":"x"}],"help":"Hits","name":"hits",'
              '"type":@"summary"}'), "/impactMetrics/0/type",
      '"counter", "gauge" or "histogram"')
valid("a null in a sample before the type",
      impacts('{"samples":[{"value":null,"count":1,"sum":2,"buckets":[]},'
              '{"value":1,"sum":null,"count":1,"buckets":[]}],'
              '"help":"Hits","name":"hits","type":"counter"}',
              '{"samples":[{"value":null,"count":1,"sum":2,"buckets":[]},'
              '{"value":1,"sum":null,"count":1,"buckets":[]}],'
              '"help":"Hits","name":"spread","type":"histogram"}'),
      tally(dropped(null=2), HITS,
            series("default", "histogram", "spread", "Hits",
                   {"": counted(1, 2)})))
valid("what one impact metric's type was is forgotten with the next",
      impacts(impact(), '{"samples":[%s],"help":"Hits","name":"spread",'
              '"type":"histogram"}' % sample(buckets="[]")),
      tally(HITS, series("default", "histogram", "spread", "Hits",
                         {"": counted(3, 2.5)})))

# How impact metrics count.

valid("counters add, gauges take the last metric's, histograms add all",
      impacts(impact(samples='[{"value":0.5},{"value":0.25}]'),
              impact(samples='[{"value":2}]'),
              impact(type='"gauge"', name='"level"',
                     samples='[{"value":5},{"value":3}]'),
              impact(type='"gauge"', name='"level"',
                     samples='[{"value":4}]'),
              histogram(sample(), sample(buckets=(
                  '[{"le":1,"count":1},{"le":2,"count":1},'
                  '{"le":"+Inf","count":3}]')), name='"spread"'),
              histogram(sample(sum="-1"), name='"spread"')),
      tally(series("default", "counter", "hits", "Hits", {"": value(2.75)}),
            series("default", "gauge", "level", "Hits", {"": value(4)}),
            series("default", "histogram", "spread", "Hits", {"": counted(
                9, 4, {"1": 5, "2": 0})})))
valid("a label set is a series, in whatever order its labels are",
      impacts(impact(samples=(
          '[{"labels":{"a":"1","b":"2"},"value":1},'
          '{"value":2,"labels":{"b":"2","a":"1"}},'
          '{"labels":{"a":"2","b":"1"},"value":4},'
          '{"labels":{"a":"1"},"value":8},{"value":16},'
          '{"labels":null,"value":32},{"labels":{},"value":64}]'))),
      tally(series("default", "counter", "hits", "Hits", {
          'a="1",b="2"': value(3), 'a="2",b="1"': value(4),
          'a="1"': value(8), "": value(112)})))
valid("labels may be numbers",
      impacts(impact(samples=(
          '[{"labels":{"a":5},"value":1},{"labels":{"a":"5"},"value":2},'
          '{"labels":{"a":5.0},"value":4},{"labels":{"a":0.1},"value":8},'
          '{"labels":{"a":-1e3},"value":16}]'))),
      tally(series("default", "counter", "hits", "Hits", {
          'a="5"': value(7), 'a="0.1"': value(8), 'a="-1000"': value(16)})))
fault("a label beyond a double",
      impacts(impact(samples='[{"labels":{"a":@1e400},"value":1}]')),
      "/impactMetrics/0/samples/0/labels/a", "double")
valid("values of labels are escaped as in Prometheus text",
      impacts(impact(samples='[{"labels":{"a":"\\"\\\\\\n\\u00e9\\t"},'
                     '"value":1}]')),
      tally(series("default", "counter", "hits", "Hits",
                   {'a="\\"\\\\\\né\t"': value(1)})))
valid("names of labels are made Prometheus names",
      impacts(impact(samples=(
          '[{"labels":{"b-c.d":"1","a:\\u00e9":"2","_9Z":"3"},"value":1}]'))),
      tally(series("default", "counter", "hits", "Hits",
                   {'_9Z="3",a__="2",b_c_d="1"': value(1)})))
valid("a label whose name begins with a digit is dropped",
      impacts(impact(samples='[{"labels":{"9a":"1","b":"2"},"value":1}]')),
      tally(dropped(name=1), series("default", "counter", "hits", "Hits",
                                    {'b="2"': value(1)})))
for raw, name in (
        ("my.metric-name", "my_metric_name"), ("a:b", "a_b"),
        ("A z_9", "A_z_9"), ("é", "_"), ("日本", "__"), ("😀", "__"),
        ("-9", "_9"), ("\\u0000", "_"), ("_", "_")):
    valid("the metric %s" % name_of(raw),
          impacts(impact(name='"%s"' % raw)),
          tally(series("default", "counter", name, "Hits", {"": value(1)})))
for raw in ("9lives", "0", ""):
    valid("the metric %s is dropped" % (raw or "without a name"),
          impacts(impact(name='"%s"' % raw), impact()),
          tally(dropped(name=1), HITS))
valid("names that become the same are the same",
      impacts(impact(name='"a-b"'), impact(name='"a.b"')),
      tally(series("default", "counter", "a_b", "Hits", {"": value(2)})))
valid("the help is the latest one",
      impacts(impact(), impact(help='"More hits"')),
      tally(series("default", "counter", "hits", "More hits",
                   {"": value(2)})))
valid("an empty help", impacts(impact(help='""')),
      tally(series("default", "counter", "hits", "", {"": value(1)})))
valid("a value of zero makes a series",
      impacts(impact(samples='[{"value":0}]')),
      tally(series("default", "counter", "hits", "Hits", {"": value(0)})))
valid("a number too small for a double",
      impacts(impact(samples='[{"value":1e-400}]')),
      tally(series("default", "counter", "hits", "Hits", {"": value(0)})))
valid("a number of many digits",
      impacts(impact(samples='[{"value":3.14159265358979323846264338327}]')),
      tally(series("default", "counter", "hits", "Hits",
                   {"": value(3.141592653589793)})))
valid("the largest double",
      impacts(impact(samples='[{"value":1.7976931348623157e308}]')),
      tally(series("default", "counter", "hits", "Hits",
                   {"": value(1.7976931348623157e308)})))
fault("a counter's sum beyond a double",
      impacts(impact(samples='[{"value":1e308}]'),
              "@" + impact(samples='[{"value":1e308}]')),
      "/impactMetrics/1", "double", code="overflow")
fault("a histogram's sum adds up beyond a double",
      impacts("@" + histogram(sample(sum="-1e308"), sample(sum="-1e308"))),
      "/impactMetrics/0", "double", code="overflow")
fault("a histogram's counts add up to 2^53",
      impacts("@" + histogram(sample(count="9007199254740991"),
                              sample(count="1"))),
      "/impactMetrics/0", "sum", code="overflow")
valid("gauges do not add up",
      impacts(impact(type='"gauge"',
                     samples='[{"value":1e308},{"value":1e308}]')),
      tally(series("default", "gauge", "hits", "Hits",
                   {"": value(1e308)})))
valid("of a gauge's samples with one label set in one metric the first counts",
      impacts(impact(type='"gauge"', samples=(
          '[{"value":4},{"value":3,"labels":{"a":"b"}},{"value":1},'
          '{"labels":{"a":"b","c":""},"value":2},'
          '{"labels":{"d":"e"},"value":null},'
          '{"labels":{"d":"e"},"value":5},{"labels":{"d":"e"},"value":6}]'))),
      tally(dropped(null=1), series("default", "gauge", "hits", "Hits", {
          "": value(4), 'a="b"': value(3), 'd="e"': value(5)})))
valid("a counter's sample below 0 is dropped, and one of -0 is none",
      impacts(impact(samples=(
          '[{"value":5},{"value":-1},{"value":-1e-300},{"value":-0.0},'
          '{"labels":{"a":"b"},"value":-2}]')),
          impact(type='"gauge"', name='"level"', samples='[{"value":-1}]')),
      tally(dropped(invalid=3), HITS5,
            series("default", "gauge", "level", "Hits", {"": value(-1)})))
for raw in ("__name__", "__", "__x", "-_name__", "日本", "😀", "__le"):
    valid("the label %s is reserved and dropped" % name_of(raw),
          impacts(impact(samples='[{"labels":{"%s":"1","b":"2"},"value":1}]'
                         % raw)),
          tally(dropped(name=1), series("default", "counter", "hits", "Hits",
                                        {'b="2"': value(1)})))
valid("an empty value is the same as no label",
      impacts(impact(samples=(
          '[{"labels":{"a":"","b":"2"},"value":1},'
          '{"labels":{"b":"2"},"value":2},{"labels":{"b":""},"value":4},'
          '{"labels":{"b-":"1","b.":""},"value":8}]')),
          histogram('{"labels":{"le":""},' + sample(buckets="[]")[1:],
                    name='"spread"')),
      tally(series("default", "counter", "hits", "Hits", {
          'b="2"': value(3), "": value(12)}),
          series("default", "histogram", "spread", "Hits",
                 {"": counted(3, 2.5)})))

# Environments.

valid("with any environment a sample counts under its own label",
      impacts(impact(samples=(
          '[{"labels":{"environment":"staging"},"value":1},{"value":2},'
          '{"labels":{"environment":""},"value":4}]'))),
      tally(series("staging", "counter", "hits", "Hits",
                   {"": value(1)}),
            series("default", "counter", "hits", "Hits", {"": value(6)})))
valid("with one environment a sample counts under that",
      impacts(impact(samples=(
          '[{"labels":{"environment":"staging"},"value":1},{"value":2}]'))),
      tally(series("production", "counter", "hits", "Hits",
                   {"": value(3)})),
      "--environment", "production")
valid("metrics of another environment are dropped",
      metrics(metric(), metric(environment='"development"'),
              metric(environment='"Production"'),
              metric(environment='"productio"'),
              metric(environment='"production "'),
              metric(environment='""')),
      tally(dropped(environment=5), COUNTED),
      "--environment", "production")
valid("zeros of another environment are dropped too",
      metrics(metric(environment='"a"', yes="0", no="0")),
      tally(dropped(environment=1)), "--environment", "production")
valid("a dropped metric does not run over",
      metrics(metric(environment='"a"', yes="9007199254740991"),
              metric(environment='"a"', yes="9007199254740991")),
      tally(dropped(environment=2)), "--environment", "production")
fault("metrics of another environment must be valid all the same",
      metrics(metric(environment='"a"', yes="@-1")), "/metrics/0/yes",
      "0..9007199254740991", "--environment", "production")
valid("applications of other environments are kept under their own",
      applications(application(environment='"a"'),
                   application(environment='"production"')),
      tally(*[instance(name, "shop", "default", registration("").replace(
          '"environment":"default"', '"environment":"%s"' % name))
          for name in ("a", "production")]),
      "--environment", "production")
for member, raw in (("environment", None), ("environment", "null")):
    valid("an application whose environment is %s has the token's"
          % (raw or "absent"),
          applications(application(**{member: raw})),
          tally(instance(
              "production", "shop", "default", registration("").replace(
                  '"environment":"default"',
                  '"environment":"production"'))),
          "--environment", "production")
valid("tokens count in any environment", tokens('"t"'), tally(token("t")),
      "--environment", "production")

# Tokens.

valid("tokens that were seen",
      tokens('"*:development.secret"', '"p:e.s"', '"*:development.secret"',
             '"\\u0070:e.s"', '""', '"é"'),
      tally(token("*:development.secret"), token("p:e.s"), token(""),
            token("é")))
for raw in ("null", "1", "true", "[]", "{}"):
    fault("a token is %s" % raw, tokens('"a"', "@" + raw), "/seenTokens/1",
          "must be a string")

# Limits.

LONG = "a" * 20
for member, where in (
        ("featureName", metric), ("appName", metric),
        ("environment", metric)):
    valid("%s of a metric is as long as names may be" % member,
          metrics(where(**{member: '"%s"' % LONG})), None,
          "--limit-name", "20")
    fault("%s of a metric is longer than names may be" % member,
          metrics(where(**{member: '@"%sa"' % LONG})),
          "/metrics/0/" + member, "limit_name", "--limit-name", "20")
for member in ("appName", "environment", "instanceId"):
    valid("%s of an application is as long as names may be" % member,
          applications(application(**{member: '"%s"' % LONG})), None,
          "--limit-name", "20")
    fault("%s of an application is longer than names may be" % member,
          applications(application(**{member: '@"%sa"' % LONG})),
          "/applications/0/" + member, "limit_name", "--limit-name", "20")
valid("a variant's name is as long as names may be",
      metrics(metric(variants='{"%s":1}' % LONG)),
      tally(feature("production", "shop", "2024-01-15T09", "flag", 3, 1,
                    {LONG: 1})), "--limit-name", "20")
fault("a variant's name is longer than names may be",
      metrics(metric(variants='{"b":1,@"%sa":1}' % LONG)),
      "/metrics/0/variants/%sa" % LONG, "limit_name", "--limit-name", "20")
valid("an impact metric's names are as long as names may be",
      impacts(impact(name='"%s"' % LONG, help='"%s"' % LONG, samples=(
          '[{"labels":{"%s":"%s"},"value":1}]' % (LONG, LONG)))),
      tally(series("default", "counter", LONG, LONG,
                   {'%s="%s"' % (LONG, LONG): value(1)})),
      "--limit-name", "20")
for member in ("name", "help"):
    fault("an impact metric's %s is longer than names may be" % member,
          impacts(impact(**{member: '@"%sa"' % LONG})),
          "/impactMetrics/0/" + member, "limit_name", "--limit-name", "20")
fault("a label's name is longer than names may be",
      impacts(impact(samples='[{"labels":{@"%sa":"b"},"value":1}]' % LONG)),
      "/impactMetrics/0/samples/0/labels/%sa" % LONG, "limit_name",
      "--limit-name", "20")
fault("a label's value is longer than names may be",
      impacts(impact(samples='[{"labels":{"b":@"%sa"},"value":1}]' % LONG)),
      "/impactMetrics/0/samples/0/labels/b", "limit_name",
      "--limit-name", "20")
fault("an item of strategies is longer than names may be",
      applications(application(strategies='["a",@"%sa"]' % LONG)),
      "/applications/0/strategies/1", "limit_name", "--limit-name", "20")
valid("the length of a name is that of its UTF-8, decoded",
      metrics(metric(featureName='"\\u00e9%s"' % ("\\u0061" * 18))),
      tally(feature("production", "shop", "2024-01-15T09", "é" + "a" * 18, 3,
                    1)), "--limit-name", "20")
fault("a name of 20 characters and 21 bytes",
      metrics(metric(featureName='@"é%s"' % ("a" * 19))),
      "/metrics/0/featureName", "limit_name", "--limit-name", "20")
valid("a name of 4 KiB is within the default limit",
      metrics(metric(featureName='"%s"' % ("a" * 4096))),
      tally(feature("production", "shop", "2024-01-15T09", "a" * 4096, 3,
                    1)))
fault("a name of 4 KiB and a byte is beyond the default limit",
      metrics(metric(featureName='@"%s"' % ("a" * 4097))),
      "/metrics/0/featureName", "limit_name")
valid("what is not kept may be longer",
      metrics(metric(sdkVersion='"%sa"' % LONG)), tally(COUNTED),
      "--limit-name", "20")
valid("an interval is no name", applications(application(interval="60000")),
      None, "--limit-name", "4")
valid("a date is no name", applications(
    application(started='"2024-01-15T09:30:00.123Z"')), None,
    "--limit-name", "20")

valid("as deep as may be", '{"x":[[[{}]]],"applications":[],"metrics":[]}',
      tally(), "--limit-depth", "5")
fault("an object too deep", '{"x":[[[[@{}]]]],"applications":[],"metrics":[]}',
      "/x/0/0/0/0", "deep", "--limit-depth", "5")
fault("an array too deep",
      '{"x":{"a":{"b":[{"c":@[]}]}},"applications":[],"metrics":[]}',
      "/x/a/b/0/c", "deep", "--limit-depth", "5")
fault("a body too deep for the schema",
      metrics(metric(variants="@{}")), "/metrics/0/variants", "deep",
      "--limit-depth", "3")
valid("a depth of 64 is within the default limit",
      '{"x":%s%s,"applications":[],"metrics":[]}' % ("[" * 63, "]" * 63),
      tally())
fault("a depth of 65 is beyond the default limit",
      '{"x":%s@[%s,"applications":[],"metrics":[]}' % ("[" * 63, "]" * 64),
      "/x" + "/0" * 63, "deep")
fault("brackets that are never closed",
      '{"x":' + "[" * 63 + "@" + "[" * 10000, "/x" + "/0" * 63, "deep")

valid("as many counters as may be",
      metrics(metric(), metric(yes="1", no="0", variants='{"a":1}'),
              metric(featureName='"g"', no="0")), None,
      "--limit-counters", "4")
fault("one counter too many",
      metrics(metric(), metric(yes="1", no="0", variants='{"a":1}'),
              "@" + metric(featureName='"g"')), "/metrics/2", "limit_counters",
      "--limit-counters", "4", code="too-large")
valid("a counter that comes again is one",
      metrics(metric(), metric(), metric()),
      tally(feature("production", "shop", "2024-01-15T09", "flag", 9, 3)),
      "--limit-counters", "2")
valid("what counts nothing is no counter",
      metrics(metric(yes="0"), metric(featureName='"g"', yes="0", no="0",
                                      variants='{"a":0,"b":0}')),
      None, "--limit-counters", "1")
valid("what is dropped is no counter",
      metrics(metric(environment='"a"'), metric(environment='"b"')),
      tally(dropped(environment=2)), "--limit-counters", "1",
      "--environment", "production")
fault("an entry of too many variants",
      metrics(metric(variants='{"a":1,"b":1,"c":@1,"d":1}')),
      "/metrics/0/variants/c", "limit_counters", "--limit-counters", "2",
      code="too-large")
valid("an instance is a counter",
      applications(application(instanceId='"a"'),
                   application(instanceId='"b"'),
                   application(instanceId='"a"')), None,
      "--limit-counters", "2")
fault("an instance too many",
      applications(application(instanceId='"a"'),
                   "@" + application(instanceId='"b"')), "/applications/1",
      "limit_counters", "--limit-counters", "1", code="too-large")
valid("a series is a counter",
      impacts(impact(), impact(samples='[{"labels":{"a":"b"},"value":1}]')),
      None, "--limit-counters", "2")
fault("a series too many",
      impacts(impact(), "@" + impact(name='"misses"')), "/impactMetrics/1",
      "limit_counters", "--limit-counters", "1", code="too-large")
valid("a histogram's bounds are counters",
      impacts(histogram(sample()), histogram(sample())), None,
      "--limit-counters", "3")
fault("a bound too many",
      impacts(histogram(sample()), "@" + histogram(sample(
          buckets='[{"le":5,"count":1},{"le":6,"count":1}]'))),
      "/impactMetrics/1", "limit_counters",
      "--limit-counters", "3", code="too-large")
fault("a token too many", tokens('"a"', '"b"', '"a"', '@"c"', '"d"'),
      "/seenTokens/3", "limit_counters",
      "--limit-counters", "2", code="too-large")
valid("no limit of counters", metrics(metric()), tally(COUNTED),
      "--limit-counters", "0")
valid("a body as large as may be", MINIMAL, tally(),
      "--limit-body", str(len(MINIMAL)))
fault("a body larger than may be", MINIMAL[:-1] + "@}", "", "limit_body",
      "--limit-body", str(len(MINIMAL) - 1), code="too-large")
fault("a fault before a body's limit counts first",
      '{"applications":@1,"metrics":[]}', "/applications", "an array",
      "--limit-body", "25")
valid("no limit of the body", MINIMAL, tally(), "--limit-body", "0",
      "--limit-inflated", "0")
valid("the limit of inflated bodies is not that of others", MINIMAL, tally(),
      "--limit-inflated", str(len(MINIMAL) - 1))
valid("a body of the announced length", MINIMAL, tally(),
      "--announced", str(len(MINIMAL)))
fault("a body shorter than announced", MINIMAL + "@", "", "Content-Length",
      "--announced", str(len(MINIMAL) + 1))
fault("no body where one was announced", "@", "", "Content-Length",
      "--announced", "1")

# Text: UTF-8, escapes, and what a pointer makes of odd names.


def named(text):
    """A metric whose feature has that name, as bytes of a JSON string."""
    before, after = metrics(metric(featureName='"!"')).split("!")
    if isinstance(text, str):
        text = text.encode()
    return before.encode() + text + after.encode()


def marked(text):
    """The same with the mark before the string."""
    return named(text).replace(b'"featureName":', b'"featureName":@')


for text, name in (
        ("é", "é"), ("日本", "日本"), ("😀", "😀"),
        ("\U0010ffff", "\U0010ffff"),
        ("\ud7ff\ue000\ufffd\uffff", "\ud7ff\ue000\ufffd\uffff"),
        ("\ufeff", "\ufeff"), ("\x7f\u0080", "\x7f\u0080"),
        ("\u2028", "\u2028"),
        ("\\ud83d\\ude00", "😀"), ("\\uD83D\\uDE00", "😀"),
        ("\\udbff\\udfff", "\U0010ffff"), ("\\uD800\\uDC00", "\U00010000"),
        ("\\ud7ff\\ue000", "\ud7ff\ue000"), ("\\uffff", "\uffff"),
        ("\\u0000", "\0"), ("a\\u0000b", "a\0b"), ("\\u0022", '"'),
        ("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"),
        ("\\\\ud800", "\\ud800"), ("\\\\\\u0041", "\\A"),
        ("\\u00e9\\u00E9", "éé")):
    valid("the name %s" % name_of(text), named(text),
          tally(feature("production", "shop", "2024-01-15T09", name, 3, 1)))
for text in (
        b"\xff", b"\xfe", b"\x80", b"a\xbf", b"\xc3", b"\xc3\x28",
        b"\xe6\x97", b"\xe6\x97a", b"\xf0\x9f\x98", b"\xc0\x80", b"\xc1\xbf",
        b"\xc0\xaf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xf0\x80\x80\xaf",
        b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
        b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80",
        b"\xe9", b"\\n\xff", b"\xc3\\u0041"):
    fault("the bytes %s in a name" % name_of(text), marked(text),
          "/metrics/0/featureName", "UTF-8")
fault("bad UTF-8 in the name of a member",
      b'{"applications":[],"metrics":[],@"x\xff":1}', "", "UTF-8")
fault("bad UTF-8 in an unknown member",
      b'{"x":{"y":[@"\xc0\x80"]},"applications":[],"metrics":[]}', "/x/y/0",
      "UTF-8")
fault("bad UTF-8 in a date", metrics(metric()).replace(
    '"2024', '@"!2024').encode().replace(b"!", b"\xff"),
    "/metrics/0/timestamp", "UTF-8")
fault("bad UTF-8 between values",
      b'{"applications":[],@\xff"metrics":[]}', "", "an unexpected byte")
fault("a character between values",
      '{"applications":[],@é"metrics":[]}', "", "an unexpected byte")
for text in ("@\\ud800", "a@\\udbff", "@\\ud800a", "@\\ud800\\n",
             "@\\ud83d\\\\", "@\\ud83d\\u0041", "@\\ud83d\\ud83d\\ude00",
             "@\\uD800é", "\\ud83d\\ude00@\\ud83d", "@\\ud83d\\ue000"):
    fault("the lone high surrogate %s" % name_of(text.replace("@", "")),
          named(text), "/metrics/0/featureName", "high surrogate")
for text in ("@\\ude00", "@\\udc00\\ud800", "\\ud83d\\ude00@\\ude00",
             "a\\n@\\uDFFF"):
    fault("the lone low surrogate %s" % name_of(text.replace("@", "")),
          named(text), "/metrics/0/featureName", "low surrogate")
fault("a lone surrogate in the name of a member",
      '{"applications":[],"metrics":[],"x@\\ud800":1}', "", "high surrogate")
fault("a lone surrogate in an unknown member",
      '{"applications":[],"metrics":[],"x":["@\\udfff"]}', "/x/0",
      "low surrogate")
for text in ("\n", "\t", "\r", "\0", "\x01", "\x1f", "\x08"):
    fault("the control character %s in a name" % name_of(text),
          named("ab@" + text + "c"), "/metrics/0/featureName",
          "control character")
for text in ("\f", "\v"):
    fault("the control character %s in a name" % name_of(text),
          named("ab@" + text + "c"), "/metrics/0/featureName", "")
for text in ("\\@a", "\\@'", "\\@x41", "\\@U0041", "\\@0", "\\@ "):
    fault("the escape %s" % name_of(text.replace("@", "")), named(text),
          "/metrics/0/featureName", "escape")
for text in ("\\u@g000", "\\u00@ 41", "\\u004@", "\\u12@-4", "\\ud83d\\u@x"):
    fault("the escape %s" % name_of(text.replace("@", "")), named(text),
          "/metrics/0/featureName", "hexadecimal")

for raw, pointer in (
        ("a/b", "a~1b"), ("m~n", "m~0n"), ("~1", "~01"), ("", ""),
        (" ", " "), ("é", "é"), ("\\u00e9", "é"), ('\\"', '"'),
        ("\\\\", "\\"), ("\\t", "\t"), ("0", "0"), ("-", "-"),
        ("/~/~", "~1~0~1~0")):
    fault("the pointer to a variant called %s" % (name_of(raw) or "nothing"),
          metrics(metric(variants='{"%s":@-1}' % raw)),
          "/metrics/0/variants/" + pointer, "0..9007199254740991")
fault("the pointer to a variant with a NUL is cut",
      metrics(metric(variants='{"a\\u0000b":@-1}')), "/metrics/0/variants",
      "0..9007199254740991")
valid("the pointer's longest name", metrics(
    metric(variants='{"%s":1}' % ("v" * 128))), None)
fault("the pointer to a variant with a long name",
      metrics(metric(variants='{"%s":@-1}' % ("v" * 128))),
      "/metrics/0/variants/" + "v" * 128, "0..9007199254740991")
fault("the pointer to a variant with a name too long for it is cut",
      metrics(metric(variants='{"%s":@-1}' % ("v" * 129))),
      "/metrics/0/variants", "0..9007199254740991")
fault("the pointer counts elements",
      metrics(*[metric()] * 12, metric(yes="@-1")), "/metrics/12/yes",
      "0..9007199254740991")
fault("the place is that after many values of all kinds",
      '{"x":[1,-2.5e3 ,"a\\u00e9\\"é",null,true,{"y":[],"z":{}},[[]]],'
      '"applications":[],"metrics":[ %s , {"variants":{"a":1 },'
      '"yes": @"x"}]}' % metric(), "/metrics/1/yes", "must be a number")

# What is not JSON.

fault("the body is empty", "@", "", "empty")
for raw in (" ", "\n\r\t ", " " * 100):
    fault("the body is %s" % name_of(raw), raw + "@", "", "")
valid("a byte-order mark", "\ufeff" + MINIMAL, tally())
valid("a byte-order mark and white space", "\ufeff \n" + MINIMAL,
      tally())
valid("a byte-order mark before counts", "\ufeff" + metrics(metric()),
      tally(COUNTED))
fault("a byte-order mark alone", "\ufeff@", "", "empty")
fault("half a byte-order mark", b"\xef\xbb" + MINIMAL.encode(), "",
      "byte-order mark", offset=0)
fault("two byte-order marks", "\ufeff@\ufeff" + MINIMAL, "",
      "an unexpected byte")
fault("a byte-order mark counts in the offset", '\ufeff{"metrics":@5}',
      "/metrics", "must be an array")
fault("UTF-16, little endian",
      b"@" + b"\xff\xfe" + MINIMAL.encode("utf-16-le"), "", "UTF-16")
fault("UTF-16, big endian",
      b"@" + b"\xfe\xff" + MINIMAL.encode("utf-16-be"), "", "UTF-16")
fault("UTF-16 without a mark", b"{@\0}\0", "", "")
fault("a byte-order mark after white space", " @\ufeff" + MINIMAL, "",
      "an unexpected byte")
for text, word in (("\f", "form feed"), ("\v", "vertical tab")):
    fault("%s before the body" % word, "@" + text + MINIMAL, "", word)
    fault("%s in the body" % word,
          '{"applications":@' + text + '[],"metrics":[]}', "/applications",
          word)
    fault("%s after the body" % word, MINIMAL + " @" + text, "", word)
for text in ("\0", "\x01", "\x7f", "\x1c", "\u00a0", "\u2028", "\\"):
    fault("%s between values" % name_of(text),
          '{"applications":[], @' + text + '"metrics":[]}', "",
          "an unexpected byte")
for text in ("{}", MINIMAL, "x", ",", ":", "]", "}", "\0", "null", '"', "1",
             "\\", "/", "#", "\x1a", "é"):
    fault("%s after the body" % name_of(text), MINIMAL + "@" + text, "",
          "follows")
    fault("%s after the body and white space" % name_of(text),
          MINIMAL + "\n @" + text, "", "follows")
valid("white space after the body", MINIMAL + " \t\r\n" * 100, tally())


def unknown(text):
    """The least body with an unknown member before it."""
    return '{"x":%s,"applications":[],"metrics":[]}' % text


for raw in ("0", "-0", "-1", "0.5", "1E5", "1e+5", "-1.5e-5", "1e400",
            "123456789012345678901234567890", "[]", "[[],{}]",
            '"/"', "[ ]", "{ }", "true", "null", "1" * 4096):
    valid("an unknown member %s" % name_of(raw), unknown(raw), tally())
fault("a number of 4 KiB and a digit", unknown("@" + "1" * 4097), "/x",
      "longer than 4 KiB")
for raw in ("@+1", "@.5", "@NaN", "@Infinity", "-@Infinity", "@'a'", "@a",
            "@None", "@True", "@undefined", "@\\u0031", "@`a`", "@;", "@=",
            "@(", "@<", "@\u201ca\u201d", "@#", "@$", "@?"):
    fault("an unknown member %s" % name_of(raw.replace("@", "")),
          unknown(raw), "/x", "")
for raw in ("1.@", "1.@e5", "-@", "-@-1", "-@.5", "1e@", "1e+@", "1E-@",
            "1e@x", "1.@x", "-@a", "1e@.5", "1e+@-5"):
    fault("the number %s" % raw.replace("@", ""), unknown(raw), "/x",
          "digit")
for raw in ("tru@", "tru@E", "f@oo", "fals@ e", "n@an", "nul@ l", "t@RUE",
            "nu@Ll", "fa@\\u006cse"):
    fault("the literal %s" % raw.replace("@", ""), unknown(raw), "/x",
          "true, false nor null")
for raw in ("0@x10", "1@a", "1.5@.5", "1@_000", "0@b1", "1e5@.5"):
    fault("after a number: %s" % name_of(raw.replace("@", "")), unknown(raw),
          "", "an unexpected byte")
for raw in ("0@1", "0@00", "-0@1", "1 @2", "1@-1", "true@false", "null@1",
            "[]@[]", "{}@{}",
            '"a"@"b"', '"a" @"bcd"', "1 @234", "1 @true", "1 @null",
            '1 @"abc"', "[] @-5", "{} @[1]", '1 @"a\\n"', "true \n@:",
            "1 @]", "1@:2"):
    fault("after a value: %s" % name_of(raw.replace("@", "")), unknown(raw),
          "", "must follow")
for text, pointer in (
        ("@/* c */1", "/x"), ("@// c\n1", "/x"), ("1 @/* c */", ""),
        ("[@/**/]", "/x/0"), ("[1 @//\n]", "/x/1")):
    fault("the comment %s" % name_of(text.replace("@", "")), unknown(text),
          pointer, "comment")
fault("a comment before the body", "@/**/" + MINIMAL, "", "comment")
fault("a hash before the body", "@#\n" + MINIMAL, "", "an unexpected byte")

for text, pointer, word in (
        ('[@,1]', "/x/0", ""), ('[1,@]', "/x/1", ""),
        ('[1,@,2]', "/x/1", ""), ('[1 @2]', "/x/1", "comma"),
        ('[1 @234]', "/x/1", "comma"), ('[1 @"abc"]', "/x/1", "comma"),
        ('["a" @true]', "/x/1", "comma"), ('[[] @null]', "/x/1", "comma"),
        ('[{} @{}]', "/x/1", "comma"), ('[1 @[]]', "/x/1", "comma"),
        ('[1 @-25.5e3]', "/x/1", "comma"), ('["a" @"b\\u0041"]', "/x/1",
                                            "comma"),
        ('[1@:2]', "/x/1", "comma"), ('[@:1]', "/x/0", ""),
        ('[@}', "/x/0", ""), ('[1@}', "/x/1", "comma"),
        ('{@]', "/x", ""), ('{@,}', "/x", ""), ('{"a":1,@}', "/x", ""),
        ('{"a":1,@,"b":2}', "/x", ""), ('{"a":1@]', "/x", "comma"),
        ('{"a":1 @"b":2}', "/x", "comma"), ('{"a":1 @2}', "/x", "comma"),
        ('{"a":"b" @"cde"}', "/x", "comma"),
        ('{"a":1 @null}', "/x", "comma"),
        ('{"a":1 @234567}', "/x", "comma"), ('{"a":1@:2}', "/x", "comma"),
        ('{"a":1 @{}}', "/x", "comma"),
        ('{"a"@}', "/x/a", "colon"), ('{"a"@,"b":1}', "/x/a", "colon"),
        ('{"a" @1}', "/x/a", "colon"), ('{"a" @"bcd"}', "/x/a", "colon"),
        ('{"a" @true}', "/x/a", "colon"), ('{"a" @12345}', "/x/a", "colon"),
        ('{"a" @[]}', "/x/a", "colon"),
        ('{"a":@}', "/x/a", ""), ('{"a":@,"b":1}', "/x/a", ""),
        ('{"a":@:1}', "/x/a", ""), ('{"a":@]', "/x/a", ""),
        ('{@1:2}', "/x", "name"), ('{@123:2}', "/x", "name"),
        ('{@null:1}', "/x", "name"), ('{@true:1}', "/x", "name"),
        ('{@[]:1}', "/x", "name"), ('{@{}:1}', "/x", "name"),
        ('{@-1.5:1}', "/x", "name"), ('{@:1}', "/x", "name"),
        ("{@a:1}", "/x", ""), ("{@'a':1}", "/x", ""),
        ('{"a":1,@b:1}', "/x", ""), ('{"a"@=1}', "/x/a", ""),
        ('[1@;2]', "/x/1", "")):
    fault("in a member: %s" % name_of(text.replace("@", "")), unknown(text),
          pointer, word)
for text in ("@}", "@]", "@,", "@:", "@x", "@'", "{@]"):
    fault("instead of a body: %s" % text.replace("@", ""), text, "", "")
fault("a violation before broken JSON counts first",
      metrics(metric(yes="@-1")) + "x", "/metrics/0/yes",
      "0..9007199254740991")
fault("broken JSON before a violation counts first",
      unknown("[1 @2]").replace('"metrics":[]', '"metrics":5'), "/x/1",
      "comma")

for text, pointer in (
        ("{@", ""), ("{ @", ""), ('{"@', ""), ('{"applica@', ""),
        ('{"applications"@', "/applications"),
        ('{"applications" @', "/applications"),
        ('{"applications":@', "/applications"),
        ('{"applications":[@', "/applications/0"),
        ('{"applications":[]@', ""), ('{"applications":[],@', ""),
        ('{"applications":[],"metrics":[{@', "/metrics/0"),
        ('{"applications":[],"metrics":[{"yes":@', "/metrics/0/yes"),
        ('{"applications":[],"metrics":[{"yes":1@', "/metrics/0"),
        ('{"applications":[],"metrics":[{"yes":1 @', "/metrics/0"),
        ('{"applications":[],"metrics":[{"yes":1,@', "/metrics/0"),
        ('{"applications":[],"metrics":[{"appName":"sho@',
         "/metrics/0/appName"),
        ('{"applications":[],"metrics":[{"appName":"sho\\@',
         "/metrics/0/appName"),
        ('{"applications":[],"metrics":[{"appName":"sho\\u00@',
         "/metrics/0/appName"),
        ('{"applications":[],"metrics":[{"appName":"sho\\ud83d@',
         "/metrics/0/appName"),
        ('{"applications":[],"metrics":[%s@' % metric(), "/metrics/1"),
        ('{"applications":[],"metrics":[%s,@' % metric(), "/metrics/1"),
        ('{"applications":[],"metrics":[%s]@' % metric(), ""),
        ('{"applications":[],"metrics":[%s] \n@' % metric(), ""),
        ('{"x":t@', "/x"), ('{"x":fals@', "/x"), ('{"x":true@', ""),
        ('{"x":-@', "/x"), ('{"x":1.@', "/x"), ('{"x":1e@', "/x"),
        ('{"x":1e-@', "/x"), ('{"x":"@', "/x"), ('{"x":"\\@', "/x"),
        ('{"x":[[[@', "/x/0/0/0"), ('{"x":[1@', "/x/1"),
        ('{"x":[1,2,@', "/x/2"), ('{"x":{"a":{"b"@', "/x/a/b")):
    fault("the text ends: %s" % name_of(text.replace("@", "")[-40:]), text,
          pointer, "too early")
fault("the text ends within a character",
      b'{"x":"\xe6\x97@', "/x", "too early")
fault("a string's quote is missing", '{"x":"a,"@applications":[]}', "",
      "an unexpected byte")

valid("a string of 64 KiB", unknown('"%s"' % ("a" * 65536)), tally())
fault("a string of 64 KiB and a byte", unknown('@"%s"' % ("a" * 65537)),
      "/x", "longer than 64 KiB")
valid("the longest string takes more bytes with escapes",
      unknown('"%s"' % ("a" * 65000 + "\\u0061" * 536)), tally())
fault("the name of a member is longer than 64 KiB",
      '{"applications":[],"metrics":[],@"%s":1}' % ("a" * 65537), "",
      "longer than 64 KiB")

# Elements at fault are left out, if so configured.

SKIP = "--skip"
valid("nothing to leave out",
      body(applications="[%s]" % application(), metrics="[%s]" % metric()),
      tally(REGISTERED, COUNTED), SKIP)
for position in range(3):
    items = [metric(featureName='"f"'), metric(featureName='"g"')]
    items.insert(position, metric(yes="-1", variants='{"a":[{"b":1}]}',
                                  x='[[{}],"y"]'))
    valid("a metric at fault is left out, at place %d" % position,
          metrics(*items),
          tally(dropped(invalid=1),
                feature("production", "shop", "2024-01-15T09", "f", 3, 1),
                feature("production", "shop", "2024-01-15T09", "g", 3, 1)),
          SKIP)
for member, raw in (
        ("appName", None), ("appName", "1"), ("yes", '"1"'), ("no", "1.5"),
        ("yes", "9007199254740992"), ("timestamp", '"x"'),
        ("timestamp", None), ("variants", "[[1],{}]"),
        ("variants", '{"a":1,"b":-1}'), ("variants", '{"a":{"b":{}}}'),
        ("variants", '{"%s":1}' % ("v" * 4097)),
        ("featureName", '"%s"' % ("f" * 4097)), ("featureName", '{"a":[]}'),
        ("sdkType", '"x"'), ("sdkVersion", "7"), ("environment", "null")):
    valid("a metric with %s %s is left out"
          % (member, "missing" if raw is None else name_of(raw)),
          metrics(metric(**{member: raw}), metric()),
          tally(dropped(invalid=1), COUNTED), SKIP)
valid("a metric with two faults is left out once",
      metrics(metric(yes="-1", no="-1", variants="7", appName=None),
              metric()), tally(dropped(invalid=1), COUNTED), SKIP)
valid("a metric with a member twice is left out",
      metrics(metric()[:-1] + ',"yes":1}', metric()),
      tally(dropped(invalid=1), COUNTED), SKIP)
for raw in ("null", "1", '"a"', "[]", "[[{}]]", "true"):
    valid("%s among metrics is left out" % raw,
          metrics(metric(), raw, metric()),
          tally(dropped(invalid=1), feature(
              "production", "shop", "2024-01-15T09", "flag", 6, 2)), SKIP)
    valid("%s among applications is left out" % raw,
          applications(raw, application(), raw),
          tally(dropped(invalid=2), REGISTERED), SKIP)
    valid("%s among impact metrics is left out" % raw,
          impacts(raw, impact()), tally(dropped(invalid=1), HITS), SKIP)
for raw in ("null", "1", "{}", '[["a"]]', "true"):
    valid("%s among tokens is left out" % raw,
          tokens('"a"', raw, '"b"'),
          tally(dropped(invalid=1), token("a"), token("b")), SKIP)
for member, raw in (
        ("strategies", "null"), ("strategies", '["a",1,{"b":[]}]'),
        ("projects", '[["p"]]'), ("connectVia", '[{"appName":"edge"}]'),
        ("connectVia", '[{"appName":1,"instanceId":{"a":[]}}]'),
        ("connectVia", '[5]'), ("started", '"x"'), ("interval", "1.5"),
        ("sdkType", '"x"'), ("appName", None)):
    valid("an application with %s %s is left out" % (member, raw),
          applications(application(**{member: raw, "instanceId": '"bad"'}),
                       application()),
          tally(dropped(invalid=1), REGISTERED), SKIP)
for name, item in (
        ("a sample without its value", impact(
            samples='[{"value":1},{"labels":{"a":"b"}},{"value":2}]')),
        ("a sample that is null", impact(samples='[{"value":1},null]')),
        ("a label that is null", impact(
            samples='[{"value":1},{"value":1,"labels":{"a":null}}]')),
        ("a bucket without le", histogram(sample(), sample(
            buckets='[{"count":1},{"le":1,"count":1}]'))),
        ("a bucket that is a number", histogram(sample(buckets="[1,[2]]"))),
        ("a sample without its sum", histogram(sample(sum=None), sample())),
        ("an unknown type", impact(type='"summary"')),
        ("no type", impact(type=None)),
        ("a wrong value before the type",
         '{"samples":[{"value":1},{"value":"1"},{"value":2}],"help":"Hits",'
         '"name":"hits","type":"counter"}'),
        ("a missing value before the type",
         '{"samples":[{"value":1},{}],"help":"Hits","name":"hits",'
         '"type":"gauge"}'),
        ("a wrong bucket before the type",
         '{"samples":[%s],"help":"Hits","name":"hits","type":"histogram",'
         '"x":1}' % sample(buckets='[{"le":[],"count":{}}]'))):
    valid("an impact metric with %s is left out" % name,
          impacts(item, impact()), tally(dropped(invalid=1), HITS), SKIP)
valid("what a wrong member of another type's samples does not leave out",
      impacts('{"samples":[{"value":1,"count":"x","buckets":[1]}],'
              '"help":"Hits","name":"hits","type":"counter"}'),
      tally(HITS), SKIP)
valid("an element of each array is left out",
      '{"applications":[1,%s],"metrics":[{},%s],"impactMetrics":[[],%s],'
      '"seenTokens":[{},"t"]}' % (application(), metric(), impact()),
      tally(dropped(invalid=4), REGISTERED, COUNTED, HITS, token("t")), SKIP)
valid("what is dropped for two reasons is counted for each",
      metrics(metric(environment='"a"'), metric(yes="-1"), metric()),
      tally(dropped(environment=1, invalid=1), COUNTED), SKIP,
      "--environment", "production")
# A sum that runs over violates no schema, and part of it is counted by then.
fault("a metric whose sum runs over is not left out", metrics(
    metric(no="9007199254740991"), "@" + metric(yes="5", no="1")),
    "/metrics/1", "sum", SKIP, code="overflow")
fault("a metric whose sum of a variant runs over is not left out", metrics(
    metric(variants='{"a":9007199254740991}'),
    "@" + metric(variants='{"b":1,"a":1}')), "/metrics/1", "sum", SKIP,
    code="overflow")
fault("an impact metric whose sum runs over is not left out", impacts(
    impact(samples='[{"labels":{"a":"b"},"value":1e308}]'),
    "@" + impact(samples='[{"value":1},{"labels":{"a":"b"},"value":1e308}]',
                 help='"More"')), "/impactMetrics/1", "double", SKIP,
    code="overflow")
fault("a histogram whose counts run over is not left out", impacts(
    histogram(sample(count="9007199254740991")),
    "@" + histogram(sample())), "/impactMetrics/1", "sum", SKIP,
    code="overflow")
for name, item in (
        ("before", '{"type":"gauge","name":"a","help":"b","samples":['
         '{"value":"x"},{"value":1,"labels":{"9a":"b"}}]}'),
        ("after", '{"type":"gauge","name":"a","help":"b","samples":['
         '{"value":1,"labels":{"9a":"b"}},{"value":"x"}]}')):
    valid("what is left out is dropped once, its fault %s a label" % name,
          impacts(item), tally(dropped(invalid=1)), SKIP)
for text, pointer, word in (
        ("@[]", "", "an object"), ('@{"metrics":[]}', "", "missing"),
        ('{"applications":@{},"metrics":[]}', "/applications", "an array"),
        ('{"applications":[],"metrics":@null}', "/metrics", "an array"),
        ('{"applications":[],"metrics":[],@"metrics":[]}', "/metrics",
         "twice"),
        ('{"applications":[],"metrics":[],"seenTokens":@1}', "/seenTokens",
         "an array")):
    fault("nothing of the body itself is left out: %s"
          % text.replace("@", ""), text, pointer, word, SKIP)
fault("broken JSON in an element that is left out",
      metrics(metric(yes="-1", x="[1 @2]")), "/metrics/0/x/1", "comma", SKIP)
fault("bad UTF-8 in an element that is left out",
      metrics("[@\"!\"]").encode().replace(b"!", b"\xff"), "/metrics/0/0",
      "UTF-8", SKIP)
fault("a lone surrogate in an element that is left out",
      metrics(metric(yes="-1", x='"@\\ud800"')), "/metrics/0/x",
      "surrogate", SKIP)
fault("an element that is left out is too deep",
      metrics("[[[@[]]]]"), "/metrics/0/0/0/0", "deep", SKIP,
      "--limit-depth", "5")
fault("a text that ends within an element that is left out",
      '{"applications":[],"metrics":[{"yes":-1,@', "/metrics/0", "too early",
      SKIP)
fault("too many counters are too many all the same",
      metrics(metric(), "@" + metric(featureName='"g"')), "/metrics/1",
      "limit_counters", SKIP, "--limit-counters", "2", code="too-large")

# Compressed bodies.

GZIP = "--gzip"
DEFLATE = "--deflate"
WHOLE = metrics(metric(), metric(featureName='"g"'))
WHOLE_TALLY = tally(
    COUNTED, feature("production", "shop", "2024-01-15T09", "g", 3, 1))


def gzipped(text, level=9):
    return gzip.compress(text.encode(), level, mtime=0)


def bare(text):
    """Deflate without zlib's header."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(text.encode()) + stream.flush()


for level in (0, 1, 9):
    valid("gzip of level %d" % level, gzipped(WHOLE, level), WHOLE_TALLY,
          GZIP)
    valid("deflate of level %d" % level, zlib.compress(WHOLE.encode(), level),
          WHOLE_TALLY, DEFLATE)
valid("deflate without zlib's header", bare(WHOLE), WHOLE_TALLY, DEFLATE)
valid("gzip of two members, cut within a token",
      gzipped(WHOLE[:45]) + gzipped(WHOLE[45:]), WHOLE_TALLY, GZIP)
valid("gzip of a member for each byte",
      b"".join(gzipped(c) for c in WHOLE), WHOLE_TALLY, GZIP)
valid("gzip with empty members",
      gzipped("") + gzipped(WHOLE) + gzipped(""), WHOLE_TALLY, GZIP)
valid("gzip with a file name and a comment",
      b"\x1f\x8b\x08\x18\0\0\0\0\0\x03body.json\0a comment\0" +
      gzipped(WHOLE)[10:], WHOLE_TALLY, GZIP)
valid("gzip of much white space", gzipped(MINIMAL + " " * 100000), tally(),
      GZIP)
fault("gzip of nothing", gzipped(""), "", "empty", GZIP, offset=0)
fault("deflate of nothing", zlib.compress(b""), "", "empty", DEFLATE,
      offset=0)
for option in (GZIP, DEFLATE):
    packed = {GZIP: gzipped(WHOLE), DEFLATE: zlib.compress(
        WHOLE.encode())}[option]
    for length in (0, 1, 2, 9, 10, 11, 50, len(packed) - 8, len(packed) - 4,
                   len(packed) - 1):
        fault("%s cut after %d bytes" % (option[2:], length),
              packed[:length], "", "too early", option, offset=length)
    fault("%s of a body that ends too early" % option[2:],
          {GZIP: gzip.compress, DEFLATE: zlib.compress}[option](
              WHOLE[:-1].encode()), "", "too early", option,
          offset=len(WHOLE) - 1)
    fault("%s of a body at fault" % option[2:],
          {GZIP: gzip.compress, DEFLATE: zlib.compress}[option](
              metrics(metric(yes="-1")).encode()), "/metrics/0/yes",
          "0..9007199254740991", option,
          offset=metrics(metric(yes="-1")).index(":-1") + 1)
    for place_from_end in (1, 4):
        broken = bytearray(packed)
        broken[-place_from_end] ^= 0x55
        fault("%s with a wrong trailer, %d from its end"
              % (option[2:], place_from_end), bytes(broken), "", "damaged",
              option, offset="any")
    fault("%s of the largest JSON and a byte" % option[2:],
          {GZIP: gzip.compress, DEFLATE: zlib.compress}[option](
              MINIMAL.encode()), "", "limit_inflated", option,
          "--limit-inflated", str(len(MINIMAL) - 1), code="too-large",
          offset="any")
    valid("%s of the largest JSON" % option[2:],
          {GZIP: gzip.compress, DEFLATE: zlib.compress}[option](
              MINIMAL.encode()), tally(), option,
          "--limit-inflated", str(len(MINIMAL)))
    fault("%s that inflates without end" % option[2:],
          {GZIP: gzip.compress, DEFLATE: zlib.compress}[option](
              b" " * 10000000), "", "limit_inflated", option,
          "--limit-inflated", "1000000", code="too-large", offset="any")
    valid("%s as large as a body may be" % option[2:], packed, WHOLE_TALLY,
          option, "--limit-body", str(len(packed)))
    fault("%s larger than a body may be" % option[2:], packed, "",
          "limit_body", option, "--limit-body", str(len(packed) - 1),
          code="too-large", offset=len(packed) - 1)
    valid("%s of the announced length" % option[2:], packed, WHOLE_TALLY,
          option, "--announced", str(len(packed)))
    fault("%s shorter than announced" % option[2:], packed, "",
          "Content-Length", option, "--announced", str(len(packed) + 1),
          offset=len(packed))
fault("no gzip at all", MINIMAL.encode(), "", "compressed", GZIP,
      offset="any")
# Any bytes may be bare deflate, up to a point.
fault("no deflate at all", MINIMAL.encode(), "", "", DEFLATE, offset="any")
fault("gzip with a byte after it", gzipped(WHOLE) + b"x", "", "compressed",
      GZIP, offset="any")
fault("gzip with text after it", gzipped(WHOLE) + b"something", "",
      "compressed", GZIP, offset="any")
fault("gzip with half a member after it",
      gzipped(WHOLE) + gzipped("")[:12], "", "too early", GZIP,
      offset=len(gzipped(WHOLE)) + 12)
fault("gzip of a second document in a second member",
      gzipped(MINIMAL) + gzipped(MINIMAL), "", "follows", GZIP,
      offset=len(MINIMAL))
FAULTY = b'{"applications":[],"metrics":[]}}'
fault("a fault before damage in deflate", b"\0" +
      len(FAULTY).to_bytes(2, "little") +
      (len(FAULTY) ^ 0xffff).to_bytes(2, "little") + FAULTY + b"\7", "",
      "follows", DEFLATE, offset=len(FAULTY) - 1)
fault("deflate with a byte after it", zlib.compress(WHOLE.encode()) + b"x",
      "", "follows", DEFLATE, offset=len(zlib.compress(WHOLE.encode())))
fault("two deflate streams", zlib.compress(WHOLE.encode()) * 2, "",
      "follows", DEFLATE, offset=len(zlib.compress(WHOLE.encode())))
fault("gzip where deflate was announced", gzipped(WHOLE), "", "compressed",
      DEFLATE, offset="any")
fault("deflate where gzip was announced", zlib.compress(WHOLE.encode()), "",
      "compressed", GZIP, offset="any")
valid("a byte-order mark in gzip", gzip.compress(
    b"\xef\xbb\xbf" + MINIMAL.encode()), tally(), GZIP)


# What SDKs post.  Whatever can be read is taken; what is at fault is left out.

REPORT = ("--report", "--environment", "production")
REGISTER = ("--register", "--environment", "production")
BROWSER = REPORT + ("--frontend", "unleash-js-sdk:3.8.2")
JANUARY = "2024-01-15T09"
LONE = r"\ud800"


def toggle(**changes):
    return json_object({"yes": "3", "no": "1", "variants": "{}"}, changes)


def bucket(*toggles, **changes):
    """Toggles are pairs of a name, as JSON has it, and a value."""
    return json_object({
        "start": '"2024-01-15T09:59:30.029Z"',
        "stop": '"2024-01-15T10:00:30.037Z"',
        "toggles": "{" + ",".join('"%s":%s' % pair for pair in toggles) + "}",
    }, changes)


def report(*toggles, **changes):
    return json_object({
        "appName": '"shop"', "instanceId": '"i"', "connectionId": '"c"',
        "bucket": bucket(*toggles)}, changes)


def app(tree):
    """The application has been seen."""
    place(tree, "environments", "production", "applications", "shop")


def sdk(name, yes=0, no=0, variants=None):
    return feature("production", "shop", JANUARY, name, yes, no, variants)


ONE = ("flag", toggle())
COUNTED_ONE = sdk("flag", 3, 1)

valid("a report", report(ONE), tally(COUNTED_ONE), *REPORT)
valid("a report's hour is that of its start", report(
    ONE, bucket=bucket(ONE, start='"2024-01-15T10:59:59+01:00"')),
    tally(COUNTED_ONE), *REPORT)
for members, name in ((("bucket", "appName"), "the application last"),
                      (("appName", "bucket"), "the application first")):
    valid("a report, " + name, "{%s}" % ",".join(
        '"%s":%s' % (member, {"appName": '"shop"', "bucket": bucket(
            ONE)}[member]) for member in members), tally(COUNTED_ONE),
        *REPORT)
valid("a report, the start last", report(bucket='{"toggles":{"flag":%s,'
      '"other":%s},"start":"2024-01-15T09:00:00Z"}' % (
          toggle(), toggle(variants='{"a":1,"b":2,"a":3}'))),
      tally(COUNTED_ONE, sdk("other", 3, 1, {"a": 4, "b": 2})), *REPORT)
valid("a report of many flags, the start last", report(
    bucket='{"toggles":{%s},"start":"2024-01-15T09:00:00Z"}' % ",".join(
        '"f%d":%s' % (i % 50, toggle(variants='{"v%d":1}' % (i % 12)))
        for i in range(600))),
    tally(*[sdk("f%d" % i, 36, 12, {
        "v%d" % j: sum(1 for k in range(600)
                       if k % 50 == i and k % 12 == j)
        for j in range(12) if any(k % 50 == i and k % 12 == j
                                  for k in range(600))})
            for i in range(50)]), *REPORT)
valid("the body's environment is ignored",
      report(ONE, environment='"default"'), tally(COUNTED_ONE), *REPORT)
for raw in ("null", None):
    valid("a report whose bucket is %s" % raw, report(bucket=raw),
          tally(app), *REPORT)
    for member in ("instanceId", "connectionId", "environment",
                   "impactMetrics", "platformName", "yggdrasilVersion",
                   "sdkType", "sdkFlavor"):
        valid("a report whose %s is %s" % (member, raw),
              report(ONE, **{member: raw}), tally(COUNTED_ONE), *REPORT)
    for member, yes, no in (("yes", 0, 1), ("no", 3, 0), ("variants", 3, 1)):
        valid("a toggle whose %s is %s" % (member, raw), report(
            ("flag", toggle(**{member: raw}))), tally(sdk("flag", yes, no)),
            *REPORT)
    valid("a bucket whose stop is %s" % raw, report(bucket=bucket(
        ONE, stop=raw)), tally(COUNTED_ONE), *REPORT)
valid("Java's empty bucket", report(bucket=bucket(
    start='"1970-01-01T00:00:00Z"', stop='"1970-01-01T00:00:00Z"')),
    tally(app), *REPORT)
valid("a report of zeros", report(("flag", toggle(
    yes="0", no="0", variants='{"a":0}'))), tally(app), *REPORT)
valid("a report of a variant alone", report(("flag", toggle(
    yes="0", no="0", variants='{"a":2}'))),
    tally(sdk("flag", 0, 0, {"a": 2})), *REPORT)
valid("a flag twice in a report", report(ONE, ONE), tally(sdk("flag", 6, 2)),
      *REPORT)
valid("names of flags", report(("", toggle()), (r"\u0000", toggle()),
                               ("n" * 300, toggle())),
      tally(sdk("", 3, 1), sdk("\0", 3, 1), sdk("n" * 300, 3, 1)), *REPORT)
valid("an appName that is a number", report(ONE, appName="17"), tally(
    feature("production", "17", JANUARY, "flag", 3, 1)), *REPORT)
for raw, count in (('"3"', 3), ("3.0", 3), ("30e-1", 3), ('"0"', 0)):
    valid("a count of " + raw, report(("flag", toggle(yes=raw))), tally(
        sdk("flag", count, 1)), *REPORT)
for raw in ("1705312770", "1705312770000", "1705312770.5",
            '"2024-01-15T09:59:30"', '"2024-01-15T09:59:30.029"'):
    valid("a start of " + raw, report(bucket=bucket(ONE, start=raw)),
          tally(COUNTED_ONE), *REPORT)

# What is left out, and nothing else.
OTHER = ("other", toggle())
COUNTED_OTHER = sdk("other", 3, 1)
for name, raw in (
        ("a count below 0", toggle(yes="-1")),
        ("half a count", toggle(no="1.5")),
        ("a count that is no number", toggle(yes='"x"')),
        ("a count that is an empty string", toggle(yes='""')),
        ("a count that is true", toggle(yes="true")),
        ("a count beyond 2^53-1", toggle(yes="9007199254740992")),
        ("a list of variants", toggle(variants="[]")),
        ("a variant that is no number", toggle(variants='{"a":"1"}')),
        ("a variant that is null", toggle(variants='{"a":null}')),
        ("a variant with a lone surrogate",
         toggle(variants='{"a":1,"%s":1}' % LONE)),
        ("a member twice", '{"yes":1,"yes":1}'),
        ("no object", "5"), ("an array", '[{"yes":1},[]]'), ("null", "null"),
        ("a string", '"x"')):
    for order in (0, 1):
        toggles = [("flag", raw), OTHER]
        valid("a toggle that is left out: %s, at place %d" % (name, order),
              report(*toggles[::-1 if order else 1]),
              tally(dropped(invalid=1), COUNTED_OTHER), *REPORT)
for name, text in (
        ("a high surrogate", LONE), ("a low one", r"\udc00"),
        ("a high one and more", r"x\ud800y"),
        ("two in the wrong order", r"\udc00\ud800"),
        ("a high one and an escape", r"\ud800\n"),
        ("a high one and another character", r"\ud800\u0041"),
        ("two high ones", r"\ud800\ud800"), ("bad UTF-8", "\udcff"),
        ("bad UTF-8 and more", "a\udcc3("),
        ("a name that is too long", "n" * 4097)):
    for order in (0, 1):
        toggles = [(text, toggle(variants='{"a":1}')), OTHER]
        valid("a flag's name that is left out: %s, at place %d" % (
            name, order), report(*toggles[::-1 if order else 1]).encode(
                "utf-8", "surrogateescape"),
            tally(dropped(invalid=1), COUNTED_OTHER), *REPORT)
valid("surrogates that are a character", report((r"\ud83e\udd8a", toggle()),
      ("\U0001f98a", toggle())), tally(sdk("\U0001f98a", 6, 2)), *REPORT)
valid("a lone surrogate where nothing is kept", report(
    ONE, platformName='"%s"' % LONE, more='{"%s":["%s"]}' % (LONE, LONE)),
    tally(COUNTED_ONE), *REPORT)
for raw in ('"%s"' % LONE, "5", "[1]", "{}", "true"):
    valid("an instanceId that is left out: " + raw,
          report(ONE, instanceId=raw),
          tally(dropped(invalid=1), COUNTED_ONE), *REPORT)
valid("an appName that is left out", report(ONE, appName='"%s"' % LONE),
      tally(dropped(invalid=1)), *REPORT)
for raw in ("null", "{}", "[]", '"%s"' % ("n" * 4097), None):
    valid("no appName: %s" % (raw or "absent")[:9],
          report(ONE, appName=raw), tally(dropped(invalid=1)), *REPORT)
for raw in ("null", "{}", "true", '"today"', '"2024-01-15"', "-1", "1e300",
            '"2024-01-15T09:59:30X"', '"%s"' % ("2" * 100)):
    valid("a start that is left out: " + raw[:30],
          report(bucket=bucket(ONE, start=raw)),
          tally(dropped(invalid=1), app), *REPORT)
valid("a bucket without a start", report(bucket=bucket(ONE, start=None)),
      tally(dropped(invalid=1), app), *REPORT)
valid("a bucket without toggles", report(bucket=bucket(toggles=None)),
      tally(dropped(invalid=1), app), *REPORT)
for raw in ("[]", "null", "5"):
    valid("toggles that are " + raw, report(bucket=bucket(toggles=raw)),
          tally(dropped(invalid=1), app), *REPORT)
for raw in ("[]", "5", '"x"', "true"):
    valid("a bucket that is " + raw, report(bucket=raw),
          tally(dropped(invalid=1), app), *REPORT)
valid("a second bucket is left out", report(ONE, more="1")[:-1] +
      ',"bucket":%s}' % bucket(OTHER), tally(dropped(invalid=1), COUNTED_ONE),
      *REPORT)
for raw in ("[]", "null", "5", "true", '"x"', '"%s"' % LONE, "[[1],{}]"):
    valid("a report that is " + raw, raw, tally(dropped(invalid=1)), *REPORT)
    valid("a registration that is " + raw, raw, tally(dropped(invalid=1)),
          *REGISTER)
valid("a flag whose count runs over is left out", report(
    ("flag", toggle(yes="9007199254740991")), ONE, OTHER), tally(
        dropped(invalid=1), sdk("flag", 9007199254740991, 1), COUNTED_OTHER),
    *REPORT)

# What is no JSON, or beyond a limit, is still the body's fault.
fault("a report that is not JSON", "@hello", "", "", *REPORT)
fault("a report that is cut off", report(ONE)[:-1] + "@", "", "too early",
      *REPORT)
fault("a report and more", report(ONE) + "@x", "", "follows", *REPORT)
fault("a form feed in a report", "{@\f}", "", "form feed", *REPORT)
fault("no escape in a report", '{"a":"@\\x"}', "/a", "", *REPORT,
      offset="any")
valid("a byte-order mark before a report", "\ufeff" + report(ONE),
      tally(COUNTED_ONE), *REPORT)
fault("too many counters in a report", report(("a", toggle())).replace(
    '"a":{', '"a":%s,"b":@{' % toggle()), "/bucket/toggles/b", "limit",
    *REPORT, "--limit-counters", "3", code="too-large")

# Impact metrics of an SDK.
valid("impact metrics of an SDK", report(
    bucket="null", impactMetrics="[%s]" % ",".join((
        impact(samples='[{"labels":{"environment":"x"},"value":2}]'),
        impact(type='"gauge"', name='"depth"', samples='[]'),
        histogram(sample(), name='"latency"')))),
    tally(app, series("production", "counter", "hits", "Hits",
                      {"": value(2)}),
          series("production", "histogram", "latency", "Hits",
                 {"": counted(3, 2.5, {"1": 2})})), *REPORT)
IDLE = '[{"labels":{},"value":0}]'
valid("zeros of an SDK make no series", report(
    bucket="null", impactMetrics="[%s]" % ",".join((
        impact(samples=IDLE), impact(type='"gauge"', samples=IDLE),
        histogram(sample(
            count="0", sum="0", buckets='[{"le":"+Inf","count":0}]'))))),
    tally(app), *REPORT)
valid("zeros through Edge do", impacts(impact(samples=IDLE)), tally(
    series("default", "counter", "hits", "Hits", {"": value(0)})))
valid("a gauge of 0 does", report(bucket="null", impactMetrics="[%s]" % impact(
    type='"gauge"', samples='[{"labels":{"a":"b"},"value":0}]')), tally(
        app, series("production", "gauge", "hits", "Hits",
                    {'a="b"': value(0)})), *REPORT)
valid("an impact metric that is left out", report(ONE, impactMetrics="[%s]" %
      ",".join((impact(type='"timer"'), impact(name='"ok"'), "5"))),
      tally(dropped(invalid=2), COUNTED_ONE, series(
          "production", "counter", "ok", "Hits", {"": value(1)})), *REPORT)
valid("a sum that runs over is left out", report(ONE, impactMetrics="[%s]" %
      impact(samples='[{"value":1e308},{"value":1e308}]')),
      tally(dropped(invalid=1), COUNTED_ONE, series(
          "production", "counter", "hits", "Hits", {"": value(1e308)})),
      *REPORT)

# Instances: registered, or in a browser.
BROWSER_INSTANCE = instance("production", "shop", "browser", (
    '{"appName":"shop","environment":"production","instanceId":"browser",'
    '"sdkVersion":"unleash-js-sdk:3.8.2","sdkType":"frontend"}'))
valid("a browser's report", report(ONE, instanceId='"browser"',
      connectionId=None), tally(COUNTED_ONE, BROWSER_INSTANCE), *BROWSER)
valid("a browser's report, as it writes it", json_object({
    "bucket": bucket(ONE), "appName": '"shop"', "instanceId": '"browser"',
    "impactMetrics": "[]"}, {}), tally(COUNTED_ONE, BROWSER_INSTANCE),
    *BROWSER)
valid("a browser's report without an instance", report(
    ONE, instanceId=None), tally(COUNTED_ONE), *BROWSER)


def sdk_registration(**changes):
    return json_object({
        "appName": '"shop"', "instanceId": '"i"',
        "sdkVersion": '"unleash-node-sdk:6.12.1"', "strategies": '["a","b"]',
        "started": '"2024-01-15T09:30:00Z"', "interval": "1000"}, changes)


def registered(**changes):
    return instance("production", "shop", changes.get(
        "instanceId", '"i"').strip('"'), json_object({
            "appName": '"shop"', "environment": '"production"',
            "instanceId": '"i"', "interval": "1000",
            "started": '"2024-01-15T09:30:00Z"', "strategies": '["a","b"]',
            "sdkVersion": '"unleash-node-sdk:6.12.1"'}, changes))


valid("a registration", sdk_registration(), tally(registered()), *REGISTER)
valid("a registration keeps what only SDKs send", sdk_registration(
    specVersion='"5.2.0"', sdkFlavor='"f"', sdkFlavorVersion='"1"',
    platformName='"node"', platformVersion="null"),
    tally(registered(sdkFlavor='"f"', sdkFlavorVersion='"1"',
                     platformName='"node"', specVersion='"5.2.0"')),
    *REGISTER)
valid("a registration's environment and projects are the token's",
      sdk_registration(environment='"default"', projects='["x"]'),
      tally(registered()), *REGISTER)
for member in ("sdkVersion", "strategies", "started", "interval"):
    for raw in (None, "null"):
        valid("a registration whose %s is %s" % (member, raw),
              sdk_registration(**{member: raw}),
              tally(registered(**{member: None})), *REGISTER)
for raw in (None, "null", '""'):
    valid("a registration whose instance is %s" % raw,
          sdk_registration(instanceId=raw),
          tally(registered(instanceId='"default"')), *REGISTER)
for member, raw in (("sdkVersion", "5"), ("sdkVersion", '"%s"' % LONE),
                    ("strategies", '{"a":[1]}'), ("started", '"now"'),
                    ("started", "1705312770"), ("interval", "1.5"),
                    ("interval", '"2"')):
    valid("a registration whose %s is left out: %s" % (member, raw),
          sdk_registration(**{member: raw}),
          tally(dropped(invalid=1), registered(**{member: None})), *REGISTER)
valid("a registration of a type that is none", sdk_registration(sdkType='"x"'),
      tally(dropped(invalid=1), registered()), *REGISTER)
valid("strategies that are left out", sdk_registration(
    strategies='["a",5,"%s",null,{"x":[]},"b"]' % LONE),
    tally(dropped(invalid=4), registered()), *REGISTER)
for raw in (None, "null", "{}"):
    valid("a registration whose appName is %s" % raw,
          sdk_registration(appName=raw), tally(dropped(invalid=1)), *REGISTER)


# The runner.

def unescape(column):
    return json.loads('"%s"' % column)


def differences(want, line):
    """What differs between what a case wants and the program's columns."""
    got = line.split("\t")[1:]
    if "code" not in want:
        if got[0] != "ok":
            return ["got " + " ".join(got)]
        if want["tally"] is None or normal(got[1]) == want["tally"]:
            return []
        return ["got  " + repr(normal(got[1])),
                "want " + repr(want["tally"])]
    if got[0] in ("ok", "differs") or len(got) != 4:
        return ["got " + " ".join(got)]
    pointer, offset, detail = unescape(got[1]), int(got[2]), unescape(got[3])
    found = []
    if got[0] != want["code"]:
        found.append("code: got %s, want %s" % (got[0], want["code"]))
    if pointer != want["pointer"]:
        found.append("pointer: got %r, want %r" % (pointer, want["pointer"]))
    if want["offset"] != "any" and offset != want["offset"]:
        found.append("offset: got %d, want %d" % (offset, want["offset"]))
    if want["word"] not in detail:
        found.append("detail: got %r, want %r in it" % (
            detail, want["word"]))
    return found


def faults(directory, number):
    """What is wrong with what the program says of a case."""
    _, text, options, want = CASES[number]
    path = os.path.join(directory, "%04d" % number)
    with open(path, "wb") as out:
        out.write(text)
    done = subprocess.run([PROGRAM, "--dump", *options, path], timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output = done.stdout.decode("utf-8", "surrogateescape")
    if done.returncode not in (0, 1) or output.count("\n") != 1 or \
            not output.startswith(path + "\t"):
        return ["exit status %d" % done.returncode] + (
            output + done.stderr.decode("utf-8", "replace")).splitlines()
    try:
        found = differences(want, output[:-1])
    except ValueError as error:
        found = [str(error), output[:-1]]
    if done.returncode != 0 and not found:
        found.append("exit status %d" % done.returncode)
    return found


def printable(text):
    if len(text) > 2000:
        text = text[:2000] + "..."
    return "".join(c if " " <= c <= "~" else
                   c.encode("unicode_escape").decode() for c in text)


def cases():
    with tempfile.TemporaryDirectory() as directory, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for case, found in zip(CASES, pool.map(
                lambda number: faults(directory, number), range(len(CASES)))):
            check(not found, printable(case[0]).replace("#", "\\#"),
                  *map(printable, found))


def names():
    """Each case has a name of its own, by which it is found."""
    given = [case[0] for case in CASES]
    equal(sorted({name for name in given if given.count(name) > 1}), [],
          "no two cases have one name")


run([cases, names])
