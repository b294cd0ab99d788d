"""The driver, where it must do as Glance's own, and where it must do better."""

import ast
import inspect
import io
import multiprocessing
import os
import subprocess
import sys
import threading

import pytest
from glance import image_cache
from glance.common import exception
from glance.image_cache import drivers
from glance.image_cache.drivers import base
from glance.image_cache.drivers import xattr as glances

import icewell
import icewell.glance
from icewell.glance import Driver

NO_IDS = ["", ".", "..", "queue", "invalid", "incomplete", ".icewell", "a/b", "../a", "a\0b", "x" * 256, "\udcff"]


def write(driver, image_id, data=b"an image"):
    with driver.open_for_write(image_id) as file:
        file.write(data)


def read(driver, image_id):
    with driver.open_for_read(image_id) as file:
        return file.read()


@pytest.fixture
def other(driver):
    """Glance's own driver on the same directory."""
    other = glances.Driver()
    other.configure()
    return other


def test_it_has_every_method_of_both_classes():
    for theirs in (glances.Driver, base.Driver):
        for name, method in inspect.getmembers(theirs, inspect.isfunction):
            if name.startswith("_"):
                continue
            parameters = [
                [(each.name, each.default) for each in inspect.signature(one).parameters.values()]
                for one in (method, getattr(Driver, name))
            ]
            assert parameters[0] == parameters[1], name


def test_its_module_has_every_function_of_glances():
    tree = ast.parse(inspect.getsource(glances))
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            ours = getattr(icewell.glance, function.name)
            assert list(inspect.signature(ours).parameters) == [
                *(each.arg for each in function.args.args),
                *([function.args.kwarg.arg] if function.args.kwarg else []),
            ]


