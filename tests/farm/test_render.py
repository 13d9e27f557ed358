from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import pytest

from farm.chunk_task import LostFramesError
from farm.errors import ChunkError
from farm.frames import FrameSource
from farm.media.decode import DecoderClosedError
from farm.media.packets import PacketBlock
from farm.media.plan import FramePlan
from farm.media.retime import at_rate, trim
from farm.process import FaceCounts, FaceStage
from farm.render import WITHOUT_BOUNDS, ChunkRenderer, queue_frames
from scheduler.chunks import Lead
from tests.media_maker import Studio
from tests.rendering import ONE_FRAME_S, Job, blocks_of, job_for, serial_md5s, shown_md5s, task_of


class Stage:
    """Stands in for the face stage: notes batches, and fails at one frame."""

    def __init__(self, fail_at: int | None = None, lanes: int = 1) -> None:
        self.idle = False
        self.replaces = False
        self.lanes, self.batch = lanes, 32
        self.batches: list[int] = []
        self._fail_at = fail_at
        self._seen = 0

    def chain(self, shown: range, counted: range) -> None:
        """Every batch is done at once."""

    def run(
        self,
        frames: Sequence[Any],
        counted: Sequence[bool] | None = None,
        rows: Any = None,
        watch: Any = None,
        chain: Any = None,
    ) -> FaceCounts:
        self.batches.append(len(frames))
        self._seen += len(frames)
        if self._fail_at is not None and self._seen > self._fail_at:
            self._fail_at = None
            raise RuntimeError("cannot see")
        return FaceCounts(faces=2 * len(frames), frames_without_face=1)


@pytest.fixture
def renderers() -> Iterator[list[ChunkRenderer]]:
    """Renderers that are closed at the end; their threads must be gone then."""
    made: list[ChunkRenderer] = []
    before = set(threading.enumerate())
    yield made
    for each in made:
        each.close()
    assert not set(threading.enumerate()) - before


def open_renderer(
    job: Job,
    renderers: list[ChunkRenderer],
    monkeypatch: pytest.MonkeyPatch | None = None,
    stage: Stage | None = None,
) -> ChunkRenderer:
    if stage is not None and monkeypatch is not None:
        monkeypatch.setattr("farm.render.FaceStage", lambda *_: stage)
    renderer = ChunkRenderer(job.setup)
    renderers.append(renderer)
    return renderer


def feed(job: Job) -> Any:
    """Gives all blocks that hold packets from one on."""
    blocks = blocks_of(job)

    def give(first: int) -> Iterator[PacketBlock]:
        yield from (block for block in blocks if block.stop > first)

    return give


@pytest.mark.parametrize("name", ["h264_open_gop.mp4", "one_gop.mp4", "h264_10bit.mp4"])
def test_chunks_in_a_row_show_every_frame_of_a_serial_decode(
    media_studio: Studio, tmp_path: Path, renderers: list[ChunkRenderer], name: str
) -> None:
    path = media_studio.path(name)
    job = job_for(path, tmp_path, chunk_seconds=0.3)
    assert len(job.chunks) > 2
    renderer = open_renderer(job, renderers)
    blocks = feed(job)
    futures = [renderer.submit(task_of(job, i), blocks) for i in range(len(job.chunks))]
    results = [future.result() for future in futures]
    assert [r.chunk_index for r in results] == list(range(len(job.chunks)))
    assert sum(r.frames for r in results) == len(job.plan)
    assert shown_md5s(job) == serial_md5s(path)


@pytest.mark.parametrize("lead", [Lead(), Lead(before=3, after=2), Lead(before=40)])
@pytest.mark.parametrize("chunk_seconds", [ONE_FRAME_S, 0.3, 100.0])
@pytest.mark.parametrize("name", ["h264_open_gop.mp4", "one_gop.mp4"])
def test_frames_are_repeated_and_left_out_alike_however_the_video_is_cut(
    media_studio: Studio,
    tmp_path: Path,
    renderers: list[ChunkRenderer],
    name: str,
    chunk_seconds: float,
    lead: Lead,
) -> None:
    path = media_studio.path(name)

    def other_times(plan: FramePlan) -> FramePlan:
        return at_rate(trim(plan, Fraction(1, 4), Fraction(7, 8)), Fraction(20))

    job = job_for(path, tmp_path, chunk_seconds=chunk_seconds, retimed=other_times, lead=lead)
    renderer = open_renderer(job, renderers)
    blocks = feed(job)
    for i in range(len(job.chunks)):
        result = renderer.submit(task_of(job, i), blocks).result()
        assert result.frames == job.chunks[i].frame_count
    serial, output = serial_md5s(path), job.plan.output
    assert 1 < len(output.needed) < len(job.plan)
    assert shown_md5s(job) == [serial[n] for n in output.first]


