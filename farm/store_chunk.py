"""Storing what was made of a chunk, and making it again with another encoder.

Not for: rendering (`farm.render`) or the layout of the file (`farm.media.chunk_file`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from farm.chunk_task import ChunkResult, ChunkTask, RenderSetup, attempt_name, chunk_name
from farm.content import content_in
from farm.errors import ChunkError, EncoderError
from farm.faces.flicker import flicker_in
from farm.files import Files
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import (
    ChunkHeader,
    EncodedPacket,
    read_header,
    read_packets,
    write_chunk,
)
from farm.media.encode import ChunkEncoder, chunk_header


def chunk_info(setup: RenderSetup, result: ChunkResult) -> dict[str, object]:
    """Return what a chunk file says of how it was rendered."""
    return {
        "request": setup.request,
        "token": result.token,
        "kept": result.kept,
        "faces": result.faces,
        "touched": result.touched,
        "frames_without_face": result.frames_without_face,
        "faces_filled": result.faces_filled,
        "frames_filled": result.frames_filled,
        "corrupt": result.corrupt,
        "provider": setup.faces.provider,
        "content": asdict(result.content),
        "flicker": {"total": result.flicker.total, "pairs": result.flicker.pairs},
    }


def store_chunk(
    setup: RenderSetup,
    header: ChunkHeader,
    packets: Sequence[EncodedPacket],
    files: Files | None = None,
) -> tuple[int, str]:
    """Write a chunk file whole; its size in bytes and its SHA-256.

    Args:
        setup: The job.
        header: What the file holds.
        packets: In decode order.
        files: Who puts it in place; None for this machine.

    Raises:
        EncoderError: It could not be joined with the chunks of the other workers.
        ChunkError: It cannot be written.
    """
    sets = header.parameter_sets + header.extradata
    if setup.parameter_sets and sets != setup.parameter_sets:
        raise EncoderError(
            f"chunk {header.chunk_index:05d}: {header.encoder} writes other parameter sets here "
            "than elsewhere, so its chunks do not join; choose another --video-encoder"
        )
    token, number = header.info.get("token"), header.chunk_index
    name = attempt_name(number, token) if isinstance(token, int) else chunk_name(number)
    path = setup.chunk_dir / name
    return write_chunk(path, header, packets, files)


def has_earlier(setup: RenderSetup, task: ChunkTask) -> bool:
    """Whether an earlier encoder of the job has left this chunk, which is to be rendered."""
    if setup.analyse or setup.earlier_dir is None:
        return False
    return _earlier_path(setup.earlier_dir, task).is_file()


def encode_again(
    setup: RenderSetup,
    task: ChunkTask,
    files: Files | None = None,
    alive: Callable[[], None] = lambda: None,
) -> ChunkResult | None:
    """Make a chunk of the pictures that an earlier encoder of the job has left.

    Args:
        setup: The job.
        task: The chunk.
        files: Who puts it in place; None for this machine.
        alive: Called after every frame.

    Returns:
        The result; None where there is nothing whole to make it of, so that it must be rendered.

    Raises:
        EncoderError: This encoder breaks too.
        ChunkError: The chunk cannot be written.
    """
    began = time.perf_counter()
    path = None if setup.earlier_dir is None else _earlier_path(setup.earlier_dir, task)
    earlier = None if path is None else _whole_header(path, setup, task)
    if path is None or earlier is None:
        return None
    result = _counted(earlier)
    result.token = task.token
    encoder = ChunkEncoder(setup.encoder, setup.output, setup.frame_rate)
    packets: list[EncodedPacket] = []
    for frame in decode_packets(read_packets(path), earlier):
        packets += encoder.encode(frame, result.frames)
        result.frames += 1
        alive()
    packets += encoder.flush()
    fields = {
        "chunk_index": task.chunk_index,
        "frame_start": task.frame_start,
        "frame_count": result.frames,
        "fingerprint": setup.fingerprint,
        "info": earlier.info | {"encoded_before_by": earlier.encoder, "token": task.token},
    }
    header = chunk_header(encoder, setup.encoder, setup.output, packets, fields)
    result.bytes, result.sha256 = store_chunk(setup, header, packets, files)
    result.encode_s = time.perf_counter() - began
    return result


def _earlier_path(folder: Path, task: ChunkTask) -> Path:
    return folder / chunk_name(task.chunk_index)


def _whole_header(path: Path, setup: RenderSetup, task: ChunkTask) -> ChunkHeader | None:
    """Header of an earlier chunk that is whole and of the same pictures, None where it is not."""
    try:
        header = read_header(path)
        frames = sum(1 for _ in decode_packets(read_packets(path), header, threads=0))
    except ChunkError:
        return None
    same = (header.info.get("request"), header.frame_start) == (setup.request, task.frame_start)
    return header if same and frames == header.frame_count == len(task.pts) else None


def _counted(earlier: ChunkHeader) -> ChunkResult:
    """A result with the counters of the chunk as it was rendered."""
    info, corrupt = earlier.info, earlier.info.get("corrupt")
    return ChunkResult(
        chunk_index=earlier.chunk_index,
        faces=_number(info.get("faces")),
        frames_without_face=_number(info.get("frames_without_face")),
        faces_filled=_number(info.get("faces_filled")),
        frames_filled=_number(info.get("frames_filled")),
        corrupt=[_number(each) for each in corrupt] if isinstance(corrupt, list) else [],
        content=content_in(info),
        flicker=flicker_in(info),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
