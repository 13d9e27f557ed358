"""Puts the source person's face onto the selected faces, with InsightFace's swap network.

Not for: choosing faces (`farm.faces.select`) or knowing the source (`farm.faces.source`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError, SettingsError
from farm.faces.align import arcface_template, similarity
from farm.faces.face import Face
from farm.faces.paste import Crop, take_crop
from farm.faces.recognise import EMBEDDING_SIZE, unit
from farm.media.warp import Matrix, scale_of
from farm.models.catalogue import ModelKind
from farm.models.graph import input_shapes, unused_matrix
from farm.models.picture_input import check_memory, require_picture
from farm.models.session import MAX_BATCH, check_graph, open_session
from farm.models.store import ModelFile
from farm.paste_settings import SwapSize
from farm.processors.base import FaceFrame, ProcessorContext
from farm.processors.crops import FacePaster, check_paste, from_network, to_network
from farm.processors.grid import Mix, mix_for, put_together, tiles_of

_WANTED = "a swap model gives one RGB picture: give inswapper_128.onnx with --model swapper=PATH"


class SwapNetwork:
    """A swap network with the persons it puts in; `inswapper_128` and what is built like it."""

    def __init__(self, session: Any, latents: NDArray[np.float32], file: ModelFile) -> None:
        """Take the session and the persons' latents, [persons, 512].

        Raises:
            ModelError: The inputs are not one picture and one vector.
        """
        self.size_px = _side_px([list(each.shape) for each in session.get_inputs()], file)
        by_rank = {len(each.shape): each for each in session.get_inputs()}
        self._session = session
        self._latents = latents
        self._target, self._source = by_rank[4].name, by_rank[2].name
        self._one_by_one = isinstance(by_rank[4].shape[0], int) or isinstance(
            by_rank[2].shape[0], int
        )

    def replace(
        self, crops_bgr: NDArray[np.uint8], persons: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """A person's face in the pose and light of each crop.

        [n, size, size, 3] uint8 BGR to the same as float32, 0..255; `persons` says who is put into
        each, None the first one into all.
        """
        rows = np.zeros(len(crops_bgr), np.intp) if persons is None else np.asarray(persons)
        crops = to_network(crops_bgr, 0, 255)
        step = 1 if self._one_by_one else MAX_BATCH
        parts = [
            self._run(crops[i : i + step], self._latents[rows[i : i + step]])
            for i in range(0, len(crops), step)
        ]
        return from_network(np.concatenate(parts), 0, 255, FaceSwapper.name)

    def _run(self, crops: NDArray[np.float32], latents: NDArray[np.float32]) -> NDArray[np.float32]:
        feeds = {self._target: crops, self._source: np.ascontiguousarray(latents)}
        return np.asarray(self._session.run(None, feeds)[0], np.float32)


class FaceSwapper:
    """Swaps the selected faces."""

    name: ClassVar[str] = "face_swapper"
    needs_source: ClassVar[bool] = True
    needs_landmarks: ClassVar[bool] = True
    concurrent: ClassVar[bool] = True
    fails_closed: ClassVar[bool] = False

    def __init__(self) -> None:
        self._network: SwapNetwork | None = None
        self._paster: FacePaster | None = None
        self._size = SwapSize.PX_128

    def check(self, context: ProcessorContext) -> None:
        """See that the swap model is there and is one; fetches it when missing.

        Raises:
            ModelError: It is missing, unverified or of another kind.
        """
        file = context.models.find(ModelKind.SWAPPER)
        _side_px(input_shapes(file.path), file)
        unused_matrix(file.path, (EMBEDDING_SIZE, EMBEDDING_SIZE))
        require_picture(check_graph(file.path), str(file.path), _WANTED)
        check_paste(context)

    def start(self, context: ProcessorContext) -> None:
        """Load the network.

        Raises:
            SettingsError: There is no source.
            ModelError: The model is missing or of another kind.
        """
        if context.source_embedding is None:
            raise SettingsError("face_swapper needs an image of a face: give one with --source")
        file = context.models.find(ModelKind.SWAPPER)
        matrix = unused_matrix(file.path, (EMBEDDING_SIZE, EMBEDDING_SIZE))
        sources = (context.source_embedding, *context.more_sources)
        latents = [latent_of(np.asarray(each, np.float32), matrix) for each in sources]
        session = open_session(file.path, context.sessions)
        self._network = SwapNetwork(session, np.concatenate(latents), file)
        self._paster = FacePaster(context)
        self._size = context.settings.paste.swap_size

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Swap the selected faces of every frame."""
        if self._network is None or self._paster is None:
            raise RuntimeError("start was not called")
        network = self._network
        self._paster.run(
            batch,
            lambda item, face: self._take(network.size_px, item, face),
            lambda crops: self._swap(network, crops),
        )

    def _take(self, network_px: int, item: FaceFrame, face: Face) -> Crop | None:
        """The crop of a face, as fine as the finest result that is wanted of it."""
        template = arcface_template(network_px)
        assert face.landmarks_xy is not None
        matrix = similarity(face.landmarks_xy, template)
        if matrix is None:
            return None
        grow = max(parts for parts, _weight in self._mix(network_px, network_px, matrix))
        return take_crop(item.frame, face, template, network_px, grow=grow)

    def _mix(self, network_px: int, size_px: int, matrix: Matrix) -> Mix:
        """What the result for a crop of `size_px` is mixed of."""
        return mix_for(self._size, network_px, size_px / scale_of(matrix))

    def _swap(self, network: SwapNetwork, crops: Sequence[Crop]) -> list[NDArray[np.float32]]:
        """What replaces each crop; the tiles of all go through the network together."""
        mixes = [self._mix(network.size_px, crop.size_px, crop.matrix) for crop in crops]
        tiles = [
            tiles_of(crop.pixels_bgr, mix, network.size_px)
            for crop, mix in zip(crops, mixes, strict=True)
        ]
        given = [each for group in tiles for each in group]
        counts = [sum(len(each) for each in group) for group in tiles]
        persons = np.repeat([crop.face.source for crop in crops], counts)
        new = network.replace(np.concatenate(given), persons.tolist())
        results = iter(np.split(new, np.cumsum([len(each) for each in given])[:-1]))
        return [
            put_together([next(results) for _ in mix], mix, crop.size_px)
            for crop, mix in zip(crops, mixes, strict=True)
        ]


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
        if isinstance(side, int) and side == wide and side > 0 and side % 128 == 0:
            check_memory(3 * side * side, str(file.path))
            return side
    raise ModelError(
        f"{file.path} takes {[list(shape) for shape in shapes]} where a swap model takes a square "
        "picture of 128 pixels and a vector of 512: give inswapper_128.onnx with "
        "--model swapper=PATH"
    )
