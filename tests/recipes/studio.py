"""The place where test media are made, each file once per session.

Not for: the recipes themselves (the other modules of this package).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg

from tests.stamps import stamped_picture

FRAMES = 60
RATE = Fraction(30000, 1001)
SIZE = (160, 96)
SOUND = ("-f", "lavfi", "-i", "sine=440:duration=2:sample_rate=48000")
SOUND_2 = ("-f", "lavfi", "-i", "sine=880:duration=2:sample_rate=44100")
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")


class Kind(StrEnum):
    """What a render must do with a file."""

    GOOD = "good"
    """Come through unchanged."""
    BAD = "bad"
    """Be refused with one line."""
    HURT = "hurt"
    """Be rendered as far as it decodes, and reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one file is made."""

    name: str
    """File name; also the key in the registry."""
    make: Callable[[Studio, Path], None]
    kind: Kind = Kind.GOOD
    stamps: tuple[int, ...] | None = tuple(range(FRAMES))
    """Numbers that its displayed frames carry, in order; None where they cannot be foretold."""


class Studio:
    """Makes files by name in one folder and keeps them."""

    def __init__(self, folder: Path, recipes: Mapping[str, Recipe]) -> None:
        self.folder = folder
        self._recipes = recipes

    def path(self, name: str) -> Path:
        """The file called `name`, made if it is not there yet; not to be changed by tests."""
        path = self.folder / name
        if not path.exists():
            try:
                self._recipes[name].make(self, path)
            except Exception:
                path.unlink(missing_ok=True)
                raise
        return path

    def raw(self, *, size: tuple[int, int] = SIZE, frames: int = FRAMES, first: int = 0) -> Path:
        """Uncompressed RGB video whose frames are stamped `first`, `first` + 1 ..., at `RATE`."""
        path = self.folder / f"raw_{size[0]}x{size[1]}_{first}_{frames}.nut"
        if not path.exists():
            with av.open(str(path), "w") as container:
                stream = container.add_stream("rawvideo", rate=RATE)
                stream.width, stream.height, stream.pix_fmt = *size, "rgb24"
                for index in range(frames):
                    picture = stamped_picture(first + index, *size)
                    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                    frame.pts, frame.time_base = index, 1 / RATE
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
        return path

    def text(self, name: str, content: str) -> Path:
        """A small text file beside the media."""
        path = self.folder / name
        path.write_text(content)
        return path

    def ffmpeg(self, *arguments: str | Path) -> None:
        """Run the bundled ffmpeg; relative paths are those of the folder.

        Raises:
            RuntimeError: It failed; the message holds what it said.
        """
        program = imageio_ffmpeg.get_ffmpeg_exe()
        command = [program, "-nostdin", "-v", "error", "-y", *(str(a) for a in arguments)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr.decode(errors='replace')}")


def encoded(
    name: str,
    *options: str,
    size: tuple[int, int] = SIZE,
    frames: int = FRAMES,
    sound: bool = False,
    before: tuple[str, ...] = (),
    stamps: tuple[int, ...] | None = None,
) -> Recipe:
    """Recipe of a file that ffmpeg encodes from stamped frames.

    `before` are options of the video input; `options` those of the output.
    """

    def make(studio: Studio, path: Path) -> None:
        inputs = (*before, "-i", studio.raw(size=size, frames=frames), *(SOUND if sound else ()))
        studio.ffmpeg(*inputs, *options, "-threads", "1", path)

    return Recipe(name=name, make=make, stamps=stamps or tuple(range(frames)))


def remuxed(
    name: str,
    source: str,
    *options: str,
    before: tuple[str, ...] = (),
    stamps: tuple[int, ...] | None = tuple(range(FRAMES)),
) -> Recipe:
    """Recipe of a file that ffmpeg makes from another one of the registry without encoding."""

    def make(studio: Studio, path: Path) -> None:
        studio.ffmpeg(*before, "-i", studio.path(source), "-map", "0", "-c", "copy", *options, path)

    return Recipe(name=name, make=make, stamps=stamps)
