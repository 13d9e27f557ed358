"""Processors that see frames around those that they edit: the same however a video is cut."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm import process
from farm.chain import ProcessorChain
from farm.media.fields import InterlacedFrame
from farm.media.frame import EditableFrame
from farm.media.retime import at_rate
from farm.media.stream import ColorTags
from farm.processors.base import FaceFrame, ProcessorContext
from farm.processors.none import PassThrough
from farm.processors.registry import lead_of
from farm.settings import ProcessorSettings
from scheduler.chunks import Lead
from tests.faces.pictures import frame_of
from tests.media.retimed_case import render_chunks
from tests.media_maker import Studio
from tests.rendering import ONE_FRAME_S, face_job, job_for, serial_md5s, shown_md5s


class Smooth(PassThrough):
    """Replaces each frame by the mean of itself, two before and one after."""

    name = "smooth"
    needs_faces = True
    lead_in = 2
    lead_out = 1

    def process(self, batch: Sequence[FaceFrame]) -> None:
        pictures = [item.frame.to_bgr() for item in batch]
        for place, item in enumerate(batch):
            if item.lead:
                continue
            around = pictures[max(0, place - self.lead_in) : place + self.lead_out + 1]
            mean = np.mean(np.stack(around), axis=0, dtype=np.float64)
            height, width = mean.shape[:2]
            mask = np.full((height, width), 255, np.uint8)
            item.frame.write_bgr(np.rint(mean).astype(np.uint8), mask, (0, 0, width, height))


class Brighten(PassThrough):
    """Makes each frame a little brighter."""

    name = "brighten"
    needs_faces = True

    def process(self, batch: Sequence[FaceFrame]) -> None:
        for item in batch:
            picture = item.frame.to_bgr()
            mask = np.full(picture.shape[:2], 255, np.uint8)
            box = (0, 0, picture.shape[1], picture.shape[0])
            item.frame.write_bgr(np.minimum(picture, 250) + np.uint8(5), mask, box)


class NoDetector:
    """Finds nobody."""

    name = "nobody"

    def detect(self, pictures: Sequence[Any]) -> list[tuple[()]]:
        return [() for _ in pictures]


CHAINS: list[list[type[PassThrough]]] = [
    [Smooth],
    [Brighten, Smooth],
    [Smooth, Brighten, Smooth],
]


def gray(value: int) -> EditableFrame:
    return frame_of(np.full((16, 16, 3), value, np.uint8), "bgr24")


def run(chain: list[type[PassThrough]], values: list[int], sizes: list[int]) -> list[int]:
    """Brightness of frames that come through in batches of these sizes."""
    frames = [gray(value) for value in values]
    items = [
        [FaceFrame(frame=f, faces=(), selected=()) for f in frame.pictures] for frame in frames
    ]
    chained = ProcessorChain([each() for each in chain])
    done, at = 0, 0
    for size in [*sizes, len(items)]:
        done += chained.push(items[at : at + size])
        assert done <= min(at + size, len(items))
        at += size
    done += chained.end()
    assert done == len(items)
    return [int(frame.to_bgr()[0, 0, 0]) for frame in frames]


@pytest.mark.parametrize("chain", CHAINS)
@given(
    values=st.lists(st.integers(0, 240), min_size=1, max_size=20),
    sizes=st.lists(st.integers(0, 6), max_size=8),
)
@settings(max_examples=25, deadline=None)
def test_how_frames_are_batched_does_not_show(
    chain: list[type[PassThrough]], values: list[int], sizes: list[int]
) -> None:
    assert run(chain, values, sizes) == run(chain, values, [])


def test_a_processor_sees_its_neighbours_as_the_one_before_it_gave_them() -> None:
    values = [0, 40, 80, 200, 100]
    means = [np.mean(values[max(0, i - 2) : i + 2]) for i in range(5)]
    assert run([Smooth], values, [1, 1, 1]) == [round(each) for each in means]
    brighter = [value + 5 for value in values]
    means = [np.mean(brighter[max(0, i - 2) : i + 2]) for i in range(5)]
    assert run([Brighten, Smooth], values, [2]) == [round(each) for each in means]


class Count(Brighten):
    """Notes how many frames it brightens."""

    def __init__(self) -> None:
        self.brightened = 0

    def process(self, batch: Sequence[FaceFrame]) -> None:
        mine = [item for item in batch if not item.lead]
        self.brightened += len(mine)
        super().process(mine)


@pytest.mark.parametrize(
    ("around", "worked_on"), [((), 4), ((Smooth,), 4 + 2 + 1), ((Smooth, Smooth), 4 + 4 + 2)]
)
def test_frames_that_nobody_shows_are_worked_on_only_where_they_are_looked_at(
    around: tuple[type[PassThrough], ...], worked_on: int
) -> None:
    """Places 6 to 9 are shown; what is before and behind them is there for those who look."""
    count = Count()
    frames = [gray(10) for _ in range(16)]
    chained = ProcessorChain([count, *(each() for each in around)], range(6, 10))
    items = [[FaceFrame(frame=f, faces=(), selected=()) for f in g.pictures] for g in frames]
    assert chained.searches(16) == [6 - 2 * len(around) <= n < 10 + len(around) for n in range(16)]
    assert chained.push(items) + chained.end() == 16
    assert count.brightened == worked_on
    assert {int(frames[n].to_bgr()[0, 0, 0]) for n in range(6, 10)} == {15}
    assert {int(frames[n].to_bgr()[0, 0, 0]) for n in (0, 15)} == {10}


def test_leads_of_processors_add_up() -> None:
    assert lead_of([Smooth(), Brighten(), Smooth()]) == (4, 2)
    assert lead_of([PassThrough()]) == (0, 0)


def test_a_copy_of_a_frame_does_not_see_its_edits() -> None:
    frame = gray(10)
    Brighten().process([FaceFrame(frame=frame, faces=(), selected=())])
    copied = frame.copied()
    Brighten().process([FaceFrame(frame=frame, faces=(), selected=())])
    assert [int(each.to_bgr()[0, 0, 0]) for each in (copied, frame)] == [15, 20]


def test_a_field_belongs_to_its_frame() -> None:
    plain = gray(10)
    assert plain.whole is plain
    source = gray(0).video_frame.reformat(format="yuv420p")
    woven = InterlacedFrame(source, color=ColorTags())
    assert len(woven.pictures) == 2
    assert all(field.whole is woven for field in woven.pictures)


@pytest.fixture
def chained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands the processors above in for those of a job, and nobody for its detector."""
    known = {each.name: each for each in (Smooth, Brighten)}
    monkeypatch.setattr(process, "load_processors", lambda names: [known[n]() for n in names])
    monkeypatch.setattr(process, "open_detector", lambda *_, **__: NoDetector())
    monkeypatch.setattr(process, "detect_faces", lambda _, frames: [() for _ in frames])
    monkeypatch.setattr("farm.render.frame_maker", lambda _: None)
    monkeypatch.setattr(PassThrough, "start", lambda _, context: _started(context))


