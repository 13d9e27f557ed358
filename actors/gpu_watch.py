"""Watching the GPUs of a node while a worker is tried there.

Not for: listing them (`farm.node.gpus`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from farm.node.gpus import GpuLoad, gpu_load

_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """What a worker took of the GPU that it used most."""

    memory_bytes: int
    utilisation: float
    """Mean share of the time in which it computed, 0 to 1."""


class GpuWatch:
    """Samples the GPUs of its node from `begin` to `end`; a plain class that is made an actor."""

    def __init__(
        self, uuids: Sequence[str], load: Callable[[str], GpuLoad | None] = gpu_load
    ) -> None:
        self._load = load
        self._before = {uuid: load(uuid) for uuid in uuids}
        self._peak = dict.fromkeys(uuids, 0)
        self._shares: dict[str, list[float]] = {uuid: [] for uuid in uuids}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-watch", daemon=True)

    def begin(self) -> None:
        """Start to sample."""
        self._thread.start()

    def end(self) -> GpuUse:
        """Stop, and return what was seen: of the GPU whose memory grew most."""
        self._stop.set()
        self._thread.join()
        self._sample()
        grown = {uuid: self._grown(uuid) for uuid in self._before}
        used = max(grown, key=grown.__getitem__)
        shares = self._shares[used] or [1.0]
        return GpuUse(memory_bytes=grown[used], utilisation=sum(shares) / len(shares))

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self._sample()

    def _sample(self) -> None:
        for uuid, shares in self._shares.items():
            if (load := self._load(uuid)) is not None:
                self._peak[uuid] = max(self._peak[uuid], load.used_bytes)
                shares.append(load.utilisation)

    def _grown(self, uuid: str) -> int:
        before = self._before[uuid]
        return max(0, self._peak[uuid] - (before.used_bytes if before is not None else 0))
