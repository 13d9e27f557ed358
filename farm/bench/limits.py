"""The limits that a pipeline is measured against: decoding, encoding and the networks, each alone.

Everything here does its work without the farm: plain loops around the libraries, with the job's own
decoder threads, encoder settings and session settings. Not for: the pipeline itself.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from farm.media.encode import open_encoder
from farm.media.encoders import EncoderChoice
from farm.media.stream import StreamParameters
from farm.models.session import SessionSettings, open_session

_QUEUED = 32
_FREE = {"n": 1, "h": 384, "w": 640}
"""Lengths that a graph leaves open: those of a 16:9 picture on the detector's canvas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a piece of work took."""

    wall_s: float
    cpu_s: float
    """Processor time of all threads of this process."""


def measure(work: Callable[[], object]) -> Cost:
    """Run something and see what it takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(wall_s=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)


def frames_of(path: Path, threads: int) -> Iterator[av.VideoFrame]:
    """Decode the video of a file, as any player does."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        yield from container.decode(stream)


def decode_only(path: Path, threads: int) -> None:
    """Decode and throw away."""
    for _frame in frames_of(path, threads):
        pass


def decode_encode(
    path: Path, threads: int, choice: EncoderChoice, stream: StreamParameters
) -> None:
    """Decode on one thread and encode on another, as `ffmpeg` does; packets are thrown away."""
    waiting: queue.Queue[av.VideoFrame | None] = queue.Queue(_QUEUED)

    def decode() -> None:
        try:
            for frame in frames_of(path, threads):
                waiting.put(frame)
        finally:
            waiting.put(None)

    thread = threading.Thread(target=decode, name="decode", daemon=True)
    thread.start()
    encode_plainly(iter(waiting.get, None), choice, stream)
    thread.join()


def encode_plainly(
    frames: Iterator[av.VideoFrame], choice: EncoderChoice, stream: StreamParameters
) -> None:
    """Encode frames in one go; packets are thrown away."""
    assert stream.frame_rate is not None
    context = open_encoder(choice, stream, stream.frame_rate)
    for number, frame in enumerate(frames):
        frame.pict_type = av.video.frame.PictureType.NONE
        frame.pts, frame.time_base = number, context.time_base
        context.encode(frame)
    context.encode(None)


class Sessions:
    """The networks of a job and nothing else, on random input of the right shape."""

    def __init__(self, models: tuple[Path, ...], settings: SessionSettings) -> None:
        """Open them and let each run once."""
        self._all = [self._prepared(path, settings) for path in models]
        self.run(1)

    def run(self, times: int) -> None:
        """Run every network this many times, one picture each."""
        for _ in range(times):
            for session, feeds in self._all:
                session.run(None, feeds)

    @staticmethod
    def _prepared(path: Path, settings: SessionSettings) -> tuple[Any, dict[str, Any]]:
        session = open_session(path, settings)
        random = np.random.default_rng(0)
        feeds = {
            each.name: random.random(_lengths(each.shape), np.float32)
            for each in session.get_inputs()
        }
        return session, feeds


def _lengths(shape: list[int | str]) -> tuple[int, ...]:
    return tuple(n if isinstance(n, int) else _FREE.get(n, 1) for n in shape)
