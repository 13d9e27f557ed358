"""Which kinds of models a job's processors run, for the manifest and the licences that it names.

Not for: the detector and the recognizer, which belong to no processor (`farm.decide`).
"""

from __future__ import annotations

from collections.abc import Sequence

from farm.models.entry import ModelKind
from farm.paste_settings import FaceMask
from farm.settings import ProcessorSettings

_OWN = {"face_swapper": ModelKind.SWAPPER, "face_enhancer": ModelKind.ENHANCER}
_MAKES_FRAMES = {"frame_interpolator": ModelKind.INTERPOLATOR}


def model_kinds(names: Sequence[str], settings: ProcessorSettings) -> tuple[ModelKind, ...]:
    """The kinds that the named processors load, each once, in their order."""
    kinds = [_OWN[name] for name in names if name in _OWN]
    if kinds and settings.paste.face_mask is FaceMask.PARSER and settings.paste.opacity > 0:
        kinds.append(ModelKind.PARSER)
    kinds += [_MAKES_FRAMES[name] for name in names if name in _MAKES_FRAMES]
    return tuple(dict.fromkeys(kinds))
