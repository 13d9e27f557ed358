"""`facefarm report`: the page of a render that has ended.

Not for: reading options or writing results (`cli.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from farm.command import CommandResult
from farm.options import Option


def report(
    *,
    file: Annotated[Path, Option(positional=True, help="Output of a render, or its manifest.")],
    output: Annotated[
        Path | None, Option(short="o", unset="beside the output", help="Page to write.")
    ] = None,
) -> CommandResult:
    """Write the page."""
    from farm.page.page import page_path, read_manifest_of, write_page

    manifest = read_manifest_of(file)
    path = output or page_path(Path(manifest["report"]["output"]))
    write_page(manifest, path)
    return CommandResult(document={"page": path}, lines=[f"{path}"])
