"""One answer while it is being recorded: what has come so far, and how it ended."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from aquila.cassette.answer import is_finished, model_and_usage
from aquila.cassette.format import reason_phrase
from aquila.cassette.interaction import NO_ANSWER_STATUS, End, Failure, Interaction, TimedChunk
from aquila.cassette.redact import (
    Secret,
    find_leak,
    redact_request_headers,
    redact_response_headers,
    redact_url,
    request_secrets,
    written_fields,
)
from aquila.cassette.slot import Slot
from aquila.cassette.store import Store
from aquila.errors import CassetteError
from aquila.transport.base import Request

_unfinished: set[Tape] = set()


class Tape:
    """Collects one interaction and puts it into its place in the store, once.

    `parts` takes pairs of the clock's seconds and bytes; appending to it is all that happens while chunks pass.
    """

    def __init__(
        self,
        store: Store,
        slot: Slot,
        request: Request,
        *,
        key: str,
        secrets: tuple[Secret, ...],
        clock: Callable[[], float],
        recorded_at: datetime,
    ) -> None:
        self.parts: list[tuple[float, bytes]] = []
        self._store = store
        self._slot = slot
        self._request = request
        self._key = key
        self._secrets = secrets
        self.clock = clock
        self._recorded_at = recorded_at.replace(microsecond=0)
        self._start = clock()
        self._head: tuple[float, int, Mapping[str, str]] | None = None
        self._done = False
        self._lock = threading.Lock()
        _unfinished.add(self)

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Note the answer's head, which has come just now."""
        self._head = self.clock(), status, headers

    def discard(self) -> None:
        """Record nothing and give the place back."""
        with self._lock:
            self._done = True
            _unfinished.discard(self)
            self._store.release(self._slot)

    def finish(self, end: End, failure: Failure | None = None) -> None:
        """Write the interaction. Only the first call counts.

        A reader that closes after the terminal event has had the whole answer, so its `cut` counts as `complete`.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        with self._lock:
            if not self._done:
                self._done = True
                _unfinished.discard(self)
                self._write(end, failure)

    def abandon(self) -> None:
        """Write what has come of an answer that nobody finished reading. Finishing it later corrects the file.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        with self._lock:
            if not self._done and self._head is not None:
                _unfinished.discard(self)
                self._write("abandoned", None)

    def _write(self, end: End, failure: Failure | None) -> None:
        interaction = self._interaction(end, failure)
        secrets = (*self._secrets, *request_secrets(self._request.url, self._request.headers))
        leak = find_leak(written_fields(interaction), secrets)
        if leak is not None:
            self._done = True
            self._store.release(self._slot)
            raise CassetteError(
                f"cassette {self._store.path} was not saved: {leak.kind} is in the {leak.place}; "
                "keep it out of the request and record again"
            )
        self._store.finish(self._slot, interaction)

    def _interaction(self, end: End, failure: Failure | None) -> Interaction:
        request = replace(
            self._request,
            url=redact_url(self._request.url),
            headers=redact_request_headers(self._request.headers),
        )
        body = b"".join(data for _, data in self.parts)
        head_at, status, headers = self._head or (self.clock(), NO_ANSWER_STATUS, {})
        headers = _kept_headers(headers, body)
        if end in {"cut", "abandoned"} and is_finished(body, headers):
            end = "complete"
        model, usage = model_and_usage(body)
        return Interaction(
            request=request,
            key=self._key,
            status=status,
            reason=reason_phrase(status),
            headers=headers,
            chunks=tuple(TimedChunk(self._ms(at), data) for at, data in self.parts),
            end=end,
            failure=failure,
            recorded_at=self._recorded_at,
            head_ms=self._ms(head_at),
            total_ms=self._ms(self.clock()),
            model=model,
            usage=usage,
        )

    def _ms(self, at: float) -> int:
        return round((at - self._start) * 1000)


def unfinished() -> tuple[Tape, ...]:
    """Give the tapes of answers that nobody has finished reading, in this process."""
    return tuple(_unfinished)


def _kept_headers(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    kept = redact_response_headers(headers)
    # The body is stored decoded, so what describes its encoded form no longer holds.
    decoded = kept.pop("content-encoding", None) is not None
    if decoded or kept.get("content-length") not in {None, str(len(body))}:
        kept.pop("content-length", None)
    return kept


@atexit.register
def _abandon_all() -> None:
    for tape in unfinished():
        try:
            tape.abandon()
        except CassetteError as error:
            # Nobody is left to catch it, and the other tapes are still to be written.
            sys.stderr.write(f"aquila: {error}\n")
