"""The bed itself: the whole life of an image, by raw HTTP and by the clients people use."""

import hashlib
import os
import subprocess
import sys

import pytest

from bed import Bed

DATA = os.urandom(300_001)


def client(bed, program, *arguments, user="red-member"):
    """A client program's standard output; it finds Glance in Keystone's catalogue."""
    environ = bed.keystone.environ(user) | {"PATH": os.environ["PATH"], "HOME": str(bed.folder), "no_proxy": "*"}
    command = [os.path.join(sys.prefix, "bin", program), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def statuses(api, image_id):
    """What each kind of caller gets: (owner, reader of the same project, other project's member)."""
    return tuple(api.file(image_id, user=user).status for user in ("red-member", "red-reader", "blue-member"))


def test_the_whole_life_of_an_image(glance):
    api = glance.api
    image_id = api.create(visibility="shared")["id"]
    assert api.show(image_id)["status"] == "queued"

    api.upload(image_id, DATA)
    shown = api.show(image_id)
    assert (shown["status"], shown["size"]) == ("active", len(DATA))
    assert glance.stored(image_id).read_bytes() == DATA
    assert api.file(image_id, user="red-member").body == DATA
    assert statuses(api, image_id) == (200, 403, 404)

    api.add_member(image_id, "blue")
    assert statuses(api, image_id) == (200, 403, 200)
    api.accept(image_id, user="blue-member")
    listed = api.get("/v2/images", user="blue-member").json()["images"]
    assert image_id in [image["id"] for image in listed]

    api.deactivate(image_id)
    assert statuses(api, image_id) == (403, 403, 403)
    api.reactivate(image_id)
    assert statuses(api, image_id) == (200, 403, 200)

    api.remove_member(image_id, "blue")
    assert statuses(api, image_id) == (200, 403, 404)
    api.set_visibility(image_id, "community")
    assert statuses(api, image_id) == (200, 403, 200)
    api.set_visibility(image_id, "public", user="red-admin")
    assert statuses(api, image_id) == (200, 403, 200)

    api.delete(image_id)
    assert statuses(api, image_id) == (404, 404, 404)
    assert not glance.stored(image_id).exists()


def test_glanceclient_verifies_what_it_downloads(bed, glance, tmp_path):
    image_id = glance.api.image(DATA)["id"]
    client(bed, "glance", "image-download", "--file", str(tmp_path / "image"), image_id)
    assert (tmp_path / "image").read_bytes() == DATA


def test_openstackclient_uploads_and_downloads(bed, glance, tmp_path):
    (tmp_path / "up").write_bytes(DATA)
    name = "by-openstackclient"
    client(bed, "openstack", "image", "create", "--file", str(tmp_path / "up"), name)
    client(bed, "openstack", "image", "save", "--file", str(tmp_path / "down"), name)
    assert (tmp_path / "down").read_bytes() == DATA


def test_the_catalogue_names_what_was_published_last(bed, glance):
    """So that clients without an address of their own go through a proxy."""
    bed.publish("http://127.0.0.1:9/proxy")
    try:
        auth = bed.keystone.api.get("/v3/auth/catalog", token=bed.keystone.token("red-member")).json()
        urls = {end["url"] for service in auth["catalog"] if service["type"] == "image" for end in service["endpoints"]}
    finally:
        bed.publish(glance.url)
    assert urls == {"http://127.0.0.1:9/proxy"}


def test_an_application_credential_logs_in(bed, glance):
    image_id = glance.api.image(DATA)["id"]
    token = bed.keystone.log_in_with(bed.keystone.application_credential("red-member"))
    assert glance.api.file(image_id, token=token).status == 200


def test_digests_in_the_metadata_are_of_the_data(glance):
    shown = glance.api.image(DATA)
    assert shown["os_hash_algo"] == "sha512"
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert shown["checksum"] == hashlib.md5(DATA).hexdigest()


def test_a_bed_leaves_nothing_running_or_lying_about():
    with Bed() as other:
        keystone = other.keystone
        keystone.server.wait_ready()
        assert keystone.token("blue-reader")
    with pytest.raises(ConnectionRefusedError):
        keystone.api.get("/v3")
    assert not other.folder.exists()
