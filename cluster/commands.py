"""Commands that render: the settings checked, the job done, the manifest written.

Not for: reading options or writing results (`cli.py`), or the job itself (`cluster.render`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from farm.command import CommandResult
from farm.environment import check_environment
from farm.errors import DamagedSource
from farm.face_map import with_map
from farm.image_names import is_image, is_image_set
from farm.manifest import build_manifest, manifest_path, write_manifest
from farm.observer import RenderObserver
from farm.options import Option
from farm.preflight import check_render
from farm.report import RenderReport
from farm.settings import RenderSettings
from farm.stop import StopRequest
from farm.summary import damage_message, summary_lines


def render(
    *, settings: RenderSettings, observer: RenderObserver, stop: StopRequest
) -> CommandResult:
    """Render a video on the farm, or an image in this process."""
    return _result(*_render(settings, None, observer, stop))


def preview(
    *,
    at: Annotated[float, Option(help="Where to begin, in seconds.", low=0)] = 0.0,
    frames: Annotated[int, Option(short="n", help="How many frames.", low=1)] = 24,
    settings: RenderSettings,
    observer: RenderObserver,
    stop: StopRequest,
) -> CommandResult:
    """Render a stretch of a video."""
    return _result(*_render(settings, (at, frames), observer, stop))


def demo(
    *,
    folder: Annotated[Path, Option(name="output", short="o", help="Where to write.")] = Path(
        "facefarm-demo"
    ),
    observer: RenderObserver,
    stop: StopRequest,
) -> CommandResult:
    """Render the built-in clip and check what came out."""
    from farm.demo import check_demo, demo_lines, demo_settings, make_demo_clip

    settings = demo_settings(folder)
    make_demo_clip(settings.target)
    report, manifest = _render(settings, None, observer, stop)
    check = check_demo(settings.target, settings.output)
    return CommandResult(
        document={**manifest, "demo": check}, lines=demo_lines(check, settings, report.fps)
    )


def _render(
    settings: RenderSettings,
    span: tuple[float, int] | None,
    observer: RenderObserver,
    stop: StopRequest,
) -> tuple[RenderReport, dict[str, Any]]:
    """Render, and write the manifest."""
    check_environment()
    settings = with_map(settings)
    check_render(settings)
    if span is None and is_image_set(settings.target):
        from farm.image_set import render_images

        report = render_images(settings, observer, _write_down, stop)
    elif span is None and is_image(settings.target):
        from farm.image_target import render_image

        report = render_image(settings, observer)
    else:
        from cluster.render import render_video

        report = render_video(settings, observer, span=span, stop=stop)
    return report, _write_down(settings, report)


def _write_down(settings: RenderSettings, report: RenderReport) -> dict[str, Any]:
    """Write the manifest beside the output."""
    manifest = build_manifest(settings, report, created=datetime.now(UTC))
    write_manifest(manifest_path(settings.output), manifest)
    if settings.report:
        from farm.page.page import page_path, write_page

        write_page(manifest, page_path(settings.output))
    return manifest


def _result(report: RenderReport, manifest: dict[str, Any]) -> CommandResult:
    """The result; a source that did not decode as a whole has its own exit code."""
    error = DamagedSource(damage_message(report)) if report.damage else None
    return CommandResult(document=manifest, lines=summary_lines(report), error=error)
