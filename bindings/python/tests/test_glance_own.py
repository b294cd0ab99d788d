"""Glance's own tests, unchanged and from the installed package, with Icewell's driver in the place of Glance's own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import glance

SITE = Path(glance.__file__).parent.parent
HERE = Path(__file__).parent

#: Every file of Glance's tests that has to do with its image cache, except those of the other drivers alone. All in one
#: process: some have only what others before them have imported.
TESTS = [
    "glance/tests/unit/test_image_cache.py",
    "glance/tests/unit/test_cache_middleware.py",
    "glance/tests/unit/test_cache_manage.py",
    "glance/tests/unit/test_cached_images.py",
    "glance/tests/unit/api/middleware/test_cache_manage.py",
    "glance/tests/unit/api/test_cmd.py",
    "glance/tests/unit/common/test_wsgi_app.py",
    "glance/tests/unit/v2/test_cache_management_api.py",
    "glance/tests/functional/test_cache_middleware.py",
    "glance/tests/functional/v2/test_cache_api.py",
    "glance/tests/functional/v2/test_cache_api_policy.py",
    "glance/tests/functional/v2/test_download_from_store.py",
]


def run(stand_in=True):
    """What pytest says. It has to be run where Glance is: its tests take files by relative paths."""
    plugin = ["-p", "stand_in"] if stand_in else []
    command = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-W", "ignore", "-v", *plugin]
    done = subprocess.run(
        [*command, *TESTS], cwd=SITE, env=os.environ | {"PYTHONPATH": str(HERE)}, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def outcomes(said):
    """What became of each test: `FILE::CLASS::TEST` to a word."""
    return dict(re.findall(r"^(\S+::\S+) (PASSED|FAILED|SKIPPED|ERROR)", said, re.MULTILINE))


@pytest.fixture(scope="module")
def said():
    """What pytest says of all of them on Icewell's driver."""
    return run()


def test_of_the_xattr_driver_and_the_prefetcher(said):
    """Every one passes; and it is Icewell's driver that they test."""
    ours = {name: how for name, how in outcomes(said).items() if name.startswith(TESTS[0])}
    assert len([name for name in ours if re.search("TestImageCacheXattr|TestImagePrefetcher", name)]) >= 21, said
    assert set(ours.values()) == {"PASSED"}, said
    configured = re.search(r"Icewell's driver was configured (\d+) times", said)
    assert configured and int(configured[1]) >= 39, said


def test_of_the_middleware_and_the_api(said):
    """They pass wherever they pass on Glance's own driver on this machine."""
    ours = outcomes(said)
    assert {name.partition("::")[0] for name in ours} == set(TESTS), said
    if set(ours.values()) != {"PASSED"}:
        passed = {name for name, how in outcomes(run(stand_in=False)).items() if how == "PASSED"}
        assert not [name for name in passed if ours.get(name) != "PASSED"], said
