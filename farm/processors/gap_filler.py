"""Puts faces that are lost for a few frames in between, before the processors of a private job.

Not for: jobs that read a face table, in which gaps are filled or listed already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from farm.faces.gaps import Sightings
from farm.processors.base import FaceFrame, ProcessorContext


class GapFiller:
    """Gives frames the faces that a neighbour on each side has; not on the command line."""

    name: ClassVar[str] = "gap_filler"
    needs_source: ClassVar[bool] = False
    needs_landmarks: ClassVar[bool] = False
    concurrent: ClassVar[bool] = True
    fails_closed: ClassVar[bool] = True
    needs_pictures: ClassVar[bool] = False

    def __init__(self, most_frames: int) -> None:
        """Take the longest gap that is filled."""
        self.lead_in = self.lead_out = most_frames

    def check(self, context: ProcessorContext) -> None:
        """It needs nothing."""

    def start(self, context: ProcessorContext) -> None:
        """It needs nothing."""

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Add to each frame the faces that are missing in it."""
        if not batch:
            return
        fields = len(batch[0].frame.whole.pictures)
        missing = Sightings([item.faces for item in batch]).missing(self.lead_in * fields)
        for item, faces in zip(batch, missing, strict=True):
            if faces and not item.lead:
                item.faces = (*item.faces, *faces)
