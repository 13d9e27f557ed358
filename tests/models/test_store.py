import hashlib
import io
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from farm.errors import ModelError, SettingsError
from farm.models import catalogue
from farm.models.catalogue import CatalogueEntry, Download, ModelKind
from farm.models.pins import read_pins
from farm.models.store import ModelStore, default_models_dir
from tests.models.fake_server import FakeServer

PACK = "https://models.example/pack.zip"
SINGLE = "https://models.example/swap.onnx"
DETECTOR, RECOGNIZER, SWAPPER = b"a detector", b"a recognizer" * 9, b"a swapper"


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


PACKED = _zip({"../../evil.onnx": b"evil", "pack/det.onnx": DETECTOR, "pack/rec.onnx": RECOGNIZER})


def _entry(kind: ModelKind, name: str, data: bytes, url: str, held: bytes) -> CatalogueEntry:
    download = Download(url=url, size_bytes=len(held), sha256=hashlib.sha256(held).hexdigest())
    return CatalogueEntry(
        kind=kind,
        name=name,
        licence="a licence",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        download=download,
    )


ENTRIES = (
    _entry(ModelKind.DETECTOR, "pack/det.onnx", DETECTOR, PACK, PACKED),
    _entry(ModelKind.RECOGNIZER, "pack/rec.onnx", RECOGNIZER, PACK, PACKED),
    _entry(ModelKind.SWAPPER, "swap.onnx", SWAPPER, SINGLE, SWAPPER),
)


@pytest.fixture(autouse=True)
def _small_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "CATALOGUE", (*ENTRIES, NO_HASH))


UNSTATED = "https://models.example/class.onnx"
CLASSIFIER = b"a classifier"
NO_HASH = replace(
    _entry(ModelKind.CLASSIFIER, "class.onnx", CLASSIFIER, UNSTATED, CLASSIFIER),
    sha256=None,
    size_bytes=None,
    download=Download(url=UNSTATED, size_bytes=None, sha256=None),
)


def _server() -> FakeServer:
    return FakeServer({PACK: PACKED, SINGLE: SWAPPER, UNSTATED: CLASSIFIER})


def test_a_missing_model_is_fetched_and_then_found_here(tmp_path: Path) -> None:
    server = _server()
    models = ModelStore(models_dir=tmp_path, open_url=server)
    found = models.find("swapper")
    assert found.path.read_bytes() == SWAPPER
    assert (found.name, found.licence, found.verified) == ("swap.onnx", "a licence", True)
    assert models.find("swap.onnx") == found
    assert len(server.asked) == 1


def test_a_pack_is_fetched_once_for_all_of_its_models(tmp_path: Path) -> None:
    server = _server()
    models = ModelStore(models_dir=tmp_path, open_url=server)
    assert models.find("detector").path.read_bytes() == DETECTOR
    assert models.find("recognizer").path == tmp_path / "pack" / "rec.onnx"
    assert len(server.asked) == 1
    assert not (tmp_path / "pack.zip").exists()


def test_nothing_but_the_known_members_comes_out_of_a_pack(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "models"
    ModelStore(models_dir=inner, open_url=_server()).find("detector")
    files = [p.name for p in tmp_path.rglob("*.onnx")]
    assert sorted(files) == ["det.onnx", "rec.onnx"]


def test_a_member_of_another_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = _zip({"det.onnx": DETECTOR * 1000, "rec.onnx": RECOGNIZER})
    entry = _entry(ModelKind.DETECTOR, "pack/det.onnx", DETECTOR, PACK, held)
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
    models = ModelStore(models_dir=tmp_path, open_url=FakeServer({PACK: held}))
    with pytest.raises(ModelError, match=r"det\.onnx has 10000 bytes"):
        models.find("detector")
    assert not list(tmp_path.rglob("*.onnx"))


def test_offline_a_missing_model_is_named_with_its_place_source_and_licence(tmp_path: Path) -> None:
    models = ModelStore(models_dir=tmp_path, offline=True)
    with pytest.raises(ModelError) as caught:
        models.find("recognizer")
    place = str(tmp_path / "pack" / "rec.onnx")
    for part in (place, PACK, "a licence", "offline", "inside the zip"):
        assert part in caught.value.message
    assert "\n" not in caught.value.message


def test_a_server_that_fails_is_said_with_the_place_to_put_the_file(tmp_path: Path) -> None:
    models = ModelStore(models_dir=tmp_path, open_url=FakeServer({}))
    with pytest.raises(ModelError, match="404"):
        models.find("swapper")


def test_a_damaged_model_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "swap.onnx").write_bytes(b"half of it")
    found = hashlib.sha256(b"half of it").hexdigest()
    with pytest.raises(ModelError, match=f"sha256 {found}.*delete it"):
        ModelStore(models_dir=tmp_path, offline=True).find("swapper")


def test_an_own_file_needs_leave_unless_its_hash_is_known(tmp_path: Path) -> None:
    own = tmp_path / "mine.onnx"
    own.write_bytes(b"trained at home")
    models = ModelStore(models_dir=tmp_path, overrides=(("swapper", own),), offline=True)
    sha256 = hashlib.sha256(b"trained at home").hexdigest()
    with pytest.raises(ModelError, match=f"{sha256}.*--allow-unverified-models"):
        models.find("swapper")
    found = replace(models, allow_unverified=True).find("swapper")
    assert (found.path, found.verified, found.sha256) == (own, False, sha256)
    own.write_bytes(SWAPPER)
    assert models.find("swapper").verified


