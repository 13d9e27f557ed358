"""Sharpens the selected faces with a restoration network: GFPGAN, GPEN and others of their kind.

Not for: enlarging whole frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from farm.faces.align import ffhq_template
from farm.faces.paste import take_crop
from farm.models.catalogue import ModelKind
from farm.models.graph import input_shapes
from farm.models.picture_input import require_picture, square_side_px
from farm.models.session import check_graph, open_session
from farm.models.store import ModelFile
from farm.processors.base import FaceFrame, ProcessorContext
from farm.processors.crops import FacePaster, check_paste, from_network, in_parts, to_network

_DEFAULT_SIZE_PX = 512
_HALF = 127.5
_GIVES = "an enhancer gives one RGB picture: give GFPGANv1.4.onnx with --model enhancer=PATH"


class RestorationNetwork:
    """A network from a square RGB picture, -1 to 1, to a better one."""

    def __init__(self, session: Any, file: ModelFile) -> None:
        """Take the session.

        Raises:
            ModelError: The model does not take one square picture.
        """
        inputs = session.get_inputs()
        self.size_px = _side_px([list(each.shape) for each in inputs], file)
        self._session = session
        self._input = inputs[0].name
        self._one_by_one = isinstance(inputs[0].shape[0], int)

    def replace(self, crops_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Each crop restored; [n, size, size, 3] uint8 BGR to the same as float32, 0..255."""
        crops = to_network(crops_bgr, _HALF, _HALF)
        rgb = in_parts(self._run, crops, one_by_one=self._one_by_one)
        return from_network(rgb, _HALF, _HALF, FaceEnhancer.name)

    def _run(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._session.run(None, {self._input: crops})[0], np.float32)


class FaceEnhancer:
    """Restores the selected faces."""

    name: ClassVar[str] = "face_enhancer"
    needs_source: ClassVar[bool] = False
    needs_landmarks: ClassVar[bool] = True
    concurrent: ClassVar[bool] = True
    fails_closed: ClassVar[bool] = False

    def __init__(self) -> None:
        self._network: RestorationNetwork | None = None
        self._paster: FacePaster | None = None

    def check(self, context: ProcessorContext) -> None:
        """See that the model is there and takes a picture; fetches it when missing.

        Raises:
            ModelError: It is missing, unverified, damaged or of another kind.
        """
        file = context.models.find(ModelKind.ENHANCER)
        _side_px(input_shapes(file.path), file)
        require_picture(check_graph(file.path), str(file.path), _GIVES)
        check_paste(context)

    def start(self, context: ProcessorContext) -> None:
        """Load the network.

        Raises:
            ModelError: The model is missing or of another kind.
        """
        file = context.models.find(ModelKind.ENHANCER)
        self._network = RestorationNetwork(open_session(file.path, context.sessions), file)
        self._paster = FacePaster(context, weight=context.settings.enhancer_blend)

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Restore the selected faces of every frame."""
        if self._network is None or self._paster is None:
            raise RuntimeError("start was not called")
        network = self._network
        template = ffhq_template(network.size_px)
        self._paster.run(
            batch,
            lambda item, face: take_crop(item.frame, face, template, network.size_px),
            lambda crops: list(network.replace(np.stack([crop.pixels_bgr for crop in crops]))),
        )


def _side_px(shapes: Sequence[Sequence[object]], file: ModelFile) -> int:
    """Side of the picture that a network of these input shapes takes.

    Raises:
        ModelError: It does not take one square picture.
    """
    wanted = (
        "an enhancer takes one square RGB picture: give GFPGANv1.4.onnx with --model enhancer=PATH"
    )
    return square_side_px(shapes, str(file.path), wanted, _DEFAULT_SIZE_PX)
