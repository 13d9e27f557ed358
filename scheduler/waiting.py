"""The chunks that wait: stretches of one lane each, longest first, else in the order of the file.

Not for: who gets them (`scheduler.dispatch`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import groupby

from scheduler.chunks import Chunk

_Key = tuple[int, int, int]
"""Length class, first position, position after the last."""


class WaitingChunks:
    """Positions in a list of chunks that nobody has in hand; each operation costs O(log n).

    A stretch is a range of positions: chunks of one lane that follow each other. Its length class
    is the logarithm of its frames over the usual number, so that what is about equally long stays
    in the order of the file, which is then read from the front to the back.
    """

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        """Let all of them wait."""
        self._chunks = chunks
        self.frames = 0
        """Frames of all that wait."""
        stretches = list(_stretches(chunks))
        lengths = sorted(self._frames(each) for each in stretches)
        self._usual = lengths[len(lengths) // 2] if lengths else 1
        self._first = sorted(map(self._key, stretches), reverse=True)
        """What has waited from the beginning, the next one at the end."""
        self._again: list[_Key] = []
        """Heap of what was put back."""
        self.frames = sum(lengths)

    def __len__(self) -> int:
        """Number of stretches that wait."""
        return len(self._first) + len(self._again)

    def put_back(self, stretch: range) -> None:
        """Let a stretch wait again, before all others of its length."""
        if stretch:
            heappush(self._again, self._key(stretch))
            self.frames += self._frames(stretch)

    def take(self, frames: float) -> list[range]:
        """Take the next stretch, and its neighbours as long as all have no more than `frames`."""
        taken: list[range] = []
        have = 0
        while (key := self._next()) is not None:
            stretch = range(key[1], key[2])
            more = self._frames(stretch)
            if taken and (taken[-1].stop != stretch.start or have + more > frames):
                break
            heappop(self._again) if self._again and self._again[0] == key else self._first.pop()
            self.frames -= more
            have += more
            taken.append(stretch)
        return taken

    def _next(self) -> _Key | None:
        """Return the key of what comes next, what was put back before its equals."""
        if self._again and (not self._first or self._again[0][0] <= self._first[-1][0]):
            return self._again[0]
        return self._first[-1] if self._first else None

    def _key(self, stretch: range) -> _Key:
        frames = max(1, self._frames(stretch))
        return -round(math.log2(frames / self._usual)), stretch.start, stretch.stop

    def _frames(self, stretch: range) -> int:
        return self._chunks[stretch.stop - 1].frame_stop - self._chunks[stretch.start].frame_start


def _stretches(chunks: Sequence[Chunk]) -> list[range]:
    """Return the positions of each lane that is there in one piece; finished chunks tear it."""
    found = []
    for _, group in groupby(
        range(len(chunks)), lambda i: (chunks[i].lane, chunks[i].chunk_index - i)
    ):
        positions = list(group)
        found.append(range(positions[0], positions[-1] + 1))
    return found
