"""The stretches in which two sequences differ, found soon however long they are. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

#: The exact search takes seconds beyond either.
_MOST_PAIRS = 1_000_000
_MOST_EQUAL_PAIRS = 50_000

#: Where a stretch begins and ends in the old sequence, and in the new one.
Hunk = tuple[int, int, int, int]
#: Cuts a sequence into groups: words into sentences.
Cut = Callable[[Sequence[Hashable]], list[tuple[Hashable, ...]]]


def hunks(old: Sequence[Hashable], new: Sequence[Hashable], *, cut: Cut | None = None) -> Iterator[Hunk]:
    """Find the stretches in which two sequences differ, in order.

    Where there is too much to compare, groups are compared first and then what differs between them; and where that is
    still too much, the sequences are cut at items that are unique in both.

    Args:
        old: One sequence.
        new: The other.
        cut: Cuts into groups; None if there are none.

    Yields:
        Bounds, of which `old[a:b]` was replaced by `new[c:d]`.
    """
    head = common_prefix(old, new)
    tail = common_prefix(old[head:][::-1], new[head:][::-1])
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    if not _is_much(middle_old, middle_new):
        found = _replaced(middle_old, middle_new)
    elif cut is not None:
        found = _grouped(middle_old, middle_new, cut)
    else:
        found = _anchored(middle_old, middle_new)
    yield from _shifted(found, head, head)


def common_prefix(one: Sequence[object], other: Sequence[object]) -> int:
    """Count the equal items at the beginning of two sequences."""
    # Halving compares slices at the speed of C, where a loop over characters takes seconds for a long cassette.
    same, different = 0, min(len(one), len(other)) + 1
    while different - same > 1:
        middle = (same + different) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            different = middle
    return same


def _is_much(old: Sequence[Hashable], new: Sequence[Hashable]) -> bool:
    if len(old) * len(new) > _MOST_PAIRS:
        return True
    counts = Counter(new)
    return sum(counts[item] for item in old) > _MOST_EQUAL_PAIRS


def _replaced(old: Sequence[Hashable], new: Sequence[Hashable]) -> Iterator[Hunk]:
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return ((a, b, c, d) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal")


def _grouped(old: Sequence[Hashable], new: Sequence[Hashable], cut: Cut) -> Iterator[Hunk]:
    groups = cut(old), cut(new)
    starts, new_starts = ([*accumulate(map(len, each), initial=0)] for each in groups)
    for a, b, c, d in hunks(*groups):
        at, new_at = starts[a], new_starts[c]
        yield from _shifted(hunks(old[at : starts[b]], new[new_at : new_starts[d]]), at, new_at)


def _anchored(old: Sequence[Hashable], new: Sequence[Hashable]) -> Iterator[Hunk]:
    anchors = [(-1, -1), *_anchors(old, new), (len(old), len(new))]
    for (before, new_before), (at, new_at) in pairwise(anchors):
        a, c = before + 1, new_before + 1
        between = old[a:at], new[c:new_at]
        if _is_much(*between):
            yield a, at, c, new_at
        else:
            yield from _shifted(_replaced(*between), a, c)


def _anchors(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Give the places of items that are unique in both and stand in one order: the longest such row."""
    counts, new_counts = Counter(old), Counter(new)
    places = {item: place for place, item in enumerate(new) if new_counts[item] == 1}
    pairs = [(place, places[item]) for place, item in enumerate(old) if counts[item] == 1 and item in places]
    # Rows of each length, by the least place that one ends at; each pair knows the pair before it in its row.
    ends: list[int] = []
    last: list[int] = []
    before: list[int | None] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        before.append(last[length - 1] if length else None)
        ends[length : length + 1] = [place]
        last[length : length + 1] = [number]
    row: list[tuple[int, int]] = []
    at = last[-1] if last else None
    while at is not None:
        row.append(pairs[at])
        at = before[at]
    return row[::-1]


def _shifted(found: Iterator[Hunk], by: int, new_by: int) -> Iterator[Hunk]:
    return ((a + by, b + by, c + new_by, d + new_by) for a, b, c, d in found)
