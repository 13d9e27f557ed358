"""`facefarm faces`: the people of a clip, found over the farm, with a sheet and a map of them.

Not for: who is who (`farm.faces.people`) or drawing the sheet (`farm.faces.sheet`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actors.tasks import chunk_task
from cluster.analyze import Analysis
from cluster.orders import render_setup
from cluster.plan import JobPlan
from cluster.runtime import RayRuntime
from farm.analyze_settings import FacesSettings
from farm.chunk_task import ChunkResult
from farm.errors import ChunkError, InputError
from farm.faces.report import AnalysisReport
from farm.faces.sheet import PersonSight, best_sights, cell_box, map_text, write_sheet
from farm.faces.table import FaceRows, FaceTable
from farm.frames import FrameSource
from farm.media.frame import EditableFrame
from farm.media.output import output_frames
from farm.media.packets import PacketBlock, PacketReader
from farm.media.timing import FrameTimes
from farm.observer import RenderObserver
from farm.processors.base import FaceFrame
from farm.processors.face_anonymizer import FaceAnonymizer
from farm.stop import StopRequest
from scheduler.chunks import cut_chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleReport:
    """The outcome of one `facefarm faces`."""

    analysis: AnalysisReport
    people: tuple[PersonSight, ...]
    sheet: Path
    map: Path


def find_people(
    settings: FacesSettings,
    observer: RenderObserver,
    *,
    stop: StopRequest | None = None,
    runtime: RayRuntime | None = None,
) -> PeopleReport:
    """Find the people of a video; write its face table, a map to fill in, and a contact sheet.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        stop: Lets somebody end the analysis; None for nobody.
        runtime: Ray, already entered and left open; None starts or joins one by the settings.

    Raises:
        Interrupted: `stop` was asked for; what was looked at is kept.
        FarmError: It cannot be done.
    """
    search = _People(settings, observer, stop or StopRequest())
    analysis = search.run(runtime)
    return PeopleReport(
        analysis=analysis, people=tuple(search.people), sheet=settings.sheet, map=settings.map
    )


class _People(Analysis):
    """The state of one `find_people`."""

    def __init__(
        self, settings: FacesSettings, observer: RenderObserver, stop: StopRequest
    ) -> None:
        super().__init__(settings.as_render(), observer, stop, recognises=True)
        self._faces = settings
        self.people: list[PersonSight] = []

    def _write(self, plan: JobPlan, table: FaceTable) -> None:
        """Write the table, the map and the sheet."""
        super()._write(plan, table)
        self.people = best_sights(table, plan.frames.times)
        pictures = [self._picture(plan, table, sight) for sight in self.people]
        write_sheet(self._faces.sheet, self.people, pictures)
        text = map_text(self.people, self._faces.table.name)
        try:
            self._faces.map.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self._faces.map}: cannot be written ({error.strerror})") from error

    def _picture(self, plan: JobPlan, table: FaceTable, sight: PersonSight) -> NDArray[np.uint8]:
        """What the sheet shows of a person, [h, w, 3] uint8 BGR."""
        frame = next(self._frame(plan, sight.frame)).pictures[0]
        if self._faces.cover:
            faces = FaceRows(table.tracks).of(sight.frame)
            FaceAnonymizer().process([FaceFrame(frame=frame, faces=faces, selected=faces)])
        return frame.read_bgr(cell_box(sight, frame.width, frame.height))[0]

    def _frame(self, plan: JobPlan, number: int) -> Iterator[EditableFrame]:
        """Decode one source frame, from the keyframe before it."""
        alone = slice(number, number + 1)
        times = plan.frames.times
        shown = FrameTimes(
            time_base=times.time_base, pts=times.pts[alone], durations=times.durations[alone]
        )
        output = output_frames(shown, np.array([number], np.int64))
        frames = replace(plan.frames, output=output, looks=np.empty(0, np.int64))
        (chunk,) = cut_chunks(plan.index, frames, None)
        setup = render_setup(self._settings, plan, self._folder(plan))
        source = FrameSource(setup, edits=True)
        with PacketReader(plan.index) as reader:
            for start in (chunk.packet_start, 0):
                task = chunk_task(
                    chunk, frames, packet_start=start, shipped_from=start, proven=start == 0
                )
                blocks = [reader.read(n) for n in reader.blocks_of(start, chunk.packet_limit)]
                try:
                    yield from source.frames(
                        task, partial(_from, blocks), ChunkResult(chunk_index=0)
                    )
                except ChunkError:
                    if start == 0:
                        raise
                else:
                    return


def _from(blocks: Sequence[PacketBlock], first: int) -> list[PacketBlock]:
    """The blocks that hold packets from `first` on."""
    return [block for block in blocks if block.stop > first]
