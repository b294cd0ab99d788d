"""`icewell serve` with TLS on both sides, in front of a real Glance that speaks it."""

import random

import pytest

from bed.authority import Authority
from test_front import Front

DATA = random.Random(3).randbytes(3_000_000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls_glance(bed, authority):
    """One that believes what it is told of the way a request has come."""
    parsing = {"oslo_middleware": {"enable_proxy_headers_parsing": True}}
    return bed.glance("tls", tls=authority.issue("glance"), config=parsing)


@pytest.fixture(scope="module")
def front(bed, authority, tls_glance, tmp_path_factory):
    trust = ("--origin-ca", authority.cert)
    front = Front(bed, tls_glance, tmp_path_factory.mktemp("tls"), *trust, tls=authority.issue("front"))
    yield front
    front.stop()


def test_cold_then_hot(front):
    image_id = front.api.image(DATA)["id"]
    cold = front.api.file(image_id, user="red-member")
    assert (cold.body, cold.headers["Cache-Status"]) == (DATA, "icewell; fwd=uri-miss; fwd-status=200; stored")
    front.wait_until_cached(image_id)
    hot = front.api.file(image_id, user="red-member")
    assert (hot.body, hot.headers["Cache-Status"]) == (DATA, "icewell; hit")
    assert front.api.file(image_id, user="blue-member").status == 404


def test_links_lead_here_by_https(front):
    versions = front.api.get("/versions").json()["versions"]
    assert front.api.url.startswith("https://")
    assert all(version["links"][0]["href"].startswith(front.api.url) for version in versions)


def test_a_glance_that_cannot_be_trusted_is_a_502_that_says_so(bed, tls_glance, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    front = Front(bed, tls_glance, tmp_path, "--origin-ca", Authority(other).cert)
    image_id = tls_glance.api.image(DATA)["id"]
    for answer in (front.api.file(image_id, user="red-member"), front.api.get("/versions")):
        assert answer.status == 502
        assert b"certificate" in answer.body and b"--origin-ca" in answer.body
    assert front.cached() == {}
    front.stop()
