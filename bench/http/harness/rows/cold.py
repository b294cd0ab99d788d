"""What is not in memory, or not in the cache."""

import statistics

from harness import client
from harness.client import Failed
from harness.rows.plan import HERD, file_name, in_words
from harness.rows.row import Row, cold_path, drop_caches, how_many, origin_bytes


class Cold(Row):
    """Hits whose bytes are on the disk and not in the page cache."""

    group = "cold"
    details = (("cpu_seconds_per_gb", "server CPU s/GB", 1), ("first_byte", "ms to first byte", 1e3))

    def __init__(self, size, clients):
        name = f"cold-{in_words(size).replace(' ', '')}-{clients}"
        super().__init__(name, f"{in_words(size)} hits, page cache cold, {how_many(clients)}")
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
        super().__init__(f"herd-{clients}", f"cold image, {how_many(clients)} at once: time to the last byte of all")
        self.clients = clients
        self.once = once

    def wants(self, server):
        return not server.tls and server.caches and not server.authorised

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
        return not server.tls and server.caches and not server.authorised

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
