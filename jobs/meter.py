"""`Meter`: counts what one attempt uses, request by request, and stops it when a budget is used up."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from anyio import to_thread

from aquila.errors import ConfigError
from aquila.events import Event
from aquila.transport import Request
from aquila.transport.gates import Fate, gated
from jobs.accounts import Accounts
from jobs.budget import Budget, job_budget
from jobs.errors import BudgetExceeded
from jobs.prices import Price, has_prices, price_of
from jobs.rows import Job
from jobs.spending import Key, job_name, tag_name
from jobs.token_count import TokenCount, guess, is_counted
from jobs.waits import BudgetResting

#: The status of an error that means: later.
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Limited:
    """One budget that an attempt goes by."""

    #: In words: `job 0a1b...`, `tag 'tenant:acme'`.
    whose: str
    name: str
    budget: Budget
    #: What helps when it is used up.
    remedy: str


def budgets_of(job: Job, by_tag: Mapping[str, Budget]) -> tuple[Limited, ...]:
    """Give the budgets that a job goes by: its own, and those of its tags."""
    own = job_budget(job.budget)
    mine = "send it anew with a larger budget="
    found = [Limited(f"job {job.job_id}", job_name(job.job_id), own, mine)] if own is not None else []
    for tag in sorted({*job.tags} & by_tag.keys()):
        theirs = f"raise that of {tag!r} in jobs.configure(budgets=...)"
        found.append(Limited(f"tag {tag!r}", tag_name(tag), by_tag[tag], theirs))
    return tuple(found)


class Meter:
    """The gate that an attempt's requests pass. Replayed answers cost nothing and do not come here."""

    def __init__(self, accounts: Accounts, limited: Sequence[Limited] = ()) -> None:
        """Prepare.

        Args:
            accounts: Where this process counts.
            limited: The budgets to go by.
        """
        self._accounts = accounts
        self._limited = tuple(limited)
        self._watched: tuple[Key, ...] = ()
        # Runs of plain functions spend in the thread of `aquila.sync`.
        self._lock = threading.Lock()
        self._stopped: BudgetExceeded | None = None
        #: Requests on their way that no budget watches: what they use is counted when somebody asks for it.
        self._open: list[MeterPermit] = []
        #: Tokens of the attempt so far; those of open requests count as soon as a budget watches them.
        self.tokens = 0
        self._cost: float | None = None

    @property
    def cost(self) -> float | None:
        """US dollars of the attempt so far; None if no price is known."""
        for permit in tuple(self._open):
            permit.settle()
        return self._cost

    async def open(self) -> None:
        """Read what was used before, and see that something is left.

        Raises:
            BudgetExceeded: A budget is used up for good.
            BudgetResting: A budget is used up until its next period.
            ConfigError: A budget in US dollars cannot be kept without the price table.
        """
        if not self._limited:
            return
        if any(one.budget.cost is not None for one in self._limited) and not has_prices():
            raise ConfigError(
                f"{self._in_dollars} has a budget in US dollars, and no price is known without genai-prices; "
                "run pip install 'aquila-llm[prices]', or give the budget in tokens"
            )
        await self._accounts.tell_time()
        await self._watch()
        self.check_left()

    async def close(self) -> None:
        """Store what was spent, so that the next attempt finds it wherever it runs."""
        if self._limited:
            self._accounts.leave(self._watched)
            await self._accounts.flush()

    def counting(self) -> AbstractContextManager[None]:
        """Give the block whose runs pass this meter with every request."""
        return gated(self)

    def check(self) -> None:
        """Raise what has stopped the attempt, for an actor that has caught it and gone on.

        Raises:
            BudgetExceeded: A budget is used up.
        """
        if self._stopped is not None:
            raise self._stopped

    async def enter(self, request: Request, base_url: str) -> MeterPermit | None:
        """Let a request through while there is something left for its answer.

        Raises:
            BudgetExceeded: A budget is used up for good, or this attempt has used it up.
            BudgetResting: A budget is used up until its next period.
            ConfigError: A budget is in US dollars, and the model's price is not known.
        """
        if not is_counted(request) or request.model is None:
            return None
        if not self._limited and not has_prices():
            return None
        guessed = guess(request)
        price = await _price(request.model, base_url, guessed.service_tier)
        if price is None and self._in_dollars is not None:
            raise ConfigError(
                f"{self._in_dollars} has a budget in US dollars, and the price of {request.model!r} at {base_url} is not "
                "known; name a model of the price table, or give the budget in tokens"
            )
        count = TokenCount(guessed.prompt)
        await self._watch()
        self.check_left(guessed.prompt, price.running(count) if price is not None else 0.0)
        permit = MeterPermit(self, self._keys(), count, price)
        if not self._limited:
            self._open.append(permit)
        return permit

    def check_left(self, tokens: int = 0, cost: float = 0.0) -> None:
        """See that each budget has more left than so much.

        Raises:
            BudgetExceeded: One is used up for good, or this attempt has used it up.
            BudgetResting: One is used up until its next period.
        """
        for one, key in zip(self._limited, self._keys(), strict=True):
            used = self._accounts.used(key)
            why = one.budget.exceeded(used.tokens + tokens, used.cost + cost)
            if why is None:
                continue
            rest = one.budget.rest(self._accounts.now())
            alone = one.budget.exceeded(tokens, cost) is not None
            if rest is None or alone or self.tokens:
                # An attempt that has spent something would spend it again each time.
                raise self._exceeded(one, why, tokens)
            raise BudgetResting(
                f"the budget of {one.whose} for a {one.budget.per} is used up: {why}; nothing was sent, "
                f"it is fresh again in {rest:.0f} s",
                status_code=_TOO_MANY,
                retry_after=rest,
            )

    def spend(self, permit: MeterPermit, tokens: int, cost: float | None, *, last: bool = False) -> None:
        """Count what a request has used so far, which may be less than before where a guess was too high.

        Args:
            permit: The request's.
            tokens: All its tokens so far.
            cost: All its US dollars so far; None if the price is not known.
            last: Whether it will use no more.
        """
        with self._lock:
            more_tokens, permit.tokens = tokens - permit.tokens, tokens
            self.tokens += more_tokens
            more = 0.0
            if cost is not None:
                more, permit.cost = cost - permit.cost, cost
                self._cost = (self._cost or 0.0) + more
            if last and permit in self._open:
                self._open.remove(permit)
        if permit.keys and (more_tokens or more):
            self._accounts.spend(permit.keys, more_tokens, more)

    def check_running(self, keys: Sequence[Key]) -> None:
        """See that there is something left for the answer that is coming.

        Raises:
            BudgetExceeded: There is not.
        """
        for one, key in zip(self._limited, keys, strict=True):
            used = self._accounts.used(key)
            why = one.budget.exceeded(used.tokens, used.cost)
            if why is not None:
                raise self._exceeded(one, why, 0)

    @property
    def _in_dollars(self) -> str | None:
        return next((one.whose for one in self._limited if one.budget.cost is not None), None)

    def _keys(self) -> tuple[Key, ...]:
        if not self._limited:
            return ()
        now = self._accounts.now()
        return tuple((one.name, one.budget.period(now)) for one in self._limited)

    async def _watch(self) -> None:
        keys = self._keys()
        with self._lock:
            before, self._watched = self._watched, keys
        if keys != before:
            await self._accounts.watch(keys)
            self._accounts.leave(before)

    def _exceeded(self, one: Limited, why: str, prompt: int) -> BudgetExceeded:
        counted = f" with the next prompt, which was not sent (about {prompt} tokens)" if prompt else ""
        self._stopped = BudgetExceeded(f"the budget of {one.whose} is used up: {why}{counted}; {one.remedy}")
        return self._stopped


