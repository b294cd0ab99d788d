"""How long and how large a run is, and what its files are called."""

import dataclasses

SMALL = "4KiB.img"
HERD = "herd.img"
HERD_RATE = 200_000_000
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MANY = 64  # clients at which memory under load is looked at


@dataclasses.dataclass
class Plan:
    """How long and how large: `--quick` and the options decide."""

    sizes: list
    rounds: int
    seconds: float
    small_seconds: int
    herd_size: int
    herds: tuple
    give_up: float
    slow_clients: int
    start_images: int
    authorised_seconds: int

    @property
    def largest(self):
        return max(self.sizes)

    def files(self):
        """All files of the origin: name and size."""
        return {SMALL: 4 * KIB, HERD: self.herd_size} | self.warm()

    def warm(self):
        """The images that are hit: name and size."""
        return {SMALL: 4 * KIB} | {file_name(size): size for size in self.sizes}

    def cold_bytes(self):
        """What the rows of cold images leave in each cache."""
        herds = sum(1 if clients > MANY else self.rounds for clients in self.herds)
        return herds * self.herd_size + self.rounds * min(self.sizes)


def file_name(size):
    return f"{in_words(size).replace(' ', '')}.img"


def in_words(size):
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"
