"""Encoding the whole while it is still being rendered: chunks are taken in order as they are done.

Not for: the encoding itself (`farm.media.final_encode`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from farm.errors import JobError
from farm.media.chunk_file import read_header
from farm.media.final_encode import Progress, WholeOrder, encode_whole
from farm.media.join import Chunk


class WholeEncoding:
    """A thread that encodes; chunks are fed to it in any order."""

    def __init__(self, order: WholeOrder, progress: Progress | None = None) -> None:
        """Begin; the first chunk is waited for.

        Args:
            order: What is to be made of the chunks.
            progress: Called on the thread with frames done and frames in all.
        """
        self._order = order
        self._progress = progress
        self._paths: dict[int, Path] = {}
        self._news = threading.Condition()
        self._stopped = False
        self._parts: Future[tuple[Path, ...]] = Future()
        threading.Thread(target=self._run, name="final encode", daemon=True).start()

    def feed(self, chunk_index: int, path: Path) -> None:
        """A chunk is done."""
        with self._news:
            self._paths[chunk_index] = path
            self._news.notify_all()

    def parts(self) -> tuple[Path, ...]:
        """Wait for the end.

        Returns:
            The parts, in order.

        Raises:
            ChunkError: A chunk does not decode to its frames.
            EncoderError: The encoder broke.
            JobError: It was stopped before.
        """
        return self._parts.result()

    def stop(self) -> None:
        """Encode no further chunk."""
        with self._news:
            self._stopped = True
            self._news.notify_all()

    def _run(self) -> None:
        try:
            self._parts.set_result(encode_whole(self._chunks(), self._order, self._progress))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the parts
            self._parts.set_exception(error)

    def _chunks(self) -> Iterator[Chunk]:
        """Yield the chunks in order, each as soon as it is there, until all frames are."""
        frames = number = 0
        while frames < self._order.total:
            with self._news:
                self._news.wait_for(lambda due=number: self._stopped or due in self._paths)  # type: ignore[misc]
                if self._stopped:
                    raise JobError("the final encode was stopped; run the command again")
                path = self._paths.pop(number)
            chunk = Chunk(path=path, header=read_header(path))
            yield chunk
            frames += chunk.header.frame_count
            number += 1
