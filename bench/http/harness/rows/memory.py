"""Memory, at rest and with slow clients."""

import time

from harness import client, process
from harness.client import Failed
from harness.rows.plan import file_name, in_words
from harness.rows.row import Row

SLOW_RATE = 100_000  # bytes a second and client
STEADY = 2  # seconds, after which buffers are as full as they get


class Slow(Row):
    """Memory while many clients read slowly."""

    group = "memory"
    details = (
        ("per_client", "KiB more for each client than at rest", 1 / 1024),
        ("rate", "kB/s and client", 1e-3),
        ("socket_buffers", "MB in the kernel's socket buffers", 1e-6),
        ("pss", "with mapped files, MB", 1e-6),
        ("held", "clients still served", 1),
    )
    lower, once = True, True
    key, unit, scale = "own", "MB", 1e-6

    def __init__(self, size):
        super().__init__("slow", f"memory with slow clients of a {in_words(size)} image, 100 kB/s each")
        self.size = size

    def run(self, server, plan, number):
        rest, sockets = process.memory(server.pids()), process.socket_memory()
        path = server.path(file_name(self.size))
        with client.Slow(server, path, self.size, plan.slow_clients, SLOW_RATE, plan.give_up / 3) as slow:
            time.sleep(STEADY)
            busy, buffers = process.memory(server.pids()), process.socket_memory()
            ended = slow.end()
        if slow.answered < plan.slow_clients:
            raise Failed(f"{slow.answered} of {plan.slow_clients} slow clients were answered")
        rate = ended["bytes"] / ended["seconds"] / plan.slow_clients
        if rate < 0.9 * SLOW_RATE:
            raise Failed(f"each client got {rate / 1e3:.0f} kB/s of {SLOW_RATE / 1e3:.0f}")
        return {
            "rate": rate,
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
