"""Damaged files by the thousand: no crash, no hang, nothing that claims to be whole.

The damage is done and read in a process of its own, so that a crash of a library is seen as one.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from farm.errors import ChunkError, FarmError, JobError
from farm.isolated import isolated
from farm.media.chunk_file import read_header, read_packets
from farm.media.encoders import choose_encoder
from farm.media.join import join_chunks, read_chunks
from farm.media.probe import check_video
from tests.media.chunk_run import decode_chunks, planned
from tests.media.finish_case import parameters, times, write_chunks
from tests.media_maker import Studio

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(3600)]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "250"))
"""Damaged copies of each file."""
SEED = int(os.environ.get("FUZZ_SEED", "20261124"))
"""Another one damages in other ways."""
TELLING = ("mkv", "avi", "fast.mp4")
"""Files that say how long they are at their beginning: a shorter one cannot pass for whole."""
FILES = (
    "plain.mp4",
    "h264_open_gop.mp4",
    "fragmented.mp4",
    "edit_list.mp4",
    "multi.mkv",
    "h264.ts",
    "mpeg2.ts",
    "bframes.avi",
    "vp9_hidden_frames.webm",
    "hevc_open_gop.mp4",
    "raw.264",
    "prores.mov",
    "alpha.mov",
    "ffv1.mkv",
)
Tell = Callable[[object], None]
Damage = tuple[str, float, int]
"""What is done, where (share of the file), and with which number."""

DAMAGES = st.lists(
    st.tuples(
        st.sampled_from(("flip", "zero", "cut", "fill", "double", "drop", "head")),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 2**16 - 1),
    ),
    min_size=1,
    max_size=6,
)


def damaged(whole: bytes, damages: list[Damage]) -> bytes:
    """A copy with all of the damages."""
    data = bytearray(whole)
    for kind, share, number in damages:
        at = int(len(data) * share)
        if kind == "head":
            at %= min(len(data), 2048) or 1
        length = 1 + number % 512
        if not data:
            break
        if kind in ("flip", "head"):
            data[at] ^= 1 << number % 8
        elif kind == "zero":
            data[at : at + length] = bytes(len(data[at : at + length]))
        elif kind == "fill":
            data[at : at + length] = bytes([number % 256]) * len(data[at : at + length])
        elif kind == "double":
            data[at:at] = data[at : at + length]
        elif kind == "drop":
            del data[at : at + length]
        else:
            del data[at:]
    return bytes(data)


def fuzz_file(source: Path, frames: int, number: int, tell: Tell) -> Counter[str]:
    """Read damaged copies of a file as a render does; counts what became of them."""
    whole, outcomes = source.read_bytes(), Counter[str]()
    telling = source.name.endswith(TELLING)

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @given(DAMAGES)
    def read(damages: list[Damage]) -> None:
        tell(damages)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"damaged{source.suffix}"
            path.write_bytes(damaged(whole, damages))
            shown, claims_whole = outcome_of(path)
        outcomes["refused" if shown is None else "whole" if claims_whole else "said"] += 1
        if telling and claims_whole and [kind for kind, *_ in damages] == ["cut"]:
            assert shown is not None
            assert shown >= frames, f"{shown} of {frames} frames pass for whole: {damages}"

    read()
    return outcomes


def outcome_of(path: Path) -> tuple[int | None, bool]:
    """Frames that a render would show, None where it refuses; and whether it calls them whole."""
    try:
        check_video(path, None)
        index, plan = planned(path)
        run = decode_chunks(index, plan, 0.4)
    except FarmError:
        return None, False
    assert len(run.md5s) == len(plan)
    lost = sum(md5 is None for md5 in run.md5s)
    return len(run.md5s) - lost, not (plan.damage or run.corrupt or lost)


@pytest.mark.parametrize("name", FILES)
def test_no_damage_brings_the_reader_down_or_passes_for_whole(
    media_studio: Studio, name: str
) -> None:
    source = media_studio.path(name)
    shown, claims_whole = outcome_of(source)
    assert shown is not None
    assert claims_whole
    last: list[object] = []
    try:
        outcomes = isolated(
            fuzz_file, source, shown, SEED, subject=source, told=last.append, stall_s=60
        )
    except Exception as error:
        raise AssertionError(f"{error}; damage: {last[-1:]}") from error
    print(name, dict(outcomes))  # noqa: T201 - shown with -s
    assert sum(outcomes.values()) >= EXAMPLES * 0.9
    assert outcomes["refused"] + outcomes["said"] > 0


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(DAMAGES)
def test_damaged_chunk_files_never_join(chunks: tuple[Path, ...], damages: list[Damage]) -> None:
    whole = chunks[1].read_bytes()
    broken = damaged(whole, damages)
    if broken == whole:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "00001.chunk"
        path.write_bytes(broken)
        with pytest.raises((ChunkError, JobError)):
            join((chunks[0], path), Path(folder) / "joined.mp4")


def join(paths: tuple[Path, ...], target: Path) -> None:
    choice = choose_encoder("ffv1", 0, parameters())[0]
    read = read_chunks(paths, 8)
    join_chunks(read, target, choice=choice, stream=parameters(), times=times(8))


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    choice = choose_encoder("ffv1", 0, parameters())[0]
    paths = write_chunks(tmp_path_factory.mktemp("fuzz"), choice, parameters(), (4, 4))
    assert read_header(paths[1]).frame_count == len(list(read_packets(paths[1]))) == 4
    return paths
