"""What is measured: one row of the report each. A row is asked once for each server in each round."""

import dataclasses
import os
import pathlib
import statistics
import time

from harness import client, process
from harness.client import Failed

SMALL = "4KiB.img"
HERD = "herd.img"
HERD_RATE = 200_000_000
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
RANGE = MIB
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


class Row:
    """One measurement of all servers, or of those that `wants` picks.

    `key` and `unit` name the figure that is ranked, `scale` makes it of what was measured; `lower` says that less is
    better. `details` are further figures to show: (key, what it is, scale). `once` rows are measured in one round.
    """

    group = "large"
    details = (
        ("cpu_seconds_per_gb", "server CPU s/GB", 1),
        ("client_cpu_share", "client's CPU share", 1),
        ("disk_share", "share read from the disk", 1),
    )

    lower = False
    tls = False
    once = False
    key = "bytes_per_second"
    unit = "GB/s"
    scale = 1e-9

    def __init__(self, name, title):
        self.name = name
        self.title = title

    def wants(self, server):
        return server.tls == self.tls and server.warm

    def run(self, server, plan, number):
        """One measurement: a dictionary of figures. Raises `Failed` where there is none."""
        raise NotImplementedError


class Small(Row):
    group = "small"
    key, unit, scale = "requests_per_second", "requests/s", 1
    details = (
        ("cpu_seconds_per_1000", "server CPU s/1000 requests", 1),
        ("client_cpu_share", "client's CPU share", 1),
    )

    def __init__(self, connections, tls=False):
        name = f"{'tls-' if tls else ''}small-{connections}"
        super().__init__(name, f"4 KiB hits{' over TLS' if tls else ''}, {connections} connections")
        self.connections = connections
        self.tls = tls
        self.group = "tls" if tls else self.group

    def run(self, server, plan, number):
        return client.wrk(server, server.path(SMALL), self.connections, plan.small_seconds)


class Large(Row):
    def __init__(self, size, clients, tls=False):
        name = f"{'tls-' if tls else ''}{in_words(size).replace(' ', '')}-{clients}"
        super().__init__(name, f"{in_words(size)} hits{' over TLS' if tls else ''}, {_clients(clients)}")
        self.size = size
        self.clients = clients
        if clients >= MANY:
            self.details = (*Row.details, ("own", "MB of memory under load", 1e-6))
        self.tls = tls
        self.group = "tls" if tls else self.group

    def run(self, server, plan, number):
        path = server.path(file_name(self.size))
        if number == 0 and not self.tls:
            # What an earlier row has pushed out of memory comes back before it counts.
            client.once(server, path, self.size, 1, plan.give_up)
        under_load = (lambda: process.memory(server.pids())) if self.clients >= MANY else None
        return client.load(server, path, self.size, self.clients, plan.seconds, at_half=under_load)


class Ranges(Row):
    details = (("answers_per_second", "ranges/s", 1), *Row.details)

    def __init__(self, size, clients):
        name = f"ranges-{clients}"
        super().__init__(name, f"random 1 MiB ranges of a {in_words(size)} image, {_clients(clients)}")
        self.size = size
        self.clients = clients

    def run(self, server, plan, number):
        path = server.path(file_name(self.size))
        return client.load(server, path, self.size, self.clients, plan.seconds, range_bytes=RANGE)


class Slow(Row):
    """Memory while many clients read a few KB/s each."""

    group = "memory"
    details = (
        ("per_client", "KB more for each client", 1e-3),
        ("socket_buffers", "MB in the kernel's socket buffers", 1e-6),
        ("pss", "with mapped files, MB", 1e-6),
        ("held", "clients still served", 1),
    )
    lower, once = True, True
    key, unit, scale = "own", "MB", 1e-6

    def __init__(self, size):
        super().__init__("slow", f"memory with slow clients of a {in_words(size)} image")
        self.size = size

    def run(self, server, plan, number):
        rest, sockets = process.memory(server.pids()), process.socket_memory()
        path = server.path(file_name(self.size))
        with client.Slow(server, path, self.size, plan.slow_clients, plan.give_up / 3) as slow:
            busy, buffers = process.memory(server.pids()), process.socket_memory()
            ended = slow.end()
        if slow.answered < plan.slow_clients:
            raise Failed(f"{slow.answered} of {plan.slow_clients} slow clients were answered")
        return {
            "own": busy["own"],
            "own_at_rest": rest["own"],
            "pss": busy["pss"],
            "per_client": (busy["own"] - rest["own"]) / plan.slow_clients,
            "socket_buffers": buffers - sockets,
            "held": ended["held"],
        }


class Rest(Row):
    """Memory of a server that has answered and now does nothing."""

    group = "memory"
    details = (("pss", "with mapped files, MB", 1e-6),)
    lower, once = True, True
    key, unit, scale = "own", "MB", 1e-6

    def __init__(self):
        super().__init__("rest", "memory at rest")

    def run(self, server, plan, number):
        return process.memory(server.pids())


