"""The whole of what the service offers over HTTP, put together.

Not for: listening (`cluster.service.web.server`).
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from cluster.service.config import WebSettings
from cluster.service.web.guard import Guard, new_form_token
from cluster.service.web.pages import pages_router
from cluster.service.web.rest import rest_router
from farm.environment import farm_version
from farm.errors import FarmError
from scheduler.queue.records import JobState
from scheduler.queue.store import JobFilter, QueueStore

_JOB_METRICS = {
    "frames": "Output frames of a running job.",
    "frames_done": "Finished frames of a running job.",
    "fps": "Frames per second of a running job.",
}
_METRICS_KIND = "text/plain; version=0.0.4; charset=utf-8"


def create_app(store_path: Path, log_dir: Path, settings: WebSettings) -> FastAPI:
    """Make the application.

    Args:
        store_path: The queue.
        log_dir: Where the service writes the logs of jobs.
        settings: Roots, hosts and token.
    """
    form_token = new_form_token()
    app = FastAPI(
        title="facefarm",
        version=farm_version(),
        summary="The queue of a render farm for faces in video",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guard, hosts=settings.hosts, token=settings.token, form_token=form_token)
    app.include_router(rest_router(store_path, settings.roots))
    app.include_router(
        pages_router(store_path, log_dir, settings.roots, settings.token, form_token)
    )

    @app.exception_handler(FarmError)
    def farm_error(_request: Request, error: FarmError) -> JSONResponse:
        return JSONResponse({"detail": error.message}, 503)

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        with QueueStore(store_path) as store:
            store.counts()
        return PlainTextResponse("ok\n")

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        with QueueStore(store_path) as store:
            return Response(metrics_text(store), media_type=_METRICS_KIND)

    return app


def metrics_text(store: QueueStore) -> str:
    """Metrics of the queue in Prometheus' text format."""
    lines = [
        "# HELP facefarm_queue_jobs Jobs in the queue by state, ended ones by outcome.",
        "# TYPE facefarm_queue_jobs gauge",
    ]
    counts = store.counts()
    lines += [f'facefarm_queue_jobs{{state="{name}"}} {n}' for name, n in sorted(counts.items())]
    running = [
        (job.job_id, job.progress) for job in store.jobs(JobFilter(states=(JobState.RUNNING,)))
    ]
    for name, text in _JOB_METRICS.items():
        lines += [f"# HELP facefarm_job_{name} {text}", f"# TYPE facefarm_job_{name} gauge"]
        lines += [f'facefarm_job_{name}{{job="{n}"}} {getattr(done, name)}' for n, done in running]
    return "\n".join(lines) + "\n"
