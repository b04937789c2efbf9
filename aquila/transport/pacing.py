"""`PacedTransport`: holds requests back so that a provider's limits are kept, instead of running into them."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from aquila.errors import ConfigError
from aquila.rate_limits import read_rate_limits, read_retry_after
from aquila.transport.base import Request, Transport, TransportResponse
from aquila.transport.lane import Lane

_TOO_MANY = 429
#: Lanes kept for each event loop; of more, the one unused for longest is forgotten.
_MOST_LANES = 1024

LaneKey: TypeAlias = tuple[str, bytes, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """What requests are held to, for each server, key and model.

    Raises:
        ConfigError: A limit is below 1, or `max_wait` is negative.
    """

    #: Requests in any 60 seconds; None for no limit.
    max_requests_per_minute: int | None = None
    #: Requests whose response is not closed yet; None for no limit.
    max_concurrent: int | None = None
    #: Wait for the reset that the provider names when nothing remains, and for its `Retry-After`.
    obey_headers: bool = True
    #: Seconds to wait at most on the provider's word; a request that would wait longer fails at once with
    #: RateLimitError, whose `retry_after` says when to come back. None waits however long.
    max_wait: float | None = 60.0

    def __post_init__(self) -> None:
        for name in ("max_requests_per_minute", "max_concurrent"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} must be at least 1, or None for no limit")
        if self.max_wait is not None and self.max_wait < 0:
            raise ConfigError(f"max_wait={self.max_wait} must not be negative; None waits however long")


class PacedTransport:
    """Sends through another transport, each request when its turn has come.

    Requests for the same server, key and model wait in one line, first come, first served; a cancelled one leaves the
    line. The count belongs to one event loop: several loops, and several processes, keep the limits each for itself.
    Of keys only a hash is kept. Waiting happens inside `send`, so the clocks of a call run meanwhile.
    """

    def __init__(self, inner: Transport, pacing: Pacing | None = None) -> None:
        """Prepare.

        Args:
            inner: What carries the requests; closed together with this transport.
            pacing: The limits; None obeys the provider's headers and nothing else.
        """
        self._inner = inner
        self._pacing = pacing or Pacing()
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, OrderedDict[LaneKey, Lane]] = (
            WeakKeyDictionary()
        )

    @property
    def base_url(self) -> str | None:
        """Where the inner transport's requests go; None for anywhere."""
        return getattr(self._inner, "base_url", None)

    async def send(self, request: Request) -> PacedResponse:
        """Wait for the request's turn and send it.

        Raises:
            RateLimitError: The provider has asked for a longer pause than `max_wait`; nothing was sent.
            ConnectionFailed: No connection could be made, or it broke.
            ConnectTimeout: It took longer than `request.connect_timeout`.
        """
        lane = self._lane(request)
        await lane.enter(self._pacing.max_wait)
        try:
            response = await self._inner.send(request)
        except BaseException:
            lane.leave()
            raise
        if self._pacing.obey_headers:
            lane.pause(_asked_pause(response))
        return PacedResponse(response, lane)

    async def aclose(self) -> None:
        """Close the inner transport. It may be used again afterwards."""
        await self._inner.aclose()

    def _lane(self, request: Request) -> Lane:
        lanes = self._lanes.setdefault(asyncio.get_running_loop(), OrderedDict())
        key = _lane_key(request)
        lane = lanes.get(key)
        if lane is None:
            lane = Lane(self._pacing.max_requests_per_minute, self._pacing.max_concurrent)
            if len(lanes) >= _MOST_LANES:
                idle = next((name for name, other in lanes.items() if not other.users), None)
                if idle is not None:
                    del lanes[idle]
            lanes[key] = lane
        lanes.move_to_end(key)
        return lane


class PacedResponse:
    """A response that holds its place in the lane until it is closed."""

    __slots__ = ("_inner", "_lane", "_loop")

    def __init__(self, inner: TransportResponse, lane: Lane) -> None:
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._lane: Lane | None = lane

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._inner.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Lower-case names."""
        return self._inner.headers

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """The body. Raises ConnectionFailed when the connection breaks."""
        return self._inner.chunks

    async def aclose(self) -> None:
        """Free the connection and let the next request go."""
        try:
            await self._inner.aclose()
        finally:
            lane, self._lane = self._lane, None
            if lane is not None:
                lane.leave()

    def __del__(self) -> None:
        # A response that was left without closing must not keep its place for ever.
        lane = self._lane
        if lane is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lane.leave)


def _lane_key(request: Request) -> LaneKey:
    parts = urlsplit(request.url)
    secret = request.headers.get("authorization") or request.headers.get("api-key") or ""
    return f"{parts.scheme}://{parts.netloc}", hashlib.sha256(secret.encode()).digest(), request.model


def _asked_pause(response: TransportResponse) -> float:
    limits = read_rate_limits(response.headers)
    pause = limits.pause if limits is not None else 0.0
    if response.status == _TOO_MANY:
        pause = max(pause, read_retry_after(response.headers) or 0.0)
    return pause
