"""Fixtures: one cloud for the whole run, its Glances started when a test first asks for them."""

import pytest

from bed import Bed


@pytest.fixture(scope="session")
def bed(request):
    with Bed() as bed:
        yield bed
        bed.keep = request.session.testsfailed > 0


@pytest.fixture(scope="session")
def glance(bed):
    """A Glance as most are: no cache of its own, default policies."""
    return bed.glance()


@pytest.fixture(scope="session")
def caching_glance(bed):
    """A Glance that caches by itself, with both management APIs."""
    return bed.glance("caching", cache="xattr")
