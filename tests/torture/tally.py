"""What the campaign did, and what it found wrong."""

import collections
import threading

# In this order they are printed.
WORDS = {
    "rounds": "rounds",
    "kills": "processes killed",
    "kills of the daemon": "  of the daemon",
    "kills of a command": "  of a command",
    "kills at a point": "  of all these, at a failpoint",
    "power cuts": "power-cut mounts checked",
    "unflushed": "  blocks that were not flushed at the cuts",
    "blocks lost": "  of them lost",
    "faults": "faults planted",
    "answers": "answers",
    "complete": "  complete and right",
    "broken": "  that broke off",
    "refused": "  that were no success",
    "compared": "bytes compared",
    "fetched": "images fetched from the origin",
    "fetched bytes": "  their bytes",
    "sent": "  bytes the origin sent",
    "looks": "looks at the bytes under DIR",
    "files": "files of images compared",
}


class Tally:
    """Counts, from any thread."""

    def __init__(self, round=None):
        self.round = round
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.faults = collections.Counter()
        self.wrongs = []
        self.notes = []

    def __getstate__(self):
        """It goes from the process of a round to the campaign's."""
        return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state):
        vars(self).update(state, lock=threading.Lock())

    def take(self, other):
        """Adds what another has counted."""
        self.counts.update(other.counts)
        self.faults.update(other.faults)
        self.notes += other.notes
        self.wrongs += other.wrongs
        if other.wrongs:
            self.round = other.round

    def add(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def fault(self, kind, number=1):
        with self.lock:
            self.counts["faults"] += number
            self.faults[kind] += number

    def note(self, text):
        """A figure of one round, for the report."""
        with self.lock:
            self.notes.append(text)

    def wrong(self, text):
        with self.lock:
            self.wrongs.append(f"round {self.round}: {text}")
        print(f"WRONG, round {self.round}: {text}", flush=True)

    def expect(self, holds, text):
        if not holds:
            self.wrong(text)
        return holds

    def report(self):
        lines = [f"{label + ':':<52}{self.counts[key]:>16,}" for key, label in WORDS.items()]
        at = lines.index(next(line for line in lines if line.startswith("faults"))) + 1
        lines[at:at] = [f"{'  ' + kind + ':':<52}{number:>16,}" for kind, number in sorted(self.faults.items())]
        lines += self.notes
        lines.append(f"{'wrong:':<52}{len(self.wrongs):>16,}")
        return "\n".join(lines)
