"""The clients that people use, through `icewell serve` in front of a real Glance."""

import os
import pathlib
import random
import subprocess
import sys

import pytest

from test_front import Front

DATA = random.Random(2).randbytes(5_000_000)


@pytest.fixture(scope="module")
def front(bed, glance, tmp_path_factory):
    front = Front(bed, glance, tmp_path_factory.mktemp("clients"))
    bed.publish(front.api.url)
    yield front
    bed.publish(glance.url)
    front.stop()


def client(bed, *command, user="red-member"):
    """A client of the venv, run to its end as a user, at the Glance that the catalogue names."""
    program = pathlib.Path(sys.executable).parent / command[0]
    environ = {"PATH": os.environ["PATH"]} | bed.keystone.environ(user)
    return subprocess.run([program, *command[1:]], env=environ, capture_output=True, text=True)


@pytest.fixture
def run(bed, front):
    """Runs a client as a user, against the front."""

    def run(*command, user="red-member"):
        done = client(bed, *command, user=user)
        assert done.returncode == 0, done
        return done.stdout

    return run


def test_openstackclient(front, run, tmp_path):
    source, saved = tmp_path / "source.raw", tmp_path / "saved.raw"
    source.write_bytes(DATA)
    image = "openstack image create -f value -c id --disk-format raw --container-format bare --file"
    image_id = run(*image.split(), str(source), "made by openstackclient").strip()
    for hits in (0, 1):
        run("openstack", "image", "save", "--file", str(saved), image_id)
        assert saved.read_bytes() == DATA
        front.wait_until_cached(image_id, hits)
    assert "made by openstackclient" in run("openstack", "image", "list")
    run("openstack", "image", "delete", image_id)
    assert image_id not in front.cached()


def test_glanceclient(front, run, tmp_path):
    image_id = front.api.image(DATA)["id"]
    saved = tmp_path / "saved.raw"
    for hits in (0, 1):
        run("glance", "image-download", "--file", str(saved), image_id)
        assert saved.read_bytes() == DATA
        front.wait_until_cached(image_id, hits)
    assert image_id in run("glance", "image-list")


def test_curl_goes_on_where_it_stopped(bed, front, tmp_path):
    image_id = front.api.image(DATA)["id"]
    saved = tmp_path / "saved.raw"
    saved.write_bytes(DATA[:1_234_567])
    url = f"{front.api.url}/v2/images/{image_id}/file"
    token = bed.keystone.token("red-member")
    subprocess.run(["curl", "-sf", "-C", "-", "-H", f"X-Auth-Token: {token}", "-o", saved, url], check=True)
    assert saved.read_bytes() == DATA
