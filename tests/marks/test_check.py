from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from farm.errors import InputError
from farm.manifest import manifest_path
from farm.marks.check import MarkReport, Verdict, check_marks
from farm.marks.embed import embed_mark
from farm.marks.image_file import embed
from farm.marks.mark import Mark
from farm.marks.signing import sign_file
from farm.marks.xmp import build_packet
from farm.models.hashes import sha256_of
from tests.marks.certificates import make_signer

SWAP = Mark(altered_by=("face_swapper",))


def output(folder: Path, mark: Mark = SWAP) -> Path:
    """An image with its marks."""
    path = folder / "out.png"
    cv2.imwrite(str(path), np.full((16, 16, 3), 77, np.uint8))
    embed_mark(path, mark)
    return path


def source(folder: Path) -> Path:
    path = folder / "in.png"
    path.write_bytes(b"what it was made of")
    return path


def add_manifest(path: Path, made_of: Path, altered_by: tuple[str, ...] = SWAP.altered_by) -> None:
    manifest: dict[str, Any] = {
        "format": "facefarm manifest",
        "altered_by": list(altered_by),
        "settings": {"target": str(made_of)},
        "report": {"input_sha256": sha256_of(made_of), "output_sha256": sha256_of(path)},
    }
    manifest_path(path).write_text(json.dumps(manifest))


def outcome(report: MarkReport) -> tuple[Verdict, int]:
    return report.verdict, report.verdict.exit_code


def test_marks_that_fit_the_file_and_each_other_are_intact(tmp_path: Path) -> None:
    path, made_of = output(tmp_path), source(tmp_path)
    add_manifest(path, made_of)
    report = check_marks(path, made_of)
    assert outcome(report) == (Verdict.INTACT, 0)
    assert report.summary == f"{path}: altered by facefarm: face_swapper; intact"
    assert "fits" in report.marks["input"]
    assert len(report.lines) == 1 + len(report.marks)


def test_one_changed_byte_is_seen(tmp_path: Path) -> None:
    path = output(tmp_path)
    add_manifest(path, source(tmp_path))
    path.write_bytes(path.read_bytes() + b"\0")
    report = check_marks(path)
    assert outcome(report) == (Verdict.MISMATCH, 1)
    assert "sha256" in report.summary


def test_marks_without_a_proof_are_shown_as_such(tmp_path: Path) -> None:
    report = check_marks(output(tmp_path))
    assert outcome(report) == (Verdict.UNPROVEN, 6)
    assert report.altered_by == SWAP.altered_by
    assert report.digital_source == SWAP.digital_source


def test_a_file_without_marks_is_not_called_unaltered(tmp_path: Path) -> None:
    report = check_marks(output(tmp_path, Mark()))
    assert outcome(report) == (Verdict.UNMARKED, 6)
    assert "does not prove that it is unaltered" in report.summary


def test_a_file_that_no_processor_touched_is_intact_by_its_manifest(tmp_path: Path) -> None:
    path = output(tmp_path, Mark())
    add_manifest(path, source(tmp_path), altered_by=())
    report = check_marks(path)
    assert outcome(report) == (Verdict.INTACT, 0)
    assert "pictures not altered" in report.summary


def test_a_mark_that_says_less_than_the_manifest_does_not_fit(tmp_path: Path) -> None:
    path = output(tmp_path)
    add_manifest(path, source(tmp_path), altered_by=("face_swapper", "face_enhancer"))
    assert check_marks(path).problems == (
        "the XMP packet does not name every processor of the manifest",
    )


def test_a_source_type_that_says_too_little_does_not_fit(tmp_path: Path) -> None:
    path = output(tmp_path)
    plain = output(tmp_path, Mark()).read_bytes()
    said = build_packet(SWAP).replace(b"compositeWithTrainedAlgorithmicMedia", b"digitalCapture")
    path.write_bytes(embed(plain, said) or b"")
    report = check_marks(path)
    assert report.verdict is Verdict.MISMATCH
    assert "digitalCapture" in report.problems[0]


def test_another_input_is_a_problem_only_where_it_was_given(tmp_path: Path) -> None:
    path, made_of = output(tmp_path), source(tmp_path)
    add_manifest(path, made_of)
    made_of.write_bytes(b"something else")
    assert check_marks(path).verdict is Verdict.INTACT
    assert "another file by now" in check_marks(path).marks["input"]
    assert check_marks(path, made_of).verdict is Verdict.MISMATCH
    made_of.unlink()
    assert "is not here" in check_marks(path).marks["input"]


def test_an_input_without_a_manifest_to_compare_is_a_problem(tmp_path: Path) -> None:
    assert check_marks(output(tmp_path), source(tmp_path)).verdict is Verdict.MISMATCH


def test_a_signature_proves_a_file_without_its_manifest(tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python is optional")
    path = output(tmp_path)
    sign_file(path, tmp_path / "s.png", make_signer(tmp_path / "signer"), SWAP, None)
    assert check_marks(path).verdict is Verdict.INTACT
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    assert "signature does not hold" in check_marks(path).summary


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = output(tmp_path)
    manifest_path(path).write_text(text)
    with pytest.raises(InputError, match="manifest"):
        check_marks(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        check_marks(tmp_path / "gone.mp4")
