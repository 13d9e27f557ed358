"""Charts of a report as SVG: the workers' timeline, and numbers over time.

Not for: the words around them (`farm.page.page`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _LEFT, _ROW, _BAR = 960, 90, 46, 10
_COLOURS = {"decode": "#4c78a8", "process": "#e45756", "encode": "#54a24b", "store": "#b279a2"}
_STEPS = (1, 2, 5)
Chunks = Sequence[Mapping[str, Any]]
"""`chunk_reports` of a manifest."""


def timeline(chunks: Chunks) -> str:
    """A row for each worker, a bar for each stage of each chunk; what is idle stays empty.

    A bar is as strong as the stage was busy in it; the rest it waited.
    """
    workers = sorted({str(chunk["worker"]) for chunk in chunks})
    end_s = _end_s(chunks)
    parts = []
    for row, worker in enumerate(workers):
        top = row * _ROW
        parts.append(_text(0, top + 22, worker))
        for chunk in chunks:
            if chunk["worker"] == worker:
                parts += _bars(chunk, top, end_s)
    height = len(workers) * _ROW
    legend = [_key(name, i, height + 34) for i, name in enumerate(_COLOURS)]
    return _svg(height + 44, [*parts, *_axis(end_s, height), *legend], "timeline of the workers")


def over_time(points: Sequence[tuple[float, float]], name: str, unit: str) -> str:
    """A line of (seconds, value)."""
    if not points:
        return ""
    end_s = max(points[-1][0], 1e-9)
    most = max(value for _, value in points) or 1.0
    height = 120
    path = " ".join(
        f"{_x(s, end_s):.1f},{height - value / most * (height - 10):.1f}" for s, value in points
    )
    parts = [
        f'<polyline points="{path}" fill="none" stroke="#4c78a8" stroke-width="1.5"/>',
        _text(0, 12, f"{most:.3g} {unit}"),
        _text(0, height, f"0 {unit}"),
    ]
    return _svg(height + 20, [*parts, *_axis(end_s, height)], name)


def frames_per_second(chunks: Chunks) -> list[tuple[float, float]]:
    """(seconds, frames per second) of the finished chunks, over a sliding tenth of the render."""
    ends = sorted((_chunk_end_s(chunk), int(chunk["frames"])) for chunk in chunks)
    if not ends:
        return []
    span_s = max(ends[-1][0] / 10, 1e-3)
    points = []
    for end_s, _ in ends:
        begin_s = max(0.0, end_s - span_s)
        frames = sum(count for s, count in ends if begin_s < s <= end_s)
        points.append((end_s, frames / (end_s - begin_s) if end_s > begin_s else 0.0))
    return points


def faces_over_clip(chunks: Chunks, fps: float) -> list[tuple[float, float]]:
    """(seconds of the output, mean faces in a frame) of each chunk."""
    return [
        (chunk["frame_start"] / fps, chunk["faces"] / chunk["frames"])
        for chunk in sorted(chunks, key=lambda each: int(each["frame_start"]))
        if chunk["frames"]
    ]


def _bars(chunk: Mapping[str, Any], top: int, end_s: float) -> Iterable[str]:
    for row, (name, colour) in enumerate(_COLOURS.items()):
        stage = chunk["stages"].get(name)
        if stage is None:
            continue
        left, right = _x(stage["begin_s"], end_s), _x(stage["end_s"], end_s)
        length_s = max(stage["end_s"] - stage["begin_s"], 1e-9)
        busy = min(1.0, stage["busy_s"] / length_s)
        said = (
            f"chunk {chunk['chunk_index']:05d}, {name}: {stage['begin_s']:.2f} to"
            f" {stage['end_s']:.2f} s, busy {busy:.0%}"
        )
        yield (
            f'<rect x="{left:.1f}" y="{top + row * _BAR}" width="{max(0.6, right - left):.1f}"'
            f' height="{_BAR - 2}" fill="{colour}" fill-opacity="{0.2 + 0.8 * busy:.2f}">'
            f"<title>{escape(said)}</title></rect>"
        )


def _axis(end_s: float, top: int) -> list[str]:
    step = _step(end_s)
    marks = []
    for i in range(int(end_s / step) + 1):
        x = _x(i * step, end_s)
        marks.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{top}" stroke="#8883"/>')
        marks.append(_text(x, top + 14, f"{i * step:g} s"))
    return marks


def _step(length: float) -> float:
    """A round distance of about ten marks."""
    scale = 10.0 ** (len(str(int(max(length, 1)))) - 2)
    return next((s * scale for s in _STEPS if length / (s * scale) <= 12), 10 * scale)


def _key(name: str, place: int, y: int) -> str:
    x = _LEFT + place * 110
    colour = _COLOURS[name]
    return f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>' + _text(
        x + 16, y, name
    )


def _x(seconds: float, end_s: float) -> float:
    return _LEFT + seconds / end_s * (_WIDTH - _LEFT - 10)


def _end_s(chunks: Chunks) -> float:
    return max([_chunk_end_s(chunk) for chunk in chunks], default=0.0) or 1e-9


def _chunk_end_s(chunk: Mapping[str, Any]) -> float:
    return max([float(stage["end_s"]) for stage in chunk["stages"].values()], default=0.0)


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="t">{escape(text)}</text>'


def _svg(height: int, parts: Iterable[str], name: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(name)}">'
        f"{''.join(parts)}</svg>"
    )
