"""Commands that look at the faces of a clip and render nothing.

Not for: reading options or writing results (`cli.py`), or the job itself (`cluster.analyze`).
"""

from __future__ import annotations

from farm.analyze_settings import AnalyzeSettings
from farm.command import CommandResult
from farm.environment import check_environment
from farm.observer import RenderObserver
from farm.preflight import check_analysis
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
