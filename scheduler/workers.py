"""How many workers on which node, and what each may use: a pure function of nodes and wishes.

Not for: the chunk plan, which must not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from farm.errors import ClusterError, ProviderError
from farm.models.session import PROVIDERS, execution_threads
from farm.node.facts import NodeFacts

_CORES_PER_WORKER = 8
MOST_DECODE_THREADS = 16
"""More only add delay: each thread of a decoder holds a frame back."""
_MOST_PER_GPU = 8
_CORES_PER_GPU_WORKER = 2
_MEMORY_SHARE = 0.9
"""Of a memory that workers may fill; what fragments and drivers take stays free."""
_GPU_PROVIDERS = frozenset({"cuda", "tensorrt", "rocm", "migraphx"})
_STRENGTH = {name: place for place, name in enumerate(PROVIDERS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOffer:
    """A node and what the cluster lets a job have of it."""

    node_id: str
    facts: NodeFacts
    slots: float
    """How many workers Ray finds room for."""
    gpus: float
    """GPUs that Ray knows of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCost:
    """What one worker takes, as calibration has measured it."""

    memory_bytes: int
    gpu_memory_bytes: int = 0
    gpu_utilisation: float = 1.0
    """Share of the time in which its GPU computed, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerWish:
    """What the job asks of its workers."""

    chunks: int
    """There are never more workers than chunks."""
    workers: int | None = None
    """As the user asked for, None for the default."""
    threads: int | None = None
    """Threads of one worker's networks as the user asked for, None for the provider's rule."""
    provider: str | None = None
    """Short name that every worker must have, None for the best of each node."""
    same_provider: bool = False
    """Whether only nodes with the best provider of all take part."""
    networks: bool = True
    """Whether any network runs; where none does, the provider does not matter."""
    encoder: str = ""
    """Which must work on each node; empty where workers need none of their own."""
    costs: Mapping[str, WorkerCost] = field(default_factory=dict)
    """By node, where calibration has measured one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSeat:
    """The place of one worker."""

    node_id: str
    """Empty for any node."""
    node: str
    """Name of the node."""
    provider: str
    threads: int
    """Thread budget of the worker's networks."""
    decode_threads: int
    gpu_share: float = 0.0
    """Share of a GPU that the worker takes from Ray."""
    devices: str | None = None
    """GPUs that the worker may see, as CUDA_VISIBLE_DEVICES says it; None leaves it to Ray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """The workers of a job, in the order in which they are started."""

    seats: tuple[WorkerSeat, ...]
    notes: tuple[str, ...] = ()
    """What is to be said of it: nodes that are left out, and why."""

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self.seats)

    @property
    def providers(self) -> tuple[str, ...]:
        """Short names of the providers that take part, best first."""
        return tuple(sorted({seat.provider for seat in self.seats}, key=_STRENGTH.__getitem__))

    @staticmethod
    def alike(
        workers: int, *, threads: int = 1, decode_threads: int = 1, gpu_share: float = 0.0
    ) -> WorkerPlan:
        """Return a plan of equal workers on any node, for CPUs where no share of a GPU is given."""
        seat = WorkerSeat(
            node_id="",
            node="",
            provider="cpu",
            threads=threads,
            decode_threads=decode_threads,
            gpu_share=gpu_share,
        )
        return WorkerPlan(seats=(seat,) * workers)


@dataclass(slots=True, kw_only=True)
class _Room:
    """A node that takes part: how many workers it should and could have, and has."""

    offer: NodeOffer
    provider: str
    gpus: float
    """That it may use; 0 for a provider that needs none."""
    usual: int
    most: int
    count: int = 0


def plan_workers(offers: Sequence[NodeOffer], wish: WorkerWish) -> WorkerPlan:
    """Plan the workers of one job.

    Every node works with the best provider that passed its trial there. Nodes take turns, those
    with GPUs first, so that few workers are spread over many nodes.

    Args:
        offers: The nodes.
        wish: What the job asks for.

    Raises:
        ProviderError: No node has the provider that was asked for.
        ClusterError: No node can render.
    """
    rooms, notes = [], []
    for offer in offers:
        reason = unfit(offer, wish)
        if reason:
            notes.append(f"node {offer.facts.name} is left out: {reason}")
        else:
            rooms.append(_room(offer, wish))
    if not rooms:
        raise _nobody(wish, notes)
    rooms.sort(key=_rank)
    if wish.same_provider:
        notes += _keep_best(rooms)
    notes += _fill(rooms, wish)
    return WorkerPlan(seats=_seats(rooms, wish), notes=tuple(notes))


def unfit(offer: NodeOffer, wish: WorkerWish) -> str:
    """Say why a node cannot take part, nothing where it can."""
    facts = offer.facts
    if facts.problem:
        return facts.problem
    if offer.slots < 1:
        return "Ray has no CPU slot for a worker there"
    if wish.encoder and not facts.encoder(wish.encoder).works:
        return f"{wish.encoder} {facts.encoder(wish.encoder).problem}"
    if _provider(offer, wish):
        return ""
    if wish.provider is None:
        return "no execution provider works there"
    return _why_not(offer, wish.provider)


def hardware(offer: NodeOffer) -> tuple[object, ...]:
    """Return what tells the kind of a node: a measurement on one holds for the others."""
    return (offer.facts.cores, *(gpu.name for gpu in offer.facts.gpus))


def _provider(offer: NodeOffer, wish: WorkerWish) -> str | None:
    """Return the best provider of a node that may be used, None where there is none."""
    if not wish.networks:
        return "cpu"
    for name in offer.facts.working_providers:
        needs_gpu = name in _GPU_PROVIDERS
        if wish.provider in (None, name) and not (needs_gpu and not _usable_gpus(offer, name)):
            return name
    return None


def _usable_gpus(offer: NodeOffer, provider: str) -> float:
    """Return how many GPUs of a node work and are Ray's to give."""
    if not offer.facts.gpus:
        # Nobody lists the GPUs of other makers than NVIDIA.
        return offer.gpus
    return min(offer.gpus, len(offer.facts.sound_gpus(provider)))


