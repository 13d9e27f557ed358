"""What is said and added up while a job runs, and the report that it becomes.

Not for: doing any of it (`cluster.render`).
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from actors.worker import WorkerFacts
from cluster.plan import JobPlan
from farm.bottleneck import name_bottleneck
from farm.chunk_report import chunk_report, since_begin
from farm.chunk_task import ChunkResult
from farm.content import ContentScore, content_in
from farm.faces.flicker import ChunkFlicker, flicker_in, report_of
from farm.media.chunk_file import ChunkHeader
from farm.media.final import FinishReport
from farm.models.session import PROVIDERS
from farm.observer import RenderObserver
from farm.report import ChunkReport, Damage, Gap, RenderReport, Stage, WorkerReport, WorkerTime
from farm.start_clock import FIRST_FRAME, StartClock
from scheduler.attempt_book import AttemptBook
from scheduler.chunks import Chunk

_WORKER_STAGES = (Stage.FETCH, Stage.DECODE, Stage.DETECT, Stage.PROCESS, Stage.ENCODE)


class Tally:
    """The counters of one job; tells the observer what it counts."""

    def __init__(self, observer: RenderObserver) -> None:
        self.observer = observer
        self.stage_s: defaultdict[str, float] = defaultdict(float)
        self.render_s = 0.0
        """Wall clock of rendering chunks."""
        self._faces = 0
        self._frames_without_face = 0
        self._faces_filled = self._frames_filled = 0
        self._corrupt: list[int] = []
        """Source frames that decoded with errors."""
        self._chunks: Counter[int] = Counter()
        """By worker, as the next one."""
        self._frames: Counter[int] = Counter()
        self._on_device: Counter[int] = Counter()
        self._workers: tuple[WorkerReport, ...] = ()
        self._notes: list[str] = []
        self._kept: set[tuple[int, int]] = set()
        self._sources = self._frames_seen = ContentScore()
        self.gaps: tuple[Gap, ...] = ()
        """Stretches in which somebody vanishes and returns."""
        self.start = StartClock()
        self.book = AttemptBook()
        self.worker_time = WorkerTime()
        self._chunk_reports: list[ChunkReport] = []
        self._flicker: dict[int, ChunkFlicker] = {}
        """By chunk."""

    @contextmanager
    def stage(self, stage: Stage, detail: str = "") -> Iterator[None]:
        """Say that a stage begins and add up its seconds."""
        self.observer.stage(stage, detail)
        began = time.monotonic()
        try:
            yield
        finally:
            self.stage_s[stage] += time.monotonic() - began

    def note(self, message: str) -> None:
        """Say something aloud, once, and keep it for the manifest."""
        if message not in self._notes:
            self._notes.append(message)
            self.observer.note(message)

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that was said aloud."""
        return tuple(self._notes)

    def keep(self, chunk: Chunk) -> None:
        """Note that a chunk's frames are those of the source."""
        self._kept.add((chunk.frame_start, chunk.frame_stop))
        self.note(
            f"frames {chunk.frame_start} to {chunk.frame_stop} could not be rendered and are kept "
            "as they were"
        )

    def begin_chunks(self) -> None:
        """Forget the chunks of an attempt whose plan did not hold."""
        self._faces = self._frames_without_face = 0
        self._faces_filled = self._frames_filled = 0
        self._corrupt.clear()
        self._chunks.clear()
        self._frames.clear()
        self._on_device.clear()
        self._frames_seen = ContentScore()
        self._flicker.clear()
        self._chunk_reports.clear()

    def add(self, worker: int, result: ChunkResult, frame_start: int = 0) -> None:
        """Count a chunk that a worker has finished, whose first output frame is `frame_start`."""
        if result.spans:
            self.start.mark_at(FIRST_FRAME, min(s.begin_s for s in result.spans.values()))
        tries = max(1, self.book.tries(result.chunk_index))
        self._chunk_reports.append(chunk_report(f"worker-{worker}", result, frame_start, tries))
        self._faces += result.faces
        self._frames_without_face += result.frames_without_face
        self._faces_filled += result.faces_filled
        self._frames_filled += result.frames_filled
        self._corrupt += result.corrupt
        self._chunks[worker] += 1
        self._frames[worker] += result.frames
        self._on_device[worker] += result.on_device
        for stage in _WORKER_STAGES:
            self.stage_s[stage] += getattr(result, f"{stage.value}_s")
        self._frames_seen = self._frames_seen.joined(result.content)
        self._flicker[result.chunk_index] = result.flicker
        self.observer.frames_done(result.frames)
        self.observer.busy(dict(self.stage_s))

    @property
    def content(self) -> ContentScore:
        """Of all pictures that the content filter has seen."""
        return self._frames_seen.joined(self._sources)

    def look_at_sources(self, score: ContentScore) -> None:
        """Count what the content filter saw of the sources."""
        self._sources = score

    def add_analysis(self, result: ChunkResult) -> None:
        """Count the seconds of a chunk that was looked at."""
        self.stage_s[Stage.DECODE] += result.decode_s
        self.stage_s[Stage.DETECT] += result.detect_s

    def add_finished(self, header: ChunkHeader) -> None:
        """Count a chunk that an earlier run has finished."""
        self._faces += _number(header.info.get("faces"))
        self._frames_without_face += _number(header.info.get("frames_without_face"))
        self._faces_filled += _number(header.info.get("faces_filled"))
        self._frames_filled += _number(header.info.get("frames_filled"))
        corrupt = header.info.get("corrupt")
        if isinstance(corrupt, list):
            self._corrupt += [_number(frame) for frame in corrupt]
        self._frames_seen = self._frames_seen.joined(content_in(header.info))
        self._flicker[header.chunk_index] = flicker_in(header.info)
        self.observer.frames_done(header.frame_count)

    def add_workers(
        self, facts: Mapping[int, WorkerFacts], memory: Mapping[int, int], *, networks: bool
    ) -> None:
        """Keep what is known of the workers.

        Args:
            facts: By worker.
            memory: Bytes, by worker; missing for one that died.
            networks: Whether any network ran.
        """
        self._workers = tuple(
            WorkerReport(
                worker=f"worker-{number}",
                node=each.node,
                provider=PROVIDERS[each.provider] if networks else "none",
                devices=each.devices,
                threads=each.threads,
                chunks=self._chunks[number],
                frames=self._frames[number],
                frames_on_device=self._on_device[number],
                why_in_memory=each.why_in_memory,
                peak_memory_bytes=memory.get(number, 0),
            )
            for number, each in sorted(facts.items())
        )

    def report(
        self, plan: JobPlan, finish: FinishReport, output: Path, peak_memory_bytes: int
    ) -> RenderReport:
        """Return the report of the finished job."""
        rendered = sum(self._frames.values())
        return RenderReport(
            output=output,
            frames=len(plan.frames.output),
            faces=self._faces,
            frames_without_face=self._frames_without_face,
            faces_filled=self._faces_filled,
            frames_filled=self._frames_filled,
            chunks=len(plan.chunks),
            encoder=plan.encoder.encoder,
            pix_fmt=plan.encoder.pix_fmt,
            provider=plan.provider,
            detector=plan.faces.detector,
            frame_rate=plan.frames.output.times.mean_rate(),
            stage_s=dict(self.stage_s),
            fps=rendered / self.render_s if self.render_s else 0.0,
            peak_memory_bytes=peak_memory_bytes,
            input_sha256=plan.input_sha256,
            output_sha256=finish.output_sha256,
            model_sha256=plan.faces.model_sha256,
            model_licence=plan.faces.model_licence,
            workers=self._workers,
            chunk_reports=since_begin(self._chunk_reports),
            private=plan.faces.private,
            lost_attempts=self.book.faults,
            worker_time=self.worker_time,
            began_s=self.start.began_s,
            start_s=self.start.parts(),
            bottleneck=name_bottleneck(
                self.stage_s,
                self.render_s,
                plan.workers.workers,
                plan.encoder.encoder,
                self.worker_time,
            ),
            flicker=report_of(self._flicker[chunk] for chunk in sorted(self._flicker)),
            damage=(*plan.frames.damage, *self._damage(plan)),
            kept=tuple(sorted(self._kept)),
            gaps=self.gaps,
            notes=tuple(self._notes),
        )

    def _damage(self, plan: JobPlan) -> list[Damage]:
        """Return what workers saw of damage, where a listing has not reported it before."""
        if plan.index.damage:
            return []
        times = plan.frames.times
        return [
            Damage(time_s=times.seconds(frame), frames_lost=0, reason="decoded with errors")
            for frame in sorted(self._corrupt)
        ]


def _number(value: object) -> int:
    """Return a counter out of a chunk file, 0 where there is none."""
    return value if isinstance(value, int) else 0
