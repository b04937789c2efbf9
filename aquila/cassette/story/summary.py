"""A cassette in one line: what is in it, how old it is, what it cost, how its answers ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from aquila.cassette.interaction import Interaction
from aquila.cassette.story.answer_events import is_turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The facts of a cassette, summed over its interactions."""

    interactions: int
    #: Interactions in which a model answered: the rounds of its conversations.
    turns: int
    #: As served, sorted.
    models: tuple[str, ...]
    #: Input and output together, where the answers say.
    tokens: int
    #: In US dollars, where the price was known when they were recorded; None if it never was.
    cost_usd: Decimal | None
    #: The oldest recording; None if none says.
    oldest: datetime | None
    #: How answers ended, most frequent first: `(("complete", 3), ("cut", 1))`.
    ends: tuple[tuple[str, int], ...]
    #: Whether a body was changed by hand.
    edited: bool


def summarise(interactions: Iterable[Interaction]) -> Summary:
    """Sum up a cassette."""
    listed = tuple(interactions)
    usages = [item.usage for item in listed if item.usage is not None]
    return Summary(
        interactions=len(listed),
        turns=sum(is_turn(item) for item in listed),
        models=tuple(sorted({item.model for item in listed if item.model is not None})),
        tokens=sum(usage.get("input", 0) + usage.get("output", 0) for usage in usages),
        cost_usd=total_cost(item.cost_usd for item in listed),
        oldest=min((item.recorded_at for item in listed if item.recorded_at is not None), default=None),
        ends=tuple(Counter(end_of(item) for item in listed).most_common()),
        edited=any(item.edited for item in listed),
    )


def total_cost(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Add up the costs that are known; None if none is."""
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal()) if known else None


def end_of(interaction: Interaction) -> str:
    """Name the way an answer ended: by its end, or by the failure that ended it."""
    return interaction.end if interaction.failure is None else interaction.failure.error
