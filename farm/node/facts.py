"""What one machine has, as records that cross to the driver and into JSON.

Not for: finding it out (`farm.node.examine`) or deciding on it (`scheduler.workers`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

DECISIVE = ("av", "numpy", "onnxruntime", "opencv")
"""Libraries whose version may show in the pixels: all workers of a job need the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is to be tried on a machine; each trial costs time."""

    providers: tuple[str, ...] | None = None
    """Short names; None tries all that the machine's onnxruntime was built with."""
    encoders: tuple[str, ...] | None = None
    """Names; None tries all that are built in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying one thing."""

    name: str
    problem: str = ""
    """Why it does not work; empty where it does."""

    @property
    def works(self) -> bool:
        """Whether it passed."""
        return not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """One GPU as its driver tells."""

    device: int
    """Number by which the driver counts it, 0 first."""
    uuid: str
    name: str
    memory_bytes: int
    free_bytes: int
    """What nobody used at that moment."""
    driver: str
    trials: tuple[Trial, ...] = ()
    """Execution providers, each tried on this device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One machine."""

    name: str
    """Host name."""
    cores: int
    memory_bytes: int
    disk_free_bytes: int
    """In its folder for temporary files."""
    clock_s: float
    """Seconds since 1970 by its clock when it was asked."""
    gpus: tuple[GpuFacts, ...] = ()
    gpu_problem: str = ""
    """Why the driver cannot list GPUs, where it is there and broken."""
    providers: tuple[Trial, ...] = ()
    """Best first. One that needs a GPU passes where it passes on any device."""
    encoders: tuple[Trial, ...] = ()
    ffmpeg: Trial = field(default_factory=lambda: Trial(name="ffmpeg"))
    versions: dict[str, str] = field(default_factory=dict)
    """Of Python, facefarm, Ray and the libraries in `DECISIVE`."""
    problem: str = ""
    """Why it cannot render at all; empty where it can."""

    @property
    def working_providers(self) -> tuple[str, ...]:
        """Short names of those that passed, best first."""
        return tuple(trial.name for trial in self.providers if trial.works)

    def sound_gpus(self, provider: str) -> tuple[GpuFacts, ...]:
        """Return the GPUs on which an execution provider passed."""
        return tuple(g for g in self.gpus if Trial(name=provider) in g.trials)

    def encoder(self, name: str) -> Trial:
        """Return what came of trying an encoder."""
        for trial in self.encoders:
            if trial.name == name:
                return trial
        return Trial(name=name, problem="was not tried")
