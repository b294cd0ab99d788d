"""Lines over a logarithmic axis as SVG, for how something grows."""

import math

from harness.figures import OURS, number
from harness.plot import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 280, 70, 170, 34, 40
OTHERS = ("#6b7c88", "#b08d57", "#8a6d9e", "#5f8f5f", "#a65d57", "#4a4a4a")


def chart(pictures):
    """Pictures below each other, each (title, what x is, log_y, {name: [(x, y), …]})."""
    parts = []
    for index, picture in enumerate(pictures):
        parts += _picture(index * HEIGHT, *picture)
    height = HEIGHT * len(pictures)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    style = "<style>text{font:13px sans-serif;fill:#222}.title{font-weight:bold}</style>"
    back = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    return "\n".join([head, style, back, *parts, "</svg>", ""])


def _picture(top, title, what_x, log_y, series):
    xs = sorted({x for points in series.values() for x, _ in points})
    ys = [y for points in series.values() for _, y in points]
    bottom, above = top + HEIGHT - BOTTOM, top + TOP
    most, least = max(ys), (max(min(ys), 1e-6) if log_y else 0)
    log_y = log_y and most > least

    def place(x):
        share = math.log(x / xs[0]) / math.log(xs[-1] / xs[0]) if len(xs) > 1 else 0
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def level(y):
        share = math.log(max(y, least) / least) / math.log(most / least) if log_y else (y - least) / (most - least or 1)
        return bottom - share * (bottom - above)

    yield f'<text x="0" y="{top + 18}" class="title">{escape(title)}</text>'
    yield f'<path d="M{LEFT} {above}V{bottom}H{WIDTH - RIGHT}" stroke="#999" fill="none"/>'
    for y in dict.fromkeys((least, most)):
        yield f'<text x="{LEFT - 6}" y="{level(y) + 4:.1f}" text-anchor="end">{number(y)}</text>'
    for x in xs:
        yield f'<text x="{place(x):.1f}" y="{bottom + 16}" text-anchor="middle">{x:,}</text>'
    yield f'<text x="{LEFT}" y="{bottom + 32}">{escape(what_x)}</text>'
    below = above - 16
    colours = iter(OTHERS * 3)
    # Names stand at the ends of their lines, pushed down where they would meet.
    for name, points in sorted(series.items(), key=lambda item: -item[1][-1][1]):
        colour = "#1f6f8b" if name == OURS else next(colours)
        path = " ".join(f"{place(x):.1f},{level(y):.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{3 if name == OURS else 2}"/>'
        below = max(level(points[-1][1]) + 4, below + 16)
        yield f'<text x="{WIDTH - RIGHT + 8}" y="{below:.1f}" style="fill:{colour}">{escape(name)}</text>'