def test_the_functions_of_the_module(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    for module in (glances, icewell.glance):
        assert list(module.get_all_regular_files(tmp_path)) == [str(path)]
        module.set_xattr(path, "hits", 7)
        module.inc_xattr(path, "hits", 2)
        assert module.get_xattr(path, "hits") == b"9"
        assert module.get_xattr(path, "none", default=0) == 0
        with pytest.raises(OSError):
            module.get_xattr(path, "none")
    icewell.glance.delete_cached_file(path)
    icewell.glance.delete_cached_file(path)
    assert not path.exists()


def test_an_image_in_and_out(driver, other, directory):
    assert driver.is_cacheable("a") and not driver.is_cached("a")
    driver.queue_image("a")
    with driver.open_for_write("a") as file:
        assert file.write(b"an ") == 3
        file.write(memoryview(b"image"))
        file.flush()
        assert file.tell() == 8
        assert not driver.is_cached("a") and driver.is_being_cached("a") and not driver.is_cacheable("a")
        assert other.is_being_cached("a") and not other.is_cached("a")
    assert driver.is_cached("a") and not driver.is_being_cached("a") and not driver.is_queued("a")
    assert driver.get_hit_count("a") == 0
    assert read(driver, "a") == read(other, "a") == b"an image"
    assert driver.get_hit_count("a") == other.get_hit_count("a") == 2
    assert driver.get_image_size("a") == 8
    assert driver.get_cached_images() == [
        {
            "image_id": "a",
            "hits": 2,
            "last_modified": int((directory / "a").stat().st_mtime),
            "last_accessed": int((directory / "a").stat().st_atime),
            "size": 8,
        }
    ]
    assert driver.delete_cached_image("a") is None
    assert not other.is_cached("a")
    driver.delete_cached_image("a")


def test_a_read_that_breaks_off_is_no_hit(driver):
    write(driver, "a")
    with pytest.raises(KeyError), driver.open_for_read("a"):
        raise KeyError
    assert driver.get_hit_count("a") == 0
    with driver.open_for_read("a") as file:
        driver.delete_cached_image("a")
        assert file.read() == b"an image", "who has it open reads on"
    with pytest.raises(FileNotFoundError) as raised, driver.open_for_read("a"):
        pass
    assert raised.value.errno == 2


@pytest.mark.parametrize("error, reason", [(OSError("broken"), "broken"), (GeneratorExit(), "incomplete fetch")])
def test_a_fill_that_fails_goes_to_invalid(driver, other, directory, error, reason):
    with pytest.raises(type(error)), driver.open_for_write("a") as file:
        file.write(b"half")
        raise error
    assert (directory / "invalid" / "a").read_bytes() == b"half"
    assert os.getxattr(directory / "invalid" / "a", "user.error").decode() == reason
    assert driver.is_cacheable("a") and other.is_cacheable("a")
    assert driver.reap_invalid(grace=3600) == 0
    assert driver.reap_invalid() == 1


def test_the_second_filler_is_told(driver, other):
    with driver.open_for_write("a") as file:
        file.write(b"an image")
        with pytest.raises(BlockingIOError) as raised, driver.open_for_write("a"):
            pass
        assert not isinstance(raised.value, exception.GlanceException)
    with pytest.raises(FileExistsError), driver.open_for_write("a"):
        pass
    with other.open_for_write("b") as file:
        file.write(b"theirs")
        with pytest.raises(BlockingIOError), driver.open_for_write("b"):
            pass
    assert read(driver, "b") == b"theirs"


def test_glances_tee_survives_another_filler(driver):
    cache = image_cache.ImageCache.__new__(image_cache.ImageCache)
    cache.driver = driver
    tee = cache.cache_tee_iter("a", iter([b"an ", b"image"]), None)
    with driver.open_for_write("a") as file:
        assert list(tee) == [b"an ", b"image"]
        file.write(b"an image")
    assert read(driver, "a") == b"an image"


@pytest.mark.parametrize("text", NO_IDS)
def test_what_is_no_image_id_is_nothing(driver, text):
    for question in (driver.is_cached, driver.is_cacheable, driver.is_being_cached, driver.is_queued):
        assert question(text) is False
    assert driver.queue_image(text) is False
    assert driver.get_hit_count(text) == 0
    driver.delete_cached_image(text)
    driver.delete_queued_image(text)
    for opens in (driver.open_for_read, driver.open_for_write):
        with pytest.raises(ValueError), opens(text):
            pass
    with pytest.raises(ValueError):
        driver.get_image_filepath(text)
    with pytest.raises(ValueError):
        driver.get_image_size(text)


def test_the_limit_is_a_soft_one_and_others_hear_of_it(driver, directory):
    cache = icewell.Cache(directory)
    assert cache.max_size() == 5 * 1024
    for n in range(4):
        write(driver, n, b"x" * 4096)
    assert driver.get_cache_size() == 4 * 4096
    with pytest.raises(icewell.NoRoomError):
        cache.write("large", size=6 * 1024)


def test_prune_asks_for_each_victim(driver):
    cache = image_cache.ImageCache.__new__(image_cache.ImageCache)
    cache.driver = driver
    for n in range(12):
        write(driver, n, b"x" * 1024)
    read(driver, 0)
    icewell.Cache(driver.base_dir).set_pinned("1")
    assert cache.prune() == (7, 7 * 1024)
    assert sorted(image["image_id"] for image in driver.get_cached_images()) == ["0", "1", "10", "11", "9"]
    assert driver.delete_all_cached_images() == 5
    assert driver.get_least_recently_accessed() is None


def test_a_fill_that_is_alive_is_never_cleaned_away(driver, other, directory):
    with driver.open_for_write("a") as file, other.open_for_write("b") as theirs:
        file.write(b"an image")
        theirs.write(b"theirs")
        (directory / "incomplete" / "left").write_bytes(b"x")
        os.utime(directory / "incomplete" / "left", (1, 1))
        driver.clean(stall_time=0)
        assert not (directory / "incomplete" / "left").exists()
    assert driver.is_cached("a") and driver.is_cached("b")


def test_the_queue(driver, other):
    for name in ("c", "a", "b"):
        assert driver.queue_image(name) is True
    assert driver.queue_image("a") is False
    assert driver.get_queued_images() == ["c", "a", "b"]
    assert other.is_queued("a") and driver.is_queued("a")
    driver.delete_queued_image("a")
    driver.delete_queued_image("a")
    assert driver.delete_all_queued_images() == 2
    assert driver.get_queued_images() == []


def test_another_origins_cache_is_refused(directory, glance_conf, cache):
    os.setxattr(directory, "user.icewell.origin", b"https://mirror.example/")
    with pytest.raises(exception.BadDriverConfiguration, match="mirror.example"):
        Driver().configure()
    os.setxattr(directory, "user.icewell.origin", b"glance+https://glance.example/")
    Driver().configure()


def test_a_newer_format_is_refused(directory, glance_conf, cache):
    os.setxattr(directory, "user.icewell.version", b"999")
    with pytest.raises(exception.BadDriverConfiguration, match="999"):
        Driver().configure()


def test_without_extended_attributes(glance_conf, tmp_path):
    folder = tmp_path / "ramfs"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "ramfs", "icewell-test", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only root can mount a file system that keeps no tags")
    try:
        glance_conf(image_cache_dir=str(folder / "cache"))
        with pytest.raises(exception.BadDriverConfiguration, match="user_xattr"):
            Driver().configure()
        assert not (folder / "cache" / "checkme").exists()
    finally:
        subprocess.run(["umount", folder], check=True)


def test_without_a_directory(glance_conf):
    glance_conf(image_cache_dir=None)
    with pytest.raises(exception.BadDriverConfiguration):
        Driver().configure()


def test_a_relative_directory_stays_where_it_was(glance_conf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    glance_conf(image_cache_dir="relative")
    driver = Driver()
    driver.configure()
    monkeypatch.chdir("/")
    write(driver, "a")
    assert (tmp_path / "relative" / "a").exists()


def test_nothing_stays_open_after_configuration(glance_conf):
    before = os.listdir("/proc/self/fd")
    driver = Driver()
    driver.configure()
    assert os.listdir("/proc/self/fd") == before


def test_each_process_opens_the_directory_itself(driver):
    write(driver, "a")
    mine = driver._cache

    def child(queue):
        # What another process opens, this one may close.
        queue.put(driver.__dict__.get("_cache") is None and driver.is_cached("a") and driver._cache is not None)

    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    process = fork.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=30) is True
    process.join()
    assert driver._cache is mine


def test_a_fork_leaves_the_fill_alone(driver):
    with driver.open_for_write("a") as file:
        file.write(b"an ")
        process = multiprocessing.get_context("fork").Process(target=file.__class__.closed.__get__, args=(file,))
        process.start()
        process.join()
        file.write(b"image")
    assert read(driver, "a") == b"an image"


def test_hits_are_exact_under_threads(driver):
    write(driver, "a")

    def hit():
        for _ in range(50):
            read(driver, "a")

    threads = [threading.Thread(target=hit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert driver.get_hit_count("a") == 400


def test_the_file_to_read_is_one_of_pythons(driver):
    write(driver, "a", b"one\ntwo\n")
    with driver.open_for_read("a") as file:
        assert isinstance(file, io.BufferedReader)
        assert list(file) == [b"one\n", b"two\n"]
        assert os.pread(file.fileno(), 3, 0) == b"one"


def test_an_image_cache_of_glances_takes_it(glance_conf):
    own = sys.modules.get(icewell.glance.GLANCE_MODULE)
    try:
        icewell.glance.register()
        assert type(image_cache.ImageCache().driver) is Driver
    finally:
        sys.modules[icewell.glance.GLANCE_MODULE] = drivers.xattr = own
    assert type(image_cache.ImageCache().driver) is glances.Driver
