"""The goals: what Icewell is to reach in each row, and the verdict on a run."""

import dataclasses
import statistics
import tomllib

from harness.figures import OURS, PEERS, number
from harness.rows.plan import in_words
from harness.servers import AUTHORISED, ROOT

NOTES = ROOT / "docs/performance/notes.toml"
BARE = ("bare-sendfile", "bare-mmap", "bare-read")


@dataclasses.dataclass
class Goal:
    """Our `key` in the row is to be `factor` times the best of `others`, or `factor` itself where there are none.

    The best is the greatest, or with `lower` the least. The shown figures are multiplied by `scale`, of unit `unit`.
    """

    what: str
    row: str
    key: str
    factor: float
    others: tuple = ()
    lower: bool = False
    scale: float = 1
    unit: str = ""
    ours: str = OURS


def goals(plan):
    """In the order of the report; `plan` is that of a record, whose sizes name rows."""
    images = [f"{in_words(size).replace(' ', '')}-{clients}" for size in plan["sizes"] for clients in (1, 8, 64)]
    rate = {"key": "bytes_per_second", "scale": 1e-9, "unit": "GB/s"}
    requests = {"key": "requests_per_second", "unit": "requests/s"}
    less = {"lower": True}
    found = [Goal("hit throughput", row, factor=1, others=PEERS, **rate) for row in images]
    found += [Goal("the same, beside bare loops", row, factor=0.95, others=BARE, **rate) for row in images]
    cpu = {"key": "cpu_seconds_per_gb", "unit": "CPU s/GB", **less}
    found += [Goal("server CPU for hits", row, factor=1, others=PEERS, **cpu) for row in images]
    found += [Goal("4 KiB hits", f"small-{count}", factor=1, others=PEERS, **requests) for count in (32, 512)]
    found += [Goal("random ranges of 1 MiB", "ranges-8", factor=1, others=PEERS, **rate)]
    seconds = {"key": "last_done", "unit": "s", **less}
    for row in [f"herd-{clients}" for clients in plan["herds"]]:
        # What is said in copies is right to the hundredth.
        found += [Goal("copies the origin sends", row, "origin_copies", 1.005, lower=True, unit="copies")]
        found += [Goal("last client, beside the origin alone", row, factor=1.05, others=("origin",), **seconds)]
        found += [Goal("last client, beside other caches", row, factor=1, others=PEERS, **seconds)]
    milliseconds = {"scale": 1e3, "unit": "ms", **less}
    found += [Goal("added time to first byte in a running fill", "join", "added_first_byte", 0.005, **milliseconds)]
    found += [Goal("fill with digest, to the slower of digest and disk", "fill", "of_slower", 0.9, unit="of it")]
    slow = {"lower": True, "scale": 1 / 1024, "unit": "KiB"}
    found += [Goal("memory for each slow client", "slow", "per_client", 32 << 10, **slow)]
    for key, how in (("warm", "warm"), ("cold", "cold")):
        found += [Goal(f"start with 100,000 images, folder {how}", "start", key, 0.1, **milliseconds)]
    ours = {"ours": AUTHORISED}
    found += [Goal("authorised hits, beside others", "authorised", factor=0.9, others=(OURS,), **requests, **ours)]
    found += [Goal("the same, large", "authorised-large", factor=0.9, others=(OURS,), **rate, **ours)]
    found += [Goal("authorised hits, beside Glance", "authorised", factor=100, others=("glance",), **requests, **ours)]
    return found


def verdicts(record):
    """One dictionary for each goal: figures as text, and `verdict`: `met`, `short (×…)` or `not measured`."""
    rows = {row["name"]: row for row in record["rows"]}
    return [_verdict(goal, rows.get(goal.row), record) for goal in goals(record["plan"])]


def _verdict(goal, row, record):
    sign = "≤" if goal.lower else "≥"
    least = "the bare loops" if goal.others is BARE else "the best other cache" if goal.others is PEERS else None
    least = least or " ".join(goal.others)
    wanted = f"{sign} {goal.factor:g} × {least}" if least else f"{sign} {_text(goal, goal.factor)}"
    result = {"goal": goal.what, "row": goal.row, "wanted": wanted, "ours": None, "beside": None}
    ours = _median(row, goal.ours, goal.key)
    bound, beside = goal.factor, None
    if goal.others:
        known = {name: _of(goal, row, name, record) for name in goal.others}
        known = {name: value for name, value in known.items() if value is not None}
        beside = (min if goal.lower else max)(known, key=known.get, default=None)
        bound = goal.factor * known[beside] if beside else None
        result["beside"] = beside and f"{_text(goal, known[beside])} ({beside})"
    failed = row and row["servers"].get(goal.ours, {}).get("failed")
    if ours is not None:
        result["ours"] = _text(goal, ours)
    if failed:
        return result | {"verdict": "short (it failed)", "met": False}
    if ours is None or bound is None:
        return result | {"verdict": "not measured", "met": None}
    met = ours <= bound if goal.lower else ours >= bound
    if met:
        return result | {"verdict": "met", "met": True}
    share = bound / ours if goal.lower else ours / bound
    # Of the goal; what is short is never shown as ×1.00.
    return result | {"verdict": f"short (×{min(share, 0.995):.3g})", "met": False}


def _of(goal, row, name, record):
    if name == "origin":
        return record.get("origin_alone", {}).get("done")
    return _median(row, name, goal.key)


def _median(row, name, key):
    rounds = row["servers"].get(name, {}).get("rounds", []) if row else []
    known = [one[key] for one in rounds if key in one]
    return statistics.median(known) if known else None


def _text(goal, value):
    return f"{number(value * goal.scale)} {goal.unit}"


def notes():
    """{row: why it falls short}, kept by hand."""
    return tomllib.loads(NOTES.read_text()) if NOTES.exists() else {}


def counted(found):
    """`31 of 36 goals met, 2 not measured`."""
    met = sum(one["met"] is True for one in found)
    unknown = sum(one["met"] is None for one in found)
    return f"{met} of {len(found)} goals met, {len(found) - met - unknown} short, {unknown} not measured"