class MeterPermit:
    """One request on the meter. What it uses counts in the period in which it was sent."""

    __slots__ = ("_count", "_meter", "_price", "cost", "keys", "tokens")

    def __init__(self, meter: Meter, keys: Sequence[Key], count: TokenCount, price: Price | None) -> None:
        self._meter = meter
        self._count = count
        self._price = price
        #: The budgets that watch it, with their periods.
        self.keys = keys
        #: What of it is on the meter; both are the meter's to change.
        self.tokens = 0
        self.cost = 0.0
        self.settle()

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the answer, which says nothing of money."""

    def note(self, events: Sequence[Event], *, whole: bool) -> None:
        """Count what came.

        Raises:
            BudgetExceeded: There is nothing left for more.
        """
        fragments = self._count.add_all(events)
        # Without a budget nobody asks before the end, and this is called for every token.
        if self.keys:
            self.settle()
            if fragments and not whole:
                self._meter.check_running(self.keys)

    def settle(self) -> None:
        """Put on the meter what was used so far."""
        cost = self._price.running(self._count) if self._price is not None else None
        self._meter.spend(self, self._count.total, cost)

    def close(self, fate: Fate) -> None:
        """Take back what was guessed of a request that was refused; count the others by the provider's word."""
        if fate in {"unsent", "refused"}:
            self._meter.spend(self, 0, 0.0 if self._price is not None else None, last=True)
        else:
            cost = self._price.final(self._count) if self._price is not None else None
            self._meter.spend(self, self._count.total, cost, last=True)


async def _price(model: str, base_url: str, tier: str | None) -> Price | None:
    if "genai_prices" in sys.modules:
        return price_of(model, base_url, tier)
    # The first call loads the table.
    return await to_thread.run_sync(price_of, model, base_url, tier)
