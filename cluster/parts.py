"""Parts of a job: stretches that are rendered with settings of their own, and the rest.

Not for: rendering them (`cluster.render`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce

from cluster.plan import JobPlan
from farm.errors import SettingsError
from farm.job_folder import JobFolder, plain
from farm.manifest import to_jsonable
from farm.options import options_of
from farm.report import OtherSettings
from farm.settings import RenderSettings
from farm.stored_settings import store_settings
from farm.time_text import parse_time
from scheduler.encoders import EncoderPlan
from scheduler.ledger_records import JobVersion, Stretch
from scheduler.ledger_tables import differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What is to be rendered again, and how."""

    start: Fraction
    """Seconds from the first frame of the output."""
    end: Fraction | None
    """What is shown from then on stays; None for the end of the output."""
    settings: RenderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPart:
    """Chunks of a job that are rendered with the same settings."""

    settings: RenderSettings
    plan: JobPlan
    folder: JobFolder
    chunks: frozenset[int]

    def encoded_by(self, encoding: EncoderPlan) -> JobPart:
        """Return the part as another encoder makes it."""
        plan = replace(self.plan, encoding=encoding)
        return replace(
            self, plan=plan, folder=JobFolder(self.folder.path, plan.fingerprint, plan.request)
        )


def parse_range(text: str) -> tuple[Fraction, Fraction | None]:
    """Start and end of `12.5-14`, `1:02-1:03.5`, `-10` or `55-`.

    Raises:
        SettingsError: It is no range, or an empty one.
    """
    first, dash, last = text.strip().partition("-")
    if not dash or not (first or last):
        raise SettingsError(f"--range {text}: write START-END, like 12.5-14 or 1:02-1:03.5")
    start = parse_time("--range", first) if first else Fraction(0)
    end = parse_time("--range", last) if last else None
    if end is not None and end <= start:
        raise SettingsError(f"--range {text}: ends before it begins")
    return start, end


def chunks_within(plan: JobPlan, again: Again) -> range:
    """Return the numbers of the chunks that show anything of a stretch.

    Raises:
        SettingsError: There is nothing at that time.
    """
    times = plan.frames.output.times
    last = times.seconds(len(times) - 1) + int(times.durations[-1]) * times.time_base

    def ends(number: int) -> Fraction:
        stop = plan.chunks[number].frame_stop
        return times.seconds(stop) if stop < len(times) else last

    found = [
        number
        for number, chunk in enumerate(plan.chunks)
        if (again.end is None or times.seconds(chunk.frame_start) < again.end)
        and ends(number) > again.start
    ]
    if not found:
        raise SettingsError(
            f"--range: begins at {float(again.start):g} s, and the output ends at {float(last):g} s"
        )
    return range(found[0], found[-1] + 1)


def check_joins(base: JobPlan, other: JobPlan) -> None:
    """See that chunks of two plans fit into one video.

    Raises:
        SettingsError: They do not.
    """
    same = {
        "which frames are shown, and when": base.frames.output.key == other.frames.output.key,
        "the size or kind of the pictures": base.output == other.output,
        "the encoder": base.encoding == other.encoding,
        "the source": base.input_sha256 == other.input_sha256,
        "where chunks begin": _borders(base) == _borders(other),
    }
    changed = [name for name, holds in same.items() if not holds]
    if changed:
        raise SettingsError(
            f"jobs rerender: these settings would change {' and '.join(changed)}; a stretch must "
            "join the rest: leave them as they were, or render the whole anew"
        )


def owners(base: str, stretches: Iterable[Stretch], chunks: int) -> dict[str, set[int]]:
    """Return which version each chunk is rendered from: the last that was asked for.

    Args:
        base: Fingerprint of the version that holds where no stretch does.
        stretches: In the order of their asking.
        chunks: How many there are.
    """
    of_chunk = [base] * chunks
    for stretch in stretches:
        stop = min(stretch.chunk_stop, chunks)
        of_chunk[stretch.chunk_start : stop] = [stretch.fingerprint] * (stop - stretch.chunk_start)
    found: dict[str, set[int]] = {base: set()}
    for number, version in enumerate(of_chunk):
        found.setdefault(version, set()).add(number)
    return found


def version_of(plan: JobPlan, settings: RenderSettings) -> JobVersion:
    """Return what the pixels of a plan depend on."""
    return JobVersion(
        fingerprint=plan.request,
        identity=plain(plan.identity),
        settings=store_settings(settings),
    )


def other_settings(parts: Sequence[JobPart]) -> tuple[OtherSettings, ...]:
    """Return the frames that were rendered with other settings than the first part's."""
    found = []
    for part in parts[1:]:
        different = tuple(_different_options(parts[0].settings, part.settings))
        for run in _runs(sorted(part.chunks)):
            first, last = part.plan.chunks[run[0]], part.plan.chunks[run[-1]]
            found.append(
                OtherSettings(
                    frame_start=first.frame_start,
                    frame_stop=last.frame_stop,
                    altered_by=tuple(part.plan.faces.alters),
                    different=different,
                )
            )
    return tuple(sorted(found, key=lambda each: each.frame_start))


def _different_options(before: RenderSettings, after: RenderSettings) -> Iterator[str]:
    """Say of each option that differs what it was and what it is."""
    for spec in options_of(RenderSettings):
        was, now = (to_jsonable(reduce(getattr, spec.place, each)) for each in (before, after))
        yield from differences(was, now, spec.flag_name)


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Return numbers that follow each other together."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _borders(plan: JobPlan) -> list[tuple[int, int]]:
    return [(chunk.frame_start, chunk.frame_stop) for chunk in plan.chunks]
