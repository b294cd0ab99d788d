"""What is measured: one row of the report each. A row is asked once for each server in each round."""

from harness.rows.cold import Cold, Herd, Join
from harness.rows.hits import Large, Ranges, Small
from harness.rows.memory import Rest, Slow
from harness.rows.plan import MANY


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
