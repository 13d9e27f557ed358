"""The texts that a user reads at the end of a command.

Not for: the same facts as data (`farm.manifest`) or the display while it runs (`farm.progress`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from farm.report import Damage, FlickerReport, RenderReport, Stage

_LONG_LIST = 12
_STAGE_ORDER = [stage for stage in Stage if stage is not Stage.TOTAL]


def summary_lines(report: RenderReport) -> list[str]:
    """The summary of a finished render, line by line."""
    lines = [
        f"{report.output}: {counted(report.frames, 'frame')} in"
        f" {counted(report.chunks, 'chunk')}, {report.fps:.1f} fps,"
        f" {seconds(report.stage_s.get(Stage.TOTAL, 0.0))} in all",
        f"  faces     {report.faces}; {counted(report.frames_without_face, 'frame')} without a face"
        f" (detector: {report.detector})",
        *filled_lines(report),
        f"  encoder   {report.encoder}, {report.pix_fmt}",
        f"  provider  {report.provider}, {_workers(report)}",
        f"  stages    {_stages(report)}",
        f"  memory    {size(report.peak_memory_bytes)} at its peak",
    ]
    stayed = sum(worker.frames_on_device for worker in report.workers)
    lines += [f"  frames    {stayed} stayed on the GPU from decoder to encoder"] if stayed else []
    lines += [f"  flicker   {flicker_line(report.flicker)}"] if report.flicker else []
    if report.bottleneck:
        lines.append(f"  speed     {report.bottleneck}")
    lines += [f"  note      {note}" for note in report.notes]
    lines += [f"  kept      frames {start} to {stop} as they were" for start, stop in report.kept]
    lines += [
        f"  again     frames {each.frame_start} to {each.frame_stop}: {'; '.join(each.different)}"
        for each in report.other_settings
    ]
    lines += [f"  damage    {damage_line(damage)}" for damage in report.damage]
    return lines


def filled_lines(report: RenderReport) -> list[str]:
    """How many faces were put in where nobody saw them; nothing where there are none."""
    if not report.faces_filled:
        return []
    verb = "was" if report.faces_filled == 1 else "were"
    return [
        f"  filled    {counted(report.faces_filled, 'face')} of these in"
        f" {counted(report.frames_filled, 'frame')} {verb} not seen there, but before and after"
    ]


def probe_lines(document: Mapping[str, Any]) -> list[str]:
    """What `facefarm probe` found, from the report as JSON would hold it.

    Plain facts come one a line; a list of records becomes a table; a long list is cut short.
    """
    lines = []
    for name, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines.append(f"{name}: {len(value)}")
            lines += table([list(value[0]), *([_cell(c) for c in row.values()] for row in value)])
        else:
            lines.append(f"{name}: {_cell(value)}")
    return lines


def _cell(value: object) -> str:
    """One fact as text; nothing is "-"."""
    if isinstance(value, list):
        shown = ", ".join(_cell(item) for item in value[:_LONG_LIST])
        more = f", ... ({len(value)} in all)" if len(value) > _LONG_LIST else ""
        return (shown + more) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items()) or "-"
    return "-" if value is None or value == "" else str(value)


def damage_line(damage: Damage) -> str:
    """One place of a damaged source."""
    lost = f"{counted(damage.frames_lost, 'frame')} lost" if damage.frames_lost else "decoded badly"
    return f"at {float(damage.time_s):.3f} s: {lost} ({damage.reason})"


def flicker_line(flicker: FlickerReport) -> str:
    """How much replaced faces flicker, inside chunks and at their borders."""
    parts = []
    if flicker.inside_pairs:
        parts.append(f"{flicker.inside:.2f} of 255 levels from frame to frame")
    if flicker.border_pairs:
        parts.append(f"{flicker.borders:.2f} at borders of chunks")
    raised = " (the borders may be seen)" if flicker.raised else ""
    return ", ".join(parts) + raised


def damage_message(report: RenderReport) -> str:
    """The one line that says that the output is not whole."""
    lost = sum(damage.frames_lost for damage in report.damage)
    places = "; ".join(damage_line(damage) for damage in report.damage[:3])
    more = len(report.damage) - 3
    rest = f"; and {more} more, all in the manifest" if more > 0 else ""
    return (
        f"{report.output} is finished, but its source is damaged"
        f" ({counted(lost, 'frame')} lost): {places}{rest}"
    )


def table(rows: Iterable[Sequence[object]], *, indent: str = "  ") -> list[str]:
    """Lines of columns, each as wide as its widest cell."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not cells:
        return []
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return [
        indent
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def counted(count: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def seconds(value_s: float) -> str:
    """A duration for people: `0.42 s`, `12.3 s`, `3 min 05 s`, `2 h 07 min`."""
    if value_s < 10:
        return f"{value_s:.2f} s"
    if value_s < 60:
        return f"{value_s:.1f} s"
    minutes, rest = divmod(round(value_s), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(bytes_: int) -> str:
    """A size for people, in binary units."""
    value = float(bytes_)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit in ("B", "KiB") else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _workers(report: RenderReport) -> str:
    """How many workers there were and how many threads each had."""
    threads = sorted({worker.threads for worker in report.workers})
    if not threads:
        return "in this process"
    per_worker = "/".join(str(count) for count in threads)
    return f"{counted(len(report.workers), 'worker')} of {per_worker} threads"


def _stages(report: RenderReport) -> str:
    """Seconds of every stage that took any."""
    parts = [
        f"{stage.value} {seconds(report.stage_s[stage])}"
        for stage in _STAGE_ORDER
        if stage in report.stage_s
    ]
    return ", ".join(parts) or "none measured"
