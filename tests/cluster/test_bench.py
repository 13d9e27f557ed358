from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from cluster.bench import compare, pipeline
from farm.bench.sizes import NetworkSize
from farm.errors import InputError


@pytest.fixture
def warm_clip(tmp_path: Path) -> Path:
    """A short small clip with a warm square on a cold ground."""
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for number in range(12):
            picture = np.full((192, 320, 3), (20, 60, 160), np.uint8)
            picture[60:120, 40 + number : 100 + number] = (200, 120, 60)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_the_pipeline_is_measured_against_its_limits(warm_clip: Path) -> None:
    said: list[str] = []
    result = pipeline(network=NetworkSize.TINY, clip=warm_clip, rounds=2, say=said.append)
    document = result.document
    assert (document["frames"], document["rounds"]) == (12, 2)
    serial, piped = document["rows"][:2]
    assert (serial["name"], piped["name"]) == ("CPU, one thread, no pipeline", "CPU, pipeline")
    assert serial["speed_up"] == 1
    for row in document["rows"]:
        for name in ("fps", "ratio_to_decode", "ratio_to_decode_encode", "ratio_to_sessions"):
            assert row[name] > 0
    assert result.lines[0].startswith("| way | fps |")
    assert sum("round 2 of 2" in line for line in said) == len(document["rows"])
    json.dumps(document)


def test_a_clip_without_anything_that_stands_for_a_face_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cold.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        picture = np.full((192, 320, 3), (20, 60, 160), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="warm"):
        pipeline(clip=path, rounds=1, baseline=False, say=lambda _: None)


def test_results_are_compared_and_other_files_refused(tmp_path: Path) -> None:
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(json.dumps({"rows": [{"name": "x", "fps": 2.0}]}))
    after.write_text(json.dumps({"rows": [{"name": "x", "fps": 3.0}]}))
    assert "+50 %" in compare(before=before, after=after).lines[-1]
    after.write_text("[]")
    with pytest.raises(InputError, match="no rows"):
        compare(before=before, after=after)
    with pytest.raises(InputError, match=r"gone\.json"):
        compare(before=tmp_path / "gone.json", after=before)
