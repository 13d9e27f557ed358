"""Recipes of H.264 files that no encoder here writes: their headers or slices are made by hand.

Not for: files that ffmpeg can make by itself (`coding`, `containers`).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.recipes.bits import START_CODE, BitWriter, escaped, sps_without_vui
from tests.recipes.studio import RATE, SIZE, Recipe, Studio
from tests.stamps import stamped_picture

FIELD_FRAMES = 30
_KEY_EVERY = 10


def _no_reorder_info(studio: Studio, path: Path) -> None:
    """A B-pyramid whose sequence parameter set lost its VUI, and with it the reorder depth."""
    with (
        av.open(str(studio.path("h264_b_pyramid.mp4"))) as source,
        av.open(str(path), "w") as target,
    ):
        before = source.streams.video[0]
        after = target.add_stream_from_template(before)
        extradata = before.codec_context.extradata
        if extradata is None:
            raise ValueError("an MP4 keeps its parameter sets outside the stream")
        length = int.from_bytes(extradata[6:8], "big")
        short = sps_without_vui(extradata[8 : 8 + length])
        size = len(short).to_bytes(2, "big")
        after.codec_context.extradata = extradata[:6] + size + short + extradata[8 + length :]
        for packet in source.demux(before):
            if packet.size:
                packet.stream = after
                target.mux(packet)


def field_unit_headers() -> bytes:
    """Sequence and picture parameter set of field-coded H.264, Main profile, CAVLC, `SIZE`."""
    width, height = SIZE
    sps = BitWriter().bits(77, 8).bits(0, 8).bits(30, 8).golomb(0, 0, 2, 1).bits(0, 1)
    # ids, frame_num bits, order count type 2 (shown as decoded), one reference, no gaps
    sps.golomb(width // 16 - 1, height // 32 - 1).bits(0, 1).bits(0, 1).bits(1, 1)
    # size in macroblocks (pairs of rows), fields allowed, no MBAFF, direct 8x8
    sps.bits(0, 1).bits(0, 1)
    pps = BitWriter().golomb(0, 0).bits(0, 1).bits(0, 1).golomb(0, 0, 0).bits(0, 3)
    # ids, CAVLC, no bottom field order, one slice group, one reference each, no weighting
    pps.golomb(0, 0, 0).bits(0, 3)
    units = (b"\x67" + escaped(sps.payload()), b"\x68" + escaped(pps.payload()))
    return b"".join(START_CODE + unit for unit in units)


def field_unit(planes: list[NDArray[np.uint8]], frame: int, *, bottom: bool) -> bytes:
    """One field as a slice of uncoded macroblocks; `planes` are the Y, U, V of that field."""
    key = frame % _KEY_EVERY == 0 and not bottom
    slice_ = BitWriter().golomb(0, 7, 0).bits(frame % _KEY_EVERY % 16, 4)
    slice_.bits(1, 1).bits(int(bottom), 1)
    if key:
        slice_.golomb(frame // _KEY_EVERY % 2).bits(0, 2)  # idr id, reference marking
    else:
        slice_.bits(0, 1)
    slice_.golomb(0)  # quantiser as in the picture parameter set
    rows, columns = planes[0].shape[0] // 16, planes[0].shape[1] // 16
    for index in range(rows * columns):
        y, x = divmod(index, columns)
        block = [planes[0][16 * y :, 16 * x :][:16, :16]]
        block += [plane[8 * y :, 8 * x :][:8, :8] for plane in planes[1:]]
        slice_.golomb(25).aligned(b"".join(part.tobytes() for part in block))
    return START_CODE + (b"\x65" if key else b"\x61") + escaped(slice_.payload())


def _fields(studio: Studio, path: Path) -> None:
    """Two packets for each frame, one for each of its fields."""
    del studio
    with av.open(str(path), "w") as target:
        stream = target.add_mux_stream("h264", rate=RATE, width=SIZE[0], height=SIZE[1])
        stream.time_base = Fraction(1, 90000)
        for frame in range(FIELD_FRAMES):
            picture = av.VideoFrame.from_ndarray(stamped_picture(frame, *SIZE), format="rgb24")
            yuv = picture.reformat(format="yuv420p").to_ndarray()
            height, width = SIZE[1], SIZE[0]
            chroma = yuv[height:].reshape(2, height // 2, width // 2)
            for field in (0, 1):
                planes = [p[field::2] for p in (yuv[:height], *chroma)]
                data = field_unit(planes, frame, bottom=bool(field))
                key = frame % _KEY_EVERY == 0 and field == 0
                packet = av.Packet(field_unit_headers() + data if key else data)
                packet.stream, packet.time_base = stream, 1 / RATE / 2
                packet.pts = packet.dts = 2 * frame + field
                packet.duration, packet.is_keyframe = 1, key
                target.mux(packet)


RECIPES: tuple[Recipe, ...] = (
    Recipe(name="no_reorder_info.mp4", make=_no_reorder_info),
    Recipe(name="fields.ts", make=_fields, stamps=tuple(range(FIELD_FRAMES))),
    Recipe(name="fields.mkv", make=_fields, stamps=tuple(range(FIELD_FRAMES))),
)
