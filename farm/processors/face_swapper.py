"""Puts the source person's face onto the selected faces, with InsightFace's swap network.

Not for: choosing faces (`farm.faces.select`) or knowing the source (`farm.faces.source`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError, SettingsError
from farm.faces.align import arcface_template
from farm.faces.recognise import EMBEDDING_SIZE, unit
from farm.models.catalogue import ModelKind
from farm.models.graph import input_shapes, unused_matrix
from farm.models.session import open_session
from farm.models.store import ModelFile
from farm.processors.base import FaceFrame, ProcessorContext
from farm.processors.crops import from_network, in_parts, replace_faces, to_network


class SwapNetwork:
    """A swap network with the person it puts in; `inswapper_128` and what is built like it."""

    def __init__(self, session: Any, latent: NDArray[np.float32], file: ModelFile) -> None:
        """Take the session and the person's latent, [1, 512].

        Raises:
            ModelError: The inputs are not one picture and one vector.
        """
        self.size_px = _side_px([list(each.shape) for each in session.get_inputs()], file)
        by_rank = {len(each.shape): each for each in session.get_inputs()}
        self._session = session
        self._latent = latent
        self._target, self._source = by_rank[4].name, by_rank[2].name
        self._one_by_one = isinstance(by_rank[4].shape[0], int) or isinstance(
            by_rank[2].shape[0], int
        )

    def replace(self, crops_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The person's face in the pose and light of each crop; [n, size, size, 3] uint8 BGR."""
        rgb = in_parts(self._run, to_network(crops_bgr, 0, 255), one_by_one=self._one_by_one)
        return from_network(rgb, 0, 255, FaceSwapper.name)

    def _run(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        latents = np.repeat(self._latent, len(crops), axis=0)
        out = self._session.run(None, {self._target: crops, self._source: latents})[0]
        return np.asarray(out, np.float32)


class FaceSwapper:
    """Swaps the selected faces."""

    name: ClassVar[str] = "face_swapper"
    needs_source: ClassVar[bool] = True
    needs_landmarks: ClassVar[bool] = True
    fails_closed: ClassVar[bool] = False

    def __init__(self) -> None:
        self._network: SwapNetwork | None = None

    def check(self, context: ProcessorContext) -> None:
        """See that the swap model is there and is one; fetches it when missing.

        Raises:
            ModelError: It is missing, unverified or of another kind.
        """
        file = context.models.find(ModelKind.SWAPPER)
        _side_px(input_shapes(file.path), file)
        unused_matrix(file.path, (EMBEDDING_SIZE, EMBEDDING_SIZE))

    def start(self, context: ProcessorContext) -> None:
        """Load the network.

        Raises:
            SettingsError: There is no source.
            ModelError: The model is missing or of another kind.
        """
        if context.source_embedding is None:
            raise SettingsError("face_swapper needs an image of a face: give one with --source")
        file = context.models.find(ModelKind.SWAPPER)
        source = np.asarray(context.source_embedding, np.float32)
        latent = latent_of(source, unused_matrix(file.path, (EMBEDDING_SIZE, EMBEDDING_SIZE)))
        self._network = SwapNetwork(open_session(file.path, context.sessions), latent, file)

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Swap the selected faces of every frame."""
        if self._network is None:
            raise RuntimeError("start was not called")
        size = self._network.size_px
        replace_faces(batch, arcface_template(size), size, self._network.replace)


def latent_of(embedding: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """[1, 512] of unit length: the embedding in the swap network's own space.

    Raises:
        ModelError: The matrix leaves nothing of the embedding.
    """
    latent = unit(embedding @ matrix)
    if latent is None:
        raise ModelError("the swap model's matrix leaves nothing of the source: take another file")
    return latent[None]


def _side_px(shapes: Sequence[Sequence[object]], file: ModelFile) -> int:
    """Side of the picture that a network of these input shapes takes.

    Raises:
        ModelError: It does not take one square picture and one vector.
    """
    by_rank = {len(shape): shape for shape in shapes}
    if len(shapes) == 2 and sorted(by_rank) == [2, 4] and by_rank[2][1] == EMBEDDING_SIZE:
        side, wide = by_rank[4][2:]
        if isinstance(side, int) and side == wide and side % 128 == 0:
            return side
    raise ModelError(
        f"{file.path} takes {[list(shape) for shape in shapes]} where a swap model takes a square "
        "picture of 128 pixels and a vector of 512: give inswapper_128.onnx with "
        "--model swapper=PATH"
    )
