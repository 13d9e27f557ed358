"""Settings of how much an unknown file may ask for before it is refused.

Not for: checking files (`farm.media.limits`) or the memory of a job (`--max-memory`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from farm.options import Option, check_ranges

HARD_MOST_STREAMS = 1024
HARD_MOST_MEGAPIXELS = 268


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """What is refused; a service that takes files of strangers may want less than the defaults."""

    max_streams: Annotated[
        int, Option(help="Streams that the target may have.", low=1, high=HARD_MOST_STREAMS)
    ] = 256
    max_megapixels: Annotated[
        float,
        Option(
            help="Million pixels that its pictures may have.", low=0.001, high=HARD_MOST_MEGAPIXELS
        ),
    ] = float(HARD_MOST_MEGAPIXELS)
    max_hours: Annotated[float, Option(help="Hours that it may last.", low=0.0001)] = 240.0
    read_stall_s: Annotated[
        float,
        Option(
            name="read-stall-seconds",
            help="Reading or listing it is given up after this long without a step forward.",
            low=1,
        ),
    ] = 120.0

    def __post_init__(self) -> None:
        check_ranges(self)
