"""Templates and the files beside them.

Not for: what is shown (`cluster.service.web.pages`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cluster.service.web.guard import FORM_FIELD

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; frame-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
}


class Drawer:
    """Draws templates; everything in them is escaped, and no script but the page's own runs."""

    def __init__(self, form_token: str) -> None:
        """Take the secret that forms carry."""
        self._environment = Environment(
            loader=PackageLoader("cluster.service.web"),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
        )
        self._environment.globals.update(form_field=FORM_FIELD, form_token=form_token)
        self._environment.filters.update(clock=_clock, moment=_moment)

    def __call__(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Draw one."""
        text = self._environment.get_template(name).render(**values)
        return HTMLResponse(text, status, _HEADERS)


def static_file(name: str) -> bytes:
    """A file that pages load."""
    return (files("cluster.service.web") / "static" / name).read_bytes()


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _moment(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"
