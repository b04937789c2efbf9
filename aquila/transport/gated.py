"""`GatedTransport`: sends each request when all gates of the context let it through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from aquila.errors import AquilaError
from aquila.transport.base import Request, Transport, TransportResponse
from aquila.transport.gates import Fate, Gate, Permit, gates, gathered
from aquila.transport.sleeping import sleep_of

_OK = range(200, 300)


def behind_gates(transport: Transport, base_url: str) -> Transport:
    """Give a transport with the gates of the present context before it; itself if there are none.

    Args:
        transport: What carries the requests.
        base_url: The server they go to.
    """
    present = gates()
    return GatedTransport(transport, base_url, present) if present else transport


class GatedTransport:
    """Sends through another transport. Waiting at a gate happens inside `send`, so the clocks of a call run meanwhile."""

    def __init__(self, inner: Transport, base_url: str, present: Sequence[Gate]) -> None:
        self._inner = inner
        self._base_url = base_url
        self._gates = tuple(present)
        #: The transport that lasts, which is what is learnt of servers is kept with.
        self.owner: Transport = getattr(inner, "owner", inner)

    async def send(self, request: Request) -> GatedResponse:
        """Wait until the request may go, and send it.

        Raises:
            AquilaError: A gate does not let it through, or what the inner transport raises.
        """
        permits = await self._enter(request)
        gathered().extend(permits)
        try:
            response = await self._inner.send(request)
        except AquilaError:
            _close(permits, "refused")
            raise
        except BaseException:
            # A time-out too is a cancel here; the provider may go on with the answer.
            _close(permits, "abandoned")
            raise
        for permit in permits:
            permit.answered(response.status, response.headers)
        return GatedResponse(response, permits)

    async def sleep(self, seconds: float) -> None:
        """Wait between two requests as the inner transport does."""
        await sleep_of(self._inner)(seconds)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    async def _enter(self, request: Request) -> list[Permit]:
        permits: list[Permit] = []
        try:
            for gate in self._gates:
                permit = await gate.enter(request, self._base_url)
                if permit is not None:
                    permits.append(permit)
        except BaseException:
            _close(permits, "unsent")
            raise
        return permits


class GatedResponse:
    """A response whose permits hear of its end."""

    __slots__ = ("_inner", "_permits", "chunks")

    def __init__(self, inner: TransportResponse, permits: list[Permit]) -> None:
        self._inner = inner
        self._permits = permits
        #: The body. Raises ConnectionFailed when the connection breaks.
        self.chunks: AsyncIterator[bytes] = inner.chunks

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._inner.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Lower-case names."""
        return self._inner.headers

    async def aclose(self) -> None:
        """Free the connection and tell the permits."""
        permits, self._permits = self._permits, []
        try:
            await self._inner.aclose()
        finally:
            _close(permits, "answered" if self.status in _OK else "refused")


def _close(permits: Sequence[Permit], fate: Fate) -> None:
    for permit in permits:
        permit.close(fate)
