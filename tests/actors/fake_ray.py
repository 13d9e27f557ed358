"""As much of Ray as the pool uses, with threads in place of processes.

Actors run in this process, object references are the objects themselves, and an actor can be made
to die. Not for: what only real processes show (`tests.cluster`).
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

from ray.exceptions import RayActorError, RayTaskError


def task_error(cause: Exception) -> RayTaskError:
    """What Ray raises where an actor's method raised `cause`."""
    make: Any = RayTaskError
    made: RayTaskError = make("render", "", cause)
    return made


NODE = "ab" * 28
"""Id of the only node."""


class FakeRay:
    """Takes the place of the module `ray` in `actors.pool`."""

    def __init__(self) -> None:
        self.actors: list[FakeActor] = []
        self.options: list[dict[str, Any]] = []
        self.on_call: Callable[[FakeActor, str, Any], None] = lambda *_: None
        """Called before each call of an actor; may `die`."""

    def remote(self, kind: Callable[..., Any]) -> _Kind:
        return _Kind(self, kind)

    def get(self, ref: Future[Any]) -> Any:
        try:
            return ref.result()
        except RayActorError:
            raise
        except Exception as error:
            raise task_error(error) from error

    def wait(
        self, refs: list[Future[Any]], num_returns: int = 1, timeout: float | None = None
    ) -> tuple[list[Future[Any]], list[Future[Any]]]:
        when = ALL_COMPLETED if num_returns == len(refs) else FIRST_COMPLETED
        done = wait(refs, timeout=timeout, return_when=when).done
        return [r for r in refs if r in done], [r for r in refs if r not in done]

    def put(self, value: Any) -> Any:
        return value

    def cancel(self, ref: Future[Any], *, force: bool) -> None:
        ref.cancel()

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: NODE)

    def kill(self, actor: FakeActor) -> None:
        actor.die()

    def close(self) -> None:
        for actor in self.actors:
            actor.die()
            actor.target.close()
            actor.threads.shutdown()


class _Kind:
    def __init__(self, ray: FakeRay, kind: Callable[..., Any]) -> None:
        self._ray, self._kind = ray, kind

    def options(self, **options: Any) -> _Kind:
        self._ray.options.append(options)
        return self

    def remote(self, *args: Any) -> Any:
        if not inspect.isclass(self._kind):
            return _finished(self._kind, args)
        takes = inspect.signature(self._kind).parameters
        more: Any = {"get": lambda block: block} if "get" in takes else {}
        actor = FakeActor(self._ray, self._kind(*args, **more))
        self._ray.actors.append(actor)
        return actor


def _finished(task: Callable[..., Any], args: tuple[Any, ...]) -> Future[Any]:
    """The reference of a task that has run already."""
    ref: Future[Any] = Future()
    try:
        ref.set_result(task(*args))
    except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
        ref.set_exception(error)
    return ref


class FakeActor:
    """An object with a few threads that carry out its methods."""

    def __init__(self, ray: FakeRay, target: Any) -> None:
        self.target = target
        self.threads = ThreadPoolExecutor(16)
        self._ray = ray
        self._refs: list[Future[Any]] = []
        self._dead = False
        self._lock = threading.Lock()

    def die(self) -> None:
        """Fail everything that was asked for and everything that will be."""
        with self._lock:
            self._dead = True
            for ref in self._refs:
                if not ref.done():
                    ref.set_exception(RayActorError())

    def __getattr__(self, name: str) -> _Method:
        return _Method(self, name)

    def call(self, name: str, args: tuple[Any, ...]) -> Future[Any]:
        ref: Future[Any] = Future()
        self._refs.append(ref)
        self._ray.on_call(self, name, args)
        self.threads.submit(self._run, ref, name, args)
        return ref

    def _run(self, ref: Future[Any], name: str, args: tuple[Any, ...]) -> None:
        try:
            value, error = getattr(self.target, name)(*args), None
        except Exception as raised:  # noqa: BLE001 - the caller gets it
            value, error = None, raised
        with self._lock:
            if ref.done():
                return
            if self._dead:
                ref.set_exception(RayActorError())
            elif error is not None:
                ref.set_exception(error)
            else:
                ref.set_result(value)


class _Method:
    def __init__(self, actor: FakeActor, name: str) -> None:
        self._actor, self._name = actor, name

    def remote(self, *args: Any) -> Future[Any]:
        return self._actor.call(self._name, args)
