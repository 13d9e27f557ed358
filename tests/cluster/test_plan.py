from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from cluster.encoding import PickEncoder
from cluster.inventory import Inventory
from cluster.orders import finish_request, render_setup
from cluster.plan import JobPlan, decide_faces, plan_job
from farm.errors import SettingsError
from farm.job_folder import JobFolder
from farm.media.index import VideoIndex, build_index
from farm.media.ladder import encoder_ladder
from farm.media.stream import StreamParameters
from farm.settings import EncodeOn, ProcessorSettings, RenderSettings, ShapeSettings, TimeSettings
from scheduler.encoders import EncoderPlan, plan_encoder
from tests.interpolator_maker import make_interpolator
from tests.media_maker import Studio
from tests.rendering import NOTHING
from tests.scheduler.offers import gpu, node


def machine(cores: int = 8, **changes: Any) -> Inventory:
    return Inventory(offers=(node(cores=cores, **changes),))


@pytest.fixture
def clip(media_studio: Studio) -> Path:
    return media_studio.path("plain.mp4")


def asked(target: Path, **changes: Any) -> RenderSettings:
    values: dict[str, Any] = {"processors": NOTHING} | changes
    return RenderSettings(target=target, output=Path("out.mp4"), **values)


def plan(
    target: Path,
    *,
    span: tuple[float, int] | None = None,
    nodes: Inventory | None = None,
    sha256: str = "ab",
    **changes: Any,
) -> JobPlan:
    settings, index = asked(target, **changes), build_index(target)
    faces = decide_faces(settings, index, lambda _: None)
    pick = picker(settings, index)
    return plan_job(settings, span, index, None, faces, nodes or machine(), sha256, pick)


def picker(settings: RenderSettings, index: VideoIndex) -> PickEncoder:
    """The choice on a machine where nothing was tried."""
    ladder = encoder_ladder(
        settings.video_encoder,
        settings.video_quality,
        index.stream,
        replace(settings.encoding, hardware=False),
    )

    def pick(_: str, __: StreamParameters, nodes: Collection[str]) -> EncoderPlan:
        return plan_encoder(
            ladder,
            dict.fromkeys(nodes, ()),
            "here",
            settings.encode_on,
            renders=nodes,
            finals=nodes,
            whole=settings.encoding.needs_whole,
            failed={},
        )

    return pick


def test_the_fingerprint_depends_on_nothing_but_what_the_pixels_depend_on(clip: Path) -> None:
    first = plan(clip).fingerprint
    assert plan(clip).fingerprint == first
    assert plan(clip, workers=3, execution_threads=2).fingerprint == first
    assert plan(clip, nodes=machine(2)).fingerprint == first
    assert plan(clip, max_memory_bytes=1 << 30, keep_audio=False).fingerprint == first


@pytest.mark.parametrize(
    "changes",
    [
        {"video_quality": 19},
        {"video_encoder": "libx265"},
        {"chunk_seconds": 0.5},
        {"encode_on": EncodeOn.FINAL},
        {"sha256": "cd"},
        {"span": (0.0, 10)},
        {"processors": replace(NOTHING, many_faces=True)},
        {"time": TimeSettings(start=Fraction(1))},
        {"time": TimeSettings(end=Fraction(1))},
        {"time": TimeSettings(fps=Fraction(30))},
    ],
)
def test_the_fingerprint_changes_with_what_the_pixels_depend_on(
    clip: Path, changes: dict[str, Any]
) -> None:
    assert plan(clip, **changes).fingerprint != plan(clip).fingerprint


def test_chunks_are_the_same_for_every_machine(clip: Path) -> None:
    one = plan(clip, chunk_seconds=0.3, nodes=machine(1))
    many = plan(clip, chunk_seconds=0.3, nodes=machine(64, gpus=(gpu(),)), workers=9)
    assert one.chunks == many.chunks
    assert one.workers.workers < many.workers.workers


def test_a_preview_beyond_the_end_is_refused(clip: Path) -> None:
    with pytest.raises(SettingsError, match="the video lasts"):
        plan(clip, span=(99.0, 5))


def test_workers_make_lossless_chunks_where_the_final_task_encodes(
    clip: Path, tmp_path: Path
) -> None:
    folder = JobFolder(tmp_path / "job", "x")
    settings = asked(clip, encode_on=EncodeOn.FINAL, keep_frames=True)
    settings = replace(settings, output=tmp_path / "out.mp4")
    job = plan(clip, encode_on=EncodeOn.FINAL)
    setup = render_setup(settings, job, folder)
    assert setup.encoder.encoder == "ffv1"
    assert setup.frames_dir == tmp_path / "out-frames"
    assert setup.chunk_dir == tmp_path / "job"
    request = finish_request(settings, None, job, folder)
    assert request.encoder == job.encoder
    assert [path.name for path in request.chunk_paths][:1] == ["00000.chunk"]
    assert request.work_dir.parent == folder.path
    assert not request.video_only


def test_a_trim_and_another_rate_go_together(clip: Path) -> None:
    time = TimeSettings(start=Fraction(1, 2), end=Fraction(3, 2), fps=Fraction(10))
    job = plan(clip, time=time)
    assert len(job.frames.output) == 10
    assert job.output.frame_rate == 10
    assert job.chunks[-1].frame_stop == 10
    assert any(note.startswith("trimmed: 30 of 60 frames") for note in job.notes)


def test_an_interpolator_multiplies_frames_or_makes_those_of_a_rate(
    clip: Path, media_studio: Studio, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "processors": ProcessorSettings(names=("frame_interpolator",)),
        "models": (("interpolator", make_interpolator(tmp_path / "flow.onnx")),),
        "allow_unverified_models": True,
    }
    job = plan(clip, time=TimeSettings(interpolation=4), **changes)
    assert len(job.frames.output) == 4 * 59 + 1
    assert job.output.frame_rate == 4 * Fraction(30000, 1001)
    assert list(job.faces.model_sha256) == ["flow.onnx"]
    assert (job.faces.detector, job.faces.private) == ("none", False)
    fast = plan(clip, time=TimeSettings(fps=Fraction(50)), **changes).frames.output
    assert (fast.phases > 0).sum() > len(fast) / 3
    woven = media_studio.path("interlaced.mp4")
    with pytest.raises(SettingsError, match="add --deinterlace"):
        plan(woven, **changes)
    assert plan(woven, shape=ShapeSettings(deinterlace=True), **changes).chunks


def test_a_preview_is_not_trimmed_twice(clip: Path) -> None:
    with pytest.raises(SettingsError, match="takes --at and --frames"):
        plan(clip, span=(0.0, 10), time=TimeSettings(start=Fraction(1)))
