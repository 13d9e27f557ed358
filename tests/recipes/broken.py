"""Recipes of files that must be refused, and of files that are damaged in the middle.

Not for: files that are whole but awkward (`coding`, `containers`, `crafted`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.recipes.studio import SOUND, X264, Kind, Recipe, Studio


def _bad(name: str, make: Callable[[Studio, Path], None]) -> Recipe:
    return Recipe(name=name, make=make, kind=Kind.BAD, stamps=None)


def _hurt(name: str, make: Callable[[Studio, Path], None]) -> Recipe:
    return Recipe(name=name, make=make, kind=Kind.HURT, stamps=None)


def _contains(content: str) -> Callable[[Studio, Path], None]:
    def make(studio: Studio, path: Path) -> None:
        studio.path("plain.mp4")  # what the text points to is there, and must not be followed
        path.write_text(content)

    return make


def _cut(source: str, share: float) -> Callable[[Studio, Path], None]:
    def make(studio: Studio, path: Path) -> None:
        whole = studio.path(source).read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])

    return make


def _png(studio: Studio, path: Path) -> None:
    studio.ffmpeg("-i", studio.raw(), "-frames:v", "1", "-c:v", "png", "-f", "image2", path)


def _sound_only(studio: Studio, path: Path) -> None:
    studio.ffmpeg(*SOUND, "-c:a", "aac", path)


def _no_moov(studio: Studio, path: Path) -> None:
    """All of the media data, but not the table that says what it is."""
    whole = studio.path("plain.mp4").read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") - 4])


def _size_changes(studio: Studio, path: Path) -> None:
    parts = []
    for size in ((160, 96), (96, 64)):
        part = studio.folder / f"part_{size[0]}.ts"
        studio.ffmpeg("-i", studio.raw(size=size, frames=20), *X264, "-f", "mpegts", part)
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))


def _plain_mkv(studio: Studio, path: Path) -> None:
    whole = studio.folder / "whole.mkv"
    studio.ffmpeg("-i", studio.path("plain.mp4"), "-map", "0", "-c", "copy", whole)
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])


def _bit_flips(studio: Studio, path: Path) -> None:
    content = bytearray(studio.path("h264_open_gop.mp4").read_bytes())
    chance = random.Random(7)
    for _ in range(40):
        at = chance.randrange(len(content) // 8, len(content) * 5 // 8)
        content[at] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


RECIPES: tuple[Recipe, ...] = (
    _bad("zero.mp4", _contains("")),
    _bad("text.mp4", _contains("this is not a video\n")),
    _bad("playlist_named.mp4", _contains("#EXTM3U\n#EXTINF:2,\nplain.mp4\n#EXT-X-ENDLIST\n")),
    _bad("concat_named.mp4", _contains("ffconcat version 1.0\nfile plain.mp4\n")),
    _bad("png_named.mp4", _png),
    _bad("sound_only.mp4", _sound_only),
    _bad("no_moov.mp4", _no_moov),
    _bad("size_changes.ts", _size_changes),
    _hurt("truncated.mkv", _plain_mkv),
    _hurt("truncated_fragmented.mp4", _cut("fragmented.mp4", 0.7)),
    _hurt("bit_flips.mp4", _bit_flips),
)
