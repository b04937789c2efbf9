"""`sse`: a job's events as a response that a browser's `EventSource` reads, and takes up again where it broke off."""

from __future__ import annotations

import logging
import re

import anyio
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from aquila.errors import ConfigError
from jobs import rows
from jobs.broker import runtime
from jobs.cursor import Cursor, parse_cursor
from jobs.errors import JobNotFound, JobsError
from jobs.follower import Follower, follow
from jobs.rows import Job
from jobs.web.event_text import PING, event_text, retry_hint

logger = logging.getLogger("jobs")

#: Seconds of silence that proxies bear.
PING_SECONDS = 15.0
#: Seconds that a browser waits before it connects again.
RETRY_SECONDS = 2.0
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class EventStream(Response):
    """Sends a job's events until its end, or until the client leaves; that never disturbs the job.

    The status is 204 if there is no such job, or nothing to be read of it any more: a browser then stops asking.
    """

    media_type = "text/event-stream"

    def __init__(self, job_id: str, *, last_event_id: str | None = None) -> None:
        super().__init__()
        self._job_id = job_id
        self._after = last_event_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        try:
            cursor = parse_cursor(self._after)
        except ConfigError as error:
            await PlainTextResponse(str(error), status_code=400)(scope, receive, send)
            return
        try:
            nothing = await self._nothing_to_say(cursor)
        except JobsError as error:
            # A browser asks again after a stream that broke off, but never after an error.
            logger.warning("job %s: its reader has to come back: %s", self._job_id, error)
            await _Client(send).say_only_retry()
            return
        if nothing:
            await Response(status_code=204)(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            await Response(status_code=200, media_type=self.media_type)(scope, receive, send)
            return
        async with anyio.create_task_group() as group:
            group.start_soon(_until_gone, receive, group.cancel_scope)
            await self._serve(_Client(send))
            group.cancel_scope.cancel()

    async def _nothing_to_say(self, cursor: Cursor) -> bool:
        if not is_job_id(self._job_id):
            return True
        database = await anyio.to_thread.run_sync(runtime().database)
        job: Job | None = await database.aread(rows.find, self._job_id)
        return job is None or (job.ended and cursor.ended == job.attempt)

    async def _serve(self, client: _Client) -> None:
        try:
            await client.begin()
            async with follow(self._job_id, after=self._after) as events, anyio.create_task_group() as group:
                group.start_soon(client.ping)
                await _pass_on(events, client)
                group.cancel_scope.cancel()
            await client.end()
        except* JobNotFound:
            logger.info("job %s was removed while it was followed", self._job_id)
            await client.end()
        except* JobsError as errors:
            logger.warning("job %s: its reader has to come back: %s", self._job_id, errors.exceptions[0])
            await client.end()
        except* OSError as errors:
            # Some servers say by this that the client has left.
            logger.debug("job %s: the reader has left: %s", self._job_id, errors.exceptions[0])


class _Client:
    """The way to one client; what is sent to it never mixes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = anyio.Lock()

    async def begin(self) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await self.write(retry_hint(RETRY_SECONDS))

    async def write(self, body: bytes) -> None:
        async with self._turn:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def ping(self) -> None:
        while True:
            await anyio.sleep(PING_SECONDS)
            await self.write(PING)

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def say_only_retry(self) -> None:
        await self.begin()
        await self.end()


def sse(job_id: str, *, last_event_id: str | None = None) -> Response:
    """Make the response that gives a job's events as server-sent events: `return jobs.web.sse(job_id)`.

    Each has the cursor as `id`, the kind as `event` and the data as JSON. An `attempt` begins the text anew; the last one,
    `done`, `failed` or `cancelled`, carries the stored `output`. The status is 204 if there is no such job or nothing more
    to say, so that a browser does not come back.

    Args:
        job_id: The job; whoever asks must be allowed to read it, which the caller checks.
        last_event_id: The request's `Last-Event-ID`, to go on from there; None begins at the start.
    """
    return EventStream(job_id, last_event_id=last_event_id)


def is_job_id(text: str) -> bool:
    """Say whether a text can be the id of a job; anything else is unknown without asking the database."""
    return _JOB_ID.fullmatch(text) is not None


async def _pass_on(events: Follower, client: _Client) -> None:
    while batch := await events.read_events():
        await client.write(event_text(batch))


async def _until_gone(receive: Receive, serving: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        # Whatever the request still brings is of no use.
        continue
    serving.cancel()
