"""A transport that somebody else owns."""

from __future__ import annotations

from aquila.transport.base import Request, Transport, TransportResponse


class BorrowedTransport:
    """Passes requests on and leaves closing to the owner, so that a run may close whatever it holds."""

    def __init__(self, owned: Transport) -> None:
        #: The transport itself.
        self.owner = owned

    async def send(self, request: Request) -> TransportResponse:
        """Send through the owner's transport; raises what that raises."""
        return await self.owner.send(request)

    async def aclose(self) -> None:
        """Do nothing: the owner closes."""
