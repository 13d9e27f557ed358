"""Where TensorRT keeps the engines that it builds: one folder per model, driver and device.

An engine that was built for another model or device is of no use, and one of another driver may
not load. Not for: building them, which TensorRT does when a session is opened.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from farm.models.hashes import sha256_of

_DRIVER = Path("/proc/driver/nvidia")


def engine_dir(cache: Path, model: Path | bytes, device_id: int, driver: Path = _DRIVER) -> Path:
    """Folder for the engines of a model on a device; made if missing.

    Args:
        cache: Folder of all engines.
        model: File or bytes of the model.
        device_id: Number of the device.
        driver: Where the NVIDIA driver tells of itself.
    """
    digest = hashlib.sha256(model).hexdigest() if isinstance(model, bytes) else sha256_of(model)
    folder = cache / f"{digest[:16]}-{_driver_version(driver)}-{_device_name(driver, device_id)}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _driver_version(driver: Path) -> str:
    try:
        text = (driver / "version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "driver"
    found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return found[1] if found else "driver"


def _device_name(driver: Path, device_id: int) -> str:
    """Name of a GPU, in the order in which the driver lists them."""
    gpus = sorted((driver / "gpus").glob("*/information"))
    if device_id >= len(gpus):
        return f"device{device_id}"
    text = gpus[device_id].read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^Model:\s*(.+)$", text, re.MULTILINE)
    return re.sub(r"\W+", "_", found[1].strip()) if found else f"device{device_id}"
