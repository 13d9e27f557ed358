"""A real trial of an encoder: frames go in, come back decoded, and must look like they did.

An encoder that is listed may still lack its device, driver or library, or show something else than
it was given. Not for: choosing encoders (`farm.media.ladder`) or their options.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.errors import ChunkError, FarmError
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import EncodedPacket
from farm.media.encode import ChunkEncoder, chunk_header
from farm.media.encoder_names import is_listed
from farm.media.encoders import EncoderChoice, choose_encoder
from farm.media.layout import editable_pix_fmt, layout_of
from farm.media.pixel_formats import to_pix_fmt
from farm.media.planes import plane_lines
from farm.media.stream import ColorTags, StreamParameters

_FRAMES = 6
_QUALITY = 18
_LEAST_DB = 30.0
_COARSE_QUALITY, _COARSE_DB = 40, 20.0
"""From this quality on, and where a rate decides, an honest encoder may come back worse."""
_WIDTH, _HEIGHT = 320, 240
_WAVE_PX = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of the trial of one encoder on one node."""

    encoder: str
    problem: str | None
    """Why it cannot be used, None when it can."""
    parameter_sets: bytes = b""
    """In-band sets and global header that it writes; chunks join only where these are equal."""


def try_choice(
    choice: EncoderChoice, stream: StreamParameters, frame_rate: Fraction | None = None
) -> Trial:
    """Encode frames of the job's size and pixel format as the job would, and look at them."""
    try:
        encoder = ChunkEncoder(choice, stream, frame_rate)
        frames = [_picture(choice, stream, number) for number in range(_FRAMES)]
        packets: list[EncodedPacket] = []
        for number, frame in enumerate(frames):
            packets += encoder.encode(frame, number)
        packets += encoder.flush()
        fields = {"chunk_index": 0, "frame_start": 0, "frame_count": _FRAMES, "fingerprint": ""}
        header = chunk_header(encoder, choice, stream, packets, fields)
        decoded = list(decode_packets(packets, header))
    except ChunkError as error:
        return Trial(encoder=choice.encoder, problem=_short(choice.encoder, error))
    problem = _difference(choice, frames, decoded)
    sets = header.parameter_sets + header.extradata
    return Trial(encoder=choice.encoder, problem=problem, parameter_sets=sets)


def _short(encoder: str, error: ChunkError) -> str:
    """The reason without the name, which stands before it, and the advice, which is not needed."""
    return error.message.removeprefix(f"{encoder} ").partition("; ")[0]


def try_encoder(encoder: str) -> str | None:
    """Why an encoder cannot be used here for ordinary video, None when it can."""
    if not is_listed(encoder):
        return "not built into PyAV"
    stream = StreamParameters(
        codec="h264",
        codec_tag="",
        profile=None,
        width=_WIDTH,
        height=_HEIGHT,
        pix_fmt="yuv420p",
        time_base=Fraction(1, 25),
        frame_rate=Fraction(25),
    )
    try:
        choice, _ = choose_encoder(encoder, _QUALITY, stream)
    except FarmError as error:
        return error.message
    return try_choice(choice, stream).problem


def _picture(choice: EncoderChoice, stream: StreamParameters, number: int) -> VideoFrame:
    """A smooth picture that moves, in luma and chroma, as the encoder is given it."""
    picture = VideoFrame(stream.width, stream.height, "yuv444p")
    x, y = np.arange(stream.width) + 4 * number, np.arange(stream.height) - 2 * number
    waves = ((60, 60, 0), (30, 15, 8), (15, 30, 16))
    for plane, (across, down, phase) in enumerate(waves):
        columns = _wave(x + phase, across)[None, :]
        plane_lines(picture, plane)[:, : stream.width] = columns + _wave(y, down)[:, None]
    return to_pix_fmt(picture, choice.pix_fmt, ColorTags(range=1), choice.color)


def _wave(at: NDArray[np.int64], height: int) -> NDArray[np.uint8]:
    """Around 64, so that two of them make a sample."""
    return (64 + height * np.sin(at / _WAVE_PX) / 2).astype(np.uint8)


def _difference(
    choice: EncoderChoice, given: list[VideoFrame], shown: list[VideoFrame]
) -> str | None:
    """Why the frames that came back are not those that went in, None where they are."""
    if len(shown) != len(given):
        return f"{len(shown)} of {len(given)} frames came back"
    least = math.inf if choice.lossless else _least_db(choice)
    worst = min(_psnr_db(a, b) for a, b in zip(given, shown, strict=True))
    if worst >= least:
        return None
    if choice.lossless:
        return f"it is to be lossless and is not ({worst:.1f} dB)"
    return f"its pictures are wrong ({worst:.1f} dB)"


def _least_db(choice: EncoderChoice) -> float:
    spends = dict(choice.options).get("b", "0") != "0"
    return _COARSE_DB if spends or choice.quality >= _COARSE_QUALITY else _LEAST_DB


def _psnr_db(first: VideoFrame, second: VideoFrame) -> float:
    """Signal to noise ratio of the worst component of two pictures; infinite where equal."""
    pairs = zip(_components(first), _components(second), strict=False)
    return min(_component_db(a, b) for a, b in pairs)


def _component_db(
    first: tuple[NDArray[np.int32], int], second: tuple[NDArray[np.int32], int]
) -> float:
    """Of two components, each with its peak."""
    (a, peak_a), (b, peak_b) = first, second
    apart = a - b if peak_a == peak_b else a / peak_a * peak_b - b
    error = float(np.mean(np.square(apart, dtype=np.float32)))
    return math.inf if error == 0 else 10 * math.log10(peak_b**2 / error)


def _components(frame: VideoFrame) -> list[tuple[NDArray[np.int32], int]]:
    """Samples of each component, and their peak."""
    name = editable_pix_fmt(frame.format.name)
    frame = frame if name == frame.format.name else frame.reformat(format=name, threads=1)
    layout = layout_of(name)
    found = []
    for part in layout.components:
        rows, columns = -(-frame.height // part.sub_y), -(-frame.width // part.sub_x)
        lines = plane_lines(frame, part.plane).view(layout.dtype)[:rows, part.offset :: part.step]
        samples = lines[:, :columns].astype(np.int32) >> layout.shift
        found.append((samples, (1 << layout.depth) - 1))
    return found
