"""A store that has only whole files: Glance's HTTP store, before a web server that the test runs. See FACTS.md."""

import hashlib
import http.server
import os
import threading

import pytest

DATA = os.urandom(100_000)
SIZE = len(DATA)
USER = {"user": "red-member"}


class Handler(http.server.BaseHTTPRequestHandler):
    """The same data at every address."""

    seen = []

    def do_HEAD(self):
        self.seen.append(self.command)
        self.send_response(200)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(DATA)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def web_server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/data"
        server.shutdown()


@pytest.fixture(scope="module")
def web_glance(bed):
    return bed.glance("web", web=True)


@pytest.fixture
def image(web_glance, web_server):
    image_id = web_glance.api.create()["id"]
    web_glance.api.add_location(image_id, web_server)
    return image_id


def test_a_range_is_400_and_the_whole_is_200(web_glance, image):
    for wanted in ("bytes=0-9", "bytes=-1", "bytes=0-"):
        assert web_glance.api.file(image, range=wanted, **USER).status == 400
    answer = web_glance.api.file(image, **USER)
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Content-Length"] == str(SIZE)


def test_the_probe_works_as_everywhere_and_asks_the_store_nothing(web_glance, image):
    before = len(Handler.seen)
    assert web_glance.api.probe(image, SIZE, **USER).status == 416
    assert web_glance.api.probe(image, SIZE, user="red-reader").status == 403
    assert web_glance.api.probe(image, SIZE, user="blue-member").status == 404
    assert len(Handler.seen) == before


def test_an_image_may_have_no_digest_at_all(web_glance, image):
    shown = web_glance.api.show(image)
    assert (shown["status"], shown["size"]) == ("active", SIZE)
    assert shown["checksum"] is shown["os_hash_algo"] is shown["os_hash_value"] is None
    assert "Content-MD5" not in web_glance.api.file(image, **USER).headers


def test_an_image_may_have_a_digest_that_nobody_has_checked(web_glance, web_server):
    image_id = web_glance.api.create()["id"]
    wrong = {"checksum": "0" * 32, "os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(b"other").hexdigest()}
    web_glance.api.add_location(image_id, web_server, **wrong)
    answer = web_glance.api.file(image_id, **USER)
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Content-MD5"] == wrong["checksum"]


def test_a_store_out_of_reach_is_503_and_the_probe_still_works(web_glance):
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    image_id = web_glance.api.create()["id"]
    web_glance.api.add_location(image_id, f"http://127.0.0.1:{server.server_port}/data")
    server.shutdown()
    server.server_close()
    assert web_glance.api.file(image_id, **USER).status == 503
    assert web_glance.api.probe(image_id, SIZE, **USER).status == 416
