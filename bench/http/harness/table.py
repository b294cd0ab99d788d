"""The report on the terminal."""

from harness import goals
from harness.figures import failures, figures, number, ratio, spread


def text(row):
    """One row's table, the best server first. The ratio says how many times as good as the best other cache."""
    better = "less is better" if row["lower"] else "more is better"
    lines = [f"{row['title']}  [{row['name']}]", f"    {row['unit']}, {better}"]
    heads = ["", "median", "min–max", "to best"] + [title for _, title, _ in row["details"]]
    cells = [
        [name, number(one.median), spread(one), ratio(one), *map(number, one.details)]
        for name, one in figures(row).items()
    ]
    if cells:
        lines += _aligned([heads, *cells])
    lines += [f"    {name}: {reason}" for name, reason in failures(row).items()]
    return "\n".join(lines) + "\n"


def verdicts(found):
    """The goals and how they were met, with what is known of those that fall short."""
    notes = goals.notes()
    cells = [["goal", "row", "Icewell", "beside", "wanted", "verdict"]]
    for one in found:
        cells.append([one["goal"], one["row"], one["ours"] or "–", one["beside"] or "–", one["wanted"], one["verdict"]])
    lines = list(_aligned(cells, str.ljust))
    for row in dict.fromkeys(one["row"] for one in found if one["met"] is False and one["row"] in notes):
        lines.append(f"    {row}: {notes[row]}")
    return "\n".join([f"Verdicts: {goals.counted(found)}", *lines]) + "\n"


def _aligned(cells, align=str.rjust):
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for name, *others in cells:
        others = [align(cell, width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "    " + "  ".join([name.ljust(widths[0]), *others]).rstrip()
