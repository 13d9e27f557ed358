"""Frames that stay on the device from decoder to encoder; memory plays the device.

NVDEC is played by a software decoder that gives NV12, the GPU by onnxruntime on the CPU, NVENC by
x264, which takes NV12 as well. All else is what runs on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from actors.worker import ChunkWorker, Outcome, Shipment
from farm.chunk_task import ChunkResult, RenderSetup
from farm.media import encode as encode_module
from farm.media import hardware_decode
from farm.media.device_runs import DeviceError
from farm.media.encoders import choose_encoder
from farm.media.frame_device import FrameDevice
from farm.process import FaceJob
from farm.settings import HardwareDecode, ProcessorSettings
from farm.staying import FramePlace, frame_place, why_in_memory
from tests.media.test_hardware_decode import FakeDevice, play, played_by_memory
from tests.model_maker import draw_face, make_scrfd
from tests.rendering import Job, blocks_of, face_job, job_for, shown_md5s, task_of

SIZE = (1280, 720)
FRAMES, RATE, CHUNK_S = 30, 20, 0.5
TRIAL_FRAMES, TRIAL_CHUNKS = 6, 1
FACE = (301, 203, 397, 299)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small face that moves over a gray ground; the last frames have none."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    with av.open(str(path), "w") as container:
        options = {"crf": "10", "preset": "ultrafast", "g": "10"}
        stream: Any = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(FRAMES):
            picture = np.full((SIZE[1], SIZE[0], 3), 90 + number, np.uint8)
            if number < FRAMES - 5:
                left, top, right, bottom = (side + 3 * number for side in FACE)
                draw_face(picture, (left, top, right, bottom))
            frame = VideoFrame.from_ndarray(picture, format="bgr24")
            frame = frame.reformat(format="yuv420p", threads=1)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceJob:
    model = make_scrfd(tmp_path_factory.mktemp("models") / "d.onnx")
    settings = ProcessorSettings(names=("face_anonymizer",), many_faces=True, detector="scrfd")
    return replace(face_job(settings, (("detector", model),)), frame_size=SIZE)


def job_of(clip: Path, folder: Path, faces: FaceJob) -> Job:
    plain = job_for(clip, folder, chunk_seconds=CHUNK_S, faces=faces)
    stream = plain.setup.stream
    choice = choose_encoder("libx264", 0, stream)[0]
    setup = replace(plain.setup, encoder=choice, hardware_decode=HardwareDecode.CUDA)
    return replace(plain, setup=setup)


def render(job: Job, worker: ChunkWorker, number: int) -> ChunkResult:
    blocks = blocks_of(job)
    starts = tuple(block.start for block in blocks)
    task = task_of(job, number)
    shipment = Shipment(ticket=number, token=number, task=task, starts=starts, refs=tuple(blocks))
    answer = worker.render(shipment)
    assert answer.outcome is Outcome.DONE
    assert answer.result is not None
    return answer.result


def rendered(job: Job) -> list[ChunkResult]:
    """All chunks of a job by a worker of its own."""
    worker = ChunkWorker(job.setup, get=lambda block: block)
    worker.start()
    results = [render(job, worker, number) for number in range(len(job.chunks))]
    worker.close()
    return results


@dataclass(slots=True)
class Played:
    """A device that is played, and what its worker did."""

    job: Job
    device: FrameDevice
    worker: ChunkWorker

    def render(self, number: int) -> ChunkResult:
        return render(self.job, self.worker, number)

    def all(self) -> list[ChunkResult]:
        return [self.render(number) for number in range(len(self.job.chunks))]


Play = Callable[[], Played]


@pytest.fixture
def played(
    clip: Path, faces: FaceJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Play]:
    made: list[ChunkWorker] = []

    def start() -> Played:
        job = job_of(clip, tmp_path / "staying", faces)
        decoder = FakeDevice(job.setup.stream)
        play(decoder, monkeypatch)
        monkeypatch.setattr(hardware_decode, "_TRIAL_FRAMES", TRIAL_FRAMES)
        device = played_by_memory(job.setup.stream)
        monkeypatch.setattr("farm.render.frame_place", lambda _: FramePlace(device=device))
        worker = ChunkWorker(job.setup, get=lambda block: block)
        made.append(worker)
        worker.start()
        return Played(job, device, worker)

    yield start
    for worker in made:
        worker.close()


@pytest.fixture
def ordinary(clip: Path, faces: FaceJob, tmp_path: Path) -> list[str]:
    """Hashes of all frames as they are rendered by software alone."""
    job = job_of(clip, tmp_path / "ordinary", faces)
    job = replace(job, setup=replace(job.setup, hardware_decode=HardwareDecode.OFF))
    results = rendered(job)
    assert sum(result.on_device for result in results) == 0
    assert sum(result.touched for result in results) == FRAMES - 5
    return shown_md5s(job)


def test_chunks_of_frames_that_stay_are_the_same(played: Play, ordinary: list[str]) -> None:
    staying = played()
    results = staying.all()
    assert shown_md5s(staying.job) == ordinary
    assert [result.on_device for result in results] == [0, 10, 10]
    assert [result.touched for result in results[-2:]] == [10, 5]
    assert staying.device.alive


def test_no_whole_frame_travels_but_those_that_prove_a_keyframe(played: Play) -> None:
    staying = played()
    for number in range(TRIAL_CHUNKS):
        staying.render(number)
    device = staying.device
    read, put, whole = device.read_bytes, device.put_bytes, device.whole_frames
    result = staying.render(TRIAL_CHUNKS)
    assert result.touched == result.on_device == result.frames == 10
    assert device.whole_frames - whole == 1
    frame_bytes = SIZE[0] * SIZE[1] * 3 // 2
    # Of each frame its picture for the detector, tiles around the face, and its signature.
    few = 3 * 640 * 360 + 6 * 6 * 64 * 64 * 3 // 2 + 3 * 64 * 64
    assert frame_bytes < device.read_bytes - read <= frame_bytes + 10 * few
    assert 0 < device.put_bytes - put <= 10 * 6 * 6 * 64 * 64 * 3 // 2


def test_frames_without_a_face_are_encoded_as_they_were_decoded(
    played: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    staying = played()
    for number in range(TRIAL_CHUNKS + 1):
        staying.render(number)
    put = staying.device.put_bytes
    puts: list[int] = []
    right = staying.device.put

    def noted(frame: VideoFrame, *rest: Any) -> None:
        puts.append(frame.pts or 0)
        right(frame, *rest)

    monkeypatch.setattr(staying.device, "put", noted)
    assert staying.render(TRIAL_CHUNKS + 1).touched == 5
    assert len(set(puts)) == 5
    assert staying.device.put_bytes > put


@pytest.mark.parametrize("method", ["read", "averaged", "put", "signatures"])
def test_a_device_that_fails_later_costs_no_frame_and_no_attempt(
    played: Play,
    ordinary: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    staying = played()
    for number in range(TRIAL_CHUNKS):
        staying.render(number)

    def broken(*_: object) -> Any:
        raise staying.device.give_up("the driver went away")

    right = getattr(staying.device, method)
    monkeypatch.setattr(
        staying.device, method, lambda *given: broken() if staying.device.alive else right(*given)
    )
    results = [staying.render(n) for n in range(TRIAL_CHUNKS, len(staying.job.chunks))]
    assert [result.on_device for result in results] == [0, 0]
    assert shown_md5s(staying.job) == ordinary
    assert caplog.text.count("the driver went away; they are brought to memory") == 1


def test_an_encoder_that_takes_no_frames_of_the_device_gets_them_from_memory(
    played: Play,
    ordinary: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    right = encode_module._begun

    def refusing(choice: Any, stream: Any, rate: Any, first: VideoFrame) -> Any:
        wrong = replace(choice, options=(*choice.options, ("profile", "nothing known")))
        return right(wrong, stream, rate, first)

    monkeypatch.setattr(encode_module, "_begun", refusing)
    staying = played()
    assert sum(result.on_device for result in staying.all()) == 0
    assert shown_md5s(staying.job) == ordinary
    assert "they are brought to memory from now on" in caplog.text


def test_an_encoder_that_shows_something_else_gets_frames_from_memory(
    played: Play, ordinary: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NVENC would if the chroma lay elsewhere than it thinks."""
    staying = played()
    right = encode_module._begun

    def green(choice: Any, stream: Any, rate: Any, first: VideoFrame) -> Any:
        return right(choice, stream, rate, VideoFrame(*SIZE, first.format.name))

    monkeypatch.setattr(encode_module, "_begun", green)
    assert sum(result.on_device for result in staying.all()) == 0
    assert shown_md5s(staying.job) == ordinary
    assert not staying.device.alive


