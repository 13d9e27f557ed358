"""Commands that ask about this machine or a file and need neither a scheduler nor Ray.

Not for: reading options or writing results (`cli.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from farm.command import CommandResult
from farm.options import Option

_NOT_FIT = 3


def doctor(
    *,
    models_dir: Annotated[
        Path | None, Option(unset="the user's cache", help="Where models lie.")
    ] = None,
) -> CommandResult:
    """Look at this machine."""
    from farm.doctor import doctor_lines, examine, is_fit

    findings = examine(models_dir)
    fit = is_fit(findings)
    return CommandResult(
        document={"fit": fit, "findings": findings},
        lines=doctor_lines(findings),
        exit_code=0 if fit else _NOT_FIT,
    )


def verify(
    *,
    file: Annotated[Path, Option(positional=True, help="Output to check.")],
    rendered_from: Annotated[
        Path | None,
        Option(unset="as the manifest says", help="File that it was rendered from, to compare."),
    ] = None,
) -> CommandResult:
    """Check the marks of an output."""
    from farm.marks.check import check_marks

    report = check_marks(file, rendered_from)
    return CommandResult(document=report, lines=report.lines, exit_code=report.verdict.exit_code)
