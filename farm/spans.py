"""When each stage of a chunk was at work and how long it waited: what the timeline is drawn from.

Not for: adding up stages over a job (`cluster.tally`), or what they take (`farm.meters`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class StageSpan:
    """One stage of one chunk."""

    begin_s: float
    """Seconds since 1970, by the clock of the worker's node."""
    end_s: float
    waited_s: float = 0.0
    """Of the time between, waiting for its input or for room behind it."""


class SpanBook:
    """The stages of one chunk; written by the threads of a pipeline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.spans: dict[str, StageSpan] = {}

    def note(self, stage: str, begin_s: float, end_s: float, waited_s: float = 0.0) -> None:
        """Widen a stage to a stretch in which it was at work or waited."""
        with self._lock:
            span = self.spans.setdefault(stage, StageSpan(begin_s=begin_s, end_s=end_s))
            span.begin_s = min(span.begin_s, begin_s)
            span.end_s = max(span.end_s, end_s)
            span.waited_s += waited_s

    def note_wait(self, stage: str, begin_s: float, end_s: float) -> None:
        """Note waiting for input, where the stage has begun: before that it was another chunk's."""
        if stage in self.spans:
            self.note(stage, begin_s, end_s, end_s - begin_s)

    @contextmanager
    def working(self, stage: str) -> Iterator[None]:
        """Note the time of the block as work."""
        began = time.time()
        try:
            yield
        finally:
            self.note(stage, began, time.time())

    @contextmanager
    def waiting(self, stage: str) -> Iterator[None]:
        """Note the time of the block as waiting."""
        began = time.time()
        try:
            yield
        finally:
            ended = time.time()
            self.note(stage, began, ended, ended - began)
