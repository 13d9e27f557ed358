"""The content filter: a classifier looks at targets and sources, and refuses pornography.

For now the driver samples a video by itself before the render starts; the workers are not asked.
It is a hurdle, no proof: a classifier errs both ways. Not for: deciding who is in a picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import ContentError, ModelError
from farm.faces.source import read_picture
from farm.media.frame import EditableFrame
from farm.media.index import VideoIndex
from farm.media.layout import editable_pix_fmt
from farm.media.plan import FramePlan
from farm.media.samples import sample_frames
from farm.models.session import (
    MAX_BATCH,
    SessionSettings,
    choose_provider,
    execution_threads,
    open_session,
)
from farm.models.store import ModelStore
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

Picture = tuple[str, NDArray[np.uint8]]
"""Where a picture is from, in words, and its samples: [h, w, 3] uint8 BGR, upright."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentScore:
    """What came out of looking at the pictures of a job."""

    pictures: int
    worst: float
    """Highest share of the refused classes, 0 to 1."""

    @property
    def note(self) -> str:
        """What is to be said of it."""
        return (
            f"content filter: pictures looked at: {self.pictures}, highest score {self.worst:.2f}"
        )


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
    target = (str(settings.target), read_picture(settings.target).pixels_bgr)
    return (_check(settings, [target]).note,)


def check_video_content(
    settings: RenderSettings, index: VideoIndex, plan: FramePlan, say: Callable[[str], None]
) -> tuple[str, ...]:
    """Look at frames of the target, a video, and at the sources, where the filter was asked for.

    Args:
        settings: What was asked for.
        index: The packets of the target.
        plan: The frames to render; of a preview only those are looked at.
        say: Told how far it is.

    Returns:
        What is to be said of it.

    Raises:
        ContentError: A picture is refused.
        ModelError: The classifier is missing or of the wrong kind.
    """
    if not settings.nsfw_filter:
        return ()
    return (_check(settings, _video_pictures(index, plan, say)).note,)


def _check(settings: RenderSettings, pictures: Iterable[Picture]) -> ContentScore:
    """Look at the sources, then at the pictures of the target."""
    classifier = _open(settings)
    sources = ((str(path), read_picture(path).pixels_bgr) for path in settings.sources)
    seen, worst = 0, 0.0
    for each in (sources, pictures):
        for batch in _batches(each):
            scores = classifier.scores([picture for _, picture in batch])
            for (where, _), score in zip(batch, scores, strict=True):
                _refuse_above(score, where)
                seen, worst = seen + 1, max(worst, score)
    return ContentScore(pictures=seen, worst=worst)


def _refuse_above(score: float, where: str) -> None:
    if not score < LIMIT:  # what is no number is refused too
        raise ContentError(
            f"{where}: the content filter refuses it as pornographic (score {score:.2f}, limit "
            f"{LIMIT:.2f}); nothing was rendered. It can err: look at the picture yourself"
        )


def _open(settings: RenderSettings) -> ContentClassifier:
    """Load the classifier."""
    store = ModelStore(
        models_dir=settings.models_dir,
        overrides=settings.models,
        allow_unverified=settings.allow_unverified_models,
    )
    model = store.find("classifier")
    provider = choose_provider(settings.execution_provider)
    threads = settings.execution_threads or execution_threads(provider, os.cpu_count() or 1)
    session = open_session(model.path, SessionSettings(provider=provider, threads=threads))
    return ContentClassifier(session, model.name)


def _video_pictures(
    index: VideoIndex, plan: FramePlan, say: Callable[[str], None]
) -> Iterator[Picture]:
    """Yield sampled frames with the second at which they are shown."""
    stream = index.stream
    for number, frame in sample_frames(index, plan, EVERY_S):
        at_s = float(plan.times.seconds(number))
        say(f"content filter: at {at_s:.0f} s")
        ready = frame.reformat(format=editable_pix_fmt(frame.format.name))
        editable = EditableFrame(
            ready, rotation=stream.rotation, flipped=stream.flipped, color=stream.color
        )
        yield f"{index.path} at {at_s:.1f} s", editable.to_bgr(_ENOUGH_PX)


def _batches(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Yield the pictures in lists that the network takes at once."""
    rest = iter(pictures)
    while batch := list(islice(rest, MAX_BATCH)):
        yield batch
