"""A cassette in one line: what is in it, how old it is, how its answers ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from aquila.cassette.interaction import Interaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The facts of a cassette, summed over its interactions."""

    interactions: int
    #: As served, sorted.
    models: tuple[str, ...]
    #: Input and output together, where the answers say.
    tokens: int
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
        models=tuple(sorted({item.model for item in listed if item.model is not None})),
        tokens=sum(usage.get("input", 0) + usage.get("output", 0) for usage in usages),
        oldest=min((item.recorded_at for item in listed if item.recorded_at is not None), default=None),
        ends=tuple(Counter(_end(item) for item in listed).most_common()),
        edited=any(item.edited for item in listed),
    )


def _end(interaction: Interaction) -> str:
    return interaction.end if interaction.failure is None else interaction.failure.error
