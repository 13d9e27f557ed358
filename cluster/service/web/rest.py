"""The REST interface: the operations of `facefarm queue` over HTTP, described by OpenAPI.

Not for: pages (`cluster.service.web.pages`) or who may ask (`cluster.service.web.guard`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Query, Response
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from cluster.service.web.roots import check_jobs, check_paths, checked_options
from cluster.service.web.schema import option_schema
from farm.errors import FarmError
from farm.manifest import to_jsonable
from scheduler.queue import orders
from scheduler.queue.adding import add_jobs
from scheduler.queue.manifest_file import parse_time
from scheduler.queue.records import JobOutcome, JobState
from scheduler.queue.requests import JobRequest, build_jobs
from scheduler.queue.store import JobFilter, QueueStore

WHO = "http"
_MOST = 1000
JobNumber = Annotated[int, InPath(ge=1, le=2**62)]
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body cannot be read."},
    401: {"description": "The token is missing or wrong."},
    403: {"description": "The request comes from another site's page."},
    421: {"description": "The service is not called so."},
    503: {"description": "The queue cannot be read or written."},
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no such job."},
    409: {"description": "The job's state does not allow it."},
}


class Order(StrEnum):
    """What can be ordered of a job."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"


ORDERS = {
    Order.PAUSE: orders.pause,
    Order.RESUME: orders.resume,
    Order.CANCEL: orders.cancel,
    Order.RETRY: orders.retry,
}


class AddRequest(BaseModel):
    """Renders to add: every target with every source."""

    model_config = ConfigDict(extra="forbid")
    targets: list[str] = Field(min_length=1, max_length=10_000)
    output: str = Field(min_length=1, max_length=4096)
    sources: list[str] = Field(default=[], max_length=10_000)
    options: dict[str, Any] = {}
    priority: int = Field(default=0, ge=-(2**31), le=2**31)
    tags: list[str] = Field(default=[], max_length=100)
    after: list[Annotated[int, Field(ge=1, le=2**62)]] = Field(default=[], max_length=1000)
    not_before: str | None = None
    windows: list[str] = Field(default=[], max_length=20)
    again: bool = False


class MoveRequest(BaseModel):
    """A new turn of a job."""

    model_config = ConfigDict(extra="forbid")
    priority: int | None = Field(default=None, ge=-(2**31), le=2**31)
    to_front: bool = False


def rest_router(store_path: Path, roots: tuple[Path, ...]) -> APIRouter:
    """Make the routes below `/api`.

    Args:
        store_path: The queue; each request opens it for itself.
        roots: Folders in which paths must lie.
    """
    router = APIRouter(prefix="/api", tags=["queue"], responses=_REFUSED)

    @router.get("/jobs")
    def list_jobs(
        state: Annotated[JobState | None, Query()] = None,
        outcome: Annotated[JobOutcome | None, Query()] = None,
        tag: Annotated[str | None, Query(max_length=200)] = None,
        text: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
        offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
    ) -> dict[str, Any]:
        """Jobs in the order of their turn."""
        which = JobFilter(
            states=(state,) if state else (),
            outcomes=(outcome,) if outcome else (),
            tag=tag,
            text=text,
            limit=limit,
            offset=offset,
        )
        with _opened(store_path) as store:
            return {"jobs": to_jsonable(store.jobs(which)), "counts": store.counts()}

    @router.post("/jobs", status_code=201, responses={409: {"description": "Cannot be added."}})
    def add(request: Annotated[AddRequest, Body()]) -> dict[str, Any]:
        """Add renders."""
        with _opened(store_path) as store, _as_http(409):
            return add_request(store, request, roots)

    @router.get("/jobs/{job_id}", responses=_ERRORS)
    def show(job_id: JobNumber) -> dict[str, Any]:
        """One job and its history."""
        with _opened(store_path) as store, _as_http(404):
            job = store.get(job_id)
            return {"job": to_jsonable(job), "history": to_jsonable(store.history(job_id))}

    @router.post("/jobs/{job_id}/{order}", responses=_ERRORS)
    def give_order(job_id: JobNumber, order: Order) -> dict[str, Any]:
        """Pause, resume, cancel or retry a job."""
        with _opened(store_path) as store:
            _must_exist(store, job_id)
            with _as_http(409):
                return {"job": to_jsonable(ORDERS[order](store, job_id, **who()))}

    @router.patch("/jobs/{job_id}", responses=_ERRORS)
    def move(job_id: JobNumber, request: Annotated[MoveRequest, Body()]) -> dict[str, Any]:
        """Change the turn of a job."""
        with _opened(store_path) as store:
            _must_exist(store, job_id)
            with _as_http(409):
                moved = orders.move(
                    store, job_id, priority=request.priority, to_front=request.to_front, **who()
                )
                return {"job": to_jsonable(moved)}

    @router.delete("/jobs/{job_id}", status_code=204, responses=_ERRORS)
    def remove(job_id: JobNumber) -> Response:
        """Forget a job that ended."""
        with _opened(store_path) as store:
            _must_exist(store, job_id)
            with _as_http(409):
                orders.remove(store, job_id)
        return Response(status_code=204)

    @router.get("/options")
    def options() -> dict[str, Any]:
        """Every render option and every installed processor, for forms."""
        return option_schema()

    return router


def add_request(store: QueueStore, request: AddRequest, roots: tuple[Path, ...]) -> dict[str, Any]:
    """Add what a request asks for.

    Raises:
        FarmError: It cannot be added.
    """
    values = checked_options(request.options)
    check_paths(request.targets, request.sources, request.output, values, roots)
    jobs = build_jobs(
        JobRequest(
            targets=tuple(request.targets),
            sources=tuple(request.sources),
            output=request.output,
            values=values,
            priority=request.priority,
            tags=tuple(request.tags),
            after=tuple(request.after),
            not_before=parse_time(request.not_before) if request.not_before else None,
            windows=tuple(request.windows),
        ),
        Path("/"),
    )
    check_jobs(jobs, roots)
    added = add_jobs(store, jobs, who=WHO, now=datetime.now(UTC), again=request.again)
    return {"job_ids": list(added.job_ids), "there_already": dict(added.there_already)}


def who() -> dict[str, Any]:
    """Who gives an order, and when."""
    return {"who": WHO, "now": datetime.now(UTC)}


@contextmanager
def _opened(path: Path) -> Iterator[QueueStore]:
    with QueueStore(path) as store:
        yield store


@contextmanager
def _as_http(status: int) -> Iterator[None]:
    """Errors of the farm as answers."""
    try:
        yield
    except FarmError as error:
        raise HTTPException(status, error.message) from error


def _must_exist(store: QueueStore, job_id: int) -> None:
    with _as_http(404):
        store.get(job_id)
