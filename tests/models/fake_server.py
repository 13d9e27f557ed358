"""A stand-in for a web server: answers requests from bytes in memory."""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message


class Response(io.BytesIO):
    """What opening a request gives."""

    def __init__(self, data: bytes, status: int, url: str, length: int) -> None:
        super().__init__(data)
        self.status = status
        self.url = url
        self.headers = {"Content-Length": str(length)}


@dataclass
class FakeServer:
    """Serves `files`; the first `breaks` answers end after `break_after` bytes."""

    files: dict[str, bytes]
    breaks: int = 0
    break_after: int = 10
    takes_ranges: bool = True
    redirect_to: str | None = None
    asked: list[str | None] = field(default_factory=list)
    """The Range header of every request."""

    def __call__(self, request: urllib.request.Request) -> Response:
        start_text = request.get_header("Range")
        self.asked.append(start_text)
        if request.full_url not in self.files:
            raise urllib.error.HTTPError(request.full_url, 404, "Not Found", Message(), None)
        data = self.files[request.full_url]
        start = 0
        if start_text and self.takes_ranges:
            start = int(start_text.removeprefix("bytes=").removesuffix("-"))
        part = data[start:]
        length = len(part)
        if self.breaks:
            self.breaks -= 1
            part = part[: self.break_after]
        url = self.redirect_to or request.full_url
        return Response(part, 206 if start else 200, url, length)
