"""Who may ask what over HTTP: host names, origins, tokens, and how much may be sent.

A page of another site that runs in a user's browser can send requests to loopback too. So every
request must name a host that is known (no rebinding of names), a change must come from the
service's own page or from a program, and forms carry a secret of this process.
Not for: paths in requests (`cluster.service.web.roots`).
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SAFE = ("GET", "HEAD", "OPTIONS")
_OPEN_PATHS = ("/healthz", "/login", "/page.css", "/page.js")
_MOST_BYTES = 8 << 20
_BODY_S = 30.0
COOKIE = "facefarm_token"
FORM_FIELD = "form_token"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: forms would be sent with the origin "null".
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    # Pages of other sites may not show its pictures, nor keep a handle on its windows.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_same(given: str, secret: str) -> bool:
    """Whether both are equal, in a time that does not tell how far they are."""
    return hmac.compare_digest(given.encode(), secret.encode())


class Guard:
    """ASGI middleware that lets nothing through that is not allowed."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: tuple[str, ...],
        token: str | None,
        form_token: str,
        body_s: float = _BODY_S,
    ) -> None:
        """Take the application and what is allowed.

        Args:
            app: What is guarded.
            hosts: Names beside those of loopback, without ports.
            token: What everybody must show; None where loopback is all that is listened on.
            form_token: Secret of this process, which its forms carry.
            body_s: How long the body of a request may take.
        """
        self._app = app
        self._hosts = {*_LOOPBACK_NAMES, *(host.lower() for host in hosts)}
        self._token = token
        self._form_token = form_token
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is refused, hand on all others."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = self._refusal(request)
        if refusal is None and request.method not in _SAFE:
            try:
                async with asyncio.timeout(self._body_s):
                    body = await _body(receive)
            except TimeoutError:
                refusal = _refused(408, "the request took too long")
            else:
                refusal = self._refusal_of(body, request.headers)
                receive = _again(body or b"")
        await (refusal or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if _name(host) not in self._hosts:
            return _refused(421, f"this service is not called {host!r}")
        bearer = self._shows(request.headers.get("authorization", "").removeprefix("Bearer "))
        shown = bearer or self._shows(request.cookies.get(COOKIE, ""))
        if self._token and not shown and request.url.path not in _OPEN_PATHS:
            wants_page = "text/html" in request.headers.get("accept", "")
            if wants_page and request.method in _SAFE:
                return RedirectResponse("/login", 303)
            return _refused(401, "show the token: Authorization: Bearer TOKEN")
        if request.method not in _SAFE and not _is_own(request.headers, host):
            return _refused(403, "the request comes from a page of another site")
        return None

    def _refusal_of(self, body: bytes | None, headers: Headers) -> Response | None:
        if body is None:
            return _refused(413, f"a request has at most {_MOST_BYTES} bytes")
        if _is_form(headers) and not self._has_form_token(body):
            return _refused(403, "the form is too old: load the page again")
        return None

    def _shows(self, text: str) -> bool:
        return bool(self._token and is_same(text, self._token))

    def _has_form_token(self, body: bytes) -> bool:
        found = parse_qs(body.decode("utf-8", "replace")).get(FORM_FIELD, [""])[0]
        return is_same(found, self._form_token)


def new_form_token() -> str:
    """A secret for the forms of one process."""
    return secrets.token_urlsafe(24)


def _name(host: str) -> str:
    """A host without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _is_own(headers: Headers, host: str) -> bool:
    """Whether a change comes from the service's own page, or from no page at all."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False  # no address at all


def _is_form(headers: Headers) -> bool:
    """Whether a body is of a kind that any page's form can send."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"detail": why}, status)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large, which is noticed before it is all here."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BYTES:
            return None
    return bytes(body)


def _again(body: bytes) -> Receive:
    """Hand a body that was read to the application."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _with_headers(send: Send) -> Send:
    """Add to every answer what keeps browsers from doing more with it than it is for."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent
