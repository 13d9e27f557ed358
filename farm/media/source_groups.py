"""Groups of pictures of the source that the output might keep as they are.

A group is what the source's packets from one keyframe to the next show. Leading pictures are shown
before its keyframe, decoded after it, and lean on the group before (an *open* group).
Not for: trying whether a copy works (`farm.media.untouched`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from farm.media.encoders import EncoderChoice
from farm.media.index import VideoIndex
from farm.media.plan import FramePlan
from farm.media.stream import StreamParameters

COPIED_CODECS = ("h264", "hevc")
_ALIKE = ("codec", "width", "height", "pix_fmt", "field_order", "color")


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRange:
    """The packets of one group, and the chunks that show the same frames and no others."""

    lead_start: int
    """Chunk that begins with the group's leading pictures; `chunk_start` where it has none."""
    chunk_start: int
    """Chunk that begins with the frame of the group's keyframe."""
    chunk_stop: int
    packet_start: int
    packet_stop: int
    """Half-open, as the chunks."""
    order: tuple[int, ...]
    """Frame that each packet shows, from that of the keyframe on; below 0 for leading pictures."""

    @property
    def leading(self) -> int:
        """How many leading pictures there are."""
        return sum(frame < 0 for frame in self.order)


def lead_frames(packets: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the leading pictures of keyframes begin; at the keyframe where it has none.

    Args:
        packets: Packet that shows each frame, in display order.
        keys: Frames that are keyframes.
    """
    latest = np.maximum.accumulate(packets)
    found: NDArray[np.int64] = np.searchsorted(latest, packets[keys], side="right")
    return np.minimum(found, keys)


def copy_ranges(
    index: VideoIndex,
    frames: FramePlan,
    choice: EncoderChoice,
    output: StreamParameters,
    chunks: Sequence[tuple[int, int]],
) -> tuple[CopyRange, ...]:
    """What might be copied: groups whose frames are whole chunks, in order.

    Args:
        index: The source's packets.
        frames: The plan.
        choice: The encoder of the other chunks.
        output: The stream as it is encoded.
        chunks: Output frames of each chunk, half-open.
    """
    stream = index.stream
    if (
        choice.codec != stream.codec
        or choice.codec not in COPIED_CODECS
        or choice.pix_fmt.replace("yuvj", "yuv") != stream.pix_fmt.replace("yuvj", "yuv")
        or any(getattr(output, name) != getattr(stream, name) for name in _ALIKE)
    ):
        return ()
    packets, total = frames.packets[frames.output.first], chunks[-1][1]
    numbers = {start: number for number, (start, _) in enumerate(chunks)} | {total: len(chunks)}
    keys = np.flatnonzero(index.keyframes[packets])
    leads = lead_frames(packets, keys)
    cuts = [cut for cut in _pairs(leads, keys) if cut[0] in numbers and cut[1] in numbers]
    found = (
        _range(frames, packets, (lead, key, stop), numbers)
        for (lead, key), (stop, _) in pairwise([*cuts, (total, total)])
    )
    return tuple(each for each in found if each is not None)


def _pairs(leads: NDArray[np.int64], keys: NDArray[np.int64]) -> Iterable[tuple[int, int]]:
    return zip(leads.tolist(), keys.tolist(), strict=True)


def _range(
    frames: FramePlan,
    packets: NDArray[np.int64],
    group: tuple[int, int, int],
    numbers: dict[int, int],
) -> CopyRange | None:
    """One group, None where its packets are no run that shows these frames and no others."""
    lead, key, stop = group
    shown, mine = frames.output, packets[lead:stop]
    if shown.phases[lead:stop].any() or (np.diff(shown.first[lead:stop]) != 1).any():
        return None
    order = np.argsort(mine)
    if order[0] != key - lead or (np.diff(mine[order]) != 1).any():
        return None
    return CopyRange(
        lead_start=numbers[lead],
        chunk_start=numbers[key],
        chunk_stop=numbers[stop],
        packet_start=int(mine.min()),
        packet_stop=int(mine.max()) + 1,
        order=tuple((order + lead - key).tolist()),
    )
