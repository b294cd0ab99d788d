"""What all rows have in common."""

import os
import pathlib
import time

from harness.client import Failed


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


def cold_path(server, size, name, occasion):
    """A path under which nobody has the file yet, at the server; and its place in the origin's log."""
    place = f"slow/{server.name}-{occasion}"
    return server.prepare(f"{place}/{name}", size), place


def origin_bytes(server, place):
    """What the origin was asked for, once it has no more to send."""
    server.setting.origin.wait_idle()
    requests = [sent for status, sent in server.setting.origin.requests(f"/{place}/") if status in (200, 206)]
    return {"requests": len(requests), "bytes": sum(requests)}


def drop_caches(what="1\n"):
    """Empties the page cache, with `3` also what is known of directories and inodes. It takes root."""
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text(what)
    except OSError as error:
        raise Failed(f"the page cache cannot be emptied: {error}") from error
    time.sleep(0.2)


def how_many(number):
    return "1 client" if number == 1 else f"{number} clients"
