"""What all rounds are played with: an origin, a directory, daemons, commands, clients, and the looks at what became of them."""

import os
import subprocess
import time

import directory
from content import Image
from origin import Origin
from processes import Commands, Daemon, until
from reader import Readers, get

# How long a round waits for the instant that the plan has for a kill, before it kills anyway: there may be nothing to fetch.
INSTANT = 2


class Scene:
    def __init__(self, folder, tally, plan, path=None):
        self.folder, self.tally, self.plan = folder, tally, plan
        self.directory = (path or folder) / "cache"
        self.origin = Origin(tally)
        self.origin.rate = plan.get("rate")
        self.put(plan["images"])
        self.names = [name for name, _, _ in plan["images"]]
        self.commands = Commands(self.directory, tally)
        self.daemons, self.readers, self.watch = [], None, None
        # Images that have been in the cache and that nothing may have removed since.
        self.must = set()
        self.ample = plan.get("ample", True)
        self.misnamed = ()

    def put(self, images):
        for name, size, holes in images:
            self.origin.put(Image(name, size, holes=holes))

    def daemon(self, *options):
        limit = ["--max-size", str(self.plan["limit"])] if "limit" in self.plan else []
        daemon = Daemon(self.directory, self.origin, self.tally, *limit, *options).start()
        self.daemons.append(daemon)
        if self.watch is None and limit:
            self.watch = directory.Watch(self.directory, self.plan["limit"], self.tally)
        return daemon

    def read(self, seeds, names=None, **how):
        self.readers = Readers(self.daemons, self.origin, self.tally, names or self.names, seeds, **how)

    def rest(self):
        if self.readers:
            self.readers.stop()
            self.readers = None

    def get(self, name, daemon=None, must=False, **how):
        """One download; with `must`, anything but a whole and right answer is wrong."""
        outcome = get(daemon or self.daemons[0], self.origin, name, self.tally, **how)
        if must:
            self.tally.expect(outcome.complete and outcome.right, f"{name} should come whole and right, and is {outcome}")
        return outcome

    def wait(self, when):
        """Waits for the instant that the plan has."""
        if "origin" in when:
            goal = self.origin.sent + when["origin"]
            self.origin.wait_for(lambda: self.origin.sent >= goal, INSTANT)
        elif "commit" in when:
            goal = self.origin.ends + 1
            if self.origin.wait_for(lambda: self.origin.ends >= goal, INSTANT):
                time.sleep(when["commit"] / 1000)
        elif "client" in when and self.readers:
            self.readers.wait_for(when["client"], INSTANT)
        elif "point" in when:
            try:
                self.daemons[0].process.wait(INSTANT)
            except subprocess.TimeoutExpired:
                pass
        else:
            time.sleep(when.get("ms", 0) / 1000)

    def drop(self, names):
        """As an operator does it."""
        for name in names:
            self.must.discard(name)
            try:
                os.unlink(self.directory / name)
            except OSError:
                # It is gone already, or is no file.
                pass

    def command(self, step):
        """Runs a command to its end, or to the share of its usual time that the plan has for its kill."""
        verb, *arguments = step["command"]
        if verb == "rm":
            self.must.difference_update(arguments)
        if verb == "prune":
            self.must.clear()
        if verb == "add":
            arguments = self.to_add(arguments[0])
        if verb == "get":
            arguments = [arguments[0], self.folder / "copy"]
        if verb == "fetch":
            arguments += ["--origin", self.origin.url]
        if "kill" in step:
            self.commands.kill(step["kill"], verb, *arguments)
            return
        status, output = self.commands.run(verb, *arguments)
        self.tally.expect(status in (0, 1), f"icewell {verb} {arguments} ends with {status}: {output}")
        if status == 0 and verb == "add":
            self.must.add(step["command"][1])
        if status == 0 and verb == "get":
            verdict = directory.compare(self.folder / "copy", self.origin.versions[arguments[0]], self.tally)
            self.tally.expect(verdict == "", f"the copy of {arguments[0]} {verdict}")

    def to_add(self, name):
        image = self.origin.images[name]
        source = self.folder / f"source-{name}"
        if not source.exists():
            source.write_bytes(image.bytes)
        return [name, source, "--digest", f"sha256:{image.sha256.hexdigest()}"]

    def check(self, where, invalid=None):
        """Looks at the directory: every image right, none lost, nothing set aside that was not bad.

        `invalid` says what may have been set aside: nothing, `unwritten`, for what the disk did not take, or `any`.
        """
        there = directory.check_images(self.directory, self.origin, self.tally, where, self.misnamed)
        if self.ample:
            # One that an origin's answer or a command brings meanwhile may be there by now, never the other way round.
            lost = {name for name in self.must - there if not (self.directory / name).exists()}
            self.tally.expect(not lost, f"{where}: {sorted(lost)} had been committed and are lost")
            self.must |= there
        bad = {name: directory.error(self.directory, name) for name in directory.names(self.directory, "invalid")}
        if invalid == "unwritten":
            bad = {name: why for name, why in bad.items() if why and "digest" in why}
        self.tally.expect(invalid == "any" or not bad, f"{where}: set aside to invalid/: {bad}")
        return there

    def finish(self, invalid=None):
        """What must hold at a round's end, whatever was in it: everything can be had, and nothing is left over."""
        self.rest()
        for daemon in self.daemons:
            if not daemon.up.is_set():
                daemon.start()
        self.check("before the end", invalid)
        for name in self.names:
            self.get(name, must=True)
        for daemon in self.daemons:
            daemon.idle()
        status, output = self.commands.run("verify")
        self.tally.expect(status == 0, f"icewell verify ends with {status}: {output}")
        for daemon in self.daemons:
            daemon.stop()
        status, output = self.commands.run("clean", "--stall-time", "0")
        self.tally.expect(status == 0, f"icewell clean ends with {status}: {output}")
        left = directory.names(self.directory, "incomplete") | directory.names(self.directory, "incomplete/.icewell")
        self.tally.expect(not left, f"{sorted(left)} are left in incomplete/ and cannot be cleaned")
        self.check("at the end", invalid)

    def close(self):
        """Lets go of everything, also in the middle."""
        self.rest()
        if self.watch:
            self.watch.stop()
        for daemon in self.daemons:
            if daemon.process and daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait()
        self.origin.close()

    def idle(self):
        for daemon in self.daemons:
            daemon.idle()

    def until(self, holds, what):
        return until(holds, what, self.tally)


