from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from farm.errors import InputError
from farm.manifest import build_manifest, manifest_path, to_jsonable, write_manifest
from farm.settings import ProcessorSettings, RenderSettings
from tests.farm.reports import DAMAGE, make_report

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def manifest_of(names: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    settings = RenderSettings(
        target=Path("in.mp4"), output=Path("out.mp4"), processors=ProcessorSettings(names=names)
    )
    return build_manifest(settings, make_report(**changes), created=NOW)


def test_manifest_lies_beside_the_output() -> None:
    assert manifest_path(Path("a/out.mp4")) == Path("a/out.mp4.facefarm.json")


def test_manifest_survives_json_and_holds_hashes_settings_and_versions(tmp_path: Path) -> None:
    manifest = manifest_of(("face_swapper",))
    write_manifest(tmp_path / "m.json", manifest)
    read = json.loads((tmp_path / "m.json").read_text())
    assert read == manifest
    assert read["created"] == "2026-05-04T03:02:01+00:00"
    assert read["report"]["input_sha256"] == "1" * 64
    assert read["report"]["model_sha256"] == {"swapper": "3" * 64}
    assert read["settings"]["target"] == "in.mp4"
    assert read["settings"]["processors"]["names"] == ["face_swapper"]
    assert {"python", "facefarm", "av", "numpy"} <= read["versions"].keys()


def test_only_processors_that_edit_make_an_output_altered() -> None:
    assert (manifest_of(("none",))["altered"], manifest_of(("none",))["altered_by"]) == (False, [])
    edited = manifest_of(("none", "face_swapper", "face_enhancer"))
    assert edited["altered"]
    assert edited["altered_by"] == ["face_swapper", "face_enhancer"]


def test_damage_makes_a_manifest_incomplete() -> None:
    assert manifest_of(("none",))["complete"]
    damaged = manifest_of(("none",), damage=(DAMAGE,))
    assert not damaged["complete"]
    assert damaged["damage"][0]["frames_lost"] == 2
    assert damaged["damage"][0]["time_s"] == pytest.approx(1 / 3)


def test_writing_replaces_an_older_manifest_and_leaves_nothing_else(tmp_path: Path) -> None:
    for number in (1, 2):
        write_manifest(tmp_path / "m.json", {"number": number})
    assert json.loads((tmp_path / "m.json").read_text()) == {"number": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


def test_a_folder_that_is_missing_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write the manifest"):
        write_manifest(tmp_path / "no" / "m.json", {})


def test_fractions_are_seconds_by_name_and_exact_otherwise() -> None:
    value = {"time_s": Fraction(1, 4), "frame_rate": Fraction(30000, 1001), "raw": b"\x01\xff"}
    assert to_jsonable(value) == {"time_s": 0.25, "frame_rate": "30000/1001", "raw": "01ff"}
