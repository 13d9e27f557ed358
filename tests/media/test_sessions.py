from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farm.errors import EncoderError
from farm.media.encode import ChunkEncoder
from farm.media.encoders import choose_encoder
from farm.media.sessions import LIMITED_FAMILIES, Session, open_in_turn
from tests.media.broken_encoders import pretend_hardware
from tests.media.finish_case import parameters, picture


class Driver:
    """Allows only so many sessions."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.open = 0
        self.refused = threading.Event()
        self._lock = threading.Lock()

    def open_one(self) -> str:
        with self._lock:
            if self.open >= self.most:
                self.refused.set()
                raise EncoderError("out of sessions")
            self.open += 1
        return "context"

    def close_one(self, session: Session) -> None:
        with self._lock:
            self.open -= 1
        session.give_back()


def test_a_failure_is_real_where_no_session_is_held(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="out of sessions"):
        open_in_turn("nvenc", Driver(0).open_one, tmp_path)


def test_one_that_gets_no_session_waits_for_another_to_be_given_back(tmp_path: Path) -> None:
    driver = Driver(1)
    first = open_in_turn("nvenc", driver.open_one, tmp_path)[1]
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(lambda: open_in_turn("nvenc", driver.open_one, tmp_path)[1])
        assert driver.refused.wait(timeout=60)
        assert not second.done()
        driver.close_one(first)
        driver.close_one(second.result(timeout=60))
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_many_share_few_sessions_and_all_get_one(tmp_path: Path) -> None:
    driver = Driver(2)

    def work(_: int) -> None:
        session = open_in_turn("nvenc", driver.open_one, tmp_path)[1]
        driver.close_one(session)

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(work, range(40)))) == 40
    assert driver.open == 0


def test_the_note_of_a_dead_process_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "nvenc-1-dead").write_bytes(b"")
    with pytest.raises(EncoderError):
        open_in_turn("nvenc", Driver(0).open_one, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize("flushed", [True, False])
def test_an_encoder_gives_its_session_back_when_it_is_flushed_or_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flushed: bool
) -> None:
    pretend_hardware(monkeypatch)
    monkeypatch.setattr("farm.media.encode.LIMITED_FAMILIES", LIMITED_FAMILIES)
    monkeypatch.setattr("farm.media.sessions._usual_folder", lambda: tmp_path)
    encoder = ChunkEncoder(choose_encoder("h264_nvenc", 18, parameters())[0], parameters())
    encoder.encode(picture(0), 0)
    assert len(list(tmp_path.glob("nvenc-*"))) == 1
    encoder.flush() if flushed else encoder.close()
    assert not list(tmp_path.glob("nvenc-*"))


def test_nothing_is_noted_on_a_machine_without_such_hardware(tmp_path: Path) -> None:
    with pytest.raises(EncoderError):
        open_in_turn("nvenc", Driver(0).open_one, tmp_path / "sessions")
    assert not (tmp_path / "sessions").exists()
    session = open_in_turn("nvenc", Driver(1).open_one, tmp_path / "sessions")[1]
    assert len(list((tmp_path / "sessions").iterdir())) == 1
    session.give_back()


def test_nobody_waits_for_ever_for_a_session_that_may_not_be_the_reason(tmp_path: Path) -> None:
    held = open_in_turn("nvenc", Driver(1).open_one, tmp_path)[1]
    with pytest.raises(EncoderError, match="out of sessions"):
        open_in_turn("nvenc", Driver(0).open_one, tmp_path, patience_s=0.1)
    held.give_back()


def test_nobody_waits_where_there_is_no_driver(tmp_path: Path) -> None:
    def open_nothing() -> None:
        raise EncoderError("no driver") from PermissionError(errno.EPERM, "not permitted")

    held = open_in_turn("nvenc", Driver(1).open_one, tmp_path)[1]
    with pytest.raises(EncoderError, match="no driver"):
        open_in_turn("nvenc", open_nothing, tmp_path)
    held.give_back()