class Cold(Row):
    """Hits whose bytes are on the disk and not in the page cache."""

    group = "cold"
    details = (("cpu_seconds_per_gb", "server CPU s/GB", 1), ("first_byte", "ms to first byte", 1e3))

    def __init__(self, size, clients):
        name = f"cold-{in_words(size).replace(' ', '')}-{clients}"
        super().__init__(name, f"{in_words(size)} hits, page cache cold, {_clients(clients)}")
        self.size = size
        self.clients = clients

    def run(self, server, plan, number):
        server.forget()
        drop_caches()
        name = file_name(self.size)
        asked = len(server.setting.origin.requests(f"/{name}"))
        said = client.once(server, server.path(name), self.size, self.clients, plan.give_up)
        if len(server.setting.origin.requests(f"/{name}")) > asked:
            raise Failed("no hit: it asked the origin")
        if len(said["done"]) < self.clients:
            raise Failed(f"{len(said['done'])} of {self.clients} clients were done after {plan.give_up:.0f} s")
        from_disk = said["disk_bytes"] / self.size
        if from_disk < 0.5:
            raise Failed(f"not cold: it keeps bytes in memory of its own ({from_disk:.0%} came from the disk)")
        return {
            "bytes_per_second": said["bytes"] / said["done"][-1],
            "first_byte": statistics.median(said["first_byte"]),
            "cpu_seconds_per_gb": said["cpu_seconds"] / (said["bytes"] / 1e9),
        }


class Herd(Row):
    """Many clients want the same cold image at once."""

    group = "herd"
    details = (
        ("median_first_byte", "median s to first byte", 1),
        ("last_first_byte", "last s to first byte", 1),
        ("median_done", "median s to last byte", 1),
        ("origin_copies", "copies sent by the origin", 1),
        ("origin_requests", "requests to the origin", 1),
        ("cpu_seconds", "server CPU s", 1),
    )
    lower = True
    key, unit, scale = "last_done", "s", 1

    def __init__(self, clients, once):
        super().__init__(f"herd-{clients}", f"cold image, {_clients(clients)} at once: time to the last byte of all")
        self.clients = clients
        self.once = once

    def wants(self, server):
        return not server.tls and server.caches

    def run(self, server, plan, number):
        path, place = cold_path(server, plan.herd_size, HERD, f"{self.name}-{number}")
        said = client.once(server, path, plan.herd_size, self.clients, plan.give_up)
        asked = origin_bytes(server, place)
        if len(said["done"]) < self.clients:
            why = next(iter(said["errors"]), "no error")
            raise Failed(f"{len(said['done'])} of {self.clients} clients were served in {plan.give_up:.0f} s ({why})")
        return {
            "last_done": said["done"][-1],
            "median_done": statistics.median(said["done"]),
            "median_first_byte": statistics.median(said["first_byte"]),
            "last_first_byte": said["first_byte"][-1],
            "origin_copies": asked["bytes"] / plan.herd_size,
            "origin_requests": asked["requests"],
            "cpu_seconds": said["cpu_seconds"],
        }


class Join(Row):
    """A client that comes while the image is being fetched for another."""

    group = "herd"
    details = (
        ("added_first_byte", "ms more than a hit", 1e3),
        ("hit_first_byte", "ms to first byte of a hit", 1e3),
        ("first_byte", "ms to first byte of who came first", 1e3),
        ("origin_copies", "copies sent by the origin", 1),
    )
    lower = True
    key, unit, scale = "joined_first_byte", "ms", 1e3

    def __init__(self):
        super().__init__("join", "time to first byte of a client that joins a running fill")

    def wants(self, server):
        return not server.tls and server.caches

    def run(self, server, plan, number):
        size = min(plan.sizes)
        path, place = cold_path(server, size, file_name(size), f"{self.name}-{number}")
        said = client.once(server, path, size, 1, plan.give_up, join_after=size // 4)
        asked = origin_bytes(server, place)
        if said["joined_first_byte"] is None or said["errors"]:
            raise Failed(next(iter(said["errors"]), "the client that joined got nothing"))
        hits = [client.once(server, path, size, 1, plan.give_up)["first_byte"][0] for _ in range(3)]
        return {
            "added_first_byte": said["joined_first_byte"] - statistics.median(hits),
            "first_byte": said["first_byte"][0],
            "joined_first_byte": said["joined_first_byte"],
            "hit_first_byte": statistics.median(hits),
            "origin_copies": asked["bytes"] / size,
        }


def all_rows(plan):
    """In the order of a run: what leaves the page cache cold comes last."""
    rows = [Rest(), Small(32), Small(512)]
    rows += [Large(size, clients) for size in plan.sizes for clients in (1, 8, 64)]
    rows += [Ranges(plan.largest, 8)]
    rows += [Small(32, tls=True), *(Large(size, clients, tls=True) for size in plan.sizes for clients in (1, 8))]
    rows += [Slow(plan.largest), Join()]
    rows += [Herd(clients, once=clients > MANY) for clients in plan.herds]
    rows += [Cold(size, clients) for size in plan.sizes for clients in (1, 8)]
    return rows


def cold_path(server, size, name, occasion):
    """A path under which nobody has the file yet, at the server; and its place in the origin's log."""
    place = f"slow/{server.name}-{occasion}"
    return server.prepare(f"{place}/{name}", size), place


def origin_bytes(server, place):
    """What the origin was asked for, once it has no more to send."""
    server.setting.origin.wait_idle()
    requests = [sent for status, sent in server.setting.origin.requests(f"/{place}/") if status in (200, 206)]
    return {"requests": len(requests), "bytes": sum(requests)}


def drop_caches():
    """Empties the page cache, which takes root."""
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1\n")
    except OSError as error:
        raise Failed(f"the page cache cannot be emptied: {error}") from error
    time.sleep(0.2)


def _clients(number):
    return "1 client" if number == 1 else f"{number} clients"
