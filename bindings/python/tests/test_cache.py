"""`icewell.Cache`, as a Python program sees it."""

import ast
import doctest
import errno
import importlib.metadata
import inspect
import json
import logging
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

import icewell


def test_the_example_in_the_documentation():
    assert doctest.testmod(icewell).attempted > 0
    assert doctest.testmod(icewell).failed == 0


def test_the_package_names_what_it_is_linked_from_and_no_folder_of_who_built_it():
    (bill,) = [file for file in importlib.metadata.files("icewell") if file.parent.name == "sboms"]
    text = bill.read_text()
    assert {"icewell", "pyo3"} <= {part["name"] for part in json.loads(text)["components"]}
    assert "file:" not in text


def test_the_package_has_the_licences_of_the_crates_linked_into_it():
    files = importlib.metadata.files("icewell")
    (licences,) = [file.read_text() for file in files if file.match("icewell-*.dist-info/licenses/third-party-licences")]
    (bill,) = [file.read_text() for file in files if file.parent.name == "sboms"]
    others = [part for part in json.loads(bill)["components"] if part["name"] != "icewell"]
    assert [part for part in others if f"{part['name']} {part['version']} (" not in licences] == []


def test_the_types_tell_the_same_as_the_module():
    folder = Path(icewell.__file__).parent
    assert (folder / "py.typed").exists()
    stubs = ast.parse((folder / "_icewell.pyi").read_text())
    named = {node.name: node for node in stubs.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert set(named) | {"__version__"} == set(icewell.__all__)
    for name, node in named.items():
        there = getattr(icewell, name)
        if isinstance(node, ast.FunctionDef):
            assert list(inspect.signature(there).parameters) == [each.arg for each in node.args.args]
            continue
        described = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
        public = {each for each in vars(there) if not each.startswith("_")}
        assert {each for each in described if not each.startswith("_")} == public, name
        for method, described_as in described.items():
            if method.startswith("_") or described_as.decorator_list:
                continue
            has = list(inspect.signature(getattr(there, method)).parameters)
            arguments = described_as.args
            assert has == [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def test_a_release_build_has_no_failpoints():
    # The wheel is one; docs/decisions/0026-failpoints-in-builds-for-development.md says what they are.
    (extension,) = Path(icewell.__file__).parent.glob("_icewell*.so")
    built = extension.read_bytes()
    assert b"user.icewell." in built
    assert b"ICEWELL_FAIL" not in built and b"commit.renamed" not in built


def test_an_image_in_and_out(cache):
    with cache.write("a", size=8, name="for people") as writer:
        assert writer.image_id == "a"
        writer.writelines([b"an ", bytearray(b"image")])
        assert writer.tell() == 8 and not writer.closed
    assert writer.closed
    with pytest.raises(ValueError, match="over"):
        writer.write(b"more")
    with cache.read("a") as reader:
        assert reader.read(2) == b"an"
        assert reader.read() == b" image"
        assert reader.read() == b""
        assert reader.read_at(3, 100) == b"image"
        assert os.pread(reader.fileno(), 2, 0) == b"an"
        reader.count_hit()
        reader.count_hit(2)
    with pytest.raises(ValueError, match="closed"):
        reader.read()
    image = cache.image("a")
    assert (image.id, image.size, image.hits, image.name, image.pinned) == ("a", 8, 3, "for people", False)
    assert image.last_accessed_ns // 10**9 == int(image.last_accessed) == int(os.stat(Path(cache.dir) / "a").st_atime)
    assert image.digest is None and image.computed_digest.startswith("sha256:")
    assert cache.summaries() == [("a", 8, 3, image.last_modified_ns, image.last_accessed_ns)]
    assert [each.id for each in cache.images()] == ["a"]
    usage, disk = cache.usage(), cache.disk_usage()
    assert (usage.files, usage.size) == (disk.files, disk.size) == (1, 8)


def test_errors_are_pythons_own(cache, put, directory):
    put("a")
    path = str(directory / "a")
    with pytest.raises(FileNotFoundError) as raised:
        cache.read("absent")
    assert isinstance(raised.value, icewell.NotCachedError)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, str(directory / "absent"))
    with pytest.raises(FileExistsError) as raised:
        cache.write("a")
    assert isinstance(raised.value, icewell.AlreadyCachedError) and raised.value.filename == path
    with pytest.raises(ValueError, match='"../a"') as raised:
        cache.is_cached("../a")
    assert isinstance(raised.value, icewell.InvalidImageIdError)
    cache.set_max_size(100)
    with pytest.raises(icewell.NoRoomError) as raised:
        cache.write("b", size=101)
    assert raised.value.errno == errno.ENOSPC
    with cache.write("b") as writer:
        with pytest.raises(BlockingIOError) as raised:
            cache.write("b")
        assert isinstance(raised.value, icewell.InProgressError) and raised.value.errno == errno.EAGAIN
        writer.release()
    with pytest.raises(icewell.SizeMismatchError), cache.write("b", size=3) as writer:
        writer.write(b"no")
    with pytest.raises(icewell.DigestMismatchError), cache.write("b", digests=["md5:" + "0" * 32]) as writer:
        writer.write(b"no")
    assert "was announced" in cache.invalid()[0].error
    with pytest.raises(ValueError, match="digest"):
        cache.write("b", digests=["md5"])
    # What the system says comes as the class that Python has for it.
    with pytest.raises(NotADirectoryError) as raised:
        icewell.Cache("/dev/null/cache")
    assert raised.value.errno == errno.ENOTDIR and type(raised.value) is NotADirectoryError


def test_a_fill_that_fails(cache, directory):
    with pytest.raises(KeyError), cache.write("a") as writer:
        writer.write(b"half")
        raise KeyError("why")
    failed = cache.invalid()[0]
    assert (failed.id, failed.size, failed.error) == ("a", 4, "'why'")
    writer = cache.write("a")
    writer.write(b"half")
    fill = cache.incomplete()[0]
    assert (fill.id, fill.by_icewell, fill.active, fill.size) == ("a", True, True, None)
    del writer
    assert cache.incomplete() == [] and cache.invalid()[0].error == "incomplete fetch"
    assert cache.reap_invalid() == 1 and cache.reap_stalled(0) == 0
    with pytest.raises(ValueError):
        cache.reap_stalled(-1)


def test_order_of_use_and_prune(cache, put):
    for name in "abc":
        put(name, b"x" * 1000)
    cache.read("a").touch()
    lru = cache.lru()
    assert cache.least_recently_used() == lru.least() == ("b", 1000)
    cache.set_pinned("b")
    assert lru.least() == ("c", 1000)
    assert cache.prune(2000, dry_run=True) == [("c", 1000)]
    assert cache.prune(2000) == [("c", 1000)]
    assert cache.prune(0) == [("a", 1000)]
    assert cache.remove_all() == 0
    assert cache.remove_all(pinned_too=True) == 1
    assert lru.least() is None


def test_the_rest(cache, put, tmp_path):
    put("a", b"an image")
    assert cache.queue("b") and not cache.queue("b") and not cache.queue("a")
    assert cache.queued() == ["b"] and cache.is_queued("b")
    assert cache.unqueue("b") and cache.unqueue_all() == 0
    assert cache.copy_out("a", tmp_path / "copy") == 8
    assert (tmp_path / "copy").read_bytes() == b"an image"
    assert cache.hits("a") == 1
    assert cache.verify("a") is None
    assert cache.origin() is None
    assert cache.remove("a") and not cache.remove("a")


def test_other_threads_run_while_one_waits_for_the_disk(cache, noise):
    """A fill of a few hundred MiB computes a digest for most of a second; meanwhile this thread must get its turns."""
    data = noise(1, 1 << 20) * 256
    done = threading.Event()

    def fill():
        with cache.write("large") as writer:
            writer.write(data)
        done.set()

    begun = time.monotonic()
    thread = threading.Thread(target=fill)
    thread.start()
    turns = 0
    while not done.is_set():
        turns += 1
        time.sleep(0.005)
    thread.join()
    assert turns > (time.monotonic() - begun) / 0.005 / 10


def test_what_it_has_to_tell_goes_to_pythons_log(cache, put, directory, caplog):
    put("a")
    os.setxattr(directory / "a", "user.hits", b"garbage")
    with caplog.at_level(logging.INFO, "icewell"):
        assert cache.hits("a") == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "garbage" in caplog.text


def test_what_every_look_reads_lies_in_the_inode(cache, directory):
    """ext4 lists what is in the inode first. There is room for these two, if they are the first to be set."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", directory], capture_output=True, text=True, check=True).stdout
    if kind.strip() != "ext2/ext3":
        pytest.skip("the temporary directory is not on ext4")
    image_id = "71c675ab-d94f-49cd-a114-e12490b328d9"
    with cache.write(image_id, size=8, digests=["md5:5312e17c8c92d7c946a5940990a0a9d9"], name="a name") as writer:
        writer.write(b"an image")
    tags = os.listxattr(directory / image_id)
    assert set(tags[:2]) == {"user.icewell.id", "user.hits"}, tags
    assert "user.icewell.digest" in tags
