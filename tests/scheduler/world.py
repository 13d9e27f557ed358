"""Workers made of numbers that answer the dispatch core, and what must hold after every event.

Not for: workers that render; those are in `tests.actors`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scheduler.chunks import Chunk
from scheduler.dispatch import Dispatch
from scheduler.instructions import (
    Drop,
    Fail,
    Instruction,
    Render,
    Rules,
    StartWorker,
    StopWorker,
)
from tests.scheduler.made_up import made_up_chunks


@dataclass
class World:
    """Workers that answer in order, and what must hold whatever they answer."""

    chunks: list[Chunk]
    keyframes: list[int]
    rules: Rules = field(default_factory=Rules)
    coming: int = 0
    orders: dict[int, list[Render]] = field(default_factory=dict)
    """By worker: what it was asked and has not answered."""
    to_start: int = 0
    stopped: list[StopWorker] = field(default_factory=list)
    dropped: list[Drop] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    failed: str = ""
    count: int = 0
    """Orders in all."""
    now: float = 0.0
    tokens: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.dispatch = Dispatch(self.chunks, self.keyframes, self.rules, workers=self.coming)

    def up(self, worker: int) -> None:
        self.orders.setdefault(worker, [])
        self.take(self.dispatch.worker_up(worker))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.dispatch.clock(self.now))

    def take(self, instructions: Sequence[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Render(worker=worker):
                    self._check(instruction)
                    self.orders[worker].append(instruction)
                    self.count += 1
                case Drop(worker=worker, token=token):
                    self.dropped.append(instruction)
                    self.orders[worker] = [o for o in self.orders[worker] if o.token != token]
                case StartWorker():
                    self.to_start += 1
                case StopWorker(worker=worker):
                    self.stopped.append(instruction)
                    del self.orders[worker]
                case Fail(message=message):
                    self.failed = message
        self.check()

    def _check(self, order: Render) -> None:
        """What must hold of a new order."""
        assert order.worker in self.orders
        assert order.token not in self.tokens, "a token is given twice"
        self.tokens.add(order.token)
        chunk, before = order.chunk, order.after
        assert chunk.chunk_index not in self.done, "a finished chunk is rendered again"
        assert order.packet_start <= chunk.packet_start
        assert order.packet_start == 0 or order.packet_start in self.keyframes
        assert order.packet_start > 0 or order.proven
        if before is not None:
            assert before.lane == chunk.lane
            assert before.chunk_index + 1 == chunk.chunk_index

    def check(self) -> None:
        """What must hold after every event."""
        if self.failed:
            return
        held = [order for orders in self.orders.values() for order in orders]
        hands = [order.chunk.chunk_index for order in held]
        assert all(hands.count(number) <= 2 for number in hands), "a chunk is in three hands"
        assert not self.done & set(hands), "a finished chunk is rendered again"
        assert all(self.dispatch.holds(order.token) for order in held)
        assert all(len(orders) <= 8 for orders in self.orders.values())
        assert self.dispatch.finished == (len(self.done) == len(self.chunks))
        assert self.dispatch.working == bool(held)
        assert self.count <= 40 * (len(self.chunks) + 1)
        self._check_idle(set(hands))
        check_inside(self.dispatch)

    def _check_idle(self, hands: set[int]) -> None:
        """No worker is idle while a chunk waits that it may have."""
        rest = {c.chunk_index for c in self.chunks} - self.done - hands
        lanes = {c.lane for c in self.chunks if c.chunk_index in rest}
        busy = {o.chunk.lane for orders in self.orders.values() for o in orders}
        for worker, orders in self.orders.items():
            if not orders and not self.dispatch._board.cancelled:
                tried = self.dispatch._board.trouble
                mine = {
                    self.chunks[i].lane for i, t in tried.items() if worker in t.tried or t.suspect
                }
                assert lanes <= busy | mine, f"a lane waits although worker {worker} is idle"

    def finish(self, worker: int, place: int = 0) -> Chunk:
        order = self.orders[worker].pop(place)
        self.done.add(order.chunk.chunk_index)
        self.take(self.dispatch.chunk_done(order.token))
        return order.chunk

    def false_keyframe(self, worker: int, place: int = 0) -> None:
        order = self.orders[worker].pop(place)
        self.take(self.dispatch.keyframe_false(order.token, order.packet_start))

    def fail(self, worker: int, place: int = 0, message: str = "it broke") -> None:
        order = self.orders[worker].pop(place)
        self.take(self.dispatch.chunk_failed(order.token, message))

    def miss(self, worker: int, place: int = 0) -> None:
        self._answer(self.dispatch.frames_missing, worker, place)

    def close(self, worker: int, place: int = 0) -> None:
        self._answer(self.dispatch.decoder_closed, worker, place)

    def _answer(self, event: Callable[[int], list[Instruction]], worker: int, place: int) -> None:
        self.take(event(self.orders[worker].pop(place).token))

    def lose(self, worker: int, *, by_node: bool = False) -> None:
        del self.orders[worker]
        self.take(self.dispatch.worker_lost(worker, by_node=by_node))

    def drain(self, worker: int) -> None:
        self.take(self.dispatch.draining(worker))

    def held(self, worker: int) -> list[int]:
        """Chunks in a worker's hands."""
        return [order.chunk.chunk_index for order in self.orders[worker]]

    def finish_all(self) -> list[int]:
        """Let the workers render the rest; chunk numbers in the order in which they were done."""
        order = []
        while not self.dispatch.finished and not self.failed:
            worker = next(w for w, orders in sorted(self.orders.items()) if orders)
            order.append(self.finish(worker).chunk_index)
        return order


def check_inside(dispatch: Dispatch) -> None:
    """The core's own lists agree with each other, and no chunk is forgotten or there twice."""
    board = dispatch._board
    held: list[int] = []
    for number, state in board.workers.items():
        held += [board.attempts[token].position for token in state.hands]
        assert all(board.attempts[token].worker == number for token in state.hands)
        assert (number in board.leasing) == bool(state.lease)
        assert not (number in board.idle and state.hands)
        assert not (number in board.idle and number in board.hungry)
    assert len(board.attempts) == len(held)
    waits = [i for _, start, stop in (*board.waiting._first, *board.waiting._again)
             for i in range(start, stop)]  # fmt: skip
    leased = [i for state in board.workers.values() for each in state.lease for i in each]
    saved = [s.saved for s in board.workers.values() if s.saved is not None]
    free = [*waits, *leased, *saved, *board.again]
    assert len(free) == len(set(free)), "a chunk waits twice"
    assert not set(free) & set(held), "a chunk waits and is in hand"
    done = {i for i, flag in enumerate(board.done) if flag}
    assert not done & (set(free) | set(held))
    if not board.cancelled:
        assert done | set(free) | set(held) == set(range(len(board.chunks)))
    assert board.left == len(board.chunks) - len(done)
    frames = sum(board.chunks[i].frame_count for i in waits)
    assert board.waiting.frames == frames


def make_world(
    lanes: Sequence[int],
    workers: int = 1,
    *,
    keyframes: Sequence[int] = (),
    coming: int = 0,
    **rules: float,
) -> World:
    """A world with one chunk of ten frames for each number, which says its lane."""
    world = World(
        made_up_chunks(lanes),
        list(keyframes) or list(range(0, 10 * len(lanes), 30)),
        rules=Rules(**rules),  # type: ignore[arg-type]
        coming=coming,
    )
    for worker in range(workers):
        world.up(worker)
    return world
