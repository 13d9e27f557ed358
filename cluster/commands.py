"""Commands that render: the settings checked, the job done, the manifest written.

Not for: reading options or writing results (`cli.py`), or the job itself (`cluster.render`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cluster.done_before import as_own, done_before
from cluster.parts import Again
from farm.command import CommandResult
from farm.environment import check_environment
from farm.errors import DamagedSource, SettingsError
from farm.face_map import with_map
from farm.image_names import is_image, is_image_set
from farm.manifest import build_manifest, manifest_path, write_manifest
from farm.observer import RenderObserver
from farm.options import Option
from farm.preflight import check_render
from farm.profile import with_profile
from farm.report import RenderReport
from farm.settings import RenderSettings
from farm.stop import StopRequest
from farm.storage import address_of, as_shown, staged
from farm.summary import damage_message, summary_lines


def render(
    *,
    plan: Annotated[
        bool, Option(help="Say what it would take, by a short trial, and render nothing.")
    ] = False,
    settings: RenderSettings,
    observer: RenderObserver,
    stop: StopRequest,
) -> CommandResult:
    """Render a video on the farm, or an image in this process."""
    if plan:
        return _forecast(settings, observer, stop)
    return result_of(settings, observer, stop)


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


def _forecast(
    settings: RenderSettings, observer: RenderObserver, stop: StopRequest
) -> CommandResult:
    """Plan a video and try a few frames of it."""
    from cluster.forecast import forecast, forecast_lines

    check_environment()
    if is_image(settings.target) or is_image_set(settings.target):
        raise SettingsError("--plan is for videos: an image is rendered at once")
    if address_of(settings.target) or address_of(settings.output):
        raise SettingsError("--plan is for files of this machine: fetch the video first")
    check_render(settings)
    found = forecast(settings, observer, stop)
    return CommandResult(document=found, lines=list(forecast_lines(found)))


def _render(
    settings: RenderSettings,
    span: tuple[float, int] | None,
    observer: RenderObserver,
    stop: StopRequest,
    again: Again | None = None,
) -> tuple[RenderReport, dict[str, Any]]:
    """Render, and write the manifest."""
    check_environment()
    settings, said = with_profile(with_map(settings))
    if said:
        observer.note(said)
    with staged(settings, observer.note) as local:
        if span is None:
            local = as_own(local)
        check_render(local)
        manifest: dict[str, Any] = {}

        def finished(report: RenderReport) -> None:
            manifest.update(_write_down(local, report, as_shown(settings)))

        return _render_here(local, span, observer, stop, finished, again), manifest


def _render_here(
    settings: RenderSettings,
    span: tuple[float, int] | None,
    observer: RenderObserver,
    stop: StopRequest,
    finished: Callable[[RenderReport], None],
    again: Again | None = None,
) -> RenderReport:
    """Render files of this machine; `finished` is called when the output is in place."""
    if span is not None or not (is_image_set(settings.target) or is_image(settings.target)):
        from cluster.render import render_video

        return render_video(
            settings, observer, span=span, stop=stop, finished=finished, again=again
        )
    if is_image_set(settings.target):
        from farm.image_set import render_images

        report = render_images(settings, observer, _write_down, stop)
    else:
        from farm.image_target import render_image

        report = render_image(settings, observer)
    finished(report)
    return report


def _write_down(
    settings: RenderSettings, report: RenderReport, asked: RenderSettings | None = None
) -> dict[str, Any]:
    """Write the manifest beside the output, with the settings as they were asked for."""
    asked = asked or settings
    said = replace(report, output=asked.output)
    manifest = build_manifest(asked, said, created=datetime.now(UTC))
    write_manifest(manifest_path(settings.output), manifest)
    if settings.report:
        from farm.page.page import page_path, write_page

        write_page(manifest, page_path(settings.output))
    return manifest


def result_of(
    settings: RenderSettings, observer: RenderObserver, stop: StopRequest
) -> CommandResult:
    """Render, unless the same command has done so already."""
    check_environment()
    found = done_before(with_profile(with_map(settings))[0])
    if found is None:
        return _result(*_render(settings, None, observer, stop))
    line = f"{settings.output}: is finished already"
    damaged = DamagedSource(f"{line}, but its source is damaged; the manifest lists the gaps")
    return CommandResult(
        document=found, lines=[line], error=damaged if found.get("damage") else None
    )


def result_again(
    settings: RenderSettings, again: Again, observer: RenderObserver, stop: StopRequest
) -> CommandResult:
    """Render a stretch of a kept job with settings of its own."""
    check_render(replace(again.settings, overwrite=settings.overwrite))
    return _result(*_render(settings, None, observer, stop, again))


def _result(report: RenderReport, manifest: dict[str, Any]) -> CommandResult:
    """The result; a source that did not decode as a whole has its own exit code."""
    error = DamagedSource(damage_message(report)) if report.damage else None
    return CommandResult(document=manifest, lines=summary_lines(report), error=error)
