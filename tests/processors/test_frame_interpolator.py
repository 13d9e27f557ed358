"""Frames between others: better than averages, never over a cut, the same in every chunk."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.errors import ModelError, SettingsError
from farm.media.plan import FramePlan
from farm.media.retime import at_rate, multiplied
from farm.media.stream import ColorTags
from farm.processors.frame_interpolator import FrameInterpolator
from farm.processors.registry import frame_maker, load_processor, needs_faces
from farm.settings import ProcessorSettings
from tests.interpolator_maker import make_interpolator
from tests.media.retimed_case import render
from tests.media_maker import frame_md5, serial_decode
from tests.model_maker import make_enhancer
from tests.processors.contexts import context
from tests.rendering import ONE_FRAME_S, face_job

SIZE = (160, 96)
SETTINGS = ProcessorSettings(names=("frame_interpolator",))
COUNT = 13


def moving(number: int, scene: int = 0) -> NDArray[np.uint8]:
    """[h, w, 3] RGB: a texture that moves by (1, 0) a frame, and a disc that moves by (-1, 1)."""
    noise = np.random.default_rng(scene).random((300, 400, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.0)
    soft = (soft - soft.min()) / (soft.max() - soft.min())
    width, height = SIZE
    picture = np.ascontiguousarray(soft[50 : 50 + height, 100 - number : 100 - number + width])
    disc = np.roll(soft, 77, axis=1)[120 - number : 120 - number + height, 40 + number :]
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (110 - number, 30 + number), 20, 255, -1)
    picture[mask > 0] = disc[:, :width][mask > 0]
    return np.asarray(np.rint(picture * 255), np.uint8)


def write(path: Path, pictures: list[NDArray[np.uint8]], pix_fmt: str = "yuv444p") -> Path:
    """A lossless clip of 12.5 frames per second."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=Fraction(25, 2))
        stream.width, stream.height, stream.pix_fmt = *SIZE, pix_fmt
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(2, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_interpolator(tmp_path_factory.mktemp("model") / "flow.onnx")


@pytest.fixture(scope="module", params=["yuv444p", "yuv420p10le"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fourth frame of the motion, so that three lie between each two."""
    pictures = [moving(4 * n) for n in range(COUNT)]
    return write(tmp_path_factory.mktemp("clip") / "in.mkv", pictures, request.param)


def interpolated(
    source: Path, output: Path, model: Path, factor: int, chunk_seconds: float
) -> tuple[list[av.VideoFrame], FramePlan]:
    """Frames of a render."""
    faces = face_job(SETTINGS, (("interpolator", model),))
    job, _ = render(
        source,
        output,
        lambda plan: multiplied(plan, factor, Fraction(25, 2)),
        chunk_seconds=chunk_seconds,
        setup={"faces": faces},
        encoder="ffv1",
    )
    return list(serial_decode(output)), job.plan


def psnr(one: NDArray[Any], two: NDArray[Any]) -> float:
    error = np.mean((one.astype(np.float64) - two.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(float(error), 1e-9)))


def rgb(frame: av.VideoFrame) -> NDArray[Any]:
    return frame.to_ndarray(format="rgb24")


@pytest.mark.parametrize("factor", [2, 4])
def test_made_frames_are_a_decibel_better_than_averages(
    clip: Path, tmp_path: Path, model: Path, factor: int
) -> None:
    frames, plan = interpolated(clip, tmp_path / "out.mkv", model, factor, 100.0)
    source = list(serial_decode(clip))
    assert len(frames) == factor * (COUNT - 1) + 1
    gains = []
    for number, frame in enumerate(frames):
        first, part = divmod(number, factor)
        if not part:
            assert frame_md5(frame) == frame_md5(source[first])
            continue
        truth = av.VideoFrame.from_ndarray(moving(4 * first + 4 * part // factor), format="rgb24")
        due = rgb(truth.reformat(format=source[0].format.name))
        share = part / factor
        plain = rgb(source[first]) * (1 - share) + rgb(source[first + 1]) * share
        gains.append(psnr(rgb(frame), due) - psnr(plain, due))
    assert min(gains) >= 1
    assert float(np.mean(gains)) >= 3
    times = [frame.pts * frame.time_base for frame in frames]  # type: ignore[operator]
    due_s = [n * Fraction(2, 25) / factor for n in range(len(frames))]
    assert all(abs(a - b) <= Fraction(1, 2000) for a, b in zip(times, due_s, strict=True))
    exact = [int(pts) * plan.output.times.time_base for pts in plan.output.times.pts]
    assert exact == due_s


@pytest.fixture(scope="module")
def whole(clip: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The frames of a render in one chunk."""
    output = tmp_path_factory.mktemp("whole") / "one.mkv"
    return [frame_md5(frame) for frame in interpolated(clip, output, model, 4, 100.0)[0]]


@pytest.mark.parametrize("chunk_seconds", [ONE_FRAME_S, 0.15, 0.5])
def test_made_frames_are_the_same_however_the_video_is_cut(
    clip: Path, tmp_path: Path, model: Path, whole: list[str], chunk_seconds: float
) -> None:
    parts, _ = interpolated(clip, tmp_path / "many.mkv", model, 4, chunk_seconds)
    assert [frame_md5(f) for f in parts] == whole


def test_nothing_is_blended_over_a_cut(tmp_path: Path, model: Path) -> None:
    pictures = [moving(n) for n in range(3)] + [255 - moving(40 + n, 5) // 3 for n in range(3)]
    source = write(tmp_path / "in.mkv", pictures)
    frames, _ = interpolated(source, tmp_path / "out.mkv", model, 4, 0.2)
    found = [frame_md5(frame) for frame in frames]
    before, after = found[8], found[12]
    assert found[8:13] == [before, before, before, after, after]
    assert len(set(found[:9])) == 9


def test_a_frame_rate_is_reached_by_making_frames(clip: Path, tmp_path: Path, model: Path) -> None:
    output = tmp_path / "out.mkv"
    faces = face_job(SETTINGS, (("interpolator", model),))
    job, _ = render(
        clip,
        output,
        lambda plan: at_rate(plan, Fraction(30), between=True),
        setup={"faces": faces},
        encoder="ffv1",
    )
    frames = list(serial_decode(output))
    assert len(frames) == round(COUNT * Fraction(2, 25) * 30)
    assert (job.plan.output.phases > 0).sum() > 20
    assert len({frame_md5(frame) for frame in frames}) >= len(frames) - 2


def test_one_input_and_three_give_the_same(tmp_path: Path, model: Path) -> None:
    other = make_interpolator(tmp_path / "one.onnx", one_input=True)
    made = []
    for path in (model, other):
        maker = FrameInterpolator()
        maker.start(context(tmp_path, SETTINGS, models=(("interpolator", path),)))
        pair = [av.VideoFrame.from_ndarray(moving(4 * n), format="rgb24") for n in range(2)]
        made.append(maker.between(pair[0], pair[1], 0.25, ColorTags()).to_ndarray())
    assert np.array_equal(made[0], made[1])
    assert psnr(made[0], moving(1)) > psnr(moving(0), moving(1)) + 6


def test_a_network_of_another_kind_is_refused(tmp_path: Path) -> None:
    model = make_enhancer(tmp_path / "enhancer.onnx")
    with pytest.raises(ModelError, match="is no frame interpolator"):
        FrameInterpolator().check(context(tmp_path, SETTINGS, models=(("interpolator", model),)))


def test_a_missing_model_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--model interpolator=PATH"):
        FrameInterpolator().check(context(tmp_path, SETTINGS))


def test_it_is_found_by_name_and_needs_no_faces() -> None:
    assert frame_maker(["none", "face_anonymizer"]) is None
    assert isinstance(frame_maker(["face_anonymizer", "frame_interpolator"]), FrameInterpolator)
    assert not needs_faces(load_processor("frame_interpolator"))
    with pytest.raises(SettingsError, match="only one can make frames"):
        frame_maker(["frame_interpolator", "frame_interpolator"])