def test_a_known_file_of_another_kind_is_not_verified(tmp_path: Path) -> None:
    own = tmp_path / "mine.onnx"
    own.write_bytes(DETECTOR)
    models = ModelStore(models_dir=tmp_path, overrides=(("swapper", own),), offline=True)
    with pytest.raises(ModelError, match="--allow-unverified-models"):
        models.find("swapper")


def test_an_own_file_that_is_missing_is_said(tmp_path: Path) -> None:
    models = ModelStore(models_dir=tmp_path, overrides=(("swapper", tmp_path / "no.onnx"),))
    with pytest.raises(ModelError, match=r"--model swapper=.*no\.onnx: there is no such file"):
        models.find("swapper")


def test_a_folder_in_place_of_an_own_file_is_said(tmp_path: Path) -> None:
    models = ModelStore(models_dir=tmp_path, overrides=(("swapper", tmp_path),))
    with pytest.raises(ModelError, match="is a folder, not a model file"):
        models.find("swapper")


def test_unknown_kinds_and_names_are_settings_errors(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'swapper'"):
        ModelStore(models_dir=tmp_path, overrides=(("swaper", tmp_path),))
    with pytest.raises(SettingsError, match=r"did you mean 'swap\.onnx'"):
        ModelStore(models_dir=tmp_path).find("swapp.onnx")


def test_of_many_that_need_a_model_at_once_one_fetches_it(tmp_path: Path) -> None:
    server = _server()
    models = ModelStore(models_dir=tmp_path, open_url=server)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(models.find, ["detector", "recognizer"] * 4))
    assert {f.path.read_bytes() for f in found} == {DETECTOR, RECOGNIZER}
    assert len(server.asked) == 1


def test_what_is_here_is_told_without_fetching(tmp_path: Path) -> None:
    server = _server()
    models = ModelStore(models_dir=tmp_path, open_url=server)
    assert models.have_first(ENTRIES[2:]) is None
    (tmp_path / "swap.onnx").write_bytes(SWAPPER)
    assert models.have_first(ENTRIES[2:]) is not None
    assert not server.asked


def test_a_store_for_workers_survives_pickling(tmp_path: Path) -> None:
    models = ModelStore(models_dir=tmp_path, progress=lambda _progress: None)
    assert pickle.loads(pickle.dumps(models.for_worker())) == ModelStore(models_dir=tmp_path)


def test_the_default_place_is_below_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_models_dir() == Path("/somewhere/facefarm/models")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_models_dir() == Path.home() / ".cache" / "facefarm" / "models"
    assert ModelStore().folder == default_models_dir()


def test_a_pack_is_pulled_by_its_name(tmp_path: Path) -> None:
    models = ModelStore(models_dir=tmp_path, open_url=_server())
    assert [f.name for f in models.pull("pack")] == ["pack/det.onnx", "pack/rec.onnx"]
    assert [f.name for f in models.pull("swapper")] == ["swap.onnx"]
    with pytest.raises(SettingsError, match="did you mean 'pack'"):
        models.pull("packk")


def test_a_file_without_a_stated_hash_is_fetched_by_a_pull_only_and_then_pinned(
    tmp_path: Path,
) -> None:
    models = ModelStore(models_dir=tmp_path, open_url=_server())
    with pytest.raises(ModelError, match=r"facefarm models pull class\.onnx"):
        models.find("classifier")
    (pulled,) = models.pull("class.onnx")
    assert pulled.verified
    assert read_pins(tmp_path)["class.onnx"].source == UNSTATED
    assert models.find("classifier") == pulled
    assert replace(models, overrides=(("classifier", pulled.path),)).find("classifier").verified


def test_what_differs_from_the_pin_is_refused(tmp_path: Path) -> None:
    models = ModelStore(models_dir=tmp_path, open_url=_server())
    (pulled,) = models.pull("class.onnx")
    pulled.path.write_bytes(b"something else, longer")
    with pytest.raises(ModelError, match=f"expected {pulled.sha256}"):
        models.find("classifier")
    pulled.path.unlink()
    changed = replace(models, open_url=FakeServer({UNSTATED: b"changed at its source"}))
    with pytest.raises(ModelError, match="another file than expected"):
        changed.pull("class.onnx")


def test_a_file_put_in_place_by_hand_is_pinned_by_a_pull(tmp_path: Path) -> None:
    (tmp_path / "class.onnx").write_bytes(CLASSIFIER)
    models = ModelStore(models_dir=tmp_path, offline=True)
    with pytest.raises(ModelError, match=r"`facefarm models pull class\.onnx` pins this one"):
        models.find("classifier")
    assert models.pull("class.onnx")[0].verified
    assert models.find("classifier").verified


def test_damaged_pins_are_an_error_and_not_forgotten(tmp_path: Path) -> None:
    (tmp_path / "pinned.json").write_text("{ not json")
    (tmp_path / "class.onnx").write_bytes(CLASSIFIER)
    with pytest.raises(ModelError, match=r"pinned\.json cannot be read"):
        ModelStore(models_dir=tmp_path).find("classifier")


@pytest.mark.parametrize("layout", ["pack/det.onnx", "det.onnx", "pack.zip"])
def test_a_local_folder_stands_in_for_the_network(tmp_path: Path, layout: str) -> None:
    stick = tmp_path / "stick" / layout
    stick.parent.mkdir(parents=True)
    stick.write_bytes(PACKED if layout.endswith(".zip") else DETECTOR)
    models = ModelStore(models_dir=tmp_path / "models", from_dir=tmp_path / "stick", offline=True)
    assert models.find("detector").path.read_bytes() == DETECTOR
    with pytest.raises(ModelError, match=r"holds none of swap\.onnx"):
        models.find("swapper")
