"""Inference sessions with the provider, device and threads that the farm decided on.

Every network of the farm runs in a session opened here, so that a provider that does not load is an
error with its fix and never a silent run on the CPU.
Not for: finding model files (`farm.models.store`) or knowing what is in them (`farm.models.graph`).
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from farm.errors import ModelError, ProviderError
from farm.models.device_session import Buffers, DeviceSession
from farm.models.engines import engine_dir
from farm.models.graph import without_weights
from farm.models.half import half_copy
from farm.models.placement import RECORD_PLACEMENT, require_placement
from farm.models.store import default_models_dir
from farm.names import require_known
from farm.precision import Precision

log = logging.getLogger(__name__)

PROVIDERS: dict[str, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Short name to onnxruntime's name, best first."""

MAX_BATCH = 32
MOST_DEVICE_THREADS = 16
_DEVICE_NAMES = {
    "tensorrt": "cuda",
    "cuda": "cuda",
    "migraphx": None,
    "rocm": None,
    "directml": None,
}
"""Providers of devices, and onnxruntime's name of the device where buffers can stay on it."""
_DAMAGED = frozenset({"InvalidProtobuf", "InvalidGraph", "NoSuchFile", "NoModel"})
_FIX = {
    "tensorrt": "install TensorRT's libraries, or take --execution-provider cuda",
    "cuda": "see that the NVIDIA driver works (nvidia-smi) and that the GPU requirements are "
    "installed, or take --execution-provider cpu",
    "openvino": "install onnxruntime-openvino in an environment of its own, "
    "or take --execution-provider cpu",
    "directml": "install onnxruntime-directml in an environment of its own (Windows), "
    "or take --execution-provider cpu",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How the networks of one worker run."""

    provider: str
    """Short name, a key of `PROVIDERS`."""
    threads: int
    """Threads of one network on the CPU; other providers use them for what stays on the CPU."""
    device_id: int = 0
    batch: int = MAX_BATCH
    """Items that go through a network together on a device, where memory allows it."""
    precision: Precision = Precision.TF32
    """Of a device."""
    cuda_graphs: bool = False
    """Whether CUDA records the work of a batch once and replays it."""
    engines: Path | None = None
    """Where TensorRT keeps what it builds; None takes a folder below the user's cache."""

    def for_decisions(self) -> SessionSettings:
        """The same for networks that find and know faces: 16 bits are for pictures only."""
        if self.precision is not Precision.FP16:
            return self
        return replace(self, precision=Precision.TF32)

    @property
    def on_device(self) -> bool:
        """Whether networks run elsewhere than on the CPU's own cores and memory."""
        return self.provider in _DEVICE_NAMES

    def __post_init__(self) -> None:
        require_known("--execution-provider", self.provider, PROVIDERS)
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, not {self.threads}")


def available_providers() -> tuple[str, ...]:
    """Short names of the providers that the installed onnxruntime was built with, best first.

    A provider listed here need not work on this machine: see `choose_provider`.
    """
    built_in = set(_runtime().get_available_providers())
    return tuple(short for short, full in PROVIDERS.items() if full in built_in)


def choose_provider(asked: str | None) -> str:
    """The provider to run on: the one asked for, or the best that really loads on this machine.

    Raises:
        SettingsError: `asked` is no provider's name.
        ProviderError: The one asked for is not there or does not load.
    """
    if asked is not None:
        short = asked.casefold()
        require_known("--execution-provider", short, PROVIDERS)
        _probe(short)
        return short
    for short in available_providers():
        try:
            _probe(short)
        except ProviderError as error:
            log.debug("%s is no choice: %s", short, error)
        else:
            return short
    raise ProviderError("onnxruntime has no provider that loads: install the requirements again")


def execution_threads(provider: str, cores: int) -> int:
    """Threads that a worker with `cores` cores gives to its networks."""
    if provider in ("cuda", "tensorrt"):
        return max(1, min(cores, MOST_DEVICE_THREADS))
    if provider in ("directml", "rocm", "migraphx"):
        return 1
    return max(4, cores - 2)


def batch_size(frames: int, threads: int) -> int:
    """Frames that go through the networks together, before memory bounds it."""
    return max(1, min(MAX_BATCH, frames // max(1, threads)))


def open_session(model: Path | bytes, settings: SessionSettings) -> Any:
    """A session of `model` on exactly the provider of `settings`.

    An `onnxruntime.InferenceSession`, on a device within a `DeviceSession`.

    Raises:
        ModelError: The file cannot be read or is no ONNX model.
        ProviderError: The provider is not there, did not load, or left most of the graph to the
            CPU.
    """
    session = open_plain_session(model, settings)
    return on_device(session, settings) if settings.on_device else session


def open_plain_session(model: Path | bytes, settings: SessionSettings) -> Any:
    """The same as onnxruntime's own session, also on a device."""
    runtime = _runtime()
    _require_built_in(settings.provider)
    _preload(settings.provider)
    if settings.on_device and settings.precision is Precision.FP16 and isinstance(model, Path):
        model = half_copy(model, default_models_dir().parent / "fp16")
    try:
        session = runtime.InferenceSession(
            model if isinstance(model, bytes) else str(model),
            sess_options=_options(runtime, settings),
            providers=_provider_list(settings, model),
            enable_fallback=False,
        )
    except Exception as error:
        raise _open_error(model, settings.provider, error) from error
    _require_loaded(session.get_providers(), settings.provider)
    if settings.on_device:
        require_placement(session, settings.provider, _said_name(model))
    return session


def check_graph(path: Path) -> list[list[object]]:
    """See that the graph of a model can be run, before anything starts and without its weights.

    Returns:
        The shapes of what it gives, as the graph states them.

    Raises:
        ModelError: It cannot be run.
    """
    runtime, options = _runtime(), _options(_runtime(), SessionSettings(provider="cpu", threads=1))
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    given = [PROVIDERS["cpu"]]
    try:
        session = runtime.InferenceSession(without_weights(path), options, providers=given)
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 - what it is shows when all of it is loaded
        log.debug("%s does not load without its weights: %s", path, error)
        session = open_session(path, SessionSettings(provider="cpu", threads=1))
    return [list(each.shape) for each in session.get_outputs()]


def on_device(session: Any, settings: SessionSettings) -> DeviceSession:
    """A session with the batches and buffers of a device."""
    name = _DEVICE_NAMES.get(settings.provider)
    bound = None if name is None else Buffers(session, name, settings.device_id)
    return DeviceSession(session, batch=settings.batch, bound=bound)


def _options(runtime: ModuleType, settings: SessionSettings) -> Any:
    """Session options: the farm's threads, the same sums in every run, only errors logged."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    # Threads that spin while they wait would take the cores of the decoder and the encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if settings.on_device:
        options.add_session_config_entry(RECORD_PLACEMENT, "1")
    return options


def _provider_list(
    settings: SessionSettings, model: Path | bytes
) -> list[tuple[str, dict[str, str]]]:
    """The provider asked for first; behind it only what may take nodes that it cannot run."""
    device = {"device_id": str(settings.device_id)}
    cpu: tuple[str, dict[str, str]] = (PROVIDERS["cpu"], {})
    match settings.provider:
        case "cpu":
            return [cpu]
        case "cuda":
            return [(PROVIDERS["cuda"], device | _cuda_options(settings)), cpu]
        case "tensorrt":
            rtx = device | _tensorrt_options(settings, model)
            cuda = device | _cuda_options(settings)
            return [(PROVIDERS["tensorrt"], rtx), (PROVIDERS["cuda"], cuda), cpu]
        case "rocm" | "migraphx" | "directml":
            return [(PROVIDERS[settings.provider], device), cpu]
        case _:
            return [(PROVIDERS[settings.provider], {}), cpu]


def _cuda_options(settings: SessionSettings) -> dict[str, str]:
    return {
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": str(int(settings.precision is not Precision.FP32)),
        "enable_cuda_graph": str(int(settings.cuda_graphs)),
    }


def _tensorrt_options(settings: SessionSettings, model: Path | bytes) -> dict[str, str]:
    """Engines take minutes to build, so they are kept."""
    base = settings.engines or default_models_dir().parent / "engines"
    folder = str(engine_dir(base, model, settings.device_id))
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
    }


def _require_built_in(short: str) -> None:
    """Refuse a provider that the installed onnxruntime was built without."""
    there = available_providers()
    if short not in there:
        raise ProviderError(
            f"--execution-provider {short}: the installed onnxruntime has only "
            f"{', '.join(there)}; {_fix(short)}"
        )


def _require_loaded(loaded: list[str], short: str) -> None:
    """Refuse a session that runs on another provider than the one asked for."""
    if not loaded or loaded[0] != PROVIDERS[short]:
        raise ProviderError(
            f"--execution-provider {short} did not load (onnxruntime took "
            f"{', '.join(loaded) or 'none'}); {_fix(short)}"
        )


def _open_error(model: Path | bytes, short: str, error: Exception) -> ModelError | ProviderError:
    """The farm's error for what onnxruntime raised while a session was opened."""
    reason = " ".join(str(error).split())[:200]
    if short == "cpu" or type(error).__name__ in _DAMAGED:
        return ModelError(f"{_said_name(model)} is not an ONNX model that can be run: {reason}")
    return ProviderError(f"--execution-provider {short} did not load: {reason}; {_fix(short)}")


def _said_name(model: Path | bytes) -> str:
    return "a model" if isinstance(model, bytes) else str(model)


def _fix(short: str) -> str:
    return _FIX.get(short, "take --execution-provider cpu, or leave the option out")


def try_provider(short: str, device_id: int) -> None:
    """Run a network of one node on a device.

    Raises:
        ProviderError: The provider is not there, or does not load on that device.
    """
    session = open_session(
        _one_node_model(), SessionSettings(provider=short, threads=1, device_id=device_id)
    )
    try:
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ProviderError(
            f"--execution-provider {short} loads and does not run on device {device_id}: "
            f"{reason}; {_fix(short)}"
        ) from error


@functools.cache
def _probe(short: str) -> None:
    """Run a network of one node on the provider, on device 0."""
    try_provider(short, 0)


def _one_node_model() -> bytes:
    """A network that hands its input through, as the bytes of an ONNX file."""
    from onnx import TensorProto, helper

    tensor = functools.partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "probe",
        [tensor("x", shape=[1])],
        [tensor("y", shape=[1])],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return bytes(model.SerializeToString())


@functools.cache
def _preload(short: str) -> None:
    """Load NVIDIA's libraries from the wheels that the requirements install."""
    preload = getattr(_runtime(), "preload_dlls", None)
    if short not in ("cuda", "tensorrt") or preload is None:
        return
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        preload()
    if said.getvalue():
        log.debug("preload_dlls: %s", said.getvalue().strip())


@functools.cache
def _runtime() -> ModuleType:
    """The onnxruntime module, loaded on first use and with its telemetry off."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ProviderError(
            f"onnxruntime cannot be loaded ({error}): run facefarm doctor"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise ProviderError("onnxruntime is damaged: install the requirements again")
    onnxruntime.disable_telemetry_events()
    runtime: ModuleType = onnxruntime
    return runtime
