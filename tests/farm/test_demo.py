from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.demo import (
    DEMO_FRAMES,
    check_demo,
    demo_lines,
    demo_settings,
    face_box_xywh,
    make_demo_clip,
)
from farm.errors import InputError, SetupError, VerifyError
from farm.faces.cascade import CascadeDetector
from farm.faces.detect import detect_faces
from farm.media.frame import EditableFrame
from farm.media.stream import ColorTags

Edit = Callable[[int, NDArray[Any]], None]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "clip.mp4"
    make_demo_clip(path)
    return path


def edited(clip: Path, output: Path, edit: Edit, *, frames: int = DEMO_FRAMES) -> Path:
    """The clip with `edit` done to the luma of each frame, and its sound copied."""
    with av.open(clip) as source, av.open(output, "w") as target:
        video = target.add_stream("libx264", rate=30, options={"qp": "0", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        audio = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.stream.type == "audio" and packet.size:
                packet.stream = audio
                target.mux(packet)
            for frame in packet.decode() if packet.stream.type == "video" else ():
                assert isinstance(frame, av.VideoFrame)
                number = round(float(frame.time or 0) * 30)
                if number < frames:
                    planes = frame.to_ndarray()
                    edit(number, planes[:360])
                    copy = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                    copy.pts, copy.time_base = frame.pts, frame.time_base
                    target.mux(video.encode(copy))
        target.mux(video.encode(None))
    return output


def cover(number: int, luma: NDArray[Any]) -> None:
    x, y, width, height = face_box_xywh(number)
    region = luma[y : y + height, x : x + width]
    region[:] = int(np.mean(region))


def test_the_clip_is_four_seconds_of_moving_face_with_sound(clip: Path) -> None:
    with av.open(clip) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, video.frames) == (640, 360, DEMO_FRAMES)
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert float(audio.duration * audio.time_base) == pytest.approx(4, abs=0.05)  # type: ignore[operator]
    assert len({face_box_xywh(n) for n in range(DEMO_FRAMES)}) > DEMO_FRAMES / 2


def test_the_cascades_find_the_face_of_the_clip_and_nothing_else(clip: Path) -> None:
    detector = CascadeDetector()
    with av.open(clip) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 23:
                continue
            ((face,),) = detect_faces(detector, [EditableFrame(frame, color=ColorTags())])
            x, y, width, height = face_box_xywh(number)
            left, top, right, bottom = face.box_xyxy
            assert abs((left + right) / 2 - (x + width / 2)) < 20
            assert abs((top + bottom) / 2 - (y + height / 2)) < 20


def test_a_covered_face_passes(clip: Path, tmp_path: Path) -> None:
    check = check_demo(clip, edited(clip, tmp_path / "o.mp4", cover))
    assert (check.frames, check.frames_covered) == (DEMO_FRAMES, DEMO_FRAMES)
    assert check.audio_packets > 150
    settings = demo_settings(tmp_path / "new" / "folder")
    assert str(settings.output.resolve()) in "\n".join(demo_lines(check, settings, 30.0))


def test_an_untouched_clip_fails(clip: Path) -> None:
    with pytest.raises(VerifyError, match="the face shows in 120 of 120 frames"):
        check_demo(clip, clip)


def test_one_frame_with_the_face_fails(clip: Path, tmp_path: Path) -> None:
    def skip_one(number: int, luma: NDArray[Any]) -> None:
        if number != 77:
            cover(number, luma)

    with pytest.raises(VerifyError, match="the face shows in 1 of 120 frames"):
        check_demo(clip, edited(clip, tmp_path / "o.mp4", skip_one))


def test_a_missing_last_frame_fails(clip: Path, tmp_path: Path) -> None:
    short = edited(clip, tmp_path / "o.mp4", cover, frames=DEMO_FRAMES - 1)
    with pytest.raises(VerifyError, match="not as many frames"):
        check_demo(clip, short)


def test_a_change_away_from_the_face_fails(clip: Path, tmp_path: Path) -> None:
    def spoil(number: int, luma: NDArray[Any]) -> None:
        luma[:] = 255 - luma

    with pytest.raises(VerifyError, match="frame 0 differs outside of the face"):
        check_demo(clip, edited(clip, tmp_path / "o.mp4", spoil))


def test_lost_sound_fails(clip: Path, tmp_path: Path) -> None:
    whole = edited(clip, tmp_path / "o.mp4", cover)
    silent = tmp_path / "silent.mp4"
    with av.open(whole) as source, av.open(silent, "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
    with pytest.raises(VerifyError, match="the sound is not that of the clip"):
        check_demo(clip, silent)


def test_a_missing_portrait_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SetupError, match="--no-deps scikit-image"):
        make_demo_clip(tmp_path / "clip.mp4")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot make this folder"):
        demo_settings(tmp_path / "file" / "demo")
