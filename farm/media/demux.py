"""Reading packets out of a container, past what PyAV does not expect.

Not for: which packets count (`farm.media.index`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from av.container import InputContainer
from av.packet import Packet


def demuxed(container: InputContainer, *streams: Any) -> Iterator[Packet[Any]]:
    """Yield what `container.demux` yields, to the end of files that tell of streams late.

    In transport streams a stream may appear in mid-file. PyAV knows none but those of the
    beginning, drops the packets of others, and at the end asks for each of them, which fails when
    all that is known has been given.
    """
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            return
        if packet is None:
            return
        yield packet
