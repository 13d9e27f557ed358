"""Lines over a few named places, as SVG: the plots of benchmarks in the docs.

Not for: the charts of a report (`farm.page.charts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _HEAD = 640, 360, 70, 50, 55
_COLOURS = ("#2563eb", "#059669", "#d97706", "#be185d")
_LEVELS = 5


def line_plot(
    title: str,
    places: Sequence[Sequence[str]],
    series: Mapping[str, Sequence[float]],
    *,
    top: float | None = None,
    unit: str = "",
) -> str:
    """A plot whose places have equal distances; its scale begins at 0.

    Args:
        title: Above it.
        places: Lines of text below each place.
        series: A value for each place, by name; at most as many as there are colours.
        top: Value at the upper edge; None takes a little more than the largest.
        unit: Written behind the numbers of the scale.
    """
    top = top or max(max(values) for values in series.values()) * 1.1 or 1.0
    step = (_WIDTH - 30 - _LEFT) / max(1, len(places) - 1)
    xs = [_LEFT + step * i for i in range(len(places))]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="20">{escape(title)}</text>',
    ]
    for i in range(_LEVELS + 1):
        level = top * i / _LEVELS
        y = _y(level, top)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 30}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        text = f"{level:.3g}{unit}"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{text}</text>')
    for x, lines in zip(xs, places, strict=True):
        for row, line in enumerate(lines):
            y = _HEIGHT - 26 + 16 * row
            parts.append(f'<text x="{x:.0f}" y="{y}" text-anchor="middle">{escape(line)}</text>')
    for place, (name, values) in enumerate(series.items()):
        points = " ".join(f"{x:.0f},{_y(v, top)}" for x, v in zip(xs, values, strict=True))
        colour = _COLOURS[place]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        x = _LEFT + 10 + 130 * place
        parts.append(f'<text x="{x}" y="42" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _y(value: float, top: float) -> int:
    return round(_HEIGHT - _BOTTOM - value / top * (_HEIGHT - _BOTTOM - _HEAD))
