"""Rendering a folder or pattern of images, one after another with the models loaded once.

Each image is a picture of its own: it gets its own manifest, and one that cannot be read does not
keep the others from being rendered. Not for: single images (`farm.image_target`) or videos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from farm.errors import InputError, Interrupted, MediaError
from farm.image_names import images_of, is_sequence, outputs_of
from farm.image_target import ImageRenderer
from farm.observer import RenderObserver
from farm.preflight import check_image_outputs
from farm.report import Damage, RenderReport, Stage
from farm.settings import RenderSettings
from farm.stop import StopRequest

Done = Callable[[RenderSettings, RenderReport], object]
"""Called with the settings and the report of each image."""


def render_images(
    settings: RenderSettings, observer: RenderObserver, done: Done, stop: StopRequest
) -> RenderReport:
    """Render every image of `settings.target` into `settings.output`.

    Args:
        settings: The target is a folder or pattern, the output a folder or a numbered name.
        observer: Told what happens.
        done: Writes down what became of each image.
        stop: Lets somebody end the work after an image.

    Returns:
        The report over all; its `damage` lists images that could not be read.

    Raises:
        InputError: There are no images, none can be read, or an output is there already.
        Interrupted: It was asked to end; what is written stays.
    """
    images = images_of(settings.target)
    outputs = _places(settings, images)
    renderer = ImageRenderer(settings, observer)
    observer.planned(len(images), len(images), 1, renderer.provider, renderer.threads, "images")
    reports: list[RenderReport] = []
    damage: list[Damage] = []
    stop.can_drain = True
    for number, (image, output) in enumerate(zip(images, outputs, strict=True)):
        if stop.asked:
            raise Interrupted(f"{number} of {len(images)} images are rendered and kept")
        mine = replace(settings, target=image, output=output)
        try:
            report = renderer.render(mine)
        except MediaError as error:
            observer.note(error.message)
            damage.append(Damage(time_s=Fraction(number), frames_lost=1, reason=error.message))
            continue
        done(mine, report)
        reports.append(report)
    if not reports:
        raise InputError(f"{settings.target}: none of {len(images)} images can be read")
    return _over_all(settings, reports, damage)


def _places(settings: RenderSettings, images: list[Path]) -> list[Path]:
    """Where the images are written; a folder that is not there is made."""
    check_image_outputs(settings)
    if not is_sequence(settings.output):
        settings.output.mkdir(exist_ok=True)
    return outputs_of(images, settings.output)


def _over_all(
    settings: RenderSettings, reports: list[RenderReport], damage: list[Damage]
) -> RenderReport:
    """One report for all images."""
    first = reports[0]
    stage_s: dict[str, float] = {}
    for report in reports:
        for stage, seconds in report.stage_s.items():
            stage_s[stage] = stage_s.get(stage, 0.0) + seconds
    total_s = stage_s.get(Stage.TOTAL.value, 0.0)
    return replace(
        first,
        output=settings.output,
        frames=len(reports),
        faces=sum(report.faces for report in reports),
        frames_without_face=sum(report.frames_without_face for report in reports),
        chunks=len(reports),
        encoder="images",
        stage_s=stage_s,
        fps=len(reports) / total_s if total_s > 0 else 0.0,
        peak_memory_bytes=max(report.peak_memory_bytes for report in reports),
        input_sha256=_hash_of(report.input_sha256 for report in reports),
        output_sha256=_hash_of(report.output_sha256 for report in reports),
        damage=tuple(damage),
        notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
    )


def _hash_of(hashes: Iterable[str]) -> str:
    """Hash over the hashes of all files, in their order."""
    return hashlib.sha256("".join(hashes).encode("ascii")).hexdigest()
