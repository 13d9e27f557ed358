"""Listening for HTTP beside the service's own work.

Not for: what is answered (`cluster.service.web.app`).
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType

import uvicorn

from cluster.service.config import WebSettings
from cluster.service.web.app import create_app
from cluster.service.web.guard import is_loopback
from cluster.service.web.slow_clients import ImpatientProtocol
from farm.errors import SettingsError, SetupError

_END_S = 10.0
_BACKLOG = 128
_MOST_CONNECTIONS = 256


class WebServer:
    """An HTTP server on a thread of its own; a context manager."""

    def __init__(self, listen: str, store_path: Path, log_dir: Path, settings: WebSettings) -> None:
        """Take the address.

        Args:
            listen: `HOST:PORT`; port 0 takes a free one.
            store_path: The queue.
            log_dir: Where the service writes the logs of jobs.
            settings: Roots, hosts and token.

        Raises:
            SettingsError: The address is none, or others could reach it and there is no token.
            SetupError: It is taken.
        """
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        if not host or not port.isdigit():
            raise SettingsError(f"--listen {listen}: write HOST:PORT, like 127.0.0.1:8420")
        if not is_loopback(host) and not settings.token:
            raise SettingsError(
                f"--listen {listen}: others can reach this address; name a token-file in the"
                " service's configuration ([web]) or listen on 127.0.0.1"
            )
        self._socket = _bound(listen, host, int(port))
        app = create_app(store_path, log_dir, settings)
        config = uvicorn.Config(
            app,
            http=ImpatientProtocol,
            log_config=None,
            access_log=False,
            lifespan="off",
            limit_concurrency=_MOST_CONNECTIONS,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="http", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it is reached."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_END_S)
        self._socket.close()


def _bound(listen: str, host: str, port: int) -> socket.socket:
    """A socket that listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise SetupError(f"--listen {listen}: cannot listen there ({error.strerror})") from error
    return bound
