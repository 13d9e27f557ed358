"""The pages: the queue, a job, and the form that adds one; drawn by the server.

Not for: REST (`cluster.service.web.rest`), templates (`cluster.service.web.drawing`), or pictures
and reports of jobs (`cluster.service.web.results`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from cluster.service.web.drawing import Drawer, static_file
from cluster.service.web.form import request_of
from cluster.service.web.guard import COOKIE, is_same
from cluster.service.web.rest import ORDERS, JobNumber, Order, add_request, who
from cluster.service.web.results import manifest_text, report_page, snapshot, tail
from cluster.service.web.schema import option_schema
from farm.errors import FarmError
from scheduler.queue import orders
from scheduler.queue.records import JobOutcome, JobState, QueueJob
from scheduler.queue.store import JobFilter, QueueStore

Value = TypeVar("Value")
_SHOWN = 200
_NOT_KEPT = {"Cache-Control": "no-store"}
_REPORT_HEADERS = {
    **_NOT_KEPT,
    # It lies beside an output and may be anybody's: it gets no scripts and no origin.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
    " frame-ancestors 'self'; sandbox",
    "X-Frame-Options": "SAMEORIGIN",
}


def pages_router(
    store_path: Path, log_dir: Path, roots: tuple[Path, ...], token: str | None, form_token: str
) -> APIRouter:
    """Make the routes of the pages.

    Args:
        store_path: The queue.
        log_dir: Where the service writes the logs of jobs.
        roots: Folders in which paths must lie.
        token: What a person types to get in, None where nothing is asked.
        form_token: Secret that forms carry.
    """
    router = APIRouter(include_in_schema=False)
    draw = Drawer(form_token)
    _add_looks(router, draw, store_path, log_dir)
    _add_orders(router, draw, store_path)
    _add_form(router, draw, store_path, roots)
    _add_login(router, draw, token)

    @router.get("/page.css")
    def style() -> Response:
        return Response(static_file("page.css"), media_type="text/css")

    @router.get("/page.js")
    def script() -> Response:
        return Response(static_file("page.js"), media_type="text/javascript")

    return router


def _add_looks(router: APIRouter, draw: Drawer, store_path: Path, log_dir: Path) -> None:
    """The routes that change nothing."""

    @router.get("/")
    def queue(show: str = "") -> HTMLResponse:
        return draw("queue.html", **_queue(store_path, show))

    @router.get("/fragment")
    def fragment(show: str = "") -> HTMLResponse:
        return draw("table.html", **_queue(store_path, show))

    @router.get("/jobs/{job_id}")
    def job(job_id: JobNumber) -> HTMLResponse:
        with QueueStore(store_path) as store:
            found = _found(store, job_id)
            history = store.history(job_id)
        log = tail(log_dir / f"job-{job_id}.log")
        return draw("job.html", job=found, history=history, log=log, manifest=manifest_text(found))

    @router.get("/jobs/{job_id}/fragment")
    def job_fragment(job_id: JobNumber) -> HTMLResponse:
        with QueueStore(store_path) as store:
            return draw("progress.html", job=_found(store, job_id))

    @router.get("/jobs/{job_id}/preview.jpg")
    def preview(job_id: JobNumber) -> Response:
        with QueueStore(store_path) as store:
            found = _found(store, job_id)
        return Response(_or_404(snapshot, found), media_type="image/jpeg", headers=_NOT_KEPT)

    @router.get("/jobs/{job_id}/report")
    def report(job_id: JobNumber) -> Response:
        with QueueStore(store_path) as store:
            found = _found(store, job_id)
        text = _or_404(lambda each: report_page(each, log_dir), found)
        return HTMLResponse(text, headers=_REPORT_HEADERS)


def _add_orders(router: APIRouter, draw: Drawer, store_path: Path) -> None:
    """The buttons."""

    @router.post("/jobs/{job_id}/{order}")
    def give_order(job_id: JobNumber, order: Order) -> Response:
        with QueueStore(store_path) as store:
            try:
                ORDERS[order](store, job_id, **who())
            except FarmError as error:
                return draw("error.html", status=409, message=error.message)
        return RedirectResponse("/", 303)

    @router.post("/jobs/{job_id}/priority/{step}")
    def prioritise(job_id: JobNumber, step: int) -> Response:
        with QueueStore(store_path) as store:
            try:
                priority = store.get(job_id).priority + max(-1, min(1, step))
                orders.move(store, job_id, priority=priority, **who())
            except FarmError as error:
                return draw("error.html", status=409, message=error.message)
        return RedirectResponse("/", 303)


def _add_form(router: APIRouter, draw: Drawer, store_path: Path, roots: tuple[Path, ...]) -> None:
    """The form that adds jobs."""

    def form(status: int, values: Mapping[str, str], chosen: list[str], said: str) -> HTMLResponse:
        return draw(
            "add.html",
            status=status,
            schema=option_schema(),
            values=values,
            chosen=chosen,
            message=said,
            roots=roots,
        )

    @router.get("/add")
    def add_form() -> HTMLResponse:
        return form(200, {}, [], "")

    @router.post("/add")
    async def add(request: Request) -> Response:
        fields = await _fields(request)
        try:
            with QueueStore(store_path) as store:
                add_request(store, request_of(fields), roots)
        except (FarmError, ValidationError) as error:
            said = error.message if isinstance(error, FarmError) else str(error)
            chosen = [value for name, value in fields if name == "processor"]
            return form(422, dict(fields), chosen, said)
        return RedirectResponse("/", 303)


def _add_login(router: APIRouter, draw: Drawer, token: str | None) -> None:
    """Where a person types the token."""

    @router.get("/login")
    def login_form() -> HTMLResponse:
        return draw("login.html", message="")

    @router.post("/login")
    async def login(request: Request) -> Response:
        given = dict(await _fields(request)).get("token", "").strip()
        if token and not is_same(given, token):
            return draw("login.html", status=401, message="this is not the token")
        answer = RedirectResponse("/", 303)
        is_https = request.url.scheme == "https"
        answer.set_cookie(COOKIE, given, httponly=True, samesite="strict", secure=is_https)
        return answer


async def _fields(request: Request) -> list[tuple[str, str]]:
    return parse_qsl((await request.body()).decode("utf-8", "replace"))


def _queue(store_path: Path, show: str) -> dict[str, Any]:
    """What the queue's page shows: all jobs, or those of a state or outcome."""
    states = (JobState(show),) if show in set(JobState) else ()
    outcomes = (JobOutcome(show),) if show in set(JobOutcome) else ()
    with QueueStore(store_path) as store:
        jobs = store.jobs(JobFilter(states=states, outcomes=outcomes, limit=_SHOWN))
        shown = show if states or outcomes else ""
        return {"jobs": jobs, "counts": store.counts(), "shown": shown}


def _found(store: QueueStore, job_id: int) -> QueueJob:
    try:
        return store.get(job_id)
    except FarmError as error:
        raise HTTPException(404, error.message) from error


def _or_404(make: Callable[[QueueJob], Value], job: QueueJob) -> Value:
    """What can be made of a job; whatever keeps it from being made is said."""
    try:
        return make(job)
    except (FarmError, OSError) as error:
        raise HTTPException(404, str(error)) from error
