"""`icewell serve` in front of a real Glance: the same answers, from the disk of this machine."""

import hashlib
import json
import os
import pathlib
import random
import socket
import subprocess
import time
import urllib.parse

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ICEWELL = os.environ.get("ICEWELL_BIN", ROOT / "target/debug/icewell")
DATA = random.Random(1).randbytes(3_000_000)
SIZE = len(DATA)
EVERYBODY = ("red-admin", "red-member", "red-reader", "blue-admin", "blue-member", "blue-reader", "nova")


class Front:
    """An `icewell serve` before a Glance, with a cache of its own."""

    def __init__(self, bed, glance, folder, *options, cache=None, origin=None, environ=None, tls=None):
        self.dir = cache or folder / "cache"
        self.log = folder / "front.log"
        self.glance = glance
        command = [ICEWELL, "serve", "--dir", self.dir, "--origin", f"glance+{origin or glance.url}"]
        command += ["--listen", "127.0.0.1:0", "--admin", "off", "--log-format", "json", *options]
        command += ["--tls-cert", tls.cert, "--tls-key", tls.key] if tls else []
        self._process = subprocess.Popen(command, stderr=self.log.open("w"), env=environ, cwd=folder)
        scheme = "https" if tls else "http"
        self.api = bed.api(f"{scheme}://{self._wait_for_address()}", ca=tls and tls.ca)

    def _wait_for_address(self):
        for _ in range(200):
            for line in self.log.read_text().splitlines():
                if line.startswith("{") and (address := json.loads(line).get("listen")):
                    return address
            time.sleep(0.05)
        raise RuntimeError(self.log.read_text())

    def cached(self):
        listed = subprocess.run([ICEWELL, "ls", "--dir", self.dir, "--json"], check=True, capture_output=True)
        return {image["image_id"]: image for image in json.loads(listed.stdout)}

    def wait_until_cached(self, image_id, hits=0):
        for _ in range(200):
            image = self.cached().get(image_id)
            if image and image["hits"] >= hits:
                return image
            time.sleep(0.05)
        raise AssertionError(f"{image_id} with {hits} hits is not in {self.cached()}")

    def asked(self, image_id):
        """How many requests about the image Glance has seen."""
        return sum(image_id in line and "HTTP/1.1" in line for line in self.glance.server.log.read_text().splitlines())

    def peak(self):
        """The most memory it has had at a time, in bytes."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) << 10

    def stop(self):
        self._process.terminate()
        assert self._process.wait(30) == 0


def wait_for(holds):
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("in vain")


@pytest.fixture(scope="module")
def front(bed, glance, tmp_path_factory):
    front = Front(bed, glance, tmp_path_factory.mktemp("front"), "--auth-ttl", "0")
    yield front
    front.stop()


@pytest.fixture(scope="module")
def hot(front):
    """An image of red's that is cached."""
    image_id = front.api.image(DATA)["id"]
    assert front.api.file(image_id, user="red-member").body == DATA
    front.wait_until_cached(image_id)
    return image_id


def test_cold_then_hot(front):
    image_id = front.api.image(DATA, name="a name")["id"]
    direct = front.glance.api.file(image_id, user="red-member")
    cold = front.api.file(image_id, user="red-member")
    assert (cold.status, cold.body) == (200, DATA)
    assert cold.headers["Cache-Status"] == "icewell; fwd=uri-miss; fwd-status=200; stored"
    image = front.wait_until_cached(image_id)
    assert image["digest"] == "sha512:" + hashlib.sha512(DATA).hexdigest()
    assert (image["name"], image["hits"]) == ("a name", 0)
    hot = front.api.file(image_id, user="red-member")
    assert (hot.status, hot.body, hot.headers["Cache-Status"]) == (200, DATA, "icewell; hit")
    for answer in (cold, hot):
        for name in ("Content-Length", "Content-Type", "Content-MD5"):
            assert answer.headers[name] == direct.headers[name], name
    front.wait_until_cached(image_id, hits=1)


@pytest.mark.parametrize("user", EVERYBODY)
@pytest.mark.parametrize("way", [None, "bytes=0-0", "bytes=10-19", f"bytes={SIZE}-"])
def test_who_may_not_gets_glances_answer(front, hot, user, way):
    direct = front.glance.api.file(hot, range=way, user=user)
    through = front.api.file(hot, range=way, user=user)
    assert through.status == direct.status
    if direct.status in (200, 206):
        assert through.body == direct.body
    head = front.api.file(hot, method="HEAD", user=user)
    whole = front.glance.api.file(hot, user=user)
    assert (head.status, head.body) == (whole.status, b"")
    if whole.status == 200:
        assert head.headers["Content-Length"] == str(SIZE)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/plain"])
