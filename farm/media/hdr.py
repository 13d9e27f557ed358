"""Static HDR metadata of a stream: the mastering display and the content light level.

Not for: dynamic metadata (HDR10+, Dolby Vision), which describes pictures as they were before.
"""

from __future__ import annotations

import struct
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HdrMetadata:
    """What a display must know of the display that the video was graded on."""

    mastering_display: str = ""
    """In the words of x265: `G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`, empty when not known."""
    content_light: tuple[int, int] | None = None
    """Brightest pixel and brightest frame average, in candela per square metre."""


def read_hdr(frame: VideoFrame) -> HdrMetadata | None:
    """What the decoder attached to a frame, None when there is nothing."""
    display, light = "", None
    attached: Any = frame.side_data
    for data in attached:
        raw = bytes(data)
        if data.type == Type.MASTERING_DISPLAY_METADATA and len(raw) >= _MASTERING.size:
            display = _mastering_display(_MASTERING.unpack_from(raw))
        elif data.type == Type.CONTENT_LIGHT_LEVEL and len(raw) >= _LIGHT.size:
            light = _LIGHT.unpack_from(raw)
    if not display and light is None:
        return None
    return HdrMetadata(mastering_display=display, content_light=light)


def _mastering_display(values: tuple[int, ...]) -> str:
    """The text form, empty when the record is not complete."""
    if not (values[20] and values[21]) or 0 in values[1:20:2]:
        return ""
    rationals = [Fraction(values[i], values[i + 1]) for i in range(0, 20, 2)]
    points = [round(each * _CHROMATICITY_UNITS) for each in rationals[:8]]
    darkest, brightest = (round(each * _LUMINANCE_UNITS) for each in rationals[8:])
    red, green, blue, white = (f"({points[i]},{points[i + 1]})" for i in range(0, 8, 2))
    return f"G{green}B{blue}R{red}WP{white}L({brightest},{darkest})"
