from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.matching.alignment import Match, align


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=8), st.lists(st.integers(0, 4), max_size=8))
def test_each_item_that_stands_elsewhere_is_told_once(old: list[int], new: list[int]) -> None:
    matches = align(old, new, lambda i, j: 0.5 if (old[i] + new[j]) % 2 else None)

    olds = [match.old for match in matches if match.old is not None]
    news = [match.new for match in matches if match.new is not None]
    assert len(set(olds)) == len(olds)
    assert len(set(news)) == len(news)
    kept = [item for place, item in enumerate(old) if place not in olds]
    assert kept == [item for place, item in enumerate(new) if place not in news]


def test_lists_too_long_to_compare_are_paired_by_their_places() -> None:
    old, new = [f"a{n}" for n in range(30)], [f"b{n}" for n in range(31)]

    assert align(old, new, lambda *_: 0.5) == [*(Match(n, n) for n in range(30)), Match(None, 30)]
