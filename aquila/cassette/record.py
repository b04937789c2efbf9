"""Recording while the answer streams: each chunk passes on at once, and the whole is written when the answer has ended."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from anyio import to_thread

from aquila.cassette import session
from aquila.cassette.holding import Verdict, holding
from aquila.cassette.interaction import End, Failure
from aquila.cassette.journal import JOURNAL
from aquila.cassette.matching.match import as_written, request_key
from aquila.cassette.matching.rules import Rules
from aquila.cassette.mode import Mode
from aquila.cassette.opened import OpenedByHand
from aquila.cassette.secrets.secret import environment_secrets
from aquila.cassette.slot import Slot
from aquila.cassette.store import Replaceable, Store, open_store
from aquila.cassette.tape import Tape
from aquila.cassette.tee import Broken, RecordedResponse, timeout_behind
from aquila.errors import CassetteError, ConnectionFailed, ProtocolError, TimeoutExceeded
from aquila.transport.base import Request, Transport, TransportResponse
from aquila.transport.unbroken import unbroken


def utc_now() -> datetime:
    """Give the time of day, aware."""
    return datetime.now(UTC)  # noqa: TID251 - the edge where the recorder's clock comes from


class Recorder:
    """Records what any number of requests, also concurrent ones, get from their transports into one file.

    Args:
        path: The cassette; nothing is read or written before the first request.
        rules: What is compared and hidden; None for the defaults.
        mode: `all` puts an interaction in the place of an equal one that was in the file before this process's
            recording, None in the place of one from before this recorder's; `rewrite` drops all that was there before
            this process's recording; in the others all are kept and new ones follow. In `once` nothing is written
            until an answer has come to its end.
        waits: Whether recordings wait for the verdict on the test in which the first of them is made, if there is one.
            Once that has failed nothing is recorded any more, for it would be a part without its beginning.
        clock: Seconds, for the times of chunks.
        now: The time of day, aware.
    """

    def __init__(
        self,
        path: Path,
        *,
        rules: Rules | None = None,
        mode: Mode | None = None,
        waits: bool = False,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._path = path
        self._rules = rules or Rules()
        self._mode = mode
        self._waits = waits
        self._clock = clock
        self._now = now
        self._store: Store | None = None
        self._replaceable: Replaceable = {}
        self._opening = threading.Lock()
        self._verdict: Verdict | None = None
        #: The process that is told of the verdict.
        self._pid = os.getpid()
        self._counting = threading.Lock()
        self._tapes: dict[Tape, Slot] = {}
        #: Those whose save has failed.
        self._unwritten: list[Slot] = []
        #: Those that may wait for a reason to make the file.
        self._waiting: list[Slot] = []
        #: Answers and failures recorded so far.
        self.recordings = 0

    async def send(self, inner: Transport, request: Request) -> TransportResponse:
        """Send a request through `inner`, without content encoding, and record what comes.

        Raises:
            CassetteError: The cassette is broken or cannot be written; nothing was sent.
            ConnectionFailed: No connection could be made, which is recorded.
            TimeoutExceeded: It took too long, which is recorded.
            ProtocolError: What came is no HTTP, or not encoded as it says, which is recorded.
            AquilaError: What else `inner` raises.
        """
        tape = self.begin(request)
        try:
            response = await inner.send(uncompressed(request))
        except (ConnectionFailed, TimeoutExceeded, ProtocolError) as error:
            await self.finish(tape, "error", error)
            raise
        except BaseException as error:
            if (timeout := timeout_behind(error)) is not None:
                await self.finish(tape, "error", timeout)
            else:
                self.give_up(tape)
            raise
        tape.answered(response.status, response.headers)
        return RecordedResponse(response, tape, self.finish)

    def begin(self, request: Request) -> Tape:
        """Take a place in the file for a request that starts now.

        Raises:
            CassetteError: The cassette is broken or cannot be written.
        """
        store = self._opened()
        # Requests are equal by the rules of this recording; the file keeps the key that everybody computes alike.
        verdict = self._verdict if self._pid == os.getpid() else None
        slot = store.reserve(
            request_key(request, self._rules), self._replaceable, mode=self._mode, verdict=verdict
        )
        if self._mode == "once":
            self._waiting.append(slot)
        tape = Tape(
            store,
            slot,
            request,
            key=request_key(as_written(request, self._rules)),
            rules=self._rules,
            secrets=environment_secrets(os.environ),
            clock=self._clock,
            recorded_at=self._now(),
        )
        with self._counting:
            self._tapes[tape] = slot
        return tape

    def end(self, tape: Tape, end: End, error: Broken | None = None) -> None:
        """Write a tape.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        with self._counted(tape, ends=True):
            tape.finish(end, None if error is None else _failure(error))

    async def finish(self, tape: Tape, end: End, error: Broken | None = None) -> None:
        """Write a tape in a thread, whole even when the reader is being cancelled.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        if not tape.is_done:  # Closing behind the end needs no thread.
            await unbroken(to_thread.run_sync(self.end, tape, end, error))

    def give_up(self, tape: Tape) -> None:
        """Record nothing of a request that got no answer and met no failure of the network."""
        tape.discard()
        with self._counting:
            self._tapes.pop(tape, None)

    def close(self) -> None:
        """Write what has come of answers that nobody finished reading, and once more what could not be written.

        The recorder may be used again.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        trouble: list[CassetteError] = []
        with self._counting:
            tapes, (unwritten, self._unwritten) = tuple(self._tapes), (self._unwritten, [])
        writes: list[Callable[[], None]] = [partial(self._abandon, tape) for tape in tapes]
        for write in writes:
            try:
                write()
            except CassetteError as error:
                trouble.append(error)  # The others are written all the same.
        for slot in unwritten:
            with suppress(CassetteError):  # It was told when the answer ended.
                self._write_again(slot)
        if self._store is not None:
            self._store.withdraw(self._waiting)
        self._waiting.clear()
        if trouble:
            raise trouble[0]

    def _abandon(self, tape: Tape) -> None:
        with self._counted(tape, ends=False):
            tape.abandon()

    def _write_again(self, slot: Slot) -> None:
        if self._store is not None:
            self._store.save(slot)

    @contextmanager
    def _counted(self, tape: Tape, *, ends: bool) -> Iterator[None]:
        """Count what the block records, whoever else writes the same tape at the same time."""
        failed = True
        try:
            yield
            failed = False
        finally:
            with self._counting:
                slot = self._tapes.get(tape)
                is_recorded = slot is not None and slot.interaction is not None
                if ends or failed or is_recorded:
                    self._tapes.pop(tape, None)
                self.recordings += is_recorded
                if slot is not None and is_recorded and failed:
                    self._unwritten.append(slot)
            if is_recorded:
                JOURNAL.note("recorded", self._path)

    def _opened(self) -> Store:
        with self._opening:
            if self._store is None:
                held = holding() if self._waits else None
                self._verdict, self._pid = held.verdict if held is not None else None, os.getpid()
                store = open_store(self._path, rewrite=self._mode == "rewrite")
                if self._mode in {None, "all"}:
                    recorded = session.renewed(self._path) if self._mode else frozenset()
                    self._replaceable = store.replaceable(self._rules, but=recorded)
                self._store = store
            return self._store


