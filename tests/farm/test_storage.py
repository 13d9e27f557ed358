from __future__ import annotations

import functools
import http.server
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest

from farm.errors import InputError, JobError, SettingsError, SetupError
from farm.settings import ProcessorSettings, RenderSettings
from farm.storage import address_of, as_shown, fetch, shown, stage_folder, staged
from tests.rendering import NOTHING

SECRET = "https://me:hunter2@host/clips/a.mp4?X-Amz-Signature=c0ffee"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.pipe("/in/clip.mp4", b"video")
    files.pipe("/in/me.jpg", b"face")
    yield files
    files.store.clear()
    files.pseudo_dirs.clear()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server whose only file is `clip.mp4`."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "clip.mp4").write_bytes(b"video")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing to stderr."""

    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def asked(target: str, output: str, **changes: Any) -> RenderSettings:
    values: dict[str, Any] = {"processors": NOTHING} | changes
    return RenderSettings(target=Path(target), output=Path(output), **values)


def quiet(_line: str) -> None:
    """What says nothing."""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket/a/b.mp4", "s3://bucket/a/b.mp4"),
        (SECRET, SECRET),
        ("file:///a/b.mp4", "file:///a/b.mp4"),
        ("memory://a.mp4", "memory://a.mp4"),
        ("/a/b.mp4", None),
        ("a.mp4", None),
        ("odd:/a.mp4", None),
        ("12:30.mp4", None),
    ],
)
def test_an_address_is_told_from_a_path(text: str, address: str | None) -> None:
    assert address_of(Path(text)) == address


def test_credentials_are_never_shown() -> None:
    assert shown(SECRET) == "https://host/clips/a.mp4"
    settings = as_shown(asked(SECRET, "out.mp4", sources=(Path(SECRET),)))
    told = json.dumps([str(settings.target), *map(str, settings.sources), str(settings.output)])
    assert "hunter2" not in told
    assert "c0ffee" not in told


def test_paths_of_this_machine_are_left_alone(tmp_path: Path, cache: Path) -> None:
    settings = asked(str(tmp_path / "a.mp4"), "b.mp4")
    with staged(settings, quiet) as local:
        assert local is settings
    assert not cache.exists()


def test_inputs_are_fetched_and_the_output_is_delivered_with_its_manifest(memory: Any) -> None:
    settings = asked(
        "memory://in/clip.mp4", "memory://out/clip.mp4", sources=(Path("memory://in/me.jpg"),)
    )
    said: list[str] = []
    with staged(settings, said.append) as local:
        assert local.target.read_bytes() == b"video"
        assert local.sources[0].read_bytes() == b"face"
        assert local.target.suffix == ".mp4"
        local.output.write_bytes(b"result")
        local.output.with_name("clip.mp4.facefarm.json").write_text("{}")
    assert memory.cat("/out/clip.mp4") == b"result"
    assert memory.cat("/out/clip.mp4.facefarm.json") == b"{}"
    assert not stage_folder(settings).exists()
    assert said == [
        "fetching memory://in/clip.mp4",
        "fetching memory://in/me.jpg",
        "delivering memory://out/clip.mp4",
    ]


def test_a_run_that_was_broken_off_keeps_what_it_has(memory: Any, tmp_path: Path) -> None:
    settings = asked("memory://in/clip.mp4", str(tmp_path / "out.mp4"))
    for _ in range(2):
        with suppress(KeyboardInterrupt), staged(settings, quiet) as local:
            kept = local.target
            raise KeyboardInterrupt
    assert kept.read_bytes() == b"video"
    said: list[str] = []
    with staged(settings, said.append):
        pass
    assert said == [], "it has not changed and is not fetched again"


def test_what_has_changed_is_fetched_again(memory: Any, tmp_path: Path) -> None:
    assert fetch("memory://in/clip.mp4", tmp_path, quiet).read_bytes() == b"video"
    memory.pipe("/in/clip.mp4", b"another video")
    assert fetch("memory://in/clip.mp4", tmp_path, quiet).read_bytes() == b"another video"


def test_files_come_from_the_web(web: str, tmp_path: Path) -> None:
    place = fetch(f"{web}/clip.mp4?token=c0ffee", tmp_path, quiet)
    assert (place.name, place.read_bytes()) == ("clip.mp4", b"video")


def test_a_missing_input_is_said_without_its_credentials(
    web: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    address = f"{web}/gone.mp4?token=c0ffee"
    with pytest.raises(InputError, match=r"gone\.mp4 cannot be read") as caught:
        fetch(address, tmp_path, quiet)
    assert "c0ffee" not in caught.value.message
    assert not (tmp_path / "gone.mp4").exists()


def test_an_output_that_is_there_is_not_replaced_unless_told(memory: Any) -> None:
    settings = asked("memory://in/clip.mp4", "memory://in/clip.mp4")
    with pytest.raises(InputError, match="--overwrite"), staged(settings, quiet):
        pass
    again = asked("memory://in/clip.mp4", "memory://in/clip.mp4", overwrite=True)
    with staged(again, quiet) as local:
        local.output.write_bytes(b"new")
    assert memory.cat("/in/clip.mp4") == b"new"


def test_what_cannot_be_delivered_is_refused_before_the_render(memory: Any) -> None:
    with (
        pytest.raises(SettingsError, match="a web address cannot be written"),
        staged(asked("memory://in/clip.mp4", "https://host/out.mp4"), quiet),
    ):
        pass
    with (
        pytest.raises(SettingsError, match="--keep-frames"),
        staged(asked("memory://in/clip.mp4", "memory://o.mp4", keep_frames=True), quiet),
    ):
        pass


def test_an_output_whose_place_is_gone_stays_here_and_is_named(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = asked("memory://in/clip.mp4", "memory://out/clip.mp4")

    def refuse(*_: object, **_more: object) -> None:
        raise PermissionError(13, "Permission denied", "memory://secret")

    stage = staged(settings, quiet)
    local = stage.__enter__()
    local.output.write_bytes(b"result")
    monkeypatch.setattr(type(memory), "put_file", refuse)
    with pytest.raises(JobError, match="the finished output is") as caught:
        stage.__exit__(None, None, None)
    assert local.output.read_bytes() == b"result"
    assert str(local.output) in caught.value.message
    assert "secret" not in caught.value.message


def test_a_library_that_is_missing_is_said_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_address: str) -> Any:
        raise ModuleNotFoundError("no", name="s3fs")

    monkeypatch.setattr("farm.storage._files", missing)
    with pytest.raises(SetupError, match=r"s3fs: run .*requirements/storage\.txt"):
        fetch("s3://bucket/a.mp4", tmp_path, quiet)


def test_processors_do_not_matter_to_storage() -> None:
    settings = asked("s3://b/a.mp4", "o.mp4", processors=ProcessorSettings(names=("none",)))
    assert stage_folder(settings) == stage_folder(asked("s3://b/a.mp4", "o.mp4"))
