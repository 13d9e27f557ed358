"""Output frames out of source frames: in order, as soon as they can be made."""

from typing import Any

import pytest

from farm.chunk_task import Shown
from farm.emit import FrameEmitter
from farm.errors import ChunkError


def _none(*_: object) -> Any:
    raise AssertionError("nothing lies between")


def feed(shows: list[Shown], count: int) -> list[list[Any]]:
    """What each of the source frames 0, 1 ... completes."""

    def between(first: Any, second: Any, phase: float) -> Any:
        return f"{first}{second}{phase}"

    emitter = FrameEmitter(shows, between)
    frames: list[Any] = [chr(ord("a") + n) for n in range(count)]
    return [list(emitter.add(n, frame)) for n, frame in enumerate(frames)]


def test_frames_are_repeated_and_left_out() -> None:
    shows = [Shown(0, 0, 0), Shown(0, 0, 0), Shown(2, 2, 0), Shown(3, 3, 0)]
    assert feed(shows, 4) == [["a", "a"], [], ["c"], ["d"]]


def test_a_frame_between_two_waits_for_the_second() -> None:
    shows = [Shown(0, 0, 0), Shown(0, 1, 0.5), Shown(1, 1, 0), Shown(1, 2, 0.25)]
    assert feed(shows, 3) == [["a"], ["ab0.5", "b"], ["bc0.25"]]


def test_frames_around_a_chunk_are_not_given_out() -> None:
    assert feed([Shown(1, 1, 0), Shown(2, 2, 0)], 5) == [[], ["b"], ["c"], [], []]


def test_a_frame_that_did_not_come_in_order_is_an_error() -> None:
    emitter: Any = FrameEmitter([Shown(0, 0, 0)], _none)
    with pytest.raises(ChunkError, match="did not come in order"):
        list(emitter.add(1, "b"))
