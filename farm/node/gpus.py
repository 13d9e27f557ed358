"""NVIDIA's GPUs as the driver's own library (NVML) tells of them, without starting CUDA.

Not for: whether a network runs on them (`farm.node.examine`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType

from farm.node.facts import GpuFacts


class NvmlAbsentError(Exception):
    """There is no NVIDIA driver."""


class NvmlBrokenError(Exception):
    """There is a driver, and it does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLoad:
    """What a GPU does at one moment."""

    used_bytes: int
    utilisation: float
    """Share of the last moments in which a kernel ran, 0 to 1."""


def list_gpus() -> tuple[GpuFacts, ...]:
    """Return the GPUs, none where there is no driver.

    Raises:
        NvmlBrokenError: The driver is there and does not answer.
    """
    try:
        with _nvml() as nvml:
            driver = _text(nvml.nvmlSystemGetDriverVersion())
            return tuple(_gpu(nvml, n, driver) for n in range(nvml.nvmlDeviceGetCount()))
    except NvmlAbsentError:
        return ()


def gpu_load(uuid: str) -> GpuLoad | None:
    """Return what a GPU does now, None where it cannot be asked."""
    with suppress(NvmlAbsentError, NvmlBrokenError), _nvml() as nvml:
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        return GpuLoad(
            used_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).used),
            utilisation=nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
        )
    return None


def _gpu(nvml: ModuleType, device: int, driver: str) -> GpuFacts:
    handle = nvml.nvmlDeviceGetHandleByIndex(device)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return GpuFacts(
        device=device,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(memory.total),
        free_bytes=int(memory.free),
        driver=driver,
    )


@contextmanager
def _nvml() -> Iterator[ModuleType]:
    """Give the library, ready; its errors become those of this module."""
    import pynvml

    absent = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    try:
        pynvml.nvmlInit()
        try:
            yield pynvml
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        if getattr(error, "value", None) in absent:
            raise NvmlAbsentError from error
        raise NvmlBrokenError(f"the NVIDIA driver does not answer ({error})") from error


def _text(value: str | bytes) -> str:
    """Return what older versions of the library give as bytes."""
    return value.decode() if isinstance(value, bytes) else value
