"""Stretches that no processor changed keep the source's own packets, where a join shows nothing.

Chunks whose pictures are those of the source are replaced by the packets that the source has for
them. Groups that follow on each other in the source are copied as one run, with the leading
pictures that lean on the group before; at the beginning of a run these are left to the encoder. All
is tried by decoding. Not for: seeing which chunks are untouched; workers do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from farm.errors import ChunkError
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import (
    ChunkHeader,
    EncodedPacket,
    read_header,
    read_packets,
    write_chunk,
)
from farm.media.join import Chunk
from farm.media.parameter_sets import parameter_sets
from farm.media.signature import (
    SIGNATURE_BYTES,
    picture_md5,
    picture_signature,
    signature_distance,
)
from farm.media.source_groups import CopyRange
from farm.media.source_packets import as_beginning, group_packets

COPIED = "copied"
"""In the header of a chunk: its packets are those of the source."""
_WORST_CELL, _MEAN_CELL = 40, 12.0
"""How far a picture may be from the one that was encoded, as `farm.media.verify_pictures`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """What is to be joined, and what is to be said of it."""

    chunks: tuple[Chunk, ...]
    """In order; a copy may stand for several of those that were rendered."""
    unbegun: int = 0
    """Untouched frames that H.264 lets no copy begin with."""

    @property
    def copied(self) -> tuple[Chunk, ...]:
        """The copies among them."""
        return tuple(each for each in self.chunks if is_copied(each.header))


def with_copies(
    chunks: tuple[Chunk, ...],
    ranges: Sequence[CopyRange],
    source: Path,
    stream_index: int,
    folder: Path,
) -> Copies:
    """The chunks; those that are untouched, decode alike and join unseen replaced by copies.

    Args:
        chunks: All, in order.
        ranges: What might be copied, in order.
        source: The file.
        stream_index: Of the rendered stream.
        folder: Where copies are written.
    """
    untouched = [chunk.header.info.get("touched") == 0 for chunk in chunks]
    wanted = [each for each in ranges if all(untouched[each.chunk_start : each.chunk_stop])]
    copying = _Copying(chunks, folder)
    for each, packets in group_packets(source, stream_index, wanted):
        follows = all(untouched[each.lead_start : each.chunk_start])
        copying.offer(each, packets, follows=follows)
    return copying.result()


def is_copied(header: ChunkHeader) -> bool:
    """Whether the packets of a chunk are those of the source."""
    return bool(header.info.get(COPIED))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tail:
    """The end of a run of copied groups."""

    chunk_stop: int
    packets: list[EncodedPacket]
    """Of its last group, without leading pictures."""
    due: bytes
    """Signatures of the pictures that they show."""
    header: ChunkHeader


