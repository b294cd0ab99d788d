"""Large images through `icewell serve` in front of a real Glance: in constant memory, by `curl`."""

import hashlib
import subprocess

import pytest

from test_front import Front

SIZE = 512 << 20
# Of this whole the daemon may have so much at a time.
PEAK = 100 << 20


@pytest.fixture(scope="module")
def front(bed, glance, tmp_path_factory):
    front = Front(bed, glance, tmp_path_factory.mktemp("large"), "--max-size", "2GiB")
    yield front
    front.stop()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file that no hole or compression makes small, and its SHA-512."""
    path = tmp_path_factory.mktemp("large") / "image"
    digest = hashlib.sha512()
    with open("/dev/urandom", "rb") as random, path.open("wb") as file:
        for _ in range(SIZE >> 20):
            piece = random.read(1 << 20)
            digest.update(piece)
            file.write(piece)
    return path, digest.hexdigest()


def curl(front, *arguments, user="red-member", check=True):
    token = f"X-Auth-Token: {front.api.keystone.token(user)}"
    return subprocess.run(["curl", "-sS", "-v", "-H", token, *arguments], check=check, capture_output=True, text=True)


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Transfer-Encoding:"])
def test_an_upload_and_a_cold_download(front, large, tmp_path, expect, framing):
    path, digest = large
    image_id = front.api.create()["id"]
    url = f"{front.api.url}/v2/images/{image_id}/file"
    fields = ["-H", "Content-Type: application/octet-stream", "-H", expect, "-H", framing]
    said = curl(front, *fields, "--upload-file", path, url).stderr
    assert "HTTP/1.1 204" in said
    assert ("HTTP/1.1 100 Continue" in said) == (expect == "Expect: 100-continue")
    assert front.api.show(image_id)["os_hash_value"] == digest
    curl(front, "-f", "-o", tmp_path / "copy", url)
    with (tmp_path / "copy").open("rb") as copy:
        assert hashlib.file_digest(copy, "sha512").hexdigest() == digest
    front.wait_until_cached(image_id)
    (tmp_path / "copy").unlink()
    front.api.delete(image_id)
    assert front.peak() < PEAK


def test_who_may_not_upload_is_told_so(front, large):
    image_id = front.api.create()["id"]
    url = f"{front.api.url}/v2/images/{image_id}/file"
    fields = ["-H", "Content-Type: text/plain", "-H", "Expect: 100-continue"]
    # Where Glance takes more than a second, the upload begins; then its end may reach curl before the refusal does.
    for _ in range(5):
        said = curl(front, *fields, "--upload-file", large[0], url, check=False).stderr
        if "HTTP/1.1 415" in said:
            break
    assert "HTTP/1.1 415" in said
