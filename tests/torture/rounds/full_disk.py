"""A small file system that a neighbour fills and frees while images come, and that is read-only for a while: no client notices."""

import threading

from mounts import SmallDisk
from scene import Scene, some_images

STEPS = 8
MEGABYTES = 64


def plan(draw):
    images = some_images(draw, 10, 500_000, 7_000_000)
    names = [name for name, _, _ in images]
    steps = []
    for _ in range(STEPS):
        steps.append(
            {
                # What the neighbour leaves of the disk, of what it could have.
                "leave": draw.one([0.0, 0.0, 0.05, 0.3, 1.0]),
                "get": draw.shuffled(names)[:4],
                # When it changes its mind, in bytes that the origin has sent.
                "then": draw.below(8_000_000),
                "leave then": draw.one([0.0, 0.1, 1.0]),
                "kill": draw.chance(0.3),
            }
        )
    return {
        "images": images,
        "ample": False,
        # Much more than the disk has.
        "limit": 1_000_000_000,
        "rate": 40_000_000,
        "steps": steps,
        "read only": draw.shuffled(names)[:3],
    }


class Neighbour:
    """Somebody else's file on the same file system."""

    def __init__(self, disk):
        self.disk, self.path = disk, disk.path / "neighbour"

    def leave(self, share):
        self.path.unlink(missing_ok=True)
        wanted = int(self.disk.free() * (1 - share))
        try:
            with open(self.path, "wb", buffering=0) as file:
                while wanted > 0:
                    wanted -= file.write(bytes(min(wanted, 1 << 20)))
        except OSError:
            # Full: that is what it wanted.
            pass


def play(folder, tally, plan):
    disk = SmallDisk(folder, "ext4", MEGABYTES)
    scene = None
    try:
        scene = Scene(folder, tally, plan, disk.path)
        daemon, neighbour = scene.daemon(), Neighbour(disk)
        for number, step in enumerate(plan["steps"]):
            neighbour.leave(step["leave"])
            tally.fault("full disk")
            clients = [threading.Thread(target=scene.get, args=(name,), kwargs={"must": True}) for name in step["get"]]
            for client in clients:
                client.start()
            scene.wait({"origin": step["then"]})
            neighbour.leave(step["leave then"])
            for client in clients:
                client.join()
            if step["kill"]:
                daemon.kill()
                daemon.start()
            daemon.idle()
            scene.check(f"after step {number}", invalid="unwritten")
        neighbour.path.unlink()
        read_only(scene, disk, plan["read only"])
        cached_again(scene, plan["read only"][0])
        scene.finish(invalid="unwritten")
    finally:
        if scene:
            scene.close()
        disk.close()


def read_only(scene, disk, names):
    """What cannot be kept is passed on."""

    def remounted(options):
        try:
            disk.remount(options)
        except OSError:
            # Somebody still writes.
            return False
        return True

    scene.until(lambda: remounted("ro"), "the file system is read-only")
    scene.tally.fault("read-only")
    for name in names:
        scene.get(name, must=True)
    disk.remount("rw")


def cached_again(scene, name):
    """With room again, the cache works by itself."""

    def cached():
        scene.get(name, must=True)
        scene.idle()
        return (scene.directory / name).exists()

    scene.until(cached, f"{name} is cached again")
