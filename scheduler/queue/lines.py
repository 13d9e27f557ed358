"""The queue as a person reads it on a terminal.

Not for: the same as data (`scheduler.queue.records`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduler.queue.records import HistoryEntry, JobState, QueueJob

_HEAD = ("job", "state", "prio", "tries", "frames", "output", "tags", "")


def list_lines(jobs: Sequence[QueueJob], counts: Mapping[str, int] | None = None) -> list[str]:
    """A table, and how many there are of each state."""
    rows = [_HEAD, *(tuple(map(_printable, _row(job))) for job in jobs)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if counts is not None:
        lines.append(", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "no jobs")
    return lines


def job_lines(job: QueueJob, history: Sequence[HistoryEntry]) -> list[str]:
    """One job with all that happened to it."""
    lines = [
        f"job {job.job_id}: {job.outcome or job.state}",
        f"  target    {job.target}",
        f"  output    {job.output}",
    ]
    lines += [f"  {name:9} {value}" for name, value in job.values.items() if name not in _SHOWN]
    if job.message:
        lines.append(f"  message   {job.message}")
    lines += [
        f"  {each.at.astimezone():%Y-%m-%d %H:%M:%S}  {each.what}"
        f"{f' ({each.why})' if each.why else ''}, {each.who}"
        for each in history
    ]
    return [_printable(line) for line in lines]


def _printable(text: str) -> str:
    """A text that does nothing to a terminal: file names may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in text)


_SHOWN = ("target", "output")


def _row(job: QueueJob) -> tuple[str, ...]:
    done = job.progress
    frames = f"{done.frames_done}/{done.frames}" if done.frames else ""
    detail = f"{done.fps:.1f} fps" if job.state is JobState.RUNNING and done.fps else job.message
    return (
        str(job.job_id),
        str(job.outcome or job.request or job.state),
        str(job.priority),
        str(job.attempts),
        frames,
        str(job.output),
        ",".join(job.tags),
        detail,
    )
