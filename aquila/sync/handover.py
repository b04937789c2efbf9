"""Events on their way from the event loop to a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio

from aquila.events import Event

#: Events that wait for a slow thread before the run waits for it. Waking the other side costs more than an event does,
#: so a thread gets all that is there in one go.
_AHEAD = 256


class Handover:
    """A bounded queue with an event loop at one end and a thread at the other."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._events: list[Event] = []
        self._ended = False
        self._room: anyio.Event | None = None

    async def put(self, events: list[Event]) -> None:
        """Hand events over; waits while too many of them wait for the thread."""
        with self._news:
            self._events += events
            room = self._room = anyio.Event() if len(self._events) >= _AHEAD else None
            self._news.notify()
        if room is not None:
            await room.wait()

    def end(self) -> None:
        """Say that no event comes any more."""
        with self._news:
            self._ended = True
            self._news.notify_all()

    def take(self, post: Callable[[Callable[[], object]], None]) -> list[Event]:
        """Wait for events and give all there are; an empty list is the end.

        Args:
            post: Calls a function in the event loop.
        """
        with self._news:
            while not self._events and not self._ended:
                self._news.wait()
            events, self._events = self._events, []
            room, self._room = self._room, None
        if room is not None:
            post(room.set)
        return events
