"""Bits turn over under images that nobody reads: `verify` or the scrub finds each, and the image is fetched anew."""

import os

import directory
from mounts import PowerDisk
from scene import Scene, some_images

STEPS = 4


def plan(draw, kind):
    images = some_images(draw, 6, 100_000, 2_000_000)
    names = [name for name, _, _ in images]
    return {
        "file system": kind,
        "images": [[name, size, False] for name, size, _ in images],
        "limit": 100_000_000,
        "steps": [
            {"name": draw.one(names), "at": draw.share(), "found by": draw.one(["verify", "scrub"])} for _ in range(STEPS)
        ],
    }


def play(folder, tally, plan):
    disk = PowerDisk(folder, plan["file system"])
    scene = None
    try:
        scene = Scene(folder, tally, plan, disk.path)
        daemon = scene.daemon()
        for step in plan["steps"]:
            one_bit(scene, disk, daemon, step)
        scene.finish(invalid="any")
    finally:
        if scene:
            scene.close()
        disk.close()


def one_bit(scene, disk, daemon, step):
    name = step["name"]
    for other in scene.names:
        scene.get(other, must=True)
    daemon.idle()
    daemon.stop()
    (scene.directory / "invalid" / name).unlink(missing_ok=True)
    image = scene.origin.images[name]
    forget(scene.directory / name)
    places = disk.rot(image.bytes, int((image.size - 64) * step["at"]))
    scene.tally.expect(places > 0, f"{name} is not on the disk")
    scene.tally.fault("bit rot")
    if step["found by"] == "verify":
        status, output = scene.commands.run("verify", name)
        scene.tally.expect(status == 1, f"icewell verify {name} ends with {status} and has not found the bit: {output}")
        daemon.start()
    else:
        # Of an image that was stored a moment ago everything is due.
        options, daemon.options = daemon.options, (*daemon.options, "--scrub-every", "1s", "--scrub-rate", "1GiB")
        daemon.start()
        scene.until(lambda: set_aside(scene, name), f"the scrub finds the bit in {name}")
        daemon.kill()
        daemon.options = options
        daemon.start()
    scene.tally.expect(set_aside(scene, name), f"{name} is corrupt and not in invalid/")
    scene.get(name, must=True)


def set_aside(scene, name):
    return name in directory.names(scene.directory, "invalid")


def forget(path):
    """Drops a file's pages, so that the next reader has to go to the disk."""
    file = os.open(path, os.O_RDONLY | os.O_NOATIME)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)
