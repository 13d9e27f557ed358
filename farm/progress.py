"""Shows a running render on a terminal or as plain lines.

Frames are what is counted: fps and the time left come from them. Everything goes to the stream that
is handed in (stderr), never to stdout.
Not for: the summary at the end (`farm.summary`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from farm.bottleneck import busiest_stage
from farm.observer import NullObserver, RenderObserver, WorkerProgress
from farm.report import Stage
from farm.summary import counted, seconds, size

if TYPE_CHECKING:
    from rich.console import Group

_PLAIN_INTERVAL_S = 5.0


class ProgressDisplay(RenderObserver, Protocol):
    """An observer that is open while a render runs."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show the last state and stop."""


def open_display(
    stream: TextIO, *, quiet: bool = False, memory_limit_bytes: int | None = None
) -> ProgressDisplay:
    """The display that fits `stream`: nothing, a live bar on a terminal, or plain lines."""
    if quiet:
        return QuietDisplay()
    state = RenderState(memory_limit_bytes=memory_limit_bytes)
    return LiveDisplay(stream, state) if stream.isatty() else PlainDisplay(stream, state)


@dataclass(slots=True, kw_only=True)
class RenderState:
    """What is known of a running render."""

    memory_limit_bytes: int | None = None
    clock: Callable[[], float] = time.monotonic
    """Seconds, from any start."""
    frames: int = 0
    done: int = 0
    facts: str = ""
    """Who renders, with what."""
    stages: dict[Stage, float] = field(default_factory=dict)
    """When each stage began, in the order they did."""
    detail: str = ""
    planned_at_s: float | None = None
    bottleneck: str = ""
    """The worker's stage that took most of the time so far."""

    @property
    def held_up_by(self) -> str:
        """What to say of the bottleneck."""
        return f", bound by {self.bottleneck}" if self.bottleneck else ""

    def begin(self, stage: Stage, detail: str) -> None:
        """`stage` begins now; the one before it has ended."""
        self.stages.setdefault(stage, self.clock())
        self.detail = detail

    def plan(
        self, frames: int, chunks: int, workers: int, provider: str, threads: int, encoder: str
    ) -> None:
        """The frames and their workers are known."""
        self.frames, self.done, self.planned_at_s = frames, 0, self.clock()
        limit = (
            "limit by default" if self.memory_limit_bytes is None else size(self.memory_limit_bytes)
        )
        self.facts = (
            f"{counted(frames, 'frame')} in {counted(chunks, 'chunk')}, provider {provider},"
            f" {counted(workers, 'worker')} of {counted(threads, 'thread')},"
            f" encoder {encoder}, memory {limit}"
        )

    @property
    def fps(self) -> float:
        """Finished frames per second since the plan stood."""
        if self.planned_at_s is None:
            return 0.0
        passed_s = self.clock() - self.planned_at_s
        return self.done / passed_s if passed_s > 0 else 0.0

    @property
    def left(self) -> str:
        """Time left, for people; "?" while nothing is known."""
        if not self.done or not self.fps:
            return "?"
        return seconds(max(0, self.frames - self.done) / self.fps)

    def stage_line(self) -> str:
        """Every stage that has begun: the seconds of the ended ones, the running one by name."""
        begun = list(self.stages.items())
        ended = [
            f"{stage.value} {seconds(after - start)}"
            for (stage, start), (_, after) in itertools.pairwise(begun)
        ]
        running = [f"{begun[-1][0].value} ..."] if begun else []
        line = " · ".join(ended + running)
        return f"{line} ({self.detail})" if self.detail else line


class QuietDisplay(NullObserver):
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open."""


class PlainDisplay:
    """One line for each event; frames at most every five seconds and at the end."""

    def __init__(self, stream: TextIO, state: RenderState) -> None:
        self._stream = stream
        self._state = state
        self._shown_at_s = state.clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open."""

    def stage(self, stage: Stage, detail: str = "") -> None:
        """Write that the stage begins; the same stage again only every five seconds."""
        now_s = self._state.clock()
        runs = stage in self._state.stages
        self._state.begin(stage, detail)
        if runs and now_s - self._shown_at_s < _PLAIN_INTERVAL_S:
            return
        self._shown_at_s = now_s
        self._line(f"{stage.value}: {detail}" if detail else stage.value)

    def planned(
        self, frames: int, chunks: int, workers: int, provider: str, threads: int, encoder: str
    ) -> None:
        """Write the plan."""
        self._state.plan(frames, chunks, workers, provider, threads, encoder)
        self._line(self._state.facts)

    def frames_done(self, count: int) -> None:
        """Write how far the render is, if it is time to."""
        state = self._state
        state.done += count
        now_s = state.clock()
        if now_s - self._shown_at_s >= _PLAIN_INTERVAL_S or state.done >= state.frames:
            self._shown_at_s = now_s
            self._line(
                f"{state.done}/{state.frames} frames, {state.fps:.1f} fps, {state.left} left"
                f"{state.held_up_by}"
            )

    def busy(self, stage_s: Mapping[str, float]) -> None:
        """Keep what holds the render up."""
        self._state.bottleneck = busiest_stage(stage_s)

    def workers(self, workers: tuple[WorkerProgress, ...]) -> None:
        """Say nothing of single workers."""

    def note(self, message: str) -> None:
        """Write the note."""
        self._line(f"note: {message}")

    def _line(self, text: str) -> None:
        self._stream.write(f"facefarm: {text}\n")
        self._stream.flush()


class LiveDisplay:
    """A bar that is drawn again in place, above it the plan, below it the stages."""

    def __init__(self, stream: TextIO, state: RenderState) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn

        self._state = state
        self._bar = Progress(
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f}/{task.total:.0f} frames"),
            TextColumn("{task.fields[fps]:.1f} fps, {task.fields[left]} left{task.fields[by]}"),
        )
        self._task = self._bar.add_task("frames", total=1, visible=False, fps=0.0, left="?", by="")
        console = Console(file=stream)
        self._live = Live(
            console=console,
            get_renderable=self._picture,
            refresh_per_second=4,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def stage(self, stage: Stage, detail: str = "") -> None:
        """Name the running stage."""
        self._state.begin(stage, detail)

    def planned(
        self, frames: int, chunks: int, workers: int, provider: str, threads: int, encoder: str
    ) -> None:
        """Show the bar and who fills it."""
        self._state.plan(frames, chunks, workers, provider, threads, encoder)
        self._bar.update(self._task, total=frames, visible=True)

    def frames_done(self, count: int) -> None:
        """Move the bar on."""
        self._state.done += count

    def busy(self, stage_s: Mapping[str, float]) -> None:
        """Keep what holds the render up."""
        self._state.bottleneck = busiest_stage(stage_s)

    def workers(self, workers: tuple[WorkerProgress, ...]) -> None:
        """Show nothing of single workers."""

    def note(self, message: str) -> None:
        """Write the note above the bar."""
        self._live.console.print(f"note: {message}", markup=False, highlight=False)

    def _picture(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        state = self._state
        self._bar.update(
            self._task,
            completed=state.done,
            fps=state.fps,
            left=state.left,
            by=state.held_up_by,
        )
        return Group(Text(state.facts), self._bar, Text(state.stage_line()))
