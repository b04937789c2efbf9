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
#: A number stays one.
_ZERO = b"0"


class Replacement(NamedTuple):
    """A stretch of a body and what stands there instead."""

    start: int
    end: int
    new: bytes = REDACTED


def replacements(body: bytes, names: Collection[str] = ()) -> list[Replacement]:
    """Find what must be replaced in a body: JSON, events, a form, or any text with JSON in it.

    Args:
        body: The body, whole or cut off anywhere.
        names: Names of secret fields besides the usual ones.

    Returns:
        What to replace, in order; nothing twice, and nothing that is replaced already.
    """
    return _in_order(body, chain(_in_text(body, names), _in_form(body, names), _in_pieces(body, names)))


def _in_form(body: bytes, names: Collection[str]) -> Iterator[Replacement]:
    for field in form_fields(body):
        value = unquote_plus(body[field.start : field.end].decode(errors="replace"))
        if is_secret_parameter(field.name, value, names):
            yield Replacement(field.start, field.end)


def _in_text(text: bytes, names: Collection[str]) -> Iterator[Replacement]:
    lowered = text.lower()
    for value in field_values(lowered, names):
        yield Replacement(value.start, value.end, _ZERO if value.is_number else REDACTED)
    # What a project names may be a short number too.
    if names:
        yield from (Replacement(*span, _ZERO) for span in number_spans(lowered, names))
    for shape in REPLACED_SHAPES:
        if shape.literal in text:
            yield from (Replacement(*span) for span in shape.spans(text))


def _in_pieces(body: bytes, names: Collection[str]) -> Iterator[Replacement]:
    # Some fields only show when the pieces of a streamed text are put together, as those of a tool's arguments do.
    for text in delta_texts(body):
        for start, end, new in _in_text(text.joined(body), names):
            for piece in text.in_body(start, end):
                yield Replacement(*piece, new)
                # The first piece gets the new text, and the others lose what they had of the old.
                new = b""  # noqa: PLW2901


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
