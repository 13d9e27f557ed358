"""How much a file may ask for before it is refused, so that none can take a machine down.

Not for: how much memory a job uses (`--max-memory`).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from farm.errors import MediaError
from farm.limit_settings import HARD_MOST_STREAMS

MOST_STREAMS = HARD_MOST_STREAMS
MOST_PIXELS = 16384 * 16384
"""What encoders take at most."""
MOST_PACKETS = 100_000_000
DECODER_OPTIONS = {"max_pixels": str(MOST_PIXELS)}
"""What every decoder is told: a picture of more pixels is an error, not an allocation."""


def check_stream_count(path: Path, count: int, most: int = MOST_STREAMS) -> None:
    """Refuse a file with too many streams.

    Raises:
        MediaError: It has.
    """
    if count > most:
        raise MediaError(
            f"{path}: has {count} streams, more than {most}; keep those that matter "
            f"(ffmpeg -map) and render that file{_raise('streams', most < MOST_STREAMS)}"
        )


def check_size(path: Path, width: int, height: int, most: float = MOST_PIXELS) -> None:
    """Refuse pictures that are too large.

    Raises:
        MediaError: They are.
    """
    if width * height > most:
        raise MediaError(
            f"{path}: its pictures of {width}x{height} are too large; scale it first"
            f"{_raise('megapixels', most < MOST_PIXELS)}"
        )


def check_length(
    path: Path, packets: int, duration_s: Fraction | None, most_hours: float | None = None
) -> None:
    """Refuse a stream that is too long.

    Raises:
        MediaError: It is.
    """
    hours = float((duration_s or 0) / 3600)
    late = most_hours is not None and hours > most_hours
    if packets > MOST_PACKETS or late:
        raise MediaError(
            f"{path}: is too long ({hours:.2f} hours, {packets} packets); "
            f"cut it and render the parts{_raise('hours', late)}"
        )


def _raise(what: str, can: bool) -> str:
    """The option that allows more, where one does."""
    return f", or raise --max-{what}" if can else ""
