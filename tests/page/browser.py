"""A Chromium, driven by WebDriver: what of it the tests of the page need, over Debian's chromedriver."""

import base64
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

# A test that waits longer than this has failed.
PATIENCE = 30
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def until(what, holds):
    """Waits until something holds; what it gave then."""
    end = time.monotonic() + PATIENCE
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"in vain: {what}; the last look gave {value!r}")
        time.sleep(0.02)


class Browser:
    """One window. `with Browser() as browser: …` ends it."""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="icewell-page-")
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self):
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                port = int(line.strip().rstrip(".").rsplit(" ", 1)[1])
                self.base = f"http://127.0.0.1:{port}/session"
                break
        else:
            raise AssertionError("chromedriver does not start")
        arguments = [
            "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars", "--lang=en-GB", "--force-color-profile=srgb",
            "--window-size=1280,1000", "--no-proxy-server", f"--user-data-dir={self.profile.name}",
        ]
        chrome = {"args": arguments, "binary": "/usr/bin/chromium", "perfLoggingPrefs": {"enableNetwork": True}}
        wanted = {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        told = self._send("POST", self.base, {"capabilities": {"alwaysMatch": wanted}})
        self.base += "/" + told["sessionId"]

    def __exit__(self, *_):
        try:
            self._send("DELETE", self.base)
        except (AssertionError, AttributeError, OSError):
            pass
        self.driver.kill()
        self.driver.wait()
        self.driver.stdout.close()
        self.profile.cleanup()

    def _send(self, method, url, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            told = json.load(error)["value"]
            raise AssertionError(f"{told['error']}: {told['message'].splitlines()[0]}") from None

    def _post(self, path, **body):
        return self._send("POST", self.base + path, body)

    def devtools(self, command, **parameters):
        return self._post("/goog/cdp/execute", cmd=command, params=parameters)

    # Where it looks, and how.

    def open(self, url):
        self._post("/url", url=url)

    def looks(self, scheme="light", width=1280, height=1000, phone=False):
        """The colours that the operator likes, and the window."""
        # What still moves cannot be clicked on.
        media = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in media.items()]
        self.devtools("Emulation.setEmulatedMedia", features=features)
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )

    def picture(self, file, whole=True):
        told = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(told["data"]))

    # What is there.

    def run(self, script, *arguments):
        return self._post("/execute/sync", script=script, args=list(arguments))

    def run_async(self, script, *arguments):
        return self._post("/execute/async", script=script, args=list(arguments))

    def find(self, selector):
        return self._post("/element", using="css selector", value=selector)[ELEMENT]

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", selector)

    def accessible_name(self, selector):
        return self._send("GET", f"{self.base}/element/{self.find(selector)}/computedlabel")

    # What the operator does.

    def click(self, selector):
        def clicked():
            try:
                self._post(f"/element/{self.find(selector)}/click")
            except AssertionError as error:
                # The list was drawn anew between the two.
                if "stale element" not in str(error):
                    raise
                return False
            return True

        until(f"{selector} can be clicked", clicked)

    def type(self, selector, text):
        element = self.find(selector)
        self._post(f"/element/{element}/clear")
        self._post(f"/element/{element}/value", text=text)

    def press(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    # What it says of the page.

    def complaints(self):
        """Errors and warnings of the console since the last look."""
        return [entry["message"] for entry in self._post("/se/log", type="browser") if entry["level"] != "INFO"]

    def requests(self):
        """The addresses of all requests since the last look."""
        entries = [json.loads(entry["message"])["message"] for entry in self._post("/se/log", type="performance")]
        sent = [entry["params"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in sent if not params["documentURL"].startswith("chrome")]
