"""How replaced faces are put back into the picture: settings that swapper and enhancer share.

Not for: the anonymiser, whose covers are never feathered or thinned.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from farm.options import Option, check_ranges


class FaceMask(StrEnum):
    """Where in a crop its replacement shows."""

    ELLIPSE = "ellipse"
    BOX = "box"
    PARSER = "parser"
    """Where a parsing model sees skin and features, so that hair and hands stay in front."""


class SwapSize(StrEnum):
    """Side of the crop that is swapped, in pixels; larger ones go through in parts."""

    AUTO = "auto"
    """By the size of the face in the picture."""
    PX_128 = "128"
    PX_256 = "256"
    PX_512 = "512"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasteSettings:
    """Mask, colours and sharpness of what is pasted."""

    face_mask: Annotated[
        FaceMask, Option(help="Outline of a swapped or enhanced face; parser needs a model.")
    ] = FaceMask.ELLIPSE
    mask_feather: Annotated[
        float,
        Option(help="Share of the face crop over which its edge fades, 0 to 0.5.", low=0, high=0.5),
    ] = 0.15
    mouth_mask: Annotated[bool, Option(help="Keep the target's own mouth.")] = False
    color_transfer: Annotated[bool, Option(help="Give a new face the colours of the old one.")] = (
        False
    )
    opacity: Annotated[
        float,
        Option(help="How much of swapped and enhanced faces shows, 0 to 1.", low=0, high=1),
    ] = 1.0
    sharpness: Annotated[
        float, Option(help="Sharpening of swapped and enhanced faces, 0 to 2.", low=0, high=2)
    ] = 0.0
    swap_size: Annotated[
        SwapSize,
        Option(help="Pixels of a swapped face; 256 takes 4 times the work of 128, 512 16 times."),
    ] = SwapSize.PX_128

    def __post_init__(self) -> None:
        check_ranges(self)
