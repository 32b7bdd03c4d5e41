"""The page in a real browser: layout, colours, keyboard, and names.

AXE names axe.min.js of axe-core, and VNU the jar of the Nu Html Checker.  With
FLAGTALLY_PICTURES=DIRECTORY the pictures of all views are kept there.
"""

import json
import os
import random
import subprocess
import time
from urllib.parse import quote

from tests.harness import fcgi
from tests.harness.browser import Browser
from tests.harness.front import LighttpdAlone
from tests.harness.reports import BOUGHT, EDGE, LOAD, SECONDS, day, metric, \
    registration
from tests.harness.servers import Place, Redis, find
from tests.harness.tap import check, equal, note, run
from tests.harness.wait import until

ODD = ["<script>document.title='run'</script>",
       '"><img src=x onerror="document.title=\'run\'">', "x" * 400,
       "\u202eRTL \u05e9\u05dc\u05d5\u05dd", "\u0627\u0644\u0639\u0631",
       "", "a b&c=d+e%20", "two\nlines\tand a tab", "&lt;b>", "</title>",
       "\U0001f680 \U0001f468\u200d\U0001f469\u200d\U0001f467", "'quo\"tes'",
       "javascript:document.title='run'", "W" * 60 + " " + "i" * 60]
SHOP = "?env=production&app=shop"
LONG = quote("x" * 400)
VIEWS = {
    "applications": "", "environment": "?env=production", "application": SHOP,
    "hours": SHOP + "&by=hour", "feature": SHOP + "&feature=f0",
    "odd": "?env=odd&app=odd",
    "odd-feature": "?env=odd&app=odd&feature=" + quote(ODD[1]),
    "long": f"?env={LONG}&app={LONG}&feature={LONG}",
    "stale": "?show=stale", "sdks": "?show=sdks",
    "below": "?show=sdks&below=unleash-client-node:6",
    "below-odd": "?show=sdks&below=" + quote(ODD[1]),
    "impact": "?show=impact", "edges": "?show=edges",
    "health": "?show=health", "empty": "?env=nowhere",
    "nothing": "?env=nowhere&app=none",
}
SIZES = ((390, 844), (1280, 900))
TAB, ENTER, RIGHT = "\ue004", "\ue007", "\ue014"


class Shown:
    """A browser before a web server before flagtally, with counts."""

    def __init__(self, place):
        self.redis = Redis(place)
        self.server = LighttpdAlone(place, self.redis,
                                    spool=place.file("spool.db"))
        self.browser = Browser(place)

    def post(self, **parts):
        answer = fcgi.post(self.server.flagtally.address, json.dumps(
            {"applications": [], "metrics": [], **parts}).encode())
        equal(answer.status, 202, "counts are accepted")

    def fill(self):
        chance = random.Random(1)
        for first in range(0, 90, 10):
            self.post(metrics=[
                metric(f"f{number}", days=days, yes=chance.randrange(9999),
                       no=chance.randrange(1 + 700 * number),
                       variants={"blue": chance.randrange(99), "red": 1})
                for days in range(first, first + 10) for number in range(12)])
        self.post(metrics=[metric(f"f{number}", hours=hours,
                                  yes=chance.randrange(900))
                           for hours in range(48) for number in range(12)])
        self.post(metrics=[metric("old", days=40),
                           metric("g", app="till", env="dev")])
        for name in ODD:
            odd = [metric(name, app="odd", env="odd", yes=3, no=1,
                          variants={one: 2 for one in ODD}),
                   metric(name, app=name, env=name or "e")]
            self.post(metrics=odd, applications=[
                registration(f"i{name}", name or None, app="odd", env="odd"),
                registration(f"j{name}", "unleash-client-node:5.4.0")])
        self.post(impactMetrics=[SECONDS, BOUGHT, LOAD, {
            **BOUGHT, "name": "odd", "help": ODD[0] * 9, "samples": [
                {"labels": {"a": name}, "value": number}
                for number, name in enumerate(ODD)]}])
        for name in ("01EDGE", *ODD[:3]):
            fcgi.post(self.server.flagtally.address, json.dumps(
                {**EDGE, "identifier": name[:200], "appName": name,
                 "region": name}).encode(),
                REQUEST_URI="/api/client/metrics/edge")
        until(lambda: self.redis("HLEN", "flagtally:edges") == 4, "the Edges")

    def open(self, query):
        self.browser.open(f"http://127.0.0.1:{self.server.port}/flagtally" +
                          query)


