"""The whole life of an image, from its upload to its deletion, by the programs that people use.

One story, told in steps that go on from each other: all of them are about the same qcow2, behind an `icewell serve` in
front of a real Glance. Glance's own log is the witness of where the bytes came from.
"""

import concurrent.futures
import json
import os
import random
import re
import subprocess

import pytest

from test_front import Front, wait_for
from test_front_clients import client
from test_tools import Tools

ADMIN, MEMBER, READER, OTHER = "red-admin", "red-member", "red-reader", "blue-member"
HIT = "icewell; hit"


@pytest.fixture
def life(bed, glance, tmp_path):
    front = Front(bed, glance, tmp_path, "--auth-ttl", "0")
    bed.publish(front.api.url)
    yield Life(bed, front, tmp_path)
    bed.publish(glance.url)
    front.stop()


def test_the_life_of_an_image(life):
    life.is_created()
    life.is_downloaded_cold()
    life.is_downloaded_hot()
    life.is_refused_to_whom_glance_refuses_it()
    life.is_deactivated_and_reactivated()
    life.is_shared_and_taken_back()
    life.is_managed()
    life.is_deleted()


class Life:
    """The steps, in the order in which they have to come. `hits` is how many the copy must have been given by now."""

    def __init__(self, bed, front, folder):
        self.bed, self.front, self.folder = bed, front, folder
        self.hits = 0
        self.source = qcow2(folder)
        self.data = self.source.read_bytes()

    def is_created(self):
        how = "--disk-format qcow2 --container-format bare --shared -f value -c id --file"
        made = self.run("openstack", "image", "create", *how.split(), self.source, "a qcow2")
        self.id = made.stdout.strip()
        self.copy = self.front.dir / self.id
        assert self.front.api.show(self.id)["virtual_size"] == 4 << 20

    def is_downloaded_cold(self):
        saved = self.folder / "cold.qcow2"
        self.run("glance", "image-download", "--file", saved, self.id)
        assert saved.read_bytes() == self.data
        qemu_img("check", saved)
        qemu_img("compare", self.source, saved)
        self.front.wait_until_cached(self.id)
        assert self.copy.read_bytes() == self.data
        self.inode = self.copy.stat().st_ino
        self.was_fetched(1)

    def is_downloaded_hot(self):
        saved = self.folder / "hot.qcow2"
        _, whole = together(
            lambda: self.run("openstack", "image", "save", "--file", saved, self.id),
            lambda: self.curl(),
        )
        assert saved.read_bytes() == self.data
        qemu_img("compare", self.source, saved)
        assert whole == (200, HIT, self.data)
        self.hits += 2
        self.was_hit()
        wait_for(lambda: self.logged().count((200, HIT)) == 2)
        size = len(self.data)
        for way, start, end in (("1000-70000", 1000, 70_001), ("-10", size - 10, size), (f"{size - 1}-", size - 1, size)):
            assert self.curl("-r", way) == (206, HIT, self.data[start:end])
        assert self.curl("-I") == (200, HIT, b"")
        self.was_hit()  # A part is none, nor is a HEAD.

    def is_refused_to_whom_glance_refuses_it(self):
        together(
            lambda: self.is_refused(READER, 403, "openstack", "image", "save"),
            lambda: self.is_refused(OTHER, 404, "glance", "image-download"),
        )
        self.was_hit()

    def is_deactivated_and_reactivated(self):
        self.run("openstack", "image", "set", "--deactivate", self.id, user=ADMIN)
        self.is_refused(MEMBER, 403, "glance", "image-download")
        self.was_hit()
        self.run("openstack", "image", "set", "--activate", self.id, user=ADMIN)
        assert self.curl() == (200, HIT, self.data)
        self.hits += 1
        self.was_hit()

    def is_shared_and_taken_back(self):
        saved, blue = self.folder / "shared.qcow2", self.bed.keystone.project_id("blue")
        self.run("openstack", "image", "add", "project", self.id, blue)
        self.run("openstack", "image", "set", "--accept", self.id, user=OTHER)
        self.run("glance", "image-download", "--file", saved, self.id, user=OTHER)
        assert saved.read_bytes() == self.data
        self.hits += 1
        self.was_hit()
        self.run("openstack", "image", "remove", "project", self.id, blue)
        self.is_refused(OTHER, 404, "openstack", "image", "save")
        self.was_hit()

    def is_managed(self):
        # Nobody downloads the second one.
        second = self.front.api.image(self.data[:100_000], disk_format="raw")["id"]
        self.run("glance", "cache-queue", second, user=ADMIN)
        self.front.wait_until_cached(second)
        old = "-H 127.0.0.1 -p {} list-cached".format(self.front.api.url.rsplit(":", 1)[1]).split()
        listed, (status, old_list, error) = together(
            lambda: table(self.run("glance", "cache-list", user=ADMIN).stdout),
            lambda: Tools(self.folder).our("manage", *old, environ=self.bed.keystone.environ(ADMIN)),
        )
        told = {row[0]: (row[1], row[4], row[5]) for row in listed[1:]}
        size, hits = str(len(self.data)), str(self.hits)
        assert told == {self.id: ("cached", size, hits), second: ("cached", "100000", "0")}
        assert status == 0, error
        assert {row[0]: (row[3], row[4]) for row in table(old_list)[1:]} == {self.id: (size, hits), second: ("100000", "0")}
        self.run("glance", "cache-delete", second, user=ADMIN)
        assert set(self.front.cached()) == {self.id}
        self.was_hit()
        self.run("glance", "cache-clear", user=ADMIN)
        assert self.front.cached() == {} and not self.copy.exists()
        self.was_fetched(1)

    def is_deleted(self):
        assert self.curl()[::2] == (200, self.data)
        self.front.wait_until_cached(self.id)
        self.was_fetched(2)
        self.run("openstack", "image", "delete", self.id)
        assert not self.copy.exists() and self.front.cached() == {}
        for user in (ADMIN, MEMBER, READER, OTHER):
            self.answers_as_glance(user, 404)
        assert self.front.cached() == {}

    # What the steps do

    def run(self, *command, user=MEMBER):
        done = client(self.bed, *command, user=user)
        assert done.returncode == 0, done
        return done

    def curl(self, *options, user=MEMBER, url=None):
        """(status, Cache-Status, body) of the image's data, as curl gets it."""
        token = f"X-Auth-Token: {self.bed.keystone.token(user)}"
        path = f"{url or self.front.api.url}/v2/images/{self.id}/file"
        command = ["curl", "-s", "-i", "-H", token, *options, path]
        head, _, body = subprocess.run(command, check=True, capture_output=True).stdout.partition(b"\r\n\r\n")
        told = re.search(r"(?im)^cache-status: (.*?)\r?$", head.decode())
        return int(head.split()[1]), told and told[1], body

    def is_refused(self, user, status, *command):
        """By a client's download, which saves no byte of it, and in every way to ask; the copy stays as it is."""
        saved = self.folder / f"refused-{user}.qcow2"
        refused = client(self.bed, *command, "--file", saved, self.id, user=user)
        assert refused.returncode != 0, refused
        # openstackclient saves the refusal, in the form that it would have got from Glance.
        assert not saved.exists() or b"<h1>%d " % status in saved.read_bytes()[:200], saved.read_bytes()[:200]
        self.answers_as_glance(user, status)
        assert self.copy.read_bytes() == self.data

    def answers_as_glance(self, user, status):
        for way in ((), ("-r", "0-0"), ("-r", "1000-2000"), ("-r", f"{len(self.data)}-")):
            direct, through = (self.curl(*way, user=user, url=api.url) for api in (self.front.glance.api, self.front.api))
            assert through[::2] == direct[::2] and through[0] == status, (user, way)
        assert self.curl("-I", user=user)[::2] == (status, b"")

    # What the steps leave

    def was_hit(self):
        """The copy is the one that the first download made, and its hits are all that there were and no more."""
        wait_for(lambda: int(os.getxattr(self.copy, "user.hits")) == self.hits)
        assert self.copy.stat().st_ino == self.inode

    def was_fetched(self, times):
        """Glance has sent the image's data as often as that, by its own log."""
        sent = re.compile(rf'"GET /v2/images/{self.id}/file HTTP/1\.1" 20')
        wait_for(lambda: len(sent.findall(self.front.glance.server.log.read_text())) >= times)
        assert len(sent.findall(self.front.glance.server.log.read_text())) == times

    def logged(self):
        """(status, Cache-Status) of all that was asked for the image's data, whoever did, by our log."""
        lines = (json.loads(line) for line in self.front.log.read_text().splitlines() if line.startswith("{"))
        return [(line["status"], line["cache"]) for line in lines if line.get("path") == f"/v2/images/{self.id}/file"]


def qcow2(folder):
    """An image as qemu-img makes it: 4 MiB, of which the second and third are a hole."""
    raw, made = folder / "source.raw", folder / "source.qcow2"
    some = random.Random(4)
    raw.write_bytes(some.randbytes(1 << 20) + bytes(2 << 20) + some.randbytes(1 << 20))
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, made)
    assert 2 << 20 < made.stat().st_size < 3 << 20
    return made


def qemu_img(*arguments):
    done = subprocess.run(["qemu-img", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done


def table(text):
    """The rows of cells of a table that was drawn for people, its head the first."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]


def together(*calls):
    """What they return, run side by side: a client takes seconds to start."""
    with concurrent.futures.ThreadPoolExecutor() as threads:
        return [begun.result() for begun in [threads.submit(call) for call in calls]]
