"""What a local farm listens on: nothing that another machine could reach."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster.command import Command, temporary_folder
from tests.media_maker import Studio

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]


def listening(processes: list[psutil.Process]) -> dict[str, list[str]]:
    """Addresses on which processes wait for others, with their names."""
    found: dict[str, list[str]] = {}
    for process in processes:
        with suppress(psutil.Error):
            for each in process.net_connections("inet"):
                waits = each.status == psutil.CONN_LISTEN or each.type == socket.SOCK_DGRAM
                if waits and not each.raddr:
                    found.setdefault(each.laddr.ip, []).append(
                        f"{process.name()} {each.laddr.port}"
                    )
    return found


def is_loopback(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def test_addresses_that_others_reach_are_told_from_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.3", "::ffff:10.0.0.3")))


def test_everything_that_a_local_farm_opens_is_on_loopback(
    media_studio: Studio, tmp_path: Path
) -> None:
    with temporary_folder() as temporary:
        command = Command(media_studio.path("plain.mp4"), tmp_path / "out.webm", temporary)
        command.wait_until(lambda: len(command.chunks()) >= 2)
        found = listening(command.family())
        command.press_ctrl_c()
        command.press_ctrl_c()
        command.result()
    assert found, "Ray listens on something"
    assert {ip: who for ip, who in found.items() if not is_loopback(ip)} == {}