def test_a_frame_that_two_chunks_decode_is_counted_by_one(
    media_studio: Studio,
    tmp_path: Path,
    renderers: list[ChunkRenderer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []

    class Counter(Stage):
        def run(
            self,
            frames: Sequence[Any],
            counted: Sequence[bool] | None = None,
            rows: Any = None,
            watch: Any = None,
            chain: Any = None,
        ) -> FaceCounts:
            seen.extend(counted or ())
            return super().run(frames)

    path = media_studio.path("plain.mp4")
    job = job_for(path, tmp_path, chunk_seconds=0.3, lead=Lead(before=2, after=3))
    renderer = open_renderer(job, renderers, monkeypatch, Counter())
    blocks = feed(job)
    for i in range(len(job.chunks)):
        renderer.submit(task_of(job, i), blocks).result()
    assert len(seen) > sum(seen) == len(job.plan)


def test_a_chunk_whose_packets_break_off_fails_alone(
    media_studio: Studio, tmp_path: Path, renderers: list[ChunkRenderer]
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=0.5)
    renderer = open_renderer(job, renderers)
    blocks = feed(job)

    def broken(_first: int) -> Iterator[PacketBlock]:
        raise OSError("the store is gone")

    futures = [
        renderer.submit(task_of(job, i), broken if i == 1 else blocks)
        for i in range(len(job.chunks))
    ]
    with pytest.raises(ChunkError, match=r"chunk 00001: decoding failed \(OSError: the store"):
        futures[1].result()
    assert [f.result().frames for i, f in enumerate(futures) if i != 1]
    assert not (tmp_path / "00001.chunk").exists()
    assert len(list(tmp_path.glob("*.chunk"))) == len(job.chunks) - 1


def test_a_frame_that_a_processor_cannot_do_fails_its_chunk_and_no_other(
    media_studio: Studio,
    tmp_path: Path,
    renderers: list[ChunkRenderer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=0.5)
    stage = Stage(fail_at=job.chunks[1].frame_start + 2)
    renderer = open_renderer(job, renderers, monkeypatch, stage)
    blocks = feed(job)
    futures = [renderer.submit(task_of(job, i), blocks) for i in range(len(job.chunks))]
    outcomes = [future.exception() for future in futures]
    failed = [i for i, error in enumerate(outcomes) if error is not None]
    assert failed == [1]
    assert str(outcomes[1]) == "chunk 00001: processing failed (RuntimeError: cannot see)"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"{i:05d}.chunk" for i in range(len(job.chunks)) if i != 1
    ]
    redone = renderer.submit(task_of(job, 1), blocks).result()
    assert redone.frames == job.chunks[1].frame_count
    assert redone.faces == 2 * redone.frames


def test_an_encoder_that_breaks_fails_its_chunk(
    media_studio: Studio,
    tmp_path: Path,
    renderers: list[ChunkRenderer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=0.5)
    renderer = open_renderer(job, renderers)
    with monkeypatch.context() as patch:
        patch.setattr("farm.encode_stage.ChunkEncoder", lambda *_: 1 / 0)
        future = renderer.submit(task_of(job, 0), feed(job))
        with pytest.raises(ChunkError, match="chunk 00000: encoding failed"):
            future.result()
    assert renderer.submit(task_of(job, 0), feed(job)).result().frames


def test_a_frame_that_nothing_earlier_can_mend_is_lost(
    media_studio: Studio, tmp_path: Path, renderers: list[ChunkRenderer]
) -> None:
    job = job_for(media_studio.path("one_gop.mp4"), tmp_path, chunk_seconds=10)
    renderer = open_renderer(job, renderers)
    task = task_of(job, 0, packet_stop=20, proven=True)
    with pytest.raises(LostFramesError, match=r"chunk 00000: frame \d+ does not decode"):
        renderer.submit(task, feed(job)).result()


def test_a_chunk_that_should_go_on_asks_for_its_keyframe_when_the_decoder_is_closed(
    media_studio: Studio, tmp_path: Path, renderers: list[ChunkRenderer]
) -> None:
    job = job_for(media_studio.path("one_gop.mp4"), tmp_path, chunk_seconds=0.5)
    renderer = open_renderer(job, renderers)
    later = task_of(job, 2, shipped_from=job.chunks[1].packet_stop)
    with pytest.raises(DecoderClosedError):
        renderer.submit(later, feed(job)).result()


def test_queues_hold_few_frames_however_long_the_chunk_is(
    media_studio: Studio,
    tmp_path: Path,
    renderers: list[ChunkRenderer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=10, memory_bytes=1)
    gate, stage = threading.Event(), Stage()
    monkeypatch.setattr(stage, "run", lambda *_, **__: gate.wait() and FaceCounts())
    decoded: list[int] = []
    original = FrameSource._editable

    def counted(self: FrameSource, frame: Any) -> Any:
        decoded.append(1)
        if len(decoded) == 6:
            gate.set()  # Decoding got this far while the face stage stood still: too far.
        return original(self, frame)

    monkeypatch.setattr(FrameSource, "_editable", counted)
    renderer = open_renderer(job, renderers, monkeypatch, stage)
    future = renderer.submit(task_of(job, 0), feed(job))
    assert not gate.wait(0.5)
    assert len(decoded) < 6
    gate.set()
    assert future.result().frames == 60


def test_memory_bounds_the_frames_of_a_queue(media_studio: Studio, tmp_path: Path) -> None:
    frame_bytes = 160 * 96 * 3
    setups = [
        job_for(media_studio.path("plain.mp4"), tmp_path, memory_bytes=memory).setup
        for memory in (1, frame_bytes * 3 * 5, None)
    ]
    assert [queue_frames(setup) for setup in setups] == [2, 5, 32]
    assert queue_frames(replace(setups[0], memory_bytes=WITHOUT_BOUNDS)) == 0


def test_closing_ends_the_threads_after_errors_too_and_takes_no_more_chunks(
    media_studio: Studio, tmp_path: Path, renderers: list[ChunkRenderer]
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=0.5)
    renderer = open_renderer(job, renderers)

    def broken(_first: int) -> Iterator[PacketBlock]:
        raise OSError("the store is gone")

    failing = renderer.submit(task_of(job, 0), broken)
    whole = renderer.submit(task_of(job, 1), feed(job))
    renderer.close()
    assert failing.exception() is not None
    assert whole.result().frames
    with pytest.raises(ChunkError, match="the renderer is closed"):
        renderer.submit(task_of(job, 1), feed(job))
    renderer.close()


def test_kept_frames_are_named_by_number_and_pts(
    media_studio: Studio, tmp_path: Path, renderers: list[ChunkRenderer]
) -> None:
    frames_dir = tmp_path / "frames"
    frames_dir.mkdir()
    path = media_studio.path("vfr.mp4")
    job = job_for(path, tmp_path, chunk_seconds=0.5, frames_dir=frames_dir)
    renderer = open_renderer(job, renderers)
    renderer.submit(task_of(job, 1), feed(job)).result()
    chunk = job.chunks[1]
    expected = [
        f"{n:08d}_{job.plan.times.pts[n]}.png" for n in range(chunk.frame_start, chunk.frame_stop)
    ]
    assert sorted(p.name for p in frames_dir.iterdir()) == expected
    picture = cv2.imread(str(frames_dir / expected[0]))
    assert picture is not None
    assert picture.shape == (96, 160, 3)


def test_nothing_is_detected_where_no_processor_looks(media_studio: Studio, tmp_path: Path) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path)
    stage = FaceStage(job.setup.faces, 1)
    assert stage.idle
    assert stage.run([]) == FaceCounts()
