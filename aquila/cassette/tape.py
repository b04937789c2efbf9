"""One answer while it is being recorded: what has come so far, and how it ended."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime

from aquila.cassette.answer import has_no_body, is_finished, model_and_usage
from aquila.cassette.cost import cost_in_dollars
from aquila.cassette.file.format import reason_phrase
from aquila.cassette.interaction import NO_ANSWER_STATUS, End, Failure, Interaction, TimedChunk
from aquila.cassette.matching.rules import DEFAULT_RULES, Rules
from aquila.cassette.secrets.leaks import Leak, find_leak, written_fields
from aquila.cassette.secrets.redact import (
    plain,
    redact_body,
    redact_chunks,
    redact_request_headers,
    redact_response_headers,
    redact_url,
)
from aquila.cassette.secrets.secret import Secret, request_secrets
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
        rules: Rules = DEFAULT_RULES,
        secrets: tuple[Secret, ...],
        clock: Callable[[], float],
        recorded_at: datetime,
    ) -> None:
        self.parts: list[tuple[float, bytes]] = []
        self._store = store
        self._slot = slot
        self._request = request
        self._key = key
        self._rules = rules
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
        # A transport of the user's may give an HTTPStatus, which YAML has no form for.
        self._head = self.clock(), int(status), headers

    @property
    def is_done(self) -> bool:
        """Whether finishing it changes nothing any more."""
        return self._done

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
        leak = find_leak(written_fields(interaction), self._known_secrets(), self._rules.allow)
        if leak is not None:
            self._done = True
            self._store.release(self._slot)
            raise CassetteError(
                f"cassette {self._store.path} was not saved: {leak.kind} is in the {leak.place}; {_remedy(leak)}"
            )
        self._store.finish(self._slot, interaction)

    def _known_secrets(self) -> tuple[Secret, ...]:
        return (
            *self._secrets,
            *(Secret("a secret named for the cassette", value) for value in self._rules.secrets),
            *request_secrets(self._request.url, self._request.headers, self._rules.redact),
        )

    def _interaction(self, end: End, failure: Failure | None) -> Interaction:
        names = self._rules.redact
        parts = tuple(self.parts)
        head_at, status, headers = self._head or (self.clock(), NO_ANSWER_STATUS, {})
        if end in {"cut", "abandoned"} and is_finished(b"".join(data for _, data in parts), headers):
            end = "complete"
        parts = tuple(redact_chunks(parts, names))
        body = b"".join(data for _, data in parts)
        model, usage = model_and_usage(body)
        return Interaction(
            request=_redacted(self._request, names),
            key=self._key,
            status=status,
            reason=reason_phrase(status),
            headers=redact_response_headers(headers, names)
            if has_no_body(self._request.method, status)
            else _kept_headers(headers, body, names),
            chunks=tuple(TimedChunk(self._ms(at), data) for at, data in parts),
            end=end,
            failure=None if failure is None else _redacted_failure(failure, names),
            recorded_at=self._recorded_at,
            head_ms=self._ms(head_at),
            total_ms=self._ms(self.clock()),
            model=model,
            usage=usage,
            cost_usd=cost_in_dollars(body, redact_url(self._request.url, names)),
        )

    def _ms(self, at: float) -> int:
        return round((at - self._start) * 1000)


def unfinished() -> tuple[Tape, ...]:
    """Give the tapes of answers that nobody has finished reading, in this process."""
    return tuple(_unfinished)


def _remedy(leak: Leak) -> str:
    if leak.place.startswith(("request", "names of request")):
        change = "put a placeholder into the prompt" if leak.is_in_text else "keep it out of the request"
    else:
        change = "change the prompt or the provider's test data"
    if not leak.is_in_text:
        change += ", or name its field in `redact`"
    return f"{change}, and record again; if it is no secret, list the text in `allow`"


def _redacted(request: Request, names: Collection[str]) -> Request:
    return replace(
        request,
        method=plain(request.method),
        url=redact_url(request.url, names),
        headers=redact_request_headers(request.headers, names),
        body=redact_body(request.body, names, pieces=False),
    )


def _redacted_failure(failure: Failure, names: Collection[str]) -> Failure:
    return replace(
        failure, message=redact_body(failure.message.encode(errors="backslashreplace"), names).decode()
    )


def _kept_headers(headers: Mapping[str, str], body: bytes, names: Collection[str]) -> dict[str, str]:
    kept = redact_response_headers(headers, names)
    # The body is stored decoded and redacted, so what describes another form of it no longer holds.
    decoded = kept.pop("content-encoding", None) is not None
    if decoded or kept.get("content-length") not in {None, str(len(body))}:
        kept.pop("content-length", None)
    return kept


@atexit.register
def _abandon_all() -> None:
    for tape in unfinished():
        try:
            tape.abandon()
        except Exception as error:  # noqa: BLE001 - nobody is left to catch it, and the others are still to be written
            sys.stderr.write(f"aquila: {error}\n")
