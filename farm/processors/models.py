"""Which kinds of models a job's processors run, for the manifest and the licences that it names.

Not for: the detector and the recognizer, which belong to no processor (`farm.decide`).
"""

from __future__ import annotations

from collections.abc import Iterable

from farm.models.entry import ModelKind
from farm.paste_settings import FaceMask
from farm.settings import ProcessorSettings

_OWN = {"face_swapper": ModelKind.SWAPPER, "face_enhancer": ModelKind.ENHANCER}


def model_kinds(names: Iterable[str], settings: ProcessorSettings) -> tuple[ModelKind, ...]:
    """The kinds that the named processors load, each once, in their order."""
    kinds = [_OWN[name] for name in names if name in _OWN]
    if kinds and settings.paste.face_mask is FaceMask.PARSER and settings.paste.opacity > 0:
        kinds.append(ModelKind.PARSER)
    return tuple(dict.fromkeys(kinds))