def pictures(shown, axe, folder):
    """Each view, on a telephone and a screen, light and dark."""
    browser = shown.browser
    titles = {}
    for name, query in VIEWS.items():
        for width, height in SIZES:
            for dark in (False, True):
                where = f"{name}, {width} pixels, {'dark' if dark else 'light'}"
                browser.show(width, height, dark)
                shown.open(query)
                path = os.path.join(folder, where.replace(", ", "-")
                                    .replace(" pixels", "") + ".png")
                browser.picture(path)
                check(os.path.getsize(path) > 5000, f"{where}: a picture")
                wide = browser.run("""
                    return [document.documentElement.scrollWidth,
                        [...document.querySelectorAll('body *')].filter(one =>
                            !one.closest('.scroll') && !one.closest('.skip') &&
                            one.getBoundingClientRect().right >
                            document.documentElement.clientWidth + 1)
                            .map(one => one.outerHTML.slice(0, 200))]""")
                equal(wide, [width, []], f"{where}: nothing is too wide")
                found = browser.run_async(
                    axe + "; axe.run(document).then(arguments[0])")
                wrong = [(one["id"], [node["html"][:200] + " " +
                                      node["failureSummary"]
                                      for node in one["nodes"]])
                         for one in found["violations"]]
                equal(wrong, [], f"{where}: axe finds no violation")
                equal(browser.messages(), [], f"{where}: nothing is refused")
        facts = browser.run("""
            return [document.title, document.scripts.length,
                document.querySelectorAll('h1').length, document.lang ||
                document.documentElement.lang,
                [...document.querySelectorAll('*')].filter(one =>
                    [...one.attributes].some(attribute =>
                        attribute.name.startsWith('on'))).length,
                document.querySelectorAll('img,iframe,object').length]""")
        equal(facts[1:], [0, 1, "en", 0, 0],
              f"{name}: no script, one heading, a language")
        check(facts[0].endswith("flagtally") and facts[0] != "run",
              f"{name}: a title", facts[0])
        titles.setdefault(facts[0], []).append(name)
    same = [names for names in titles.values() if len(names) > 1]
    check(all(set(names) <= {"application", "hours"} or
              set(names) <= {"sdks", "below", "below-odd"}
              for names in same), "titles tell views apart", same)


def keyboard(shown):
    """All of it can be reached and used by keyboard."""
    browser = shown.browser
    for name in ("applications", "application", "feature", "sdks", "impact"):
        browser.show(1280, 900, False)
        shown.open(VIEWS[name])
        expected = browser.run("""
            return [...document.querySelectorAll(
                'a[href],button,input:not([type=hidden]),summary,[tabindex]')]
                .length""")
        visited = []
        for _ in range(expected):
            browser.press(TAB)
            visited.append(browser.run("""
                const one = document.activeElement;
                const all = [...document.querySelectorAll('*')];
                const style = getComputedStyle(one);
                const box = one.getBoundingClientRect();
                return [all.indexOf(one), style.outlineStyle != 'none' &&
                    parseFloat(style.outlineWidth) >= 1, box.width > 0 &&
                    box.bottom > 0 && box.top < innerHeight,
                    one.outerHTML.slice(0, 120)]"""))
        places = [one[0] for one in visited]
        equal((places, len(set(places))), (sorted(places), expected),
              f"{name}: Tab reaches all, in the order of the page")
        equal([one[3] for one in visited if not one[1]], [],
              f"{name}: the focus is seen")
        equal([one[3] for one in visited if not one[2]], [],
              f"{name}: and what has it is in view")
    shown.open(VIEWS["application"])
    browser.press(TAB)
    browser.press(ENTER)
    equal(browser.run("return location.hash"), "#main",
          "the first link skips the navigation")
    browser.press(TAB)
    equal(browser.run("return document.activeElement.closest('main') != null"),
          True, "and the next Tab is behind it")
    browser.show(390, 844, False)
    shown.open(VIEWS["application"])
    browser.run("document.querySelector('.scroll').focus()")
    for _ in range(5):
        browser.press(RIGHT)
    until(lambda: browser.run(
        "return document.querySelector('.scroll').scrollLeft") > 50,
        "a table to scroll")
    equal(browser.run("""
        const first = document.querySelector('.scroll tbody th');
        return Math.round(first.getBoundingClientRect().left -
            first.closest('.scroll').getBoundingClientRect().left)"""), 0,
        "the names stay while a table is scrolled")
    shown.open(VIEWS["sdks"])
    before = browser.run(
        "return document.querySelectorAll('tbody tr').length")
    browser.run("document.querySelector('#below').focus()")
    for letter in "unleash-client-node:6":
        browser.press(letter)
    browser.press(ENTER)
    until(lambda: browser.run("return location.search").endswith(
        "below=unleash-client-node%3A6"), "the form to be sent")
    equal((before > 1, browser.run(
        "return document.querySelectorAll('tbody tr').length")), (True, 1),
        "a version is asked for by keyboard")
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    shown.open(VIEWS["application"])
    browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    equal(browser.run("return document.querySelectorAll('tbody tr').length") >
          12, True, "all is there without scripts")


