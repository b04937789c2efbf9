"""What differs between two documents, one line for each JSON path. Items of lists are told apart by what they say."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aquila.cassette.body.json_path import path_step
from aquila.cassette.body.jsonbody import canonical, leaves
from aquila.cassette.matching.alignment import align
from aquila.cassette.matching.content import digest, mapped
from aquila.cassette.matching.likeness import Sketch
from aquila.cassette.matching.rules import counting_text
from aquila.cassette.matching.wording import byte_change, shown, text_changes

#: Items of a list whose new order is told.
_MOST_PLACES = 20
#: Longer lists are not shown but told by their positions.
_SHORT = 100
#: Items of different kinds or names are one item only if they are so much alike.
_ALIKE = 0.5

_NAMES = (("name",), ("function", "name"), ("id",), ("call_id",), ("tool_call_id",))


class _Path(NamedTuple):
    """Where a value stands now, and where it stood: items before it may have come or gone."""

    new: str
    old: str

    def __str__(self) -> str:
        return self.new if self.new == self.old else f"{self.new} (recorded at {self.old})"

    def field(self, name: str) -> _Path:
        return _Path(self.new + path_step(name), self.old + path_step(name))

    def item(self, new: int, old: int) -> _Path:
        return _Path(f"{self.new}[{new}]", f"{self.old}[{old}]")


class Differences:
    """Compares documents.

    Args:
        ignored: What they find in texts does not count.
    """

    def __init__(self, ignored: Sequence[re.Pattern[str]] = ()) -> None:
        self._ignored = ignored

    def lines(self, recorded: Any, sent: Any, root: str = "$") -> list[str]:
        """List what differs. Equal documents give nothing."""
        return list(self._values(recorded, sent, _Path(root, root)))

    def equal(self, one: Any, other: Any) -> bool:
        """Tell whether two values count as the same."""
        return self._key(one) == self._key(other)

    def _key(self, value: Any) -> bytes:
        if self._ignored:
            value = mapped(value, str, lambda text: counting_text(text, self._ignored))
        return canonical(mapped(value, bytes, digest))

    def _values(self, before: Any, after: Any, path: _Path) -> Iterator[str]:
        if self.equal(before, after):
            return
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self._fields(before, after, path)
        elif isinstance(before, list) and isinstance(after, list):
            yield from self._items(before, after, path)
        elif isinstance(before, str) and isinstance(after, str):
            yield f"{path}: {'; '.join(text_changes(before, after, self._ignored))}"
        elif isinstance(before, bytes) and isinstance(after, bytes):
            yield f"{path}: {byte_change(before, after)}"
        else:
            yield f"{path}: {shown(before)} -> {shown(after)}"

    def _fields(self, before: dict[str, Any], after: dict[str, Any], path: _Path) -> Iterator[str]:
        for name, value in after.items():
            if name in before:
                yield from self._values(before[name], value, path.field(name))
            else:
                yield f"{path.field(name)}: not recorded, now {shown(value)}"
        for name, value in before.items():
            if name not in after:
                yield f"{path.field(name)}: recorded as {shown(value)}, now absent"

    def _items(self, before: list[Any], after: list[Any], path: _Path) -> Iterator[str]:
        old, new = list(map(self._key, before)), list(map(self._key, after))
        if sorted(old) == sorted(new):
            yield f"{path}: the same items in another order: {_order(before, after, _moves(old, new))}"
            return
        for match in align(old, new, _Score(before, after)):
            if match.old is None or match.new is None:
                yield _single(before, after, path, match.old, match.new)
            elif old[match.old] == new[match.new]:
                yield f"{path.new}[{match.new}]: moved, recorded at {path.old}[{match.old}]"
            else:
                at = path.item(match.new, match.old)
                yield from self._values(before[match.old], after[match.new], at)


class _Score:
    """How much two items of lists are alike."""

    def __init__(self, before: list[Any], after: list[Any]) -> None:
        self._before = before
        self._after = after
        self._sketches: dict[tuple[int, int], Sketch] = {}

    def __call__(self, old: int, new: int) -> float | None:
        before, after = self._before[old], self._after[new]
        likeness = self._sketch(self._before, old).likeness(self._sketch(self._after, new))
        names, kinds = (_name(before), _name(after)), (_kind(before), _kind(after))
        if names[0] == names[1] is not None and kinds[0] == kinds[1]:
            return 1.0 + likeness
        different = None not in names and names[0] != names[1]
        return None if (different or kinds[0] != kinds[1]) and likeness < _ALIKE else likeness

    def _sketch(self, items: list[Any], number: int) -> Sketch:
        at = id(items), number
        if at not in self._sketches:
            self._sketches[at] = Sketch("\n".join(str(leaf) for _, leaf in leaves(items[number])))
        return self._sketches[at]


def _name(item: Any) -> Any:
    for path in _NAMES:
        value = item
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str):
            return value
    return None


def _kind(item: Any) -> Any:
    # A text and an object are of different kinds, and so are messages of different roles.
    return (item.get("role"), item.get("type")) if isinstance(item, dict) else isinstance(item, list)


def _single(before: list[Any], after: list[Any], path: _Path, old: int | None, new: int | None) -> str:
    if old is None:
        return f"{path.new}[{new}]: not recorded, now {shown(after[new or 0])}"
    return f"{path.old}[{old}]: recorded as {shown(before[old])}, now absent"


def _moves(old: list[bytes], new: list[bytes]) -> list[tuple[int, int]]:
    places: dict[bytes, deque[int]] = {}
    for number, key in enumerate(old):
        places.setdefault(key, deque()).append(number)
    pairs = [(number, places[key].popleft()) for number, key in enumerate(new)]
    return [(now, was) for now, was in pairs if now != was]


def _order(before: list[Any], after: list[Any], moves: list[tuple[int, int]]) -> str:
    was, now = shown(before), shown(after)
    if max(len(was), len(now)) <= _SHORT:
        return f"recorded {was}, now {now}"
    told = ", ".join(f"[{new}] was [{old}]" for new, old in moves[:_MOST_PLACES])
    more = len(moves) - _MOST_PLACES
    return f"{told} and {more} more" if more > 0 else told