def some_images(draw, number, smallest, largest, name="image"):
    """Names, sizes and whether there are holes."""
    return [[f"{name}-{n}", draw.between(smallest, largest), draw.chance(0.3)] for n in range(number)]


def instant(draw, largest):
    """When a daemon is killed: by what the origin sends, what clients get, a commit, its failpoints, or the time since its
    start."""
    kind = draw.one(["origin", "origin", "commit", "client", "point", "point", "point", "ms"])
    if kind in ("origin", "client"):
        return {kind: draw.below(largest)}
    return {kind: {"commit": draw.below(13), "point": some_point(draw, 4000), "ms": draw.below(60)}[kind]}


# Moments that a fill goes through; crates/icewell/src/sys/failpoints.rs has all of them.
MOMENTS = ["claim.signed", "start.marked", "reserve.recorded", "room.removed", "write.written", "write.marked"]
MOMENTS += ["tag.unmarked", "tag.tagged", "commit.unsynced", "commit.synced", "commit.unnamed", "commit.renamed"]
MOMENTS += ["commit.durable", "commit.unsigned"]


def some_point(draw, most):
    """A failpoint: one of those moments, or whichever is reached as the Nth, most often an early one."""
    if draw.chance(0.4):
        return f"{draw.one(MOMENTS)}:{draw.between(1, 3)}"
    return f"any:{1 + int(most * draw.share() ** 3)}"
