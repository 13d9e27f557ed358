from __future__ import annotations

from cluster.worker_board import WorkerBoard
from farm.observer import NullObserver, WorkerProgress
from scheduler.ledger_records import AttemptNote


class Watcher(NullObserver):
    """Keeps what it was told of workers."""

    def __init__(self) -> None:
        self.told: list[tuple[WorkerProgress, ...]] = []

    def workers(self, workers: tuple[WorkerProgress, ...]) -> None:
        self.told.append(workers)


def note(worker: int, chunk: int, outcome: str) -> AttemptNote:
    return AttemptNote(
        token=chunk + 1, chunk_index=chunk, worker=worker, node=f"n{worker}", outcome=outcome
    )


def test_each_worker_is_told_with_its_chunk_its_frames_and_its_pace() -> None:
    watcher, now = Watcher(), [0.0]
    board = WorkerBoard(watcher, clock=lambda: now[0])
    board.note(note(0, 0, "sent"))
    board.note(note(0, 1, "sent"))
    now[0] = 10.0
    board.finished(0, 30)
    board.note(note(0, 0, "done"))
    board.note(note(1, 2, "sent"))  # too soon to be told
    assert watcher.told[-1] == (
        WorkerProgress(worker="worker-0", node="n0", chunk_index=1, chunks=1, frames=30, fps=3.0),
    )
    board.close()
    assert [(w.worker, w.chunk_index, w.chunks) for w in watcher.told[-1]] == [
        ("worker-0", None, 1),
        ("worker-1", None, 0),
    ]


def test_an_attempt_that_failed_is_no_longer_in_hand_and_a_lost_worker_is_gone() -> None:
    watcher, now = Watcher(), [0.0]
    board = WorkerBoard(watcher, clock=lambda: now[0])
    board.note(note(0, 0, "sent"))
    board.note(note(1, 1, "sent"))
    now[0] = 1.0
    board.note(note(0, 0, "failed"))
    assert [w.chunk_index for w in watcher.told[-1]] == [None, 1]
    now[0] = 2.0
    board.note(note(1, 1, "lost"))
    assert [w.worker for w in watcher.told[-1]] == ["worker-0"]
