"""The daemon and commands are killed at random instants while clients read, images come, go and are pruned."""

from scene import Scene, instant, some_images, some_point

STEPS = 30


def plan(draw):
    images = some_images(draw, 10, 100_000, 5_000_000)
    added = some_images(draw, 4, 50_000, 3_000_000, "added")
    total = sum(size for _, size, _ in images + added)
    ample = draw.chance(0.5)
    names, more = [name for name, _, _ in images], [name for name, _, _ in added]
    return {
        "images": images,
        "added": added,
        "ample": ample,
        "limit": total * 2 if ample else max(total // 2, 11_000_000),
        "rate": draw.one([None, 20_000_000, 60_000_000]),
        "readers": [draw.below(1 << 32) for _ in range(4)],
        "steps": [step(draw, names, more, total) for _ in range(STEPS)],
    }


def step(draw, names, added, total):
    if draw.chance(0.45):
        drop = draw.shuffled(names)[: draw.between(1, 5)]
        return {"what": "daemon", "when": instant(draw, 6_000_000), "drop": drop, "beside": command(draw, names, added, total)}
    return {"what": "command", "kill": how(draw), "command": command(draw, names, added, total)}


def how(draw):
    """When a command is killed."""
    return {"point": some_point(draw, 150)} if draw.chance(0.6) else {"share": draw.share()}


def command(draw, names, added, total):
    verb = draw.one(
        ["add", "add", "add", "get", "fetch", "fetch", "rm", "queue", "queue", "unqueue", "pin", "unpin", "prune", "clean", "verify", "ls", "status"]
    )
    if verb == "add":
        return [verb, draw.one(added)]
    if verb == "prune":
        return [verb, "--max-size", draw.below(total)]
    if verb == "clean":
        return [verb, "--stall-time", 0]
    if verb in ("ls", "status") or (verb == "verify" and draw.chance(0.3)):
        return [verb]
    if verb in ("rm", "pin", "unpin"):
        return [verb, draw.one(names + added)]
    return [verb, draw.one(names)]


def play(folder, tally, plan):
    scene = Scene(folder, tally, plan)
    try:
        scene.put(plan["added"])
        steps = plan["steps"]
        kills = [step["when"] for step in steps if step["what"] == "daemon"]
        # The first binds the directory to its origin. One that dies before would leave a directory that `add` fills with images
        # of which nobody knows where they are from, and the next would refuse it.
        daemon = scene.daemon()
        if "point" in kills[0]:
            daemon.kill()
            daemon.start(kills[0]["point"])
        scene.read(plan["readers"])
        for number, step in enumerate(steps):
            where = f"after step {number}"
            if step["what"] == "command":
                scene.command(step)
                scene.check(where)
                continue
            scene.drop(step["drop"])
            scene.command({"command": step["beside"]})
            scene.wait(step["when"])
            daemon.kill()
            # With nobody at work, every look is exact.
            scene.check(where)
            # Where it dies at a failpoint, it has to be told at its start.
            kills = kills[1:]
            daemon.start(kills[0].get("point") if kills else None)
        scene.finish()
    finally:
        scene.close()