def able(setup: RenderSetup) -> RenderSetup:
    """The setup of a job on NVIDIA, from end to end."""
    return replace(
        setup,
        encoder=replace(setup.encoder, encoder="hevc_nvenc"),
        faces=replace(setup.faces, provider="cuda"),
        hardware_decode=HardwareDecode.AUTO,
    )


def test_frames_stay_only_where_all_of_the_way_is_on_nvidia(
    clip: Path, faces: FaceJob, tmp_path: Path
) -> None:
    setup = able(job_of(clip, tmp_path, faces).setup)
    assert why_in_memory(setup) == ""
    stream = setup.stream
    deep = replace(stream, pix_fmt="yuv420p10le")
    p010 = replace(setup.encoder, pix_fmt="p010le")
    assert why_in_memory(replace(setup, stream=deep, encoder=p010)) == ""
    changes: list[tuple[dict[str, Any], str]] = [
        ({"frames_stay": False}, "that was asked for"),
        ({"hardware_decode": HardwareDecode.OFF}, "no NVDEC was asked for"),
        ({"hardware_decode": HardwareDecode.VAAPI}, "no NVDEC was asked for"),
        ({"faces": faces}, "cpu does not work there"),
        ({"encoder": replace(setup.encoder, encoder="libx264")}, "libx264 is not NVENC"),
        ({"encoder": replace(setup.encoder, pix_fmt="yuv444p")}, "the encoder is given yuv444p"),
        ({"stream": deep}, "the encoder is given yuv420p"),
        ({"stream": replace(stream, pix_fmt="yuv422p")}, "yuv422p is neither NV12 nor P010 there"),
        ({"stream": replace(stream, height=719)}, "the sides are odd"),
        ({"stream": replace(stream, field_order=2)}, "the source is interlaced"),
        ({"reshape": replace(setup.reshape, size=(64, 64))}, "frames get another shape"),
        ({"frames_dir": tmp_path}, "processed frames are kept"),
        ({"analyse": True}, "nothing is encoded"),
    ]
    for change, reason in changes:
        assert why_in_memory(replace(setup, **change)) == reason


def test_a_machine_without_a_gpu_says_so_and_takes_memory(
    clip: Path, faces: FaceJob, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("this needs a machine without a GPU")
    setup = able(job_of(clip, tmp_path, faces).setup)
    place = frame_place(setup)
    assert place.device is None
    assert place.why_in_memory
    assert f"frames: in memory ({place.why_in_memory})" in caplog.text
    with pytest.raises(DeviceError):
        FrameDevice("yuv420p", SIZE)


@pytest.mark.gpu
def test_frames_stay_on_a_true_gpu_and_give_the_chunks_of_memory(
    clip: Path, faces: FaceJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware_decode, "_TRIAL_FRAMES", TRIAL_FRAMES)
    shown = {}
    for stays, due in ((True, [0, 10, 10]), (False, [0, 0, 0])):
        job = job_of(clip, tmp_path / str(stays), faces)
        setup = replace(
            able(job.setup),
            encoder=choose_encoder("h264_nvenc", 18, job.setup.stream)[0],
            hardware_decode=HardwareDecode.CUDA,
            frames_stay=stays,
        )
        job = replace(job, setup=setup)
        assert [result.on_device for result in rendered(job)] == due
        shown[stays] = shown_md5s(job)
    assert shown[True] == shown[False]
