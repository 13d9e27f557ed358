"""Settings of what may go wrong in a job, and of what becomes of its folder.

Not for: carrying them out (`scheduler.dispatch`, `cluster.job`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from farm.options import Option, check_ranges


class OnChunkError(StrEnum):
    """What becomes of a chunk that no attempt can render."""

    FAIL = "fail"
    """The job fails; finished chunks are kept."""
    KEEP = "keep"
    """Its original frames are encoded, and it is listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSettings:
    """What may go wrong before a job is given up, and what is kept of it."""

    attempts: Annotated[
        int,
        Option(
            help="Attempts at a chunk, on different workers where there are any.", low=1, high=100
        ),
    ] = 3
    on_chunk_error: Annotated[
        OnChunkError,
        Option(
            help="Fail, or keep the original frames of a chunk that cannot be rendered; "
            "refused when faces are anonymised."
        ),
    ] = OnChunkError.FAIL
    stall_s: Annotated[
        float,
        Option(
            name="stall-seconds",
            help="A worker that shows no progress for this long, and for 20 times as long as "
            "usual, is replaced.",
            low=1,
        ),
    ] = 60.0
    keep_job: Annotated[
        bool, Option(help="Keep the job's folder at the end (`facefarm jobs`).")
    ] = False
    replan: Annotated[
        bool, Option(help="Throw away finished chunks that were rendered from something else.")
    ] = False

    def __post_init__(self) -> None:
        check_ranges(self)
