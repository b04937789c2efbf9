"""Background responses that outlive a process: who keeps their ids, so that a run goes on with the one it has paid for.

Nobody does unless a host says so, as a job's runner does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import quote

from aquila.call import Call
from aquila.destination import Destination
from aquila.events import Event, Status
from aquila.occurrences import Occurrences
from aquila.transport.base import Request


class ResponseKeeper(Protocol):
    """Keeps the ids of responses, by keys of at most 200 characters that hold nothing of the request in clear."""

    async def recall(self, key: str) -> str | None:
        """Give the id that was recorded under a key; None if none was."""

    async def record(self, key: str, response_id: str, cancel: Callable[[], Awaitable[int]]) -> None:
        """Keep an id. Whatever this raises ends the run.

        Args:
            key: What it is asked for by.
            response_id: The id; it replaces one that was recorded before.
            cancel: Ends the response at its provider, and gives the HTTP status of the provider's word on it.
        """

    async def forget(self, key: str) -> None:
        """Drop an id: its response has failed, or is gone."""

    def ended(self, key: str) -> None:
        """Note that a response is whole, so that there is nothing left to cancel."""


@dataclass(frozen=True, slots=True)
class _Book:
    keeper: ResponseKeeper
    #: Which of its likes a request is, among all runs of the block.
    numbers: Occurrences


_BOOK: ContextVar[_Book | None] = ContextVar("aquila_response_keeper", default=None)


@contextmanager
def keeping(keeper: ResponseKeeper) -> Iterator[None]:
    """Let every run with `background=True` inside the block, child tasks included, go on with the responses of an earlier one.

    A request is known by its URL and its body, and by how often the same has been sent inside the block before.
    """
    token = _BOOK.set(_Book(keeper, Occurrences()))
    try:
        yield
    finally:
        _BOOK.reset(token)


class KeptResponse:
    """The response of one round, as its keeper knows it.

    Args:
        book: Who keeps it.
        destination: Where it is.
        model: The model asked for.
    """

    def __init__(self, book: _Book, destination: Destination, model: str) -> None:
        self._book = book
        self._destination = destination
        self._model = model
        self._key = ""
        self._number: int | None = None
        self._response_id: str | None = None
        #: The round goes on with a response that was there before it.
        self._attached = False

    async def find(self, request: Request) -> str | None:
        """Give the id of the response that this request has made before; None if it is to be made, or was asked for."""
        key = request_key(request)
        if key == self._key:
            return None
        self._give_back()
        self._key, self._number = key, self._book.numbers.take(key)
        found = await self._book.keeper.recall(self._name)
        if found is None:
            # It may never be made. Numbers are those of records, so that none of them is missed the next time.
            self._give_back()
            return None
        self._attached = True
        await self._record(found)
        return found

    async def note(self, events: Sequence[Event]) -> None:
        """Keep the response's id as soon as it is said."""
        for event in events:
            if isinstance(event, Status) and event.name == "created":
                await self._record(event.data["response_id"])

    async def forget(self) -> bool:
        """Let the next run with this request make its own response; True if this one was there before the round."""
        if self._number is not None:
            await self._book.keeper.forget(self._name)
            self._give_back()
        attached, self._attached = self._attached, False
        return attached

    def ended(self) -> None:
        """Note that the response is whole."""
        if self._number is not None:
            self._book.keeper.ended(self._name)

    @property
    def _name(self) -> str:
        return f"{self._key}#{self._number}"

    async def _record(self, response_id: str) -> None:
        if self._number is not None and response_id == self._response_id:
            return
        self._number = self._number or self._book.numbers.take(self._key)
        self._response_id = response_id
        cancel = partial(cancel_response, self._destination, response_id, self._model)
        await self._book.keeper.record(self._name, response_id, cancel)

    def _give_back(self) -> None:
        if self._number is not None:
            self._book.numbers.give_back(self._key, self._number)
            self._number = None


def kept_response(destination: Destination, call: Call) -> KeptResponse | None:
    """Begin a round's dealings with the keeper in effect; None if there is none, or nothing for it to keep."""
    book = _BOOK.get()
    if book is None or not call.background or call.attach is not None:
        return None
    return KeptResponse(book, destination, call.model)


def request_key(request: Request) -> str:
    """Give a hash of where a request goes and of what it says; the key in its headers is no part of it."""
    return hashlib.sha256(request.url.encode() + b"\n" + request.body).hexdigest()


async def cancel_response(destination: Destination, response_id: str, model: str) -> int:
    """End a response at its provider, and give the HTTP status of its word on it.

    Raises:
        AquilaError: The provider cannot be reached.
    """
    request = destination.request(
        "POST",
        f"/responses/{quote(response_id, safe='')}/cancel",
        b"{}",
        model=model,
        headers={"accept": "application/json"},
    )
    transport = destination.transport()
    try:
        response = await transport.send(request)
        await response.aclose()
    finally:
        await transport.aclose()
    return response.status
