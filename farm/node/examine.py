"""Finding out what this machine really has: everything that matters is tried, not believed.

Runs on the machine in question, best in a process of its own: what was tried on a GPU keeps memory
there until the process ends. A part that breaks becomes a fact, never an error.
Not for: reports to people about one machine (`farm.doctor`).
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from farm.environment import explain_import_error, farm_version, installed_version
from farm.errors import FarmError
from farm.node.facts import GpuFacts, NodeFacts, Questions, Trial
from farm.node.gpus import NvmlBrokenError, list_gpus
from farm.node.processor import usable_cores

GPU_PROVIDERS = frozenset({"tensorrt", "cuda"})
"""Those that are tried on each GPU; others know one device only."""
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_NEEDED = ("av", "cv2", "numpy", "onnxruntime")
_ONNXRUNTIMES = ("onnxruntime-gpu", "onnxruntime", "onnxruntime-openvino", "onnxruntime-directml")
_OPENCVS = ("opencv-python", "opencv-python-headless")


def examine_node(questions: Questions) -> NodeFacts:
    """Return what this machine has, with the answers to `questions`."""
    facts = NodeFacts(
        name=socket.gethostname(),
        cores=usable_cores(),
        memory_bytes=usable_memory_bytes(),
        disk_free_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        clock_s=time.time(),
        versions=decisive_versions(),
        problem=_missing_library(),
    )
    if facts.problem:
        return facts
    gpus, gpu_problem = _gpus()
    # CUDA would count the fastest first, the driver does not.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    gpus = tuple(_try_gpu(gpu, place, questions.providers) for place, gpu in enumerate(gpus))
    return replace(
        facts,
        gpus=gpus,
        gpu_problem=gpu_problem,
        providers=tuple(_try_providers(questions.providers, gpus)),
        encoders=tuple(_try_encoders(questions.encoders)),
        ffmpeg=_try_ffmpeg(),
    )


def usable_memory_bytes() -> int:
    """Return the memory of this machine, or less where its control group is limited."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def decisive_versions() -> dict[str, str]:
    """Return the versions that must agree between driver and workers; see `DECISIVE`."""
    versions = {
        "python": platform.python_version(),
        "facefarm": farm_version(),
        "ray": installed_version("ray"),
        "av": installed_version("av"),
        "numpy": installed_version("numpy"),
        "onnxruntime": _first_version(_ONNXRUNTIMES),
        "opencv": _first_version(_OPENCVS),
    }
    return {name: version for name, version in versions.items() if version is not None}


def _first_version(distributions: Iterable[str]) -> str | None:
    """Return the version of the first distribution that is installed."""
    return next(filter(None, map(installed_version, distributions)), None)


def _missing_library() -> str:
    """Say which library cannot be loaded, nothing where all can."""
    for module in _NEEDED:
        try:
            importlib.import_module(module)
        except ImportError as error:
            return explain_import_error(error).message
    return ""


def _gpus() -> tuple[tuple[GpuFacts, ...], str]:
    """Return the GPUs, and what is wrong with the driver."""
    try:
        return visible(list_gpus(), os.environ.get(_VISIBLE)), ""
    except NvmlBrokenError as error:
        return (), str(error)


def visible(gpus: tuple[GpuFacts, ...], said: str | None) -> tuple[GpuFacts, ...]:
    """Return the GPUs that CUDA shows, in its order, which ends at the first name that is unknown.

    Args:
        gpus: All of the machine.
        said: The variable CUDA_VISIBLE_DEVICES: numbers or names, None where it is not set.
    """
    if said is None:
        return gpus
    seen: list[GpuFacts] = []
    for name in filter(None, (part.strip() for part in said.split(","))):
        found = [g for g in gpus if name == str(g.device) or g.uuid.startswith(name)]
        if not found:
            break
        seen.append(found[0])
    return tuple(seen)


def _try_gpu(gpu: GpuFacts, place: int, asked: tuple[str, ...] | None) -> GpuFacts:
    """Try the providers on one GPU, which CUDA counts as `place`."""
    names = [name for name in _wanted_providers(asked) if name in GPU_PROVIDERS]
    return replace(gpu, trials=tuple(_try_provider(name, place) for name in names))


def _try_providers(asked: tuple[str, ...] | None, gpus: tuple[GpuFacts, ...]) -> Iterable[Trial]:
    """Try every provider; those of the GPUs have been."""
    for name in _wanted_providers(asked):
        if name in GPU_PROVIDERS and gpus:
            tried = [trial for gpu in gpus for trial in gpu.trials if trial.name == name]
            yield min(tried, key=lambda trial: trial.problem != "")
        else:
            yield _try_provider(name, 0)


def _wanted_providers(asked: tuple[str, ...] | None) -> tuple[str, ...]:
    from farm.models.session import available_providers

    return available_providers() if asked is None else asked


def _try_provider(name: str, device: int) -> Trial:
    from farm.models.session import try_provider

    try:
        try_provider(name, device)
    except FarmError as error:
        return Trial(name=name, problem=error.message)
    return Trial(name=name)


def _try_encoders(asked: tuple[str, ...] | None) -> Iterable[Trial]:
    """Encode and decode back with every encoder."""
    from farm.encoder_trial import try_encoder
    from farm.media.encoder_names import HARDWARE_CODECS, SOFTWARE_CODECS, is_listed

    known = (*SOFTWARE_CODECS, *HARDWARE_CODECS)
    names = tuple(name for name in known if is_listed(name)) if asked is None else asked
    for name in names:
        yield Trial(name=name, problem=try_encoder(name) or "")


def _try_ffmpeg() -> Trial:
    """Run the ffmpeg that the final task would use."""
    from farm.media.ffmpeg import find_ffmpeg

    try:
        find_ffmpeg()
    except FarmError as error:
        return Trial(name="ffmpeg", problem=error.message)
    return Trial(name="ffmpeg")
