"""Chromium without a window, driven over the WebDriver protocol."""

import base64
import http.client
import json
import re

from tests.harness.servers import Process, find

# Without a sandbox of its own it also runs as root and in a container.
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--hide-scrollbars",
             "--force-device-scale-factor=1", "--lang=en-US"]


class Browser(Process):
    """A browser with one window; see W3C WebDriver for its requests."""

    def __init__(self, place):
        self.session = None
        super().__init__(place, "chromedriver",
                         [find("chromedriver"), "--port=0"])
        self.ready(lambda: self.found_port(place))
        self.session = self.ask("POST", "/session", {
            "capabilities": {"alwaysMatch": {
                "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {
                    "binary": find("chromium"),
                    "args": [*ARGUMENTS, "--user-data-dir=" +
                             place.file("profile")]}}}})["sessionId"]

    def found_port(self, place):
        found = re.search(r"successfully on port (\d+)",
                          place.read(self.log))
        self.port = int(found[1]) if found else None
        return found

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=120)
        if self.session:
            path = f"/session/{self.session}{path}"
        connection.request(method, path, None if body is None else
                           json.dumps(body))
        answer = connection.getresponse()
        value = json.loads(answer.read())["value"]
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {value['message']}")
        return value

    def open(self, address):
        self.ask("POST", "/url", {"url": address})

    def run(self, script, *words):
        """What a function body in JavaScript returns."""
        return self.ask("POST", "/execute/sync",
                        {"script": script, "args": words})

    def run_async(self, script, *words):
        """What a function body in JavaScript gives to its last argument."""
        return self.ask("POST", "/execute/async",
                        {"script": script, "args": words})

    def devtools(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute",
                        {"cmd": command, "params": parameters})

    def show(self, width, height, dark):
        """Look as a screen of that size, or as one that prefers dark."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width,
                      height=height, deviceScaleFactor=1, mobile=width < 600)
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"}])

    def picture(self, path):
        """The whole page, up to 4,000 pixels of it, as a PNG file."""
        size = self.run("return [document.documentElement.clientWidth, "
                        "document.documentElement.scrollHeight]")
        found = self.devtools(
            "Page.captureScreenshot", format="png",
            captureBeyondViewport=True,
            clip={"x": 0, "y": 0, "width": size[0],
                  "height": min(size[1], 4000), "scale": 1})
        with open(path, "wb") as file:
            file.write(base64.b64decode(found["data"]))

    def press(self, key):
        """Press and release a key, by its code in WebDriver."""
        self.ask("POST", "/actions", {"actions": [{
            "type": "key", "id": "keyboard", "actions": [
                {"type": "keyDown", "value": key},
                {"type": "keyUp", "value": key}]}]})

    def messages(self):
        """What the browser has complained about since the last call."""
        return [one["message"] for one in
                self.ask("POST", "/se/log", {"type": "browser"})]

    def end(self):
        try:
            if self.session:
                self.ask("DELETE", "")
        except (OSError, RuntimeError, http.client.HTTPException):
            pass
        super().end()
