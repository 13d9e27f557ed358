"""`facefarm submit`, `status`, `logs` and `stop`: jobs on the job server of a cluster.

Not for: reading options or writing results (`cli.py`), or the job folders of this machine.
"""

from __future__ import annotations

from typing import Annotated

from cluster.submit import JobReport, JobServer, JobState
from farm.command import CommandResult, Say
from farm.options import Option
from farm.settings import RenderSettings

Server = Annotated[
    str | None,
    Option(
        metavar="URL",
        unset="RAY_API_SERVER_ADDRESS, or http://127.0.0.1:8265",
        help="Job server of the cluster.",
    ),
]
Job = Annotated[str, Option(positional=True, help="Name of the job, as submit printed it.")]
_INTERRUPTED = 130


def submit(
    *,
    settings: RenderSettings,
    server: Server = None,
    follow: Annotated[
        bool, Option(off="no-follow", help="Show what the job writes until it ends.")
    ] = True,
    say: Say,
) -> CommandResult:
    """Send a render to a cluster."""
    jobs = JobServer(server)
    job = jobs.submit(settings)
    say(f"{job} is sent; `facefarm logs {job}` shows it, `facefarm stop {job}` ends it")
    if follow:
        return _followed(jobs, job, say)
    return _result(jobs.report(job), 0)


def status(*, job: Job, server: Server = None) -> CommandResult:
    """Say how a job stands."""
    return _result(JobServer(server).report(job), 0)


def logs(
    *,
    job: Job,
    server: Server = None,
    follow: Annotated[bool, Option(help="Go on until the job ends.")] = False,
    say: Say,
) -> CommandResult:
    """Show what a job has written."""
    jobs = JobServer(server)
    if follow:
        return _followed(jobs, job, say)
    text = jobs.logs(job)
    return CommandResult(document={"job": job, "logs": text}, lines=text.splitlines())


def stop(*, job: Job, server: Server = None) -> CommandResult:
    """End a job."""
    return _result(JobServer(server).stop(job), 0)


def _followed(jobs: JobServer, job: str, say: Say) -> CommandResult:
    """Follow a job; leaving it does not end it."""
    try:
        report = jobs.follow(job, say)
    except KeyboardInterrupt:
        say(f"{job} goes on; `facefarm logs {job} --follow` shows it again")
        return _result(jobs.report(job), _INTERRUPTED)
    return _result(report, _exit_code(report))


def _exit_code(report: JobReport) -> int:
    """Return the exit code of the render, or what comes nearest."""
    if report.exit_code is not None and report.exit_code >= 0:
        return report.exit_code
    return {JobState.SUCCEEDED: 0, JobState.STOPPED: _INTERRUPTED}.get(report.state, 1)


def _result(report: JobReport, exit_code: int) -> CommandResult:
    code = "" if report.exit_code is None else f" (exit code {report.exit_code})"
    line = f"{report.job}: {report.state.value.lower()}{code}"
    told = f"{line}; {report.message}" if report.message else line
    return CommandResult(document=report, lines=[told], exit_code=exit_code)
