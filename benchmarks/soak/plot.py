"""Soaks as a picture: a row for each figure, a column for each store.

python -m benchmarks.soak.plot memory.json file.json redis.json > docs/soak.svg
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, GAP = 250, 80, 130, 40, 36
"""Of each plot, and the space around it."""
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #59636e }
.title { font-weight: 600 } .end { text-anchor: end } .middle { text-anchor: middle }
line { stroke: #59636e; stroke-opacity: .35 }
polyline { fill: none; stroke: #0969da; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 } line { stroke: #9198a1 } polyline { stroke: #4493f8 }
}
"""
"""Transparent, and readable on light and dark pages."""

Rows = Sequence[tuple[str, str, float]]
"""Of each figure its title, its name in the samples, and by what it is divided."""


def top_of(largest: float) -> float:
    """Return the end of an axis that begins at 0: 1, 2, 3, 4, 5, 6 or 8 times a power of ten."""
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= largest)


def picture(soaks: Sequence[dict[str, Any]], rows: Rows) -> str:
    """Return the SVG of soaks, each as `benchmarks.soak` writes it. All have one axis of time.
    The axis of each figure begins at 0, and its end is told above it."""
    width, height = LEFT + len(soaks) * (WIDTH + GAP), TOP + len(rows) * (HEIGHT + GAP) + 10
    minutes = max(soak["samples"][-1]["seconds"] for soak in soaks) / 60
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>A soak of {minutes:.0f} minutes on each store</title><style>{STYLE}</style>",
    ]
    for column, soak in enumerate(soaks):
        left = LEFT + column * (WIDTH + GAP)
        out.append(_text(left + WIDTH / 2, TOP - 22, soak["store"], "title middle"))
        for row, (title, name, unit) in enumerate(rows):
            bottom = TOP + row * (HEIGHT + GAP) + HEIGHT
            if column == 0:
                out.append(_text(LEFT - 20, bottom - HEIGHT / 2 + 4, title, "title end"))
            points = [(each["seconds"] / 60, each[name] / unit) for each in soak["samples"]]
            out += _plot(left, bottom, points, minutes)
    for column in range(len(soaks)):
        for part in (0.0, 0.5, 1.0):
            x = LEFT + column * (WIDTH + GAP) + part * WIDTH
            label = f"{part * minutes:.0f}" + (" min" if part == 1 else "")
            out.append(_text(x, height - 12, label, "end" if part == 1 else "middle"))
    return "\n".join([*out, "</svg>\n"])


def _plot(
    left: float, bottom: float, points: Sequence[tuple[float, float]], minutes: float
) -> list[str]:
    top = top_of(max(value for _, value in points))
    lines = [
        f'<line x1="{left}" x2="{left + WIDTH}" y1="{y:g}" y2="{y:g}"/>'
        for y in (bottom, bottom - HEIGHT / 2, bottom - HEIGHT)
    ]
    way = " ".join(
        f"{left + moment / minutes * WIDTH:.1f},{bottom - value / top * HEIGHT:.1f}"
        for moment, value in points
    )
    return [
        *lines,
        _text(left, bottom - HEIGHT - 4, f"{top:,.0f}", ""),
        f'<polyline points="{way}"/>',
    ]


def _text(x: float, y: float, text: str, classes: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{classes}">{text}</text>'


ROWS: Rows = (
    ("memory, MiB", "resident_kib", 1024),
    ("descriptors", "descriptors", 1),
    ("asyncio tasks", "tasks", 1),
    ("keys or rows", "kept", 1),
)

if __name__ == "__main__":
    print(picture([json.loads(Path(file).read_text()) for file in sys.argv[1:]], ROWS), end="")
