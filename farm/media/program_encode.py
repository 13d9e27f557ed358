"""Two passes of libvpx by the ffmpeg program: PyAV hands no notes of a first pass to a second.

Frames go into the program's standard input as raw samples; what it makes is read when it has ended.
Not for: encoders whose notes libavcodec reads and writes itself (`farm.media.final_encode`).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
from av.video.frame import VideoFrame

from farm.errors import EncoderError, SetupError
from farm.media.chunk_file import EncodedPacket
from farm.media.encoders import EncoderChoice
from farm.media.ffmpeg import ffmpeg_version, file_url
from farm.media.pixel_formats import to_pix_fmt
from farm.media.planes import plane_samples
from farm.media.seen import SeenPictures
from farm.media.stream import StreamParameters

PROGRAM_PASSES = frozenset({"libvpx-vp9"})
"""Encoders whose two passes the program does."""
_FPS_MODE_SINCE = (5, 1)
_LAST_LINES = 4
_END_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramPass:
    """One of two passes."""

    number: int
    binary: Path
    notes: Path
    """Written by the first pass, read by the second; the program puts `-0.log` behind it."""


class ProgramEncoder:
    """An ffmpeg process that encodes; used like a `ChunkEncoder`, all packets come at the end."""

    extradata = b""
    """VP9 has none."""

    def __init__(
        self, choice: EncoderChoice, stream: StreamParameters, rate: Fraction, which: ProgramPass
    ) -> None:
        """Start the program.

        Args:
            choice: The job's choice.
            stream: As frames are given.
            rate: Frames per second, for rate control.
            which: The pass.

        Raises:
            SetupError: The program does not start.
        """
        self._choice, self._stream, self._rate = choice, stream, rate
        self._made = which.notes.with_name(f"{which.notes.stem}-{which.number}.nut")
        self._said = which.notes.with_name(f"{which.notes.stem}-{which.number}.txt")
        command = _command(choice, stream, rate, which, self._made)
        try:
            with self._said.open("wb") as said:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
                )
        except OSError as error:
            raise SetupError(f"{which.binary} does not start ({error})") from error
        assert self._process.stdin is not None
        self._input: IO[bytes] = self._process.stdin
        self._last = which.number == 2
        self.seen = SeenPictures()
        """The pictures as they were handed to the encoder."""

    def encode(self, frame: VideoFrame, frame_number: int) -> list[EncodedPacket]:
        """Give the next frame; nothing comes back before the end.

        Args:
            frame: A picture of the stream, in any pixel format.
            frame_number: From 0, without gaps.

        Raises:
            EncoderError: The program ended.
        """
        ready = to_pix_fmt(frame, self._choice.pix_fmt, self._stream.color, self._choice.color)
        self.seen.add(ready)
        try:
            for number in range(len(ready.planes)):
                self._input.write(plane_samples(ready, number).tobytes())
        except OSError as error:
            raise self._broke(f"at frame {frame_number}") from error
        return []

    def flush(self) -> Iterator[EncodedPacket]:
        """Wait for the program, and yield what it made; nothing in the first pass.

        Raises:
            EncoderError: It failed.
        """
        try:
            self._input.close()
            code = self._process.wait()
        except OSError as error:
            raise self._broke("at the end") from error
        if code != 0:
            raise self._broke(f"with exit code {code}")
        self._said.unlink()
        if self._last:
            yield from self._packets()
            self._made.unlink()

    def close(self) -> None:
        """End the program, if it runs still, and delete what it has made."""
        with suppress(OSError):
            self._input.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._made.unlink(missing_ok=True)
        self._said.unlink(missing_ok=True)

    def _packets(self) -> Iterator[EncodedPacket]:
        with av.open(file_url(self._made), format="nut") as container:
            for packet in container.demux(video=0):
                if packet.size and packet.pts is not None:
                    number = round(packet.pts * packet.time_base * self._rate)
                    yield EncodedPacket(
                        data=bytes(packet),
                        frame=number,
                        duration=1,
                        is_keyframe=packet.is_keyframe,
                    )

    def _broke(self, when: str) -> EncoderError:
        """End the program; what it said last is the reason."""
        with suppress(OSError):
            self._input.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        lines = self._said.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
        self.close()
        return EncoderError(
            f"{self._choice.encoder} of the ffmpeg program broke {when} "
            f"({' | '.join(lines) or 'it said nothing'}); choose another --ffmpeg or "
            "leave out --two-pass"
        )


def _command(
    choice: EncoderChoice,
    stream: StreamParameters,
    rate: Fraction,
    which: ProgramPass,
    target: Path,
) -> list[str]:
    """The program's arguments."""
    color: Any = choice.color
    options = dict(choice.options) | {
        "pass": str(which.number),
        "passlogfile": str(which.notes.absolute()),
        "threads": str(choice.threads),
        "color_range": str(color.range),
        "colorspace": str(color.space),
        "color_primaries": str(color.primaries),
        "color_trc": str(color.trc),
    }
    fps_mode = ffmpeg_version(which.binary) >= _FPS_MODE_SINCE
    command = [str(which.binary), "-hide_banner", "-v", "error", "-y", "-f", "rawvideo"]
    command += ["-pix_fmt", choice.pix_fmt, "-s", f"{stream.width}x{stream.height}"]
    command += ["-framerate", str(rate), "-i", "pipe:0", "-c:v", choice.encoder]
    command += ["-fps_mode" if fps_mode else "-vsync", "passthrough", "-fflags", "+bitexact"]
    for name, value in sorted(options.items()):
        command += [f"-{name}:v", value]
    if which.number == 1:
        return [*command, "-f", "null", "-"]
    return [*command, "-f", "nut", file_url(target)]
