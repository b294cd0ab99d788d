"""How data gets into Glance: lengths, chunks, 100-continue, early refusals. See FACTS.md.

What is said here of chunks, of 100-continue and of connections is gunicorn's doing as much as Glance's.
"""

import http.client
import io
import os
import pathlib
import socket
import subprocess
import time
import urllib.parse

import pytest

from bed.api import OCTETS

DATA = os.urandom(200_000)
USER = {"user": "red-member"}


def pieces(data, size=16_384):
    return (data[i : i + size] for i in range(0, len(data), size))


def by_hand(url, head, timeout=60):
    """A connection on which `head`, a request's lines without the last empty one, was sent."""
    address = urllib.parse.urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=timeout)
    connection.sendall("\r\n".join([*head, "Host: glance", "", ""]).encode())
    return connection


def head_of(connection):
    """One head of an answer as text: all up to the empty line."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        more = connection.recv(1)
        assert more, received
        received += more
    return received.decode()


def put_file(glance, image_id, token, *headers):
    head = [f"PUT /v2/images/{image_id}/file HTTP/1.1", f"Content-Type: {OCTETS}", f"X-Auth-Token: {token}"]
    return by_hand(glance.url, [*head, *headers])


def status_of(api, image_id):
    return api.show(image_id)["status"]


def put(glance, image_id, body, content_type=OCTETS, **headers):
    """The status that an upload ends with."""
    path, headers = f"/v2/images/{image_id}/file", headers | {"Content-Type": content_type}
    return glance.api.request("PUT", path, headers=headers, body=body, **USER).status


def wait_for_status(api, image_id, wanted):
    deadline = time.monotonic() + 20
    while status_of(api, image_id) != wanted:
        assert time.monotonic() < deadline, status_of(api, image_id)
        time.sleep(0.1)


def test_upload_by_length_and_in_chunks(glance):
    by_length = glance.api.image(DATA)["id"]
    chunked = glance.api.create()["id"]
    glance.api.upload(chunked, pieces(DATA))
    for image_id in (by_length, chunked):
        assert glance.api.show(image_id)["size"] == len(DATA)
        assert glance.stored(image_id).read_bytes() == DATA


@pytest.mark.parametrize("chunked", [False, True])
def test_expect_100_continue(bed, glance, chunked):
    image_id = glance.api.create()["id"]
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(DATA)}"
    with put_file(glance, image_id, bed.keystone.token("red-member"), length, "Expect: 100-continue") as connection:
        assert head_of(connection) == "HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA) if chunked else DATA)
        assert head_of(connection).startswith("HTTP/1.1 204 ")
    assert glance.stored(image_id).read_bytes() == DATA


def test_a_refusal_comes_before_the_body_and_ends_the_connection(glance):
    """Although it says keep-alive."""
    image_id = glance.api.create()["id"]
    with put_file(glance, image_id, "garbage", "Content-Length: 1000000000") as connection:
        head = head_of(connection)
        assert head.startswith("HTTP/1.1 401 ")
        assert "Connection: keep-alive" in head
        body = http.client.parse_headers(io.BytesIO(head.split("\r\n", 1)[1].encode()))["Content-Length"]
        rest = b""
        while more := connection.recv(4096):
            rest += more
        assert len(rest) == int(body)


def test_continue_is_said_before_anyone_has_judged(glance):
    image_id = glance.api.create()["id"]
    with put_file(glance, image_id, "garbage", "Content-Length: 1000000000", "Expect: 100-continue") as connection:
        assert head_of(connection) == "HTTP/1.1 100 Continue\r\n\r\n"
        assert head_of(connection).startswith("HTTP/1.1 401 ")


def test_an_upload_cut_short_by_its_client_leaves_no_data(bed, glance):
    """By length or in chunks alike: never an active image."""
    for length in (f"Content-Length: {len(DATA)}", "Transfer-Encoding: chunked"):
        image_id = glance.api.create()["id"]
        with put_file(glance, image_id, bed.keystone.token("red-member"), length) as connection:
            sent = DATA[:1000]
            connection.sendall(b"%x\r\n%b\r\n" % (len(sent), sent) if "chunked" in length else sent)
            wait_for_status(glance.api, image_id, "saving")
        wait_for_status(glance.api, image_id, "queued")


def test_a_second_upload_is_409(glance):
    image_id = glance.api.image(DATA)["id"]
    assert put(glance, image_id, b"x") == 409
    assert glance.stored(image_id).read_bytes() == DATA


def test_other_content_types_are_415(glance):
    image_id = glance.api.create()["id"]
    assert put(glance, image_id, b"x", content_type="text/plain") == 415


def test_data_of_another_format_is_refused_in_the_middle(glance):
    image_id = glance.api.create(disk_format="qcow2")["id"]
    assert put(glance, image_id, DATA) == 415
    assert status_of(glance.api, image_id) == "queued"


def test_a_qcow2_tells_its_virtual_size(glance, tmp_path):
    disk = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"], check=True)
    shown = glance.api.image(pathlib.Path(disk).read_bytes(), disk_format="qcow2")
    assert (shown["size"], shown["virtual_size"]) == (disk.stat().st_size, 64 << 20)


def test_a_size_promised_by_header_is_held_to(glance):
    image_id = glance.api.create()["id"]
    assert put(glance, image_id, pieces(DATA), **{"x-openstack-image-size": str(len(DATA) + 1)}) == 400
    assert status_of(glance.api, image_id) == "queued"


def test_stage_and_import(glance):
    """glance-direct: the data waits in staging, a task moves it, and until then there is none to be had."""
    image_id = glance.api.create()["id"]
    stage = f"/v2/images/{image_id}/stage"
    assert glance.api.request("PUT", stage, headers={"Content-Type": OCTETS}, body=pieces(DATA), **USER).status == 204
    assert status_of(glance.api, image_id) == "uploading"
    assert glance.api.file(image_id, **USER).status == 204
    wish = {"method": {"name": "glance-direct"}}
    answer = glance.api.send_json("POST", f"/v2/images/{image_id}/import", wish, **USER)
    assert answer.status == 202
    wait_for_status(glance.api, image_id, "active")
    assert glance.api.file(image_id, **USER).body == DATA
