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

TESTS = [
    "glance/tests/unit/test_image_cache.py",
    "glance/tests/unit/test_cache_middleware.py",
    "glance/tests/unit/test_cache_manage.py",
    "glance/tests/unit/test_cached_images.py",
    "glance/tests/unit/v2/test_cache_management_api.py",
    "glance/tests/functional/test_cache_middleware.py",
    "glance/tests/functional/v2/test_cache_api.py",
    "glance/tests/functional/v2/test_cache_api_policy.py",
]


def run(*arguments, stand_in=True):
    """What pytest says. It has to be run where Glance is: its tests take files by relative paths."""
    plugin = ["-p", "stand_in"] if stand_in else []
    command = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-W", "ignore", "-v", *plugin]
    done = subprocess.run(
        [*command, *arguments], cwd=SITE, env=os.environ | {"PYTHONPATH": str(HERE)}, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def outcomes(said):
    return dict(re.findall(r"^\S*?(::\S+) (PASSED|FAILED|SKIPPED|ERROR)", said, re.MULTILINE))


def of_xattr_and_prefetcher(outcomes):
    return {name: how for name, how in outcomes.items() if re.search("TestImageCacheXattr|TestImagePrefetcher", name)}


def test_of_the_xattr_driver_and_the_prefetcher():
    said = run(TESTS[0])
    ours = outcomes(said)
    assert len(of_xattr_and_prefetcher(ours)) >= 21, said
    assert set(ours.values()) == {"PASSED"}, said
    configured = re.search(r"Icewell's driver was configured (\d+) times", said)
    assert configured and int(configured[1]) >= 21, said


@pytest.mark.parametrize("tests", TESTS[1:])
def test_of_the_middleware_and_the_api(tests):
    """Wherever they pass on Glance's own driver on this machine."""
    said = run(tests)
    ours = outcomes(said)
    assert ours, said
    if set(ours.values()) != {"PASSED"}:
        passed = {name for name, how in outcomes(run(tests, stand_in=False)).items() if how == "PASSED"}
        assert not [name for name in passed if ours.get(name) != "PASSED"], said
