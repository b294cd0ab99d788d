"""Clients that compare every byte of every answer with what the image is known to be."""

import http.client
import threading
import time

from content import Draw

CHUNK = 64 << 10
PATIENCE = 60


class Outcome:
    """How an answer ended: `complete`, `broken`, `refused` (no success; its status) or `none` (no answer)."""

    def __init__(self, end, status=None, got=0, right=True):
        self.end, self.status, self.got, self.right = end, status, got, right

    @property
    def complete(self):
        return self.end == "complete"

    def __repr__(self):
        return f"{self.end} ({self.status}, {self.got} bytes)"


def get(daemon, origin, name, tally, part=None, method="GET", lying=False, each=None, slowly=0, most=None):
    """Asks the daemon for an image, or a part (first and last byte) of it.

    An answer that comes to its end must be the image, in one of the versions that the origin has had. Of one that breaks
    off, each byte must be right, too, unless the origin lies. `each` is called with every chunk's length; `slowly` is how
    many milliseconds are waited before each chunk is read; after `most` bytes the client leaves.
    """
    connection = http.client.HTTPConnection(*daemon.address, timeout=PATIENCE)
    headers = {"Range": "bytes=%d-%d" % part} if part else {}
    try:
        connection.request(method, f"/{name}", headers=headers)
        answer = connection.getresponse()
    except TimeoutError:
        tally.wrong(f"{method} {name} hangs")
        return Outcome("none")
    except (OSError, http.client.HTTPException):
        connection.close()
        return Outcome("none")
    tally.add("answers")
    try:
        outcome = compare(answer, origin, name, tally, part, method, lying, each, slowly, most)
    finally:
        connection.close()
    tally.add({"none": "broken"}.get(outcome.end, outcome.end))
    return outcome


def compare(answer, origin, name, tally, part, method, lying, each, slowly, most):
    if answer.status not in (200, 206):
        return Outcome("refused", answer.status)
    with origin.lock:
        candidates = list(origin.versions[name])
    start = part[0] if part and answer.status == 206 else 0
    if method == "HEAD":
        length = int(answer.headers.get("Content-Length", -1))
        right = any(length in (-1, candidate.size) for candidate in candidates)
        tally.expect(right, f"HEAD {name} tells {length} bytes")
        return Outcome("complete", answer.status)
    at, wrong_at, broken = start, None, False
    while True:
        if slowly:
            time.sleep(slowly / 1000)
        try:
            data = answer.read(CHUNK)
        except TimeoutError:
            tally.wrong(f"GET {name} hangs at byte {at}")
            return Outcome("broken", answer.status, at - start)
        except (OSError, http.client.HTTPException):
            broken = True
            break
        if not data:
            # With a length, read() tells an early end only by what is left of it.
            broken = bool(answer.length)
            break
        if wrong_at is None:
            still = [image for image in candidates if image.bytes[at : at + len(data)] == data]
            if not still:
                with origin.lock:
                    # There may be a newer version by now.
                    newer = [image for image in origin.versions[name] if image not in candidates]
                still = [image for image in newer if at == start and image.bytes[at : at + len(data)] == data]
            if not still:
                wrong_at = at + first_difference(data, (candidates or [None])[0], at)
            candidates = still
        at += len(data)
        tally.add("compared", len(data))
        if each:
            each(len(data))
        if most is not None and at - start >= most:
            broken = True
            break
    told = f"{name} from byte {start}, of which {at - start} came"
    if broken:
        tally.expect(lying or wrong_at is None, f"wrong bytes from {wrong_at} on in a broken answer: {told}")
        return Outcome("broken", answer.status, at - start)
    last = lambda image: min(part[1] + 1, image.size) if part and answer.status == 206 else image.size
    right = wrong_at is None and any(at == last(image) for image in candidates)
    tally.expect(right, f"a complete answer that is wrong from {wrong_at if wrong_at is not None else at} on: {told}")
    return Outcome("complete", answer.status, at - start, right)


def first_difference(data, image, at):
    if image is None:
        return 0
    expected = image.bytes[at : at + len(data)]
    return next((place for place, (a, b) in enumerate(zip(data, expected)) if a != b), len(expected))


class Readers:
    """Clients who go on asking, as the plan's seeds tell them, until they are stopped. Broken answers are theirs to bear."""

    def __init__(self, daemons, origin, tally, names, seeds, lying=False):
        self.daemons, self.origin, self.tally, self.names, self.lying = daemons, origin, tally, names, lying
        self.stopping = threading.Event()
        self.moved = threading.Condition()
        self.bytes = 0
        self.threads = [threading.Thread(target=self.read, args=(Draw("reader", seed),), daemon=True) for seed in seeds]
        for thread in self.threads:
            thread.start()

    def read(self, draw):
        while not self.stopping.is_set():
            daemon = draw.one(self.daemons)
            name = draw.one(self.names)
            method, part = "GET", None
            kind = draw.share()
            if kind < 0.1:
                method = "HEAD"
            elif kind < 0.35:
                size = self.origin.images[name].size
                first = draw.below(size)
                part = first, draw.between(first, size - 1)
            if daemon.up.wait(0.1):
                outcome = get(daemon, self.origin, name, self.tally, part, method, self.lying, self.count)
                if outcome.end == "none":
                    # It was killed a moment ago.
                    time.sleep(0.01)

    def count(self, number):
        with self.moved:
            self.bytes += number
            self.moved.notify_all()

    def wait_for(self, number, patience):
        """Waits until so many bytes more have come to them."""
        with self.moved:
            goal = self.bytes + number
            return self.moved.wait_for(lambda: self.bytes >= goal, patience)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(PATIENCE)
            self.tally.expect(not thread.is_alive(), "a client does not come to its end")
