from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aquila.cli.cassette_words import age, count, money, size

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (None, "-"), ("0", "$0.00"), ("0.5", "$0.50"), ("12", "$12.00"), ("0.00042", "$0.00042"),
        ("0.0000214", "$0.000021"), ("0.0000000003", "<$0.000001"), ("1E+2", "$100.00"),
        ("1E+308", "$1.00E+308"), ("123456789012345678901234567890", "$1.23E+29"), ("1E-4000", "<$0.000001"),
    ],
)  # fmt: skip
def test_money_is_told_to_a_millionth(cost: str | None, words: str) -> None:
    assert money(None if cost is None else Decimal(cost)) == words


@pytest.mark.parametrize(
    ("octets", "words"), [(28, "28 B"), (1200, "1.2 kB"), (5_200_000, "5.2 MB"), (7e12, "7000.0 GB")]
)
def test_sizes_are_told_in_the_unit_that_fits(octets: float, words: str) -> None:
    assert size(octets) == words


def test_counts_and_ages_are_told() -> None:
    assert [count(1, "turn"), count(1200, "turn")] == ["1 turn", "1,200 turns"]
    assert [age(None, NOW), age(NOW - timedelta(days=40, hours=5), NOW)] == ["-", "40d"]
