from __future__ import annotations

import io

import pytest

from farm.observer import RenderObserver
from farm.progress import LiveDisplay, PlainDisplay, QuietDisplay, RenderState, open_display
from farm.report import Stage


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(clock: Clock) -> RenderState:
    return RenderState(memory_limit_bytes=2 << 30, clock=clock)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_display_fits_its_stream() -> None:
    assert isinstance(open_display(io.StringIO(), quiet=True), QuietDisplay)
    assert isinstance(open_display(io.StringIO()), PlainDisplay)
    assert isinstance(open_display(Terminal()), LiveDisplay)
    assert isinstance(open_display(Terminal(), quiet=True), QuietDisplay)


def test_quiet_shows_nothing() -> None:
    stream = io.StringIO()
    with open_display(stream, quiet=True) as display:
        _play(display)
    assert stream.getvalue() == ""


def _play(display: RenderObserver) -> None:
    display.stage(Stage.INDEX, "clip.mp4")
    display.planned(100, 4, 2, "cuda", 8, "libx264")
    display.frames_done(100)
    display.note("a note with [brackets]")


def test_plain_lines_hold_plan_progress_and_notes(state: RenderState, clock: Clock) -> None:
    stream = io.StringIO()
    with PlainDisplay(stream, state) as display:
        display.stage(Stage.INDEX, "clip.mp4")
        display.planned(100, 4, 2, "cuda", 8, "libx264")
        clock.now_s += 6
        display.frames_done(30)
        display.note("careful")
    assert stream.getvalue().splitlines() == [
        "facefarm: index: clip.mp4",
        "facefarm: 100 frames in 4 chunks, provider cuda, 2 workers of 8 threads,"
        " encoder libx264, memory 2.0 GiB",
        "facefarm: 30/100 frames, 5.0 fps, 14.0 s left",
        "facefarm: note: careful",
    ]


def test_plain_lines_are_few_and_the_last_frame_is_among_them(
    state: RenderState, clock: Clock
) -> None:
    stream = io.StringIO()
    with PlainDisplay(stream, state) as display:
        display.planned(100, 4, 2, "cpu", 8, "libx264")
        for _ in range(100):
            clock.now_s += 0.1
            display.frames_done(1)
    lines = [line for line in stream.getvalue().splitlines() if "/100 frames" in line]
    assert len(lines) == 2
    assert lines[-1].startswith("facefarm: 100/100 frames, 10.0 fps")


def test_a_stage_that_tells_more_is_not_a_line_each_time(state: RenderState, clock: Clock) -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream, state)
    for percent in range(100):
        display.stage(Stage.START, f"fetching: {percent} %")
    clock.now_s += 6
    display.stage(Stage.START, "fetching: done")
    assert len(stream.getvalue().splitlines()) == 2


def test_a_terminal_shows_bar_facts_and_stages() -> None:
    stream = Terminal()
    with open_display(stream) as display:
        display.stage(Stage.INDEX)
        display.stage(Stage.DECODE, "chunk 00003")
        display.planned(100, 4, 2, "cuda", 8, "libx264")
        display.frames_done(40)
        display.note("a note with [brackets]")
    shown = stream.getvalue()
    for text in ("40/100 frames", "provider cuda", "decode ...", "chunk 00003", "[brackets]"):
        assert text in shown


def test_stage_line_gives_seconds_of_what_has_ended(state: RenderState, clock: Clock) -> None:
    state.begin(Stage.INDEX, "")
    clock.now_s += 1.5
    state.begin(Stage.START, "Ray")
    assert state.stage_line() == "index 1.50 s · start ... (Ray)"


def test_time_left_is_unknown_before_the_first_frame(state: RenderState) -> None:
    state.plan(10, 1, 1, "cpu", 1, "ffv1")
    assert (state.fps, state.left) == (0.0, "?")
