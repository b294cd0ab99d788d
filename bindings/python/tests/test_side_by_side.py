"""Glance's driver and Icewell's on one directory, in several processes at the same time.

Half of the processes use the one, half the other, and all do random things. Nothing may fail that does not fail by its
nature, no reader may get wrong bytes, and whenever all of them pause, both drivers must see the same, and where Glance's
driver did not count, each hit of Icewell's.

ICEWELL_TEST_SECONDS says for how long at least (a minute; hours are fine), ICEWELL_TEST_SEED makes the same choices
again, though not in the same order of events. However slow the machine, each process does thousands of operations.

Only one thing is kept apart: two fills of one image by Glance's driver. Those write into one file, which spoils it with or
without anybody else.
"""

import collections
import contextlib
import fcntl
import hashlib
import json
import logging
import multiprocessing
import os
import random
import threading
import time
import traceback

import pytest
from glance import image_cache
from glance.image_cache.drivers import xattr as glances

import icewell
from icewell.glance import Driver

SECONDS = float(os.environ.get("ICEWELL_TEST_SECONDS", "60"))
#: Processes of each kind.
PROCESSES = 3
#: Operations of each process between two pauses, and pauses at least.
STEPS, ROUNDS = 200, 10
IMAGES = [f"image-{n}" for n in range(8)]
#: These are read, and so counted, by Icewell's driver alone.
ONLY_OURS = IMAGES[4:]
#: What a prune leaves: about two thirds of all of them.
LIMIT = 1_300_000


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


def same_file(stat):
    """What tells a file from all that have its name before and after it."""
    return f"{stat.st_ino} {stat.st_mtime_ns}"


