"""What the hosts are to trigger, and who reads what, drawn from one seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

OrderKind = Literal["single", "own", "some", "savepoint", "undone", "twice", "many"]
ReadKind = Literal["at once", "later", "at the jump"]

#: How many of a hundred orders are of each kind: one recipient in a transaction of the host's, one in a transaction of our own,
#: some recipients, one beside another whose savepoint is rolled back, a transaction that is rolled back, one key twice.
KINDS: dict[OrderKind, int] = {"single": 40, "own": 8, "some": 16, "savepoint": 12, "undone": 10, "twice": 14}
#: Recipients of an order for some, and of one for many, which jobs plan.
SOME, MANY = 12, 500
#: The part of all notifications that belongs to orders for many; of those orders one in so many is rolled back.
MANY_PART, MANY_UNDONE = 0.4, 4
#: One notification in so many is read.
READ_ONE_IN = 3
READS: dict[ReadKind, int] = {"at once": 25, "later": 50, "at the jump": 25}
#: The longest time until somebody reads later, in seconds.
LATEST = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One thing that a host does."""

    number: int
    kind: OrderKind
    recipients: int = 1
    #: Whether the host commits.
    commits: bool = True
    #: When, as a part of the time in which all orders are given.
    at: float


def draw_orders(count: int, seed: int) -> list[Order]:
    """Draw orders that come to about so many notifications, in the order of their times."""
    chance = random.Random(seed)  # noqa: S311 - it must be repeatable, it hides nothing
    orders: list[Order] = []
    for number in range(max(1, round(count * MANY_PART / MANY))):
        orders.append(Order(number=number, kind="many", recipients=MANY, at=chance.random() * 0.7))
        if number % MANY_UNDONE == 0:
            undone = Order(
                number=100_000 + number, kind="many", recipients=MANY, commits=False, at=chance.random() * 0.7
            )
            orders.append(undone)
    left = count - sum(order.recipients for order in orders if order.commits)
    number = 1000
    while left > 0:
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        recipients = min(SOME, left) if kind == "some" else 1
        orders.append(
            Order(
                number=number, kind=kind, recipients=recipients, commits=kind != "undone", at=chance.random()
            )
        )
        left -= recipients if kind != "undone" else 0
        number += 1
    return sorted(orders, key=lambda order: (order.at, order.number))


def draw_read(chance: random.Random) -> tuple[ReadKind, float] | None:
    """Say when a notification is read, and after how many seconds; None if it is not."""
    if chance.randrange(READ_ONE_IN):
        return None
    kind = chance.choices(list(READS), list(READS.values()))[0]
    return kind, chance.uniform(0.0, LATEST) if kind == "later" else 0.0
