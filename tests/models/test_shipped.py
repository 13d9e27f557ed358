from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from farm.errors import ModelError
from farm.models.entry import ModelKind
from farm.models.shipped import (
    ModelSet,
    keep_model,
    missing_models,
    model_set,
    shipped_dir,
    shipped_store,
)
from farm.models.store import ModelStore
from farm.models.trust import ModelFile


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def model(path: Path, kind: ModelKind) -> ModelFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.name.encode() * 9)
    return ModelFile(
        kind=kind,
        path=path,
        name=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        licence="mine",
        verified=False,
    )


def two_models(tmp_path: Path) -> ModelSet:
    own = model(tmp_path / "mine.onnx", ModelKind.SWAPPER)
    known = model(tmp_path / "models" / "buffalo_l" / "det.onnx", ModelKind.DETECTOR)
    store = ModelStore(models_dir=tmp_path / "models", overrides=(("swapper", own.path),))
    return model_set(store, [own, known, own])


def test_files_of_the_user_and_of_the_catalogue_keep_their_places(tmp_path: Path) -> None:
    own, known = two_models(tmp_path).models
    assert (own.relative, own.kind) == ("own/swapper/mine.onnx", "swapper")
    assert (known.relative, known.kind) == ("buffalo_l/det.onnx", "")


def test_a_node_takes_what_lies_in_place_and_asks_for_the_rest(tmp_path: Path) -> None:
    models = two_models(tmp_path)
    models.models[0].source.unlink()
    assert missing_models(models) == [models.models[0].sha256]
    models.models[1].source.unlink()
    assert missing_models(models) == [models.models[0].sha256], "it was kept"


def test_a_file_of_the_same_name_and_size_but_another_content_is_not_taken(tmp_path: Path) -> None:
    models = two_models(tmp_path)
    models.models[0].source.write_bytes(bytes(models.models[0].size_bytes))
    assert missing_models(models) == [models.models[0].sha256]


def test_what_was_sent_is_found_as_on_the_driver(tmp_path: Path) -> None:
    models = two_models(tmp_path)
    own, known = models.models
    contents = {m.sha256: m.source.read_bytes() for m in models.models}
    for each in models.models:
        each.source.unlink()
        keep_model(each.sha256, [contents[each.sha256][:5], contents[each.sha256][5:]])
    assert missing_models(models) == []
    store = shipped_store(models)
    assert store.offline
    found = store.given(ModelKind.SWAPPER)
    assert found is not None
    assert found.sha256 == own.sha256
    assert (store.folder / known.relative).read_bytes() == contents[known.sha256]
    assert shipped_store(models) == store, "a second worker finds it in place"


def test_what_arrives_damaged_is_not_kept(cache: Path) -> None:
    with pytest.raises(ModelError, match="arrived damaged"):
        keep_model("ab" * 32, [b"other"])
    assert list((cache / "facefarm" / "shipped" / "by-hash").iterdir()) == []


def test_a_node_that_cannot_keep_models_says_where_and_what_to_do(cache: Path) -> None:
    cache.write_text("in the way")
    with pytest.raises(ModelError, match="set XDG_CACHE_HOME on that node"):
        keep_model("ab" * 32, [b"other"])
    assert shipped_dir().is_relative_to(cache)


def test_another_disk_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert missing_models(two_models(tmp_path)) == []
