"""How a model and its optimised copy compare: both do the farm's own work on the same faces.

A trial of a kind runs a session through the code that renders with it, so that calibration sees
exactly what the network sees in a job, and the comparison exactly what a viewer would.
Not for: writing copies (`farm.models.quantize`) or deciding on them (`farm.models.optimize`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError, SettingsError
from farm.faces.align import arcface_template, ffhq_template
from farm.faces.canvas import shares
from farm.faces.face import Face
from farm.faces.paste import take_crop
from farm.faces.recognise import EMBEDDING_SIZE, Recogniser, unit
from farm.faces.scrfd import ScrfdDetector
from farm.faces.yunet import YunetDetector
from farm.models.derived import Measurement
from farm.models.entry import ModelKind
from farm.models.graph import unused_matrix
from farm.models.samples import Sample
from farm.models.store import ModelFile
from farm.processors.face_enhancer import RestorationNetwork
from farm.processors.face_swapper import SwapNetwork, latent_of

Feeds = dict[str, NDArray[Any]]
MIN_PSNR_DB = 30.0
MIN_COSINE = 0.99
MIN_IOU = 0.9
MAX_SCORE_CHANGE = 0.1
_EXACT_DB = 99.0
"""What is said of equal pictures, whose PSNR has no end."""


@dataclass(slots=True)
class RecordingSession:
    """A session that keeps what it was asked, to calibrate with."""

    session: Any
    feeds: list[Feeds] = field(default_factory=list)

    def get_inputs(self) -> Any:
        """What the network takes."""
        return self.session.get_inputs()

    def get_outputs(self) -> Any:
        """What the network gives."""
        return self.session.get_outputs()

    def run(self, names: Any, feeds: Feeds) -> Any:
        """Run the network and keep the feeds."""
        self.feeds.append(dict(feeds))
        return self.session.run(names, feeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One kind of model at its work."""

    work: Callable[[Any, Sequence[Sample]], list[Any]]
    """From a session and samples to what comes out, one for each sample."""
    compare: Callable[[list[Any], list[Any]], tuple[Measurement, ...]]
    """From what the source and the copy gave to how near they are."""
    aim: float
    """Value of the first measurement that is good enough to look no further."""


