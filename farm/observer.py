"""What a render tells while it runs: the contract between the render and whatever shows it.

Not for: results (`farm.report`) or drawing (`farm.progress`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from farm.report import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgress:
    """What one worker does, and what it has done of this job."""

    worker: str
    node: str
    chunk_index: int | None
    """Of the chunk in hand, None where it waits for one."""
    chunks: int
    """Finished."""
    frames: int
    """Of finished chunks."""
    fps: float
    """Output frames per second since it was given its first chunk."""


class RenderObserver(Protocol):
    """Receives the events of one render, all from the thread that called it."""

    def stage(self, stage: Stage, detail: str = "") -> None:
        """`stage` begins; the one before it has ended."""

    def planned(
        self, frames: int, chunks: int, workers: int, provider: str, threads: int, encoder: str
    ) -> None:
        """The plan stands: how many output frames there are and who renders them.

        `threads` is the thread budget of one worker.
        """

    def frames_done(self, count: int) -> None:
        """`count` further output frames are finished."""

    def busy(self, stage_s: Mapping[str, float]) -> None:
        """Seconds that the workers' stages were at work so far, by `Stage`."""

    def workers(self, workers: tuple[WorkerProgress, ...]) -> None:
        """What all workers do now, told when one has begun or finished a chunk."""

    def note(self, message: str) -> None:
        """Something that the user should know and that does not stop the render."""


class NullObserver:
    """An observer that shows nothing."""

    def stage(self, stage: Stage, detail: str = "") -> None:
        """Ignore the stage."""

    def planned(
        self, frames: int, chunks: int, workers: int, provider: str, threads: int, encoder: str
    ) -> None:
        """Ignore the plan."""

    def frames_done(self, count: int) -> None:
        """Ignore the frames."""

    def busy(self, stage_s: Mapping[str, float]) -> None:
        """Ignore the seconds."""

    def workers(self, workers: tuple[WorkerProgress, ...]) -> None:
        """Ignore the workers."""

    def note(self, message: str) -> None:
        """Ignore the note."""
