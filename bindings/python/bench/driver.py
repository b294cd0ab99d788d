"""Times Icewell's driver beside Glance's own, in the same run, on the same file system: `make bench-driver`.

ICEWELL_BENCH_DIR is where (default: the temporary directory), ICEWELL_BENCH_QUICK=1 leaves the largest figures out.
Each figure is the best of several rounds in which the two drivers take turns: what else the machine does only ever adds.
The last column is how many times as fast Icewell's is. Entries are as each driver leaves them, made without it where that takes too long.
"""

import hashlib
import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path

from oslo_config import cfg

from glance import image_cache
from glance.image_cache.drivers import xattr as glances

import icewell.glance

QUICK = bool(os.environ.get("ICEWELL_BENCH_QUICK"))
KIB = b"*" * 1024
DIGEST = "sha256:" + hashlib.sha256(KIB).hexdigest()


class Cache(image_cache.ImageCache):
    """Glance's image cache with a driver that is given."""

    def __init__(self, driver):
        self.driver = driver

    def init_driver(self):
        pass


class Contestant:
    """A driver with a directory of its own."""

    def __init__(self, driver_class, base):
        self.base = base / driver_class.__module__
        cfg.CONF.set_override("image_cache_dir", str(self.base))
        self.ours = driver_class is icewell.glance.Driver
        self.driver = driver_class()
        self.driver.configure()
        self.cache = Cache(self.driver)

    def fill_with(self, ids):
        """Entries as the driver leaves them; the first are the least recently used."""
        start = time.time() - 1_000_000
        for number, image_id in enumerate(ids):
            path = self.base / image_id
            path.write_bytes(KIB)
            # In the order of a commit: it decides what finds room next to the inode.
            if self.ours:
                os.setxattr(path, "user.icewell.id", image_id.encode())
            os.setxattr(path, "user.hits", b"0")
            if self.ours:
                os.setxattr(path, "user.icewell.computed_digest", DIGEST.encode())
            os.utime(path, (start + number, start))

    def forget(self):
        shutil.rmtree(self.base)


def contestants(base, ids=()):
    both = [Contestant(glances.Driver, base), Contestant(icewell.glance.Driver, base)]
    for one in both:
        one.fill_with(ids)
    return both


def new_ids(count):
    return [str(uuid.uuid4()) for _ in range(count)]


def timed(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def show(what, times, unit=1.0, name="s"):
    old, new = (min(one) / unit for one in times)
    print(f"{what:<44} {old:>12.2f} {name:<2} {new:>12.2f} {name:<2} {old / new:>9.1f}x", flush=True)


def take_turns(both, work, rounds):
    times = ([], [])
    for _ in range(rounds):
        for one, taken in zip(both, times):
            taken.append(timed(lambda: work(one)))
    return times


def calls(base):
    ids = new_ids(1000)
    both = contestants(base, ids)

    def is_cached(one):
        for image_id in ids:
            one.driver.is_cached(image_id)

    def is_not_cached(one):
        for number in range(1000):
            one.driver.is_cached(f"absent-{number}")

    def hit(one):
        for image_id in ids:
            with one.driver.open_for_read(image_id) as file:
                file.read(1024)

    for what, work in (("is_cached: yes", is_cached), ("is_cached: no", is_not_cached), ("hit: open, read 1 KiB, count", hit)):
        show(what, take_turns(both, work, 15), unit=1e-6 * 1000, name="µs")
    for one in both:
        one.forget()


def commits(base, where):
    both = contestants(base)
    count = 50

    def write(one):
        for image_id in new_ids(count):
            with one.driver.open_for_write(image_id) as file:
                file.write(KIB)

    show(f"write and commit 1 KiB, {where}", take_turns(both, write, 7), unit=1e-6 * count, name="µs")
    for one in both:
        one.forget()


def passes(base, count):
    both = contestants(base, new_ids(count))
    for one in both:
        assert len(one.driver.get_cached_images()) == count
    rounds = 3 if count > 50_000 else 9
    show(f"list {count:,}", take_turns(both, lambda one: one.driver.get_cached_images(), rounds), unit=1e-3, name="ms")
    show(f"size of {count:,}", take_turns(both, lambda one: one.driver.get_cache_size(), rounds), unit=1e-3, name="ms")
    for one in both:
        one.forget()


def prunes(base, count):
    """Glance's own loop, which asks the driver for each victim."""
    ids = new_ids(count)
    cfg.CONF.set_override("image_cache_max_size", count // 2 * len(KIB))
    both = contestants(base, ids)

    def prune(one):
        files, _ = one.cache.prune()
        assert files == count - count // 2, files

    show(f"prune half of {count:,}", take_turns(both, prune, 1), unit=1e-3, name="ms")
    for one in both:
        assert not any((one.base / image_id).exists() for image_id in ids[: count - count // 2])
        one.forget()


def fill(base, size):
    both = contestants(base)
    noise = os.urandom(16 << 20)
    chunks = [noise[at : at + 65536] for at in range(0, len(noise), 65536)]
    times = size // len(noise)
    md5 = hashlib.md5()
    for _ in range(times):
        md5.update(noise)
    checksum = md5.hexdigest()

    def tee(one):
        image = (chunk for _ in range(times) for chunk in chunks)
        assert one.cache.cache_image_iter("image", image, checksum)
        assert one.driver.is_cached("image")

    def make_room(one):
        one.driver.delete_all_cached_images()
        os.sync()

    filled, durable = ([], []), ([], [])
    for _ in range(3):
        for one, taken, on_disk in zip(both, filled, durable):
            make_room(one)
            took = timed(lambda: tee(one))
            taken.append(took)
            file = os.open(one.base / "image", os.O_RDONLY)
            on_disk.append(took + timed(lambda: os.fsync(file)))
            os.close(file)
    what = f"fill of {size >> 20:,} MiB with checksum"
    show(what, filled, unit=1e-3, name="ms")
    show(f"{what}, until on disk", durable, unit=1e-3, name="ms")
    for one in both:
        one.forget()


def main():
    print(f"{'':<44} {'Glance':>15} {'Icewell':>15} {'ratio':>10}")
    with tempfile.TemporaryDirectory(dir=os.environ.get("ICEWELL_BENCH_DIR")) as base:
        base = Path(base)
        calls(base)
        commits(base, "on disk at once")
        shm = Path("/dev/shm")
        if shm.is_dir() and os.access(shm, os.W_OK):
            with tempfile.TemporaryDirectory(dir=shm) as memory:
                # In memory a sync costs nothing: the figure without durability.
                commits(Path(memory), "in memory")
        for count in (1_000, 10_000) if QUICK else (1_000, 10_000, 100_000):
            passes(base, count)
        fill(base, (64 if QUICK else 1024) << 20)
        for count in (1_000,) if QUICK else (1_000, 4_000, 10_000):
            prunes(base, count)


if __name__ == "__main__":
    main()
