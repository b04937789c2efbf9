"""Which recorded content is most like one that was not found. Pure, and quick: a cassette may hold a thousand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aquila.cassette.matching.content import Content
from aquila.cassette.matching.likeness import Sketch

#: More items are compared by their places only.
_MOST_PAIRS = 64

#: The pieces of a document by the field they stand in: the items of lists, and whole values.
Pieces = Mapping[str, Mapping[str, int]]


class Original:
    """The content that is looked for.

    Args:
        content: What is sent.
    """

    def __init__(self, content: Content) -> None:
        self._kind = content.kind
        self._pieces = _pieces(content.document)
        self._sketches = {text: Sketch(text) for texts in self._pieces.values() for text in texts}

    def distance(self, recorded: Content) -> float:
        """Give 0 for equal contents, and about 1 for each piece without a counterpart."""
        other = _pieces(recorded.document)
        fields = self._pieces.keys() | other.keys()
        return (recorded.kind != self._kind) + sum(
            self._field(self._pieces.get(name, {}), other.get(name, {})) for name in fields
        )

    def _field(self, sent: Mapping[str, int], recorded: Mapping[str, int]) -> float:
        if sent == recorded:
            return 0.0
        ours = list((Counter(sent) - Counter(recorded)).elements())
        theirs = [Sketch(text) for text in (Counter(recorded) - Counter(sent)).elements()]
        # The same pieces in another order are not the same.
        cost = 0.1 if not ours and not theirs else float(abs(len(ours) - len(theirs)))
        if len(ours) * len(theirs) > _MOST_PAIRS:
            return cost + sum(
                _cost(self._sketches[one].likeness(two)) for one, two in zip(ours, theirs, strict=False)
            )
        for one in ours:
            if theirs:
                scores = [self._sketches[one].likeness(two) for two in theirs]
                cost += _cost(max(scores))
                del theirs[scores.index(max(scores))]
        return cost


def _cost(likeness: float) -> float:
    return 1.0 - 0.9 * likeness


def _pieces(document: Any) -> Pieces:
    pieces: dict[str, Counter[str]] = {}
    fields = document if isinstance(document, dict) else {"": document}
    for name, value in fields.items():
        pieces[name] = Counter(map(_text, value if isinstance(value, list) else [value]))
    return pieces


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_digest)


def _digest(data: bytes) -> str:
    return f"{len(data)} {hash(data)}"
