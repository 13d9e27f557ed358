"""From chunk files to the finished output: one interface, two ways.

`worker` joins the chunks by restamped stream copy; `final` encodes the whole in one stream from
lossless chunks first. The output appears under its name only when it is complete and verified. Not
for: rendering (`farm.media.encode` and the processors).
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from farm.image_names import is_sequence
from farm.marks.embed import embed_mark, mark_of_source, tags_for
from farm.marks.mark import Mark
from farm.marks.signing import SigningFiles, sign_file
from farm.media.clock import ClockSegment
from farm.media.containers import (
    ContainerRules,
    StreamPlan,
    check_codec,
    plan_streams,
    without_empty_audio,
    without_unheld_data,
)
from farm.media.crop import CropTag, add_crop
from farm.media.dynamic_hdr import DynamicHdr, carrier
from farm.media.encoders import EncoderChoice
from farm.media.ffmpeg import find_ffmpeg
from farm.media.final_encode import WholeOrder, encode_whole
from farm.media.final_feed import WholeEncoding
from farm.media.final_task import (
    FinalTask,
    SourceFacts,
    display_matrix_is_kept,
    run_final_task,
    shift_of,
    source_facts,
    writes_crop,
)
from farm.media.join import Chunk, JoinedVideo, join_chunks, read_chunks
from farm.media.place import check_place, disk_error, put_in_place
from farm.media.placed import note_placed
from farm.media.probe import open_container
from farm.media.sequence import write_sequence
from farm.media.source_groups import CopyRange
from farm.media.stream import StreamParameters
from farm.media.stream_cut import cut_source
from farm.media.timing import FrameTimes, TimeRange
from farm.media.untouched import Copies, is_copied, with_copies
from farm.media.verify import Expected, verify
from farm.models.hashes import sha256_of
from farm.scratch import IMAGE_SCRATCH, scratch_folder
from farm.settings import EncodeOn, VerifyLevel

Progress = Callable[[int, int], None]
_TS_TICK = Fraction(1, 90_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRequest:
    """Everything that turns rendered chunks into the output."""

    source: Path
    video_stream_index: int
    output: Path
    chunk_paths: tuple[Path, ...]
    """In order, without gaps."""
    stream: StreamParameters
    times: FrameTimes
    cut: TimeRange | None = None
    """The stretch that is kept of the source, None for the whole."""
    clock: tuple[ClockSegment, ...] = ()
    """How the clock of the source jumps; empty for one that does not."""
    encoder: EncoderChoice
    """Encoder of the output; with `final`, the chunks themselves are lossless."""
    encode_on: EncodeOn = EncodeOn.WORKER
    keep_audio: bool = True
    video_only: bool = False
    """Whether the frames are a stretch (a preview) that the source's other streams do not fit."""
    dynamic_hdr: DynamicHdr | None = None
    """Metadata of each picture that is carried over from the source."""
    crop: CropTag | None = None
    """The part of the picture that players are told to show."""
    private: bool = False
    """Whether covers, other video tracks and attachments are left out."""
    copies: tuple[CopyRange, ...] | None = None
    """Stretches that may keep the source's own packets; None where that was not asked for."""
    strip_metadata: bool = False
    """Whether tags and data tracks that tell place and device are left out."""
    verify: VerifyLevel = VerifyLevel.QUICK
    overwrite: bool = False
    altered_by: tuple[str, ...] = ()
    """Processors that changed pictures; named in the marks."""
    signing: SigningFiles | None = None
    """Certificate and key for a C2PA signature; None signs nothing."""
    ffmpeg: Path | None = None
    work_dir: Path
    fingerprints: tuple[str, ...] = ()
    """Of the chunks, where some were rendered with settings of their own; empty where all are
    alike."""
    note_dir: Path | None = None
    """Folder of the note of what is put in place (`farm.media.placed`); None for no note."""

    @property
    def whole_order(self) -> WholeOrder:
        """What the final encoder is to make of lossless chunks."""
        return WholeOrder(
            folder=self.work_dir,
            choice=self.encoder,
            stream=self.stream,
            total=len(self.times),
            ffmpeg=self.ffmpeg,
        )

    @property
    def temporary(self) -> Path:
        """The output until it is complete; whoever ends a final task by force deletes it."""
        job = hashlib.sha256(str(self.work_dir.absolute()).encode()).hexdigest()[:12]
        return self.output.with_name(f".facefarm-{job}{self.output.suffix}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishReport:
    """What finishing made and cost."""

    output_bytes: int
    output_sha256: str
    notes: tuple[str, ...]
    """What the container could not hold, and what was left out."""
    encode_s: float
    """Encoding the whole, as far as it was waited for; 0 where the workers encoded."""
    final_s: float
    """Joining and the ffmpeg task."""
    verify_s: float


def finish(
    request: FinishRequest,
    progress: Progress | None = None,
    whole: WholeEncoding | None = None,
) -> FinishReport:
    """Make the output from chunk files and put it in place.

    Args:
        request: What to do.
        progress: Called with frames encoded and frames in all while `final` encodes.
        whole: The encoding of the whole that was begun before; it has been fed all chunks.

    Raises:
        SettingsError: the container does not take the codec, or the output exists already.
        SetupError: no ffmpeg, or the output folder cannot be written.
        JobError: chunks are missing or damaged, ffmpeg failed, or the disk is full.
        VerifyError: the finished file is not what was rendered; it was not put in place.
    """
    if is_sequence(request.output):
        return _finish_sequence(request, progress)
    rules = check_codec(request.output, request.encoder.codec)
    check_place(request.output, overwrite=request.overwrite)
    binary = find_ffmpeg(request.ffmpeg)
    chunks = read_chunks(request.chunk_paths, len(request.times), request.fingerprints)
    temporary = request.temporary
    scratch = [temporary]
    # What a task that was killed left there may still be written to, by an ffmpeg without a parent.
    temporary.unlink(missing_ok=True)
    try:
        return _finish(request, rules, binary, chunks, temporary, scratch, progress, whole)
    except OSError as error:
        raise disk_error(error, request.output) from error
    finally:
        for path in scratch:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _finish(
    request: FinishRequest,
    rules: ContainerRules,
    binary: Path,
    chunks: tuple[Chunk, ...],
    temporary: Path,
    scratch: list[Path],
    progress: Progress | None,
    whole: WholeEncoding | None,
) -> FinishReport:
    began = time.monotonic()
    if request.encode_on is EncodeOn.FINAL:
        order = request.whole_order
        parts = whole.parts() if whole else encode_whole(chunks, order, progress)
        scratch.extend(parts)
        chunks = read_chunks(parts, len(request.times))
    chunks, copied = _with_copies(request, chunks, scratch)
    encoded = time.monotonic()
    mark = Mark(altered_by=request.altered_by).after(mark_of_source(request.source))
    task, joined = _joined(request, rules, binary, chunks, temporary, scratch, mark)
    run_final_task(task)
    unmarked = embed_mark(temporary, mark)
    _sign(request, temporary, mark)
    muxed = time.monotonic()
    level = VerifyLevel.FULL if copied else request.verify
    verify(temporary, _expected(request, task, chunks, joined), level)
    digest = sha256_of(temporary)
    size = temporary.stat().st_size
    if request.note_dir is not None:
        note_placed(request.note_dir, digest, size)
    put_in_place(temporary, request.output, overwrite=request.overwrite)
    return FinishReport(
        output_bytes=size,
        output_sha256=digest,
        notes=(*_notes(request, task), *([unmarked] if unmarked else []), *copied),
        encode_s=encoded - began,
        final_s=muxed - encoded,
        verify_s=time.monotonic() - muxed,
    )


def _with_copies(
    request: FinishRequest, chunks: tuple[Chunk, ...], scratch: list[Path]
) -> tuple[tuple[Chunk, ...], tuple[str, ...]]:
    """Put the source's own packets in where that was asked for and shows nothing."""
    if request.copies is None:
        return chunks, ()
    made = with_copies(
        chunks, request.copies, request.source, request.video_stream_index, request.work_dir
    )
    scratch.extend(each.path for each in made.copied)
    return made.chunks, _copy_notes(made, len(request.times))


def _copy_notes(made: Copies, total: int) -> tuple[str, ...]:
    """What is said of copies; the first line says whether there are some."""
    frames = sum(each.header.frame_count for each in made.copied)
    notes = [
        f"{frames} of {total} frames keep the source's own packets "
        f"({len(made.copied)} groups of pictures)"
        if frames
        else "--copy-untouched: no stretch could be copied; all is encoded"
    ]
    if made.unbegun:
        notes.append(
            f"{made.unbegun} frames are unchanged and encoded all the same: H.264 lets a copy "
            "begin at an IDR picture only, and theirs begin with others"
        )
    return tuple(notes)


def _finish_sequence(request: FinishRequest, progress: Progress | None) -> FinishReport:
    """Write every frame as an image; there is no sound, and ffmpeg is not needed."""
    began = time.monotonic()
    check_place(request.output, overwrite=request.overwrite)
    chunks = read_chunks(request.chunk_paths, len(request.times), request.fingerprints)
    mark = Mark(altered_by=request.altered_by).after(mark_of_source(request.source))
    try:
        with scratch_folder(IMAGE_SCRATCH, request.output.parent) as folder:
            size, digest, notes = write_sequence(
                chunks,
                request.output,
                folder,
                stream=request.stream,
                mark=mark,
                overwrite=request.overwrite,
                progress=progress,
            )
    except OSError as error:
        raise disk_error(error, request.output) from error
    return FinishReport(
        output_bytes=size,
        output_sha256=digest,
        notes=notes,
        encode_s=0.0,
        final_s=time.monotonic() - began,
        verify_s=0.0,
    )


def _joined(
    request: FinishRequest,
    rules: ContainerRules,
    binary: Path,
    chunks: tuple[Chunk, ...],
    temporary: Path,
    scratch: list[Path],
    mark: Mark,
) -> tuple[FinalTask, JoinedVideo]:
    """Join the chunks and say what the ffmpeg task has to do with the result."""
    streams, facts = _source(request, rules, binary)
    times = request.times
    shift = shift_of(rules, facts, int(times.pts[0]) * times.time_base, request.cut)
    cut = None
    if request.cut is not None or request.clock:
        stretch = request.cut or TimeRange(start=None, stop=None)
        cut = cut_source(request.source, streams, stretch, shift, request.work_dir, request.clock)
        scratch.extend(cut.paths)
        streams = cut.plan
    target = request.work_dir / f"joined-{uuid.uuid4().hex[:12]}.mp4"
    scratch.append(target)
    joined = join_chunks(
        chunks,
        target,
        choice=request.encoder,
        stream=request.stream,
        times=times,
        shift=shift,
        edit=carrier(request.dynamic_hdr),
    )
    if request.dynamic_hdr is not None:
        request.dynamic_hdr.add_record(target)
    if request.crop is not None and writes_crop(rules, binary):
        add_crop(target, request.crop, (request.stream.width, request.stream.height))
    task = FinalTask(
        binary=binary,
        joined=target,
        source=request.source,
        video_index=request.video_stream_index,
        target=temporary,
        rules=rules,
        streams=streams,
        facts=facts,
        choice=request.encoder,
        stream=request.stream,
        timescale=joined.times.timescale,
        shift=shift,
        strip_metadata=request.strip_metadata,
        in_band=any(is_copied(each.header) for each in chunks),
        altered_by=request.altered_by,
        mark_tags=tags_for(temporary, mark),
        last_packet=int(joined.times.pts.argmax()),
        last_duration=int(times.durations[-1]) * times.time_base,
        cut=cut,
    )
    return task, joined


def _sign(request: FinishRequest, path: Path, mark: Mark) -> None:
    """Sign the marked file, where that was asked for."""
    if request.signing is None:
        return
    scratch = request.work_dir / f"signed-{uuid.uuid4().hex[:12]}{path.suffix}"
    parent = None if request.private else request.source
    sign_file(path, scratch, request.signing, mark, parent)


def _source(
    request: FinishRequest, rules: ContainerRules, binary: Path
) -> tuple[StreamPlan, SourceFacts]:
    """Return what is kept of the source beside the rendered stream, and what it says of itself."""
    with open_container(request.source) as container:
        facts = source_facts(container, request.video_stream_index)
        if request.video_only:
            return StreamPlan(kept=(), notes=(), keep_chapters=False), facts
        streams = plan_streams(
            container,
            request.video_stream_index,
            rules,
            keep_audio=request.keep_audio,
            private=request.private,
            keep_data=not request.strip_metadata,
        )
    streams = without_empty_audio(streams, request.source)
    return without_unheld_data(streams, request.source, rules, binary), facts


def _expected(
    request: FinishRequest, task: FinalTask, chunks: tuple[Chunk, ...], joined: JoinedVideo
) -> Expected:
    rules = task.rules
    return Expected(
        source=request.source,
        source_video_index=request.video_stream_index,
        stream=request.stream,
        times=request.times,
        choice=request.encoder,
        chunks=chunks,
        first_packets=joined.first_packets,
        kept=task.streams.kept,
        cut=request.cut,
        clock=request.clock,
        shift=task.shift,
        absolute=rules.is_mov,
        exact_times=rules.exact_times,
        tick=Fraction(0) if rules.is_mov else _TS_TICK,
        display_matrix=display_matrix_is_kept(task),
    )


def _notes(request: FinishRequest, task: FinalTask) -> tuple[str, ...]:
    notes = list(task.streams.notes)
    if (request.stream.rotation or request.stream.flipped) and not display_matrix_is_kept(task):
        notes.append(
            f"the turn by {request.stream.rotation} degrees is lost: {task.rules.title} "
            f"by this ffmpeg does not hold it; .mp4 does"
        )
    dynamic = request.dynamic_hdr
    if dynamic and dynamic.dolby_vision and task.rules.muxer not in ("mp4", "matroska"):
        notes.append(
            f"Dolby Vision: {task.rules.title} by ffmpeg does not say that it is there; .mp4 and "
            ".mkv do"
        )
    if request.crop is not None and not writes_crop(task.rules, task.binary):
        notes.append(
            f"the crop tag ({request.crop}) is lost: {task.rules.title} by this ffmpeg does not "
            "hold it; .mp4 and .mkv by the bundled one do"
        )
    return tuple(notes)