def test_a_refusal_has_the_form_that_its_caller_wants(front, hot, accept):
    for way in (None, "bytes=0-0"):
        how = {"range": way, "headers": {"Accept": accept}, "user": "red-reader"}
        direct, through = (api.file(hot, **how) for api in (front.glance.api, front.api))
        assert (through.status, through.body) == (direct.status, direct.body)
        assert through.headers["Content-Type"] == direct.headers["Content-Type"]


@pytest.mark.parametrize("token", [None, "", "garbage", "a,b"])
def test_no_token_no_byte(front, hot, token):
    for way in (None, "bytes=0-0"):
        direct, through = (api.file(hot, range=way, token=token) for api in (front.glance.api, front.api))
        assert through.status == direct.status == 401
        assert through.headers["WWW-Authenticate"] == direct.headers["WWW-Authenticate"]
        assert DATA[:10] not in through.body


def test_an_expired_token_gets_nothing(bed, front, hot):
    # On a busy machine a short life is over before it is tried.
    for seconds in (2, 10, 60):
        ends = time.time() + seconds
        token = bed.keystone.token("red-member", expires_in=seconds)
        if front.api.file(hot, token=token).status == 200:
            break
    else:
        raise AssertionError("no token was good at first")
    time.sleep(max(0, ends + 1 - time.time()))
    assert front.api.file(hot, token=token).status == 401


def test_deactivated_and_back(front):
    image_id = front.api.image(DATA)["id"]
    assert front.api.file(image_id, user="red-member").body == DATA
    front.wait_until_cached(image_id)
    front.api.deactivate(image_id)
    assert front.api.file(image_id, user="red-member").status == 403
    assert front.api.file(image_id, method="HEAD", user="red-member").status == 403
    assert front.api.file(image_id, user="red-admin").body == DATA
    front.api.reactivate(image_id)
    hot = front.api.file(image_id, user="red-member")
    assert (hot.body, hot.headers["Cache-Status"]) == (DATA, "icewell; hit")


def test_shared_and_taken_back(front):
    image_id = front.api.image(DATA, visibility="shared")["id"]
    assert front.api.file(image_id, user="red-member").body == DATA
    front.wait_until_cached(image_id)
    assert front.api.file(image_id, user="blue-member").status == 404
    front.api.add_member(image_id, "blue")
    assert front.api.file(image_id, user="blue-member").body == DATA
    front.api.remove_member(image_id, "blue")
    assert front.api.file(image_id, user="blue-member").status == 404
    assert image_id in front.cached(), "one caller's 404 drops nothing"


def test_a_deletion_drops_the_copy(front):
    image_id = front.api.image(DATA)["id"]
    front.api.file(image_id, user="red-member")
    front.wait_until_cached(image_id)
    front.api.delete(image_id)
    assert image_id not in front.cached()
    assert front.api.file(image_id, user="red-member").status == 404


def test_a_deletion_by_another_spelling_drops_the_copy(front):
    image_id = front.api.image(DATA)["id"]
    front.api.file(image_id, user="red-member")
    front.wait_until_cached(image_id)
    spelled = f"%{ord(image_id[0]):02x}{image_id[1:]}"
    assert front.api.request("DELETE", f"/v2//images/{spelled}", "red-member").status == 204
    assert image_id not in front.cached()


def test_a_deletion_elsewhere_is_noticed(front):
    image_id = front.api.image(DATA)["id"]
    front.api.file(image_id, user="red-member")
    front.wait_until_cached(image_id)
    front.glance.api.delete(image_id)
    assert front.api.file(image_id, user="red-member").status == 404
    assert front.api.file(image_id, user="red-admin").status == 404


def test_ranges(front, hot):
    for way, start, end in (("bytes=0-9", 0, 10), ("bytes=-5", SIZE - 5, SIZE), ("bytes=100-", 100, SIZE)):
        direct, through = (api.file(hot, range=way, user="red-member") for api in (front.glance.api, front.api))
        assert (through.status, through.body) == (direct.status, direct.body) == (206, DATA[start:end])
        for name in ("Content-Range", "Content-Length", "Content-MD5"):
            assert through.headers[name] == direct.headers[name], name
    several = front.api.file(hot, range="bytes=0-1,5-6", user="red-member")
    assert several.status == 206 and several.headers["Content-Type"].startswith("multipart/byteranges")


