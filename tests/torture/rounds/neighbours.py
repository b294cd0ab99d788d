"""Two daemons, commands and an operator's `rm`, `touch` and `mv` on one directory, and kills: nobody serves a wrong byte."""

import os

from scene import Scene, some_images
from rounds.kills import command, how

STEPS = 25


def plan(draw):
    images = some_images(draw, 10, 100_000, 3_000_000)
    added = some_images(draw, 3, 50_000, 1_000_000, "added")
    names, more = [name for name, _, _ in images], [name for name, _, _ in added]
    total = sum(size for _, size, _ in images + added)
    steps = []
    for _ in range(STEPS):
        what = draw.one(["rm", "rm", "touch", "mv", "mv", "plant", "command", "command", "kill", "kill"])
        step = {"what": what, "origin": draw.below(2_000_000)}
        if what in ("rm", "touch"):
            step["names"] = draw.shuffled(names)[: draw.between(1, 4)]
        if what in ("mv", "plant"):
            step["names"] = draw.shuffled(names)[:2]
        if what == "plant":
            step["thing"] = draw.one(["link", "folder", "fifo"])
        if what == "command":
            step["command"] = command(draw, names, more, total)
            if draw.chance(0.5):
                step["kill"] = how(draw)
        if what == "kill":
            step["daemon"] = draw.below(2)
        steps.append(step)
    return {
        "images": images,
        "added": added,
        # Images go and come as the operator likes.
        "ample": False,
        "limit": total * 2,
        "rate": draw.one([None, 30_000_000]),
        "readers": [draw.below(1 << 32) for _ in range(4)],
        "steps": steps,
    }


def play(folder, tally, plan):
    scene = Scene(folder, tally, plan)
    try:
        scene.put(plan["added"])
        scene.misnamed = set(scene.names)
        scene.daemon()
        scene.daemon()
        scene.read(plan["readers"])
        for number, step in enumerate(plan["steps"]):
            scene.wait({"origin": step["origin"]} if step["what"] in ("kill", "rm") else {"ms": 20})
            act(scene, step)
            # What was moved under another's name is set aside when that one is cached.
            scene.check(f"after step {number}", invalid="any")
        scene.rest()
        tidy(scene)
        scene.finish(invalid="any")
    finally:
        scene.close()


def act(scene, step):
    if step["what"] == "kill":
        daemon = scene.daemons[step["daemon"]]
        daemon.kill()
        daemon.start()
        return
    if step["what"] == "command":
        scene.command(step)
        return
    scene.tally.fault(f"operator's {step['what']}")
    if step["what"] == "rm":
        scene.drop(step["names"])
        return
    try:
        if step["what"] == "touch":
            for name in step["names"]:
                os.utime(scene.directory / name)
        if step["what"] == "mv":
            first, second = (scene.directory / name for name in step["names"])
            os.rename(first, second)
        if step["what"] == "plant":
            plant(scene, *step["names"], step["thing"])
    except (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError):
        # There is nothing of that name just now, or something that another step has planted.
        pass


def plant(scene, name, other, thing):
    """Puts something that is no image under a name."""
    scene.drop([name])
    path = scene.directory / name
    if thing == "link":
        path.symlink_to(scene.directory / other)
    elif thing == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)


def tidy(scene):
    """Takes away again what was planted: Icewell leaves it alone, and cannot cache an image of that name."""
    for name in scene.names:
        path = scene.directory / name
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        elif path.is_symlink() or path.is_fifo():
            path.unlink()
