"""`facefarm serve`: works through the queue until it is told to end.

Not for: the work itself (`cluster.service.service`).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cluster.service.config import ServiceSettings, read_service_settings
from cluster.service.service import Service
from cluster.service.web.server import WebServer
from farm.command import CommandResult, Say
from farm.environment import check_environment
from farm.errors import JobError
from farm.options import Option
from scheduler.queue.store import QueueStore, default_store

_MOST_NAMED = 10


def serve(
    *,
    store: Annotated[
        Path | None, Option(unset="below the user's state folder", help="File of the queue.")
    ] = None,
    jobs: Annotated[int, Option(help="How many run side by side.", low=1, high=256)] = 1,
    until_empty: Annotated[
        bool,
        Option(help="End when no job is left that may run, with exit code 1 where one failed."),
    ] = False,
    lease_seconds: Annotated[
        float, Option(help="How long a job stays a service's without a word.", low=2, high=3600)
    ] = 30.0,
    log_dir: Annotated[
        Path | None, Option(unset="beside the queue", help="Folder for a log of each job.")
    ] = None,
    listen: Annotated[
        str | None, Option(unset="no HTTP", help="HOST:PORT for the page, REST and metrics.")
    ] = None,
    service_config: Annotated[
        Path | None, Option(unset="none", help="TOML file with hooks, retention and web limits.")
    ] = None,
    say: Say,
) -> CommandResult:
    """Work through the queue."""
    check_environment()
    settings = read_service_settings(service_config) if service_config else ServiceSettings()
    path = store or default_store()
    logs = log_dir or path.with_name(f"{path.stem}-logs")
    with QueueStore(path) as queue:
        service = Service(
            queue,
            log_dir=logs,
            side_by_side=jobs,
            lease=timedelta(seconds=lease_seconds),
            hooks=settings.hooks,
            retention=settings.retention,
        )
        say(f"service {service.name} works through {path}")
        with ExitStack() as stack:
            if listen:
                server = WebServer(listen, path, logs, settings.web)
                say(f"listening on {stack.enter_context(server).url}")
            stack.enter_context(_drained_by_signals(service, say))
            service.run(until_empty=until_empty)
        counts = queue.counts()
    left = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
    return CommandResult(
        document={"counts": counts, "failed": service.failed},
        lines=[f"the service ended; {left or 'no'} jobs"],
        error=_failure(service.failed) if until_empty else None,
    )


def _failure(failed: Sequence[int]) -> JobError | None:
    """What makes a run through the queue a failure, so that scripts see it."""
    if not failed:
        return None
    numbers = ", ".join(map(str, failed[:_MOST_NAMED])) + ("..." if failed[_MOST_NAMED:] else "")
    return JobError(
        f"{len(failed)} of the jobs failed ({numbers}); facefarm queue show ID says why, and"
        " queue retry lets them run again"
    )


@contextmanager
def _drained_by_signals(service: Service, say: Say) -> Iterator[None]:
    """The first SIGTERM or Ctrl-C lets jobs finish the chunks in hand, the second stops them."""

    def drain(*_: object) -> None:
        say("finishing the chunks in hand; once more stops at once")
        service.drain()

    before = {each: signal.signal(each, drain) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
