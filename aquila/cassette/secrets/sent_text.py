"""The texts that a body's documents send in pieces, by the paths they stand at. Pure.

Two views of them: pieces of one path and the same indexes, wherever in their lists they stand; and pieces of one exact
path, whatever indexes their documents have.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from aquila.cassette.body.jsonbody import leaves, parse
from aquila.cassette.secrets.delta_text import INDEX
from aquila.cassette.secrets.stream_parts import document, stream_parts

_POSITION = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class SentText:
    """One text in pieces."""

    #: Where the first piece stands in its document; empty if that is no JSON.
    path: str
    pieces: tuple[str, ...]
    #: The number of each piece's document, from 1.
    documents: tuple[int, ...]

    def joined(self) -> str:
        """Give the whole text."""
        return "".join(self.pieces)

    def document_at(self, position: int) -> int:
        """Give the number of the document that a byte of the joined text, in UTF-8, stands in."""
        sizes = (len(piece.encode(errors="replace")) for piece in self.pieces)
        starts = [*accumulate(sizes, initial=0)]
        return self.documents[min(bisect_right(starts, position), len(self.pieces)) - 1]


def sent_texts(body: bytes) -> Iterator[SentText]:
    """Find the texts that come in more than one piece.

    Yields:
        Them, many in both of their views.
    """
    found: dict[tuple[str, tuple[bytes, ...] | None], list[tuple[str, str, int]]] = {}
    parts = stream_parts(body)
    for number, part in enumerate(parts if len(parts) > 1 else (), start=1):
        indexes = tuple(INDEX.findall(part))
        for path, text in _texts(document(part)):
            piece = path, text, number
            found.setdefault((path, None), []).append(piece)
            found.setdefault((_POSITION.sub("", path), indexes), []).append(piece)
    for pieces in found.values():
        if len(pieces) > 1:
            paths, texts, numbers = zip(*pieces, strict=True)
            yield SentText(paths[0], texts, numbers)


def _texts(text: bytes) -> Iterator[tuple[str, str]]:
    value = parse(text)
    if value is None:
        yield "", text.removeprefix(b" ").decode(errors="replace")
    for path, leaf in leaves(value):
        if isinstance(leaf, str) and leaf:
            yield path, leaf
