"""An error status and the words behind it, as the exception they stand for."""

from __future__ import annotations

from contextlib import suppress

import anyio

from aquila.clocks import Clocks
from aquila.endpoint import status_error
from aquila.errors import APIStatusError, ConnectionFailed, ProtocolError, TotalTimeout
from aquila.rate_limits import read_retry_after
from aquila.transport.base import TransportResponse

_BODY_BYTES = 64 * 1024
#: Seconds to wait for the words behind an error status, which says most of it already.
_BODY_SECONDS = 10.0


async def read_refusal(response: TransportResponse, clocks: Clocks, url: str) -> APIStatusError:
    """Read as much of an error's body as matters, and give the exception for it.

    Args:
        response: The response; whoever sent the request closes it.
        clocks: The run's clocks.
        url: Where the request went, named in the message.
    """
    body = bytearray()
    # A body that breaks off, stalls or cannot be read takes nothing away from what the status says.
    with suppress(ConnectionFailed, ProtocolError, TotalTimeout), anyio.move_on_after(_BODY_SECONDS):
        await clocks.wait_total(_read(response, body))
    where = response.headers.get("location")
    return status_error(
        response.status,
        bytes(body),
        url=url + (f", which redirects to {where}: set the base URL to that" if where else ""),
        retry_after=read_retry_after(response.headers),
        request_id=response.headers.get("x-request-id"),
    )


async def _read(response: TransportResponse, body: bytearray) -> None:
    async for data in response.chunks:
        body += data
        if len(body) > _BODY_BYTES:
            return
