"""Figures out of a run's record: medians, spreads and ratios, and how they are written."""

import statistics

OURS = "icewell"
PEERS = ("nginx", "nginx-slice", "nginx-tls", "varnish", "trafficserver", "squid", "glance")


class Figure:
    """One server in one row: `median`, `low` and `high`, scaled to the row's unit; `details` are medians."""

    def __init__(self, row, rounds):
        values = [one[row["key"]] * row["scale"] for one in rounds]
        self.median = statistics.median(values)
        self.low, self.high = min(values), max(values)
        self.details = []
        for key, _title, scale in row["details"]:
            known = [one[key] * scale for one in rounds if key in one]
            self.details.append(statistics.median(known) if known else None)
        self.ratio = None


def figures(row):
    """{server: Figure} for those that have one, the best first."""
    found = {name: Figure(row, one["rounds"]) for name, one in row["servers"].items() if one["rounds"]}
    top = best_peer(row, found)
    for figure in found.values():
        if top and figure.median > 0 and found[top].median > 0:
            ratio = figure.median / found[top].median
            figure.ratio = 1 / ratio if row["lower"] else ratio
    return dict(sorted(found.items(), key=lambda item: item[1].median, reverse=not row["lower"]))


def best_peer(row, found):
    """The best of the other caches, which ratios are to. The bare servers are limits, not peers."""
    peers = [name for name in found if name in PEERS]
    return (min if row["lower"] else max)(peers, key=lambda name: found[name].median) if peers else None


def failures(row):
    """{server: reason} for those that have no figure, or that failed in a round."""
    return {name: one["failed"] for name, one in row["servers"].items() if one.get("failed")}


def number(value):
    """Three digits that count."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}" if abs(value) >= 0.1 else f"{value:.2g}"


def spread(figure):
    return f"{number(figure.low)}–{number(figure.high)}"


def ratio(figure):
    return "–" if figure.ratio is None else f"×{figure.ratio:.2f}"
