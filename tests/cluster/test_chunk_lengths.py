"""The length of chunks, and who encodes, cannot be seen in what the result shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.settings import EncodeOn, EncoderSettings
from tests.cluster.test_ladder import clip, render, runtime
from tests.media_maker import serial_frames

__all__ = ["clip", "runtime"]

FRAME_S = 1 / 30
LENGTHS = {"one frame": FRAME_S / 2, "a prime": 7 * FRAME_S, "more than the video": 1000.0}
SOFTWARE = EncoderSettings(hardware=False)


@pytest.mark.parametrize("encode_on", EncodeOn)
@pytest.mark.parametrize("length", LENGTHS)
def test_every_length_of_chunk_shows_the_source_frame_for_frame(
    runtime: Any, clip: Path, tmp_path: Path, encode_on: EncodeOn, length: str
) -> None:
    output = tmp_path / "out.mp4"
    report = render(
        runtime,
        clip,
        output,
        chunk_seconds=LENGTHS[length],
        encode_on=encode_on,
        video_quality=0,
        encoding=SOFTWARE,
    )
    frames = len(serial_frames(clip))
    assert report.chunks == {"one frame": frames, "more than the video": 1}.get(
        length, report.chunks
    )
    before, after = serial_frames(clip), serial_frames(output)
    assert [(f.md5, f.time_s) for f in after] == [(f.md5, f.time_s) for f in before]


def test_encoded_in_one_stream_every_length_of_chunk_gives_the_same_bytes(
    runtime: Any, clip: Path, tmp_path: Path
) -> None:
    made = {
        render(
            runtime,
            clip,
            tmp_path / "out.mp4",
            chunk_seconds=seconds,
            encode_on=EncodeOn.FINAL,
            encoding=SOFTWARE,
        ).output_sha256
        for seconds in LENGTHS.values()
    }
    assert len(made) == 1
