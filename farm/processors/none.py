"""The processor that changes nothing: it shows that the farm does not either.

Not for: anything that edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from farm.processors.base import FaceFrame, ProcessorContext


class PassThrough:
    """Leaves every frame as the decoder gave it."""

    name: ClassVar[str] = "none"
    needs_source: ClassVar[bool] = False
    needs_landmarks: ClassVar[bool] = False
    needs_faces: ClassVar[bool] = False
    fails_closed: ClassVar[bool] = False

    def check(self, context: ProcessorContext) -> None:
        """Nothing can be missing."""

    def start(self, context: ProcessorContext) -> None:
        """Nothing is loaded."""

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Touch nothing."""
