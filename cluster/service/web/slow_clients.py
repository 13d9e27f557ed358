"""Closing connections of clients that do not come to an end with the head of a request.

Each holds one of the few connections that the server has; the server beneath waits for ever. Not
for: slow bodies (`cluster.service.web.guard`) or idle connections, which the server closes itself.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 20.0
"""How long the head of a request may take."""


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection on which the head of a request takes too long."""

    head_s = HEAD_S
    _head_ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, not for ever."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that is whole is waited for no more, one that has begun is."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_no_more()
        elif self._head_ends is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._head_ends = self.loop.call_later(self.head_s, self._close)

    def _wait_no_more(self) -> None:
        if self._head_ends is not None:
            self._head_ends.cancel()
            self._head_ends = None

    def _close(self) -> None:
        """Close the connection, unless a request on it is being answered."""
        self._head_ends = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
