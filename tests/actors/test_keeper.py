from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayActorError

from actors.keeper import Keeper, SentFiles
from farm.errors import ChunkError
from tests.actors.fake_ray import FakeRay


class Method:
    def __init__(self, call: Any) -> None:
        self.call = call

    def remote(self, *args: Any) -> Future[Any]:
        """Answers at once."""
        answer: Future[Any] = Future()
        try:
            answer.set_result(self.call(*args))
        except Exception as error:  # noqa: BLE001 - the caller gets it
            answer.set_exception(error)
        return answer


class Handle:
    """A keeper as a worker holds it; `spoil` may change what arrives."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.spoil: Any = lambda piece: piece
        self.pieces = 0
        self.finish = Method(keeper.finish)

    @property
    def append(self) -> Method:
        self.pieces += 1
        return Method(lambda up, path, piece: self.keeper.append(up, path, self.spoil(piece)))


@pytest.fixture
def handle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    fake = FakeRay()

    class Rays:
        """Ray's own `get` takes lists too."""

        @staticmethod
        def get(refs: list[Future[Any]]) -> list[Any]:
            return [fake.get(ref) for ref in refs]

    monkeypatch.setattr("actors.keeper.ray", Rays)
    made = Handle(Keeper([tmp_path]))
    yield made
    made.keeper.close()
    fake.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_in_pieces_and_is_in_place_when_settled(
    handle: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.keeper._PIECE_BYTES", 4)
    sent = SentFiles(handle)
    sent.write(tmp_path / "00001.chunk", [b"", b"abcdefghij", b"kl"])
    sent.write(tmp_path / "00002.chunk", [])
    sent.settle()
    assert (tmp_path / "00001.chunk").read_bytes() == b"abcdefghijkl"
    assert (tmp_path / "00002.chunk").read_bytes() == b""
    assert names(tmp_path) == ["00001.chunk", "00002.chunk"]
    assert handle.pieces >= 4


def test_what_arrives_damaged_is_not_put_in_place(handle: Handle, tmp_path: Path) -> None:
    handle.spoil = lambda piece: piece + b"?"
    sent = SentFiles(handle)
    sent.write(tmp_path / "00001.chunk", [b"abc"])
    with pytest.raises(ChunkError, match="what arrived is not what was sent"):
        sent.settle()
    assert names(tmp_path) == []
    handle.spoil = lambda piece: piece
    sent.write(tmp_path / "00001.chunk", [b"abc"])
    sent.settle()
    assert names(tmp_path) == ["00001.chunk"]


def test_a_failure_is_told_until_the_file_has_been_sent_again(
    handle: Handle, tmp_path: Path
) -> None:
    sent = SentFiles(handle)
    handle.spoil = lambda _piece: b"other"
    sent.write(tmp_path / "a.png", [b"abc"])
    for _ in range(2):
        with pytest.raises(ChunkError, match=r"a\.png"):
            sent.settle()


def test_only_the_folders_of_the_job_are_written(handle: Handle, tmp_path: Path) -> None:
    sent = SentFiles(handle)
    sent.write(tmp_path / ".." / "evil", [b"abc"])
    with pytest.raises(ChunkError, match="lies in no folder of this job"):
        sent.settle()
    assert not (tmp_path.parent / "evil").exists()


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(ChunkError, match=r"gone/a cannot be written \(No such file"):
        Keeper([gone]).append("1", gone / "a", b"x")


def test_a_keeper_that_ends_deletes_what_has_not_arrived_whole(tmp_path: Path) -> None:
    keeper = Keeper([tmp_path])
    keeper.append("1", tmp_path / "00001.chunk", b"half")
    assert names(tmp_path) == [".00001.chunk.1"]
    keeper.close()
    assert names(tmp_path) == []
    with pytest.raises(ChunkError, match="not all pieces"):
        keeper.finish("1", tmp_path / "00001.chunk", "")


def test_a_keeper_that_is_gone_fails_the_chunk(handle: Handle, tmp_path: Path) -> None:
    def die(*_: object) -> None:
        raise RayActorError

    handle.finish = Method(die)
    sent = SentFiles(handle)
    sent.write(tmp_path / "a", [b"abc"])
    with pytest.raises(ChunkError, match="the job's folder cannot be reached"):
        sent.settle()


def test_a_worker_does_not_run_far_ahead_of_the_network(
    handle: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.keeper._MOST_PENDING_BYTES", 5)
    sent = SentFiles(handle)
    handle.spoil = lambda _piece: b"other"
    sent.write(tmp_path / "a", [b"abc"])
    with pytest.raises(ChunkError):
        sent.write(tmp_path / "b", [b"def"])
