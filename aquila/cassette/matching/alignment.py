"""Which items of two lists belong together. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from aquila.cassette.matching.hunks import hunks

_MOST_SCORES = 400
#: What a pair of items is worth that have nothing in common, so that they are a change and not two.
_JUST_A_PAIR = 0.01


@dataclass(frozen=True, slots=True)
class Match:
    """An old item and the new one that belong together; one of them is None when the other stands alone."""

    old: int | None
    new: int | None


def align(
    old: Sequence[Hashable], new: Sequence[Hashable], score: Callable[[int, int], float | None]
) -> list[Match]:
    """Pair the items of two lists that are not equal in their places.

    Equal items belong together wherever they stand, then those of one gap that are most alike, in their order, then
    those of one name.

    Args:
        old: What the old items are compared by.
        new: What the new items are compared by.
        score: How much an old and a new item are alike: from 0 to 1, and 1 or more for those of one name; None when
            they are too different to be one item.

    Returns:
        Pairs and single items, in the order of the new list; old ones without a pair stand where they were missed.
    """
    gaps = [(list(range(a, b)), list(range(c, d))) for a, b, c, d in hunks(old, new)]
    moved = _moved(gaps, old, new)
    taken, new_taken = {match.old for match in moved}, {match.new for match in moved}
    found = [
        match
        for olds, news in gaps
        for match in _in_order(
            [i for i in olds if i not in taken], [j for j in news if j not in new_taken], score
        )
    ]
    return sorted([*moved, *_by_name(found, score)], key=_place)


def _moved(
    gaps: Sequence[tuple[list[int], list[int]]], old: Sequence[Hashable], new: Sequence[Hashable]
) -> list[Match]:
    places: dict[Hashable, deque[int]] = {}
    for olds, _ in gaps:
        for i in olds:
            places.setdefault(old[i], deque()).append(i)
    return [Match(places[new[j]].popleft(), j) for _, news in gaps for j in news if places.get(new[j])]


def _by_name(found: list[Match], score: Callable[[int, int], float | None]) -> list[Match]:
    """Join single items of one name that stand in different gaps."""
    gone = [match.old for match in found if match.old is not None and match.new is None]
    news = [match.new for match in found if match.new is not None and match.old is None]
    if len(gone) * len(news) > _MOST_SCORES:
        return found
    joined: dict[int, int] = {}
    for j in news:
        named = (i for i in gone if i not in joined and (score(i, j) or 0.0) >= 1.0)
        joined |= dict.fromkeys(islice(named, 1), j)
    kept = (match for match in found if match.old not in joined or match.new is not None)
    alone = (match for match in kept if match.new not in joined.values() or match.old is not None)
    return [*alone, *(Match(i, j) for i, j in joined.items())]


def _place(match: Match) -> tuple[int, bool]:
    at = match.old if match.new is None else match.new
    return at or 0, match.new is None


def _in_order(olds: list[int], news: list[int], score: Callable[[int, int], float | None]) -> list[Match]:
    if len(olds) * len(news) > _MOST_SCORES:
        return [Match(i, j) for i, j in zip_longest(olds, news)]
    # best[a][b]: the most that the items from olds[a] and news[b] on are worth, and what to do first for it.
    best = [[(0.0, "")] * (len(news) + 1) for _ in range(len(olds) + 1)]
    for a in range(len(olds), -1, -1):
        for b in range(len(news), -1, -1):
            best[a][b] = max(
                _choices(best, olds, news, (a, b), score), default=(0.0, ""), key=lambda it: it[0]
            )
    return list(_walk(best, olds, news))


def _choices(
    best: list[list[tuple[float, str]]],
    olds: list[int],
    news: list[int],
    at: tuple[int, int],
    score: Callable[[int, int], float | None],
) -> Iterator[tuple[float, str]]:
    a, b = at
    if a < len(olds) and b < len(news):
        worth = score(olds[a], news[b])
        if worth is not None:
            yield best[a + 1][b + 1][0] + worth + _JUST_A_PAIR, "pair"
    if a < len(olds):
        yield best[a + 1][b][0], "gone"
    if b < len(news):
        yield best[a][b + 1][0], "new"


def _walk(best: list[list[tuple[float, str]]], olds: list[int], news: list[int]) -> Iterator[Match]:
    a = b = 0
    while best[a][b][1]:
        step = best[a][b][1]
        yield Match(olds[a] if step != "new" else None, news[b] if step != "gone" else None)
        a, b = a + (step != "new"), b + (step != "gone")
