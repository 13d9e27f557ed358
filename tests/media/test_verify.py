"""Deliberately wrong results, each of which must be caught before it gets its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from farm.errors import VerifyError
from farm.media import final
from farm.media.chunk_file import read_header, read_packets, write_chunk
from farm.media.encoders import choose_encoder
from farm.media.final import FinishRequest, finish
from farm.media.final_task import FinalTask, run_final_task
from farm.media.parameter_sets import split_sets
from farm.settings import VerifyLevel
from tests.media.finish_case import (
    encode_chunk,
    make_source,
    parameters,
    request_for,
    times,
    write_chunks,
)

COUNT = 24
Change = Callable[[Any, int], bool]


@pytest.fixture
def request_(tmp_path: Path) -> FinishRequest:
    source = make_source(tmp_path / "in.mkv", COUNT, audio_start_s=0.1)
    choice, _ = choose_encoder("libx264", 18, parameters())
    paths = write_chunks(tmp_path / "work", choice, parameters(), (12, 12))
    return request_for(tmp_path, source, choice, paths, COUNT)


def tampering(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Let the final task end with a file whose packets went through `change`."""

    def run(task: FinalTask) -> None:
        run_final_task(task)
        right = task.target.with_suffix(".right.mp4")
        task.target.rename(right)
        remux(right, task.target, change)
        right.unlink()

    monkeypatch.setattr(final, "run_final_task", run)


def remux(source: Path, target: Path, change: Change) -> None:
    """Copy a file; `change(packet, number)` alters a packet or says that it is left out."""
    numbers = {"video": 0, "audio": 0}
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        streams = {
            s.index: after.add_stream_from_template(s, opaque=True)
            for s in (*before.streams.video, *before.streams.audio)
        }
        for packet in before.demux(list(before.streams.video) + list(before.streams.audio)):
            if not packet.size:
                continue
            kind = packet.stream.type
            number = numbers[kind]
            numbers[kind] += 1
            packet.stream = streams[packet.stream_index]
            if change(packet, number):
                after.mux_one(packet)


def is_caught(request: FinishRequest, words: str) -> None:
    with pytest.raises(VerifyError, match=words):
        finish(request)
    assert not request.output.exists()
    folder = request.output.parent
    assert {each.name for each in folder.iterdir()} == {"in.mkv", "work"}


def test_the_same_copy_without_a_change_passes(
    request_: FinishRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    tampering(monkeypatch, lambda packet, number: True)
    finish(replace(request_, verify=VerifyLevel.FULL))


def test_a_missing_last_frame_is_caught(
    request_: FinishRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    tampering(
        monkeypatch, lambda packet, number: packet.stream.type != "video" or number < COUNT - 1
    )
    is_caught(request_, f"shows {COUNT - 1} frames where {COUNT}")


def test_a_last_frame_hidden_by_the_edit_list_is_caught(
    request_: FinishRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(task: FinalTask) -> None:
        run_final_task(task)
        data = bytearray(task.target.read_bytes())
        at = data.index(b"elst") + 8
        entries = int.from_bytes(data[at : at + 4], "big")
        last = at + 4 + 12 * (entries - 1)
        shown = int.from_bytes(data[last : last + 4], "big") - int(times(COUNT).durations[-1])
        data[last : last + 4] = shown.to_bytes(4, "big")
        task.target.write_bytes(data)

    monkeypatch.setattr(final, "run_final_task", run)
    is_caught(request_, "frames")


def test_shifted_audio_is_caught(request_: FinishRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def later(packet: Any, number: int) -> bool:
        if packet.stream.type == "audio":
            ticks = int(Fraction(3, 1000) / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return True

    tampering(monkeypatch, later)
    is_caught(request_, r"moved by \+[23]\.\d+ ms against the picture")


def test_a_missing_audio_packet_is_caught(
    request_: FinishRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    tampering(monkeypatch, lambda packet, number: packet.stream.type != "audio" or number != 5)
    is_caught(request_, "packets are in the output")


def test_a_moved_timestamp_is_caught(
    request_: FinishRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nudge(packet: Any, number: int) -> bool:
        if packet.stream.type == "video" and number == 7:
            packet.pts += 1
        return True

    tampering(monkeypatch, nudge)
    is_caught(request_, "1 timestamps of the output are wrong")


def test_foreign_parameter_sets_are_caught_by_the_picture(
    request_: FinishRequest, tmp_path: Path
) -> None:
    other, _ = choose_encoder("libx264", 40, parameters())
    chunk = encode_chunk(other, parameters(), 1, 12, 12)
    own = split_sets("h264", chunk.header.parameter_sets)
    packets = [replace(p, data=without_units(p.data, own)) for p in chunk.packets]
    first = read_header(request_.chunk_paths[0])
    header = replace(chunk.header, parameter_sets=first.parameter_sets)
    write_chunk(request_.chunk_paths[1], header, packets)
    is_caught(request_, "chunk 00001 shows another picture at frame 12")


def without_units(data: bytes, units: frozenset[bytes]) -> bytes:
    for unit in units:
        data = data.replace(b"\0\0\0\1" + unit, b"")
    return data


def test_swapped_chunks_are_caught_by_the_picture(request_: FinishRequest) -> None:
    first, second = (read_header(path) for path in request_.chunk_paths)
    one, two = (list(read_packets(path)) for path in request_.chunk_paths)
    write_chunk(request_.chunk_paths[0], first, two)
    write_chunk(request_.chunk_paths[1], second, one)
    is_caught(request_, "chunk 00000 shows another picture")


def test_full_verification_sees_a_wrong_picture_inside_a_chunk(request_: FinishRequest) -> None:
    path = request_.chunk_paths[1]
    header, packets = read_header(path), list(read_packets(path))
    signatures = bytearray(header.signatures)
    signatures[64 * 5 : 64 * 6] = bytes(64)
    write_chunk(path, replace(header, signatures=bytes(signatures)), packets)
    finish(request_)
    request_.output.unlink()
    is_caught(replace(request_, verify=VerifyLevel.FULL), "frame 17 of the output")


def test_wrong_colour_tags_are_caught(request_: FinishRequest) -> None:
    color = replace(request_.encoder.color, space=9, primaries=9)
    choice = replace(request_.encoder, color=color)
    is_caught(replace(request_, encoder=choice), "color")
