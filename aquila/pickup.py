"""How a background response is picked up again after its stream was lost. Pure.

The stream goes on behind the last event that came, for some minutes after the response was made; after that the response
can only be asked for as a whole, again and again until it is done.
"""

from __future__ import annotations

from urllib.parse import quote

from aquila.destination import Destination
from aquila.endpoint import Decoder
from aquila.errors import (
    APIStatusError,
    AquilaError,
    CassetteError,
    ConnectionFailed,
    IdleTimeout,
    ProtocolError,
    ProviderStreamError,
    SilenceTimeout,
    StreamTruncated,
)
from aquila.events import Resumed
from aquila.transport.base import Request

_LOST = (ConnectionFailed, StreamTruncated, SilenceTimeout, IdleTimeout)
#: What only a failed response's own events say, once a server has begun to give them.
_FAILED = (APIStatusError, ProtocolError, ProviderStreamError)
#: Refusals that say nothing of a response: a wrong key, too many requests, a server that is busy.
_ASIDE = {401, 402, 403, 408, 409, 425, 429}
#: Seconds between two questions whether the response is done, at first and at most.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0


class Pickup:
    """The state of one background response's stream."""

    def __init__(self, attached: tuple[str, int | None] | None = None) -> None:
        #: The response's id and the number of the last event that came; None before anything was lost.
        self.point = attached
        #: True when the response is asked for as a whole.
        self.polling = False
        self._pause = _FIRST_PAUSE

    def after(self, error: AquilaError, decoder: Decoder | None) -> Resumed | None:
        """Decide whether the stream goes on elsewhere after an error; None if it does not."""
        if self.point is not None and isinstance(error, APIStatusError) and not error.retryable:
            # The window for streaming is over, or the provider never keeps one for this response.
            if self.polling or error.status_code not in {400, 404, 409, 410, 422}:
                return None
            self.polling = True
        elif isinstance(error, _LOST):
            lost = decoder.resume() if decoder is not None else None
            self.point = lost or self.point
            # Behind an event without a number nothing can go on; the whole can be had.
            self.polling = self.polling or (lost is not None and lost[1] is None)
        else:
            return None
        return self.resumed

    @property
    def resumed(self) -> Resumed | None:
        """The news that the response is picked up; None if it has to be made first."""
        return Resumed(self.point[0], self.point[1] or 0) if self.point is not None else None

    def request(self, destination: Destination) -> Request | None:
        """Make the request that picks the response up; None if it has to be made first."""
        if self.point is None:
            return None
        response_id, number = self.point
        path = f"/responses/{quote(response_id, safe='')}"
        if self.polling:
            return destination.request("GET", path, headers={"accept": "application/json"})
        after = f"&starting_after={number}" if number is not None else ""
        return destination.request("GET", path, query=f"stream=true{after}")

    def next_pause(self) -> float:
        """Give the seconds to wait before the response is asked for again."""
        pause, self._pause = self._pause, min(self._pause * 1.5, _LONGEST_PAUSE)
        return pause


def is_over(error: AquilaError, *, begun: bool) -> bool:
    """Say whether a response is of no use any more: it has failed, or its provider does not give it out.

    Args:
        error: What asking for it ended in.
        begun: Whether the server had begun to give it.
    """
    if begun:
        return isinstance(error, _FAILED)
    if isinstance(error, APIStatusError):
        return not error.retryable and error.status_code not in _ASIDE
    # A cassette may hold the response, and nothing of its being picked up.
    return isinstance(error, CassetteError)
