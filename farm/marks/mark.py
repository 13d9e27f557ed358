"""What a mark says: which processors altered the pictures, and what IPTC calls the result.

Not for: where marks stand in a file (`farm.marks.embed`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_TEXT = "altered by facefarm: "
_IN_TEXT = re.compile(re.escape(_TEXT) + r"([\w.-]+(?:, [\w.-]+)*)")


class DigitalSource(StrEnum):
    """Digital source types that outputs get, the one that says more first.

    Source: IPTC NewsCodes, scheme http://cv.iptc.org/newscodes/digitalsourcetype/.
    """

    COMPOSITE_WITH_TRAINED = f"{_VOCABULARY}compositeWithTrainedAlgorithmicMedia"
    """Existing media changed with generative tools: a trained network made the new samples."""
    ALGORITHMICALLY_ENHANCED = f"{_VOCABULARY}algorithmicallyEnhanced"
    """Altered by an algorithm that adds nothing made up."""


_ADD_NOTHING = frozenset({"face_anonymizer", "debug_overlay"})
"""Processors that blur, cover or draw; every other one, a user's own too, may make things up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is said of altered pictures; nothing where `altered_by` is empty."""

    altered_by: tuple[str, ...] = ()
    """Names of processors, in the order in which they worked."""

    @property
    def text(self) -> str:
        """The mark as a person reads it, in comments and descriptions."""
        return f"{_TEXT}{', '.join(self.altered_by)}"

    @property
    def digital_source(self) -> DigitalSource | None:
        """What IPTC calls the pictures; None where no processor altered them.

        A swap puts in faces that a network made, and the enhancers (GFPGAN, GPEN) are generative
        networks too; blurring, pixelating and covering add nothing that was not there.
        """
        if not self.altered_by:
            return None
        if set(self.altered_by) <= _ADD_NOTHING:
            return DigitalSource.ALGORITHMICALLY_ENHANCED
        return DigitalSource.COMPOSITE_WITH_TRAINED

    def after(self, earlier: Mark) -> Mark:
        """This mark on a source that carries an earlier one: alterations add up."""
        return Mark(altered_by=tuple(dict.fromkeys((*earlier.altered_by, *self.altered_by))))


def mark_in(text: str) -> Mark:
    """The marks that stand in a text, as one; an empty one where there are none."""
    names = (name for found in _IN_TEXT.findall(text) for name in found.split(", "))
    return Mark(altered_by=tuple(dict.fromkeys(names)))
