"""The content filter: a classifier looks at targets and sources, and refuses pornography.

The driver looks at sources, and at a target that is an image. Frames of a video are looked at by
the workers that decode them anyway; the driver says which, and ends the job at the first that is
refused. It is a hurdle, no proof: a classifier errs both ways.
Not for: deciding who is in a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import ContentError, ModelError
from farm.faces.source import read_picture
from farm.media.frame import EditableFrame
from farm.media.layout import editable_pix_fmt
from farm.media.stream import StreamParameters
from farm.models.picture_input import check_memory
from farm.models.session import (
    MAX_BATCH,
    SessionSettings,
    choose_provider,
    execution_threads,
    open_session,
)
from farm.models.store import ModelStore
from farm.node.processor import usable_cores
from farm.settings import RenderSettings

EVERY_S = 2.0
"""Seconds: of every stretch this long at least one frame is looked at."""
LIMIT = 0.7
"""Share of the refused classes from which a picture is refused."""
CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
"""What the classifier gives probabilities of, in its order. Source: the nsfwjs model card."""
_REFUSED = [CLASSES.index("hentai"), CLASSES.index("porn")]
_ENOUGH_PX = 512
"""Longest side that a picture is shrunk to before it is squeezed into the network's square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentScore:
    """What came out of looking at pictures."""

    pictures: int = 0
    worst: float = 0.0
    """Highest share of the refused classes, 0 to 1; 1 where the classifier gave no number."""
    worst_frame: int = 0
    """Number of the source frame that has it; of no meaning for pictures that are no frames."""

    @property
    def note(self) -> str:
        """What is to be said of it."""
        return (
            f"content filter: pictures looked at: {self.pictures}, highest score {self.worst:.2f}"
        )

    @property
    def refused(self) -> bool:
        """Whether a picture is refused."""
        return not self.worst < LIMIT

    def with_picture(self, score: float, frame: int = 0) -> ContentScore:
        """The same with one picture more."""
        score = score if score == score else 1.0  # what is no number is refused too
        return self.joined(ContentScore(pictures=1, worst=score, worst_frame=frame))

    def joined(self, other: ContentScore) -> ContentScore:
        """Both together."""
        worst = max(self, other, key=lambda each: each.worst)
        return replace(worst, pictures=self.pictures + other.pictures)


def content_in(info: Mapping[str, object]) -> ContentScore:
    """What a chunk file says that the content filter saw."""
    found = info.get("content")
    return ContentScore(**found) if isinstance(found, dict) else ContentScore()


class ContentClassifier:
    """Runs the classifier on batches of pictures."""

    def __init__(self, session: Any, name: str) -> None:
        """Take the session, which stays the caller's.

        Raises:
            ModelError: It is no such classifier.
        """
        taken, given = session.get_inputs(), session.get_outputs()
        shape, classes = taken[0].shape, given[0].shape[-1] if given[0].shape else None
        sides = [s for s in shape[1:3] if isinstance(s, int) and len(shape) == 4 and shape[3] == 3]
        if len(taken) != 1 or classes != len(CLASSES) or len(sides) != 2:
            raise ModelError(
                f"{name}: is no content classifier: it must take [n, height, width, 3] and give "
                f"{len(CLASSES)} shares ({', '.join(CLASSES)})"
            )
        check_memory(3 * sides[0] * sides[1], name)
        self._session, self._input = session, taken[0].name
        self._size = (sides[1], sides[0])
        self._batch = 1 if shape[0] == 1 else MAX_BATCH

    def scores(self, pictures_bgr: Sequence[NDArray[np.uint8]]) -> list[float]:
        """Share of the refused classes in each picture, 0 to 1."""
        blobs = [self._blob(picture) for picture in pictures_bgr]
        shares: list[float] = []
        for start in range(0, len(blobs), self._batch):
            batch = np.stack(blobs[start : start + self._batch])
            (out,) = self._session.run(None, {self._input: batch})
            shares += np.asarray(out, np.float64)[:, _REFUSED].sum(axis=1).tolist()
        return shares

    def _blob(self, picture_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[h, w, 3] float32 RGB, 0 to 1, of the network's size."""
        small = cv2.resize(picture_bgr, self._size, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small[..., ::-1], np.float32) / np.float32(255)


class ContentWatch:
    """The classifier of one worker."""

    def __init__(self, models: ModelStore, sessions: SessionSettings) -> None:
        """Load it.

        Raises:
            SetupError: The model is missing or of the wrong kind, or the provider does not load.
        """
        model = models.find("classifier")
        self._classifier = ContentClassifier(open_session(model.path, sessions), str(model.path))

    def score(self, frame: EditableFrame, stream: StreamParameters) -> float:
        """Share of the refused classes in a decoded frame, which stays as it is."""
        stored = frame.video_frame
        ready = stored.reformat(format=editable_pix_fmt(stored.format.name), threads=1)
        picture = EditableFrame(
            ready, rotation=stream.rotation, flipped=stream.flipped, color=stream.color
        )
        return self._classifier.scores([picture.to_bgr(_ENOUGH_PX)])[0]


def check_image_content(settings: RenderSettings) -> tuple[str, ...]:
    """Look at the target, an image, and the sources, where the filter was asked for.

    Returns:
        What is to be said of it.

    Raises:
        ContentError: A picture is refused.
        ModelError: The classifier is missing or of the wrong kind.
    """
    if not settings.nsfw_filter:
        return ()
    return (_check(settings, (*settings.sources, settings.target)).note,)


def check_source_content(settings: RenderSettings) -> ContentScore:
    """Look at the sources of a video, where the filter was asked for, and see that it loads.

    Raises:
        ContentError: A picture is refused.
        ModelError: The classifier is missing or of the wrong kind.
    """
    return _check(settings, settings.sources) if settings.nsfw_filter else ContentScore()


def refusal(where: str, score: float) -> ContentError:
    """The error for a picture that is refused."""
    return ContentError(
        f"{where}: the content filter refuses it as pornographic (score {score:.2f}, limit "
        f"{LIMIT:.2f}); nothing was written. It can err: look at the picture yourself"
    )


def _check(settings: RenderSettings, pictures: Sequence[Path]) -> ContentScore:
    """Look at images, in batches."""
    classifier = _open(settings)
    total = ContentScore()
    for first in range(0, len(pictures), MAX_BATCH):
        paths = pictures[first : first + MAX_BATCH]
        scores = classifier.scores([read_picture(path).pixels_bgr for path in paths])
        for path, score in zip(paths, scores, strict=True):
            one = ContentScore().with_picture(score)
            if one.refused:
                raise refusal(str(path), one.worst)
            total = total.joined(one)
    return total


def _open(settings: RenderSettings) -> ContentClassifier:
    """Load the classifier."""
    store = ModelStore(
        models_dir=settings.models_dir,
        overrides=settings.models,
        allow_unverified=settings.allow_unverified_models,
    )
    model = store.find("classifier")
    provider = choose_provider(settings.execution_provider)
    threads = settings.execution_threads or execution_threads(provider, usable_cores())
    session = open_session(model.path, SessionSettings(provider=provider, threads=threads))
    return ContentClassifier(session, str(model.path))
