"""Aligned crops of a whole batch of frames through one network, and the results back in place.

Not for: what the network means (`face_swapper`, `face_enhancer`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.faces.face import Face
from farm.faces.masks import mouth_mask, shape_mask
from farm.faces.parse import FaceParser, VisibleFace, check_classes, check_parser
from farm.faces.paste import Crop, paste_crop
from farm.faces.retouch import match_colours, sharpen
from farm.models.catalogue import ModelKind
from farm.models.graph import input_shapes
from farm.models.session import MAX_BATCH, check_graph, open_session
from farm.paste_settings import FaceMask
from farm.processors.base import FaceFrame, ProcessorContext

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""[n, 3, size, size] RGB in the network's range to the same."""
TakeCrop = Callable[[FaceFrame, Face], Crop | None]
Replace = Callable[[Sequence[Crop]], Sequence[NDArray[np.float32]]]
"""Crops to what replaces each, [side, side, 3] float32 BGR, 0..255."""

_Place = tuple[FaceFrame, Crop, NDArray[np.float32]]


class FacePaster:
    """Replaces the selected faces of frames, with the mask and retouching of the settings."""

    def __init__(self, context: ProcessorContext, weight: float = 1.0) -> None:
        """Load what the mask needs.

        Args:
            context: That of the processor.
            weight: How much of a replacement shows at full opacity, 0 to 1.

        Raises:
            ModelError: The parser is missing or of another kind.
        """
        self._settings = context.settings.paste
        self._weight = weight * self._settings.opacity
        self._parser: FaceParser | None = None
        if self._settings.face_mask is FaceMask.PARSER and self._weight > 0:
            self._parser = _shared_parser(context)

    def run(self, batch: Sequence[FaceFrame], take: TakeCrop, replace: Replace) -> None:
        """Replace the selected faces of every frame.

        All crops of a frame are taken before the first is pasted, so that how frames are batched
        changes no pixel. Faces without usable landmarks stay as they are. Where nothing of a
        replacement would show, nothing is done at all.
        """
        if self._weight <= 0:
            return
        for places in self._by_frames(batch, take):
            for first in range(0, len(places), MAX_BATCH):
                part = places[first : first + MAX_BATCH]
                new = replace([crop for _item, crop, _mask in part])
                for (item, crop, mask), pixels in zip(part, new, strict=True):
                    paste_crop(item.frame, crop, self._retouched(pixels, crop, mask), mask)

    def _by_frames(self, batch: Sequence[FaceFrame], take: TakeCrop) -> Iterator[list[_Place]]:
        """Yield the crops of whole frames, a network's batch or more where there are as many.

        Crowds in every frame of a batch would otherwise fill the memory.
        """
        places: list[_Place] = []
        for item in batch:
            for face in item.selected:
                crop = take(item, face) if face.landmarks_xy is not None else None
                if crop is not None:
                    places.append((item, crop, self._mask(item, crop)))
            if len(places) >= MAX_BATCH:
                yield places
                places = []
        if places:
            yield places

    def _mask(self, item: FaceFrame, crop: Crop) -> NDArray[np.float32]:
        """How much of the replacement shows where, over the crop."""
        mask = shape_mask(self._settings.face_mask, self._settings.mask_feather)
        if self._parser is not None:
            mask = np.minimum(mask, self._visible(self._parser, item, crop.face).over(crop))
        if self._settings.mouth_mask:
            mask = mask * (1 - mouth_mask(crop.landmarks_xy / crop.size_px))
        return mask if self._weight == 1 else mask * np.float32(self._weight)

    @staticmethod
    def _visible(parser: FaceParser, item: FaceFrame, face: Face) -> VisibleFace:
        """What is to be seen of a face, as the first processor that asked found it."""
        assert face.landmarks_xy is not None
        key = face.landmarks_xy.tobytes()
        if key not in item.visible:
            item.visible[key] = parser.look(item.frame, face)
        return item.visible[key]

    def _retouched(
        self, new_bgr: NDArray[np.float32], crop: Crop, mask: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        if self._settings.color_transfer:
            new_bgr = match_colours(new_bgr, crop.pixels_bgr, mask)
        return sharpen(new_bgr, self._settings.sharpness)


def _shared_parser(context: ProcessorContext) -> FaceParser:
    """The worker's face parser, loaded by the first processor that wants it."""
    if not context.parsers:
        file = context.models.find(ModelKind.PARSER)
        session = open_session(file.path, context.sessions)
        context.parsers.append(FaceParser(session, str(file.path)))
    return context.parsers[0]


def check_paste(context: ProcessorContext) -> None:
    """See that the models are there that masks need; fetches them when missing.

    Raises:
        ModelError: One is missing, unverified, damaged or of another kind.
    """
    settings = context.settings.paste
    if settings.face_mask is FaceMask.PARSER and settings.opacity > 0:
        file = context.models.find(ModelKind.PARSER)
        check_parser(input_shapes(file.path), str(file.path))
        check_classes(check_graph(file.path), str(file.path))


def to_network(pixels_bgr: NDArray[np.uint8], mean: float, divisor: float) -> NDArray[np.float32]:
    """[n, 3, h, w] float32 RGB, (value - mean) / divisor, of [n, h, w, 3] uint8 BGR."""
    rgb = pixels_bgr[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    return np.ascontiguousarray((rgb - np.float32(mean)) / np.float32(divisor))


def from_network(
    rgb: NDArray[np.float32], mean: float, divisor: float, name: str
) -> NDArray[np.float32]:
    """[n, h, w, 3] float32 BGR, 0..255, of what a network gave; undoes `to_network`.

    Fractions stay: frames of more than 8 bits can hold them.

    Raises:
        ModelError: The network gave no square pictures, or values that are not finite.
    """
    if rgb.ndim != 4 or rgb.shape[1] != 3 or rgb.shape[2] != rgb.shape[3]:
        raise ModelError(
            f"{name}: its network gave {list(rgb.shape)} where square RGB pictures are expected: "
            "take another model file"
        )
    if not np.isfinite(rgb).all():
        raise ModelError(
            f"{name}: its network gave values that are no numbers: try --execution-provider cpu, "
            "or another model file"
        )
    values = np.clip(rgb * np.float32(divisor) + np.float32(mean), 0, 255)
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)[..., ::-1], np.float32)


def in_parts(
    network: Network, crops: NDArray[np.float32], *, one_by_one: bool
) -> NDArray[np.float32]:
    """Run a network on a batch: `MAX_BATCH` at once, or one by one where its graph takes one."""
    step = 1 if one_by_one else MAX_BATCH
    return np.concatenate([network(crops[i : i + step]) for i in range(0, len(crops), step)])
