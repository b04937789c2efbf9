"""Gates that every request of a context passes before it is sent: how a job keeps limits and counts what it uses.

They stand below cassettes and retries. A replayed request passes none, a repeated one passes them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Literal, Protocol, TypeAlias

from aquila.events import Event
from aquila.transport.base import Request

#: What became of a request: it never left, it got an error status or no connection, its reader left before an answer
#: came, or it was answered, wholly or in part.
Fate: TypeAlias = Literal["unsent", "refused", "abandoned", "answered"]


class Permit(Protocol):
    """The leave of one request, told what becomes of it. No method waits; they may be called in any thread."""

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the answer.

        Args:
            status: The HTTP status.
            headers: Lower-case names.
        """

    def note(self, events: Sequence[Event], *, whole: bool) -> None:
        """Take what came of the answer with one read.

        Args:
            events: At least one.
            whole: True if nothing of the answer is to follow.

        Raises:
            AquilaError: The run is to end with it, behind these events; not for an answer that is whole.
        """

    def close(self, fate: Fate) -> None:
        """Take the request's end; called once."""


class Gate(Protocol):
    """Lets requests through."""

    async def enter(self, request: Request, base_url: str) -> Permit | None:
        """Wait until a request may be sent.

        Args:
            request: The request.
            base_url: The server it goes to.

        Returns:
            None when nothing need be known of what becomes of it.

        Raises:
            AquilaError: It may not be sent.
        """


_GATES: ContextVar[tuple[Gate, ...]] = ContextVar("aquila_gates", default=())
_PERMITS: ContextVar[list[Permit] | None] = ContextVar("aquila_permits", default=None)


def gates() -> tuple[Gate, ...]:
    """Give the gates of the present context, in the order in which a request passes them."""
    return _GATES.get()


class _Gated:
    """The block of `gated`. A worker holds thousands of them open, and a generator takes four times as much."""

    __slots__ = ("_gate", "_token")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        self._token = _GATES.set((*_GATES.get(), self._gate))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _GATES.reset(self._token)


def gated(gate: Gate) -> AbstractContextManager[None]:
    """Let every request sent by runs that begin inside the block, child tasks included, pass `gate` as well."""
    return _Gated(gate)


@contextmanager
def gathering() -> Iterator[list[Permit]]:
    """Gather the permits of the request that is sent inside the block, for whoever reads the answer's events.

    Yields:
        A list that has them once the request is sent.
    """
    permits: list[Permit] = []
    token = _PERMITS.set(permits)
    try:
        yield permits
    finally:
        _PERMITS.reset(token)


def gathered() -> list[Permit]:
    """Give the list that takes the permits of the request being sent; nobody else's if nobody gathers."""
    permits = _PERMITS.get()
    return [] if permits is None else permits
