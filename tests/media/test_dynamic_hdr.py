"""Metadata of each picture is that of the frame which the picture shows, in the output as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from av.sidedata.sidedata import Type

from farm.errors import MediaError
from farm.media.dynamic_hdr import dynamic_hdr, dynamic_units, with_units
from farm.media.hdr import HdrMetadata, hdr_notes, read_hdr
from farm.media.index import build_index
from farm.media.plan import FramePlan, plan_frames
from farm.media.reading import IndexReader
from farm.media.reshape import Reshape
from farm.media.retime import at_rate, multiplied
from farm.media.sample_entry import add_entry_box
from tests.media.retimed_case import render
from tests.media_maker import Studio, serial_decode

FRAMES = 20
PLUS = HdrMetadata(dynamic=("HDR10+",))
ALL = frozenset({"HDR10+", "Dolby Vision"})
RECORD = bytes.fromhex("0100102540") + bytes(19)


def message(number: int) -> bytes:
    """A message of HDR10+ whose brightest red is a number (SMPTE ST 2094-40, one window)."""
    bits = f"{0xB5003C0001:040b}{4:08b}{1:08b}{1:02b}{400:027b}0"
    bits += "".join(f"{value:017b}" for value in (1000 + number, 900, 800)) + f"{700:017b}"
    bits += f"{0:04b}{5:010b}0" + "00"
    bits += "0" * (-len(bits) % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    escaped, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes((39 << 1, 1, 4, len(payload))) + bytes(escaped) + b"\x80"


@pytest.fixture
def source(media_studio: Studio) -> Path:
    """HEVC with B-frames; each frame says which it is."""
    path = media_studio.folder / "plus.mp4"
    if not path.exists():
        x265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le")
        params = ("-x265-params", "log-level=error:bframes=3:keyint=10")
        plain = media_studio.folder / "plus-plain.mp4"
        media_studio.ffmpeg("-i", media_studio.raw(frames=FRAMES), *x265, *params, plain)
        _remade(plain, path, lambda number: (message(number), b""))
    return path


def _remade(plain: Path, path: Path, units: Callable[[int], tuple[bytes, bytes]]) -> None:
    """The same packets with other units before and behind their pictures."""
    with av.open(str(plain)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(video=0) if packet.size]
        shown = sorted(packet.pts or 0 for packet in packets)
        for packet in packets:
            before, after = units(shown.index(packet.pts or 0))
            sizes = [len(each).to_bytes(4, "big") if each else b"" for each in (before, after)]
            data = sizes[0] + before + bytes(packet) + sizes[1] + after
            new: av.Packet[Any] = av.Packet(data)
            new.pts, new.dts, new.time_base = packet.pts, packet.dts, packet.time_base
            new.duration, new.is_keyframe, new.stream = packet.duration, packet.is_keyframe, stream
            made.mux_one(new)


def metadata_of(path: Path) -> list[bytes]:
    found = []
    for frame in serial_decode(path):
        attached: Any = frame.side_data
        found += [bytes(data) for data in attached if data.type == Type.DYNAMIC_HDR_PLUS]
    return found


def same(plan: FramePlan) -> FramePlan:
    return plan


def rendered(source: Path, output: Path, times: Any, encoder: str = "libx265") -> Path:
    index = build_index(source)
    plan = times(plan_frames(index, None))
    index = replace(index, hdr=read_hdr(next(serial_decode(source))))
    kept = dynamic_hdr(index, plan.packets, plan.output, Reshape(), "hevc")
    render(source, output, times, encoder=encoder, dynamic_hdr=kept)
    return output


def test_a_decoder_sees_what_the_test_wrote(source: Path) -> None:
    assert len(set(metadata_of(source))) == len(metadata_of(source)) == FRAMES


def test_every_frame_keeps_its_own_metadata(source: Path, tmp_path: Path) -> None:
    assert metadata_of(rendered(source, tmp_path / "out.mp4", same)) == metadata_of(source)


def test_frames_that_are_shown_twice_have_it_twice(source: Path, tmp_path: Path) -> None:
    def faster(plan: FramePlan) -> FramePlan:
        return at_rate(plan, 2 * (plan.output.rate or build_index(source).stream.frame_rate or 30))  # type: ignore[arg-type]

    output = rendered(source, tmp_path / "out.mkv", faster)
    due = metadata_of(source)
    assert metadata_of(output) == [each for each in due for _ in range(2)]


def test_it_is_left_out_where_it_would_not_be_true(source: Path) -> None:
    index = replace(build_index(source), hdr=PLUS)
    plan = plan_frames(index, None)
    assert dynamic_hdr(index, plan.packets, plan.output, Reshape(), "hevc") is not None
    assert dynamic_hdr(index, plan.packets, plan.output, Reshape(), "h264") is None
    assert dynamic_hdr(index, plan.packets, plan.output, Reshape(size=(64, 64)), "hevc") is None
    between = multiplied(plan, 2, None)
    assert dynamic_hdr(index, plan.packets, between.output, Reshape(), "hevc") is None
    other = replace(index, hdr=HdrMetadata(dynamic=("Dolby Vision",)))
    assert dynamic_hdr(other, plan.packets, plan.output, Reshape(), "hevc") is None


def test_what_is_carried_is_not_said_to_be_lost() -> None:
    both = HdrMetadata(dynamic=("HDR10+", "Dolby Vision"))
    assert len(hdr_notes(both, "libx265")) == 2
    left = hdr_notes(both, "libx265", carried={"HDR10+"})
    assert [note.split(":")[0] for note in left] == ["Dolby Vision"]


def test_units_are_found_in_both_forms_and_put_around_the_picture() -> None:
    plus, vision, start = message(3), b"\x7c\x01rpu\x80", b"\0\0\0\1"
    plain = start + b"\x40\x01set" + start + b"\x02\x01slice"
    whole = plain[:9] + start + plus + plain[9:] + start + vision
    assert dynamic_units(whole, b"", ALL) == (start + plus, start + vision)
    assert dynamic_units(whole, b"", {"HDR10+"}) == (start + plus, b"")
    assert dynamic_units(plain, b"", ALL) == (b"", b"")
    units = (b"\x40\x01set", plus, b"\x02\x01slice", vision)
    sized = b"".join(len(each).to_bytes(4, "big") + each for each in units)
    header = bytes([1]) + bytes(20) + b"\xff" + bytes(5)
    assert dynamic_units(sized, header, ALL) == (start + plus, start + vision)
    assert with_units(plain, (start + plus, start + vision)) == whole


@pytest.fixture
def vision(source: Path, tmp_path: Path) -> Path:
    """The same with units and the record of Dolby Vision, profile 8.4."""
    path = tmp_path / "vision.mp4"
    _remade(source, path, lambda number: (b"", b"\x7c\x01rpu%d\x80" % number))
    add_entry_box(path, (len(RECORD) + 8).to_bytes(4, "big") + b"dvvC" + RECORD)
    return path


def units_of(path: Path) -> list[tuple[bytes, bytes]]:
    """Of each packet, in display order."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        extradata = bytes(stream.codec_context.extradata or b"")
        packets = [packet for packet in container.demux(stream) if packet.size]
    packets.sort(key=lambda packet: packet.pts or 0)
    return [dynamic_units(bytes(packet), extradata, ALL) for packet in packets]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_dolby_vision_of_one_layer_is_kept_with_its_record(
    vision: Path, tmp_path: Path, suffix: str
) -> None:
    index = build_index(vision)
    assert index.dolby_vision == RECORD
    index = replace(index, hdr=HdrMetadata(dynamic=("HDR10+", "Dolby Vision")))
    plan = plan_frames(index, None)
    kept = dynamic_hdr(index, plan.packets, plan.output, Reshape(), "hevc")
    assert kept is not None
    assert kept.kinds == ALL
    output = tmp_path / f"out{suffix}"
    render(vision, output, same, encoder="libx265", dynamic_hdr=kept)
    assert units_of(output) == units_of(vision)
    assert len(set(units_of(output))) == FRAMES
    again = build_index(output)
    assert again.dolby_vision[:5] == RECORD[:5]
    # What Matroska holds is carried on as what MP4 holds.
    again = replace(again, hdr=index.hdr)
    plan = plan_frames(again, None)
    kept = dynamic_hdr(again, plan.packets, plan.output, Reshape(), "hevc")
    assert kept is not None
    assert kept.kinds == ALL


