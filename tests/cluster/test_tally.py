from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from actors.worker import WorkerFacts
from cluster.tally import Tally
from farm.chunk_task import ChunkResult
from farm.media.chunk_file import ChunkHeader
from farm.media.final import FinishReport
from farm.observer import NullObserver
from farm.report import RenderReport, Stage
from scheduler.attempt_book import AttemptBook
from scheduler.ledger_records import AttemptNote
from tests.cluster.test_plan import plan
from tests.media_maker import Studio

FINISH = FinishReport(
    output_bytes=1, output_sha256="ef", notes=(), encode_s=0.0, final_s=0.0, verify_s=0.0
)


class Listener(NullObserver):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.done = 0

    def note(self, message: str) -> None:
        self.notes.append(message)

    def frames_done(self, count: int) -> None:
        self.done += count


def result(number: int, frames: int, corrupt: tuple[int, ...] = ()) -> ChunkResult:
    return ChunkResult(
        chunk_index=number,
        frames=frames,
        faces=2 * frames,
        frames_without_face=1,
        corrupt=list(corrupt),
        decode_s=0.5,
        encode_s=1.0,
    )


def header(frame_start: int, frames: int, **info: object) -> ChunkHeader:
    return ChunkHeader(
        chunk_index=0,
        frame_start=frame_start,
        frame_count=frames,
        fingerprint="",
        codec="ffv1",
        encoder="ffv1",
        pix_fmt="gray",
        width=8,
        height=8,
        info=info,
    )


def report(tally: Tally, media_studio: Studio) -> RenderReport:
    job = plan(media_studio.path("plain.mp4"), chunk_seconds=0.5)
    return tally.report(job, FINISH, Path("out.mp4"), 7)


def test_chunks_of_workers_and_of_an_earlier_run_add_up(media_studio: Studio) -> None:
    job = plan(media_studio.path("plain.mp4"), chunk_seconds=0.5)
    listener = Listener()
    tally = Tally(listener)
    filled = {"faces_filled": 2, "frames_filled": 1}
    tally.add_finished(header(0, 15, faces=3, frames_without_face=2, corrupt=[4], **filled))
    tally.add(1, replace(result(1, 15, corrupt=(15,)), faces_filled=3, frames_filled=3))
    tally.add(0, result(2, 15))
    facts = WorkerFacts(pid=1, node="here", node_id="", provider="cpu", threads=2)
    gpu = replace(facts, provider="cuda", devices="3")
    tally.add_workers({1: gpu, 0: facts}, {1: 5}, networks=True)
    tally.render_s = 2.0
    found = report(tally, media_studio)
    assert (found.faces, found.frames_without_face, listener.done) == (63, 4, 45)
    assert (found.faces_filled, found.frames_filled) == (5, 4)
    assert found.fps == 15.0
    assert found.stage_s[Stage.DECODE] == 1.0
    assert [(w.worker, w.chunks, w.frames, w.peak_memory_bytes) for w in found.workers] == [
        ("worker-0", 1, 15, 0),
        ("worker-1", 1, 15, 5),
    ]
    assert [(w.provider, w.devices) for w in found.workers] == [
        ("CPUExecutionProvider", ""),
        ("CUDAExecutionProvider", "3"),
    ]
    times = job.frames.times
    assert [d.time_s for d in found.damage] == [times.seconds(4), times.seconds(15)]
    assert (found.output_sha256, found.input_sha256, found.peak_memory_bytes) == ("ef", "ab", 7)


def test_an_attempt_whose_plan_did_not_hold_is_forgotten(media_studio: Studio) -> None:
    tally = Tally(NullObserver())
    tally.add_finished(header(0, 15, faces=3, frames_without_face=2, faces_filled=2, corrupt=[4]))
    tally.begin_chunks()
    found = report(tally, media_studio)
    assert (found.faces, found.frames_without_face, found.damage) == (0, 0, ())
    assert found.faces_filled == 0


def test_a_note_is_said_once_and_kept(media_studio: Studio) -> None:
    listener = Listener()
    tally = Tally(listener)
    for message in ("one", "two", "one"):
        tally.note(message)
    assert listener.notes == ["one", "two"]
    assert report(tally, media_studio).notes == ("one", "two")


def test_the_seconds_of_a_stage_add_up_and_an_error_counts_too() -> None:
    tally = Tally(NullObserver())
    for _ in range(2):
        with tally.stage(Stage.INDEX):
            pass
    assert tally.stage_s[Stage.INDEX] > 0


def test_attempts_that_had_to_be_repeated_are_reported_with_their_chunk(
    media_studio: Studio,
) -> None:
    tally = Tally(NullObserver())
    tally.book = AttemptBook(0.0, 1)
    for token, outcome, now_s in ((1, "sent", 0.0), (1, "failed", 4.0), (2, "sent", 4.0)):
        note = AttemptNote(token=token, chunk_index=1, worker=0, node="here", outcome=outcome)
        tally.book.note(note, now_s)
    tally.add(0, result(1, 15))
    tally.worker_time = tally.book.worker_time(8.0)
    tally.render_s = 8.0
    found = report(tally, media_studio)
    assert [chunk.attempts for chunk in found.chunk_reports] == [2]
    assert [(a.chunk_index, a.outcome, a.seconds) for a in found.lost_attempts] == [
        (1, "failed", 4.0)
    ]
    assert "50% of it was lost with attempts that came to nothing" in found.bottleneck
