"""The report of a render as one HTML page, made from its manifest, source and output.

Nothing is loaded from elsewhere: styles, charts and pictures are in the page. Not for: the same as
data, which is the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from farm.errors import FarmError, InputError
from farm.manifest import MANIFEST_SUFFIX, manifest_path
from farm.page import charts
from farm.page.pictures import Jump, Strip, keyframe_times, quality_jump, strips

PAGE_SUFFIX = ".facefarm.html"
_STRIPS = 6
_BORDERS = 12


def page_path(output: Path) -> Path:
    """Where the page of an output lies: beside it, `out.mp4.facefarm.html`."""
    return output.with_name(output.name + PAGE_SUFFIX)


def read_manifest_of(path: Path) -> dict[str, Any]:
    """The manifest of an output, by the path of either.

    Raises:
        InputError: There is none.
    """
    file = path if path.name.endswith(MANIFEST_SUFFIX) else manifest_path(path)
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        manifest["report"]["stage_s"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: is no manifest of a render ({error})") from error
    found: dict[str, Any] = manifest
    return found


def write_page(manifest: Mapping[str, Any], path: Path) -> None:
    """Write the page of a manifest.

    Raises:
        InputError: It cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("farm.page"), autoescape=select_autoescape(), undefined=StrictUndefined
    )
    environment.filters.update(clock=_clock, size=_size)
    text = environment.get_template("report.html").render(**_values(manifest))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot write the report ({error.strerror})") from error


def _values(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """All that the template shows."""
    report, settings = manifest["report"], manifest["settings"]
    chunks = report.get("chunk_reports", [])
    shown, jump = _pictures(manifest)
    points = charts.faces_over_clip(chunks, _rate(report))
    return {
        "manifest": manifest,
        "report": report,
        "settings": settings,
        "stages": _stages(report["stage_s"]),
        "timeline": charts.timeline(chunks) if chunks else "",
        "fps": charts.over_time(charts.frames_per_second(chunks), "frames per second", "fps"),
        "faces": charts.over_time(points, "faces in a frame over the clip", "faces"),
        "strips": shown,
        "jump": jump,
    }


def _pictures(manifest: Mapping[str, Any]) -> tuple[list[Strip], Jump | None]:
    """Strips and jumps; none where source or output have gone or are no videos."""
    report, settings = manifest["report"], manifest["settings"]
    source, output = Path(settings["target"]), Path(report["output"])
    if not (source.is_file() and output.is_file()) or report["chunks"] < 1:
        return [], None
    hidden = bool(report.get("private", True))  # A manifest that does not say it shows nothing.
    rate, time = _rate(report), settings.get("time", {})
    duration_s = report["frames"] / rate
    times = [duration_s * (i + 0.5) / _STRIPS for i in range(_STRIPS)]
    borders = [c["frame_start"] / rate for c in report.get("chunk_reports", []) if c["frame_start"]]
    some = borders[:: max(1, len(borders) // _BORDERS)]
    try:
        shown = strips(
            source, output, times, start_s=float(Fraction(time.get("start") or 0)), hidden=hidden
        )
        if not some or any(time.get(each) is not None for each in ("start", "end", "fps")):
            return shown, None  # Frames have other times than in the source.
        keys = [
            time_s
            for time_s in keyframe_times(output, _BORDERS)
            if all(abs(time_s - border) > 1 / rate for border in (0.0, *borders))
        ]
        return shown, quality_jump(source, output, some, keys)
    except FarmError:
        return [], None  # An image, or a file that has changed since: the page does without.


def _rate(report: Mapping[str, Any]) -> float:
    """Mean frames per second of the output."""
    return float(report.get("frame_rate") or 25.0)


def _stages(stage_s: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """(name, seconds, share of the longest) of the stages, without the total."""
    rows = [(name, s) for name, s in stage_s.items() if name != "total" and s > 0]
    longest = max([s for _, s in rows], default=1.0)
    return [(name, s, s / longest) for name, s in sorted(rows, key=lambda row: -row[1])]


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s"
    return str(timedelta(seconds=round(seconds)))


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
