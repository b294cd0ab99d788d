"""What is measured: one row of the report each. A row is asked once for each server in each round."""

from harness.rows.authorised import AuthorisedLarge, AuthorisedSmall
from harness.rows.cold import Cold, Herd, Join
from harness.rows.fill import Fill
from harness.rows.hits import Http2Large, Http2Small, Large, Ranges, Small
from harness.rows.memory import Rest, Slow
from harness.rows.plan import MANY
from harness.rows.scale import CONNECTIONS, Scale
from harness.rows.start import Start


def all_rows(plan):
    """In the order of a run: what leaves the page cache cold comes last."""
    rows = [Rest(), Small(32), Small(512)]
    rows += [Large(size, clients) for size in plan.sizes for clients in (1, 8, 64)]
    rows += [Ranges(plan.largest, 8)]
    rows += [Small(32, tls=True), *(Large(size, clients, tls=True) for size in plan.sizes for clients in (1, 8))]
    rows += [Http2Small(32, 10), Http2Large(min(plan.sizes), 8)]
    # Before the slow clients, which a Glance takes a while to get over.
    rows += [AuthorisedSmall(), AuthorisedLarge(min(plan.sizes), 8), Slow(plan.largest)]
    rows += [Scale(min(plan.sizes), connections) for connections in CONNECTIONS]
    rows += [Fill(plan.largest), Join()]
    rows += [Herd(clients, once=clients > MANY) for clients in plan.herds]
    rows += [Cold(size, clients) for size in plan.sizes for clients in (1, 8)]
    rows += [Start(plan.start_images)]
    return rows
