"""Glance's driver and Icewell's on one directory, in several processes at the same time.

Every process does random things by random turns with either driver. Nothing may fail that does not fail by its nature,
no reader may get wrong bytes, and whenever all of them pause, both drivers must see the same. ICEWELL_TEST_SECONDS says
for how long.

Only one thing is kept apart: two fills of one image by Glance's driver. Those write into one file, which spoils it with or
without anybody else.
"""

import contextlib
import fcntl
import hashlib
import multiprocessing
import os
import random
import threading
import time
import traceback

import pytest
from glance.image_cache.drivers import xattr as glances

import icewell
from icewell.glance import Driver

SECONDS = float(os.environ.get("ICEWELL_TEST_SECONDS", "15"))
PROCESSES = 4
IMAGES = [f"image-{n}" for n in range(8)]


def image(image_id, salt):
    """Bytes that tell whether they are whole: everything after the first line is made of it."""
    seed = f"{image_id} {salt}\n".encode()
    return seed + hashlib.shake_256(seed).digest(200_000 + salt * 37 % 100_000)


def is_whole(image_id, data):
    seed, _, rest = data.partition(b"\n")
    seed += b"\n"
    return seed.startswith(image_id.encode() + b" ") and rest == hashlib.shake_256(seed).digest(len(rest)) and (
        len(data) == len(image(image_id, int(seed.split()[1])))
    )


