"""`facefarm analyze`: the analysis of a clip by itself, whose face table is written to a file.

Not for: the analysis before a render (`cluster.render`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future

from cluster.job import VideoJob
from cluster.plan import JobPlan, decide_analysis_of
from cluster.runtime import RayRuntime
from farm.analyze_settings import AnalyzeSettings
from farm.decide import FaceDecision
from farm.faces.report import AnalysisReport, analysis_report
from farm.faces.table import FaceTable
from farm.faces.table_file import write_table
from farm.media.index import VideoIndex
from farm.media.listing import FrameListing
from farm.observer import RenderObserver
from farm.report import Stage
from farm.settings import RenderSettings
from farm.stop import StopRequest


def analyze_video(
    settings: AnalyzeSettings,
    observer: RenderObserver,
    *,
    stop: StopRequest | None = None,
    runtime: RayRuntime | None = None,
) -> AnalysisReport:
    """Analyse a video and write its face table.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        stop: Lets somebody end the analysis; None for nobody.
        runtime: Ray, already entered and left open; None starts or joins one by the settings.

    Raises:
        Interrupted: `stop` was asked for; what was looked at is kept.
        FarmError: The analysis cannot be done; nothing is written.
    """
    asked = settings.as_render()
    job = Analysis(asked, observer, stop or StopRequest(), recognises=settings.recognize)
    return job.run(runtime)


class Analysis(VideoJob[AnalysisReport]):
    """The state of one analysis."""

    def __init__(
        self,
        settings: RenderSettings,
        observer: RenderObserver,
        stop: StopRequest,
        *,
        recognises: bool,
    ) -> None:
        """Take the job.

        Args:
            settings: Of a job that renders nothing, with the table as its output.
            observer: Told what happens.
            stop: Lets somebody end the analysis.
            recognises: Whether the table shall say who is who.
        """
        super().__init__(settings, observer, None, stop)
        self._recognises = recognises
        self._began = time.monotonic()

    def _check(self) -> None:
        """Nothing beside the settings, which were checked when made."""

    def _decide(
        self, settings: RenderSettings, index: VideoIndex, say: Callable[[str], None]
    ) -> FaceDecision:
        return decide_analysis_of(settings, index, say, recognises=self._recognises)

    def _say_plan(self, plan: JobPlan) -> None:
        assert plan.analysis is not None
        self._observer.planned(
            sum(chunk.frame_count for chunk in plan.analysis.chunks),
            len(plan.analysis.chunks),
            plan.workers.workers,
            plan.provider,
            plan.workers.seats[0].threads,
            "none",
        )

    def _job(
        self,
        index: VideoIndex,
        listing: FrameListing | None,
        runtime: RayRuntime,
        digest: Future[str],
    ) -> AnalysisReport:
        plan = self._plan(index, listing, runtime, digest)
        folder = self._folder(plan)
        assert plan.analysis is not None
        table = self._analyse(plan, plan.analysis, folder)
        self._write(plan, table)
        self._remove(folder)
        self._tally.stage_s[Stage.TOTAL] = time.monotonic() - self._began
        return analysis_report(
            self._settings.output,
            table,
            detector=plan.faces.detector,
            stage_s=dict(self._tally.stage_s),
            model_sha256=plan.faces.model_sha256,
            notes=self._tally.notes,
        )

    def _write(self, plan: JobPlan, table: FaceTable) -> None:
        """Write what was found."""
        write_table(self._settings.output, table)
