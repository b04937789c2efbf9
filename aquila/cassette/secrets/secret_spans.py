"""Where in a body something must be replaced: the values of secret fields, and ids that errors tell. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import NamedTuple
from urllib.parse import unquote_plus

from aquila.cassette.body.form_fields import form_fields
from aquila.cassette.secrets.delta_text import delta_texts
from aquila.cassette.secrets.key_shapes import REPLACED_SHAPES
from aquila.cassette.secrets.secret_fields import field_values, number_spans
from aquila.cassette.secrets.secret_names import is_secret_parameter

REDACTED = b"[redacted]"
_LITERALS = frozenset(shape.literal for shape in REPLACED_SHAPES)
#: A number stays one.
_ZERO = b"0"
#: Fields that stream the arguments of tools: a value whose end has not come is a value all the same.
_ARGUMENTS = frozenset({"arguments", "delta", "input", "partial_json"})
_NOT_CLOSED = (b"", b"\r", b"\n")


class Replacement(NamedTuple):
    """A stretch of a body and what stands there instead."""

    start: int
    end: int
    new: bytes = REDACTED


def replacements(body: bytes, names: Collection[str] = (), *, pieces: bool = True) -> list[Replacement]:
    """Find what must be replaced in a body: JSON, events, a form, or any text with JSON in it.

    Args:
        body: The body, whole or cut off anywhere.
        names: Names of secret fields besides the usual ones.
        pieces: Whether its documents may send one text in pieces, as those of an answer do.

    Returns:
        What to replace, in order; nothing twice, and nothing that is replaced already.
    """
    in_pieces = _in_pieces(body, names) if pieces else ()
    return _in_order(body, chain(_in_text(body, names), _in_form(body, names), in_pieces))


def _in_form(body: bytes, names: Collection[str]) -> Iterator[Replacement]:
    for field in form_fields(body):
        value = unquote_plus(body[field.start : field.end].decode(errors="replace"))
        if is_secret_parameter(field.name, value, names):
            yield Replacement(field.start, field.end)


def _in_text(text: bytes, names: Collection[str]) -> Iterator[Replacement]:
    yield from _in_fields(text, names)
    yield from (Replacement(*span) for span in _ids(text))


def _in_fields(text: bytes, names: Collection[str]) -> Iterator[Replacement]:
    lowered = text.lower()
    for value in field_values(lowered, names):
        yield Replacement(value.start, value.end, _ZERO if value.is_number else REDACTED)
    # What a project names may be a short number too.
    if names:
        yield from (Replacement(*span, _ZERO) for span in number_spans(lowered, names))


def _ids(text: bytes) -> Iterator[tuple[int, int]]:
    # Few bodies hold anything of the kind, and a body of a request is looked at each time it is sent.
    if any(literal in text for literal in _LITERALS):
        for shape in REPLACED_SHAPES:
            yield from shape.spans(text)


def _in_pieces(body: bytes, names: Collection[str]) -> Iterator[Replacement]:
    # Some fields only show when the pieces of a streamed text are put together, as those of a tool's arguments do.
    for text in delta_texts(body):
        joined = text.joined(body)
        for start, end, new in _in_fields(joined, names):
            pieces = [*text.in_body(start, end)]
            # Without a quote at its end, what follows may be other texts and none of the value.
            is_whole = text.field in _ARGUMENTS or joined[end : end + 1] not in _NOT_CLOSED
            yield from _over(pieces if is_whole else pieces[:1], new)
        for start, end in _ids(joined):
            pieces = [*text.in_body(start, end)]
            # What stands in one piece is found there, and is no id where it only follows another text's words.
            if len(pieces) > 1:
                yield from _over(pieces, REDACTED)


def _over(pieces: Iterable[tuple[int, int]], new: bytes) -> Iterator[Replacement]:
    for piece in pieces:
        yield Replacement(*piece, new)
        # The first piece gets the new text, and the others lose what they had of the old.
        new = b""


def _in_order(body: bytes, found: Iterable[Replacement]) -> list[Replacement]:
    ordered: list[Replacement] = []
    at = 0
    for item in sorted(found, key=lambda item: (item.start, -item.end)):
        if item.end <= max(at, item.start):
            continue
        if item.start < at:
            item = Replacement(at, item.end, b"")  # noqa: PLW2901 - its beginning is replaced already
        if body[item.start : item.end] != item.new:
            ordered.append(item)
        at = item.end
    return ordered
