"""The pages: the queue, a job, and the form that adds one; drawn by the server.

Not for: REST (`cluster.service.web.rest`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from pydantic import ValidationError

from cluster.service.web.guard import COOKIE, FORM_FIELD
from cluster.service.web.rest import ORDERS, AddRequest, Order, add_request, who
from cluster.service.web.schema import option_schema
from farm.errors import FarmError
from farm.job_folder import default_job_dir
from farm.manifest import manifest_path
from scheduler.queue import orders
from scheduler.queue.records import JobState, QueueJob
from scheduler.queue.store import JobFilter, QueueStore

_SHOWN = 200
_LOG_BYTES = 8000


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
    draw = _Drawer(form_token, can_add=bool(roots))

    @router.get("/")
    def queue(state: str = "") -> HTMLResponse:
        return draw("queue.html", **_queue(store_path, state))

    @router.get("/fragment")
    def fragment(state: str = "") -> HTMLResponse:
        return draw("table.html", **_queue(store_path, state))

    @router.get("/jobs/{job_id}")
    def job(job_id: int) -> HTMLResponse:
        with QueueStore(store_path) as store:
            found = _found(store, job_id)
            history = store.history(job_id)
        log = _tail(log_dir / f"job-{job_id}.log")
        report = manifest_path(found.output)
        return draw("job.html", job=found, history=history, log=log, report=_text(report))

    @router.get("/jobs/{job_id}/preview.jpg")
    def preview(job_id: int) -> Response:
        with QueueStore(store_path) as store:
            found = _found(store, job_id)
        return Response(_snapshot(found), media_type="image/jpeg", headers=_NOT_KEPT)

    @router.post("/jobs/{job_id}/{order}")
    async def give_order(job_id: int, order: Order) -> Response:
        with QueueStore(store_path) as store:
            try:
                ORDERS[order](store, job_id, **who())
            except FarmError as error:
                return draw("error.html", status=409, message=error.message)
        return RedirectResponse("/", 303)

    @router.post("/jobs/{job_id}/priority/{step}")
    async def prioritise(job_id: int, step: int) -> Response:
        with QueueStore(store_path) as store:
            found = _found(store, job_id)
            orders.move(store, job_id, priority=found.priority + max(-1, min(1, step)), **who())
        return RedirectResponse("/", 303)

    @router.get("/add")
    def add_form() -> HTMLResponse:
        return draw("add.html", schema=option_schema(), values={}, message="", roots=roots)

    @router.post("/add")
    async def add(request: Request) -> Response:
        fields = parse_qsl((await request.body()).decode("utf-8", "replace"))
        try:
            with QueueStore(store_path) as store:
                add_request(store, _request(fields), roots)
        except (FarmError, ValidationError) as error:
            said = error.message if isinstance(error, FarmError) else str(error)
            values = {"schema": option_schema(), "values": dict(fields), "message": said}
            return draw("add.html", status=422, roots=roots, **values)
        return RedirectResponse("/", 303)

    @router.get("/login")
    def login_form() -> HTMLResponse:
        return draw("login.html")

    @router.post("/login")
    async def login(request: Request) -> Response:
        fields = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, fields.get("token", ""), httponly=True, samesite="strict")
        return answer

    return router


_NOT_KEPT = {"Cache-Control": "no-store"}


class _Drawer:
    """Draws templates."""

    def __init__(self, form_token: str, *, can_add: bool) -> None:
        self._environment = Environment(
            loader=PackageLoader("cluster.service.web"),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
        )
        self._environment.globals.update(
            form_field=FORM_FIELD, form_token=form_token, can_add=can_add
        )

    def __call__(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        text = self._environment.get_template(name).render(**values)
        headers = {
            **_NOT_KEPT,
            "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline';"
            " script-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
            "X-Frame-Options": "DENY",
        }
        return HTMLResponse(text, status, headers)


def _queue(store_path: Path, state: str) -> dict[str, Any]:
    states = (JobState(state),) if state in set(JobState) else ()
    with QueueStore(store_path) as store:
        jobs = store.jobs(JobFilter(states=states, limit=_SHOWN))
        return {"jobs": jobs, "counts": store.counts(), "state": state, "states": list(JobState)}


def _found(store: QueueStore, job_id: int) -> QueueJob:
    try:
        return store.get(job_id)
    except FarmError as error:
        raise HTTPException(404, error.message) from error


def _request(fields: list[tuple[str, str]]) -> AddRequest:
    """What a form asks for; a field that was left empty takes its default."""
    many: dict[str, list[str]] = {}
    for name, value in fields:
        if value.strip():
            many.setdefault(name, []).append(value.strip())
    options: dict[str, Any] = {"frame_processor": many.get("processor", [])}
    for option in option_schema()["options"]:
        if texts := many.get(f"option-{option['name']}"):
            options[option["name"]] = _value(option, texts)
    return AddRequest(
        targets=_lines(many.get("targets", [])),
        sources=_lines(many.get("sources", [])),
        output=many.get("output", [""])[0],
        priority=int(many.get("priority", ["0"])[0]),
        tags=[tag for text in many.get("tags", []) for tag in text.split()],
        windows=_lines(many.get("windows", [])),
        options=options,
    )


def _lines(texts: list[str]) -> list[str]:
    return [line.strip() for text in texts for line in text.splitlines() if line.strip()]


def _value(option: Mapping[str, Any], texts: list[str]) -> Any:
    """A value of a form as the option takes it."""
    if option["kind"] == "pairs":
        pairs = (line.partition("=") for line in _lines(texts))
        return {name.strip(): path.strip() for name, _, path in pairs}
    if option["many"]:
        return _lines(texts)
    kinds: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "number": float,
        "flag": lambda text: text == "on",
    }
    try:
        return kinds.get(option["kind"], str)(texts[0])
    except ValueError as error:
        raise HTTPException(422, f"{option['label']} {texts[0]}: is no number") from error


def _snapshot(job: QueueJob) -> bytes:
    """The newest picture of a job's result."""
    from farm.media.snapshot import chunk_snapshot, output_snapshot

    folder = Path(job.values.get("job_dir") or default_job_dir(job.output))
    chunks = sorted(folder.glob("*.chunk"), key=lambda path: path.name)
    try:
        if chunks:
            return chunk_snapshot(chunks[-1])
        if job.outcome and job.outcome.has_output:
            return output_snapshot(job.output)
    except (FarmError, OSError) as error:
        raise HTTPException(404, str(error)) from error
    raise HTTPException(404, "nothing is rendered yet")


def _tail(path: Path) -> str:
    """The end of a log."""
    try:
        return path.read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace")
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
