"""Fills that go on on a thread of their own: all that holds for small ones holds for these."""

import contextlib
import hashlib
import logging
import multiprocessing
import os
import pathlib

import pytest

import icewell

#: More than what is written on the caller's thread, and no whole number of pieces.
LARGE = (9 << 20) + 12_345


def write_in(writer, data, piece):
    for at in range(0, len(data), piece):
        assert writer.write(data[at : at + piece]) == len(data[at : at + piece])


def fill_threads():
    found = []
    for task in pathlib.Path(f"/proc/{os.getpid()}/task").iterdir():
        # The threads that hash one piece come and go.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [task.name] if (task / "comm").read_text() == "icewell-fill\n" else []
    return found


@pytest.mark.parametrize("piece", [1000, 65536, 1 << 20, LARGE])
def test_a_large_image_in_and_out(cache, noise, piece):
    data = noise(1, LARGE)
    with cache.write("a") as writer:
        write_in(writer, data, piece)
        assert writer.tell() == LARGE
        # And perhaps one that hashes a piece, which has the name of its parent for a moment.
        assert fill_threads()
    assert writer.closed and fill_threads() == []
    image = cache.image("a")
    assert (image.size, image.computed_digest) == (LARGE, f"sha256:{hashlib.sha256(data).hexdigest()}")
    with cache.read("a") as reader:
        assert reader.read() == data


def test_a_small_one_needs_no_thread(cache):
    with cache.write("a") as writer:
        writer.write(b"x" * (4 << 20))
        assert fill_threads() == []


def test_one_that_is_left_is_rolled_back_at_once(cache, noise):
    writer = cache.write("a")
    write_in(writer, noise(1, LARGE), 65536)
    del writer
    assert cache.incomplete() == [] and fill_threads() == []
    failed = cache.invalid()[0]
    assert (failed.size, failed.error) == (LARGE, "incomplete fetch")
    with cache.write("a"):
        pass


def test_an_error_ends_with_the_reason_of_the_caller(cache, noise):
    with pytest.raises(KeyError), cache.write("a") as writer:
        write_in(writer, noise(1, LARGE), 65536)
        raise KeyError("why")
    failed = cache.invalid()[0]
    assert (failed.size, failed.error) == (LARGE, "'why'")


def test_what_could_not_be_written_is_told_at_the_latest_at_the_commit(cache, noise, directory):
    data = noise(1, LARGE)
    with pytest.raises(icewell.SizeMismatchError) as raised, cache.write("a", size=LARGE - 1) as writer:
        write_in(writer, data, 65536)
    assert "were announced and more came" in raised.value.strerror
    assert writer.closed and not cache.is_cached("a") and not cache.is_being_cached("a")
    assert "were announced and more came" in cache.invalid()[0].error
    # Much more than may wait: told by `write`, and from then on by everything.
    writer = cache.write("b", size=5 << 20)
    with pytest.raises(icewell.SizeMismatchError):
        write_in(writer, data * 3, 65536)
    with pytest.raises(OSError):
        writer.write(b"more")
    with pytest.raises(OSError):
        writer.commit()
    assert writer.closed and fill_threads() == []


def test_verified_before_it_is_committed(cache, noise):
    data = noise(1, LARGE)
    good = "sha512:" + hashlib.sha512(data).hexdigest()
    with cache.write("a", digests=[good]) as writer:
        writer.write(data)
        writer.verify()
        assert not cache.is_cached("a")
    assert cache.image("a").digest == good
    with pytest.raises(icewell.DigestMismatchError), cache.write("b", digests=["md5:" + "0" * 32]) as writer:
        writer.write(data)


def test_suspended_with_all_that_was_taken(cache, noise):
    writer = cache.write("a", size=2 * LARGE)
    writer.write(noise(1, LARGE))
    writer.suspend()
    fill = cache.incomplete()[0]
    assert (fill.active, fill.written, fill.size) == (False, LARGE, 2 * LARGE)


def test_a_fork_leaves_it_alone(cache, noise):
    data = noise(1, LARGE)
    half = len(data) // 2 + 1
    with cache.write("a") as writer:
        writer.write(data[:half])
        # And perhaps one that hashes a piece, which has the name of its parent for a moment.
        assert fill_threads()
        # The child lets go of all it has, as a process that ends does.
        child = multiprocessing.get_context("fork").Process(target=writer.__class__.tell, args=(writer,))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        writer.write(data[half:])
    with cache.read("a") as reader:
        assert reader.read() == data


def test_its_thread_may_log(cache, noise, directory, caplog):
    """It needs the interpreter for that, which whoever waits for it must not keep."""
    with caplog.at_level(logging.INFO, "icewell"):
        writer = cache.write("a")
        write_in(writer, noise(1, LARGE), 65536)
        os.unlink(directory / "incomplete" / ".icewell" / "a")
        del writer
    assert "the failed fill cannot be set aside" in caplog.text
