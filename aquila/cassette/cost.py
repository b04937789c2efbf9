"""What a recorded answer cost, by the price table of the day."""

from __future__ import annotations

from decimal import Decimal

from aquila.cassette.answer import model_and_counts
from aquila.prices import cost_of


def cost_in_dollars(body: bytes, url: str) -> Decimal | None:
    """Compute the price of an answer.

    Args:
        body: The answer.
        url: Where its request went, which tells whose prices hold.

    Returns:
        None when it is not known: there is no table, or it has no such model or provider, or nothing was counted.
    """
    model, usage = model_and_counts(body)
    if usage is None:
        return None
    try:
        return cost_of(usage, model=model, provider=url)
    except Exception:  # noqa: BLE001 - whatever is wrong with the table, the recording is worth more than its price
        return None
