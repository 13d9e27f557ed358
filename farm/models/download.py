"""Fetching one file: over https, resumed where it broke, or from a folder; checked, put in whole.

Not for: what to fetch and where it belongs (`farm.models.store`).
"""

from __future__ import annotations

import http.client
import logging
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from farm.errors import ModelError
from farm.models.entry import Download
from farm.models.hashes import sha256_of

log = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 20
_ATTEMPTS = 4
_TIMEOUT_S = 60.0
_UNKNOWN_SIZE_LIMIT_BYTES = 2 << 30

OpenUrl = Callable[[urllib.request.Request], Any]
"""Opens a request; the response has `status`, `url`, `headers` and `read(n)`, and is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadProgress:
    """How far one download is."""

    name: str
    done_bytes: int
    total_bytes: int
    """0 where the server does not say."""


Progress = Callable[[DownloadProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch brought."""

    sha256: str
    source: str
    """The address, or the path of the local file."""


def fetch(
    download: Download,
    target: Path,
    *,
    progress: Progress | None = None,
    open_url: OpenUrl | None = None,
) -> Fetched:
    """Fetch `download` to `target`, which appears only when it is whole.

    The address is tried first, then its mirrors. A part that an earlier try left beside the target
    is continued. Only one process at a time may fetch to the same target (`farm.models.store` holds
    a lock).

    Raises:
        ModelError: No address can be read, or what they give is not the file that was expected.
    """
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons: list[str] = []
    for url in (download.url, *download.mirrors):
        one = replace(download, url=url, mirrors=())
        try:
            _fetch_part(one, part, progress or _say_nothing, open_url or _open_url)
            found = _put_in_place(one, part, target, url)
        except ModelError as error:
            reasons.append(error.message)
            log.debug("%s", error.message)
        else:
            return Fetched(sha256=found, source=url)
    raise ModelError("; ".join(reasons))


def take_local(download: Download, folder: Path, names: Sequence[str], target: Path) -> Fetched:
    """Copy `download` from a local folder to `target`, which appears only when it is whole.

    Args:
        download: What is expected.
        folder: Where to look.
        names: Paths below the folder to try, best first.
        target: Where the file belongs.

    Raises:
        ModelError: The folder has no such file, or it is not the file that was expected.
    """
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise ModelError(f"{folder} holds none of {', '.join(names)}")
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, part)
        return Fetched(sha256=_put_in_place(download, part, target, str(found)), source=str(found))
    except OSError as error:
        raise ModelError(f"{found} cannot be copied: {error.strerror or error}") from error


def _put_in_place(download: Download, part: Path, target: Path, source: str) -> str:
    """Give the part its name if it is what was expected; returns its sha256."""
    found = sha256_of(part)
    if download.sha256 is not None and found != download.sha256:
        part.unlink()
        raise ModelError(
            f"{source} gave another file than expected (sha256 {found}, "
            f"expected {download.sha256}); nothing was kept"
        )
    part.replace(target)
    return found


def _fetch_part(download: Download, part: Path, progress: Progress, open_url: OpenUrl) -> None:
    """Fill `part` up to the expected size, in several tries where the connection breaks."""
    reason = "the connection ended early"
    for attempt in range(_ATTEMPTS):
        try:
            if _continue_part(download, part, progress, open_url):
                return
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
        log.debug("try %d of %s: %s", attempt + 1, download.url, reason)
    raise ModelError(f"{download.url} cannot be fetched: {reason}")


def _continue_part(download: Download, part: Path, progress: Progress, open_url: OpenUrl) -> bool:
    """Ask for what `part` still lacks and append it; True when it is whole."""
    done = _size_of(part)
    if download.size_bytes is None:
        # Without a size a part says nothing: an old one may belong to another file.
        part.unlink(missing_ok=True)
    elif done > download.size_bytes:
        part.unlink()
    elif done == download.size_bytes:
        return True
    done = _size_of(part)
    request = urllib.request.Request(download.url, headers={"User-Agent": "facefarm"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    _require_https(download.url)
    with open_url(request) as response:
        _require_https(response.url)
        resumed = done > 0 and response.status == http.HTTPStatus.PARTIAL_CONTENT
        total = download.size_bytes or int(response.headers.get("Content-Length") or 0)
        with part.open("ab" if resumed else "wb") as out:
            _copy(response, out, done if resumed else 0, total, download, progress)
    return _size_of(part) == total if total else True


def _copy(
    response: Any,
    out: IO[bytes],
    done: int,
    total: int,
    download: Download,
    progress: Progress,
) -> None:
    """Copy the response block by block; never more than the file should have."""
    limit = total or _UNKNOWN_SIZE_LIMIT_BYTES
    while block := response.read(_BLOCK_BYTES):
        done += len(block)
        if done > limit:
            out.truncate(0)
            raise ModelError(
                f"{download.url} gave more than the {limit} bytes expected; nothing was kept"
            )
        out.write(block)
        told = DownloadProgress(name=download.file_name, done_bytes=done, total_bytes=total)
        progress(told)


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
