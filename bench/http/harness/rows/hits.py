"""Hits whose bytes are in the page cache."""

from harness import client, process
from harness.rows.plan import MANY, MIB, SMALL, file_name, in_words
from harness.rows.row import Row, how_many

RANGE = MIB


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
        super().__init__(name, f"{in_words(size)} hits{' over TLS' if tls else ''}, {how_many(clients)}")
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
        super().__init__(name, f"random 1 MiB ranges of a {in_words(size)} image, {how_many(clients)}")
        self.size = size
        self.clients = clients

    def run(self, server, plan, number):
        path = server.path(file_name(self.size))
        return client.load(server, path, self.size, self.clients, plan.seconds, range_bytes=RANGE)


class Http2Small(Small):
    """By `h2load`, over TLS."""

    def __init__(self, connections, streams):
        super().__init__(connections, tls=True)
        self.name, self.group = f"h2-small-{connections}", "h2"
        self.title = f"4 KiB hits over HTTP/2, {connections} connections with {streams} requests each"
        self.streams = streams

    def run(self, server, plan, number):
        return client.h2load(server, server.path(SMALL), self.connections, self.streams, plan.small_seconds)


class Http2Large(Row):
    details = Row.details[:2]  # the disk is not looked at
    tls = True
    group = "h2"

    def __init__(self, size, clients):
        super().__init__(
            f"h2-{in_words(size).replace(' ', '')}-{clients}", f"{in_words(size)} hits over HTTP/2, {how_many(clients)}"
        )
        self.size = size
        self.clients = clients

    def run(self, server, plan, number):
        # Whole seconds are all that h2load takes.
        return client.h2load(server, server.path(file_name(self.size)), self.clients, 1, max(1, round(plan.seconds)))
