"""The folder of a job: its finished chunks, and whether they may be used again.

Only files that the farm made are ever deleted in it. Not for: the output, which is put in place by
`farm.media.final`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from farm.chunk_task import attempt_name, chunk_name
from farm.errors import ChunkError, InputError
from farm.files import unmark_folder
from farm.media.chunk_file import ChunkHeader, read_header, read_packets
from farm.media.placed import PLACED_NAME

_CHUNK = re.compile(r"\d{5,}\.chunk")
_ATTEMPT = re.compile(r"\.\d{5,}\.chunk\.t[0-9a-f]+")
_LEDGER = re.compile(r"ledger\.sqlite(-journal)?")
_SIGHTS = re.compile(r"\d{5,}\.faces")
_HALF_WRITTEN = re.compile(r"\.{1,2}\d{5,}\.(chunk|faces)\..+")
_PLACED = re.compile(re.escape(PLACED_NAME) + r"(\.new)?")
_HASH_BYTES = 1 << 20
_FINAL = ".facefarm-final"
_EARLIER = ".facefarm-earlier"
_FAILURES = ".facefarm-encoders.json"


def default_job_dir(output: Path) -> Path:
    """Return the folder beside an output that holds its chunks while it is made."""
    return output.with_name(f".{output.name}.facefarm")


def fingerprint(parts: Sequence[object]) -> str:
    """Return the hash of everything that the pixels of a job depend on.

    Args:
        parts: Dataclasses, numbers, texts, bytes and containers of them.
    """
    text = json.dumps([plain(part) for part in parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class JobFolder:
    """Chunk files of one job; files of another fingerprint are thrown away."""

    def __init__(self, path: Path, job: str, request: str = "") -> None:
        """Open or make the folder; what a killed run left half written is deleted.

        Args:
            path: The folder.
            job: Fingerprint of the job.
            request: Fingerprint of what was asked for, whichever encoder does it: chunks of it by
                another encoder are kept, to be encoded again.

        Raises:
            InputError: It cannot be written.
        """
        self.path = path.absolute()
        self._job = job
        self._request = request
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.clear_scratch()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({error.strerror}); give another --job-dir"
            ) from error

    def chunk_path(self, chunk_index: int) -> Path:
        """Return where a finished chunk lies."""
        return self.path / chunk_name(chunk_index)

    def sights_path(self, chunk_index: int) -> Path:
        """Return where lies what an analysis has seen of a chunk."""
        return self.path / f"{chunk_index:05d}.faces"

    def make_final_dir(self) -> Path:
        """Make the folder for what the final task needs on the way; `remove` deletes it whole."""
        folder = self.path / _FINAL
        folder.mkdir(exist_ok=True)
        return folder

    def remove_final_dir(self) -> None:
        """Delete what the final task had begun."""
        shutil.rmtree(self.path / _FINAL, ignore_errors=True)

    def finished(
        self,
        ranges: Sequence[tuple[int, int]],
        noted: Mapping[int, str] | None = None,
        only: Container[int] | None = None,
    ) -> dict[int, ChunkHeader]:
        """Return the whole chunks of this job that are there; others are deleted.

        A whole file of an attempt whose end nobody could note becomes its chunk's.

        Args:
            ranges: Half-open frame range of each chunk of the plan.
            noted: SHA-256 of the files, where it was noted, by chunk.
            only: Numbers of the chunks that are looked at; files of others are left alone. None
                for all.
        """
        self._adopt(ranges, only)
        found: dict[int, ChunkHeader] = {}
        for path in self._files(_CHUNK, only):
            header = self._whole(path, ranges)
            sha256 = None if header is None or not noted else noted.get(header.chunk_index)
            if sha256 and file_sha256(path) != sha256:
                header = None
            if header is None:
                path.unlink(missing_ok=True)
            elif header.fingerprint == self._job:
                found[header.chunk_index] = header
            else:
                self._set_aside(path)
        return found

    def _adopt(self, ranges: Sequence[tuple[int, int]], only: Container[int] | None) -> None:
        """Give whole files of attempts the names of chunks that are not there; delete the rest."""
        for path in sorted(self._files(_ATTEMPT, only)):
            header = self._whole(path, ranges)
            if header is not None and not self._has_chunk(header.chunk_index):
                path.replace(self.chunk_path(header.chunk_index))
            else:
                path.unlink(missing_ok=True)
        for path in self._files(_HALF_WRITTEN, only):
            path.unlink(missing_ok=True)

    def _has_chunk(self, chunk_index: int) -> bool:
        """Tell whether a chunk is there that shows the pictures of this job."""
        try:
            return self._is_ours(read_header(self.chunk_path(chunk_index)))
        except ChunkError:
            return False

    def clear_attempts(self) -> None:
        """Delete what attempts have left that were not accepted."""
        for path in (*self._files(_ATTEMPT), *self._files(_HALF_WRITTEN)):
            path.unlink(missing_ok=True)

    def _set_aside(self, path: Path) -> None:
        """Keep a chunk of another encoder until it is encoded again."""
        folder = self.path / _EARLIER
        folder.mkdir(exist_ok=True)
        if (folder / path.name).exists():
            path.unlink()  # what is there passed fewer encoders
        else:
            path.replace(folder / path.name)

    @property
    def has_chunks(self) -> bool:
        """Whether there is work that another run can go on from."""
        return has_work(self.path) or self.earlier_dir is not None

    @property
    def earlier_dir(self) -> Path | None:
        """Where chunks of this request by another encoder lie, None where there are none."""
        folder = self.path / _EARLIER
        return folder if folder.is_dir() else None

    @property
    def encoder_failures(self) -> dict[str, str]:
        """Encoders that broke in this request, with the reason."""
        return encoder_failures(self.path, self._request)

    def record_failure(self, encoder: str, reason: str) -> None:
        """Remember for this request that an encoder broke, so that no later run begins with it."""
        failed = self.encoder_failures | {encoder: reason}
        text = json.dumps({"request": self._request, "failed": failed})
        temporary = self.path / f"{_FAILURES}.new"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.path / _FAILURES)

    def remove(self) -> None:
        """Delete what the farm made, and the folder where nothing else is in it."""
        for path in (*self._files(_CHUNK), *self._files(_SIGHTS)):
            path.unlink(missing_ok=True)
        self.clear_scratch()
        self.clear_attempts()
        self._clear_encoders()
        # The ledger last: until then a run that was killed here is known to be finished.
        for path in (*self._files(_PLACED), *self._files(_LEDGER)):
            path.unlink(missing_ok=True)
        # Not empty: the user keeps files of their own there.
        with suppress(OSError):
            self.path.rmdir()

    def _files(self, name: re.Pattern[str], only: Container[int] | None = None) -> list[Path]:
        """Return the files with such a name; with `only`, those of these chunks."""
        if not self.path.is_dir():
            return []
        found = [path for path in self.path.iterdir() if name.fullmatch(path.name)]
        if only is None:
            return found
        return [path for path in found if int(path.name.lstrip(".").split(".")[0]) in only]

    def clear_scratch(self) -> None:
        """Delete what was being written when a run was killed."""
        for path in self._files(_HALF_WRITTEN):
            if not _ATTEMPT.fullmatch(path.name):  # it may be whole: see `finished`
                path.unlink(missing_ok=True)
        self.remove_final_dir()
        unmark_folder(self.path)

    def _clear_encoders(self) -> None:
        """Delete what is known of encoders that broke, and what they made."""
        shutil.rmtree(self.path / _EARLIER, ignore_errors=True)
        (self.path / _FAILURES).unlink(missing_ok=True)

    def _is_ours(self, header: ChunkHeader) -> bool:
        """Whether a chunk shows the pictures of this job, whichever encoder made it."""
        asked = bool(self._request) and header.info.get("request") == self._request
        return header.fingerprint == self._job or asked

    def _whole(self, path: Path, ranges: Sequence[tuple[int, int]]) -> ChunkHeader | None:
        """Return the header of a chunk that may be used again, None if it may not."""
        try:
            header = read_header(path)
            names = (chunk_name(header.chunk_index), _attempt_name(header))
            if not self._is_ours(header) or path.name not in names:
                return None
            for _ in read_packets(path):
                pass  # Each is checked as it is read.
        except ChunkError:
            return None
        span = (header.frame_start, header.frame_start + header.frame_count)
        known = header.chunk_index < len(ranges) and ranges[header.chunk_index] == span
        return header if known else None


def make_folder(path: Path) -> Path:
    """Make a job's folder where it is not there.

    Raises:
        InputError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); give another --job-dir"
        ) from error
    return path.absolute()


