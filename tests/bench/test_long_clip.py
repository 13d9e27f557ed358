from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from farm.bench.long_clip import noisy_clip, repeated
from farm.media.index import IndexClass, build_index


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_a_clip_many_times_over_is_one_sound_video(tmp_path: Path, kind: str) -> None:
    clip = noisy_clip(tmp_path / "short.mp4", size=(64, 48), frames=20, rate=10)
    path = repeated(clip, tmp_path / f"long.{kind}", 3)
    index = build_index(path)
    assert (index.index_class, len(index.pts)) == (IndexClass.TRUSTED, 60)
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(frames) == 60
    assert np.array_equal(frames[3], frames[23])
    assert not np.array_equal(frames[3], frames[4])


def test_a_rate_is_kept(tmp_path: Path) -> None:
    clip = noisy_clip(tmp_path / "a.mp4", size=(320, 240), frames=40, rate=10, kbits=400)
    assert clip.stat().st_size == pytest.approx(4 * 400_000 / 8, rel=0.2)
