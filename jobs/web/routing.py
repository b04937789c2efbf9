"""The routes: `GET /jobs/{id}/events` and `POST /jobs/{id}/cancel`, to be put into any ASGI application."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jobs.errors import JobNotFound, JobsError
from jobs.handle import JobHandle
from jobs.web.event_stream import is_job_id, sse

#: Says whether the request may read and cancel the job with that id. It may raise Starlette's `HTTPException` as well.
Authorize: TypeAlias = Callable[[Request, str], bool | Awaitable[bool]]


def routes(*, authorize: Authorize | None = None) -> list[Route]:
    """Give the routes of the jobs, for `Starlette(routes=[...])` or a router of FastAPI.

    Args:
        authorize: Asked before anything is read; False answers 403. None allows everybody who knows a job's id.
    """

    async def events(request: Request) -> Response:
        job_id = request.path_params["job_id"]
        if not await _allowed(authorize, request, job_id):
            return _refused()
        last = request.headers.get("last-event-id") or request.query_params.get("after")
        return sse(job_id, last_event_id=last)

    async def cancel(request: Request) -> Response:
        job_id = request.path_params["job_id"]
        if not await _allowed(authorize, request, job_id):
            return _refused()
        return await _cancel(job_id)

    return [
        Route("/jobs/{job_id}/events", events, methods=["GET"], name="job_events"),
        Route("/jobs/{job_id}/cancel", cancel, methods=["POST"], name="cancel_job"),
    ]


def app(*, authorize: Authorize | None = None) -> Starlette:
    """Give the routes as an ASGI application, to be mounted: `app.mount("/ai", jobs.web.app(authorize=...))`.

    Args:
        authorize: As for `routes`.
    """
    return Starlette(routes=routes(authorize=authorize))


async def _cancel(job_id: str) -> Response:
    if not is_job_id(job_id):
        return JSONResponse({"error": "no such job"}, status_code=404)
    try:
        cancelled = await JobHandle(job_id).acancel()
    except JobNotFound as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    except JobsError as error:
        return JSONResponse({"error": str(error)}, status_code=503)
    return JSONResponse({"job_id": job_id, "cancelled": cancelled})


async def _allowed(authorize: Authorize | None, request: Request, job_id: str) -> bool:
    if authorize is None:
        return True
    answer = authorize(request, job_id)
    return bool(await answer if inspect.isawaitable(answer) else answer)


def _refused() -> Response:
    return JSONResponse({"error": "you may not use this job"}, status_code=403)
