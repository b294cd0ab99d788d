"""The power is cut at random instants under load, on ext4 and XFS: what was acknowledged is there, and nothing is torn."""

import threading
import time

import directory
from mounts import PowerDisk
from scene import Scene, some_images

CUTS = 8
OPTIONS = {"ext4": ["", "noatime", "data=journal", "commit=1"], "xfs": ["", "noatime", "largeio"]}


def plan(draw, kind):
    images = some_images(draw, 12, 50_000, 2_500_000)
    added = some_images(draw, CUTS * 6, 20_000, 1_500_000, "added")
    wanted = [[f"wanted-{n}", 1000, False] for n in range(CUTS * 2)]
    half = [[f"half-{n}", draw.between(500_000, 3_000_000), False] for n in range(CUTS)]
    names = [name for name, _, _ in images]
    cuts = []
    for n in range(CUTS):
        drop = draw.shuffled(names)[: draw.between(3, 8)]
        cuts.append(
            {
                "drop": drop,
                # Fetched and committed before the load begins, so that they must be there afterwards.
                "first": draw.shuffled(drop)[:2],
                # Broken off by a stop before the load begins, so that the rest is enough afterwards.
                "half": [half[n][0], round(0.1 + 0.8 * draw.share(), 4)] if draw.chance(0.4) else None,
                "add": [name for name, _, _ in added[n * 6 : n * 6 + 6]],
                "queue": [wanted[n * 2][0], wanted[n * 2 + 1][0]],
                # After so many blocks that are written to the disk: about what an image or two take, and most often less.
                "blocks": draw.below(draw.one([20, 200, 1200])),
                "seed": draw.below(1 << 32),
                # How many of the blocks that were not flushed the disk has kept.
                "share": draw.one([0.0, 0.2, 0.5, 0.8, 1.0]),
            }
        )
    return {
        "file system": kind,
        "options": draw.one(OPTIONS[kind]),
        "images": images,
        "added": added,
        "wanted": wanted,
        "half": half,
        "limit": 200_000_000,
        "rate": draw.one([None, 20_000_000]),
        "readers": [draw.below(1 << 32) for _ in range(3)],
        "cuts": cuts,
    }


class Adder:
    """Adds images and queues others, one after the other, and knows which of them it was told are safe."""

    def __init__(self, scene, cut):
        # Name, and when the command had said so.
        self.scene, self.added, self.queued = scene, {}, {}
        self.over = threading.Event()
        self.process = None
        self.thread = threading.Thread(target=self.run, args=(cut["add"], cut["queue"]))
        self.thread.start()

    def run(self, add, queue):
        for number, name in enumerate(add):
            if self.command("add", *self.scene.to_add(name)):
                self.added[name] = time.monotonic()
            if number < len(queue) and self.command("queue", queue[number]):
                self.queued[queue[number]] = time.monotonic()

    def command(self, *arguments):
        if self.over.is_set():
            return False
        self.process = self.scene.commands.start(*arguments)
        output = self.process.communicate()[0]
        status = self.process.returncode
        self.scene.tally.expect(status == 0 or self.over.is_set(), f"icewell {arguments} ends with {status}: {output}")
        return status == 0

    def end(self):
        self.over.set()
        while self.thread.is_alive():
            if self.process and self.process.poll() is None:
                self.process.kill()
            self.thread.join(0.01)


def play(folder, tally, plan):
    disk = PowerDisk(folder, plan["file system"], plan["options"])
    scene = None
    try:
        scene = Scene(folder, tally, plan, disk.path)
        scene.put(plan["added"] + plan["wanted"] + plan["half"])
        for name, _, _ in plan["wanted"]:
            scene.origin.plant(name, [{"kind": "unavailable", "after": 3600, "for ever": True}])
        daemon = scene.daemon()
        for number, cut in enumerate(plan["cuts"]):
            one_cut(scene, disk, daemon, cut, f"after power cut {number}")
        scene.finish()
    finally:
        if scene:
            scene.close()
        disk.close()


def break_off(scene, daemon, name, share):
    """Stops the daemon in the middle of a fill, which makes durable what has come, and starts it again."""
    scene.origin.plant(name, [{"kind": "stalls", "at": share}])
    client = threading.Thread(target=scene.get, args=(name,))
    client.start()
    size = scene.origin.images[name].size
    scene.origin.wait_for(lambda: scene.origin.sent_of.get(name, 0) >= int(size * share), 60)
    daemon.stop()
    client.join()
    daemon.start()


def goes_on(scene, name):
    """The rest of what was durable is asked for, and only that."""
    scene.get(name, must=True)
    asked = [part for _, asked, part in scene.origin.requests if asked == name]
    scene.tally.expect(asked[-1] and asked[-1] != "bytes=0-", f"{name} was fetched anew, and not from where it was: {asked}")


def one_cut(scene, disk, daemon, cut, where):
    scene.drop(cut["drop"])
    if cut["half"]:
        break_off(scene, daemon, *cut["half"])
    for name in cut["first"]:
        scene.get(name, must=True)
    daemon.idle()
    committed = scene.check("before a power cut")
    scene.read(scene.plan["readers"])
    adder = Adder(scene, cut)
    moment, unflushed, lost = disk.cut(cut["blocks"], cut["seed"], cut["share"])
    scene.watch.pause()
    daemon.kill()
    adder.end()
    scene.rest()
    disk.power()
    scene.tally.add("power cuts")
    scene.tally.add("unflushed", unflushed)
    scene.tally.add("blocks lost", lost)
    before = lambda told: {name for name, when in told.items() if when < moment}
    # A removal may be undone, never a commit. What was acknowledged after the cut may be lost.
    scene.must = (committed - set(cut["drop"])) | set(cut["first"]) | before(adder.added)
    scene.check(where)
    gone = before(adder.queued) - directory.names(scene.directory, "queue")
    scene.tally.expect(not gone, f"{where}: {sorted(gone)} had been queued and are not any more")
    for verb in ("verify", "ls", "doctor"):
        status, output = scene.commands.run(verb)
        scene.tally.expect(status == 0, f"{where}: icewell {verb} ends with {status}: {output}")
    scene.watch.go_on()
    daemon.start()
    if cut["half"]:
        goes_on(scene, cut["half"][0])
    for name in scene.names:
        scene.get(name, must=True)
    daemon.idle()
