from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from farm.errors import InputError, JobError, SettingsError, SetupError
from farm.marks.mark import Mark
from farm.marks.signing import (
    SigningFiles,
    check_signing,
    has_signature,
    read_signature,
    sign_file,
)
from tests.marks.certificates import make_signer

BLUR = Mark(altered_by=("face_anonymizer",))


@pytest.fixture
def signer(tmp_path: Path) -> SigningFiles:
    pytest.importorskip("c2pa", reason="c2pa-python is optional")
    return make_signer(tmp_path / "signer")


def image(path: Path) -> Path:
    picture = np.random.default_rng(5).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    cv2.imwrite(str(path), picture)
    return path


def test_a_signature_needs_the_library_and_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    files = tmp_path / "a.pem", tmp_path / "a.key"
    with pytest.raises(SetupError, match=r"requirements/c2pa\.txt"):
        check_signing(*files, tmp_path / "out.mp4")


def test_without_a_certificate_nothing_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    check_signing(None, None, tmp_path / "out.mkv")


def test_half_a_signer_and_a_format_without_signatures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="go together"):
        check_signing(tmp_path / "a.pem", None, tmp_path / "out.mp4")
    with pytest.raises(SettingsError, match=r"\.mkv files hold no C2PA"):
        check_signing(tmp_path / "a.pem", tmp_path / "a.key", tmp_path / "out.mkv")


def test_a_signed_file_that_nobody_can_check_is_known_to_be_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image(tmp_path / "a.png")
    assert read_signature(path) is None
    path.write_bytes(path.read_bytes() + b"jumdc2pa")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(SetupError):
        read_signature(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_signed_image_is_read_back_and_a_change_is_seen(
    tmp_path: Path, signer: SigningFiles, suffix: str
) -> None:
    path = image(tmp_path / f"a{suffix}")
    sign_file(path, tmp_path / f"s{suffix}", signer, BLUR, None)
    assert has_signature(path)
    found = read_signature(path)
    assert found is not None
    assert (found.valid, found.trusted, found.failures) == (True, False, ())
    assert "signer" in found.signer
    data = bytearray(path.read_bytes())
    data[-60 if suffix != ".tif" else 300] ^= 1
    path.write_bytes(data)
    changed = read_signature(path)
    assert changed is not None
    assert not changed.valid
    assert changed.failures


def test_the_statement_holds_no_name_of_the_source_and_no_thumbnail(
    tmp_path: Path, signer: SigningFiles
) -> None:
    parent, path = image(tmp_path / "miller.png"), image(tmp_path / "out.png")
    sign_file(path, tmp_path / "s.png", signer, BLUR, parent)
    data = path.read_bytes()
    assert b"miller" not in data
    assert b"thumbnail" not in data
    assert b"algorithmicallyEnhanced" in data
    assert not (tmp_path / "s.png").exists()


def test_what_was_not_altered_is_signed_as_coded_again(
    tmp_path: Path, signer: SigningFiles
) -> None:
    path = image(tmp_path / "a.png")
    sign_file(path, tmp_path / "s.png", signer, Mark(), None)
    assert b"c2pa.transcoded" in path.read_bytes()


def test_certificate_and_key_are_tried_before_anything_starts(
    tmp_path: Path, signer: SigningFiles
) -> None:
    check_signing(signer.certificate, signer.key, tmp_path / "out.mp4")
    other = make_signer(tmp_path / "other")
    with pytest.raises(InputError, match="cannot sign with it"):
        check_signing(signer.certificate, other.key, tmp_path / "out.mp4")
    with pytest.raises(InputError, match="is no private key"):
        check_signing(signer.certificate, signer.certificate, tmp_path / "out.mp4")
    with pytest.raises(InputError, match=r"gone\.pem"):
        check_signing(tmp_path / "gone.pem", signer.key, tmp_path / "out.mp4")


def test_a_file_that_cannot_be_signed_is_a_failed_job(tmp_path: Path, signer: SigningFiles) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    with pytest.raises(JobError, match="cannot be signed"):
        sign_file(path, tmp_path / "s.png", replace(signer), BLUR, None)
