"""Commands that plan and do not render.

Not for: reading options or writing results (`cli.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from farm.command import CommandResult
from farm.limit_settings import LimitSettings
from farm.options import Option


def probe(
    *,
    file: Annotated[Path, Option(positional=True, help="Video to look at.")],
    video_stream: Annotated[
        int | None, Option(unset="the main one", help="Stream to look at.")
    ] = None,
    limits: LimitSettings,
) -> CommandResult:
    """Index, plan and cut a file as a render would."""
    from farm.manifest import to_jsonable
    from farm.summary import probe_lines
    from scheduler.inspect import inspect_file

    report = inspect_file(file, video_stream, limits=limits)
    return CommandResult(document=report, lines=probe_lines(to_jsonable(report)))
