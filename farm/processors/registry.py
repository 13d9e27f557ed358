"""Frame processors by name: the farm's own, and others' through the entry point group.

The farm's own are found even where it is not installed. Not for: running processors.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from farm.errors import SettingsError
from farm.names import unknown_name
from farm.processors.base import FrameMaker, FrameProcessor

GROUP = "facefarm.processors"
_BUILT_IN = {
    "none": "farm.processors.none:PassThrough",
    "face_anonymizer": "farm.processors.face_anonymizer:FaceAnonymizer",
    "face_swapper": "farm.processors.face_swapper:FaceSwapper",
    "face_enhancer": "farm.processors.face_enhancer:FaceEnhancer",
    "frame_interpolator": "farm.processors.frame_interpolator:FrameInterpolator",
    "debug_overlay": "farm.processors.debug_overlay:DebugOverlay",
}
_UNLISTED = {"bench_wait": "farm.bench.waiting:Waiting"}
"""For measurements: found by name and never offered."""
_FLAGS = ("needs_source", "needs_landmarks", "fails_closed")
_LEADS = ("lead_in", "lead_out")
_METHODS = ("check", "start", "process")


def processor_names() -> tuple[str, ...]:
    """All names that `--frame-processor` takes: the farm's own first, then others' sorted."""
    return tuple(name for name in _known() if name not in _UNLISTED)


def load_processor(name: str) -> FrameProcessor:
    """A new processor of this name, neither checked nor started.

    Raises:
        SettingsError: The name is unknown (the nearest is said), the class cannot be loaded, or it
            lacks a part of the contract (which one is said).
    """
    known = _known()
    if name not in known:
        raise unknown_name("--frame-processor", name, processor_names())
    entry = known[name]
    try:
        processor = entry.load()()
    except Exception as error:
        raise SettingsError(
            f"--frame-processor {name}: {entry.value} cannot be loaded "
            f"({type(error).__name__}: {error}): mend or remove the package that has it"
        ) from error
    return _complete(name, entry, processor)


def needs_faces(processor: FrameProcessor) -> bool:
    """Whether frames are searched for faces for a processor."""
    return bool(getattr(processor, "needs_faces", True))


def lead_of(processors: Iterable[FrameProcessor]) -> tuple[int, int]:
    """How many frames before and after a chunk these processors need to see, one after another."""
    before, after = 0, 0
    for each in processors:
        before += int(getattr(each, "lead_in", 0))
        after += int(getattr(each, "lead_out", 0))
    return before, after


def frame_maker(names: Iterable[str]) -> FrameMaker | None:
    """The processor among these that makes frames between others, not started; None for none.

    Raises:
        SettingsError: There are several, or a name is unknown.
    """
    makers = [each for each in map(load_processor, names) if isinstance(each, FrameMaker)]
    if len(makers) > 1:
        raise SettingsError("--frame-processor: only one can make frames between others")
    return makers[0] if makers else None


def _known() -> dict[str, EntryPoint]:
    """Entry points by name; nobody replaces one of the farm's own."""
    built_in = _BUILT_IN | _UNLISTED
    own = {name: EntryPoint(name, value, GROUP) for name, value in built_in.items()}
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    return own | {name: others[name] for name in sorted(others.keys() - own.keys())}


def _complete(name: str, entry: EntryPoint, processor: FrameProcessor) -> FrameProcessor:
    """The processor, if nothing of the contract is missing."""
    missing = [flag for flag in _FLAGS if not isinstance(getattr(processor, flag, None), bool)]
    missing += [f"{m}()" for m in _METHODS if not callable(getattr(processor, m, None))]
    missing += [
        f"{lead} = a whole number"
        for lead in _LEADS
        if not isinstance(value := getattr(processor, lead, 0), int) or value < 0
    ]
    if getattr(processor, "name", None) != name:
        missing.insert(0, f"name = {name!r}")
    if missing:
        raise SettingsError(
            f"--frame-processor {name}: {entry.value} is no whole frame processor, "
            f"it lacks {', '.join(missing)}"
        )
    return processor
