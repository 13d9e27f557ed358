"""Whose face it is, as a vector: ArcFace networks of InsightFace's packs.

Not for: deciding between faces (`farm.faces.select`); nor for networks that normalise their input
themselves (the MXNet exports of before 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.faces.align import arcface_template
from farm.faces.face import Face
from farm.faces.paste import ReadablePicture, take_crop

EMBEDDING_SIZE = 512
_SIZE_PX = 112


class Recogniser:
    """Embeds faces with a network of 112x112 crops."""

    def __init__(self, session: Any) -> None:
        """Take a session of the model.

        Raises:
            ModelError: The model does not take crops of 112x112 or does not give 512 numbers.
        """
        taken, given = session.get_inputs(), session.get_outputs()
        sides = [list(each.shape[1:]) for each in taken]
        if sides != [[3, _SIZE_PX, _SIZE_PX]] or [o.shape[-1] for o in given] != [EMBEDDING_SIZE]:
            raise ModelError(
                f"the recognizer takes {sides} and gives {[o.shape for o in given]} where "
                "3x112x112 and 512 numbers are expected: take w600k_r50.onnx of buffalo_l"
            )
        self._session = session
        self._input = taken[0].name
        self._one_by_one = isinstance(taken[0].shape[0], int)

    def embed(
        self, picture: ReadablePicture, faces: Sequence[Face]
    ) -> list[NDArray[np.float32] | None]:
        """[512] float32 of unit length for each face; None where it cannot be aligned.

        Raises:
            ValueError: A face has no landmarks.
        """
        template = arcface_template(_SIZE_PX)
        crops = [take_crop(picture, face, template, _SIZE_PX, black_outside=True) for face in faces]
        there = [i for i, crop in enumerate(crops) if crop is not None]
        vectors: list[NDArray[np.float32] | None] = [None] * len(faces)
        if there:
            pixels = np.stack([crop.pixels_bgr for crop in crops if crop is not None])
            for i, vector in zip(there, self._run(pixels), strict=True):
                vectors[i] = unit(vector)
        return vectors

    def _run(self, pixels_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[n, 512] as the network gives them, for [n, 112, 112, 3] uint8 BGR."""
        rgb = pixels_bgr[..., ::-1].transpose(0, 3, 1, 2)
        blob = np.ascontiguousarray((rgb.astype(np.float32) - 127.5) / 127.5, np.float32)
        step = 1 if self._one_by_one else len(blob)
        parts = [
            self._session.run(None, {self._input: blob[i : i + step]})[0]
            for i in range(0, len(blob), step)
        ]
        return np.concatenate(parts).astype(np.float32)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The vector at length one; None where it has no direction or is not finite."""
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length) or length < 1e-6:
        return None
    return np.asarray(vector / length, np.float32)
