from __future__ import annotations

from pathlib import Path

from farm.models.engines import engine_dir


def driver(folder: Path, version: str, model: str) -> Path:
    gpu = folder / "gpus" / "0000:01:00.0"
    gpu.mkdir(parents=True, exist_ok=True)
    (gpu / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 11\n")
    (folder / "version").write_text(
        f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Wed\nGCC version: 12\n"
    )
    return folder


def test_each_model_driver_and_device_has_a_folder_of_its_own(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old = driver(tmp_path / "old", "560.28", "NVIDIA GeForce RTX 3080")
    new = driver(tmp_path / "new", "570.10", "NVIDIA GeForce RTX 3080")
    other = driver(tmp_path / "other", "560.28", "NVIDIA H100")
    folders = [
        engine_dir(cache, b"one", 0, old),
        engine_dir(cache, b"two", 0, old),
        engine_dir(cache, b"one", 0, new),
        engine_dir(cache, b"one", 0, other),
        engine_dir(cache, b"one", 1, other),
    ]
    assert len({str(each) for each in folders}) == 5
    assert all(each.is_dir() for each in folders)
    assert folders[0].name.endswith("-560.28-NVIDIA_GeForce_RTX_3080")
    assert engine_dir(cache, b"one", 0, old) == folders[0]


def test_a_file_has_the_folder_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"one")
    nowhere = tmp_path / "none"
    assert engine_dir(tmp_path, path, 0, nowhere) == engine_dir(tmp_path, b"one", 0, nowhere)
