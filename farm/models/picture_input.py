"""What a network that works on one square picture takes, read before it is loaded.

Not for: detectors, which take pictures of any size.
"""

from __future__ import annotations

from collections.abc import Sequence

import psutil

from farm.errors import ModelError

_LAYERS = 16
"""A network that works on a picture holds at least so many times its input."""


def square_side_px(shapes: Sequence[Sequence[object]], name: str, wanted: str, default: int) -> int:
    """Side of the one square RGB picture that a network of these input shapes takes.

    Args:
        shapes: Of its inputs, as the file states them.
        name: The file, for errors.
        wanted: What it should be, and how to give it: "an enhancer ...: give ...".
        default: The side where the network takes any.

    Raises:
        ModelError: It takes something else, or a picture that no memory here can hold.
    """
    shape = shapes[0] if len(shapes) == 1 else ()
    if len(shape) != 4 or shape[1] != 3 or not _square(shape[2], shape[3]):
        raise ModelError(f"{name} takes {[list(each) for each in shapes]} where {wanted}")
    side = shape[2] if isinstance(shape[2], int) else default
    check_memory(3 * side * side, name)
    return side


def require_picture(shapes: Sequence[Sequence[object]], name: str, wanted: str) -> None:
    """Refuse a network that does not give one RGB picture.

    Args:
        shapes: Of its outputs, as the file states them.
        name: The file, for errors.
        wanted: As for `square_side_px`.

    Raises:
        ModelError: It gives something else.
    """
    first = shapes[0] if shapes else ()
    channels = first[1] if len(first) == 4 else None
    # Some exporters state no shape at all.
    if first and (len(first) != 4 or (isinstance(channels, int) and channels != 3)):
        raise ModelError(f"{name} gives {[list(each) for each in shapes]} where {wanted}")


def check_memory(values: int, name: str) -> None:
    """Refuse an input of so many numbers that a network could never work on it here.

    Raises:
        ModelError: It does not fit into this machine's memory.
    """
    needed, there = values * 4 * _LAYERS, psutil.virtual_memory().total
    if needed > there:
        raise ModelError(
            f"{name} takes an input of {values * 4 / 2**30:.1f} GiB, which needs at least "
            f"{needed / 2**30:.0f} GiB of memory, and this machine has {there / 2**30:.0f}: "
            "take a smaller model"
        )


def _square(height: object, width: object) -> bool:
    """Whether two sides are equal numbers, or both open."""
    if isinstance(height, int) and isinstance(width, int):
        return height == width and height > 0
    return not isinstance(height, int) and not isinstance(width, int)
