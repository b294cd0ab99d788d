"""How throughput and memory go with the number of connections."""

import functools

from harness import client, process
from harness.rows.plan import file_name, in_words
from harness.rows.row import Row, how_many

SERVERS = ("nginx", "varnish")
CONNECTIONS = (1, 8, 64, 512, 4000)


class Scale(Row):
    group = "scale"
    details = (
        ("own", "MB of memory under load", 1e-6),
        ("cpu_seconds_per_gb", "server CPU s/GB", 1),
        ("client_cpu_share", "client's CPU share", 1),
    )
    once = True

    def __init__(self, size, connections):
        title = f"{in_words(size)} hits, {how_many(connections)} that read all they can"
        super().__init__(f"scale-{connections}", title)
        self.size = size
        self.connections = connections

    def wants(self, server):
        return server.name in server.setting.icewells or server.name in SERVERS

    def run(self, server, plan, number):
        path = server.path(file_name(self.size))
        under_load = functools.partial(process.memory, server.pids())
        said = client.load(server, path, self.size, self.connections, plan.seconds, at_half=under_load)
        return said | {"connections": self.connections}
