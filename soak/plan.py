"""Everything that chance decides, drawn from one seed before the storm begins. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "stream",
    "plain",
    "stumble",
    "cut",
    "delayed",
    "cancelled",
    "committed",
    "undone",
    "unique",
    "steps",
    "stay",
]
Fault = Literal["kill", "kill both", "terminate", "pause", "flush", "kill valkey", "outage"]

#: How many of a hundred jobs are of each kind. `stumble` and `cut` fail once: by raising, and by a broken stream. Those of
#: `committed` and `undone` are added in transactions of a host, those of `unique` sent several times at once.
KINDS: dict[Kind, int] = {
    "stream": 41,
    "plain": 20,
    "stumble": 5,
    "cut": 6,
    "delayed": 8,
    "cancelled": 6,
    "committed": 5,
    "undone": 2,
    "unique": 3,
    "steps": 4,
}
#: Jobs that run for longer than several leases are sent with one of so many waves, and so many of them; not with the last
#: waves, so that nobody waits for them.
STAY_EVERY, STAYING, LAST_STAY = 3, 2, 6
#: How often each fault comes in one turn of the deck.
FAULTS: dict[Fault, int] = {
    "kill": 7,
    "kill both": 1,
    "terminate": 4,
    "pause": 4,
    "flush": 5,
    "kill valkey": 3,
}
#: Worker processes at a time.
WORKERS = 2
#: Jobs whose live streams are read.
FOLLOWED = 100
#: Jobs sent together with each fault, and the least and most faults there are.
JOBS_PER_WAVE, FEWEST_WAVES, MOST_WAVES = 30, 8, 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One job to send."""

    number: int
    kind: Kind
    #: Seconds until it is due.
    delay: float = 0.0
    #: Seconds after which it is cancelled; None leaves it alone.
    cancel_after: float | None = None
    #: The seed of a reader that leaves and comes back; None means nobody reads.
    reader: int | None = None

    @property
    def prompt(self) -> str | None:
        """What is asked of the model; None for a plain function."""
        talks = self.kind in {"stream", "cut", "cancelled"} or (
            self.kind == "delayed" and self.number % 2 == 1
        )
        return f"job-{self.number}" if talks else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Some jobs, and what happens soon after they are sent."""

    orders: list[Order]
    fault: Fault
    #: The worker it hits.
    slot: int
    #: Seconds from the first send to the fault.
    strike_after: float
    #: How long the fault lasts, as a part of its longest.
    length: float
    #: Seconds from the fault to the next wave.
    rest: float


def draw(count: int, seed: int, *, outage: bool) -> list[Wave]:
    """Draw the waves of a storm of `count` jobs; with an outage of the database in the middle, if there may be one."""
    chance = random.Random(seed)  # noqa: S311 - it must be repeatable, it hides nothing
    orders = _orders(count, chance)
    number = max(FEWEST_WAVES, min(MOST_WAVES, count // JOBS_PER_WAVE))
    faults = _deck(number, chance)
    if outage:
        faults[number // 2] = "outage"
    return [
        Wave(
            orders=orders[index::number] + _staying(count, index, number),
            fault=fault,
            slot=chance.randrange(WORKERS),
            strike_after=chance.uniform(0.3, 1.2),
            length=chance.random(),
            rest=chance.uniform(1.5, 3.5),
        )
        for index, fault in enumerate(faults)
    ]


def _orders(count: int, chance: random.Random) -> list[Order]:
    kinds = chance.choices(list(KINDS), list(KINDS.values()), k=count)
    orders = [_order(number, kind, chance) for number, kind in enumerate(kinds)]
    streams = [order.number for order in orders if order.prompt is not None]
    followed = set(chance.sample(streams, min(FOLLOWED, len(streams))))
    return [
        replace(order, reader=chance.getrandbits(32)) if order.number in followed else order
        for order in orders
    ]


def _order(number: int, kind: Kind, chance: random.Random) -> Order:
    return Order(
        number=number,
        kind=kind,
        delay=chance.uniform(0.5, 6.0) if kind == "delayed" else 0.0,
        cancel_after=chance.uniform(0.0, 1.8) if kind == "cancelled" else None,
    )


def _staying(count: int, index: int, waves: int) -> list[Order]:
    if index % STAY_EVERY or index > waves - LAST_STAY:
        return []
    return [Order(number=count + STAYING * index + place, kind="stay") for place in range(STAYING)]


def _deck(number: int, chance: random.Random) -> list[Fault]:
    # The fewest waves still see one fault of each kind.
    faults: list[Fault] = list(FAULTS)
    rest = [fault for fault, times in FAULTS.items() for _ in range(times - 1)]
    chance.shuffle(rest)
    while len(faults) < number:
        faults += rest
    faults = faults[:number]
    chance.shuffle(faults)
    return faults
