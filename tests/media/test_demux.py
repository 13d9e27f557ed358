from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from av.container import InputContainer

from farm.media.demux import demuxed
from farm.media.probe import open_container
from tests.media_maker import Studio


def test_packets_come_as_the_demuxer_gives_them(media_studio: Studio) -> None:
    with open_container(media_studio.path("h264.ts")) as container:
        found = [(p.stream_index, p.pts, p.size) for p in demuxed(container)]
    with open_container(media_studio.path("h264.ts")) as container:
        assert found == [(p.stream_index, p.pts, p.size) for p in container.demux()]


def test_a_stream_that_appears_in_mid_file_does_not_end_in_an_error() -> None:
    def packets(*_: Any) -> Iterator[int]:
        yield from range(3)
        raise IndexError("list index out of range")

    late = cast(InputContainer, SimpleNamespace(demux=packets))
    found: list[Any] = list(demuxed(late))
    assert found == [0, 1, 2]


def test_other_errors_are_passed_on() -> None:
    def packets(*_: Any) -> Iterator[int]:
        yield 0
        raise ValueError("broken")

    container = cast(InputContainer, SimpleNamespace(demux=packets))
    with pytest.raises(ValueError, match="broken"):
        list(demuxed(container))
