import re

import pytest

from farm.models.catalogue import CATALOGUE, CatalogueEntry, ModelKind, by_name, by_sha256, of_kind


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda e: e.name)
def test_every_entry_can_be_fetched_and_checked(entry: CatalogueEntry) -> None:
    assert entry.download.url.startswith("https://")
    assert entry.size_bytes > 0
    assert entry.licence
    for sha256 in (entry.sha256, entry.download.sha256, *entry.other_sha256):
        assert sha256 is not None
        assert re.fullmatch("[0-9a-f]{64}", sha256)
    if not entry.in_archive:
        assert (entry.sha256, entry.size_bytes) == (
            entry.download.sha256,
            entry.download.size_bytes,
        )


def test_names_and_hashes_are_unique() -> None:
    assert len({e.name for e in CATALOGUE}) == len(CATALOGUE)
    hashes = [h for e in CATALOGUE for h in (e.sha256, *e.other_sha256)]
    assert len(set(hashes)) == len(hashes)


def test_every_kind_has_a_default() -> None:
    assert all(of_kind(kind) for kind in ModelKind)


def test_entries_are_found_by_name_file_name_and_hash() -> None:
    entry = by_name("buffalo_l/w600k_r50.onnx")
    assert entry is not None
    assert by_name("w600k_r50.onnx") is entry
    assert by_sha256(entry.sha256 or "") is entry
    assert by_name("nothing") is by_sha256("0" * 64) is None


def test_models_for_research_only_say_so() -> None:
    for name in ("inswapper_128.onnx", "det_10g.onnx", "w600k_r50.onnx"):
        entry = by_name(name)
        assert entry is not None
        assert "non-commercial research" in entry.licence