class Actor:
    """One process that does random things."""

    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.ours, self.theirs = Driver(), glances.Driver()
        for driver in (self.ours, self.theirs):
            driver.configure()
        self.done = {}
        self.locks = directory.parent / "locks"
        self.locks.mkdir(exist_ok=True)

    def step(self):
        driver = self.random.choice([self.ours, self.theirs])
        image_id = self.random.choice(IMAGES)
        operations = [self.fill] * 4 + [self.read] * 6 + [self.fail, self.delete, self.queue, self.unqueue, self.ask, self.clean]
        operation = self.random.choice(operations)
        key = (operation.__name__, driver is self.ours)
        self.done[key] = self.done.get(key, 0) + 1
        operation(driver, image_id)

    @contextlib.contextmanager
    def alone(self, driver, image_id):
        """Keeps two of Glance's own fills of one image apart; nobody else."""
        with contextlib.ExitStack() as held:
            if driver is self.theirs:
                lock = held.enter_context(open(self.locks / image_id, "w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def fill(self, driver, image_id, error=None):
        data = image(image_id, self.random.randrange(1000))
        with self.alone(driver, image_id):
            # As Glance's filter does: it asks first.
            if not driver.is_cacheable(image_id):
                return
            try:
                with driver.open_for_write(image_id) as file:
                    for at in range(0, len(data), 65536):
                        file.write(data[at : at + 65536])
                        if error is not None:
                            raise error
            except (BlockingIOError, FileExistsError):
                assert driver is self.ours
            except FileNotFoundError:
                # Glance came upon a claim in the moment in which it was taken back.
                assert driver is self.theirs
            except KeyError:
                assert error is not None

    def fail(self, driver, image_id):
        self.fill(driver, image_id, KeyError())

    def read(self, driver, image_id):
        try:
            with driver.open_for_read(image_id) as file:
                data = file.read()
        except FileNotFoundError:
            return
        except OSError:
            # Glance counts its hit by name, and the image may be gone.
            assert driver is self.theirs
            return
        except ValueError:
            # Glance's counter is read while another sets it.
            assert driver is self.theirs
            return
        if driver is self.ours:
            assert is_whole(image_id, data), (image_id, len(data), data[:40])

    def delete(self, driver, image_id):
        driver.delete_cached_image(image_id)

    def queue(self, driver, image_id):
        driver.queue_image(image_id)

    def unqueue(self, driver, image_id):
        driver.delete_queued_image(image_id)

    def clean(self, driver, image_id):
        # With Glance's driver this would remove fills that are alive.
        if driver is self.ours:
            driver.clean(stall_time=self.random.choice([0, 3600]))

    def ask(self, driver, image_id):
        try:
            driver.get_cached_images()
            driver.get_cache_size()
            driver.get_least_recently_accessed()
            driver.get_queued_images()
            driver.get_hit_count(image_id)
        except OSError:
            # Glance looks at a file again after it has listed it.
            assert driver is self.theirs


def act(directory, seed, rounds, barrier, failures):
    actor = Actor(directory, seed)
    try:
        for _ in range(rounds):
            barrier.wait()
            end = time.monotonic() + SECONDS / rounds
            while time.monotonic() < end:
                actor.step()
            # Everybody has stopped; one compares; everybody goes on.
            barrier.wait()
            barrier.wait()
        failures.put((None, actor.done))
    except threading.BrokenBarrierError:
        # Another one failed, and tells why.
        failures.put((None, seed))
    except Exception:
        failures.put((traceback.format_exc(), seed))
        barrier.abort()


def compare(directory):
    ours, theirs = Driver(), glances.Driver()
    for driver in (ours, theirs):
        driver.configure()
    listed = [sorted(driver.get_cached_images(), key=lambda entry: entry["image_id"]) for driver in (ours, theirs)]
    assert listed[0] == listed[1]
    assert ours.get_cached_images() == listed[0], "by ID"
    assert ours.get_cache_size() == theirs.get_cache_size()
    assert ours.get_queued_images() == theirs.get_queued_images()
    for image_id in IMAGES:
        for question in ("is_cached", "is_queued", "get_hit_count"):
            answers = [getattr(driver, question)(image_id) for driver in (ours, theirs)]
            assert answers[0] == answers[1], (question, image_id)
        assert ours.is_being_cached(image_id) is theirs.is_being_cached(image_id) is False
        if ours.is_cached(image_id):
            assert ours.get_image_size(image_id) == theirs.get_image_size(image_id)
            assert ours.get_image_filepath(image_id) == theirs.get_image_filepath(image_id)
            with open(directory / image_id, "rb") as file:
                assert is_whole(image_id, file.read()), image_id
    least = [driver.get_least_recently_accessed() for driver in (ours, theirs)]
    if least[0] is None:
        assert least[1] is None
    else:
        # Glance's driver knows whole seconds only, and takes the smallest of those.
        seconds = [int(os.stat(directory / image_id).st_atime) for image_id, _ in least]
        assert seconds[0] == seconds[1]
        assert least[0][1] == ours.get_image_size(least[0][0])
    return len(listed[0])


def test_both_see_the_same(directory, glance_conf):
    rounds = max(3, int(SECONDS / 3))
    fork = multiprocessing.get_context("fork")
    barrier, failures = fork.Barrier(PROCESSES + 1), fork.Queue()
    seed = int(os.environ.get("ICEWELL_TEST_SEED", time.time()))
    print(f"ICEWELL_TEST_SEED={seed}")
    icewell.Cache(directory)
    actors = [
        fork.Process(target=act, args=(directory, seed + n, rounds, barrier, failures)) for n in range(PROCESSES)
    ]
    for actor in actors:
        actor.start()
    try:
        seen = 0
        for _ in range(rounds):
            barrier.wait(60)
            barrier.wait(SECONDS + 60)
            try:
                seen += compare(directory)
            except BaseException:
                barrier.abort()
                raise
            barrier.wait(60)
    except Exception as broken:
        told = [failures.get(timeout=30)[0] for _ in actors]
        pytest.fail(f"{broken!r}\n" + "\n".join(filter(None, told)), pytrace=False)
    finally:
        for actor in actors:
            actor.join(10)
            if actor.is_alive():
                actor.kill()
    done = {}
    for _ in actors:
        failure, counts = failures.get(timeout=5)
        assert failure is None, failure
        for key, count in counts.items():
            done[key] = done.get(key, 0) + count
    assert seen > 0 and all(count > 0 for count in done.values()) and len(done) >= 14, done