def _started(context: ProcessorContext) -> None:
    assert context.sessions.threads


@pytest.mark.usefixtures("chained")
@pytest.mark.parametrize(
    ("name", "names", "rate"),
    [
        ("h264_open_gop.mp4", ("smooth",), None),
        ("h264_open_gop.mp4", ("smooth", "brighten", "smooth"), 20),
        ("one_gop.mp4", ("smooth", "brighten", "smooth"), None),
        ("interlaced.mp4", ("smooth",), None),
    ],
)
def test_one_chunk_and_many_give_the_same_frames(
    media_studio: Studio, tmp_path: Path, name: str, names: tuple[str, ...], rate: int | None
) -> None:
    path = media_studio.path(name)
    count = names.count("smooth")
    faces = face_job(ProcessorSettings(names=names))
    shown = []
    for number, chunk_seconds in enumerate((100.0, 0.3, ONE_FRAME_S)):
        job = job_for(
            path,
            tmp_path / str(number),
            chunk_seconds=chunk_seconds,
            retimed=lambda plan: plan if rate is None else at_rate(plan, Fraction(rate)),
            lead=Lead(before=2 * count, after=count),
            faces=faces,
        )
        render_chunks(job)
        shown.append(shown_md5s(job))
    assert shown[0] == shown[1] == shown[2]
    assert not set(shown[0]) & set(serial_md5s(path))
