"""Running graphs of onnxruntime over memory that belongs to others, on a device or here.

What guarantees the order: decoder, onnxruntime and encoder share one CUDA context, but each has
streams of its own. So a graph begins only when all work of the context is done
(`synchronize_inputs`), and has ended when a run returns (`synchronize_outputs`).
Not for: what the graphs compute (`farm.media.device_graphs`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.errors import ChunkError, FarmError
from farm.models.placement import runs_wholly_on
from farm.models.session import PROVIDERS, SessionSettings, open_plain_session
from farm.precision import Precision

_DLPACK_TYPES = {"cpu": 1, "cuda": 2}
"""Numbers of device types in the dlpack protocol."""
_Dtype = type[np.uint8] | type[np.uint16]


class DeviceError(ChunkError):
    """A device does not do what it was asked for, or not as software does it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Lines of a plane in the memory of its frame, which somebody keeps alive meanwhile."""

    address: int
    rows: int
    columns: int
    """Samples of a line, its padding included."""
    dtype: _Dtype

    def band(self, top: int, bottom: int) -> Lines:
        """The lines from `top` up to `bottom`, exclusive."""
        skipped = top * self.columns * np.dtype(self.dtype).itemsize
        return replace(self, address=self.address + skipped, rows=bottom - top)


class GraphRuns:
    """Graphs on one device, each opened when it is first needed; for any thread."""

    def __init__(self, provider: str, device_id: int) -> None:
        """Run on a device of onnxruntime's, `cuda`, or here, `cpu`."""
        self._settings = SessionSettings(
            # TF32 would round what is added up.
            provider=provider, threads=1, device_id=device_id, precision=Precision.FP32
        )  # fmt: skip
        self._kind, self._device_id = provider, device_id
        self._sessions: dict[Hashable, Any] = {}
        self._opening = threading.Lock()

    def open(self, key: Hashable, graph: Callable[[], bytes]) -> Any:
        """The session of a graph.

        Raises:
            DeviceError: It does not run there, or not all of it.
        """
        with self._opening:
            if key not in self._sessions:
                try:
                    session = open_plain_session(graph(), self._settings)
                except FarmError as error:
                    raise DeviceError(error.message) from error
                full = PROVIDERS[self._kind]
                if self._settings.on_device and not runs_wholly_on(session, full):
                    raise DeviceError(f"{full} leaves parts of a graph over planes to the CPU")
                self._sessions[key] = session
            return self._sessions[key]

    def planes(self, frame: VideoFrame, dtype: _Dtype) -> list[Lines]:
        """Both planes of a frame as they lie in its memory.

        Raises:
            DeviceError: They lie elsewhere.
        """
        due = (_DLPACK_TYPES[self._kind], self._device_id)
        found = []
        for number, plane in enumerate(frame.planes):
            if plane.__dlpack_device__() != due or plane.line_size <= 0:
                raise DeviceError(f"a frame lies on device {plane.__dlpack_device__()}, not {due}")
            rows = frame.height if number == 0 else frame.height // 2
            columns = plane.line_size // np.dtype(dtype).itemsize
            found.append(Lines(address=plane.buffer_ptr, rows=rows, columns=columns, dtype=dtype))
        return found

    def run(
        self,
        session: Any,
        planes: Mapping[str, Lines],
        arrays: Mapping[str, NDArray[Any]],
        results: Mapping[str, NDArray[Any] | Lines],
    ) -> None:
        """Run a graph to its end.

        Args:
            session: From `open`.
            planes: Inputs that lie where their frame lies.
            arrays: Inputs in memory.
            results: Where outputs go: arrays in memory, or lines of a frame. Lines may be those of
                an input where the graph writes them by its last node alone.

        Raises:
            DeviceError: It failed.
        """
        try:
            binding = session.io_binding()
            for name, lines in planes.items():
                binding.bind_input(name, *self._bound(lines))
            for name, array in arrays.items():
                binding.bind_cpu_input(name, array)
            for name, result in results.items():
                there = self._bound(result) if isinstance(result, Lines) else _in_memory(result)
                binding.bind_output(name, *there)
            binding.synchronize_inputs()
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise DeviceError(f"a graph over planes failed: {reason}") from error

    def _bound(self, lines: Lines) -> tuple[str, int, _Dtype, list[int], int]:
        shape = [lines.rows, lines.columns]
        return self._kind, self._device_id, lines.dtype, shape, lines.address


def _in_memory(array: NDArray[Any]) -> tuple[str, int, Any, list[int], int]:
    return "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data
