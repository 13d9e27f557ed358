"""A second reference to a decoded picture, so that editing one of them leaves the other as it is.

Nothing is copied until either of them is edited. Not for: changing pictures.
"""

from __future__ import annotations

from fractions import Fraction

from av.filter import Graph
from av.video.frame import VideoFrame

_ANY_TIME_BASE = Fraction(1, 1000)


def second_reference(frame: VideoFrame) -> VideoFrame:
    """Return another frame with the same samples, flags and pts.

    `make_writable` of either copies the samples as long as both are there.
    """
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or _ANY_TIME_BASE,
    )
    sink = graph.add("buffersink")
    source.link_to(sink)
    graph.configure()
    source.push(frame)
    found = sink.pull()
    assert isinstance(found, VideoFrame)
    return found
