"""The words in which a cassette's facts are told: counts, sizes, ages, money."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

_STEP = 1000
_MILLIONTH = Decimal("0.000001")
#: What nobody pays is told in few digits.
_ABSURD = 1_000_000_000


def count(number: int, noun: str) -> str:
    """Say how many there are: `1 token`, `1,200 tokens`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(octets: float) -> str:
    """Say how large a file is: `28 B`, `1.2 kB`."""
    for unit in ("B", "kB", "MB"):
        if octets < _STEP:
            return f"{octets:.0f} {unit}" if unit == "B" else f"{octets:.1f} {unit}"
        octets /= _STEP
    return f"{octets:.1f} GB"


def age(recorded_at: datetime | None, now: datetime) -> str:
    """Say how old a recording is, in days: `40d`; `-` if it does not say."""
    return f"{(now - recorded_at).days}d" if recorded_at is not None else "-"


def money(cost: Decimal | None) -> str:
    """Say what was paid: `$0.00042`, to a millionth; `-` if nobody knows."""
    if cost is None:
        return "-"
    if cost and cost < _MILLIONTH:
        return f"<${_MILLIONTH:f}"
    if cost >= _ABSURD:
        return f"${cost:.2E}"
    rounded = cost.quantize(_MILLIONTH, rounding=ROUND_HALF_UP)
    text = f"{rounded:f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents:0<2}"
