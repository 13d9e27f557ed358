"""Who may ask what over HTTP: host names, origins, tokens.

A page of another site that runs in a user's browser can send requests to loopback too. So every
request must name a host that is known (no rebinding of names), a change must come from the
service's own page or from a program, and forms carry a secret of this process.
Not for: paths in requests (`cluster.service.web.roots`).
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SAFE = ("GET", "HEAD", "OPTIONS")
_OPEN_PATHS = ("/healthz", "/login")
COOKIE = "facefarm_token"
FORM_FIELD = "form_token"


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware that lets nothing through that is not allowed."""

    def __init__(
        self, app: ASGIApp, *, hosts: tuple[str, ...], token: str | None, form_token: str
    ) -> None:
        """Take the application and what is allowed.

        Args:
            app: What is guarded.
            hosts: Names beside those of loopback, without ports.
            token: What everybody must show; None where loopback is all that is listened on.
            form_token: Secret of this process, which its forms carry.
        """
        self._app = app
        self._hosts = {*_LOOPBACK_NAMES, *(host.lower() for host in hosts)}
        self._token = token
        self._form_token = form_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is refused, hand on all others."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = self._refusal(request)
        if refusal is None and request.method not in _SAFE and _is_form(request.headers):
            body = await request.body()
            refusal = None if self._has_form_token(body) else _refused(403, "the form is too old")
            receive = _again(body)
        await (refusal or self._app)(scope, receive, send)

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

    def _shows(self, text: str) -> bool:
        return bool(self._token and hmac.compare_digest(text.encode(), self._token.encode()))

    def _has_form_token(self, body: bytes) -> bool:
        found = parse_qs(body.decode("utf-8", "replace")).get(FORM_FIELD, [""])[0]
        return hmac.compare_digest(found.encode(), self._form_token.encode())


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
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


def _is_form(headers: Headers) -> bool:
    """Whether a body is of a kind that any page's form can send."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"detail": why}, status)


def _again(body: bytes) -> Receive:
    """Hand a body that was read to the application."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