class RecordTransport:
    """Sends through another transport and records, while answers stream, into a cassette.

    A request equal to one in the file replaces it; all others stay. Chunks pass unchanged and at once; the file is
    written whole after each answer. If it cannot be written, the error comes when the answer has ended, not inside it.

    Args:
        inner: Does the sending; closed with this transport.
        path: The cassette file.
        secrets: Values that must not be written, besides those of the environment and of the request itself.
        rules: What is compared and hidden besides; None for the defaults.
        clock: Seconds, for the times of chunks.
        now: The time of day, aware.

    Raises:
        ConfigError: A secret is no text.
    """

    def __init__(
        self,
        inner: Transport,
        path: str | Path,
        *,
        secrets: Iterable[str] = (),
        rules: Rules | None = None,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._inner = inner
        both = Rules.of(secrets=secrets).merged(rules or Rules())
        self._recorder = Recorder(Path(path), rules=both, clock=clock, now=now)
        self._opened = OpenedByHand(Path(path), recorder=self._recorder)

    async def send(self, request: Request) -> TransportResponse:
        """Send one request and record what comes.

        Raises:
            CassetteError: The cassette is broken or cannot be written; nothing was sent.
            AquilaError: What the inner transport raises; network failures are recorded.
        """
        self._opened.note()
        return await self._recorder.send(self._inner, request)

    async def aclose(self) -> None:
        """Write answers that nobody finished reading, and close the inner transport.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        try:
            self._recorder.close()
        finally:
            await self._inner.aclose()


def uncompressed(request: Request) -> Request:
    """Give the request that asks for a body a person can read."""
    return replace(request, headers={**request.headers, "accept-encoding": "identity"})


def _failure(error: Broken) -> Failure:
    seconds = error.seconds if isinstance(error, TimeoutExceeded) else None
    message = str(error).encode(errors="backslashreplace").decode()
    return Failure(error=type(error).__name__, message=message, seconds=seconds)
