from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from farm.errors import JobError, MediaError
from farm.marks.boxes import XMP_BOX, append_xmp, read_box
from farm.marks.embed import SOURCE_TYPE_TAG, embed_mark, mark_of_source, read_marks, tags_for
from farm.marks.mark import Mark
from tests.media.finish_case import make_source, shown

SWAP = Mark(altered_by=("face_swapper",))


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_a_packet_behind_the_file_moves_nothing(tmp_path: Path, suffix: str) -> None:
    path = _video(tmp_path / f"a.{suffix}")
    before, frames = path.read_bytes(), shown(path)
    assert embed_mark(path, SWAP) is None
    assert path.read_bytes().startswith(before)
    assert shown(path) == frames
    found = read_marks(path)
    assert found.mark == SWAP
    assert found.xmp is not None
    assert found.xmp.digital_source == SWAP.digital_source


def test_another_reader_finds_the_packet_of_a_video(tmp_path: Path) -> None:
    probe = shutil.which("ffprobe")
    if probe is None:
        pytest.skip("no ffprobe here")
    path = _video(tmp_path / "a.mp4")
    embed_mark(path, SWAP)
    command = [probe, "-v", "error", "-export_xmp", "1", "-of", "json", "-show_format", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "compositeWithTrained" in json.loads(done.stdout)["format"]["tags"]["xmp"]


def test_a_file_that_is_cut_off_gets_no_mark(tmp_path: Path) -> None:
    path = _video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(JobError, match="boxes"):
        append_xmp(path, b"packet")


def test_matroska_says_it_in_a_tag() -> None:
    assert tags_for(Path("a.mkv"), SWAP) == {SOURCE_TYPE_TAG: str(SWAP.digital_source)}
    assert tags_for(Path("a.mp4"), SWAP) == {}
    assert tags_for(Path("a.mkv"), Mark()) == {}


def test_what_nothing_altered_is_not_marked(tmp_path: Path) -> None:
    path = _video(tmp_path / "a.mp4")
    assert embed_mark(path, Mark()) is None
    assert read_box(path, XMP_BOX) is None
    assert read_marks(path).mark == Mark()


def test_an_image_is_marked_and_a_bitmap_says_that_it_cannot_be(tmp_path: Path) -> None:
    for suffix in (".png", ".bmp"):
        cv2.imwrite(str(tmp_path / f"a{suffix}"), np.zeros((8, 8, 3), np.uint8))
    assert embed_mark(tmp_path / "a.png", SWAP) is None
    assert read_marks(tmp_path / "a.png").mark == SWAP
    assert "only the manifest" in (embed_mark(tmp_path / "a.bmp", SWAP) or "")


def test_a_packet_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = _video(tmp_path / "a.mp4")
    append_xmp(path, b"<rdf:RDF><broken></rdf:RDF>")
    assert read_marks(path).xmp_unreadable


def test_a_source_that_cannot_be_read_has_no_earlier_mark(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    assert mark_of_source(tmp_path / "a.mp4") == Mark()
    with pytest.raises(MediaError):
        read_marks(tmp_path / "a.png")


def _video(path: Path) -> Path:
    """A small video without marks."""
    source = make_source(path.with_suffix(".ts"), 5)
    with av.open(str(source)) as read, av.open(str(path), "w") as written:
        video = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = video
                written.mux(packet)
    return path
