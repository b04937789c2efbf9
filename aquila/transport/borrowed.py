"""A transport that somebody else owns."""

from __future__ import annotations

from aquila.transport.base import Request, Transport, TransportResponse
from aquila.transport.sleeping import sleep_of


class BorrowedTransport:
    """Passes requests on and leaves closing to the owner, so that a run may close whatever it holds."""

    def __init__(self, owned: Transport) -> None:
        #: The transport itself.
        self.owner = owned

    async def send(self, request: Request) -> TransportResponse:
        """Send through the owner's transport; raises what that raises."""
        return await self.owner.send(request)

    async def sleep(self, seconds: float) -> None:
        """Wait between two requests as the owner's transport does."""
        await sleep_of(self.owner)(seconds)

    async def aclose(self) -> None:
        """Do nothing: the owner closes."""
