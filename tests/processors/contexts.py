"""What processors are started with in these tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from farm.models.session import SessionSettings
from farm.models.store import ModelStore
from farm.processors.base import FaceFrame, ProcessorContext
from farm.settings import ProcessorSettings
from tests.faces.pictures import face_at, frame_of

Box = tuple[float, float, float, float]


def context(
    tmp_path: Path,
    settings: ProcessorSettings | None = None,
    *,
    models: tuple[tuple[str, Path], ...] = (),
    source: NDArray[np.float32] | None = None,
) -> ProcessorContext:
    """A context with these models as the user's own, and nothing else."""
    store = ModelStore(
        models_dir=tmp_path / "models", overrides=models, allow_unverified=True, offline=True
    )
    return ProcessorContext(
        settings=settings or ProcessorSettings(),
        models=store,
        sessions=SessionSettings(provider="cpu", threads=1),
        source_embedding=None if source is None else tuple(float(v) for v in source),
    )


def face_frame(
    picture_bgr: NDArray[np.uint8], *boxes: Box, selected: int | None = None, pix_fmt: str = "bgr24"
) -> FaceFrame:
    """A frame with faces at these boxes, the first `selected` of them chosen (all by default)."""
    faces = tuple(face_at(box) for box in boxes)
    return FaceFrame(frame=frame_of(picture_bgr, pix_fmt), faces=faces, selected=faces[:selected])