def remove_empty(path: Path) -> None:
    """Delete a folder without work, with its ledger; what the user keeps in it stays."""
    if path.is_dir():
        for each in path.iterdir():
            if _LEDGER.fullmatch(each.name) or _PLACED.fullmatch(each.name):
                each.unlink(missing_ok=True)
        with suppress(OSError):
            path.rmdir()


def accept_attempt(folder: Path, chunk_index: int, token: int) -> None:
    """Give the file of an attempt the name of its chunk.

    Raises:
        ChunkError: The attempt left no file.
    """
    try:
        (folder / attempt_name(chunk_index, token)).replace(folder / chunk_name(chunk_index))
    except OSError as error:
        raise ChunkError(
            f"chunk {chunk_index:05d}: the worker said it was done and left no file in {folder} "
            f"({error.strerror}); run the command again"
        ) from error


def has_work(folder: Path) -> bool:
    """Tell whether a folder holds chunks, finished or of attempts that may be whole."""
    if not folder.is_dir():
        return False
    kinds = (_CHUNK, _ATTEMPT, _SIGHTS)
    return any(kind.fullmatch(path.name) for path in folder.iterdir() for kind in kinds)


def file_sha256(path: Path) -> str:
    """Return the hash of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_HASH_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _attempt_name(header: ChunkHeader) -> str:
    token = header.info.get("token")
    return attempt_name(header.chunk_index, token) if isinstance(token, int) else ""


def encoder_failures(folder: Path, request: str) -> dict[str, str]:
    """Return the encoders that broke in earlier runs of a request, with the reason."""
    try:
        kept = json.loads((folder / _FAILURES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict) or kept.get("request") != request:
        return {}
    failed = kept.get("failed")
    return {str(k): str(v) for k, v in failed.items()} if isinstance(failed, dict) else {}


def plain(value: object) -> Any:
    """Return a value as JSON can hold it, bytes by their hash, what it does not know as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)
