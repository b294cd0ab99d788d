"""Every fault of an origin, each on an image of its own, at the same time: a right answer or a clear end, and then a cache that
works."""

import threading

from scene import Scene

# Those that one good answer after them makes up for, unseen by any client.
HEALED = {
    "breaks once": {"at": None},
    "ignores range": {"at": None},
    "unavailable": {"after": 1},
    "too many requests": {"after": 1},
}
# Those that stay as they are until the origin is well again.
FOR_EVER = {
    "truncates": {"at": None},
    "resets": {"at": None},
    "resets at once": {},
    "stalls": {"at": None},
    "never answers": {},
    "drips": {"at": None},
    "wrong bytes": {"at": None},
    "too long": {},
    "announces more": {},
    "announces less": {},
    "wrong range": {"at": None},
    "lies about range": {"at": None},
    "endless": {},
    "changes": {"at": None},
    "redirects for ever": {},
    "fails": {},
    "says garbage": {},
}
# An answer by another name is no fault; it must come whole.
RIGHT = {"redirects": {}}
# Of these, bytes that were sent before the end may be wrong: only the digest tells, of the whole.
LYING = {"wrong bytes", "lies about range", "too long", "endless", "changes", "announces less", "announces more"}
CLIENTS = 3
# After so many bytes a client of an endless answer leaves.
ENOUGH = 3_000_000


def plan(draw):
    faults, images = [], [["target", 300_000, False]]
    for kind, settings in draw.shuffled({**HEALED, **FOR_EVER, **RIGHT}.items()):
        name = kind.replace(" ", "-")
        images.append([name, draw.between(100_000, 1_500_000), draw.chance(0.3)])
        fault = {"kind": kind, **settings}
        if "at" in fault:
            fault["at"] = draw.share()
        if kind == "redirects":
            fault["to"] = "target"
        fault["for ever"] = kind in FOR_EVER or kind in RIGHT
        faults.append([name, fault])
    return {
        "images": images,
        # What never ends drives everything else out.
        "ample": False,
        "limit": 400_000_000,
        "faults": faults,
        "ranges": [draw.share() for _ in faults],
    }


def play(folder, tally, plan):
    scene = Scene(folder, tally, plan)
    try:
        daemon = scene.daemon("--origin-timeout", "1500ms", "--origin-min-rate", "100KB")
        # Nobody listens.
        scene.origin.refuse()
        tally.fault("refuses")
        outcome = scene.get("target")
        tally.expect(outcome.end == "refused" and outcome.status >= 500, f"nobody listens at the origin, and target is {outcome}")
        scene.origin.listen()
        clients = []
        for (name, fault), share in zip(plan["faults"], plan["ranges"]):
            scene.origin.plant(name, [fault])
            if fault["kind"] == "redirects":
                # What comes is the other image, under this name.
                target = scene.origin.images["target"]
                scene.origin.versions[name] = [target]
            size = scene.origin.versions[name][0].size
            for number in range(CLIENTS):
                part = (int(size * share), size - 1) if number == CLIENTS - 1 and fault["kind"] not in LYING else None
                clients.append(threading.Thread(target=ask, args=(scene, name, fault, part)))
        for client in clients:
            client.start()
        for client in clients:
            client.join(120)
            tally.expect(not client.is_alive(), "a client waits for ever")
        # All is well again. What failed a moment ago is remembered for a second at most.
        scene.origin.go_on.set()
        for name, fault in plan["faults"]:
            if fault["kind"] not in RIGHT:
                scene.origin.plant(name, [])
        scene.check("after the faults", invalid="any")
        for name in scene.names:
            # A fill that began before may still be there for a moment.
            scene.until(lambda: scene.get(name, lying=True).complete, f"{name} can be had again")
        scene.finish(invalid="any")
    finally:
        scene.close()


def ask(scene, name, fault, part):
    kind = fault["kind"]
    outcome = scene.get(name, lying=kind in LYING, part=part, most=ENOUGH if kind == "endless" else None)
    if kind in HEALED or kind in RIGHT:
        # A client who is told to come again does.
        if outcome.end == "refused" and kind in ("unavailable", "too many requests"):
            return
        scene.tally.expect(outcome.complete and outcome.right, f"{name} should have been healed unseen, and is {outcome}")