def _why_not(offer: NodeOffer, provider: str) -> str:
    """Say why a provider that was asked for is not to be had on a node."""
    if provider in offer.facts.working_providers:
        return f"{provider} works there, but Ray was told of no GPU (ray start --num-gpus)"
    tried = [trial for trial in offer.facts.providers if trial.name == provider]
    said = tried[0].problem if tried else f"{provider} is not there"
    return f"{offer.facts.gpu_problem}; {said}" if offer.facts.gpu_problem else said


def _room(offer: NodeOffer, wish: WorkerWish) -> _Room:
    """Return how many workers a node should have, and could have."""
    provider = _provider(offer, wish) or "cpu"
    gpus = _usable_gpus(offer, provider) if provider in _GPU_PROVIDERS else 0.0
    cost = wish.costs.get(offer.node_id)
    most = int(offer.slots)
    usual = round(offer.facts.cores / _CORES_PER_WORKER)
    if gpus:
        fit, useful = _per_gpu(offer, provider, cost, gpus)
        most = min(most, max(1, int(gpus * fit)))
        usual = max(1, int(gpus * useful))
    if cost is not None:
        room_bytes = offer.facts.memory_bytes * _MEMORY_SHARE
        most = min(most, max(1, int(room_bytes // max(1, cost.memory_bytes))))
    return _Room(
        offer=offer, provider=provider, gpus=gpus, usual=max(1, min(usual, most)), most=most
    )


def _per_gpu(
    offer: NodeOffer, provider: str, cost: WorkerCost | None, gpus: float
) -> tuple[int, int]:
    """Return how many workers fit on one GPU, and how many keep it busy."""
    if cost is None:
        return _MOST_PER_GPU, 1
    free = [gpu.free_bytes for gpu in offer.facts.sound_gpus(provider)]
    room_bytes = min(free, default=0) * _MEMORY_SHARE
    fit = max(1, int(room_bytes // max(1, cost.gpu_memory_bytes))) if free else 1
    fit = min(fit, _MOST_PER_GPU)
    by_cores = max(1, int(offer.facts.cores / max(1.0, gpus) / _CORES_PER_GPU_WORKER))
    busy = max(1, round(1 / max(cost.gpu_utilisation, 0.05)))
    return fit, min(fit, by_cores, busy)


def _rank(room: _Room) -> tuple[int, int, str]:
    """Order nodes: the best provider first, then the most cores."""
    return (_STRENGTH[room.provider], -room.offer.facts.cores, room.offer.node_id)


def _keep_best(rooms: list[_Room]) -> list[str]:
    """Drop nodes with another provider than the best one, and say which."""
    best = rooms[0].provider
    dropped = [room for room in rooms if room.provider != best]
    rooms[:] = [room for room in rooms if room.provider == best]
    return [
        f"node {room.offer.facts.name} is left out: it has {room.provider}, not {best}"
        f" (--same-provider)"
        for room in dropped
    ]


def _fill(rooms: list[_Room], wish: WorkerWish) -> list[str]:
    """Give the nodes their workers in turns."""
    wanted = wish.workers or sum(room.usual for room in rooms)
    total = max(1, min(wanted, wish.chunks))
    for limit in ("usual", "most"):
        while sum(room.count for room in rooms) < total:
            open_rooms = [room for room in rooms if room.count < getattr(room, limit)]
            if not open_rooms:
                break
            for room in open_rooms[: total - sum(room.count for room in rooms)]:
                room.count += 1
    given = sum(room.count for room in rooms)
    return [f"{total} workers were asked for, {given} fit"] if given < total else []


def _seats(rooms: Sequence[_Room], wish: WorkerWish) -> tuple[WorkerSeat, ...]:
    """Return the workers, one of each node in turn."""
    return tuple(
        _seat(room, wish, turn)
        for turn in range(max(room.count for room in rooms))
        for room in rooms
        if turn < room.count
    )


def _seat(room: _Room, wish: WorkerWish, turn: int) -> WorkerSeat:
    """Return the place of one worker of a node, its first worker being `turn` 0."""
    cores = room.offer.facts.cores
    budget = execution_threads(room.provider, cores) // room.count
    return WorkerSeat(
        node_id=room.offer.node_id,
        node=room.offer.facts.name,
        provider=room.provider,
        threads=wish.threads or max(1, budget),
        decode_threads=min(MOST_DECODE_THREADS, max(1, cores // room.count)),
        gpu_share=_gpu_share(room.gpus, room.count) if room.gpus else 0.0,
        devices=_devices(room, turn),
    )


def _devices(room: _Room, turn: int) -> str | None:
    """Return what a worker may see of its node's GPUs.

    Ray gives each worker a device, but knows nothing of broken ones: on a node that has one, the
    worker is told by name. A worker that takes no GPU would see all of them.
    """
    facts = room.offer.facts
    if not room.gpus:
        return "" if facts.gpus else None
    sound = facts.sound_gpus(room.provider)
    if len(sound) == len(facts.gpus):
        return None
    return sound[turn % len(sound)].uuid


def _gpu_share(gpus: float, workers: int) -> float:
    """Return a share of which as many fit on each GPU as there are workers for it.

    Workers do not straddle GPUs: three on two GPUs are two on one of them, half a GPU each.
    """
    if gpus < 1:
        return math.floor(gpus / workers * 10_000) / 10_000
    return math.floor(10_000 / math.ceil(workers / int(gpus))) / 10_000


def _nobody(wish: WorkerWish, notes: Sequence[str]) -> ProviderError | ClusterError:
    """Say that no node can take part."""
    reasons = "; ".join(notes) or "Ray knows of no living node"
    if wish.provider is not None and notes:
        return ProviderError(f"--execution-provider {wish.provider}: no node can use it: {reasons}")
    return ClusterError(f"no node can render: {reasons}; `facefarm nodes` shows what each has")
