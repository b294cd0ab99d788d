"""The cases that every front end of a cache must pass alike, on the package and on the driver inside Glance."""

import re
from itertools import groupby
from pathlib import Path

import pytest

CASES = Path(__file__).parents[3] / "crates/icewell/tests/conformance/cases.txt"


def read_cases():
    """Name of each case to its lines."""
    cases = {}
    for line in CASES.read_text().splitlines():
        if line.startswith("case "):
            lines = cases[line.removeprefix("case ")] = []
        elif line and not line.startswith("#"):
            lines.append(line)
    return cases


def from_text(text):
    if not text.startswith("0x"):
        return b"" if text == "-" else text.encode()
    return b"".join(bytes([int(byte, 16)]) * int(count) for byte, count in re.findall(r"0x(..)\*(\d+)", text))


def to_text(data):
    if not data or re.fullmatch(rb"[a-z]+", data):
        return data.decode() or "-"
    return "+".join(f"0x{byte:02x}*{len(list(run))}" for byte, run in groupby(data))


def yes(answer):
    return "yes" if answer else "no"


class Package:
    """`icewell.Cache`."""

    def __init__(self, cache):
        self.cache = cache

    def put(self, image_id, text):
        with self.cache.write(image_id) as writer:
            writer.write(from_text(text))
        return ""

    def get(self, image_id):
        try:
            with self.cache.read(image_id) as reader:
                data = reader.read()
                reader.count_hit()
                return to_text(data)
        except FileNotFoundError:
            return "none"

    def remove(self, image_id):
        return yes(self.cache.remove(image_id))

    def list(self):
        return " ".join(f"{image.id}:{image.size}:{image.hits}" for image in self.cache.images())

    def queue(self, image_id):
        return yes(self.cache.queue(image_id))

    def queued(self):
        return " ".join(self.cache.queued())

    def unqueue(self, image_id):
        return yes(self.cache.unqueue(image_id))

    def prune(self, max_size):
        pruned = self.cache.prune(int(max_size))
        return f"{len(pruned)} {sum(size for _, size in pruned)}"

    def remove_all(self):
        return str(self.cache.remove_all())


class Glances(Package):
    """The driver, as Glance uses it."""

    def __init__(self, driver, config):
        from glance import image_cache

        self.driver, self.config = driver, config
        self.image_cache = image_cache.ImageCache()
        self.image_cache.driver = driver

    def put(self, image_id, text):
        assert self.image_cache.cache_image_iter(image_id, iter([from_text(text)]))
        return ""

    def get(self, image_id):
        try:
            with self.driver.open_for_read(image_id) as file:
                return to_text(file.read())
        except FileNotFoundError:
            return "none"

    def remove(self, image_id):
        there = self.driver.is_cached(image_id)
        self.driver.delete_cached_image(image_id)
        return yes(there)

    def list(self):
        return " ".join("{image_id}:{size}:{hits}".format(**image) for image in self.driver.get_cached_images())

    def queue(self, image_id):
        return yes(self.driver.queue_image(image_id))

    def queued(self):
        return " ".join(self.driver.get_queued_images())

    def unqueue(self, image_id):
        there = self.driver.is_queued(image_id)
        self.driver.delete_queued_image(image_id)
        return yes(there)

    def prune(self, max_size):
        self.config(image_cache_max_size=int(max_size))
        return "{} {}".format(*self.image_cache.prune())

    def remove_all(self):
        return str(self.driver.delete_all_cached_images())


@pytest.mark.parametrize("front_end", ["package", "driver"])
@pytest.mark.parametrize("case", read_cases())
def test_of_every_front_end(case, front_end, request):
    if front_end == "package":
        store = Package(request.getfixturevalue("cache"))
    else:
        store = Glances(request.getfixturevalue("driver"), request.getfixturevalue("glance_conf"))
    for line in read_cases()[case]:
        operation, _, expected = line.partition(" ->")
        name, *arguments = operation.split(" ")
        assert getattr(store, name)(*arguments) == expected.strip(), line
