"""What a job would take: the result of `facefarm render --plan`, which renders nothing.

Not for: the plan itself (`cluster.plan`) or the trial that it rests on (`cluster.calibrate`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace

from cluster.calibrate import Measure, calibrate
from cluster.job import VideoJob
from cluster.plan import JobPlan, decide_faces
from cluster.render import for_images
from cluster.runtime import RayRuntime
from farm.decide import FaceDecision, check_processors
from farm.face_map import with_map
from farm.media.index import VideoIndex
from farm.media.listing import FrameListing
from farm.observer import RenderObserver
from farm.settings import EncodeOn, RenderSettings
from farm.stop import StopRequest
from farm.summary import seconds, size
from scheduler.workers import WorkerSeat, plan_workers


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChunk:
    """One chunk of a plan."""

    chunk_index: int
    frame_start: int
    frame_stop: int
    """Half-open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """The workers of one node, which are alike."""

    node: str
    node_id: str
    provider: str
    workers: int
    threads: int
    """Of each worker."""
    gpu_share: float
    """Of each worker."""
    worker_fps: float
    """Of each worker, as the others leave it, by the trial."""
    worker_memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a job would take."""

    frames: int
    chunks: tuple[PlannedChunk, ...]
    nodes: tuple[PlannedNode, ...]
    encoder: str
    encode_on: EncodeOn
    trial_frames: int
    expected_s: float
    """Of rendering; models, reading and the final task come on top."""
    chunk_bytes: int
    """Disk of the job's folder while it is rendered."""
    packet_bytes: int
    """Source packets that go to workers, what chunks share counted for each."""
    returned_bytes: int
    """Chunk files that come back from other nodes, if they do not see the job's folder."""
    model_bytes: int
    """Models that go to other nodes, if none has them."""
    notes: tuple[str, ...]


def forecast(
    settings: RenderSettings,
    observer: RenderObserver,
    stop: StopRequest,
    runtime: RayRuntime | None = None,
) -> Forecast:
    """Plan a job, try a few frames of it, and say what it would take.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        stop: Lets somebody end it.
        runtime: Ray, already entered and left open; None starts or joins one by the settings.

    Raises:
        FarmError: The job cannot be done.
    """
    return _Forecast(for_images(with_map(settings)), observer, None, stop).run(runtime)


class _Forecast(VideoJob[Forecast]):
    """The state of one `forecast`."""

    def _check(self) -> None:
        check_processors(self._settings.processors, self._settings.sources)

    def _decide(
        self, settings: RenderSettings, index: VideoIndex, say: Callable[[str], None]
    ) -> FaceDecision:
        return decide_faces(settings, index, say)

    def _job(
        self,
        index: VideoIndex,
        listing: FrameListing | None,
        runtime: RayRuntime,
        digest: Future[str],
    ) -> Forecast:
        plan = self._plan(index, listing, runtime, digest)
        measures = calibrate(runtime, self._settings, plan, self._observer.note)
        costs = {node: measure.cost for node, measure in measures.items()}
        workers = plan_workers(plan.inventory.offers, replace(plan.wish, costs=costs))
        return make_forecast(replace(plan, workers=workers), measures, runtime.home)


def make_forecast(plan: JobPlan, measures: Mapping[str, Measure], home: str) -> Forecast:
    """Put plan and trial together.

    Args:
        plan: The job, its workers planned with the costs that were measured.
        measures: By node.
        home: Id of the driver's node.
    """
    counts = Counter(seat.node_id for seat in plan.workers.seats)
    seats = {seat.node_id: seat for seat in plan.workers.seats}
    nodes = tuple(_node(seats[n], count, measures[n]) for n, count in counts.items())
    fps = sum(node.workers * node.worker_fps for node in nodes)
    frames = len(plan.frames.output)
    per_frame = max(measure.chunk_bytes_per_frame for measure in measures.values())
    away = sum(node.workers * node.worker_fps for node in nodes if node.node_id != home) / fps
    sizes = plan.index.sizes
    models = sum(file.path.stat().st_size for file in plan.faces.files)
    return Forecast(
        frames=frames,
        chunks=tuple(
            PlannedChunk(
                chunk_index=chunk.chunk_index,
                frame_start=chunk.frame_start,
                frame_stop=chunk.frame_stop,
            )
            for chunk in plan.chunks
        ),
        nodes=nodes,
        encoder=plan.encoder.encoder,
        encode_on=plan.encoding.encode_on,
        trial_frames=max(measure.frames for measure in measures.values()),
        expected_s=frames / fps,
        chunk_bytes=round(frames * per_frame),
        packet_bytes=sum(int(sizes[c.packet_start : c.packet_stop].sum()) for c in plan.chunks),
        returned_bytes=round(frames * per_frame * away),
        model_bytes=models * sum(1 for node in nodes if node.node_id != home),
        notes=(*plan.notes, *plan.encoding.notes),
    )


def forecast_lines(found: Forecast) -> Iterator[str]:
    """Say a forecast to people."""
    lengths = [chunk.frame_stop - chunk.frame_start for chunk in found.chunks]
    yield (
        f"{found.frames} frames in {len(lengths)} chunks of {min(lengths)} to {max(lengths)},"
        f" {found.encoder} in the {found.encode_on.value}"
    )
    for node in found.nodes:
        share = f", {node.gpu_share:g} GPU" if node.gpu_share else ""
        yield (
            f"  node {node.node}: {node.workers} x {node.provider}, {node.threads} threads{share},"
            f" {node.worker_fps:.2f} fps and {size(node.worker_memory_bytes)} each"
        )
    yield f"  disk      {size(found.chunk_bytes)} of chunks in the job's folder, and the output"
    yield (
        f"  moved     {size(found.packet_bytes)} of packets, up to {size(found.returned_bytes)} of"
        f" chunks and {size(found.model_bytes)} of models"
    )
    yield f"  expected  {seconds(found.expected_s)}, by a trial of {found.trial_frames} frames"
    for note in found.notes:
        yield f"  note      {note}"


def _node(seat: WorkerSeat, workers: int, measure: Measure) -> PlannedNode:
    """Return the workers of a node; those that share a GPU cannot do more than it does."""
    fps = measure.fps
    if seat.gpu_share:
        on_one = max(1, round(1 / seat.gpu_share))
        fps *= min(1.0, 1 / (on_one * max(measure.cost.gpu_utilisation, 0.01)))
    return PlannedNode(
        node=seat.node,
        node_id=seat.node_id,
        provider=seat.provider,
        workers=workers,
        threads=seat.threads,
        gpu_share=seat.gpu_share,
        worker_fps=fps,
        worker_memory_bytes=measure.cost.memory_bytes,
    )
