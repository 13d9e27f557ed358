from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.service.config import WebSettings
from cluster.service.web.server import WebServer
from cluster.service.web.slow_clients import ImpatientProtocol

_WHOLE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_PART = _WHOLE[:-2]
_WAIT_S = 60


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """To a server that waits 0.3 s for a head."""
    monkeypatch.setattr(ImpatientProtocol, "head_s", 0.3)
    with WebServer("127.0.0.1:0", tmp_path / "q", tmp_path, WebSettings()) as server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=_WAIT_S) as made:
            yield made


def test_a_connection_on_which_nothing_is_asked_is_closed(connection: socket.socket) -> None:
    assert connection.recv(1) == b""


def test_a_head_that_does_not_end_closes_the_connection(connection: socket.socket) -> None:
    connection.sendall(_PART)
    assert connection.recv(1) == b""


def test_after_an_answer_the_next_head_has_its_own_time(connection: socket.socket) -> None:
    answers = connection.makefile("rb")
    connection.sendall(_WHOLE)
    assert answers.readline().startswith(b"HTTP/1.1 200")
    connection.sendall(_PART)
    assert b"HTTP/1.1" not in answers.read()
