"""The campaign: rounds one after the other, each of which follows from the seed and its number alone."""

import concurrent.futures
import pathlib
import shutil
import time
import traceback

from content import Draw
from mounts import can_mount, keep_to_ourselves
from rounds import bad_origins, failing_disk, forty_kills, full_disk, kills, neighbours, power, rot
from tally import Tally

# What one cycle has in it. Each cycle has its rounds in an order of its own, after the first, which takes the longest.
CYCLE = [
    ("forty kills", forty_kills, ()),
    ("kills", kills, ()),
    ("kills", kills, ()),
    ("power", power, ("ext4",)),
    ("power", power, ("xfs",)),
    ("bad origins", bad_origins, ()),
    ("full disk", full_disk, ()),
    ("failing disk", failing_disk, ("ext4",)),
    ("failing disk", failing_disk, ("xfs",)),
    ("neighbours", neighbours, ()),
    ("rot", rot, ("ext4",)),
    ("rot", rot, ("xfs",)),
]
NEED_MOUNTS = {"power", "full disk", "failing disk", "rot"}


class Round:
    """One round of a campaign: what it will do is decided before it begins."""

    def __init__(self, seed, number):
        self.seed, self.number = seed, number
        cycle, place = divmod(number, len(CYCLE))
        order = [CYCLE[0], *Draw("cycle", seed, cycle).shuffled(CYCLE[1:])]
        self.kind, self.module, arguments = order[place]
        self.plan = self.module.plan(Draw("round", seed, number), *arguments)

def run(seed, folder, minutes=None, cycles=None, only=None, jobs=2, say=print):
    """Plays rounds, `jobs` at a time, until the time is over, so many cycles are through, or something is wrong; what it all
    came to. What wrong rounds leave stays."""
    total, began = Tally(), time.monotonic()
    cannot = can_mount()
    if cannot:
        say(f"rounds that mount file systems are left out: {cannot}")

    def more(number):
        if only is not None:
            return number == only
        if cycles is not None and number >= cycles * len(CYCLE):
            return False
        return minutes is None or time.monotonic() - began < minutes * 60

    number = 0 if only is None else only
    # A process for each round: what one of them leaves running or open is no other's.
    with concurrent.futures.ProcessPoolExecutor(jobs, max_tasks_per_child=1) as pool:
        playing = set()
        while not total.wrongs:
            while len(playing) < jobs and more(number):
                if not (cannot and Round(seed, number).kind in NEED_MOUNTS):
                    playing.add(pool.submit(play, seed, number, folder))
                number += 1
            if not playing:
                break
            done, playing = concurrent.futures.wait(playing, return_when=concurrent.futures.FIRST_COMPLETED)
            for round in done:
                settle(total, round, say)
        for round in concurrent.futures.wait(playing).done:
            settle(total, round, say)
    return total


def settle(total, played, say):
    try:
        tally, line = played.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        return total.wrong(f"its process has ended: {error}")
    total.take(tally)
    say(line, flush=True)


def play(seed, number, folder):
    """Plays one round; its tally, and a line about it."""
    round, tally, began = Round(seed, number), Tally(number), time.monotonic()
    folder = pathlib.Path(folder) / f"round-{number}"
    folder.mkdir(parents=True)
    keep_to_ourselves()
    try:
        round.module.play(folder, tally, round.plan)
    except Exception:
        tally.wrong(f"the round broke off: {traceback.format_exc()}")
    tally.add("rounds")
    if not tally.wrongs:
        shutil.rmtree(folder)
    return tally, f"round {number} ({round.kind}): {time.monotonic() - began:.1f} s{'' if not tally.wrongs else ', WRONG'}"
