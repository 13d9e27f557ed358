"""What holds a render up, and what would help: from the seconds that its stages were at work.

The stages of a worker run beside each other, so the one that is busy for the longest time is what
all others wait for. Not for: measuring (`farm.spans`).
"""

from __future__ import annotations

from collections.abc import Mapping

from farm.report import Stage, WorkerTime

_NAMES = {
    "decoding": (Stage.DECODE,),
    "faces": (Stage.DETECT, Stage.PROCESS),
    "encoding": (Stage.ENCODE,),
}
_HELP = {
    "decoding": "more workers or machines decode beside each other",
    "faces": "a GPU, a lighter model, --detect-every or more machines help",
    "encoding": "a hardware encoder, a faster --preset or more machines help",
}
_AROUND = (
    Stage.INDEX,
    Stage.START,
    Stage.DECIDE,
    Stage.ANALYSE,
    Stage.FINAL,
    Stage.VERIFY,
)
"""Stages before and after rendering."""
_LOST = "lost with attempts that came to nothing"
_WORTH_SAYING = 0.1
"""Share of the workers' time from which something else than work is named."""
_IDLE = 0.5
"""Share of its time below which even the busiest stage waits for something else."""


def busiest_stage(stage_s: Mapping[str, float]) -> str:
    """`decoding`, `faces` or `encoding`, whichever took longest; empty before any did."""
    sums = {name: sum(stage_s.get(s, 0.0) for s in stages) for name, stages in _NAMES.items()}
    name = max(sums, key=lambda each: sums[each])
    return name if sums[name] > 0 else ""


def name_bottleneck(
    stage_s: Mapping[str, float],
    render_s: float,
    workers: int,
    encoder: str,
    time: WorkerTime | None = None,
) -> str:
    """One line for the summary and the report; empty where nothing was rendered.

    Args:
        stage_s: Seconds by `Stage`, those of workers added up over all.
        render_s: Wall clock of rendering chunks.
        workers: How many were planned.
        encoder: The one that was used.
        time: Where the time of the workers' places went, where it is known.
    """
    total_s = stage_s.get(Stage.TOTAL, 0.0)
    around_s = total_s - render_s
    if total_s > 0 and around_s > render_s:
        longest = max(_AROUND, key=lambda stage: stage_s.get(stage, 0.0))
        return (
            f"{around_s / total_s:.0%} of the time went by around the rendering, most of it in"
            f" {longest.value} ({stage_s.get(longest, 0.0):.1f} s)"
        )
    name = busiest_stage(stage_s)
    if not name or render_s <= 0:
        return ""
    busy = sum(stage_s.get(stage, 0.0) for stage in _NAMES[name])
    places_s = (time.places_s if time else 0.0) or render_s * workers
    share = min(1.0, busy / places_s)
    other, lost = _other_times(stage_s, time, places_s), (time.lost_s if time else 0.0) / places_s
    if share < _IDLE:
        why = other or "the processors were taken by other work"
        return f"no stage was busy for more than {share:.0%} of the workers' time: {why}"
    advice = _HELP[name]
    if name == "encoding" and encoder.rpartition("_")[2] in ("nvenc", "amf", "qsv"):
        advice = "a faster --preset or more machines help"
    said = f"bound by {name}: busy for {share:.0%} of the time; {advice}"
    if lost >= _WORTH_SAYING:
        said += f"; {lost:.0%} of the workers' time was {_LOST}"
    return said


def _other_times(stage_s: Mapping[str, float], time: WorkerTime | None, places_s: float) -> str:
    """What else took the workers' time, the largest part first; empty where nothing did."""
    parts = [(stage_s.get(Stage.FETCH, 0.0), "went by waiting for packets")]
    if time is not None:
        parts += [
            (time.lost_s, f"was {_LOST}"),
            (time.starting_s, "went by until they had started"),
        ]
    found = sorted(((s / places_s, what) for s, what in parts), reverse=True)
    return " and ".join(f"{s:.0%} of it {what}" for s, what in found if s >= _WORTH_SAYING)
