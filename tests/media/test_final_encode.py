from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from farm.errors import EncoderError, JobError
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import read_header, read_packets
from farm.media.encoders import choose_encoder, intermediate_encoder
from farm.media.final_encode import WholeOrder, encode_whole
from farm.media.final_feed import WholeEncoding
from farm.media.join import Chunk
from farm.settings import EncoderSettings
from tests.media.broken_encoders import break_encoder, dying
from tests.media.finish_case import parameters, pictures, write_chunks

SIZES = (10, 1, 13)
TOTAL = sum(SIZES)


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, ...]:
    """Lossless chunks."""
    return write_chunks(tmp_path / "work", intermediate_encoder(parameters()), parameters(), SIZES)


def order_for(folder: Path, encoder: str = "libx264", quality: int = 0, **asked: Any) -> WholeOrder:
    folder.mkdir(exist_ok=True)
    settings = EncoderSettings(hardware=False, **asked)
    choice = choose_encoder(encoder, quality, parameters(), settings=settings)[0]
    return WholeOrder(folder=folder, choice=choice, stream=parameters(), total=TOTAL)


def shown(parts: tuple[Path, ...]) -> list[bytes]:
    return [
        frame.to_ndarray().tobytes()
        for part in parts
        for frame in decode_packets(read_packets(part), read_header(part))
    ]


def chunks_of(paths: tuple[Path, ...]) -> list[Chunk]:
    return [Chunk(path=path, header=read_header(path)) for path in paths]


def test_chunks_that_come_in_any_order_are_encoded_in_theirs(
    tmp_path: Path, paths: tuple[Path, ...]
) -> None:
    whole = WholeEncoding(order_for(tmp_path / "parts"))
    for number in (2, 0, 1):
        whole.feed(number, paths[number])
    assert shown(whole.parts()) == pictures(TOTAL)


def test_the_first_chunk_is_encoded_before_the_second_is_there(
    tmp_path: Path, paths: tuple[Path, ...]
) -> None:
    first_done = threading.Event()

    def progress(done: int, of: int) -> None:
        if done == SIZES[0]:
            first_done.set()

    whole = WholeEncoding(order_for(tmp_path / "parts"), progress)
    whole.feed(0, paths[0])
    assert first_done.wait(timeout=60)
    for number in (1, 2):
        whole.feed(number, paths[number])
    assert shown(whole.parts()) == pictures(TOTAL)


def test_what_is_encoded_as_chunks_come_is_what_is_encoded_afterwards(
    tmp_path: Path, paths: tuple[Path, ...]
) -> None:
    whole = WholeEncoding(order_for(tmp_path / "while", quality=23))
    for number, path in enumerate(paths):
        whole.feed(number, path)
    later = encode_whole(chunks_of(paths), order_for(tmp_path / "later", quality=23))
    assert [p.read_bytes() for p in whole.parts()] == [p.read_bytes() for p in later]


def test_a_stopped_encoding_ends(tmp_path: Path, paths: tuple[Path, ...]) -> None:
    whole = WholeEncoding(order_for(tmp_path / "parts"))
    whole.feed(0, paths[0])
    whole.stop()
    with pytest.raises(JobError, match="stopped"):
        whole.parts()


def test_an_encoder_that_breaks_is_told_to_whoever_waits(
    tmp_path: Path, paths: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_encoder(monkeypatch, "libx264", dying(after=12))
    whole = WholeEncoding(order_for(tmp_path / "parts"))
    for number, path in enumerate(paths):
        whole.feed(number, path)
    with pytest.raises(EncoderError, match="the driver is gone"):
        whole.parts()


@pytest.mark.parametrize(
    ("encoder", "notes"),
    [("libx264", "passes.log"), ("libx265", "passes.log"), ("libvpx-vp9", "passes.log-0.log")],
)
def test_two_passes_spend_the_rate_after_a_look_at_everything(
    tmp_path: Path, paths: tuple[Path, ...], encoder: str, notes: str
) -> None:
    folder = tmp_path / "odd: name='x'"
    order = order_for(folder, encoder, 18, bitrate="60k", two_pass=True)
    seen: list[int] = []
    parts = encode_whole(chunks_of(paths), order, lambda done, _: seen.append(done))
    assert seen == [*range(1, TOTAL + 1), *range(1, TOTAL + 1)]
    assert len(shown(parts)) == TOTAL
    assert (folder / notes).exists()
    single = order_for(tmp_path / "single", encoder, 18, bitrate="60k")
    assert shown(encode_whole(chunks_of(paths), single)) != shown(parts)


def vp9_order(folder: Path, ffmpeg: Path | None = None) -> WholeOrder:
    order = order_for(folder, "libvpx-vp9", 18, bitrate="60k", two_pass=True)
    return replace(order, ffmpeg=ffmpeg)


@pytest.mark.parametrize("program", ["bundled", "system"])
def test_vp9_in_two_passes_shows_every_frame_in_its_place(
    tmp_path: Path, paths: tuple[Path, ...], program: str
) -> None:
    system = shutil.which("ffmpeg")
    if program == "system" and system is None:
        pytest.skip("no ffmpeg is installed here")
    order = vp9_order(tmp_path / "a", Path(system or "") if program == "system" else None)
    parts = encode_whole(chunks_of(paths), order)
    due = [np.frombuffer(each, np.uint8).astype(float) for each in pictures(TOTAL)]
    found = [np.frombuffer(each, np.uint8) for each in shown(parts)]
    for number, picture in enumerate(found):
        errors = [float(np.square(picture - each).mean()) for each in due]
        assert errors.index(min(errors)) == number
    left = {path.name for path in (tmp_path / "a").iterdir()} - {path.name for path in parts}
    assert left == {"passes.log-0.log"}


def test_a_program_that_cannot_do_vp9_is_an_error_of_the_encoder(
    tmp_path: Path, paths: tuple[Path, ...]
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(
        '#!/bin/sh\n[ "$1" = -version ] && echo "ffmpeg version 7.1" && exit 0\n'
        "echo Unknown encoder >&2\nexit 8\n"
    )
    program.chmod(0o755)
    order = vp9_order(tmp_path / "parts", program)
    with pytest.raises(EncoderError, match=r"ffmpeg program broke .*Unknown encoder"):
        encode_whole(chunks_of(paths), order)
    assert list(order.folder.iterdir()) == []


def test_a_two_pass_encoding_that_is_stopped_leaves_no_program(
    tmp_path: Path, paths: tuple[Path, ...]
) -> None:
    def some() -> Iterator[Chunk]:
        yield chunks_of(paths)[0]
        raise JobError("stopped")

    before = set(psutil.Process().children())
    with pytest.raises(JobError, match="stopped"):
        encode_whole(some(), vp9_order(tmp_path / "parts"))
    assert set(psutil.Process().children()) == before