class _Copying:
    """Puts copies in, one after another; a run whose end does not join is taken back as a whole."""

    def __init__(self, chunks: tuple[Chunk, ...], folder: Path) -> None:
        self._chunks = chunks
        self._folder = folder
        self._copies: dict[int, tuple[int, Chunk]] = {}
        """By first chunk: the chunk behind the last one that a copy stands for, and the copy."""
        self._run: dict[int, tuple[int, Chunk]] = {}
        """Copies of the run whose end is not yet tried."""
        self._tail: _Tail | None = None
        self._unbegun = 0

    def offer(self, each: CopyRange, packets: list[EncodedPacket], *, follows: bool) -> None:
        """Try the group after those that were offered before.

        Args:
            each: The group.
            packets: All of it, numbered from the frame of the keyframe on.
            follows: Whether its leading pictures, where it has some, are untouched too.
        """
        tail = self._tail
        goes_on = tail is not None and follows and tail.chunk_stop == each.lead_start
        if tail is not None and goes_on and self._go_on(tail, each, packets):
            return
        self._end()
        self._begin(each, packets)

    def result(self) -> Copies:
        """The chunks with all copies that proved right."""
        self._end()
        chosen, number = [], 0
        while number < len(self._chunks):
            number, chunk = self._copies.get(number, (number + 1, self._chunks[number]))
            chosen.append(chunk)
        return Copies(chunks=tuple(chosen), unbegun=self._unbegun)

    def _go_on(self, tail: _Tail, each: CopyRange, packets: list[EncodedPacket]) -> bool:
        """Whether the group, decoded after the one before it in the source, shows what is due."""
        header = self._header(each.lead_start, each.chunk_stop, packets[0])
        whole = _moved(packets, each.leading)
        shown = _shown(chain(tail.packets, _moved(whole, len(tail.packets))), tail.header)
        if shown != tail.due + header.signatures:
            return False
        return self._copy(each, each.lead_start, header, whole, _without_leading(packets))

    def _begin(self, each: CopyRange, packets: list[EncodedPacket]) -> None:
        """Let the group, without leading pictures, begin a run, if it joins what comes before."""
        clean = _without_leading(packets)
        header = self._header(each.chunk_start, each.chunk_stop, packets[0])
        before = self._before(each.chunk_start)
        if before is not None:
            first = as_beginning(header.codec, clean[0].data)
            if first is None:
                self._unbegun += len(clean)
                return
            clean[0] = replace(clean[0], data=first)
        if _shown(clean, header) != header.signatures or not header.parameter_sets:
            return
        if before is None or _follow(before, clean, header):
            self._copy(each, each.chunk_start, header, clean, clean)

    def _end(self) -> None:
        """Keep the run if the chunk behind it joins."""
        if self._tail is not None and self._ends_well(self._tail):
            self._copies |= self._run
        self._run, self._tail = {}, None

    def _ends_well(self, tail: _Tail) -> bool:
        after = self._chunks[tail.chunk_stop : tail.chunk_stop + 1]
        if not after:
            return True
        behind = _moved(read_packets(after[0].path), len(tail.packets))
        shown = _shown(chain(tail.packets, behind), tail.header)
        return _are_like(tail.due + after[0].header.signatures, shown)

    def _before(self, number: int) -> Chunk | None:
        """The chunk that a copy would follow, as it is to be; None at the beginning."""
        copied = next((copy for stop, copy in self._copies.values() if stop == number), None)
        return copied or (self._chunks[number - 1] if number else None)

    def _header(self, start: int, stop: int, first: EncodedPacket) -> ChunkHeader:
        """What is said of a copy in the place of these chunks."""
        heads = [chunk.header for chunk in self._chunks[start:stop]]
        return replace(
            heads[0],
            frame_count=sum(head.frame_count for head in heads),
            signatures=b"".join(head.signatures for head in heads),
            parameter_sets=parameter_sets(heads[0].codec, first.data),
            extradata=b"",
            encoder=COPIED,
            info=heads[0].info | {COPIED: True},
        )

    def _copy(
        self,
        each: CopyRange,
        number: int,
        header: ChunkHeader,
        packets: list[EncodedPacket],
        clean: list[EncodedPacket],
    ) -> bool:
        """Write a copy in the place of chunk `number` and those behind it, as the end of the run.

        False where its keyframe does not decode by itself.
        """
        try:
            first = next(decode_packets(packets[:1], header), None)
        except ChunkError:
            first = None
        if first is None:
            return False
        path = self._folder / f"copied-{number:05d}.chunk"
        write_chunk(path, replace(header, first_picture_md5=picture_md5(first)), packets)
        self._run[number] = (each.chunk_stop, Chunk(path=path, header=read_header(path)))
        ending = self._header(each.chunk_start, each.chunk_stop, clean[0])
        self._tail = _Tail(
            chunk_stop=each.chunk_stop, packets=clean, due=ending.signatures, header=ending
        )
        return True


def _without_leading(packets: list[EncodedPacket]) -> list[EncodedPacket]:
    return [each for each in packets if each.frame >= 0]


def _moved(packets: Iterable[EncodedPacket], count: int) -> list[EncodedPacket]:
    """The same, as the packets of frames so many later."""
    return [replace(each, frame=each.frame + count) for each in packets]


def _shown(packets: Iterable[EncodedPacket], header: ChunkHeader) -> bytes:
    """Signatures of what one decoder shows; empty where the packets do not decode."""
    try:
        frames: Iterator[bytes] = map(picture_signature, decode_packets(packets, header, threads=0))
        return b"".join(frames)
    except ChunkError:
        return b""


def _follow(before: Chunk, packets: list[EncodedPacket], header: ChunkHeader) -> bool:
    """Whether a decoder that shows a chunk goes on with the pictures of a copy behind it."""
    count = before.header.frame_count
    shown = _shown(chain(read_packets(before.path), _moved(packets, count)), before.header)
    return _are_like(before.header.signatures + header.signatures, shown)


def _are_like(due: bytes, shown: bytes) -> bool:
    """Whether as many pictures are shown as are due, each like its own."""
    if len(shown) != len(due):
        return False
    for at in range(0, len(due), SIGNATURE_BYTES):
        place = slice(at, at + SIGNATURE_BYTES)
        worst, mean = signature_distance(due[place], shown[place])
        if worst > _WORST_CELL or mean > _MEAN_CELL:
            return False
    return True
