"""Images whose bytes follow from their names, so that whoever compares needs nobody to tell him what is right."""

import base64
import functools
import hashlib
import random
import threading

KEPT = 384 << 20  # bytes of images that are remembered, so that they need not be made anew each time


class Draw:
    """Chance that follows from a seed, the same in every version of Python."""

    def __init__(self, *seed):
        self.source = random.Random("/".join(map(str, seed)))

    def below(self, bound):
        return int(self.source.random() * bound)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def share(self):
        return round(self.source.random(), 4)

    def chance(self, share):
        return self.source.random() < share

    def one(self, things):
        return things[self.below(len(things))]

    def shuffled(self, things):
        things = list(things)
        return [things.pop(self.below(len(things))) for _ in range(len(things))]


class Image:
    """One version of an image; `holes` has runs of zeros in it, at odd places."""

    def __init__(self, name, size, version=1, holes=False):
        self.name, self.size, self.version, self.holes = name, size, version, holes

    @property
    def bytes(self):
        return _memory.bytes_of(self.name, self.version, self.size, self.holes)

    @functools.cached_property
    def sha256(self):
        return hashlib.sha256(self.bytes)

    @property
    def digest_field(self):
        return f"sha-256=:{base64.b64encode(self.sha256.digest()).decode()}:"

    @property
    def etag(self):
        return f'"{self.name}-{self.version}"'

    def __repr__(self):
        return f"{self.name} (version {self.version}, {self.size} bytes)"


def make(name, version, size, holes):
    draw = Draw("image", name, version)
    content = draw.source.randbytes(size)
    if holes:
        content = bytearray(content)
        for _ in range(6):
            start = draw.below(size)
            length = draw.below(size // 8)
            content[start : start + length] = bytes(len(content[start : start + length]))
        content = bytes(content)
    return content


class Memory:
    """The bytes of the images asked for lately."""

    def __init__(self):
        self.lock, self.kept, self.total = threading.Lock(), {}, 0

    def bytes_of(self, *key):
        with self.lock:
            content = self.kept.pop(key, None)
            if content is None:
                content = make(*key)
                self.total += len(content)
            # The latest at the end.
            self.kept[key] = content
            while self.total > KEPT and len(self.kept) > 1:
                oldest = next(iter(self.kept))
                self.total -= len(self.kept.pop(oldest))
            return content


_memory = Memory()
