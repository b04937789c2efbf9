"""`feedback_route`: where providers post what became of messages, for any ASGI application. Needs the extra `web`."""

from __future__ import annotations

import logging

from aquila.errors import ConfigError
from chimeway.errors import FeedbackRefused
from chimeway.feedback import areceive_feedback, feedback_adapter
from jobs.credentials import redacted
from jobs.errors import StorageError

try:
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
except ModuleNotFoundError as _missing:
    if (_missing.name or "").partition(".")[0] != "starlette":
        raise
    raise ConfigError(
        "chimeway.web needs starlette, which is not installed: pip install 'aquila-llm[notify,web]'"
    ) from _missing

logger = logging.getLogger("chimeway")

#: Bytes of a request's body.
LARGEST_BODY = 1_000_000
DEFAULT_PATH = "/chimeway/feedback/{adapter}"


def feedback_route(path: str = DEFAULT_PATH) -> Route:
    """Give the route for `Starlette(routes=[...])` or a router of FastAPI. It answers at once; jobs do the rest.

    202: taken in. 400: no whole request. 401: the signature does not fit, the request is too old or cannot be read. 404: no
    adapter of that name takes feedback. 413: too large. 503: the database cannot be reached, so the provider is to come back.
    What exactly was wrong is in the log.

    Args:
        path: Holds `{adapter}`, the adapter's name.

    Raises:
        ConfigError: It does not.
    """
    if "{adapter}" not in path:
        raise ConfigError(f"path={path!r} must hold {{adapter}}, as {DEFAULT_PATH!r} does")
    return Route(path, _receive, methods=["POST"], name="chimeway_feedback")


async def _receive(request: Request) -> Response:
    name = request.path_params["adapter"]
    if feedback_adapter(name) is None:
        return _says("no such adapter", 404)
    try:
        body = await _body(request)
    except ClientDisconnect:
        return _says("the request broke off", 400)
    if body is None:
        return _says(f"a body has at most {LARGEST_BODY} bytes", 413)
    try:
        added = await areceive_feedback(name, dict(request.headers), body)
    except FeedbackRefused as error:
        # Whoever posts it learns nothing of why.
        logger.warning("feedback for the adapter %r refused: %s", name, redacted(str(error)))
        return _says("refused", 401)
    except StorageError as error:
        logger.warning("feedback for the adapter %r cannot be stored: %s", name, error)
        return _says("come back later", 503)
    return JSONResponse({"added": len(added)}, status_code=202)


async def _body(request: Request) -> bytes | None:
    """Read the body; None if it is too large, of which no more is read than that takes."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)


def _says(error: str, status: int) -> Response:
    return JSONResponse({"error": error}, status_code=status)
