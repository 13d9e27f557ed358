"""A session on a device: batches of one fixed size, buffers that stay, less where memory is short.

A device may pick another way to add numbers for each size of batch, so every run has the same size
and what is missing is filled up: how frames fall into batches then changes nothing.
Not for: opening sessions (`farm.models.session`); on CPUs batches of any size agree.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.errors import ProviderError

log = logging.getLogger(__name__)

Feeds = Mapping[str, NDArray[Any]]
_SHORT_OF_MEMORY = (
    "failed to allocate memory",
    "out of memory",
    "out_of_memory",
    "outofmemory",
    "alloc_failed",
    "bad allocation",
    "bad_alloc",
)
"""What onnxruntime's messages say when a device, its libraries or the host have no memory left."""


class DeviceSession:
    """Looks like onnxruntime's session; takes any number of items where the graph does.

    Runs are one at a time, from whatever thread they come.
    """

    def __init__(self, session: Any, *, batch: int, bound: Buffers | None = None) -> None:
        """Take the session.

        Args:
            session: An `onnxruntime.InferenceSession`, or what looks like one.
            batch: Items that go through together.
            bound: Buffers on the device; None lets every run copy for itself.
        """
        self._session = session
        self._bound = bound
        self._lock = threading.Lock()
        self._batch = batch if _takes_batches(session) else 0
        """0 where the graph takes what it is given as it is."""

    @property
    def batch(self) -> int:
        """Items that go through together at present."""
        return max(1, self._batch)

    def get_inputs(self) -> Sequence[Any]:
        """What the graph takes, as onnxruntime says it."""
        return self._session.get_inputs()  # type: ignore[no-any-return]

    def get_outputs(self) -> Sequence[Any]:
        """What the graph gives, as onnxruntime says it."""
        return self._session.get_outputs()  # type: ignore[no-any-return]

    def get_providers(self) -> list[str]:
        """Full names of the providers, the one asked for first."""
        return self._session.get_providers()  # type: ignore[no-any-return]

    def run(self, _names: Sequence[str] | None, feeds: Feeds) -> list[NDArray[Any]]:
        """All outputs for the feeds, [n, ...] each.

        Raises:
            ProviderError: The device has no memory even for one item.
        """
        with self._lock:
            if not self._batch:
                return self._once(feeds)
            count = len(next(iter(feeds.values())))
            parts: list[list[NDArray[Any]]] = []
            start = 0
            while start < count:
                size = self._batch
                part = self._padded({n: v[start : start + size] for n, v in feeds.items()}, size)
                if part is not None:
                    parts.append([each[: min(size, count - start)] for each in part])
                    start += size
            return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _padded(self, feeds: Feeds, size: int) -> list[NDArray[Any]] | None:
        """Outputs of a part filled up to `size`; None where memory was short and less is tried."""
        full = {name: _filled(value, size) for name, value in feeds.items()}
        try:
            return self._once(full)
        except ProviderError:
            raise
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise _no_memory(error) from error
            self._batch = size // 2
            if self._bound is not None:
                self._bound.clear()
            log.warning(
                "the device has no memory for %d pictures at once: going on with %d",
                size,
                size // 2,
            )
            return None

    def _once(self, feeds: Feeds) -> list[NDArray[Any]]:
        if self._bound is not None:
            return self._bound.run(feeds)
        return list(self._session.run(None, dict(feeds)))


class Buffers:
    """Inputs and outputs that stay on the device, one set for each shape of input."""

    def __init__(self, session: Any, device: str, device_id: int) -> None:
        """Take the session and onnxruntime's name of the device (`cuda`, `cpu`)."""
        self._session = session
        self._device = (device, device_id)
        self._sets: dict[tuple[Any, ...], tuple[Any, dict[str, Any], list[Any]]] = {}

    def run(self, feeds: Feeds) -> list[NDArray[Any]]:
        """All outputs; what is copied are the feeds and the results, nothing is allocated anew."""
        key = tuple((name, value.shape, value.dtype.str) for name, value in feeds.items())
        if key not in self._sets:
            first = self._session.run(None, dict(feeds))
            self._sets[key] = self._bind(feeds, first)
            return list(first)
        binding, inputs, outputs = self._sets[key]
        for name, value in feeds.items():
            inputs[name].update_inplace(np.ascontiguousarray(value))
        self._session.run_with_iobinding(binding)
        return [np.array(output.numpy()) for output in outputs]

    def clear(self) -> None:
        """Give the buffers back."""
        self._sets.clear()

    def _bind(
        self, feeds: Feeds, given: Sequence[NDArray[Any]]
    ) -> tuple[Any, dict[str, Any], list[Any]]:
        """Buffers for inputs and outputs of these shapes, bound."""
        from onnxruntime import OrtValue

        binding = self._session.io_binding()
        inputs = {
            name: OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value), *self._device)
            for name, value in feeds.items()
        }
        outputs = [
            OrtValue.ortvalue_from_shape_and_type(list(each.shape), each.dtype, *self._device)
            for each in given
        ]
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for told, value in zip(self._session.get_outputs(), outputs, strict=True):
            binding.bind_ortvalue_output(told.name, value)
        return binding, inputs, outputs


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of a run says that there is no memory left."""
    said = str(error).casefold()
    return isinstance(error, MemoryError) or any(words in said for words in _SHORT_OF_MEMORY)


def _takes_batches(session: Any) -> bool:
    """Whether the first length of every input and output is left open."""
    shapes = [each.shape for each in (*session.get_inputs(), *session.get_outputs())]
    return all(shape and not isinstance(shape[0], int) for shape in shapes)


def _filled(value: NDArray[Any], size: int) -> NDArray[Any]:
    """The items, and the last one again until there are `size`."""
    if len(value) == size:
        return value
    return np.concatenate([value, np.repeat(value[-1:], size - len(value), axis=0)])


def _no_memory(error: Exception) -> ProviderError:
    reason = " ".join(str(error).split())[:200]
    return ProviderError(
        f"the device has no memory for one picture ({reason}): take fewer --workers, end what else "
        "uses it, or take --execution-provider cpu"
    )
