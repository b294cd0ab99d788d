"""What the tests share: directories, bytes, a Glance's configuration, and a Glance that serves."""

import random

import pytest

import icewell
from glance_server import GlanceServer


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def cache(directory):
    return icewell.Cache(directory)


@pytest.fixture
def put(cache):
    """Puts an image into the cache."""

    def put(image_id, data=b"an image"):
        with cache.write(image_id) as writer:
            writer.write(data)

    return put


@pytest.fixture
def glance_conf(directory):
    """Glance's configuration, set to `directory` for one test. A call of it sets other options."""
    from glance import image_cache  # noqa: F401, it registers the options
    from oslo_config import fixture

    config = fixture.Config()
    config.setUp()
    config.config(image_cache_dir=str(directory), image_cache_driver="xattr", image_cache_max_size=5 * 1024)
    yield config.config
    config.cleanUp()


@pytest.fixture
def driver(glance_conf):
    """Icewell's driver, configured."""
    from icewell.glance import Driver

    driver = Driver()
    driver.configure()
    return driver


@pytest.fixture(scope="session")
def noise():
    """Some bytes that are the same for the same seed, in no pattern."""

    def noise(seed, length):
        return random.Random(seed).randbytes(length)

    return noise


@pytest.fixture(scope="module")
def glance_database(tmp_path_factory):
    """An empty database of Glance's. To make one takes seconds, so there is one for each module to copy."""
    return GlanceServer.make_database(tmp_path_factory.mktemp("database"))


@pytest.fixture(scope="module")
def glance_server(tmp_path_factory, glance_database):
    """A real Glance for those tests that need nothing special of it: to start one takes seconds."""
    server = GlanceServer(tmp_path_factory.mktemp("server") / "glance", glance_database)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def serve_glance(tmp_path, glance_database):
    """Starts a real Glance with options of its own. What it says is shown where the test fails."""
    servers = []

    def serve(**options):
        server = GlanceServer(tmp_path / f"glance-{len(servers)}", glance_database, **options)
        servers.append(server)
        server.start()
        return server

    yield serve
    for server in servers:
        server.stop()
        print(server.log())
