"""The data path of Glance, header by header. See FACTS.md."""

import contextlib
import hashlib
import http.client
import os
import time

import pytest

DATA = os.urandom(100_000)
SIZE = len(DATA)
MD5 = hashlib.md5(DATA).hexdigest()
USER = {"user": "red-member"}


@pytest.fixture(scope="module")
def image(glance):
    return glance.api.image(DATA)["id"]


# Downloads


def test_headers_of_a_whole_download(glance, image):
    answer = glance.api.file(image, **USER)
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["Content-MD5"] == MD5  # in hex, not the base64 of its RFC
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert not {"ETag", "Last-Modified", "Accept-Ranges", "Cache-Control", "Vary"} & set(answer.headers)


def test_conditions_are_ignored(glance, image):
    conditions = {"If-None-Match": "*", "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    assert glance.api.file(image, headers=conditions, **USER).status == 200
    failing = {"If-Match": '"other"', "If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert glance.api.file(image, headers=failing, **USER).status == 200


@pytest.mark.parametrize(
    "wanted, first, last",
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=99990-", 99_990, SIZE - 1),
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=99990-200000", 99_990, SIZE - 1),
        ("bytes=-10", SIZE - 10, SIZE - 1),
        ("bytes=-200000", 0, SIZE - 1),
        ("bytes=-0", 0, SIZE - 1),  # where HTTP has no such range
    ],
)
def test_range(glance, image, wanted, first, last):
    answer = glance.api.file(image, range=wanted, **USER)
    assert (answer.status, answer.body) == (206, DATA[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["Content-Length"] == str(last + 1 - first)
    assert answer.headers["Content-MD5"] == MD5  # of the whole image
    assert "ETag" not in answer.headers


@pytest.mark.parametrize(
    "wanted, status",
    [
        ("bytes=0-1,5-6", 400),
        (f"bytes={SIZE}-,{SIZE}-", 400),
        ("bytes=5-2", 416),
        ("bytes=x", 416),
        ("bytes", 416),
        ("items=0-1", 416),  # where HTTP would have it ignored
    ],
)
def test_range_that_glance_refuses(glance, image, wanted, status):
    assert glance.api.file(image, range=wanted, **USER).status == status


def test_if_range_is_ignored(glance, image):
    assert glance.api.file(image, range="bytes=0-9", headers={"If-Range": '"other"'}, **USER).status == 206


def test_content_range_in_a_request_is_a_range(glance, image):
    answer = glance.api.file(image, headers={"Content-Range": "bytes 10-19/*"}, **USER)
    assert (answer.status, answer.body) == (206, DATA[10:20])


def test_head_is_405(glance, image):
    answer = glance.api.file(image, method="HEAD", **USER)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, PUT"
    assert glance.api.file(image, method="HEAD", user="blue-member").status == 405
    assert glance.api.file(image, method="HEAD").status == 401


def test_image_without_data_is_204(glance):
    image_id = glance.api.create()["id"]
    assert glance.api.show(image_id)["size"] is None
    answer = glance.api.file(image_id, **USER)
    assert (answer.status, answer.body) == (204, b"")


def test_image_without_data_is_500_to_a_probe(glance):
    image_id = glance.api.create()["id"]
    assert glance.api.probe(image_id, 2**63 - 1, **USER).status == 500
    assert glance.api.probe(image_id, 2**63 - 1, user="red-reader").status == 403
    assert glance.api.probe(image_id, 2**63 - 1, user="blue-member").status == 404


def test_empty_image(glance):
    image_id = glance.api.image(b"")["id"]
    shown = glance.api.show(image_id)
    assert (shown["status"], shown["size"]) == ("active", 0)
    answer = glance.api.file(image_id, **USER)
    assert (answer.status, answer.body) == (200, b"")
    assert glance.api.probe(image_id, 0, **USER).status == 416


def test_data_lost_by_the_store_is_204(glance):
    image_id = glance.api.image(DATA)["id"]
    glance.stored(image_id).unlink()
    assert glance.api.file(image_id, **USER).status == 204
    assert glance.api.file(image_id, range="bytes=0-9", **USER).status == 204


def test_data_cut_in_the_store_is_a_broken_answer(glance):
    image_id = glance.api.image(DATA)["id"]
    os.truncate(glance.stored(image_id), SIZE // 2)
    with pytest.raises(http.client.IncompleteRead):
        glance.api.file(image_id, **USER)


def test_data_changed_in_the_store_is_sent_as_it_is(glance):
    image_id = glance.api.image(DATA)["id"]
    glance.stored(image_id).write_bytes(b"x" * SIZE)
    answer = glance.api.file(image_id, **USER)
    assert (answer.status, answer.body) == (200, b"x" * SIZE)
    assert answer.headers["Content-MD5"] == MD5


def test_prefer_is_judged_after_the_policy_and_before_the_range(glance, image):
    assert glance.api.get(f"/v2/images/{image}/file?prefer=disk", **USER).body == DATA
    nowhere = f"/v2/images/{image}/file?prefer=nowhere"
    assert glance.api.get(nowhere, **USER).status == 400
    assert glance.api.get(nowhere, headers={"Range": f"bytes={SIZE}-"}, **USER).status == 400
    assert glance.api.get(nowhere, user="red-reader").status == 403


def escaped(text):
    return "".join(f"%{ord(c):02x}" for c in text)


def test_other_spellings_of_the_same_path(glance, image):
    for same in (
        f"/v2/images/{escaped(image)}/file",
        f"/%76%32/images/{image}/%66ile",
        f"/v2/images/{image}%2Ffile",
        f"//v2/images/{image}/file",
        f"/v2//images/{image}/file",
        f"/v2/images/{image}/file?any=thing",
        f"http://elsewhere/v2/images/{image}/file",
    ):
        assert glance.api.get(same, **USER).body == DATA, same
    for other in (
        f"/v2/images/{image}/file/",
        f"/v2/images/{image}/File",
        f"/v2/images/{image}/file;x",
        f"/v2/../v2/images/{image}/file",
        f"/v2/images/{image.upper()}/file",  # with sqlite
    ):
        assert glance.api.get(other, **USER).status == 404, other


def test_other_spellings_delete_too(glance):
    for spelling in (lambda id: f"/v2/images/{escaped(id)}", lambda id: f"//v2//images/{id}"):
        image_id = glance.api.image(DATA)["id"]
        assert glance.api.request("DELETE", spelling(image_id), **USER).status == 204
        assert glance.api.file(image_id, **USER).status == 404


def test_a_deletion_ends_no_download(glance):
    """Who has begun gets all of it: the store's file is open."""
    image_id = glance.api.image(DATA * 200)["id"]
    with downloading(glance, image_id) as answer:
        assert answer.read(1) == DATA[:1]
        glance.api.delete(image_id)
        assert answer.read() == (DATA * 200)[1:]


@contextlib.contextmanager
def downloading(glance, image_id):
    connection = http.client.HTTPConnection("127.0.0.1", glance.server.port, timeout=60)
    try:
        token = glance.api.keystone.token(USER["user"])
        connection.request("GET", f"/v2/images/{image_id}/file", headers={"X-Auth-Token": token})
        yield connection.getresponse()
    finally:
        connection.close()


# With Glance's own cache


def test_glances_cache_sends_a_cold_image_without_a_length(caching_glance):
    api = caching_glance.api
    image_id = api.image(DATA)["id"]
    cold, warm = api.file(image_id, **USER), api.file(image_id, **USER)
    assert cold.body == warm.body == DATA
    assert cold.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in cold.headers
    assert warm.headers["Content-Length"] == str(SIZE)
    assert cold.headers["Content-MD5"] == warm.headers["Content-MD5"] == MD5
    assert (caching_glance.cache_dir / image_id).read_bytes() == DATA
    deadline = time.monotonic() + 20  # Glance counts when all has been sent
    while os.getxattr(caching_glance.cache_dir / image_id, "user.hits") != b"1":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_glances_cache_has_no_part_in_the_probe(caching_glance):
    api = caching_glance.api
    image_id = api.image(DATA)["id"]
    for expected_hits in (None, b"0"):
        assert api.probe(image_id, SIZE, **USER).status == 416
        assert api.probe(image_id, SIZE, user="red-reader").status == 403
        assert api.probe(image_id, SIZE, user="blue-member").status == 404
        cached = caching_glance.cache_dir / image_id
        assert (os.getxattr(cached, "user.hits") if cached.exists() else None) == expected_hits
        api.file(image_id, **USER)


def test_glances_cache_refuses_whom_glance_refuses(caching_glance):
    api = caching_glance.api
    image_id = api.image(DATA)["id"]
    api.file(image_id, **USER)
    assert api.file(image_id, user="red-reader").status == 403
    assert api.file(image_id, user="blue-member").status == 404
    api.deactivate(image_id)
    assert api.file(image_id, **USER).status == 403
    api.delete(image_id)
    assert not (caching_glance.cache_dir / image_id).exists()
