import hashlib
from pathlib import Path

import pytest

from farm.errors import ModelError
from farm.models.catalogue import Download
from farm.models.download import DownloadProgress, fetch
from tests.models.fake_server import FakeServer

DATA = bytes(range(100))
URL = "https://models.example/some/model.onnx"


def _download(url: str = URL, data: bytes = DATA, size: int | None = None) -> Download:
    sha256 = hashlib.sha256(data).hexdigest()
    return Download(url=url, size_bytes=len(data) if size is None else size, sha256=sha256)


def test_a_file_is_fetched_with_progress_and_its_hash(tmp_path: Path) -> None:
    told: list[DownloadProgress] = []
    target = tmp_path / "new" / "model.onnx"
    sha256 = fetch(_download(), target, progress=told.append, open_url=FakeServer({URL: DATA}))
    assert target.read_bytes() == DATA
    assert sha256 == hashlib.sha256(DATA).hexdigest()
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
