import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli
from farm.models import catalogue
from farm.models.catalogue import CatalogueEntry, Download, ModelKind
from farm.models.hashes import sha256_of
from tests.model_maker import make_painter


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the two files of a small catalogue; of the second nobody states the hash."""
    folder = tmp_path / "stick"
    swapper = make_painter(folder / "swap.onnx")
    (folder / "class.onnx").write_bytes(b"a classifier")
    entries = (
        _entry(ModelKind.SWAPPER, swapper, sha256_of(swapper), swapper.stat().st_size),
        _entry(ModelKind.CLASSIFIER, folder / "class.onnx", None, None),
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", entries)
    return folder


def _entry(kind: ModelKind, path: Path, sha256: str | None, size: int | None) -> CatalogueEntry:
    return CatalogueEntry(
        kind=kind,
        name=path.name,
        licence="for non-commercial use" if kind is ModelKind.SWAPPER else "MIT",
        size_bytes=size,
        sha256=sha256,
        download=Download(
            url=f"https://models.example/{path.name}", size_bytes=size, sha256=sha256
        ),
    )


def _run(command: str, models: Path, *arguments: object) -> Result:
    words = ["models", command, *map(str, arguments), "--models-dir", str(models)]
    return CliRunner().invoke(cli.main, words)


def _json(command: str, models: Path, *arguments: object) -> dict[str, object]:
    result = _run(command, models, *arguments, "--json")
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


def _states(models: Path) -> list[str]:
    listed = _json("list", models)["models"]
    assert isinstance(listed, list)
    return [item["state"] for item in listed]


def test_the_list_says_licence_source_size_hash_and_what_is_here(
    stick: Path, tmp_path: Path
) -> None:
    text = _run("list", tmp_path / "m").output
    for part in ("swap.onnx", "swapper", "missing", "for non-commercial use", "models.example"):
        assert part in text
    assert sha256_of(stick / "swap.onnx") in text
    assert "sha256 unknown: the first download is pinned" in text
    assert _states(tmp_path / "m") == ["missing", "missing"]


def test_pulled_files_are_listed_as_verified_or_pinned(stick: Path, tmp_path: Path) -> None:
    result = _run("pull", tmp_path / "m", "swap", "class.onnx", "--from", stick)
    assert result.exit_code == 0, result.output
    assert "licence of swap.onnx: for non-commercial use" in result.output
    assert "note: non-commercial use only" in result.output
    assert _states(tmp_path / "m") == ["verified", "pinned"]
    assert _run("pull", tmp_path / "m", "class", "--from", stick).output.count("note") == 0


def test_a_mistyped_name_names_the_nearest_before_anything_is_fetched(
    stick: Path, tmp_path: Path
) -> None:
    result = _run("pull", tmp_path / "m", "swap", "clas.onnx", "--from", stick)
    assert result.exit_code == 2
    assert "did you mean 'class.onnx'" in result.output
    assert not (tmp_path / "m").exists()


def test_what_a_folder_lacks_is_named_with_the_place_to_put_it(stick: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = _run("pull", tmp_path / "m", "swap", "--from", tmp_path / "empty")
    assert result.exit_code == 3
    assert f"put it at {tmp_path / 'm' / 'swap.onnx'}" in result.output


def test_the_path_of_a_model_is_printed_alone(stick: Path, tmp_path: Path) -> None:
    models = tmp_path / "m"
    assert _run("path", models).output == f"{models}\n"
    missing = _run("path", models, "swap")
    assert missing.exit_code == 3
    assert "put it at" in missing.output
    _run("pull", models, "swap", "--from", stick)
    assert _run("path", models, "swap").output == f"{models / 'swap.onnx'}\n"


def test_verify_reads_files_again_and_finds_the_damaged_one(stick: Path, tmp_path: Path) -> None:
    models = tmp_path / "m"
    assert _run("verify", models).exit_code == 0
    assert _run("verify", models, "swap").exit_code == 3
    _run("pull", models, "swap", "class", "--from", stick)
    assert _run("verify", models, "swap", "class").exit_code == 0
    path = models / "swap.onnx"
    before = path.stat()
    shutil.copyfile(stick / "swap.onnx", path)
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        file.write(b"\xff\x00\xff\x00")
    result = _run("verify", models)
    assert result.exit_code == 3
    assert "not the known file" in result.output
    assert "delete it and pull it again" in result.output
    assert _json("verify", models)["whole"] is False


def test_an_optimised_copy_is_made_and_described(stick: Path, tmp_path: Path) -> None:
    models = tmp_path / "m"
    _run("pull", models, "swap", "--from", stick)
    result = _run("optimize", models, "swap", "--precision", "fp16", "--execution-threads", 1)
    assert result.exit_code == 0, result.output
    assert f"--model swapper={models / 'swap.fp16.onnx'}" in result.output
    document = _json("optimize", models, "swap", "--precision", "int8")
    assert document["precision"] == "int8"
    assert (models / "swap.int8.onnx").is_file()


def test_options_of_the_subcommands_can_be_variables(stick: Path, tmp_path: Path) -> None:
    env = {"FACEFARM_MODELS_DIR": str(tmp_path / "m"), "FACEFARM_FROM": str(stick)}
    result = CliRunner().invoke(cli.main, ["models", "pull", "swap"], env=env)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "m" / "swap.onnx").is_file()
