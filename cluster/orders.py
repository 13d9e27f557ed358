"""What workers and the final task are told of a job, made of settings, plan and folder.

Not for: deciding anything (`cluster.plan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cluster.plan import JobPlan, Span
from farm.chunk_task import RenderSetup
from farm.fault_settings import FaultSettings, OnChunkError
from farm.job_folder import JobFolder
from farm.marks.still import signing_files
from farm.media.final import FinishRequest
from farm.media.index import IndexClass
from farm.media.source_groups import CopyRange, copy_ranges
from farm.models.session import MOST_DEVICE_THREADS, batch_size
from farm.settings import EncodeOn, HardwareDecode, RenderSettings
from scheduler.instructions import Rules
from scheduler.workers import MOST_DECODE_THREADS


def rules_of(faults: FaultSettings) -> Rules:
    """Return what the dispatch core must know of what may go wrong."""
    return Rules(
        attempts=faults.attempts,
        keep_failed=faults.on_chunk_error is OnChunkError.KEEP,
        stall_s=faults.stall_s,
    )


def render_setup(settings: RenderSettings, plan: JobPlan, folder: JobFolder) -> RenderSetup:
    """Return what the workers must know."""
    stream = plan.index.stream
    frames_dir = None
    if settings.keep_frames:
        frames_dir = settings.output.absolute().with_name(f"{settings.output.stem}-frames")
        frames_dir.mkdir(exist_ok=True)
    return RenderSetup(
        stream=stream,
        output=plan.output,
        reshape=plan.reshape,
        encoder=plan.chunk_encoder,
        frame_rate=plan.output.frame_rate,
        fingerprint=plan.fingerprint,
        request=plan.request,
        parameter_sets=plan.encoding.parameter_sets,
        earlier_dir=folder.earlier_dir,
        faces=replace(plan.faces.job, batch=batch_size(len(plan.frames), MOST_DEVICE_THREADS)),
        threads=max(seat.threads for seat in plan.workers.seats),
        decode_threads=1 if plan.index.damage else MOST_DECODE_THREADS,
        chunk_dir=folder.path,
        hardware_decode=_device(settings, plan),
        memory_bytes=settings.max_memory_bytes,
        frames_dir=frames_dir,
        nsfw_filter=settings.nsfw_filter,
    )


def _device(settings: RenderSettings, plan: JobPlan) -> HardwareDecode:
    """Return which device may decode: none, where errors must be seen that devices do not tell."""
    index = plan.index
    doubtful = index.damage or index.index_class is not IndexClass.TRUSTED
    return HardwareDecode.OFF if doubtful else settings.hardware_decode


def finish_request(
    settings: RenderSettings,
    span: Span | None,
    plan: JobPlan,
    folder: JobFolder,
    others: Sequence[JobPlan] = (),
) -> FinishRequest:
    """Return what the final task must know; `others` are plans of stretches of the same output."""
    plans = (plan, *others)
    return FinishRequest(
        source=settings.target.absolute(),
        video_only=span is not None,
        video_stream_index=plan.index.stream_index,
        output=settings.output.absolute(),
        chunk_paths=tuple(folder.chunk_path(chunk.chunk_index) for chunk in plan.chunks),
        stream=plan.output,
        times=plan.frames.output.times,
        cut=plan.frames.output.cut,
        clock=plan.frames.clock,
        encoder=plan.encoder,
        encode_on=plan.encoding.encode_on,
        keep_audio=settings.keep_audio,
        private=any(each.faces.private for each in plans),
        dynamic_hdr=plan.dynamic_hdr,
        crop=None if plan.reshape.size else plan.index.crop,
        copies=_copies(settings, plan),
        strip_metadata=settings.strip_metadata,
        ffmpeg=settings.ffmpeg,
        verify=settings.verify,
        overwrite=settings.overwrite,
        altered_by=tuple(dict.fromkeys(name for each in plans for name in each.faces.alters)),
        signing=signing_files(settings),
        work_dir=folder.make_final_dir(),
        fingerprints=tuple(each.fingerprint for each in plans),
        note_dir=None if span is not None else folder.path,
    )


def _copies(settings: RenderSettings, plan: JobPlan) -> tuple[CopyRange, ...] | None:
    """What may keep the source's own packets, None where nothing was asked to."""
    if not settings.copy_untouched:
        return None
    if plan.encoding.encode_on is EncodeOn.FINAL:
        return ()
    chunks = [(chunk.frame_start, chunk.frame_stop) for chunk in plan.chunks]
    return copy_ranges(plan.index, plan.frames, plan.encoder, plan.output, chunks)
