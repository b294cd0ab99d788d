#!/usr/bin/env python3
"""Writes the figures of a record into docs/performance.md, and its pictures beside it: `make bench-http-page RECORD=…`.

Without a record it is the last one again: after `make bench-scale`, or with other notes. What stands between the two
marks is made anew, the rest of the page is left alone.
"""

import json
import pathlib
import shutil
import sys

from harness import goals, graph, plot
from harness.figures import OURS, best_peer, failures, figures, number, ratio, spread
from harness.servers import ROOT

PAGE = ROOT / "docs/performance.md"
PICTURES = ROOT / "docs/performance"
ENTRIES = PICTURES / "entries.json"
BEGIN, END = "<!-- figures: written by bench/http/page.py -->", "<!-- end of figures -->"
GROUPS = {
    "small": "Small files",
    "large": "Images from the page cache",
    "cold": "Images from the disk",
    "authorised": "Images that a Glance has to allow",
    "tls": "Over TLS",
    "h2": "Over HTTP/2",
    "herd": "Many clients, one cold image",
    "fill": "Fills",
    "start": "Start",
    "memory": "Memory",
    "scale": "Over the number of connections",
}


def main():
    source = pathlib.Path(sys.argv[1]) if sys.argv[1:] else PICTURES / "record.json"
    record = json.loads(source.read_text())
    PICTURES.mkdir(exist_ok=True)
    if source.resolve() != (PICTURES / "record.json").resolve():
        shutil.copy(source, PICTURES / "record.json")
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{made_of(record)}\n{END}{after}")


def made_of(record):
    parts = [verdicts(record), made_on(record), summary(record["rows"])]
    for group, title in GROUPS.items():
        rows = [row for row in record["rows"] if row["group"] == group]
        if rows:
            (PICTURES / f"{group}.svg").write_text(over_connections(rows) if group == "scale" else plot.chart(rows))
            parts.append(f"### {title}\n\n![{title}](performance/{group}.svg)\n")
            parts += [detail(row) for row in rows]
    if ENTRIES.exists():
        parts.append(over_images(json.loads(ENTRIES.read_text())))
    return "\n".join(parts)


def over_connections(rows):
    """Throughput and memory of each server."""
    throughput, memory = {}, {}
    for row in rows:
        for name, server in row["servers"].items():
            for one in server["rounds"]:
                throughput.setdefault(name, []).append((one["connections"], one["bytes_per_second"] / 1e9))
                memory.setdefault(name, []).append((one["connections"], one["own"] / 1e6))
    if not throughput:
        return plot.chart(rows)
    pictures = [("GB/s, more is better", "connections", False, throughput)]
    return graph.chart([*pictures, ("MB of server memory, less is better", "connections", True, memory)])


def over_images(record):
    """The library by the number of images: `make bench-scale`."""
    series = {}
    for one in record["figures"]:
        series.setdefault(one["operation"], []).append((one["entries"], one["seconds"] * 1e3))
    shown = {name: points for name, points in series.items() if len(points) > 1} or series
    (PICTURES / "entries.svg").write_text(graph.chart([("ms, less is better", "images in the directory", True, shown)]))
    counts = sorted({x for points in series.values() for x, _ in points})
    said = ["### Over the number of images\n\n![Over the number of images](performance/entries.svg)\n"]
    said.append("The library, in ms (`make bench-scale`, "
                f"{record['date']}): medians, the file system's caches warm.\n")
    said += [f"| | {' | '.join(f'{count:,}' for count in counts)} |", "|" + "---|" * (len(counts) + 1)]
    for name, points in series.items():
        known = dict(points)
        said.append(f"| {name} | {' | '.join(number(known.get(count)) for count in counts)} |")
    return "\n".join(said) + "\n"


def verdicts(record):
    """The goals, and how the run met them."""
    found, notes = goals.verdicts(record), goals.notes()
    lines = [f"### Verdicts\n\n{goals.counted(found)}.\n"]
    lines += ["| goal | row | Icewell | beside | wanted | verdict |", "|---|---|---|---|---|---|"]
    for one in found:
        verdict = one["verdict"] if one["met"] is not False else f"**{one['verdict']}**"
        note = notes.get(one["row"], "") if one["met"] is False else ""
        cells = [one["goal"], one["row"], one["ours"] or "–", one["beside"] or "–", one["wanted"]]
        lines.append(f"| {' | '.join(cells)} | {verdict}{': ' + note if note else ''} |")
    return "\n".join(lines) + "\n"


def made_on(record):
    """Machine, versions and command of the run."""
    machine, versions = record["machine"], record["versions"]
    said = [
        "### The run\n",
        f"- {machine['date']}, {record['seconds'] // 60} minutes: `{' '.join(record['command']).strip()}`, "
        f"{record['plan']['rounds']} rounds of {record['plan']['seconds']} s",
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB of memory, Linux "
        f"{machine['kernel']}, {machine['file_system']}; load before the run {machine['load_before']:.2f}",
        "- " + ", ".join(f"{name} {version.removeprefix(name).strip()}" for name, version in versions.items()),
    ]
    said.append(congestion(machine.get("congestion", "unknown")))
    alone = record["origin_alone"]
    said.append(
        f"- the origin alone, at its limited rate, gives one client the cold image of {alone['bytes'] >> 20} MiB in "
        f"{alone['done']:.2f} s"
    )
    said += [f"- {name} was not measured: {reason}" for name, reason in record["absent"].items()]
    return "\n".join(said) + "\n"


def congestion(name):
    """It decides much on loopback."""
    said = f"- TCP's congestion control on this machine: `{name}`. Icewell sets `reno` for clients on loopback"
    if name == "reno":
        return said + ", which changes nothing here."
    said += f"; the other servers keep to the machine's `{name}`"
    pacing = ", which paces what is sent, and that may cost them throughput on loopback" if name == "bbr" else ""
    return f"{said}{pacing}. `--congestion NAME` measures all under another."


def summary(rows):
    """Icewell and the best other cache of each row."""
    lines = ["### In short\n", "| | unit | Icewell | best other cache | ratio |", "|---|---|---|---|---|"]
    for row in rows:
        found = figures(row)
        ours = next((found[name] for name in (OURS, f"{OURS}-tls") if name in found), None)
        best = best_peer(row, found)
        if ours and best:
            unit = row["unit"] + (", less is better" if row["lower"] else "")
            cells = [row["title"], unit, number(ours.median), f"{number(found[best].median)} ({best})", ratio(ours)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def detail(row):
    heads = [row["title"], row["unit"], "min–max", "to the best other", *(title for _, title, _ in row["details"])]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for name, one in figures(row).items():
        cells = [name, number(one.median), spread(one), ratio(one), *map(number, one.details)]
        lines.append(f"| {' | '.join(cells)} |")
    for name, reason in failures(row).items():
        lines.append(f"| {name} | {reason.replace('|', ' ')} |" + " |" * (len(heads) - 2))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