def valid(shown, place):
    """The Nu Html Checker finds no fault in any view."""
    paths = []
    for name, query in VIEWS.items():
        shown.open(query)
        answer = fcgi.post(
            shown.server.flagtally.address, b"", REQUEST_METHOD="GET",
            QUERY_STRING=query[1:], REMOTE_ADDR="127.0.0.1",
            REQUEST_URI="/flagtally" + query)
        equal(answer.status, 200, f"{name} is sent")
        paths.append(place.file(name + ".html", answer.body.decode()))
    # Names are in no language, and are taken for one.
    done = subprocess.run([find("java"), "-jar", os.environ["VNU"],
                           "--no-langdetect", "--format", "gnu", *paths],
                          capture_output=True, text=True, timeout=300,
                          check=False)
    equal((done.returncode, done.stderr.replace(place.path, "")), (0, ""),
          "the HTML and CSS of all views is valid")


def views():
    with open(os.environ["AXE"], encoding="utf-8") as file:
        axe = file.read()
    with Place() as place:
        shown = Shown(place)
        shown.fill()
        valid(shown, place)
        folder = os.environ.get("FLAGTALLY_PICTURES") or place.path
        os.makedirs(folder, exist_ok=True)
        pictures(shown, axe, folder)
        keyboard(shown)


def ten_thousand():
    """10,000 features, each with an odd name."""
    with Place() as place:
        shown = Shown(place)
        for number in range(5):
            words = []
            for feature in range(10000):
                words += [quote(f"{ODD[feature % len(ODD)]}{feature}",
                                safe="") + ":yes", feature + 1]
            shown.redis("HSET", "flagtally:{production:shop}:" + day(number),
                        *words)
        for width, height in SIZES:
            shown.browser.show(width, height, False)
            began = time.monotonic()
            shown.open(SHOP)
            note(f"10,000 features at {width} pixels: "
                 f"{time.monotonic() - began:.2f} s until loaded")
            facts = shown.browser.run("""
                return [document.documentElement.scrollWidth,
                    document.querySelectorAll('tbody tr').length,
                    document.title, document.scripts.length,
                    [...document.querySelectorAll('a')].filter(
                        one => one.textContent == 'Next').length]""")
            equal(facts, [width, 500, "shop \u00b7 production \u00b7 Features "
                          "\u00b7 flagtally", 0, 1],
                  f"{width} pixels: 500 rows, and a link to the next")
        shown.browser.run("""[...document.querySelectorAll('a')].filter(
            one => one.textContent == 'Next')[0].click()""")
        until(lambda: "from=501" in shown.browser.run(
            "return location.search"), "the next page")
        equal(shown.browser.messages(), [], "nothing is refused")


run([views, ten_thousand])
