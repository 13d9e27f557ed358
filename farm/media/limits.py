"""How much a file may ask for before it is refused, so that none can take a machine down.

Not for: how much memory a job uses (`--max-memory`).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from farm.errors import MediaError

MOST_STREAMS = 256
MOST_PIXELS = 16384 * 16384
MOST_HOURS = 240
MOST_PACKETS = 100_000_000
DECODER_OPTIONS = {"max_pixels": str(MOST_PIXELS)}
"""What every decoder is told: a picture of more pixels is an error, not an allocation."""


def check_stream_count(path: Path, count: int) -> None:
    """Refuse a file with too many streams.

    Raises:
        MediaError: It has.
    """
    if count > MOST_STREAMS:
        raise MediaError(
            f"{path}: has {count} streams, more than {MOST_STREAMS}; keep those that matter "
            "(ffmpeg -map) and render that file"
        )


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse pictures that are too large.

    Raises:
        MediaError: They are.
    """
    if width * height > MOST_PIXELS:
        raise MediaError(f"{path}: its pictures of {width}x{height} are too large; scale it first")


def check_length(path: Path, packets: int, duration_s: Fraction | None) -> None:
    """Refuse a stream that is too long.

    Raises:
        MediaError: It is.
    """
    hours = (duration_s or 0) / 3600
    if packets > MOST_PACKETS or hours > MOST_HOURS:
        raise MediaError(
            f"{path}: is too long ({float(hours):.0f} hours, {packets} packets); "
            "cut it and render the parts"
        )
