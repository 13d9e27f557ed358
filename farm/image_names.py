"""Names of images: one image, a folder or pattern of them, and numbered ones to write.

Names alone decide, never contents. Not for: reading or writing images (`farm.media.still`).
"""

from __future__ import annotations

import re
from pathlib import Path

from farm.errors import InputError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
_NUMBER = re.compile(r"%(?:0(?P<digits>[0-9]{1,2}))?d")
_WILD = re.compile(r"[*?\[]")


def is_image(path: Path) -> bool:
    """Whether a target is rendered as a single image."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_image_set(path)


def is_image_set(target: Path) -> bool:
    """Whether a target stands for several images: a folder, or a pattern and no file's name."""
    if target.is_dir():
        return True
    is_pattern = _WILD.search(target.name) or _NUMBER.search(target.name)
    return bool(is_pattern) and target.suffix.lower() in IMAGE_SUFFIXES and not target.exists()


def is_sequence(output: Path) -> bool:
    """Whether an output's name asks for one image for each frame: `out_%05d.png`."""
    return output.suffix.lower() in IMAGE_SUFFIXES and len(_NUMBER.findall(output.name)) == 1


def numbered(output: Path, number: int) -> Path:
    """The name of one image of a sequence."""
    found = _NUMBER.search(output.name)
    if found is None:
        raise ValueError(f"{output} has no place for a number")
    digits = int(found["digits"] or 0)
    name = f"{output.name[: found.start()]}{number:0{digits}d}{output.name[found.end() :]}"
    return output.with_name(name)


def images_of(target: Path) -> list[Path]:
    """The images that a folder or pattern stands for, by name; hidden files are none.

    Raises:
        InputError: There is none.
    """
    folder = target if target.is_dir() else target.parent
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder (-t/--target)")
    wanted = None if target.is_dir() else _expression(target.name)
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and (wanted is None or wanted.fullmatch(path.name))
        and path.is_file()
    ]
    if not found:
        kinds = " ".join(sorted(IMAGE_SUFFIXES))
        raise InputError(f"{target}: no image goes by that name; images end in {kinds}")
    return found


def outputs_of(images: list[Path], output: Path) -> list[Path]:
    """Where each image is written: numbered from 1, or under its own name in a folder.

    Raises:
        InputError: Two images would be written to one file.
    """
    if is_sequence(output):
        return [numbered(output, number) for number in range(1, len(images) + 1)]
    outputs = [output / image.name for image in images]
    if len(set(outputs)) < len(outputs):
        raise InputError(f"{output}: two images would have the same name there")
    return outputs


def _expression(name: str) -> re.Pattern[str]:
    """What a pattern of a file's name means: `*`, `?`, `[...]` and `%05d`."""
    parts, at = [], 0
    for found in re.finditer(r"%(?:0([0-9]{1,2}))?d|\*|\?|\[[^\]/]+\]", name):
        parts.append(re.escape(name[at : found.start()]))
        text = found[0]
        if text.startswith("%"):
            parts.append(f"[0-9]{{{found[1]},}}" if found[1] else "[0-9]+")
        elif text.startswith("["):
            inside = text[1:-1].replace("\\", "\\\\")
            parts.append(f"[{'^' + inside[1:] if inside.startswith('!') else inside}]")
        else:
            parts.append({"*": ".*", "?": "."}[text])
        at = found.end()
    try:
        return re.compile("".join(parts) + re.escape(name[at:]))
    except re.error as error:
        raise InputError(f"{name}: cannot be understood as a pattern ({error})") from error
