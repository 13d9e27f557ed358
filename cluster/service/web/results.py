"""What can be seen of a job: its newest picture, the end of its log, its manifest and report.

Not for: drawing pages (`cluster.service.web.pages`).
"""

from __future__ import annotations

from pathlib import Path

from farm.errors import InputError
from farm.job_folder import default_job_dir
from farm.manifest import manifest_path
from scheduler.queue.records import QueueJob

_LOG_BYTES = 8000
_REPORT_BYTES = 32 << 20


def snapshot(job: QueueJob) -> bytes:
    """The newest picture of a job's result, a JPEG.

    Raises:
        InputError: Nothing is rendered yet.
        FarmError: What is rendered cannot be read.
        OSError: The same.
    """
    from farm.media.snapshot import chunk_snapshot, output_snapshot

    folder = Path(job.values.get("job_dir") or default_job_dir(job.output))
    chunks = list(folder.glob("*.chunk"))
    if chunks:
        return chunk_snapshot(max(chunks, key=lambda path: path.stat().st_mtime_ns))
    if job.outcome and job.outcome.has_output:
        return output_snapshot(job.output)
    raise InputError("nothing is rendered yet")


def tail(path: Path) -> str:
    """The end of a log; nothing where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return file.read(_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def manifest_text(job: QueueJob) -> str:
    """The manifest of a job's output; nothing where there is none."""
    if not (job.outcome and job.outcome.has_output):
        return ""
    try:
        return manifest_path(job.output).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def report_page(job: QueueJob, folder: Path) -> str:
    """The report of a finished job as a page; made the first time that it is asked for.

    Args:
        job: The job.
        folder: Keeps reports that are not beside their outputs.

    Raises:
        FarmError: It cannot be made: the output is gone, say.
        OSError: It cannot be read.
    """
    from farm.page.page import page_path, read_manifest_of, write_page

    if not (job.outcome and job.outcome.has_output):
        raise InputError(f"job {job.job_id} has no report: it is {job.outcome or job.state}")
    path = page_path(job.output)
    if not path.is_file():
        path = folder / f"job-{job.job_id}-{job.attempts}.html"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_page(read_manifest_of(job.output), path)
    if path.stat().st_size > _REPORT_BYTES:
        raise InputError(f"{path}: is too large to be shown here")
    return path.read_text(encoding="utf-8", errors="replace")