def test_a_range_of_a_cold_image_begins_its_fill(front):
    image_id = front.api.image(DATA)["id"]
    part = front.api.file(image_id, range="bytes=2000000-2000009", user="red-member")
    assert (part.status, part.body) == (206, DATA[2_000_000:2_000_010])
    front.wait_until_cached(image_id)


def test_uploads_pass_through(front):
    for body in (DATA, iter([DATA[:1_000_000], DATA[1_000_000:]])):
        image_id = front.api.create()["id"]
        headers = {"Content-Type": "application/octet-stream"}
        answer = front.api.request("PUT", f"/v2/images/{image_id}/file", "red-member", headers=headers, body=body)
        assert answer.status == 204
        assert front.api.show(image_id)["checksum"] == hashlib.md5(DATA).hexdigest()


def test_everything_else_passes_through(front, hot):
    for path in ("/v2/schemas/image", f"/v2/images/{hot}", "/v2/images?limit=1", "/v2/cache/", "/v2/cached_images/", "/v2"):
        for user in ("red-admin", "blue-reader", None):
            direct, through = (api.get(path, user=user) for api in (front.glance.api, front.api))
            assert through.status == direct.status, path
            own = through.body.replace(front.api.url.encode(), front.glance.url.encode())
            if "X-Openstack-Request-Id" not in str(own):
                assert own == direct.body, path


def test_an_upload_cut_short_is_cut_short_at_glance(front):
    for framing, part in (("Content-Length: 9000", b"x" * 5000), ("Transfer-Encoding: chunked", b"5\r\nhello\r\n")):
        image_id = front.api.create()["id"]
        address = urllib.parse.urlsplit(front.api.url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            fields = f"Host: x\r\nX-Auth-Token: {front.api.keystone.token('red-member')}\r\n{framing}"
            head = f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nContent-Type: application/octet-stream\r\n{fields}\r\n\r\n"
            connection.sendall(head.encode() + part)
            wait_for(lambda: front.api.show(image_id)["status"] == "saving")
        wait_for(lambda: front.api.show(image_id)["status"] == "queued")


def test_links_lead_here(front):
    versions = front.api.get("/versions").json()["versions"]
    assert all(version["links"][0]["href"].startswith(front.api.url) for version in versions)


def test_an_image_without_data(front):
    image_id = front.api.create()["id"]
    assert front.api.file(image_id, user="red-member").status == 204


def test_a_yes_is_remembered_for_a_while(bed, glance, tmp_path):
    front = Front(bed, glance, tmp_path, "--auth-ttl", "60")
    image_id = front.api.image(DATA)["id"]
    for _ in range(30):
        assert front.api.file(image_id, user="red-member").body == DATA
    asked = front.asked(image_id)
    assert asked < 10, "creation, upload, description, download, and a question or two"
    # But for that caller only.
    assert front.api.file(image_id, user="blue-member").status == 404
    front.stop()


def test_each_is_asked_for_where_nothing_is_remembered(front, hot):
    before = front.asked(hot)
    for _ in range(10):
        front.api.file(hot, range="bytes=0-0", user="red-member")
    assert front.asked(hot) >= before + 10


def test_without_glance_nobody_gets_a_byte(bed, tmp_path):
    glance = bed.glance("leaving")
    front = Front(bed, glance, tmp_path, "--auth-ttl", "0")
    image_id = front.api.image(DATA)["id"]
    assert front.api.file(image_id, user="red-member").body == DATA
    front.wait_until_cached(image_id)
    glance.server.stop()
    answer = front.api.file(image_id, user="red-member")
    assert answer.status == 502 and DATA[:10] not in answer.body
    front.stop()


def test_tokens_are_nowhere(bed, front, hot):
    token = bed.keystone.token("red-member")
    front.api.file(hot, user="red-member")
    assert token not in front.log.read_text()
    found = subprocess.run(["grep", "-rl", token, front.dir], capture_output=True)
    assert found.stdout == b""
    tags = subprocess.run(["getfattr", "-R", "-d", front.dir], capture_output=True, text=True)
    assert token not in tags.stdout
