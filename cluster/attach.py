"""Joining a cluster: whether anybody answers, with which token, and what went wrong.

Not for: starting a private Ray (`cluster.runtime`) or what its nodes have (`cluster.inventory`).
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farm.errors import ClusterError, SettingsError

MODE = "RAY_AUTH_MODE"
_TOKEN, _TOKEN_PATH = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_CONNECT_S = 5.0
_MISMATCH = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


def check_address(address: str) -> None:
    """See that something answers at an address and that it may be Ray.

    Ray itself would try for two minutes, and then end the process.

    Raises:
        SettingsError: It is no address.
        ClusterError: Nobody answers there, or another service does.
    """
    if address == "auto":
        return
    host, port = split_address(address)
    if is_loopback(host):
        # Ray takes the machine's own address in its place.
        host = own_address()
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S) as connection:
            # Ray speaks HTTP/2, which says nothing that looks like this.
            connection.sendall(b"GET / HTTP/1.1\r\nHost: facefarm\r\n\r\n")
            said = connection.recv(5)
    except TimeoutError:
        said = b""
    except OSError as error:
        raise ClusterError(
            f"--address {address}: nobody answers there ({error.strerror or error}); "
            "see that the cluster runs (ray status) and that its port is open"
        ) from error
    if said == b"HTTP/":
        raise ClusterError(
            f"--address {address}: that is a web server, maybe Ray's dashboard; give the port of"
            " `ray start --head` (6379), or send the job there with facefarm submit"
        )


def own_address() -> str:
    """Return the address by which Ray's other nodes would know this machine."""
    import ray

    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def split_address(address: str) -> tuple[str, int]:
    """Return host and port.

    Raises:
        SettingsError: It is something else.
    """
    host, colon, port = address.rpartition(":")
    if "://" in address or not (colon and host and port.isdigit() and int(port) < 1 << 16):
        raise SettingsError(f"--address {address}: write HOST:PORT, or auto for this machine's")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine and is reached by nobody else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def settle_authentication(host: str) -> None:
    """Decide whether the cluster is spoken to with Ray's token.

    With one wherever there is one, and never without where the way leaves this machine, unless the
    user has switched it off.

    Raises:
        ClusterError: There is no token.
    """
    mode = os.environ.get(MODE, "").lower()
    if mode == "disabled":
        return
    if has_token():
        use_mode("token")
    elif mode == "token" or not is_loopback(host):
        raise ClusterError(
            f"{host} is reached over the network and there is no token for it: copy the cluster's"
            f" (ray get-auth-token) to ~/.ray/auth_token, or name its file in {_TOKEN_PATH};"
            f" {MODE}=disabled goes without, which lets anybody run code there"
        )
    else:
        use_mode("disabled")


def has_token() -> bool:
    """Tell whether Ray would find a token."""
    path = os.environ.get(_TOKEN_PATH)
    place = Path(path) if path else Path.home() / ".ray" / "auth_token"
    return bool(os.environ.get(_TOKEN)) or place.is_file()


def use_mode(mode: str) -> None:
    """Set Ray's authentication mode for this process and those that it starts."""
    os.environ[MODE] = mode
    _read_variables_again()


@contextmanager
def own_token() -> Iterator[None]:
    """Let a private Ray that is started meanwhile speak only to those who know a new secret."""
    try:
        with variables({MODE: "token", _TOKEN: secrets.token_hex(32)}):
            _read_variables_again()
            yield
    finally:
        _read_variables_again()


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process, as they were before afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _read_variables_again() -> None:
    """Let Ray see its variables, which it read when it was imported."""
    from ray import _raylet

    raylet: Any = _raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def attach_error(address: str, error: Exception) -> ClusterError:
    """Say in one line why a cluster cannot be joined."""
    text = str(error).strip()
    versions = _MISMATCH.findall(text)
    if "ersion mismatch" in text and len(versions) == 2:
        (ray_there, python_there), (ray_here, python_here) = versions
        return ClusterError(
            f"--address {address}: the cluster has Ray {ray_there} and Python {python_there}, this"
            f" machine has Ray {ray_here} and Python {python_here}; install the same on both"
        )
    if type(error).__name__ == "AuthenticationError":
        return ClusterError(
            f"--address {address}: the cluster refuses the token of this machine; copy its own"
            " (ray get-auth-token) to ~/.ray/auth_token"
        )
    reason = (text.splitlines() or [type(error).__name__])[0]
    return ClusterError(f"--address {address}: the cluster cannot be joined ({reason})")
