"""The marks of finished videos: written before the file is verified and hashed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.marks.boxes import C2PA_BOX, XMP_BOX, read_box
from farm.marks.embed import read_marks
from farm.marks.mark import DigitalSource, Mark
from farm.marks.signing import read_signature
from farm.media.encoders import choose_encoder
from farm.media.final import FinishReport, FinishRequest, finish
from farm.models.hashes import sha256_of
from farm.settings import VerifyLevel
from tests.marks.certificates import make_signer
from tests.media.finish_case import (
    make_source,
    parameters,
    pictures,
    request_for,
    shown,
    write_chunks,
)

COUNT = 9


def finished(
    folder: Path, name: str, source: Path | None = None, **changes: Any
) -> tuple[FinishRequest, FinishReport]:
    """Finish a lossless job, verified in full."""
    folder.mkdir(exist_ok=True)
    choice, _ = choose_encoder(
        "libvpx-vp9" if name.endswith("webm") else "libx264", 0, parameters()
    )
    paths = write_chunks(folder / f"work-{name}", choice, parameters(), (4, 5))
    request = request_for(
        folder,
        source or make_source(folder / "in.mkv", COUNT, audio_start_s=0.0),
        choice,
        paths,
        COUNT,
        output=folder / name,
        verify=VerifyLevel.FULL,
        **({"altered_by": ("face_swapper",)} | changes),
    )
    return request, finish(request)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_an_altered_video_carries_its_marks_and_shows_the_same(tmp_path: Path, name: str) -> None:
    request, report = finished(tmp_path, name)
    found = read_marks(request.output)
    assert found.comment == Mark(altered_by=("face_swapper",))
    assert found.xmp is not None
    assert found.xmp.digital_source == DigitalSource.COMPOSITE_WITH_TRAINED
    assert found.xmp.mark == found.comment
    assert [samples for _, samples in shown(request.output)] == pictures(COUNT)
    assert sha256_of(request.output) == report.output_sha256


def test_webm_carries_them_in_tags(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.mkv", COUNT)
    request, _ = finished(tmp_path, "a.webm", source)
    assert read_marks(request.output).mark == Mark(altered_by=("face_swapper",))


def test_the_index_stays_in_front_of_the_samples(tmp_path: Path) -> None:
    request, _ = finished(tmp_path, "a.mp4")
    data = request.output.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat") < data.index(XMP_BOX)


def test_a_container_without_a_place_for_marks_says_so(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.ts", COUNT)
    _, report = finished(tmp_path, "a.ts", source)
    assert any("only the manifest says it" in note for note in report.notes)


def test_an_unaltered_video_carries_none(tmp_path: Path) -> None:
    request, _ = finished(tmp_path, "a.mp4", altered_by=())
    assert read_marks(request.output).mark == Mark()
    assert read_box(request.output, XMP_BOX) is None


@pytest.mark.parametrize("altered_by", [("face_anonymizer",), ()])
@pytest.mark.parametrize("name", ["b.mp4", "b.mkv"])
def test_what_an_earlier_render_altered_stays_marked(
    tmp_path: Path, name: str, altered_by: tuple[str, ...]
) -> None:
    first, _ = finished(tmp_path / "first", "a.mp4")
    request, _ = finished(tmp_path, name, first.output, altered_by=altered_by)
    found = read_marks(request.output)
    assert found.mark == Mark(altered_by=("face_swapper", *altered_by))
    assert found.xmp is not None
    assert found.xmp.digital_source == DigitalSource.COMPOSITE_WITH_TRAINED


@pytest.mark.parametrize("private", [False, True])
def test_a_signed_video_shows_the_same_and_its_signature_holds(
    tmp_path: Path, private: bool
) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python is optional")
    signer = make_signer(tmp_path / "signer")
    request, report = finished(tmp_path, "a.mp4", signing=signer, private=private)
    signature = read_signature(request.output)
    assert signature is not None
    assert signature.valid
    assert read_box(request.output, C2PA_BOX)
    assert read_marks(request.output).mark == Mark(altered_by=("face_swapper",))
    assert [samples for _, samples in shown(request.output)] == pictures(COUNT)
    assert sha256_of(request.output) == report.output_sha256
    assert not list(request.work_dir.glob("signed-*"))


def test_only_a_private_job_leaves_the_source_s_own_statement_out(tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python is optional")
    signer = make_signer(tmp_path / "signer")
    first, _ = finished(tmp_path / "first", "a.mp4", signing=signer)
    sizes = {}
    for private in (False, True):
        request, _ = finished(
            tmp_path, f"b{private}.mp4", first.output, signing=signer, private=private
        )
        sizes[private] = len(read_box(request.output, C2PA_BOX) or b"")
    assert sizes[True] + 1000 < sizes[False]
