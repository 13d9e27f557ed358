import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from farm.errors import ModelError
from farm.models.catalogue import Download
from farm.models.download import DownloadProgress, fetch, take_local
from tests.models.fake_server import FakeServer

DATA = bytes(range(100))
URL = "https://models.example/some/model.onnx"
MIRROR = "https://mirror.example/model.onnx"


def _download(url: str = URL, data: bytes = DATA, size: int | None = None) -> Download:
    sha256 = hashlib.sha256(data).hexdigest()
    return Download(url=url, size_bytes=len(data) if size is None else size, sha256=sha256)


def test_a_file_is_fetched_with_progress_and_its_hash(tmp_path: Path) -> None:
    told: list[DownloadProgress] = []
    target = tmp_path / "new" / "model.onnx"
    found = fetch(_download(), target, progress=told.append, open_url=FakeServer({URL: DATA}))
    assert target.read_bytes() == DATA
    assert (found.sha256, found.source) == (hashlib.sha256(DATA).hexdigest(), URL)
    assert (told[-1].name, told[-1].done_bytes, told[-1].total_bytes) == ("model.onnx", 100, 100)
    assert [p.name for p in target.parent.iterdir()] == ["model.onnx"]


def test_a_broken_connection_is_resumed_where_it_broke(tmp_path: Path) -> None:
    server = FakeServer({URL: DATA}, breaks=2, break_after=30)
    fetch(_download(), tmp_path / "m", open_url=server)
    assert (tmp_path / "m").read_bytes() == DATA
    assert server.asked == [None, "bytes=30-", "bytes=60-"]


def test_the_part_of_an_earlier_run_is_continued(tmp_path: Path) -> None:
    (tmp_path / "m.part").write_bytes(DATA[:40])
    server = FakeServer({URL: DATA})
    fetch(_download(), tmp_path / "m", open_url=server)
    assert server.asked == ["bytes=40-"]
    assert (tmp_path / "m").read_bytes() == DATA


def test_a_server_without_ranges_sends_all_again(tmp_path: Path) -> None:
    (tmp_path / "m.part").write_bytes(b"old")
    fetch(_download(), tmp_path / "m", open_url=FakeServer({URL: DATA}, takes_ranges=False))
    assert (tmp_path / "m").read_bytes() == DATA


def test_another_file_than_expected_is_not_kept(tmp_path: Path) -> None:
    server = FakeServer({URL: DATA[::-1]})
    with pytest.raises(ModelError, match="another file than expected"):
        fetch(_download(), tmp_path / "m", open_url=server)
    assert not list(tmp_path.iterdir())


def test_more_bytes_than_expected_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="more than the 50 bytes"):
        fetch(_download(size=50), tmp_path / "m", open_url=FakeServer({URL: DATA}))
    assert not (tmp_path / "m").exists()


def test_a_connection_that_keeps_breaking_is_given_up(tmp_path: Path) -> None:
    server = FakeServer({URL: DATA}, breaks=99, break_after=1)
    with pytest.raises(ModelError, match="cannot be fetched"):
        fetch(_download(), tmp_path / "m", open_url=server)
    assert len(server.asked) < 10


def test_an_address_that_is_gone_is_said(tmp_path: Path) -> None:
    server = FakeServer({})
    with pytest.raises(ModelError, match="404 Not Found"):
        fetch(_download(), tmp_path / "m", open_url=server)
    assert len(server.asked) == 1


def test_only_https_is_fetched(tmp_path: Path) -> None:
    plain = "http://models.example/m.onnx"
    with pytest.raises(ModelError, match="https only"):
        fetch(_download(plain), tmp_path / "m", open_url=FakeServer({plain: DATA}))
    server = FakeServer({URL: DATA}, redirect_to=plain)
    with pytest.raises(ModelError, match="https only"):
        fetch(_download(), tmp_path / "m", open_url=server)


def test_a_mirror_goes_on_where_the_address_broke(tmp_path: Path) -> None:
    server = FakeServer({MIRROR: DATA})
    (tmp_path / "m.part").write_bytes(DATA[:40])
    found = fetch(replace(_download(), mirrors=(MIRROR,)), tmp_path / "m", open_url=server)
    assert (tmp_path / "m").read_bytes() == DATA
    assert found.source == MIRROR
    assert server.asked == ["bytes=40-", "bytes=40-"]


def test_a_mirror_is_asked_when_the_address_gives_another_file(tmp_path: Path) -> None:
    server = FakeServer({URL: DATA[::-1], MIRROR: DATA})
    fetch(replace(_download(), mirrors=(MIRROR,)), tmp_path / "m", open_url=server)
    assert (tmp_path / "m").read_bytes() == DATA
    assert server.asked == [None, None]


def test_every_address_that_failed_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"models\.example.*404.*mirror\.example.*404"):
        fetch(replace(_download(), mirrors=(MIRROR,)), tmp_path / "m", open_url=FakeServer({}))


def test_a_file_of_unknown_size_is_whole_when_the_server_says_so(tmp_path: Path) -> None:
    unknown = replace(_download(), size_bytes=None, sha256=None)
    (tmp_path / "m.part").write_bytes(b"of another file")
    server = FakeServer({URL: DATA}, breaks=1)
    fetch(unknown, tmp_path / "m", open_url=server)
    assert (tmp_path / "m").read_bytes() == DATA
    assert server.asked == [None, None]


def test_a_local_folder_gives_the_first_name_that_it_holds(tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "model.onnx").write_bytes(DATA)
    names = ["pack/model.onnx", "model.onnx"]
    found = take_local(_download(), tmp_path / "stick", names, tmp_path / "new" / "m")
    assert (tmp_path / "new" / "m").read_bytes() == DATA
    assert found.source == str(tmp_path / "stick" / "model.onnx")


def test_a_local_file_that_is_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"model\.onnx gave another file"):
        take_local(_download(), tmp_path, ["model.onnx"], tmp_path / "m")
    with pytest.raises(ModelError, match="holds none of gone"):
        take_local(_download(), tmp_path, ["gone"], tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