class Actor:
    """One process that does random things with one of the drivers."""

    def __init__(self, directory, seed, driver_class):
        self.random = random.Random(seed)
        self.driver = driver_class()
        self.driver.configure()
        self.is_ours = driver_class is Driver
        self.cache = image_cache.ImageCache()
        self.cache.driver = self.driver
        self.done = collections.Counter()
        self.hits = collections.Counter()
        self.locks = directory.parent / "locks"
        self.choices = [self.fill] * 8 + [self.read] * 12 + [self.ask] * 3
        self.choices += [self.fail, self.leave, self.delete, self.queue, self.unqueue, self.clean] * 2
        self.choices += [self.prune, self.unqueue_all, self.delete_all]

    def step(self):
        operation = self.random.choice(self.choices)
        self.done[operation.__name__] += 1
        operation(self.random.choice(IMAGES))

    @contextlib.contextmanager
    def alone(self, image_id):
        """Keeps two of Glance's own fills of one image apart; nobody else."""
        with contextlib.ExitStack() as held:
            if not self.is_ours:
                lock = held.enter_context(open(self.locks / image_id, "w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def fill(self, image_id, error=None):
        data = image(image_id, self.random.randrange(1000))
        with self.alone(image_id):
            # As Glance's filter does: it asks first.
            if not self.driver.is_cacheable(image_id):
                return
            try:
                with self.driver.open_for_write(image_id) as file:
                    for at in range(0, len(data), 65536):
                        file.write(data[at : at + 65536])
                        if error is not None:
                            raise error
            except (BlockingIOError, FileExistsError):
                assert self.is_ours
            except FileNotFoundError:
                # Glance came upon a claim in the moment in which it was taken back.
                assert not self.is_ours
            except (KeyError, GeneratorExit):
                assert error is not None

    def fail(self, image_id):
        self.fill(image_id, KeyError("why"))

    def leave(self, image_id):
        """As a client that goes away in the middle."""
        self.fill(image_id, GeneratorExit())

    def read(self, image_id):
        if not self.is_ours and image_id in ONLY_OURS:
            return
        try:
            with self.driver.open_for_read(image_id) as file:
                data = file.read()
                which = same_file(os.fstat(file.fileno()))
                assert is_whole(image_id, data), (image_id, len(data), data[:40])
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            # Glance counts its hit by name, and the image may be gone; or reads the counter while another sets it.
            assert not self.is_ours
            return
        self.hits[f"{image_id} {which}"] += 1

    def delete(self, image_id):
        self.driver.delete_cached_image(image_id)

    def delete_all(self, image_id):
        self.driver.delete_all_cached_images()

    def queue(self, image_id):
        self.driver.queue_image(image_id)

    def unqueue(self, image_id):
        self.driver.delete_queued_image(image_id)

    def unqueue_all(self, image_id):
        self.driver.delete_all_queued_images()

    def prune(self, image_id):
        try:
            self.cache.prune()
        except OSError:
            # Glance looks at a file again after it has listed it.
            assert not self.is_ours

    def clean(self, image_id):
        try:
            # For Glance's driver a fill that is alive is as good as any other one.
            self.driver.clean(stall_time=self.random.choice([1, 3600]) if self.is_ours else 3600)
        except OSError:
            assert not self.is_ours

    def ask(self, image_id):
        try:
            self.driver.get_cached_images()
            self.driver.get_cache_size()
            self.driver.get_least_recently_accessed()
            self.driver.get_queued_images()
            self.driver.get_hit_count(image_id)
        except (OSError, ValueError):
            assert not self.is_ours


def act(directory, number, seed, barrier, over, failures):
    logging.disable()
    try:
        actor = Actor(directory, seed + number, (Driver, glances.Driver)[number % 2])
        while not over.value:
            for _ in range(STEPS):
                actor.step()
            told = {"ours": actor.is_ours, "done": actor.done, "hits": actor.hits}
            (directory.parent / f"actor-{number}").write_text(json.dumps(told))
            # Everybody has stopped; one compares; everybody goes on.
            barrier.wait()
            barrier.wait()
    except threading.BrokenBarrierError:
        # Another one failed, and tells why.
        pass
    except BaseException:
        failures.put(f"process {number}: {traceback.format_exc()}")
        barrier.abort()


def compare(directory, ours, theirs, actors):
    """What both see while nobody does anything; how many images are cached, and hits were looked at."""
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
    counted = sum((collections.Counter(actor["hits"]) for actor in actors), collections.Counter())
    hits = 0
    for entry in listed[0]:
        image_id = entry["image_id"]
        if image_id in ONLY_OURS:
            assert entry["hits"] == counted[f"{image_id} {same_file(os.stat(directory / image_id))}"], image_id
            hits += entry["hits"]
    return len(listed[0]), hits


def test_both_see_the_same(directory, glance_conf):
    glance_conf(image_cache_max_size=LIMIT)
    seed = int(os.environ.get("ICEWELL_TEST_SEED", time.time()))
    print(f"ICEWELL_TEST_SEED={seed}")
    (directory.parent / "locks").mkdir()
    ours, theirs = Driver(), glances.Driver()
    for driver in (ours, theirs):
        driver.configure()
    fork = multiprocessing.get_context("fork")
    barrier, over, failures = fork.Barrier(2 * PROCESSES + 1), fork.Value("b", False), fork.Queue()
    processes = [
        fork.Process(target=act, args=(directory, number, seed, barrier, over, failures))
        for number in range(2 * PROCESSES)
    ]
    begun = time.monotonic()
    for process in processes:
        process.start()
    rounds = images = hits = 0
    try:
        while not over.value:
            barrier.wait(600)
            actors = [json.loads((directory.parent / f"actor-{n}").read_text()) for n in range(2 * PROCESSES)]
            seen = compare(directory, ours, theirs, actors)
            rounds, images, hits = rounds + 1, images + seen[0], hits + seen[1]
            over.value = rounds >= ROUNDS and time.monotonic() - begun > SECONDS
            barrier.wait(600)
    except threading.BrokenBarrierError:
        pytest.fail(f"ICEWELL_TEST_SEED={seed}\n{failures.get(timeout=30)}", pytrace=False)
    finally:
        barrier.abort()
        for process in processes:
            process.join(30)
            if process.is_alive():
                process.kill()
    for kind in (True, False):
        done = sum((collections.Counter(actor["done"]) for actor in actors if actor["ours"] is kind), collections.Counter())
        print("Icewell" if kind else "Glance", dict(done))
        assert len(done) == 12 and min(done.values()) >= 10 and sum(done.values()) == rounds * STEPS * PROCESSES, done
    print(f"{rounds} pauses, {images} images and {hits} hits compared")
    assert images > rounds and hits > rounds
