"""Settings of who is looked for and worked on, checked when made; part of `RenderSettings`.

Not for: what is done with a face (`farm.settings.ProcessorSettings`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from farm.errors import SettingsError
from farm.options import Option, check_ranges

DEFAULT_DISTANCE = 0.7
COVERED_GAP_FRAMES = 5
"""Longest gap that is filled where faces must not be seen, if nothing else is asked for."""


class FaceSelector(StrEnum):
    """Whom a job works on."""

    ONE = "one"
    """One person: the first in the order of faces in the first frame that shows any."""
    MANY = "many"
    """Every face."""
    REFERENCE = "reference"
    """The people of reference images, or whoever is at a place at a time."""


class FaceOrder(StrEnum):
    """How the faces of a frame are counted."""

    LARGEST = "largest"
    LEFT_TO_RIGHT = "left-to-right"
    RIGHT_TO_LEFT = "right-to-left"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSettings:
    """What an analysis of the whole clip does; with the defaults there is none before a render."""

    detect_every: Annotated[
        int,
        Option(help="Look for faces on every Nth frame, follow them between.", low=1, high=30),
    ] = 1
    fill_gaps: Annotated[
        int | None,
        Option(
            unset=f"{COVERED_GAP_FRAMES} to anonymise, else 0",
            help="Most frames for which a face that is lost and found again is put in between.",
            low=0,
            high=250,
        ),
    ] = None
    smooth_landmarks: Annotated[
        int,
        Option(help="Frames on each side over which landmarks are averaged.", low=0, high=15),
    ] = 0

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def is_asked(self) -> bool:
        """Whether something is asked that needs an analysis before the render."""
        return self.detect_every > 1 or bool(self.fill_gaps) or self.smooth_landmarks > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionSettings:
    """Whom a job works on; anonymisers take everybody who is not switched off in a table."""

    selector: Annotated[
        FaceSelector | None,
        Option(
            name="face-selector",
            unset="one, or many with --many-faces",
            help="Whom to work on.",
        ),
    ] = None
    order: Annotated[
        FaceOrder, Option(name="face-order", help="How the faces of a frame are counted.")
    ] = FaceOrder.LARGEST
    faces: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            unset="found while rendering",
            help="Face table to render from, made by `facefarm analyze` and perhaps edited.",
        ),
    ] = None
    reference_faces: Annotated[
        tuple[Path, ...],
        Option(
            name="reference-face",
            unset="none",
            help="Image of a person to work on; may be given more than once.",
        ),
    ] = ()
    reference_at: Annotated[
        float | None,
        Option(unset="none", low=0, help="Second of the clip that shows the person to work on."),
    ] = None
    reference_number: Annotated[
        int, Option(low=1, high=1000, help="Which face it is there, by --face-order.")
    ] = 1
    distance: Annotated[
        float,
        Option(
            name="reference-distance",
            help="Cosine distance up to which a face is taken for the reference.",
            low=0,
            high=2,
        ),
    ] = DEFAULT_DISTANCE
    source_face: Annotated[
        int | None,
        Option(
            unset="the only one",
            help="Which face of a source or reference image that shows several, from the left.",
            low=1,
            high=1000,
        ),
    ] = None
    map_faces: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            unset="none",
            help="TOML file that says which source goes onto whom; `facefarm faces` writes one.",
        ),
    ] = None

    def __post_init__(self) -> None:
        check_ranges(self)
        refers = bool(self.reference_faces) or self.reference_at is not None
        if self.selector is FaceSelector.REFERENCE and not refers:
            raise SettingsError(
                "--face-selector reference: give --reference-face IMAGE or --reference-at SECONDS"
            )
        if self.reference_faces and self.reference_at is not None:
            raise SettingsError("--reference-at: give it or --reference-face, not both")
        if refers and self.selector in (FaceSelector.ONE, FaceSelector.MANY):
            raise SettingsError(
                f"--face-selector {self.selector.value}: takes no reference; leave it out"
            )
        if self.map_faces is not None and (refers or self.selector is not None):
            raise SettingsError("--map-faces: says whom to work on; leave the other selectors out")

    @property
    def names_somebody(self) -> bool:
        """Whether it says that some people are meant, and not everybody."""
        some = self.kind is FaceSelector.REFERENCE or self.map_faces is not None
        return some or self.selector is FaceSelector.ONE

    @property
    def kind(self) -> FaceSelector:
        """The selector that is meant."""
        if self.selector is not None:
            return self.selector
        refers = bool(self.reference_faces) or self.reference_at is not None
        return FaceSelector.REFERENCE if refers else FaceSelector.ONE

    @property
    def needs_table(self) -> bool:
        """Whether the whole clip must be known to say who is meant."""
        counted = self.reference_number > 1 and not self.reference_faces
        return self.reference_at is not None or self.map_faces is not None or counted

    @property
    def least_likeness(self) -> float:
        """Cosine similarity from which a face is taken for the reference."""
        return 1.0 - self.distance
