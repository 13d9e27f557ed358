"""Where chroma samples lie, which the headers of H.264 and HEVC say and decoded frames do not.

Not for: other colour tags (`farm.media.probe`).
"""

from __future__ import annotations

import re
from pathlib import Path

import av
import av.logging
from av.bitstream import BitStreamFilterContext

from farm.media.demux import demuxed
from farm.media.probe import open_container

CODECS = frozenset({"h264", "hevc"})
NAMES = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
"""By number, as libavutil counts them; 0 where nothing is said."""
_TYPE = re.compile(r"chroma_sample_loc_type_top_field\s+[01]+ = ([0-5])\b")


def chroma_location(path: Path, stream_index: int) -> int:
    """Place of chroma samples in `NAMES`, as the first headers of a stream say it.

    libavcodec tells it nowhere but in the log of the filter that reads headers.
    """
    with open_container(path) as container:
        stream = container.streams[stream_index]
        before = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            with av.logging.Capture(local=True) as log:
                reader = BitStreamFilterContext("trace_headers", stream)
                packet = next((p for p in demuxed(container, stream) if p.size), None)
                if packet is not None:
                    reader.filter(packet)
        except av.FFmpegError:
            return 0
        finally:
            av.logging.set_level(before)
    found = next((m for _, _, line in log if (m := _TYPE.search(line))), None)
    return 0 if found is None else int(found[1]) + 1
