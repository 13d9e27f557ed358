"""What an analysis found, as data and as the lines that a user reads.

Not for: the table itself (`farm.faces.table`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from farm.faces.table import ORIGINS, FaceTable, Origin
from farm.report import Gap, Stage
from farm.summary import counted, seconds

_MOST_GAPS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisReport:
    """The outcome of one finished analysis."""

    output: Path
    frames: int
    frames_without_face: int
    faces: int
    by_origin: dict[str, int]
    """Faces by how they came into the table."""
    tracks: int
    people: int | None
    """None where nobody asked who is who."""
    gaps: tuple[Gap, ...]
    """Stretches in which somebody vanishes and returns."""
    detector: str
    stage_s: dict[str, float]
    model_sha256: dict[str, str]
    notes: tuple[str, ...]


def analysis_report(
    output: Path,
    table: FaceTable,
    *,
    detector: str,
    stage_s: Mapping[str, float],
    model_sha256: Mapping[str, str],
    notes: Sequence[str],
) -> AnalysisReport:
    """Count what is in a table."""
    origins = [int(code) for track in table.tracks for code in track.origins]
    shown = {int(frame) for track in table.tracks for frame in track.frames}
    people = {track.person for track in table.tracks if track.person is not None}
    counts = np.bincount(np.array(origins, np.int64), minlength=len(ORIGINS))
    return AnalysisReport(
        output=output,
        frames=table.clip.frames,
        frames_without_face=table.clip.frames - len(shown),
        faces=table.faces,
        by_origin={origin.value: int(counts[i]) for i, origin in enumerate(ORIGINS)},
        tracks=len(table.tracks),
        people=len(people) if people else None,
        gaps=table.gaps,
        detector=detector,
        stage_s=dict(stage_s),
        model_sha256=dict(model_sha256),
        notes=tuple(notes),
    )


def analysis_lines(report: AnalysisReport) -> list[str]:
    """The summary of a finished analysis, line by line."""
    origin = report.by_origin
    people = "" if report.people is None else f", people: {report.people}"
    lines = [
        f"{report.output}: {counted(report.frames, 'frame')},"
        f" {counted(report.tracks, 'track')}{people},"
        f" {seconds(report.stage_s.get(Stage.TOTAL, 0.0))} in all",
        f"  faces     {report.faces}: {origin[Origin.DETECTED]} detected,"
        f" {origin[Origin.TRACKED]} followed, {origin[Origin.FILLED]} filled in;"
        f" {counted(report.frames_without_face, 'frame')} without a face"
        f" (detector: {report.detector})",
    ]
    lines += [
        f"  gap       track {gap.track} is away in frames {gap.frame_start} to {gap.frame_stop - 1}"
        for gap in report.gaps[:_MOST_GAPS]
    ]
    if len(report.gaps) > _MOST_GAPS:
        lines.append(f"  gap       and {len(report.gaps) - _MOST_GAPS} more, all in the table")
    return [*lines, *(f"  note      {note}" for note in report.notes)]
