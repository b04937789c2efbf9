"""The texts that a stream of events or of other documents sends in pieces, put together again. Pure.

Pieces are those of one text when they stand in the same field of events with the same indexes, and of the same type and
id. They stay as JSON has them: joined, they are the content of one JSON string.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from aquila.cassette.body.jsonbody import parse
from aquila.cassette.secrets.stream_parts import document, stream_parts

_PIECE = re.compile(
    rb'"(content|arguments|delta|text|partial_json|thinking|reasoning|reasoning_content|refusal|input)"\s*:\s*"'
    rb'([^"\\\r\n]*(?:\\.[^"\\\r\n]*)*)"'
)
#: What says whose piece it is.
INDEX = re.compile(rb'"(?:\w{1,20}_)?index"\s*:\s*(\d+)')
#: The members of a document that say whose text it has a piece of. Those inside it do not count: the first piece of a
#: tool's arguments comes with the call's id, and the others without.
_WHOSE = ("type", "id", "item_id")
#: All members of these names. Most events of a stream have the same, and need not be parsed to know it.
_MEMBER = re.compile(rb'"(type|id|item_id)"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*"|[^\s",}\]]*)')


@dataclass(frozen=True, slots=True)
class DeltaText:
    """One text and where its pieces stand."""

    #: The name of the field.
    field: str
    #: Beginning and end of each piece in the body.
    pieces: tuple[tuple[int, int], ...]
    #: The number of each piece's event, from 1.
    events: tuple[int, ...]
    #: Where each piece begins in the joined text, and where the text ends.
    starts: tuple[int, ...]

    def joined(self, body: bytes) -> bytes:
        """Give the text, with JSON's escapes."""
        return b"".join(body[start:end] for start, end in self.pieces)

    def in_body(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Give a span of the joined text as spans of the body.

        Yields:
            One for each piece it touches.
        """
        for number in range(self._piece_at(start), len(self.pieces)):
            base = self.pieces[number][0] - self.starts[number]
            cut = max(start, self.starts[number]), min(end, self.starts[number + 1])
            if self.starts[number] >= end:
                return
            if cut[0] < cut[1]:
                yield cut[0] + base, cut[1] + base

    def event_at(self, position: int) -> int:
        """Give the number of the event that a position of the joined text stands in."""
        return self.events[self._piece_at(position)]

    def _piece_at(self, position: int) -> int:
        return min(bisect_right(self.starts, position), len(self.pieces)) - 1


def delta_texts(body: bytes, *, also_across: bool = False) -> list[DeltaText]:
    """Find the texts that come in more than one piece; none in a body that is one document.

    Args:
        body: The body, whole or cut off anywhere.
        also_across: Join the pieces of events with different types and ids too, besides.
    """
    found: dict[tuple[bytes, int, tuple[bytes, ...], _Whose | None], list[tuple[int, int, int]]] = {}
    at, whose, before = 0, _Whose(), None
    for number, event in enumerate(stream_parts(body), start=1):
        indexes = tuple(INDEX.findall(event))
        members = _MEMBER.findall(event)
        if members != before:
            whose, before = _whose(event) or whose, members
        seen: Counter[bytes] = Counter()
        for piece in _PIECE.finditer(event):
            seen[piece[1]] += 1
            for owner in (whose, None) if also_across else (whose,):
                key = piece[1], seen[piece[1]], indexes, owner
                found.setdefault(key, []).append((at + piece.start(2), at + piece.end(2), number))
        at += len(event)
    texts = (_text(key[0].decode(), pieces) for key, pieces in found.items() if len(pieces) > 1)
    return [*dict.fromkeys(texts)]


class _Whose(tuple[str, ...]):
    """What a document says of whose text it has a piece of."""

    __slots__ = ()


def _whose(event: bytes) -> _Whose | None:
    # One that is cut off, and so no JSON, goes on with what came before.
    value = parse(document(event))
    return _Whose(repr(value.get(name)) for name in _WHOSE) if isinstance(value, dict) else None


def _text(name: str, pieces: Sequence[tuple[int, int, int]]) -> DeltaText:
    return DeltaText(
        field=name,
        pieces=tuple((start, end) for start, end, _ in pieces),
        events=tuple(event for _, _, event in pieces),
        starts=tuple(accumulate((end - start for start, end, _ in pieces), initial=0)),
    )
