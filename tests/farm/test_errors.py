"""The error tree: what crosses process borders and what its docstring promises."""

import pickle
import re

import pytest

from farm import errors
from farm.chunk_task import LostFramesError
from farm.errors import FarmError
from farm.media.decode import DecoderClosedError, FalseKeyframeError, NeedEarlierError

_LINE = re.compile(r"^(?P<indent>[ │├└─]*)(?P<name>[A-Z]\w+)(?:\s+\((?P<code>\d+)\))?")


def _classes(root: type[FarmError]) -> list[type[FarmError]]:
    return [root, *(cls for child in root.__subclasses__() for cls in _classes(child))]


def _drawn_tree() -> dict[str, tuple[str | None, int]]:
    """Name of each error in the docstring, with its parent and exit code."""
    assert errors.__doc__ is not None
    lines = errors.__doc__[errors.__doc__.index("    FarmError") :].splitlines()
    tree: dict[str, tuple[str | None, int]] = {}
    above: list[tuple[int, str]] = []
    for line in filter(str.strip, lines):
        match = _LINE.match(line)
        assert match, line
        depth = len(match["indent"])
        above = [(d, name) for d, name in above if d < depth]
        tree[match["name"]] = (above[-1][1] if above else None, int(match["code"] or 1))
        above.append((depth, match["name"]))
    return tree


@pytest.mark.parametrize("error", _classes(FarmError), ids=lambda cls: cls.__name__)
def test_every_error_survives_pickling(error: type[FarmError]) -> None:
    back = pickle.loads(pickle.dumps(error("clip.mp4: is broken; mend it")))
    assert type(back) is error
    assert back.message == "clip.mp4: is broken; mend it"
    assert back.exit_code == error.exit_code


@pytest.mark.parametrize(
    "error", [NeedEarlierError, DecoderClosedError, FalseKeyframeError, LostFramesError]
)
def test_errors_outside_the_tree_s_module_survive_pickling_too(error: type[FarmError]) -> None:
    assert type(pickle.loads(pickle.dumps(error("packet 3")))) is error


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    real = {
        cls.__name__: (None if cls is FarmError else cls.__mro__[1].__name__, cls.exit_code)
        for cls in _classes(FarmError)
        if cls.__module__ == errors.__name__
    }
    assert _drawn_tree() == real


def test_an_error_takes_nothing_but_its_message() -> None:
    with pytest.raises(TypeError):
        FarmError("one", "two")  # type: ignore[call-arg]
