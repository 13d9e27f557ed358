"""Finding the fastest way to render on this machine, by short measured trials.

Each way renders the same stretch of the clip, the ways in turns, so that other work on the machine
hits all of them; the median decides. Not for: keeping the result (`farm.profile`).
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from farm.command import CommandResult, Say
from farm.environment import check_environment
from farm.errors import ProviderError
from farm.observer import NullObserver
from farm.precision import Precision
from farm.preflight import check_render
from farm.profile import Profile, describe, now_text, store_profile, this_version
from farm.scratch import scratch_folder
from farm.settings import RenderSettings
from farm.stop import StopRequest

_ON_DEVICES = ("cuda", "tensorrt", "rocm", "migraphx", "directml")
_NEARLY = 0.97
"""Share of the best speed from which a way with fewer workers is as good: it takes less memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to render."""

    workers: int
    """0 stands for a render that nothing was tuned for."""
    threads: int
    provider: str
    precision: Precision

    @property
    def untuned(self) -> bool:
        """Whether it is what a render does that nothing was tuned for."""
        return self.workers == 0

    def applied(self, settings: RenderSettings) -> RenderSettings:
        """The settings that render this way."""
        if self.untuned:
            return settings
        return replace(
            settings,
            workers=self.workers,
            execution_threads=self.threads,
            execution_provider=self.provider,
            processors=replace(settings.processors, precision=self.precision),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How fast a way was."""

    way: Way
    fps: float
    """Median over the rounds."""
    rounds: tuple[float, ...]


def ways_to_try(providers: Sequence[str], cores: int, precision: Precision) -> list[Way]:
    """Workers, threads, providers and precisions that may be fastest, without repetition.

    Args:
        providers: Short names of those that load here.
        cores: Of this machine.
        precision: What the user asked for; on devices half precision is tried beside it.
    """
    found = [
        Way(workers=workers, threads=threads, provider=provider, precision=each)
        for provider in providers
        for each in _precisions(provider, precision)
        for workers, threads in _splits(provider, cores)
    ]
    return list(dict.fromkeys(found))


def measure_ways(
    ways: Sequence[Way], render: Callable[[Way], float], rounds: int, say: Say
) -> list[Measured]:
    """Frames per second of each way, in turns; a way whose provider does not work is left out."""
    speeds: dict[Way, list[float]] = {way: [] for way in ways}
    for number, way in itertools.product(range(rounds), ways):
        if way not in speeds:
            continue
        try:
            speeds[way].append(render(way))
        except ProviderError as error:
            say(f"{way.provider} is left out: {error.message}")
            del speeds[way]
            continue
        say(f"round {number + 1}: {_said(way)}: {speeds[way][-1]:.2f} fps")
    return [
        Measured(way=way, fps=statistics.median(each), rounds=tuple(each))
        for way, each in speeds.items()
    ]


def best_way(measured: Sequence[Measured]) -> Measured:
    """The fastest; of those that are nearly as fast the one with the fewest workers."""
    fastest = max(each.fps for each in measured)
    near = [each for each in measured if each.fps >= _NEARLY * fastest]
    return min(near, key=lambda each: (each.way.workers, -each.fps))


def tune(
    *, frames: int, rounds: int, settings: RenderSettings, say: Say, stop: StopRequest
) -> CommandResult:
    """Measure and keep the result; see `cluster.tune_commands`."""
    from cluster.render import render_video
    from cluster.runtime import RayRuntime
    from farm.node.processor import usable_cores

    check_environment()
    cores = usable_cores()
    ways = ways_to_try(_providers(settings), cores, settings.processors.precision)
    most = max(way.workers for way in ways)
    with scratch_folder("facefarm-tune-") as folder, RayRuntime(None, most) as runtime:
        trial = replace(settings, output=folder / f"trial{settings.output.suffix or '.mkv'}")
        check_render(trial)
        # Chunks of a fraction of the stretch give every worker something to do.
        trial = replace(trial, overwrite=True, chunk_seconds=trial.chunk_seconds or 1.0)

        def render(way: Way) -> float:
            report = render_video(
                way.applied(trial), NullObserver(), span=(0.0, frames), stop=stop, runtime=runtime
            )
            return report.fps

        usual = replace(ways[0], workers=0, threads=0)
        measured = measure_ways([usual, *ways], render, rounds, say)
    best = best_way([each for each in measured if not each.way.untuned])
    profile = Profile(
        workers=best.way.workers,
        threads=best.way.threads,
        provider=best.way.provider,
        precision=best.way.precision,
        fps=round(best.fps, 2),
        clip=settings.target.name,
        created=now_text(),
        version=this_version(),
    )
    path = store_profile(settings, profile)
    rows = sorted(measured, key=lambda each: -each.fps)
    lines = [f"{each.fps:8.2f} fps  {_said(each.way)}" for each in rows]
    lines.append(f"kept for later renders: {describe(profile)} ({path})")
    lines += [
        f"without tuning a render reaches {each.fps / best.fps:.0%} of that"
        for each in measured
        if each.way.untuned
    ]
    return CommandResult(document={"profile": profile, "measured": measured}, lines=lines)


def _providers(settings: RenderSettings) -> list[str]:
    from farm.models.session import available_providers

    if settings.execution_provider is not None:
        return [settings.execution_provider]
    return [name for name in available_providers() if _loads(name)]


def _loads(provider: str) -> bool:
    """Whether a provider runs a network here."""
    from farm.models.session import try_provider

    try:
        try_provider(provider, 0)
    except ProviderError:
        return False
    return True


def _precisions(provider: str, asked: Precision) -> tuple[Precision, ...]:
    return (asked, Precision.FP16) if provider in _ON_DEVICES else (asked,)


def _splits(provider: str, cores: int) -> Iterator[tuple[int, int]]:
    """(workers, threads of each) that use all cores; on devices two workers may overlap better."""
    if provider in _ON_DEVICES:
        threads = max(1, min(cores, 16))
        yield from ((1, threads), (2, max(1, threads // 2)))
        return
    workers = 1
    while workers <= cores:
        for threads in (cores // workers, max(1, cores // workers - 1), cores):
            yield workers, max(1, threads)
        workers *= 2


def _said(way: Way) -> str:
    if way.untuned:
        return "without tuning"
    return f"{way.workers} x {way.threads} threads on {way.provider} ({way.precision.value})"
