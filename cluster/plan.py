"""The plan of a job: frames, chunks, encoder, faces and workers, before anything is rendered.

Not for: carrying it out (`cluster.render`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cluster.analysis import AnalysisPlan, frame_finder, plan_analysis
from cluster.encoding import PickEncoder
from cluster.inventory import Inventory
from farm.content import EVERY_S
from farm.decide import FaceDecision, decide, decide_analysis
from farm.environment import farm_version, installed_version
from farm.errors import ProviderError, SettingsError
from farm.faces.table import ClipFacts, FaceTable
from farm.faces.table_file import TableDocument, table_text
from farm.job_folder import fingerprint
from farm.media.dynamic_hdr import DynamicHdr, dynamic_hdr
from farm.media.encoders import EncoderChoice, intermediate_encoder
from farm.media.index import VideoIndex
from farm.media.listing import FrameListing
from farm.media.orientation import orientation_notes
from farm.media.plan import FramePlan, plan_frames
from farm.media.reshape import Reshape, output_stream, reshape_notes, reshape_of
from farm.media.retime import at_rate, multiplied, stretch, trim
from farm.media.samples import places_to_look_at
from farm.media.stream import StreamParameters
from farm.models.session import PROVIDERS, choose_provider, execution_threads
from farm.models.store import ModelStore
from farm.node.processor import usable_cores
from farm.process import load_processors
from farm.processors.registry import frame_maker, lead_of
from farm.settings import EncodeOn, RenderSettings
from farm.who import check_moments
from scheduler.chunks import Chunk, Lead, cut_chunks
from scheduler.encoders import EncoderPlan
from scheduler.workers import WorkerPlan, WorkerWish, plan_workers

Span = tuple[float, int]
"""Start in seconds and number of frames of a preview."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """All that is decided before the first chunk is rendered."""

    index: VideoIndex
    output: StreamParameters
    """The stream as it is encoded."""
    reshape: Reshape
    frames: FramePlan
    chunks: list[Chunk]
    encoding: EncoderPlan
    faces: FaceDecision
    workers: WorkerPlan
    inventory: Inventory
    """What the workers were planned from."""
    wish: WorkerWish
    """What the job asks of its workers."""
    analysis: AnalysisPlan | None
    """What is looked at before the render, None for nothing."""
    table: FaceTable | None
    """The face table that was given to render from."""
    clip: ClipFacts
    input_sha256: str
    pixels: str
    """Hash of everything that the pixels depend on before they are encoded."""
    identity: Mapping[str, object]
    """Everything that the request depends on, by name."""
    request: str
    """The same with what was asked of the encoder."""
    notes: tuple[str, ...]
    """What is to be said of it, beside the encoder's notes."""

    @property
    def encoder(self) -> EncoderChoice:
        """The encoder of the output."""
        return self.encoding.choice

    @property
    def chunk_encoder(self) -> EncoderChoice:
        """The encoder of the chunks."""
        on_final = self.encoding.encode_on is EncodeOn.FINAL
        return intermediate_encoder(self.output) if on_final else self.encoder

    @property
    def dynamic_hdr(self) -> DynamicHdr | None:
        """Metadata of each picture that the output keeps."""
        frames, codec = self.frames, self.encoder.codec
        return dynamic_hdr(self.index, frames.packets, frames.output, self.reshape, codec)

    @property
    def nodes(self) -> frozenset[str]:
        """Ids of the nodes of the workers."""
        return frozenset(seat.node_id for seat in self.workers.seats)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that the chunks depend on."""
        return fingerprint((self.pixels, self.chunk_encoder))

    @property
    def provider(self) -> str:
        """Full names of the execution providers that take part, "none" where no network runs."""
        if not self.faces.model_sha256:
            return "none"
        return ", ".join(PROVIDERS[name] for name in self.workers.providers)


def plan_job(
    settings: RenderSettings,
    span: Span | None,
    index: VideoIndex,
    listing: FrameListing | None,
    faces: FaceDecision,
    inventory: Inventory,
    input_sha256: str,
    pick: PickEncoder,
) -> JobPlan:
    """Plan a job.

    Args:
        settings: What was asked for.
        span: The stretch of a preview, None for the whole.
        index: The packets.
        listing: The frames, where the index does not tell them.
        faces: What `decide_faces` returned.
        inventory: What the nodes have.
        input_sha256: Of the source file.
        pick: Chooses the encoder.

    Raises:
        FarmError: The plan cannot be made with these settings.
    """
    frames = _retimed(index, listing, settings, span)
    if faces.wanted is not None:
        check_moments(faces.wanted, frames.times.length_s)
    if settings.nsfw_filter:
        frames = replace(frames, looks=places_to_look_at(frames, EVERY_S))
    before, after = lead_of(load_processors(settings.processors.names))
    gaps = faces.job.cover_gaps
    chunks = cut_chunks(
        index,
        frames,
        settings.chunk_seconds,
        Lead(before=before + gaps, after=after + gaps),
        every_group=settings.copy_untouched and settings.encode_on is not EncodeOn.FINAL,
    )
    reshape = reshape_of(index.stream, settings.shape)
    output = _at_rate(output_stream(index.stream, reshape), frames)
    clip = ClipFacts(
        name=index.path.name,
        sha256=input_sha256,
        width=faces.job.frame_size[0],
        height=faces.job.frame_size[1],
        frames=len(frames.packets),
    )
    analysis = None
    if faces.job.analysis is not None:
        wanted = replace(settings.analysis, fill_gaps=faces.job.analysis.fill_gaps)
        analysis = plan_analysis(index, frames, wanted, settings.chunk_seconds)
    table = None if faces.table is None else _given_table(faces.table, clip, frames)
    wish = _wish(settings, len(chunks), faces)
    workers = plan_workers(inventory.offers, wish)
    identity = _identity(settings, index, frames, chunks, faces, workers)
    identity |= {"input": input_sha256, "faces": _table_identity(settings, faces, table)}
    pixels = fingerprint(sorted(identity.items()))
    asked = {
        "video encoder": settings.video_encoder,
        "video quality": settings.video_quality,
        "encoding": settings.encoding,
        "encode on": settings.encode_on,
    }
    request = fingerprint((pixels, *asked.values()))
    return JobPlan(
        index=index,
        output=output,
        reshape=reshape,
        frames=frames,
        chunks=chunks,
        encoding=pick(request, output, {seat.node_id for seat in workers.seats}),
        faces=faces,
        workers=workers,
        inventory=inventory,
        wish=wish,
        analysis=analysis,
        table=table,
        clip=clip,
        input_sha256=input_sha256,
        pixels=pixels,
        request=request,
        identity={**identity, **asked},
        notes=(
            *index.notes,
            *frames.notes,
            *orientation_notes(index.stream.display_matrix),
            *reshape_notes(index.stream, reshape),
            *_crop_notes(index, reshape),
            *faces.notes,
            *inventory.notes,
            *workers.notes,
        ),
    )


def _crop_notes(index: VideoIndex, reshape: Reshape) -> tuple[str, ...]:
    """Say that a part of the picture is hidden by its container."""
    if index.crop is None:
        return ()
    then = "--scale leaves it out" if reshape.size else "all of it is rendered, the tag is kept"
    return (f"a tag hides a part of the picture ({index.crop}): {then}",)


def _retimed(
    index: VideoIndex, listing: FrameListing | None, settings: RenderSettings, span: Span | None
) -> FramePlan:
    """Return the plan with the times that were asked for."""
    frames, time = plan_frames(index, listing), settings.time
    if span is not None:
        if time.start is not None or time.end is not None:
            raise SettingsError("--start and --end: a preview takes --at and --frames instead")
        frames = stretch(frames, *span)
    elif time.start is not None or time.end is not None:
        frames = trim(frames, time.start, time.end)
    between = frame_maker(settings.processors.names) is not None
    if between and index.stream.field_order > 1 and not settings.shape.deinterlace:
        raise SettingsError(
            "--frame-processor: no frames can be made between interlaced ones; add --deinterlace"
        )
    if time.fps is not None:
        return at_rate(frames, time.fps, between=between)
    if between:
        return multiplied(frames, time.interpolation, index.stream.frame_rate)
    return frames


def _at_rate(stream: StreamParameters, frames: FramePlan) -> StreamParameters:
    """Return the stream with the frame rate that it has in the output."""
    rate = frames.output.rate
    return stream if rate is None else replace(stream, frame_rate=rate)


def _given_table(document: TableDocument, clip: ClipFacts, frames: FramePlan) -> FaceTable:
    """Return the table to render from.

    Raises:
        InputError: It was made from another clip.
    """
    table = document.table(frame_finder(frames.times))
    table.check_fits(clip, document.name)
    return table


def _table_identity(
    settings: RenderSettings, faces: FaceDecision, table: FaceTable | None
) -> tuple[object, ...]:
    """Return what the pixels depend on where faces come out of a table."""
    if not faces.job.reads_table:
        return ()
    given = None if table is None else table_text(table).encode()
    return (given, faces.wanted, faces.job.analysis, settings.analysis)


def _wish(settings: RenderSettings, chunks: int, faces: FaceDecision) -> WorkerWish:
    """Return what the job asks of its workers."""
    return WorkerWish(
        chunks=chunks,
        workers=settings.workers,
        threads=settings.execution_threads,
        provider=_asked(settings),
        same_provider=settings.same_provider,
        networks=bool(faces.model_sha256),
    )


def _asked(settings: RenderSettings) -> str | None:
    """Return the provider that was asked for, in its usual spelling."""
    asked = settings.execution_provider
    return None if asked is None else asked.casefold()


def decide_faces(
    settings: RenderSettings,
    index: VideoIndex,
    progress: Callable[[str], None],
) -> FaceDecision:
    """Decide whom the job works on, fetching models that are missing.

    Args:
        settings: What was asked for.
        index: The video.
        progress: Told what is going on.

    Raises:
        FarmError: A model, provider or source is missing or wrong.
    """
    models = model_store(settings, progress)
    idle = set(settings.processors.names) <= {"none"}
    provider = None if idle else provider_here(settings)
    threads = settings.execution_threads
    if threads is None:
        threads = 1 if provider is None else execution_threads(provider, usable_cores())
    return decide(
        settings.processors,
        settings.sources,
        models,
        provider,
        threads,
        index,
        lambda n: progress(f"looking for a face: frame {n}"),
        selection=settings.selection,
        analysis=settings.analysis,
    )


def decide_analysis_of(
    settings: RenderSettings,
    index: VideoIndex,
    progress: Callable[[str], None],
    *,
    recognises: bool,
) -> FaceDecision:
    """Decide for a job that only looks; the arguments are those of `decide_faces`.

    Raises:
        FarmError: A model is missing or wrong.
    """
    return decide_analysis(
        settings.processors,
        model_store(settings, progress),
        provider_here(settings),
        index,
        settings.analysis,
        recognises=recognises,
    )


def model_store(settings: RenderSettings, progress: Callable[[str], None]) -> ModelStore:
    """Return the models that the settings give, fetching those that are missing."""
    return ModelStore(
        models_dir=settings.models_dir,
        overrides=settings.models,
        allow_unverified=settings.allow_unverified_models,
        progress=lambda p: progress(
            f"fetching {p.name}: {p.done_bytes / max(1, p.total_bytes):.0%}"
        ),
    )


def provider_here(settings: RenderSettings) -> str:
    """Return what the driver itself computes with: on a cluster it may have less than workers.

    Raises:
        ProviderError: What was asked for does not load on this machine, and there is no other.
    """
    try:
        return choose_provider(settings.execution_provider)
    except ProviderError:
        if settings.address is None:
            raise
        return choose_provider("cpu")


def _identity(
    settings: RenderSettings,
    index: VideoIndex,
    frames: FramePlan,
    chunks: list[Chunk],
    faces: FaceDecision,
    workers: WorkerPlan,
) -> dict[str, object]:
    """Return what the pixels depend on beside the source's bytes."""
    job = faces.job
    return {
        "facefarm": farm_version(),
        "av": installed_version("av"),
        "video stream": index.stream_index,
        "stream": index.stream,
        "shape": reshape_of(index.stream, settings.shape),
        "keep frames": settings.keep_frames,
        "nsfw filter": settings.nsfw_filter,
        "processors": job.settings,
        "source faces": job.source_embedding,
        "reference faces": job.references,
        "least likeness": job.least_likeness,
        "more sources": job.more_sources,
        "cover gaps": job.cover_gaps,
        "provider": _provider_rule(settings, faces, workers),
        "models": faces.model_sha256,
        "packets": frames.packets.tobytes(),
        "time base": frames.output.times.time_base,
        "frames": frames.output.key,
        "chunks": fingerprint([(chunk.frame_start, chunk.frame_stop) for chunk in chunks]),
    }


def _provider_rule(settings: RenderSettings, faces: FaceDecision, workers: WorkerPlan) -> str:
    """Return which providers may have a part in the pixels."""
    if not faces.model_sha256:
        return "none"
    return workers.providers[0] if settings.same_provider else _asked(settings) or "any"
