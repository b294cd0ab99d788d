"""Forty kills in the middle of fills of 24 MB: each goes on from what is on the disk, so that little is fetched twice."""

import threading

from scene import Scene

IMAGES, KILLS_EACH = 20, 2
IMAGE = 24_000_000
# Of what the images have, the origin may send this much.
MOST = 1.3


def plan(draw):
    names = [f"large-{n}" for n in range(IMAGES)]
    return {
        "images": [[name, IMAGE, False] for name in names],
        "limit": IMAGE * (IMAGES + 1),
        "rate": 80_000_000,
        # By what the origin has sent of the image, over all its answers.
        "kills": [[name, sorted(draw.between(100_000, IMAGE) for _ in range(KILLS_EACH))] for name in names],
    }


def play(folder, tally, plan):
    scene = Scene(folder, tally, plan)
    try:
        daemon = scene.daemon()
        for name, instants in plan["kills"]:
            for at in instants:
                client = threading.Thread(target=scene.get, args=(name,))
                client.start()
                scene.origin.wait_for(lambda: scene.origin.sent_of.get(name, 0) >= at, 60)
                daemon.kill()
                client.join()
                daemon.start()
            scene.get(name, must=True)
        size = IMAGE * len(plan["kills"])
        ratio = scene.origin.sent / size
        tally.note(f"{sum(len(instants) for _, instants in plan['kills'])} kills during fills of {IMAGE:,} bytes: the origin sent {ratio:.3f} x the images")
        tally.expect(ratio <= MOST, f"the origin sent {ratio:.3f} x the images, of {MOST} allowed")
        daemon.idle()
        daemon.stop()
        scene.check("at the end")
    finally:
        scene.close()