SECOND_LAYER = RECORD[:3] + b"\x27" + RECORD[4:]
PROFILE_5, PROFILE_7 = (
    b"\x01\0" + bytes((n << 1, 0x25, c)) + bytes(19) for n, c in ((5, 0), (7, 0x60))
)


def with_record(source: Path, path: Path, record: bytes) -> Path:
    _remade(source, path, lambda number: (b"", b""))
    box = b"dvvC" if record[2] >> 1 > 7 else b"dvcC"
    add_entry_box(path, (len(record) + 8).to_bytes(4, "big") + box + record)
    return path


@pytest.mark.parametrize("record", [SECOND_LAYER, PROFILE_7])
def test_other_kinds_of_dolby_vision_are_not_carried(
    source: Path, tmp_path: Path, record: bytes
) -> None:
    index = IndexReader(with_record(source, tmp_path / "other.mp4", record), None).index()
    assert index.dolby_vision == record
    index = replace(index, hdr=HdrMetadata(dynamic=("Dolby Vision",)))
    plan = plan_frames(index, None)
    assert dynamic_hdr(index, plan.packets, plan.output, Reshape(), "hevc") is None


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pictures_in_colours_of_dolby_vision_alone_are_refused(
    source: Path, tmp_path: Path, media_studio: Studio, suffix: str
) -> None:
    path = with_record(source, tmp_path / "five.mp4", PROFILE_5)
    if suffix == ".mkv":
        media_studio.ffmpeg(
            "-i", path, "-c", "copy", "-strict", "unofficial", tmp_path / "five.mkv"
        )
        path = tmp_path / "five.mkv"
    with pytest.raises(MediaError, match=r"Dolby Vision of profile 5, .*convert it to HDR10"):
        IndexReader(path, None).index()
