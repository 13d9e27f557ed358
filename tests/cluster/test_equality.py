"""The core proof: what is rendered shows what a serial one-thread decode of the source shows."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.observer import NullObserver
from farm.report import RenderReport
from farm.settings import (
    AnonymizeMethod,
    MaskShape,
    ProcessorSettings,
    RenderSettings,
    TimeSettings,
)
from tests.media_maker import SerialFrame, Studio, audio_packets, main_video, serial_frames
from tests.model_maker import COLOURS_BGR, make_scrfd
from tests.rendering import NOTHING, ONE_FRAME_S

pytestmark = pytest.mark.ray

MILLISECOND = Fraction(1, 1000)
LOSSLESS = {"ffv1": ".mkv", "libx264": ".mp4"}
TIMED = (
    "h264_open_gop.mp4",
    "h264_b_pyramid.mp4",
    "vfr.mp4",
    "one_gop.mp4",
    "intra_refresh.mp4",
    "no_reorder_info.mp4",
    "edit_list.mp4",
    "vp9_hidden_frames.webm",
    "h264_10bit.mp4",
    "hevc_open_gop.mp4",
    "hevc_422_10bit.mp4",
    "late_video.mp4",
    "interlaced.mp4",
)
UNTIMED = ("raw.264", "bframes.avi")
"""Their own timestamps are none, or come in decode order: only the distances are known."""


LENGTHS_S = (ONE_FRAME_S, 0.2, 0.7, 100.0)
WORKERS = (1, 2, 4)
PAIRS = [
    (name, sorted(LOSSLESS)[(row + column) % 2], seconds, WORKERS[(row + column) % 3])
    for row, name in enumerate((*TIMED, *UNTIMED))
    for column, seconds in enumerate(LENGTHS_S)
]
"""Each value of recipe, encoder, length and number of workers meets each of the others."""


def render(runtime: RayRuntime, target: Path, output: Path, **changes: Any) -> RenderReport:
    values: dict[str, Any] = {"processors": NOTHING, "video_quality": 0} | changes
    settings = RenderSettings(target=target, output=output, **values)
    return render_video(settings, NullObserver(), runtime=runtime)


def assert_equal(source: Path, output: Path) -> None:
    """Frames, pixels and times of an output are those of its source."""
    before, after = serial_frames(source), serial_frames(output)
    assert [frame.md5 for frame in after] == [frame.md5 for frame in before]
    found = _times(after)
    if source.name in UNTIMED:
        assert np.ptp(np.diff([float(each) for each in found])) < 2.1e-3
        return
    offs = [a - b for a, b in zip(found, _times(before), strict=True)]
    if output.suffix == ".mp4":
        assert not any(offs)
    else:
        # The first frame goes to a whole millisecond with all streams, others are rounded to one.
        assert abs(offs[0]) < MILLISECOND
        assert all(abs(off - offs[0]) <= MILLISECOND / 2 for off in offs)


def _times(frames: list[SerialFrame]) -> list[Fraction]:
    return [frame.time_s if frame.time_s is not None else Fraction(0) for frame in frames]


@pytest.mark.parametrize(
    ("name", "encoder", "chunk_seconds", "workers"),
    [
        ("h264_open_gop.mp4", "libx264", ONE_FRAME_S, 4),
        ("vfr.mp4", "libx264", 0.3, 2),
        ("one_gop.mp4", "ffv1", 0.4, 2),
        ("edit_list.mp4", "libx264", 100.0, 1),
        ("raw.264", "ffv1", 0.5, 2),
    ],
)
def test_frames_times_and_pixels_are_those_of_a_serial_decode(
    runtime: RayRuntime,
    media_studio: Studio,
    tmp_path: Path,
    name: str,
    encoder: str,
    chunk_seconds: float,
    workers: int,
) -> None:
    source, output = media_studio.path(name), tmp_path / f"out{LOSSLESS[encoder]}"
    report = render(
        runtime, source, output, video_encoder=encoder, chunk_seconds=chunk_seconds, workers=workers
    )
    assert 1 <= len(report.workers) <= workers
    assert sum(each.frames for each in report.workers) == report.frames
    assert_equal(source, output)
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_the_pairs_are_all_that_there_are() -> None:
    values = ((*TIMED, *UNTIMED), tuple(LOSSLESS), LENGTHS_S, WORKERS)
    for one, other in combinations(range(len(values)), 2):
        assert {(case[one], case[other]) for case in PAIRS} == set(
            product(values[one], values[other])
        )


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "encoder", "chunk_seconds", "workers"), PAIRS)
def test_every_pair_of_recipe_encoder_length_and_workers_is_equal(
    runtime: RayRuntime,
    media_studio: Studio,
    tmp_path: Path,
    name: str,
    encoder: str,
    chunk_seconds: float,
    workers: int,
) -> None:
    source, output = media_studio.path(name), tmp_path / f"out{LOSSLESS[encoder]}"
    render(
        runtime, source, output, video_encoder=encoder, chunk_seconds=chunk_seconds, workers=workers
    )
    assert_equal(source, output)


def test_a_trim_at_another_rate_is_the_same_by_one_worker_and_by_four(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    source = media_studio.path("multi.mp4")
    time = TimeSettings(start=Fraction(1, 2), end=Fraction(3, 2), fps=Fraction(20))
    shown = []
    for workers, chunk_seconds in ((1, 100.0), (4, ONE_FRAME_S)):
        output = tmp_path / f"{workers}.mp4"
        report = render(
            runtime, source, output, time=time, workers=workers, chunk_seconds=chunk_seconds
        )
        assert report.frames == 20
        shown.append((serial_frames(output), audio_packets(output)))
    assert shown[0] == shown[1]
    frames, tracks = shown[0]
    whole = {frame.md5 for frame in serial_frames(source)}
    assert {frame.md5 for frame in frames} <= whole
    assert _times(frames) == [Fraction(n, 20) for n in range(20)]
    assert len(tracks) == 2


FACE = (40, 30, 90, 80)
SIZE = (192, 128)


@pytest.fixture(scope="session")
def face_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lossless clip of noise with a square that the made detector finds, moving to the right."""
    path = tmp_path_factory.mktemp("faces") / "faces.mkv"
    noise = np.random.default_rng(1).integers(60, 160, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "bgr0"
        for number in range(24):
            picture = noise.copy()
            left, top, right, bottom = face_box(number)
            picture[top:bottom, left:right] = COLOURS_BGR["magenta"]
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(
                format="bgr0", threads=1
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def face_box(number: int) -> tuple[int, int, int, int]:
    """Where the square is in a frame."""
    left, top, right, bottom = FACE
    return left + 2 * number, top, right + 2 * number, bottom


def pictures(path: Path) -> Iterator[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        stream = main_video(container)
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def test_pixels_outside_the_covered_faces_are_those_of_the_source(
    runtime: RayRuntime, face_clip: Path, tmp_path: Path
) -> None:
    processors = ProcessorSettings(
        names=("face_anonymizer",),
        detector="scrfd",
        anonymize_method=AnonymizeMethod.SOLID,
        anonymize_shape=MaskShape.BOX,
        anonymize_padding=0.1,
    )
    output = tmp_path / "out.mkv"
    report = render(
        runtime,
        face_clip,
        output,
        processors=processors,
        models=(("detector", make_scrfd(tmp_path / "scrfd.onnx")),),
        allow_unverified_models=True,
        video_encoder="ffv1",
        chunk_seconds=0.2,
        workers=2,
    )
    assert (report.frames, report.faces, report.frames_without_face) == (24, 24, 0)
    assert (report.provider, report.detector) == ("CPUExecutionProvider", "scrfd")
    for number, (before, after) in enumerate(
        zip(pictures(face_clip), pictures(output), strict=True)
    ):
        left, top, right, bottom = face_box(number)
        touched = np.zeros(before.shape[:2], dtype=np.bool_)
        touched[top - 6 : bottom + 6, left - 6 : right + 6] = True
        assert np.array_equal(before[~touched], after[~touched])
        assert not after[top:bottom, left:right].any()
