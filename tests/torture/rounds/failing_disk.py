"""A disk that fails in the middle of fills: who reads them gets right bytes or a broken answer, and after a mount all is well."""

import threading

from mounts import PowerDisk
from scene import Scene, some_images

STEPS = 3


def plan(draw, kind):
    images = some_images(draw, 6, 3_000_000, 9_000_000)
    names = [name for name, _, _ in images]
    steps = []
    for _ in range(STEPS):
        drop = draw.shuffled(names)[:4]
        steps.append(
            {
                "drop": drop,
                # Which image, and how many milliseconds this client waits before each piece.
                "clients": [[draw.one(drop), draw.one([0, 0, 1, 5])] for _ in range(8)],
                "origin": draw.below(12_000_000),
                "fail": draw.one(["writes", "writes", "reads"]),
                # Whether somebody on the machine has what is not written yet written at once.
                "sync": draw.chance(0.5),
            }
        )
    return {
        "file system": kind,
        "images": images,
        "limit": 200_000_000,
        "rate": draw.one([20_000_000, 40_000_000]),
        "steps": steps,
    }


def play(folder, tally, plan):
    disk = PowerDisk(folder, plan["file system"])
    scene = None
    try:
        scene = Scene(folder, tally, plan, disk.path)
        daemon = scene.daemon()
        for number, step in enumerate(plan["steps"]):
            one_failure(scene, disk, daemon, step, f"after failure {number}")
        scene.finish(invalid="unwritten")
    finally:
        if scene:
            scene.close()
        disk.close()


def one_failure(scene, disk, daemon, step, where):
    for name in scene.names:
        scene.get(name, must=True)
    daemon.idle()
    there = scene.check("before a failure", invalid="unwritten")
    scene.drop(step["drop"])
    clients = [threading.Thread(target=scene.get, args=(name,), kwargs={"slowly": slowly}) for name, slowly in step["clients"]]
    for client in clients:
        client.start()
    scene.wait({"origin": step["origin"]})
    disk.order("fail", step["fail"])
    scene.tally.fault(f"disk fails {step['fail']}")
    if step["sync"]:
        disk.sync()
    for client in clients:
        client.join(120)
        scene.tally.expect(not client.is_alive(), "a client waits for ever")
    scene.watch.pause()
    daemon.kill()
    disk.unmount()
    disk.order("fail", "none")
    disk.mount()
    scene.watch.go_on()
    # Those that were committed before are there. What was dropped may be there again, whole.
    scene.must = there - set(step["drop"])
    scene.check(where, invalid="unwritten")
    daemon.start()
