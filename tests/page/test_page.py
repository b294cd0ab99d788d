"""The page of the admin listener, as an operator uses it: a real daemon, a real browser.

    make test-page
"""

import http.server
import os
import pathlib
import threading
import unittest

from browser import Browser, until
from daemon import ROOT, Daemon, Origin

MIB = 1 << 20
TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"
HOSTILE = ["<img src=x onerror=alert(1)>", "a\"b'c&amp;d", "\u202egnp.exe", "%3Cscript%3E", "${7*7}{{7*7}}", "x" * 255]


def put(daemon, name, size, hits=0, used=None):
    """An image as a Glance may have left it: sparse, so that it costs nothing."""
    path = daemon.dir / name
    with open(path, "wb") as file:
        file.truncate(size)
    os.setxattr(path, "user.hits", str(hits).encode())
    if used is not None:
        os.utime(path, (used, used))


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.browser = cls.enterClassContext(Browser())

    def setUp(self):
        self.origin.images.clear()
        self.origin.go_on.clear()
        # The page of the last test would go on asking its daemon, which is gone.
        self.browser.open("about:blank")
        self.browser.complaints()
        self.browser.requests()
        self.browser.looks()

    def open(self, *options):
        daemon = self.enterContext(Daemon(self.origin, *options))
        self.admin = daemon.admin
        self.browser.open(daemon.admin + "/")
        return daemon

    def ready(self):
        until("the page is there", lambda: self.browser.run("return document.documentElement.dataset.ready"))

    def said(self, text):
        until(f"it says {text!r}", lambda: text in self.browser.text("#said"))

    def shows(self, selector, text):
        until(f"{selector} shows {text!r}", lambda: text in self.browser.text(selector))

    def rows(self):
        return self.browser.run("return [...document.querySelectorAll('#table tbody tr td.id bdi:first-child')].map(e => e.textContent)")

    def button(self, label):
        return f"button[aria-label={label!r}]"

    def answer(self, yes):
        until("the question is there", lambda: self.browser.run("return document.getElementById('dialog').open"))
        self.browser.click("#dialog-yes" if yes else "#dialog-no")

    def assert_quiet(self):
        """No error on the console, and no request to anywhere else."""
        self.assertEqual(self.browser.complaints(), [])
        strangers = [url for url in self.browser.requests() if not url.startswith(self.admin + "/")]
        self.assertEqual(strangers, [])

    def test_what_the_daemon_does(self):
        daemon = self.open()
        self.ready()
        self.shows("#health", "Healthy: 0 images cached, nothing being fetched.")
        self.origin.images["slow-debian"] = b"d" * (4 * MIB)
        clients = [threading.Thread(target=daemon.get, args=("slow-debian",)) for _ in range(2)]
        for client in clients:
            client.start()
        self.shows("#fills", "2 clients")
        self.shows("#fills", "2.0 MiB of 4.0 MiB")
        self.assertIn("slow-debian", self.browser.text("#fills"))
        self.assertEqual(self.browser.accessible_name("#fills progress"), "progress of slow-debian")
        self.shows("#health", "fetching 1 image for 2 clients")
        self.origin.go_on.set()
        for client in clients:
            client.join()
        self.shows("#fills", "Nothing.")
        self.shows("#health", "1 image cached")
        self.shows("#next", "slow-debian")
        self.shows("#space", "4.0 MiB")
        self.shows("#ratio-more", "of 2 requests")
        self.assertEqual(self.browser.text("#ratio"), "0 %")
        self.assert_quiet()

    def test_how_much_fits_is_told_by_what_is_reached_first_the_limit_or_what_is_to_stay_free(self):
        self.open("--max-size", "1MiB", "--min-free", "1MiB")
        self.ready()
        self.shows("#going-why", "1.0 MiB more fit within the limit of 1.0 MiB.")
        self.shows("#space-more", ", of which 1.0 MiB are to stay free")
        self.open("--max-size", "1000PiB", "--min-free", "1MiB")
        self.ready()
        self.shows("#going-why", " more fit on the file system, of which 1.0 MiB are to stay free.")
        self.shows("#health", "Healthy")
        self.open("--max-size", "1000PiB", "--min-free", "100%")
        self.ready()
        self.shows("#going-why", "Nothing more fits on the file system, of which ")
        self.shows("#notes", "no image is cached until there is room")

    def test_failures_with_their_reasons(self):
        daemon = self.open()
        self.ready()
        self.assertIn("None since", self.browser.text("#failures"))
        self.origin.images["broken-image"] = b"b" * MIB
        self.assertIsNone(daemon.get("broken-image"))
        self.shows("#failures", "broken off: ")
        self.assertIn("broken-image", self.browser.text("#failures"))
        self.shows("#notes", "One fill has failed at the origin")
        self.shows("#health", "Works, but look at this")
        self.assert_quiet()

    def test_ten_thousand_images(self):
        # Nobody looks before all are there: what was counted in the middle is told for a while.
        daemon = self.enterContext(Daemon(self.origin))
        self.admin = daemon.admin
        for number in range(9999):
            put(daemon, f"image-{number:04}", 1000 + number, hits=number % 7, used=1_700_000_000 + number)
        put(daemon, "Largest-Of-All", 5 * MIB, hits=1000, used=1_600_000_000)
        os.setxattr(daemon.dir / "image-0007", "user.icewell.name", b"Rolling Linux")
        self.browser.open(daemon.admin + "/")
        self.ready()
        self.shows("#found", "10,000 images")
        self.assertEqual(self.rows()[:2], ["image-9998", "image-9997"], "the last used first")
        self.assertEqual(len(self.rows()), 50)
        heads = {"size": "Size", "hits": "Hits", "last_accessed": "Last used", "image_id": "Image"}
        for key, first in [("size", "Largest-Of-All"), ("hits", "Largest-Of-All"), ("image_id", "Largest-Of-All")]:
            self.browser.click(f"th[data-sort={key}] button")
            until(f"it is sorted by {heads[key]}", lambda: self.rows()[0] == first)
        sorted_by = "return document.querySelector('th[data-sort=image_id]').getAttribute('aria-sort')"
        until("that is told", lambda: self.browser.run(sorted_by) == "ascending")
        self.browser.click("th[data-sort=image_id] button")
        until("it is turned round", lambda: self.rows()[0] == "image-9998")
        self.browser.click("#later")
        until("the next page is there", lambda: self.rows()[0] == "image-9948")
        self.assertEqual(self.browser.text("#page-of"), "51–100 of 10,000")
        self.browser.type("#search", "LARGEST")
        until("it is found", lambda: self.rows() == ["Largest-Of-All"])
        self.assertIn("1 image of 10,000", self.browser.text("#found"))
        self.browser.type("#search", "rolling l")
        until("it is found by its name", lambda: self.rows() == ["image-0007"])
        self.browser.type("#search", "no such thing")
        until("nothing is found", lambda: self.rows() == [])
        self.assert_quiet()

    def test_what_is_read_again(self):
        daemon = self.open("--scrub-every", "1s", "--scrub-rate", "1KiB")
        self.ready()
        self.shows("#scrub", "None is due.")
        self.origin.images["debian"] = b"d" * (3 * MIB)
        daemon.get("debian")
        self.shows("#scrub", "1 image is due.")
        self.shows("#scrub", "of 3.0 MiB")
        self.assertEqual(self.browser.accessible_name("#scrub progress"), "reading debian again")
        self.shows("#scrub", "Each cached image is read once in 1 second, at 1.0 KiB/s at most")
        self.assert_quiet()
        self.open("--scrub-every", "0")
        self.ready()
        self.shows("#scrub", "Off: cached images are not read again")

    def test_pin_verify_and_delete(self):
        daemon = self.open()
        self.origin.images["alpine"] = b"a" * 1000
        daemon.get("alpine")
        put(daemon, "debian", 2000)
        until("both are cached", lambda: {"alpine", "debian"} <= daemon.cached())
        self.browser.open(daemon.admin + "/")
        self.ready()
        self.browser.click(self.button("Pin debian"))
        self.answer(yes=False)
        self.browser.click(self.button("Pin debian"))
        self.answer(yes=True)
        self.said("debian is pinned.")
        until("it is shown as pinned", lambda: self.browser.texts(".tag") == ["pinned"])
        self.assertEqual(os.getxattr(daemon.dir / "debian", "user.icewell.pinned"), b"1")
        self.assertNotIn("debian", self.browser.text("#next"))
        self.browser.click(self.button("Unpin debian"))
        self.answer(yes=True)
        until("it is pinned no more", lambda: self.browser.texts(".tag") == [])
        self.browser.click(self.button("Verify alpine"))
        self.answer(yes=True)
        self.shows("#verifications", "unverifiable")
        self.browser.click(self.button("Delete alpine"))
        self.answer(yes=False)
        self.assertIn("alpine", daemon.cached())
        self.browser.click(self.button("Delete alpine"))
        self.answer(yes=True)
        self.said("alpine is deleted.")
        until("it is off the list", lambda: self.rows() == ["debian"])
        self.assertNotIn("alpine", daemon.cached())
        self.assert_quiet()

    def test_the_queue(self):
        daemon = self.open()
        self.ready()
        self.origin.images["slow-one"] = b"1" * MIB
        self.browser.type("#queue-id", "slow-one")
        self.browser.press(ENTER)
        self.answer(yes=True)
        self.said("slow-one is queued.")
        self.shows("#fills", "0 clients")
        self.shows("#queue", "slow-one")
        self.browser.click(self.button("Take slow-one off the queue"))
        self.answer(yes=True)
        self.shows("#queue", "The queue is empty.")
        self.origin.go_on.set()
        until("it is fetched all the same", lambda: "slow-one" in daemon.cached())
        self.assert_quiet()

    def test_prune_shows_first_what_would_go(self):
        daemon = self.open()
        for number in range(4):
            put(daemon, f"image-{number}", 100 * MIB, used=1_700_000_000 + number)
        self.browser.open(daemon.admin + "/")
        self.ready()
        self.shows("#removed", "Nothing since the daemon started.")
        self.browser.click("#prune")
        until("it asks how far", lambda: self.browser.run("return document.getElementById('dialog').open"))
        self.browser.type("#prune-to", "0.2")
        self.browser.click("#dialog-yes")
        self.shows("#dialog-title", "Prune 2 images, 200 MiB?")
        self.assertEqual(self.browser.texts("#dialog td.id"), ["image-0", "image-1"])
        self.assertEqual(len(daemon.cached()), 4, "nothing has gone yet")
        self.browser.click("#dialog-yes")
        self.said("2 images pruned")
        self.shows("#removed", "an image, by a prune, last used")
        self.assertEqual(daemon.cached(), {"image-2", "image-3"})
        (daemon.dir / "invalid" / "failed").write_bytes(b"x")
        self.browser.click("#clean")
        self.answer(yes=True)
        self.said("Cleaned.")
        self.assertEqual(list((daemon.dir / "invalid").iterdir()), [])
        self.assert_quiet()

    def test_by_keyboard_alone(self):
        daemon = self.open()
        put(daemon, "debian", 2000)
        self.browser.open(daemon.admin + "/")
        self.ready()
        focused = lambda: self.browser.run("const e = document.activeElement; return e.ariaLabel ?? (e.id || e.textContent)")
        self.browser.press(TAB)
        self.assertEqual(focused(), "Skip to the cache")
        reached = []
        while not reached or reached[-1] != "Delete debian":
            self.browser.press(TAB)
            reached.append(focused())
            self.assertLess(len(reached), 60, reached)
        self.browser.press(ENTER)
        until("the way back has the focus", lambda: focused() == "dialog-no")
        self.browser.press(ESCAPE)
        until("the question is gone", lambda: not self.browser.run("return document.getElementById('dialog').open"))
        self.assertEqual(focused(), "Delete debian", "the focus is where it was")
        self.browser.press(ENTER)
        until("it asks again", lambda: focused() == "dialog-no")
        self.browser.press(TAB, ENTER)
        self.said("debian is deleted.")
        self.assertEqual(daemon.cached(), set())

    def test_hostile_names_are_only_names(self):
        daemon = self.open()
        for name in HOSTILE:
            put(daemon, name, 1000)
        self.browser.open(daemon.admin + "/")
        self.ready()
        self.assertEqual(set(self.rows()), set(HOSTILE))
        self.assertEqual(self.browser.run("return document.querySelectorAll('main img, main script').length"), 0)
        name = HOSTILE[0]
        press = "const [name] = arguments; for (const b of document.querySelectorAll('#table button')) if (b.ariaLabel === `Delete ${name}`) b.click()"
        self.browser.run(press, name)
        self.answer(yes=True)
        self.said(f"{name} is deleted.")
        self.assertNotIn(name, daemon.cached())
        self.browser.run(press, HOSTILE[3])
        self.answer(yes=True)
        until("the encoded one is the encoded one", lambda: HOSTILE[3] not in daemon.cached())
        self.assertEqual(len(daemon.cached()), len(HOSTILE) - 2)
        self.assert_quiet()

    def test_hostile_texts_are_only_texts(self):
        """What an origin says is shown, and never run: the name of a Glance's image, what it calls itself, why it failed."""
        markup = "<img src=x onerror=document.title='run'><script>document.title='run'</script>\u202e{{7*7}}"
        daemon = self.open()
        put(daemon, "plain", 1000)
        os.setxattr(daemon.dir / "plain", "user.icewell.name", markup.encode())
        self.origin.images["broken-%3Cb%20onmouseover=alert(1)%3E"] = b"b" * MIB
        self.origin.images["slow-%3Ci%3E"] = b"s" * MIB
        self.assertIsNone(daemon.get("broken-%3Cb%20onmouseover=alert(1)%3E"))
        slow = threading.Thread(target=daemon.get, args=("slow-%3Ci%3E",))
        slow.start()
        self.browser.open(daemon.admin + "/?<script>alert(1)</script>#<script>alert(1)</script>")
        self.ready()
        self.shows("#table", markup.replace("\u202e", "")[:20])
        self.shows("#failures", "broken-%253Cb%2520onmouseover")
        self.shows("#fills", "slow-%253Ci%253E")
        (daemon.dir / "queue" / "<u>queued").touch()
        self.shows("#queue", "<u>queued")
        self.browser.type("#search", markup)
        self.shows("#found", markup[:20])
        self.browser.type("#queue-id", "../../etc/<b>passwd")
        self.browser.press(ENTER)
        self.answer(yes=True)
        until("it is refused", lambda: self.browser.text("#said") not in ("", "../../etc/<b>passwd is queued."))
        elements = "return document.querySelectorAll('main img, main script, main b, main i, main u, dialog b, #said b').length"
        self.assertEqual(self.browser.run(elements), 0)
        self.assertEqual(self.browser.run("return document.title"), "Icewell")
        self.origin.go_on.set()
        slow.join()

    def test_the_token(self):
        folder = pathlib.Path(self.enterContext(Daemon(self.origin)).folder.name)
        token = folder / "token"
        token.write_text("secret\n")
        token.chmod(0o600)
        daemon = self.open("--admin-token-file", str(token))
        put(daemon, "debian", 2000)
        self.shows("#login", "This cache asks for its admin token")
        self.assertTrue(self.browser.run("return document.getElementById('main').hidden"))
        self.browser.type("#token", "wrong")
        self.browser.press(ENTER)
        self.shows("#login-why", "admin token")
        self.browser.type("#token", "secret")
        self.browser.press(ENTER)
        self.ready()
        self.browser.click(self.button("Delete debian"))
        self.answer(yes=True)
        self.said("debian is deleted.")
        self.browser.run("document.documentElement.dataset.ready = ''; location.reload()")
        self.ready()
        self.assertFalse([url for url in self.browser.requests() if "secret" in url])

    def test_a_page_of_another_site_does_nothing_here(self):
        daemon = self.open()
        put(daemon, "debian", 2000)

        class Other(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!doctype html><title>other</title>")

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            self.browser.open(f"http://127.0.0.1:{other.server_address[1]}/")
            script = """
                const [admin, done] = arguments;
                const tries = [
                  ["GET", "/v1/status", {}], ["GET", "/v1/images", {}], ["DELETE", "/v2/cache/debian", {}], ["DELETE", "/v2/cache", {}],
                  ["POST", "/v1/prune?dry_run=no&max_size=0", {}], ["POST", "/v2/cache/prune", {}],
                  ["POST", "/v1/prune?dry_run=no&max_size=0", {"X-Icewell-Request": "page"}],
                ];
                Promise.all(tries.flatMap(([method, path, headers]) => ["cors", "no-cors"].map((mode) =>
                  fetch(admin + path, {method, headers, mode}).then((answer) => answer.type === "opaque" ? "sent" : answer.status, () => "refused")
                ))).then(done)"""
            answers = self.browser.run_async(script, daemon.admin)
            other.shutdown()
        self.assertFalse([answer for answer in answers if answer not in ("sent", "refused")], answers)
        self.assertEqual(daemon.cached(), {"debian"})

    def test_light_and_dark_wide_and_narrow_for_everyone(self):
        daemon = self.open()
        put(daemon, "4f1e5f0c-5b0e-4c5e-9a53-1d2f6c0b8a11", 700 * MIB, hits=12)
        put(daemon, "y" * 200, 90 * MIB)
        self.origin.images["broken-image"] = b"b" * MIB
        daemon.get("broken-image")
        self.browser.open(daemon.admin + "/")
        self.ready()
        axe = (ROOT / "target" / "axe" / "axe.min.js").read_text()
        backgrounds = set()
        for scheme, width, phone in [("light", 1280, False), ("dark", 1280, False), ("light", 360, True), ("dark", 360, True)]:
            with self.subTest(scheme=scheme, width=width):
                self.browser.looks(scheme, width, 800, phone)
                backgrounds.add(self.browser.run("return getComputedStyle(document.body).backgroundColor"))
                overflow = "return document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
                self.assertEqual(self.browser.run(overflow), 0, "nothing sticks out")
                when = "return document.querySelector('#failures tbody td').offsetParent !== null"
                self.assertTrue(self.browser.run(when), "it says when an image failed")
                self.browser.run(axe + "; window.axe = axe")
                found = self.browser.run_async("const done = arguments[0]; axe.run().then(r => done(r.violations))")
                told = [(v["id"], [node["html"][:150] for node in v["nodes"]]) for v in found]
                self.assertEqual(told, [])
        self.assertEqual(len(backgrounds), 2)

    def test_charts_outlive_a_reload(self):
        daemon = self.open()
        self.ready()
        samples = "const done = arguments[0]; fetch('v1/history').then(a => a.json()).then(h => done(h.samples.length))"
        until("there are two samples", lambda: self.browser.run_async(samples) >= 2)
        self.browser.open(daemon.admin + "/")
        self.ready()
        for chart in ["ratio", "requests", "traffic", "space"]:
            self.assertEqual(self.browser.run(f"return document.querySelector('#chart-{chart} svg')?.getAttribute('role')"), "img")
        self.assertIn("Space, latest: used 0 B", self.browser.accessible_name("#chart-space svg"))
        self.browser.click("[name=span][value=week]")
        until("the week is drawn", lambda: self.browser.run("return document.querySelector('#chart-space svg') !== null"))
        self.assert_quiet()


if __name__ == "__main__":
    unittest.main()
