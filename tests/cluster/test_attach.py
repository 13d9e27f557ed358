from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.attach import (
    attach_error,
    check_address,
    has_token,
    is_loopback,
    settle_authentication,
    split_address,
)
from farm.errors import ClusterError, SettingsError

MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.59.1
    Python: 3.12.4
This process on node 10.0.0.2 was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


class Silent(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing to stderr."""


@pytest.fixture
def listener() -> Iterator[tuple[str, int]]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listens here does so on the loopback address."""
    monkeypatch.setattr("cluster.attach.own_address", lambda: "127.0.0.1")


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What Ray would be told, without telling it; a home without a token."""
    told: list[str] = []
    monkeypatch.setattr("cluster.attach.use_mode", told.append)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return told


def test_an_address_that_nobody_answers_at_is_said_at_once(listener: tuple[str, int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ClusterError, match=rf"127.0.0.1:{port}: nobody answers .*refused"):
        check_address(f"127.0.0.1:{port}")
    with pytest.raises(ClusterError, match="nobody answers there"):
        check_address("no-such-host.invalid:6379")


def test_a_port_that_says_nothing_may_be_ray(
    listener: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.attach._CONNECT_S", 0.05)
    check_address(f"127.0.0.1:{listener[1]}")
    check_address("auto")


def test_the_dashboards_port_is_recognised() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(ClusterError, match="that is a web server, maybe Ray's dashboard"):
            check_address(f"127.0.0.1:{server.server_port}")


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://h:10001", "http://h:8265", "h:0x1", ":6"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="write HOST:PORT"):
        check_address(address)


def test_hosts_and_ports_are_told_apart() -> None:
    assert split_address("head.example:6379") == ("head.example", 6379)
    assert split_address("[::1]:6379") == ("::1", 6379)
    assert [is_loopback(h) for h in ("localhost", "127.0.0.9", "::1", "10.0.0.1", "head")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_without_a_token_nothing_leaves_this_machine(modes: list[str]) -> None:
    with pytest.raises(ClusterError, match=r"no token for it: copy .* to ~/.ray/auth_token"):
        settle_authentication("10.0.0.1")
    assert modes == []
    settle_authentication("127.0.0.1")
    assert modes == ["disabled"]


def test_a_token_is_used_wherever_there_is_one(modes: list[str], tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    assert has_token()
    settle_authentication("10.0.0.1")
    settle_authentication("localhost")
    assert modes == ["token", "token"]


def test_the_user_can_go_without_and_can_insist(
    modes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    settle_authentication("10.0.0.1")
    assert modes == []
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(ClusterError, match="no token"):
        settle_authentication("127.0.0.1")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    settle_authentication("127.0.0.1")
    assert modes == ["token"]


def test_a_token_file_that_is_named_and_missing_is_no_token(
    modes: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "gone"))
    assert not has_token()
    assert modes == []


def test_other_versions_are_said_in_one_line() -> None:
    said = attach_error("head:6379", RuntimeError(MISMATCH)).message
    assert "\n" not in said
    assert "the cluster has Ray 2.59.1 and Python 3.12.4" in said
    assert "this machine has Ray 2.60.0 and Python 3.11.7" in said


def test_a_refused_token_and_anything_else_are_said_in_one_line() -> None:
    refused = type("AuthenticationError", (Exception,), {})("no\nmore")
    assert "refuses the token of this machine" in attach_error("h:1", refused).message
    assert attach_error("h:1", OSError("first\nsecond")).message.endswith(
        "cannot be joined (first)"
    )


def test_rays_own_mode_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray import _raylet

    from cluster.attach import use_mode

    before = os.environ.get("RAY_AUTH_MODE")
    monkeypatch.setenv("RAY_AUTH_MODE", before or "token")
    raylet: Any = _raylet
    seen = []
    for name in ("disabled", "token"):
        use_mode(name)
        seen.append(raylet.get_authentication_mode() == raylet.AuthenticationMode.TOKEN)
    assert seen == [False, True]
    use_mode(before or "token")
