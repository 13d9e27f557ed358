"""The demo: a clip that is made on the spot, and the check of what a render made of it.

The face is the portrait in scikit-image's package (public domain), so nothing is downloaded.
Not for: rendering, which the command does with the same call as for any clip.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from farm.errors import InputError, SetupError, VerifyError
from farm.settings import ProcessorSettings, RenderSettings

DEMO_FRAMES = 120
_WIDTH, _HEIGHT, _FPS = 640, 360, 30
_AUDIO_RATE = 48_000
_AUDIO_BLOCK = 1024
_TONE_HZ = 440.0
_CROP_XYWH = (105, 0, 240, 240)
"""The head and shoulders in the portrait."""
_FACE_XYWH = (72, 66, 97, 97)
"""The face within the crop."""
_COVERED_DIFFERENCE = 10.0
_UNTOUCHED_DIFFERENCE = 1.5
_UNTOUCHED_MARGIN_PX = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCheck:
    """What the demo's output shows."""

    frames: int
    frames_covered: int
    """Frames whose face looks clearly different from the clip's."""
    audio_packets: int


def demo_settings(folder: Path) -> RenderSettings:
    """Settings of the demo, which writes its clip and its output to `folder`; made if missing.

    Raises:
        InputError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot make this folder ({error.strerror})") from error
    return RenderSettings(
        target=folder / "clip.mp4",
        output=folder / "covered.mp4",
        processors=ProcessorSettings(names=("face_anonymizer",), detector="cascade"),
        overwrite=True,
    )


def demo_lines(check: DemoCheck, settings: RenderSettings, fps: float) -> list[str]:
    """What the demo tells at its end."""
    return [
        f"{check.frames} frames at {fps:.1f} fps; checked: the face is covered in"
        f" {check.frames_covered} of {check.frames}, all else and the sound are as they were",
        f"before: {settings.target.resolve()}",
        f"after:  {settings.output.resolve()}",
    ]


def make_demo_clip(path: Path) -> None:
    """Write the demo clip: 4 s of 640x360 at 30 fps, H.264, with an AAC tone.

    Raises:
        SetupError: The portrait is not installed.
    """
    picture = portrait()
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=_FPS)
        video.width, video.height, video.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        # x264's bytes follow its threads: one makes the clip the same on every machine.
        video.options = {"crf": "18", "preset": "veryfast", "threads": "1"}
        audio = container.add_stream("aac", rate=_AUDIO_RATE)
        _write_video(container, video, picture)
        _write_audio(container, audio)


def check_demo(clip: Path, output: Path) -> DemoCheck:
    """See that every face of the clip is covered in the output and all else is still there.

    Raises:
        VerifyError: It is not; the message says what differs.
    """
    frames = covered = 0
    with av.open(clip) as before, av.open(output) as after:
        pairs = itertools.zip_longest(before.decode(video=0), after.decode(video=0))
        for number, (old, new) in enumerate(pairs):
            if old is None or new is None:
                raise VerifyError(
                    f"{output}: the demo has not as many frames as its clip ({number})"
                )
            if old.time != new.time:
                raise VerifyError(
                    f"{output}: frame {number} is shown at {new.time}, not {old.time}"
                )
            face, rest = _differences(_luma(old), _luma(new), number)
            if rest > _UNTOUCHED_DIFFERENCE:
                raise VerifyError(
                    f"{output}: frame {number} differs outside of the face ({rest:.1f})"
                )
            frames += 1
            covered += face > _COVERED_DIFFERENCE
    if covered < frames:
        raise VerifyError(f"{output}: the face shows in {frames - covered} of {frames} frames")
    packets = _audio_packets(clip)
    if not packets or packets != _audio_packets(output):
        raise VerifyError(f"{output}: the sound is not that of the clip")
    return DemoCheck(frames=frames, frames_covered=covered, audio_packets=len(packets))


def face_box_xywh(frame: int) -> tuple[int, int, int, int]:
    """Where the face is in frame `frame` of the clip, in pixels."""
    left, top = _place(frame)
    x, y, width, height = _FACE_XYWH
    return left + x, top + y, width, height


def portrait() -> NDArray[np.uint8]:
    """The crop of the portrait, [240, 240, 3] RGB."""
    spec = importlib.util.find_spec("skimage")
    path = Path(spec.origin).parent / "data" / "astronaut.png" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise SetupError("the demo's portrait is missing: run `pip install --no-deps scikit-image`")
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise SetupError(f"{path}: the demo's portrait is damaged; install scikit-image again")
    x, y, width, height = _CROP_XYWH
    return np.ascontiguousarray(picture[y : y + height, x : x + width], dtype=np.uint8)


def _place(frame: int) -> tuple[int, int]:
    """Left and top of the portrait in frame `frame`: once to the right and back."""
    angle = 2 * math.pi * frame / DEMO_FRAMES
    left = 40 + 320 * (0.5 - 0.5 * math.cos(angle))
    return round(left), round(60 + 30 * math.sin(2 * angle))


def _write_video(
    container: OutputContainer, stream: VideoStream, portrait: NDArray[np.uint8]
) -> None:
    """Encode the moving portrait over a still background."""
    background = _background()
    mask = oval(portrait.shape[0])
    height, width = portrait.shape[:2]
    for number in range(DEMO_FRAMES):
        picture = background.copy()
        left, top = _place(number)
        region = picture[top : top + height, left : left + width]
        region[:] = (mask * portrait + (1 - mask) * region).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, _FPS)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_audio(container: OutputContainer, stream: AudioStream) -> None:
    """Encode a soft tone as long as the pictures."""
    for start in range(0, DEMO_FRAMES * _AUDIO_RATE // _FPS, _AUDIO_BLOCK):
        time_s = (start + np.arange(_AUDIO_BLOCK)) / _AUDIO_RATE
        samples = (0.1 * np.sin(2 * np.pi * _TONE_HZ * time_s)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _AUDIO_RATE, start, Fraction(1, _AUDIO_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _background() -> NDArray[np.uint8]:
    """A quiet picture with edges and slopes, [360, 640, 3] RGB."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    red = 60 + 60 * x / _WIDTH
    green = 90 + 50 * y / _HEIGHT
    blue = 120 + 30 * ((x // 40 + y // 40) % 2)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def oval(size_px: int) -> NDArray[np.float64]:
    """A soft oval, [size, size, 1] from 0 to 1."""
    y, x = np.mgrid[0:size_px, 0:size_px] / (size_px / 2) - 1
    oval: NDArray[np.float64] = np.clip((1 - np.hypot(x, y)) * 8, 0, 1)
    return oval[..., np.newaxis]


def _luma(frame: av.VideoFrame) -> NDArray[np.float32]:
    """The frame as [height, width] grey, 0 to 255."""
    return frame.reformat(format="gray", threads=1).to_ndarray().astype(np.float32)


def _differences(
    old: NDArray[np.float32], new: NDArray[np.float32], frame: int
) -> tuple[float, float]:
    """Mean difference within the face, and far from it."""
    difference = np.abs(old - new)
    x, y, width, height = face_box_xywh(frame)
    inner = difference[y + height // 5 : y + height * 4 // 5, x + width // 5 : x + width * 4 // 5]
    far = np.ones(old.shape, dtype=bool)
    margin = _UNTOUCHED_MARGIN_PX
    far[max(0, y - margin) : y + height + margin, max(0, x - margin) : x + width + margin] = False
    return float(inner.mean()), float(difference[far].mean())


def _audio_packets(path: Path) -> list[bytes]:
    """The packets of the first audio stream."""
    with av.open(path) as container:
        if not container.streams.audio:
            return []
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
