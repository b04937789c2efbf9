from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.matching.hunks import hunks


@settings(deadline=None)
@given(st.text("ab. \n", max_size=40), st.text("ab. \n", max_size=40))
def test_hunks_turn_one_list_into_the_other(one: str, other: str) -> None:
    made, at = "", 0
    for first, last, new_first, new_last in hunks(one, other):
        made += one[at:first] + other[new_first:new_last]
        at = last

    assert made + one[at:] == other


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.integers(0, 2**32), st.sampled_from([0, 3, 500, 5000]))
def test_hunks_of_long_lists_turn_one_into_the_other(one: int, other: int, different: int) -> None:
    old, new = (
        [
            f"{word}." if n % 9 == 0 else (n * 7919 % (different + 1)) + word * (n % 5 == 0)
            for n, word in enumerate(words)
        ]
        for words in (hashlib.shake_128(b"%d" % seed).digest(1500) for seed in (one, other))
    )
    for cut in (None, lambda items: [tuple(items[at : at + 9]) for at in range(0, len(items), 9)]):
        made, at = [], 0
        for first, last, new_first, new_last in hunks(old, new, cut=cut):
            made += old[at:first] + new[new_first:new_last]
            at = last

        assert made + old[at:] == new
