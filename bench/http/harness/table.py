"""The report on the terminal."""

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
    widths = [max(len(line[column]) for line in [heads, *cells]) for column in range(len(heads))]
    if cells:
        for line in [heads, *cells]:
            name, *others = line
            others = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
            lines.append("    " + "  ".join([name.ljust(widths[0]), *others]))
    lines += [f"    {name}: {reason}" for name, reason in failures(row).items()]
    return "\n".join(lines) + "\n"
