from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import ChunkError
from farm.media.chunk_file import (
    ChunkHeader,
    EncodedPacket,
    read_header,
    read_order,
    read_packets,
    write_chunk,
)

HEADER = ChunkHeader(
    chunk_index=3,
    frame_start=30,
    frame_count=3,
    fingerprint="abc",
    codec="h264",
    encoder="libx264",
    pix_fmt="yuv420p",
    width=64,
    height=48,
    parameter_sets=b"\0\0\0\1\x67",
    first_picture_md5="00ff",
    signatures=bytes(range(192)),
    info={"seconds": {"decode": 0.5}, "lost": [1, 2]},
)
PACKETS = (
    EncodedPacket(data=b"key" * 50, frame=0, duration=1, is_keyframe=True),
    EncodedPacket(
        data=b"last",
        frame=2,
        duration=None,
        is_keyframe=False,
        side_data=(("new_extradata", b"12"), ("palette", b"")),
    ),
    EncodedPacket(data=b"", frame=1, duration=1, is_keyframe=False),
)


@pytest.fixture
def chunk(tmp_path: Path) -> Path:
    path = tmp_path / "00003.chunk"
    write_chunk(path, HEADER, PACKETS)
    return path


def test_what_was_written_is_read_back(chunk: Path) -> None:
    assert read_header(chunk) == HEADER
    assert tuple(read_packets(chunk)) == PACKETS
    assert read_order(chunk) == [0, 2, 1]


def test_writing_leaves_only_the_chunk_file(chunk: Path) -> None:
    assert [each.name for each in chunk.parent.iterdir()] == [chunk.name]


def test_every_cut_is_refused(chunk: Path) -> None:
    whole = chunk.read_bytes()
    for size in range(0, len(whole), 7):
        chunk.write_bytes(whole[:size])
        with pytest.raises(ChunkError, match="no whole chunk file"):
            read_header(chunk)


def test_bytes_at_the_end_are_refused(chunk: Path) -> None:
    chunk.write_bytes(chunk.read_bytes() + b"x")
    with pytest.raises(ChunkError, match="bytes where"):
        read_header(chunk)


def test_every_flipped_bit_is_refused(chunk: Path) -> None:
    whole = chunk.read_bytes()
    for at in range(len(whole)):
        chunk.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(ChunkError):
            tuple(read_packets(chunk))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChunkError, match=r"gone\.chunk"):
        read_header(tmp_path / "gone.chunk")


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(chunk: Path) -> None:
    before = chunk.read_bytes()

    def broken() -> object:
        yield PACKETS[0]
        raise RuntimeError("encoder broke")

    with pytest.raises(RuntimeError):
        write_chunk(chunk, HEADER, broken())  # type: ignore[arg-type]
    assert chunk.read_bytes() == before
    assert list(chunk.parent.iterdir()) == [chunk]


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ChunkError, match=r"chunk 00003: .*cannot be written"):
        write_chunk(tmp_path / "none" / "x.chunk", HEADER, PACKETS)
