"""The real Glance under a WSGI server that forks after configuration, on Icewell's driver."""

import os
import socket
import threading
from urllib.parse import urlsplit

import pytest
import requests

import icewell
from glance_server import wait_for

MiB = 1 << 20


def hits(server, image_id):
    return int(os.getxattr(server.cache_dir / image_id, "user.hits"))


def is_icewells(path):
    return "user.icewell.id" in os.listxattr(path)


@pytest.fixture(params=["gunicorn", "uwsgi"])
def forking_server(request, serve_glance):
    """A Glance of each WSGI server, which forks after configuration."""
    if request.param == "gunicorn":
        return request.getfixturevalue("glance_server")
    return serve_glance(server="uwsgi")


def test_the_life_of_an_image(forking_server, noise):
    server = forking_server
    data = noise(1, 9 * MiB + 17)
    image_id = server.create(data)
    assert image_id not in server.cached()

    assert server.download(image_id).content == data, "cold"
    entry = wait_for(lambda: server.cached().get(image_id), 60)
    assert is_icewells(server.cache_dir / image_id)
    assert (entry["size"], entry["hits"]) == (len(data), 0)
    assert all(isinstance(entry[key], int) for key in ("last_accessed", "last_modified"))

    # Without the store it can only come from the cache.
    stored = server.base / "store" / image_id
    stored.rename(stored.with_suffix(".away"))
    hot = server.download(image_id)
    assert hot.content == data, "hot"
    assert hot.headers["Content-Length"] == str(len(data))
    assert hot.headers["Content-MD5"]
    wait_for(lambda: hits(server, image_id) == 1, 60)
    assert server.cached()[image_id]["hits"] == 1
    stored.with_suffix(".away").rename(stored)

    part = server.download(image_id, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, data[10:20])
    assert hits(server, image_id) == 1, "Glance answers ranges from the store"

    requests.delete(f"{server.url}/v2/images/{image_id}", timeout=60).raise_for_status()
    assert image_id not in server.cached()
    assert server.download(image_id).status_code == 404


@pytest.mark.parametrize("wsgi_server", ["gunicorn", "uwsgi"])
def test_cache_api(serve_glance, noise, wsgi_server):
    # The thread that works the queue off is Glance's own, and does not survive a fork: so no fork here.
    server = serve_glance(server=wsgi_server, preload=False, workers=1)
    images = {server.create(noise(n, 1000 + n)): n for n in range(3)}
    first, second, third = images

    for turn in range(2):
        # Queued, fetched by that thread, and off the queue.
        assert requests.put(f"{server.url}/v2/cache/{first}", timeout=60).status_code == 202
        wait_for(lambda: first in server.cached(), 60, server.log)
        wait_for(lambda: not (server.cache_dir / "queue" / first).exists(), 60)
        assert is_icewells(server.cache_dir / first) and hits(server, first) == 0
        assert requests.get(f"{server.url}/v2/cache", timeout=60).json()["queued_images"] == []
        if turn == 0:
            assert requests.delete(f"{server.url}/v2/cache/{first}", timeout=60).status_code == 204
            assert first not in server.cached()
    for image_id in (second, third):
        server.download(image_id)
    wait_for(lambda: set(server.cached()) == set(images), 60)
    assert [image["image_id"] for image in server.cached().values()] == sorted(images)

    assert requests.delete(f"{server.url}/v2/cache/{first}", timeout=60).status_code == 204
    assert set(server.cached()) == {second, third}
    (server.cache_dir / "invalid" / "failed").write_bytes(b"x")
    assert requests.post(f"{server.url}/v2/cache/clean", timeout=60).status_code == 200
    assert not (server.cache_dir / "invalid" / "failed").exists()
    pruned = requests.post(f"{server.url}/v2/cache/prune", timeout=60)
    assert pruned.json() == {"total_files_pruned": 0, "total_bytes_pruned": 0}
    assert requests.delete(f"{server.url}/v2/cache", timeout=60).status_code == 204
    assert server.cached() == {}
    # The older interface.
    listed = requests.get(f"{server.url}/v2/cached_images", timeout=60)
    assert listed.json() == {"cached_images": []}


def test_what_is_queued_in_a_forked_worker_waits(forking_server, noise):
    """Glance's thread that fetches is not there after a fork: the queue keeps what was asked for, until it is cached in
    another way."""
    server = forking_server
    data = noise(6, 1000)
    image_id = server.create(data)
    assert requests.put(f"{server.url}/v2/cache/{image_id}", timeout=60).status_code == 202
    assert image_id in requests.get(f"{server.url}/v2/cache", timeout=60).json()["queued_images"]
    assert server.download(image_id).content == data
    wait_for(lambda: image_id in server.cached(), 60)
    assert image_id not in requests.get(f"{server.url}/v2/cache", timeout=60).json()["queued_images"]