def trial_of(file: ModelFile) -> Trial:
    """The trial of a model.

    Raises:
        SettingsError: There is none for its kind.
        ModelError: A swap model holds no matrix.
    """
    match file.kind:
        case ModelKind.SWAPPER:
            matrix = unused_matrix(file.path, (EMBEDDING_SIZE, EMBEDDING_SIZE))
            return Trial(
                work=lambda session, samples: _swap(session, samples, file, matrix),
                compare=_compare_pictures,
                aim=35.0,
            )
        case ModelKind.ENHANCER:
            return Trial(
                work=lambda session, samples: _enhance(session, samples, file),
                compare=_compare_pictures,
                aim=35.0,
            )
        case ModelKind.RECOGNIZER:
            return Trial(work=_embed, compare=_compare_embeddings, aim=0.995)
        case ModelKind.DETECTOR:
            return Trial(work=_detect, compare=_compare_detections, aim=0.95)
        case _:
            raise SettingsError(
                f"{file.name} is a {file.kind.value}, of which no copy can be judged yet: "
                "swapper, enhancer, recognizer and detector can"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """How fast a copy is beside its source."""

    source_s: float
    """Median seconds of one run."""
    copy_s: float
    times_faster: float
    """Median of the ratios of neighbouring runs, source by copy, on the clock."""
    times_less_cpu: float
    """The same in processor time, which other work on the machine hardly touches."""


def race(source: Any, copy: Any, feeds: Sequence[Feeds], runs: int) -> Race:
    """Run source and copy in turns, so that what else the machine does hits both."""
    taken: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for number in range(runs + 1):
        feed = feeds[number % len(feeds)]
        pair = (_seconds(source, feed), _seconds(copy, feed))
        if number:  # the first run also allocates
            taken.append(pair)
    return Race(
        source_s=statistics.median(ours[0] for ours, _ in taken),
        copy_s=statistics.median(theirs[0] for _, theirs in taken),
        times_faster=statistics.median(a[0] / max(b[0], 1e-9) for a, b in taken),
        times_less_cpu=statistics.median(a[1] / max(b[1], 1e-9) for a, b in taken),
    )


def _seconds(session: Any, feed: Feeds) -> tuple[float, float]:
    """Seconds of one run, on the clock and of this process."""
    began_s, busy_s = time.perf_counter(), time.process_time()
    session.run(None, feed)
    return time.perf_counter() - began_s, time.process_time() - busy_s


def _crop(sample: Sample, template_xy: NDArray[np.float64], size_px: int) -> NDArray[np.uint8]:
    """[1, size, size, 3] uint8 BGR."""
    crop = take_crop(sample.picture, sample.face, template_xy, size_px)
    if crop is None:
        raise ModelError("a sample's face cannot be aligned: give other images with --calibrate")
    return crop.pixels_bgr[None]


def _swap(
    session: Any, samples: Sequence[Sample], file: ModelFile, matrix: NDArray[np.float32]
) -> list[Any]:
    """The swapped crop of every sample, each with another (made-up) person."""
    random = np.random.default_rng(11)
    pictures = []
    for sample in samples:
        person = unit(random.standard_normal(EMBEDDING_SIZE).astype(np.float32))
        assert person is not None
        network = SwapNetwork(session, latent_of(person, matrix), file)
        template = arcface_template(network.size_px)
        pictures.append(network.replace(_crop(sample, template, network.size_px))[0])
    return pictures


def _enhance(session: Any, samples: Sequence[Sample], file: ModelFile) -> list[Any]:
    """The restored crop of every sample."""
    network = RestorationNetwork(session, file)
    template = ffhq_template(network.size_px)
    return [network.replace(_crop(each, template, network.size_px))[0] for each in samples]


def _embed(session: Any, samples: Sequence[Sample]) -> list[Any]:
    """The embedding of every sample."""
    recogniser = Recogniser(session)
    return [recogniser.embed(each.picture, [each.face])[0] for each in samples]


def _detect(session: Any, samples: Sequence[Sample]) -> list[Any]:
    """The faces of every sample."""
    names = [output.name for output in session.get_outputs()]
    detector = YunetDetector(session) if "cls_8" in names else ScrfdDetector(session)
    return [detector.detect([each.picture.to_bgr(detector.max_side_px)])[0] for each in samples]


def _compare_pictures(ours: list[Any], theirs: list[Any]) -> tuple[Measurement, ...]:
    """PSNR of 8-bit crops."""
    values = [_psnr_db(a, b) for a, b in zip(ours, theirs, strict=True)]
    return (_least("psnr_db", values, MIN_PSNR_DB),)


def _psnr_db(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> float:
    error = float(np.mean((ours.astype(np.float64) - theirs.astype(np.float64)) ** 2))
    return min(_EXACT_DB, float(10 * np.log10(255**2 / error))) if error else _EXACT_DB


def _compare_embeddings(ours: list[Any], theirs: list[Any]) -> tuple[Measurement, ...]:
    """Cosine of the angle between embeddings; 0 where one of them has no direction."""
    values = [
        float(a @ b) if a is not None and b is not None else 0.0
        for a, b in zip(ours, theirs, strict=True)
    ]
    return (_least("cosine", values, MIN_COSINE),)


def _compare_detections(
    ours: list[list[Face]], theirs: list[list[Face]]
) -> tuple[Measurement, ...]:
    """Overlap of the boxes and change of the scores; a face that only one finds overlaps by 0."""
    if not any(ours):
        raise ModelError("the detector finds no face in the samples: give others with --calibrate")
    overlaps, changes = [], []
    for source, copy in zip(ours, theirs, strict=True):
        overlaps += [0.0] * max(0, len(copy) - len(source))
        for face in source:
            found = shares(face.box_xyxy, np.array([c.box_xyxy for c in copy]).reshape(-1, 4))
            best = int(found.argmax()) if len(found) else None
            overlaps.append(float(found[best]) if best is not None else 0.0)
            changes.append(abs(face.score - copy[best].score) if best is not None else 1.0)
    worst = Measurement(
        name="score_change",
        value=max(changes),
        mean=statistics.fmean(changes),
        floor=MAX_SCORE_CHANGE,
        at_least=False,
    )
    return (_least("iou", overlaps, MIN_IOU), worst)


def _least(name: str, values: Sequence[float], floor: float) -> Measurement:
    return Measurement(
        name=name,
        value=round(min(values), 5),
        mean=round(statistics.fmean(values), 5),
        floor=floor,
    )
