"""Fetching one file over https: with progress, resumed where it broke, checked, put in place whole.

Not for: what to fetch and where it belongs (`farm.models.store`).
"""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from farm.errors import ModelError
from farm.models.catalogue import Download
from farm.models.hashes import sha256_of

log = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 20
_ATTEMPTS = 4
_TIMEOUT_S = 60.0

OpenUrl = Callable[[urllib.request.Request], Any]
"""Opens a request; the response has `status`, `url`, `headers` and `read(n)`, and is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadProgress:
    """How far one download is."""

    name: str
    done_bytes: int
    total_bytes: int


Progress = Callable[[DownloadProgress], None]


def fetch(
    download: Download,
    target: Path,
    *,
    progress: Progress | None = None,
    open_url: OpenUrl | None = None,
) -> str:
    """Fetch `download` to `target`, which appears only when it is whole; returns its sha256.

    A part that an earlier try left beside the target is continued. Only one process at a time may
    fetch to the same target (`farm.models.store` holds a lock).

    Raises:
        ModelError: The address cannot be read, or what it gives is not the file that was expected.
    """
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    _fetch_part(download, part, progress or _say_nothing, open_url or _open_url)
    found = sha256_of(part)
    if download.sha256 is not None and found != download.sha256:
        part.unlink()
        raise ModelError(
            f"{download.url} gave another file than expected (sha256 {found}, "
            f"expected {download.sha256}); nothing was kept"
        )
    part.replace(target)
    return found


def _fetch_part(download: Download, part: Path, progress: Progress, open_url: OpenUrl) -> None:
    """Fill `part` up to the expected size, in several tries where the connection breaks."""
    reason = "the connection ended early"
    for attempt in range(_ATTEMPTS):
        try:
            _continue_part(download, part, progress, open_url)
        except urllib.error.HTTPError as error:
            reason = f"the server answered {error.code} {error.reason}"
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            elif error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                break
        except (http.client.HTTPException, urllib.error.URLError, TimeoutError) as error:
            reason = f"{getattr(error, 'reason', None) or error or type(error).__name__}"
        except ConnectionError as error:
            reason = str(error)
        except OSError as error:
            raise ModelError(f"{part} cannot be written: {error.strerror or error}") from error
        if _size_of(part) == download.size_bytes:
            return
        log.debug("try %d of %s: %s", attempt + 1, download.url, reason)
    raise ModelError(f"{download.url} cannot be fetched: {reason}")


def _continue_part(download: Download, part: Path, progress: Progress, open_url: OpenUrl) -> None:
    """Ask for what `part` still lacks and append it."""
    done = _size_of(part)
    if done >= download.size_bytes:
        # Equal: a whole part of an earlier run. More: not ours, or the file has changed.
        if done > download.size_bytes:
            part.unlink()
        else:
            return
    request = urllib.request.Request(download.url, headers={"User-Agent": "facefarm"})
    done = _size_of(part)
    if done:
        request.add_header("Range", f"bytes={done}-")
    _require_https(download.url)
    with open_url(request) as response:
        _require_https(response.url)
        resumed = done > 0 and response.status == http.HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as out:
            _copy(response, out, done if resumed else 0, download, progress)


def _copy(
    response: Any,
    out: IO[bytes],
    done: int,
    download: Download,
    progress: Progress,
) -> None:
    """Copy the response block by block; never more than the file should have."""
    name = download.url.rsplit("/", 1)[1]
    while block := response.read(_BLOCK_BYTES):
        done += len(block)
        if done > download.size_bytes:
            out.truncate(0)
            raise ModelError(
                f"{download.url} gave more than the {download.size_bytes} bytes expected; "
                "nothing was kept"
            )
        out.write(block)
        progress(DownloadProgress(name=name, done_bytes=done, total_bytes=download.size_bytes))


def _require_https(url: str) -> None:
    """Refuse an address, or one that it was redirected to, that is not https."""
    if not url.startswith("https://"):
        raise ModelError(f"{url} is not an https address; models are fetched over https only")


def _open_url(request: urllib.request.Request) -> Any:
    return urllib.request.urlopen(request, timeout=_TIMEOUT_S)


def _size_of(path: Path) -> int:
    """Size in bytes, 0 when there is no file."""
    return path.stat().st_size if path.exists() else 0


def _say_nothing(_progress: DownloadProgress) -> None:
    """Progress of a caller that wants none."""
