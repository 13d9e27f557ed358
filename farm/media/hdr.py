"""Static HDR metadata of a stream: the mastering display and the content light level.

Dynamic metadata (HDR10+, Dolby Vision) is only noticed here, so that its loss can be said. Not for:
carrying it over (`farm.media.dynamic_hdr`) or tone maps (`farm.media.tone`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

_MASTERING = struct.Struct("=20i2i")
"""Ten rationals (red, green, blue, white, each x then y; darkest, brightest) and two flags."""
_LIGHT = struct.Struct("=2I")
_CHROMATICITY_UNITS = 50000
_LUMINANCE_UNITS = 10000
DOLBY_VISION = "Dolby Vision"
_DYNAMIC = {
    Type.DYNAMIC_HDR_PLUS: "HDR10+",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid",
    Type.DOVI_RPU_BUFFER: DOLBY_VISION,
    Type.DOVI_METADATA: DOLBY_VISION,
}
CARRIED = frozenset({"HDR10+", "HDR Vivid"})
"""Kinds of metadata of each picture that are always carried from HEVC to HEVC."""
STATIC_HDR_ENCODERS = frozenset({"libx264", "libx264rgb", "libx265", "libsvtav1"})
"""Encoders that are told mastering display and content light."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HdrMetadata:
    """What a display must know of the display that the video was graded on."""

    mastering_display: str = ""
    """In the words of x265: `G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`, empty when not known."""
    content_light: tuple[int, int] | None = None
    """Brightest pixel and brightest frame average, in candela per square metre."""
    dynamic: tuple[str, ...] = ()
    """Kinds of metadata that change from picture to picture: `HDR10+`, `Dolby Vision` ..."""

    @property
    def mastering_in_units(self) -> str:
        """`mastering_display` in the words of SVT-AV1: chromaticities of 0 to 1, and candela."""
        parts = re.findall(r"([A-Z]+)\((\d+),(\d+)\)", self.mastering_display)
        return "".join(
            f"{name}({int(x) / units:.5f},{int(y) / units:.5f})"
            for name, x, y in parts
            for units in (_LUMINANCE_UNITS if name == "L" else _CHROMATICITY_UNITS,)
        )


def read_hdr(frame: VideoFrame) -> HdrMetadata | None:
    """What the decoder attached to a frame, None when there is nothing."""
    display, light = "", None
    dynamic: list[str] = []
    attached: Any = frame.side_data
    for data in attached:
        raw = bytes(data)
        if data.type == Type.MASTERING_DISPLAY_METADATA and len(raw) >= _MASTERING.size:
            display = _mastering_display(_MASTERING.unpack_from(raw))
        elif data.type == Type.CONTENT_LIGHT_LEVEL and len(raw) >= _LIGHT.size:
            light = _LIGHT.unpack_from(raw)
        elif data.type in _DYNAMIC and _DYNAMIC[data.type] not in dynamic:
            dynamic.append(_DYNAMIC[data.type])
    if not display and light is None and not dynamic:
        return None
    return HdrMetadata(mastering_display=display, content_light=light, dynamic=tuple(dynamic))


def hdr_notes(
    hdr: HdrMetadata | None, encoder: str, *, carried: Collection[str] = ()
) -> tuple[str, ...]:
    """What is left out of the HDR metadata of a source.

    Args:
        hdr: Of the source.
        encoder: Of the output.
        carried: Kinds that are carried over picture by picture.
    """
    if hdr is None:
        return ()
    notes = [
        f"{name}: its metadata of each picture is left out{_instead(name)}; "
        "what describes the whole video stays"
        for name in hdr.dynamic
        if name not in carried
    ]
    if (hdr.mastering_display or hdr.content_light) and encoder not in STATIC_HDR_ENCODERS:
        notes.append(f"{encoder} does not write the mastering display of the source; libx265 does")
    return tuple(notes)


def _instead(name: str) -> str:
    """What would keep it."""
    if name in CARRIED:
        return " (from HEVC to libx265, unscaled, it is kept)"
    if name == DOLBY_VISION:
        return " (profile 8 is kept from MP4 and Matroska to libx265, unscaled)"
    return ""


def _mastering_display(values: tuple[int, ...]) -> str:
    """The text form, empty when the record is not complete."""
    if not (values[20] and values[21]) or 0 in values[1:20:2]:
        return ""
    rationals = [Fraction(values[i], values[i + 1]) for i in range(0, 20, 2)]
    points = [round(each * _CHROMATICITY_UNITS) for each in rationals[:8]]
    darkest, brightest = (round(each * _LUMINANCE_UNITS) for each in rationals[8:])
    red, green, blue, white = (f"({points[i]},{points[i + 1]})" for i in range(0, 8, 2))
    return f"G{green}B{blue}R{red}WP{white}L({brightest},{darkest})"
