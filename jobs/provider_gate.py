"""`ProviderGate`: holds the requests of all workers together to what a provider allows in a minute."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar
from uuid import uuid4

import anyio
import redis
from anyio import to_thread

from aquila.events import Event
from aquila.rate_limits import read_rate_limits, read_retry_after
from aquila.transport import Request
from aquila.transport.gates import Fate
from jobs.provider_limit import ProviderLimit, limit_for
from jobs.provider_log import ProviderLog, Turn, log_name
from jobs.token_count import TokenCount, guess, is_counted
from jobs.waits import LimitReached

logger = logging.getLogger("jobs")

T = TypeVar("T")

#: Seconds that a request waits here; with more to wait its job gives its slot to others.
PATIENCE = 5.0
#: Seconds to wait for Redis, and to leave it alone after it did not answer.
ANSWER_SECONDS = 2.0
AWAY_SECONDS = 5.0
#: Seconds between two looks for what is to be told.
INTERVAL = 0.1
#: The longest pause that a provider may ask for.
LONGEST_PAUSE = 86_400.0
_TOO_MANY = 429


class ProviderGate:
    """One for each worker process.

    While Redis is away, requests go on without a limit: the provider itself still refuses what is too much.
    """

    def __init__(
        self,
        client: redis.Redis,
        limits: Mapping[str, ProviderLimit],
        *,
        window: float = 60.0,
        patience: float = PATIENCE,
    ) -> None:
        """Prepare.

        Args:
            client: Redis.
            limits: By model: a name, the beginning of one with `*` behind it, or `*`.
            window: Seconds in which no more than a limit may be sent.
            patience: Seconds that a request waits here.
        """
        self._client = client
        self._limits = limits
        self._window = window
        self._patience = patience
        # Requests of plain functions end in the thread of `aquila.sync`; adding to a deque is safe there.
        self._news: deque[Callable[[], object]] = deque()
        self._away_until = 0.0
        self._said_away = False

    async def enter(self, request: Request, base_url: str) -> ProviderPermit | None:
        """Wait until the provider's limit has room for a request.

        Raises:
            LimitReached: That would take longer than this waits; `retry_after` says how long.
        """
        limit = limit_for(self._limits, request.model) if request.model is not None else None
        if limit is None or request.model is None or not is_counted(request):
            return None
        guessed = guess(request)
        log = ProviderLog(self._client, log_name(base_url, request.model, _key_of(request)), self._window)
        permit = ProviderPermit(log, TokenCount(guessed.prompt), self._news)
        deadline = time.monotonic() + self._patience
        while True:
            # What others here have given back may be what this one needs.
            await self.flush()
            left = deadline - time.monotonic()
            turn = await self._ask(partial(log.enter, permit.entry, limit, guessed.total, left))
            if turn is None:
                return None
            if not turn.granted:
                where = f"{request.model} at {base_url.partition('?')[0]}"
                raise LimitReached(
                    f"{where}: {_reason(turn, limit)}; there is room in {turn.wait:.1f} s, and nothing was sent",
                    status_code=_TOO_MANY,
                    retry_after=turn.wait,
                )
            if await self._has_come(permit, turn):
                return permit

    async def run(self) -> None:
        """Tell the log what became of requests, until cancelled."""
        while True:
            await self.flush()
            await anyio.sleep(INTERVAL)

    async def flush(self) -> None:
        """Tell the log what became of requests. What cannot be told is forgotten: it matters for a minute only."""
        while self._news:
            news = [self._news.popleft() for _ in range(len(self._news))]
            await self._ask(partial(_tell, news))

    async def _has_come(self, permit: ProviderPermit, turn: Turn) -> bool:
        """Wait for a turn; False if the provider has asked for a pause meanwhile, and the place is given back."""
        if turn.wait <= 0:
            return True
        try:
            await anyio.sleep(turn.wait)
        except BaseException:
            permit.close("unsent")
            raise
        if not await self._ask(partial(permit.log.pause, 0.0)):
            return True
        await self._ask(partial(permit.log.withdraw, permit.entry))
        return False

    async def _ask(self, question: Callable[[], T]) -> T | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            with anyio.fail_after(ANSWER_SECONDS):
                answer = await to_thread.run_sync(question, abandon_on_cancel=True)
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            if not self._said_away:
                logger.warning("provider limits are not kept until Redis is back: %s", error or "no answer")
            self._said_away = True
            return None
        self._said_away = False
        return answer


class ProviderPermit:
    """One request's place in the log."""

    def __init__(self, log: ProviderLog, count: TokenCount, news: deque[Callable[[], object]]) -> None:
        self.log = log
        self.entry = uuid4().hex
        self._count = count
        self._news = news

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Pause the model for all workers if the provider asks for it."""
        limits = read_rate_limits(headers)
        pause = limits.pause if limits is not None else 0.0
        if status == _TOO_MANY:
            pause = max(pause, read_retry_after(headers) or 0.0)
        if pause > 0:
            self._news.append(partial(self.log.pause, min(pause, LONGEST_PAUSE)))

    def note(self, events: Sequence[Event], *, whole: bool) -> None:
        """Count what came."""
        self._count.add_all(events)

    def close(self, fate: Fate) -> None:
        """Give back what was reserved and not used, or take what was used besides."""
        match fate:
            case "unsent":
                self._news.append(partial(self.log.withdraw, self.entry))
            case "refused":
                self._news.append(partial(self.log.settle, self.entry, 0))
            case "answered":
                self._news.append(partial(self.log.settle, self.entry, self._count.total))
            case "abandoned":
                # The provider may go on with the answer, so what was reserved stays.
                pass


def _key_of(request: Request) -> str:
    return request.headers.get("authorization") or request.headers.get("api-key") or ""


def _tell(news: Sequence[Callable[[], object]]) -> None:
    for item in news:
        item()


def _reason(turn: Turn, limit: ProviderLimit) -> str:
    return {
        "requests": f"all workers together have made the {limit.requests} requests that any minute may see",
        "tokens": f"all workers together have used the {limit.tokens} tokens that any minute may see",
        "pause": "the provider has asked for a pause",
    }.get(turn.why, "many requests wait already")