def test_prune_takes_the_least_recently_used(serve_glance, noise):
    server = serve_glance(max_size=2500, preload=False, workers=1)
    old, used, new = (server.create(noise(n, 1000)) for n in range(3))
    for image_id in (old, used, new):
        server.download(image_id)
        wait_for(lambda: image_id in server.cached(), 60)
    server.download(used)
    server.download(old)
    wait_for(lambda: hits(server, old) == 1, 60)
    assert len(server.cached()) == 3, "the limit is a soft one"
    pruned = requests.post(f"{server.url}/v2/cache/prune", timeout=60)
    assert pruned.json() == {"total_files_pruned": 1, "total_bytes_pruned": 1000}
    assert set(server.cached()) == {old, used}


def test_cold_downloads_at_the_same_time(glance_server, noise):
    server = glance_server
    data = noise(2, 8 * MiB)
    image_id = server.create(data)
    got = []
    clients = [threading.Thread(target=lambda: got.append(server.download(image_id).content)) for _ in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert [one == data for one in got] == [True] * 6
    wait_for(lambda: image_id in server.cached(), 60)
    assert server.download(image_id).content == data
    assert os.listdir(server.cache_dir / "incomplete" / ".icewell") == []
    assert not (server.cache_dir / "invalid" / image_id).exists()


class SlowClient:
    """Asks for an image and reads only its beginning."""

    def __init__(self, server, image_id):
        url = urlsplit(server.file_url(image_id))
        self.socket = socket.create_connection((url.hostname, url.port))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.sendall(f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
        assert self.socket.recv(1000).startswith(b"HTTP/1.1 200")

    def close(self):
        self.socket.close()


def test_a_client_that_leaves_leaves_nothing_cached(glance_server, noise):
    server = glance_server
    data = noise(3, 32 * MiB)
    image_id = server.create(data)
    client = SlowClient(server, image_id)
    cache = icewell.Cache(server.cache_dir)
    wait_for(lambda: cache.is_being_cached(image_id), 60)
    assert not cache.is_cached(image_id)
    client.close()
    wait_for(lambda: (server.cache_dir / "invalid" / image_id).exists(), 60, server.log)
    assert [failed.error for failed in cache.invalid() if failed.id == image_id] == ["incomplete fetch"]
    assert server.download(image_id).content == data
    wait_for(lambda: image_id in server.cached(), 60)


def test_a_worker_that_is_killed_frees_its_fill(glance_server, noise):
    server = glance_server
    data = noise(4, 32 * MiB)
    image_id = server.create(data)
    client = SlowClient(server, image_id)
    cache = icewell.Cache(server.cache_dir)
    wait_for(lambda: cache.is_being_cached(image_id), 60)
    before = set(server.workers())
    server.kill_workers()
    wait_for(lambda: server.workers() and not before & set(server.workers()), 60, server.log)
    client.close()
    assert not cache.is_being_cached(image_id)
    assert not cache.is_cached(image_id)
    assert server.download(image_id).content == data
    wait_for(lambda: image_id in server.cached(), 60)


def test_by_way_of_the_paste_configuration(serve_glance, noise):
    server = serve_glance(
        application="glance.wsgi.api:application", cache_filter="icewell.glance.paste:filter_factory"
    )
    data = noise(5, 1000)
    image_id = server.create(data)
    server.download(image_id)
    wait_for(lambda: image_id in server.cached(), 60)
    assert is_icewells(server.cache_dir / image_id)


def test_there_and_back(serve_glance, noise):
    """What one driver has cached, the other serves, and goes on counting."""
    server = serve_glance(application="glance.wsgi.api:application")
    images = {}
    for number, application in enumerate(["glance", "icewell", "glance"]):
        if number:
            server.stop()
            server.serve_by("icewell.glance.wsgi:application" if application == "icewell" else "glance.wsgi.api:application")
            server.start()
        for image_id, (data, hits_before) in images.items():
            assert server.download(image_id).content == data
            wait_for(lambda: server.cached()[image_id]["hits"] == hits_before + 1, 60)
            images[image_id] = (data, hits_before + 1)
        data = noise(number, 100_000)
        image_id = server.create(data)
        server.download(image_id)
        wait_for(lambda: image_id in server.cached(), 60)
        assert (application == "icewell") == is_icewells(server.cache_dir / image_id)
        # From here on it can only come from the cache.
        (server.base / "store" / image_id).unlink()
        images[image_id] = (data, 0)
