import re

import pytest

from farm.models.catalogue import (
    CATALOGUE,
    CatalogueEntry,
    ModelKind,
    by_name,
    by_sha256,
    known_names,
    named,
    of_kind,
    of_pack,
)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda e: e.name)
def test_every_entry_can_be_fetched_and_says_what_is_known_of_it(entry: CatalogueEntry) -> None:
    for url in (entry.download.url, *entry.download.mirrors):
        assert url.startswith("https://")
        assert url.endswith(".zip") is entry.in_archive
    assert entry.licence
    assert (entry.sha256 is None) == (entry.download.sha256 is None)
    assert (entry.size_bytes is None) <= (entry.sha256 is None)
    for sha256 in (entry.sha256, entry.download.sha256, *entry.other_sha256):
        assert sha256 is None or re.fullmatch("[0-9a-f]{64}", sha256)
    if not entry.in_archive:
        assert (entry.sha256, entry.size_bytes) == (
            entry.download.sha256,
            entry.download.size_bytes,
        )


def test_names_are_unique_and_a_hash_is_one_file_whatever_pack_it_is_in() -> None:
    assert len({e.name for e in CATALOGUE}) == len(CATALOGUE)
    files: dict[str, set[tuple[str, ModelKind]]] = {}
    for entry in CATALOGUE:
        for sha256 in (*filter(None, [entry.sha256]), *entry.other_sha256):
            files.setdefault(sha256, set()).add((entry.file_name, entry.kind))
    assert all(len(names) == 1 for names in files.values())


def test_every_kind_has_a_default_but_the_interpolator_of_which_no_licence_is_sure() -> None:
    without = [kind for kind in ModelKind if not of_kind(kind)]
    assert without == [ModelKind.INTERPOLATOR]


def test_entries_are_found_by_name_file_name_and_hash() -> None:
    entry = by_name("buffalo_l/w600k_r50.onnx")
    assert entry is not None
    assert by_name("w600k_r50.onnx") is entry
    assert by_sha256(entry.sha256 or "") is entry
    assert by_name("buffalo_l/w600k_r50") is by_name("w600k_r50") is entry
    assert [e.pack for e in named("w600k_r50")] == ["buffalo_l", "buffalo_m"]
    assert by_name("nothing") is by_sha256("0" * 64) is None


def test_models_for_research_only_say_so() -> None:
    for name in ("inswapper_128.onnx", "det_10g.onnx", "w600k_r50.onnx"):
        entry = by_name(name)
        assert entry is not None
        assert "non-commercial research" in entry.licence
        assert entry.is_non_commercial


@pytest.mark.parametrize("pack", ["buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc"])
def test_a_pack_brings_a_detector_and_a_recognizer(pack: str) -> None:
    assert [e.kind for e in of_pack(pack)] == [ModelKind.DETECTOR, ModelKind.RECOGNIZER]
    assert pack in known_names()
