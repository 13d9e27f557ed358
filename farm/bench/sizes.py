"""Sizes of a benchmark's networks.

Not for: making them (`farm.bench.networks`).
"""

from __future__ import annotations

from enum import StrEnum


class NetworkSize(StrEnum):
    """How much a benchmark's networks compute."""

    TINY = "tiny"
    """As good as nothing: what is left is everything else."""
    HALF = "half"
    """Half of the channels of full."""
    FULL = "full"
    """As much as `inswapper_128`, a 10-gigaflop SCRFD and a ResNet-50 recognizer."""
