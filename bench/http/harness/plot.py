"""Bars as SVG, written by hand: a picture in a repository should need no library to look the same in ten years."""

from html import escape

from harness.figures import OURS, PEERS, figures, number

WIDTH, LABELS, BAR, GAP, TITLE = 760, 120, 16, 5, 34
RIGHT = 120  # room for the figure after the bar
COLOURS = {"ours": "#1f6f8b", "peer": "#99a8b2", "bare": "#d9d2c5"}


def chart(rows):
    """One picture of several rows, a block of bars for each: median, and a line from the least to the most."""
    parts, y = [], 8
    for row in rows:
        found = figures(row)
        if not found:
            continue
        better = "less is better" if row["lower"] else "more is better"
        parts.append(_text(0, y + 16, f"{row['title']} ({row['unit']}, {better})", "title"))
        y += TITLE - 8
        most = max(figure.high for figure in found.values()) or 1
        for name, figure in found.items():
            parts += _bar(name, figure, y, (WIDTH - LABELS - RIGHT) / most)
            y += BAR + GAP
        y += 14
    style = "text{font:13px sans-serif;fill:#222}.title{font-weight:bold}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">'
    back = f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>'
    return "\n".join([head, f"<style>{style}</style>", back, *parts, "</svg>", ""])


def _bar(name, figure, y, scale):
    base = name.removesuffix("-tls")
    kind = "ours" if base.startswith(OURS) else "peer" if name in PEERS else "bare"
    length = max(figure.median * scale, 1)
    middle = y + BAR / 2
    yield _text(LABELS - 8, y + 13, name, end=True)
    yield f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[kind]}"/>'
    low, high = LABELS + max(figure.low, 0) * scale, LABELS + max(figure.high, 0) * scale
    yield f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#222"/>'
    yield _text(max(LABELS + length, high) + 6, y + 13, number(figure.median))


def _text(x, y, text, kind=None, end=False):
    attributes = (f' class="{kind}"' if kind else "") + (' text-anchor="end"' if end else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text)}</text>'
