"""Long videos in seconds: a short one written many times over, without encoding it again.

Not for: pictures that anybody looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet


def noisy_clip(
    path: Path, *, size: tuple[int, int], frames: int, rate: int, kbits: int | None = None
) -> Path:
    """Write moving noise over a gradient: H.264 without B-frames, a keyframe every two seconds.

    Args:
        path: Where to.
        size: Width and height.
        frames: How many.
        rate: Frames per second.
        kbits: Kilobits per second; None takes a constant quality.
    """
    width, height = size
    random = np.random.default_rng(3)
    grain = random.integers(0, 24, (height, width * 2), dtype=np.uint8)
    ground = np.linspace(40, 200, width, dtype=np.uint8)[None].repeat(height, axis=0)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "bf": "0", "g": str(2 * rate)}
        if kbits is not None:
            stream.bit_rate = 1000 * kbits
            stream.options |= {"maxrate": f"{kbits}k", "bufsize": f"{kbits}k", "nal-hrd": "cbr"}
        for number in range(frames):
            left = 7 * number % width
            picture = np.full((height * 3 // 2, width), 128, np.uint8)
            picture[:height] = ground + grain[:, left : left + width]
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def repeated(clip: Path, path: Path, times: int) -> Path:
    """Write the packets of a clip without B-frames many times over; the ending names the format."""
    with av.open(clip) as source:
        given = source.streams.video[0]
        packets = [packet for packet in source.demux(given) if packet.size]
        length = sum(packet.duration or 0 for packet in packets)
        with av.open(path, "w") as container:
            stream = container.add_stream_from_template(given)
            for number in range(times):
                for packet in _moved(packets, number * length):
                    packet.stream = stream
                    container.mux(packet)
    return path


def _moved(packets: list[Packet[Any]], ticks: int) -> Iterator[Packet[Any]]:
    """Copies of packets, later by some ticks of their time base."""
    for packet in packets:
        copy: Packet[Any] = Packet(bytes(packet))
        copy.pts, copy.dts = (packet.pts or 0) + ticks, (packet.dts or 0) + ticks
        copy.duration, copy.time_base = packet.duration, packet.time_base
        copy.is_keyframe = packet.is_keyframe
        yield copy
