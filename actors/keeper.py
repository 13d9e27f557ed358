"""The keeper: puts files of workers on other machines into the job's folders.

Workers need no shared disk. One that does not see the job's folder sends what it has made, in
pieces, through Ray to the keeper, which lives where the folder is. Pieces of one worker arrive in
the order in which they were sent. Not for: workers that see the folder; they write it themselves.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.errors import ChunkError

_PIECE_BYTES = 8 << 20
_MOST_PENDING_BYTES = 64 << 20


class Keeper:
    """Writes files that arrive in pieces, into the folders that it was given and no others."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = frozenset(folders)
        self._open: dict[str, tuple[BinaryIO, Any]] = {}
        """By upload: its temporary file, and the hash of what is in it."""

    def append(self, upload: str, path: Path, piece: bytes) -> None:
        """Take the next piece of a file.

        Raises:
            ChunkError: The folder is not one of the job's, or cannot be written.
        """
        try:
            file, digest = self._open.get(upload) or self._begin(upload, path)
            file.write(piece)
        except OSError as error:
            self.forget(upload)
            raise _cannot_write(path, error) from error
        digest.update(piece)

    def finish(self, upload: str, path: Path, sha256: str) -> None:
        """Put a file in place that has arrived whole.

        Raises:
            ChunkError: It is not what was sent, or cannot be written.
        """
        if upload not in self._open:
            raise ChunkError(f"{path}: not all pieces of it arrived; it is rendered again")
        file, digest = self._open[upload]
        if digest.hexdigest() != sha256:
            self.forget(upload)
            raise ChunkError(f"{path}: what arrived is not what was sent; it is rendered again")
        try:
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError as error:
            raise _cannot_write(path, error) from error
        finally:
            self.forget(upload)

    def forget(self, upload: str) -> None:
        """Delete what has arrived of a file; nothing where it is in place."""
        if upload in self._open:
            file, _ = self._open.pop(upload)
            with suppress(OSError):  # The disk is full: what was buffered is lost anyway.
                file.close()
            Path(file.name).unlink(missing_ok=True)

    def close(self) -> None:
        """Delete everything that has not arrived whole."""
        for upload in list(self._open):
            self.forget(upload)

    def _begin(self, upload: str, path: Path) -> tuple[BinaryIO, Any]:
        if path.parent not in self._folders:
            raise ChunkError(f"{path} lies in no folder of this job")
        file = path.with_name(f".{path.name[:64]}.{upload}").open("xb")
        self._open[upload] = (file, hashlib.sha256())
        return self._open[upload]


class SentFiles:
    """Sends files to the keeper; belongs to one worker."""

    def __init__(self, keeper: Any) -> None:
        self._keeper = keeper
        self._pending: dict[Path, tuple[int, list[Any]]] = {}
        """By file: its bytes, and what is waited for."""
        self._lock = threading.Lock()

    def write(self, path: Path, parts: Sequence[bytes]) -> None:
        """Send a file and go on; it is in place when `settle` has returned."""
        upload, digest, refs, size = secrets.token_hex(8), hashlib.sha256(), [], 0
        for piece in _pieces(parts):
            digest.update(piece)
            size += len(piece)
            refs.append(self._keeper.append.remote(upload, path, piece))
        refs.append(self._keeper.finish.remote(upload, path, digest.hexdigest()))
        with self._lock:
            self._pending[path] = (size, refs)
            crowded = sum(size for size, _ in self._pending.values()) > _MOST_PENDING_BYTES
        if crowded:
            self.settle()

    def settle(self) -> None:
        """Wait until everything that was sent is in place.

        Raises:
            ChunkError: A file is not, and will not be.
        """
        with self._lock:
            pending = dict(self._pending)
        for path, (_, refs) in pending.items():
            try:
                ray.get(refs)
            except RayTaskError as error:
                cause = getattr(error, "cause", None)
                raise cause if isinstance(cause, ChunkError) else _lost(path, error) from error
            except RayError as error:
                raise _lost(path, error) from error
            with self._lock:
                if self._pending.get(path, (0, None))[1] is refs:
                    del self._pending[path]


def start_keeper(folders: Sequence[Path]) -> Any:
    """Start the keeper on this node; `ray.kill` ends it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    remote: Any = ray.remote(Keeper)
    return remote.options(num_cpus=0, max_restarts=0, scheduling_strategy=here).remote(folders)


def _pieces(parts: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the bytes of all parts again in pieces of a handy size; one at least."""
    piece = bytearray()
    for part in parts:
        for start in range(0, len(part), _PIECE_BYTES):
            piece += part[start : start + _PIECE_BYTES]
            if len(piece) >= _PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
    yield bytes(piece)


def _cannot_write(path: Path, error: OSError) -> ChunkError:
    return ChunkError(
        f"{path} cannot be written ({error.strerror or error}); free space there or choose"
        " another --job-dir"
    )


def _lost(path: Path, error: Exception) -> ChunkError:
    return ChunkError(f"{path}: the job's folder cannot be reached ({type(error).__name__})")
