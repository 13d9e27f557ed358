"""Commands that look at the faces of a clip and render nothing.

Not for: reading options or writing results (`cli.py`), or the job itself (`cluster.analyze`).
"""

from __future__ import annotations

from farm.analyze_settings import AnalyzeSettings, FacesSettings
from farm.command import CommandResult
from farm.environment import check_environment
from farm.observer import RenderObserver
from farm.preflight import check_analysis, check_faces
from farm.stop import StopRequest


def analyze(
    *, settings: AnalyzeSettings, observer: RenderObserver, stop: StopRequest
) -> CommandResult:
    """Write the face table of a video."""
    check_environment()
    check_analysis(settings)
    from cluster.analyze import analyze_video
    from farm.faces.report import analysis_lines

    report = analyze_video(settings, observer, stop=stop)
    return CommandResult(document=report, lines=analysis_lines(report))


def faces(*, settings: FacesSettings, observer: RenderObserver, stop: StopRequest) -> CommandResult:
    """Find the people of a video."""
    check_environment()
    check_faces(settings)
    from cluster.people import find_people
    from farm.faces.report import analysis_lines

    report = find_people(settings, observer, stop=stop)
    lines = [
        *analysis_lines(report.analysis),
        f"  sheet     {report.sheet}",
        f"  map       {report.map}: fill in sources, then `facefarm render --map-faces`",
    ]
    document = {
        "analysis": report.analysis,
        "people": [
            {"person": each.person, "frames": each.frames, "first_s": each.first_s}
            for each in report.people
        ],
        "sheet": report.sheet,
        "map": report.map,
    }
    return CommandResult(document=document, lines=lines)
