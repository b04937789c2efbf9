"""Whether a secret is in what is about to be written, and where. A hit makes saving fail.

Two things are looked for: values that are known to be secret, in every form a body may have them in, and shapes that only
keys have.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from aquila.cassette.interaction import Interaction
from aquila.cassette.secrets.delta_text import delta_texts
from aquila.cassette.secrets.key_shapes import KEY_SHAPES, Shape
from aquila.cassette.secrets.leak_place import place_in_body, place_in_event
from aquila.cassette.secrets.secret import SHORTEST_SECRET, Secret

_ESCAPED_ASCII = re.compile(rb"\\u00([2-7][0-9A-Fa-f])")
_PERCENT = re.compile(rb"%[0-9A-Fa-f]{2}")


class _View(NamedTuple):
    """Some bytes to search, and what is left of them when all backslashes are taken away."""

    data: bytes
    bare: bytes


#: Gives where in a view a secret is; None if it is not.
_Finder = Callable[[_View], int | None]


@dataclass(frozen=True, slots=True)
class Leak:
    """Where a secret still is, and what kind of secret. Never its value."""

    place: str
    kind: str


def written_fields(interaction: Interaction) -> Iterator[tuple[str, bytes]]:
    """Give everything of an interaction that reaches the file, with the place it stands at.

    Yields:
        Place and content; the parameters of the URL come before the whole of it.
    """
    request = interaction.request
    for piece in _query(request.url).split("&"):
        name, _, value = piece.partition("=")
        yield f"request URL, parameter {name}", value.encode(errors="replace")
    yield "request URL", request.url.encode(errors="replace")
    for name, value in request.headers.items():
        yield f"request header {name}", value.encode(errors="replace")
    yield "request body", request.body
    for name, value in interaction.headers.items():
        yield f"response header {name}", value.encode(errors="replace")
    yield "response body", interaction.body
    if interaction.failure is not None:
        yield "error message", interaction.failure.message.encode(errors="replace")


def find_leak(fields: Iterable[tuple[str, bytes]], secrets: Iterable[Secret]) -> Leak | None:
    """Search named fields for secrets and for the shapes of keys.

    A known value is found as it is, percent-encoded, in base64 and as JSON escapes it; also where a stream sends it in
    several pieces.

    Args:
        fields: Places and what is written there. A place in a body is made more exact: a JSON path, an event's number,
            the name of a form's field.
        secrets: The values that are known.
    """
    finders = [*map(_value_finder, secrets), *((shape.kind, _shape_finder(shape)) for shape in KEY_SHAPES)]
    for place, data in fields:
        views = _views(data)
        for kind, find in finders:
            if _sees(find, views):
                return Leak(place_in_body(place, data, lambda part: _sees(find, _views(part))), kind)  # noqa: B023
        leak = _in_pieces(place, data, finders)
        if leak is not None:
            return leak
    return None


def _in_pieces(place: str, data: bytes, finders: Iterable[tuple[str, _Finder]]) -> Leak | None:
    for text in delta_texts(data):
        view = _view(text.joined(data))
        for kind, find in finders:
            at = find(view)
            if at is not None:
                return Leak(place_in_event(place, data, text.event_at(at), text.field), kind)
    return None


def _sees(find: _Finder, views: Iterable[_View]) -> bool:
    return any(find(view) is not None for view in views)


def _views(data: bytes) -> list[_View]:
    views = [_view(data)]
    if b"\\u00" in data:
        views.append(_view(_ESCAPED_ASCII.sub(lambda escape: bytes([int(escape[1], 16)]), data)))
    if b"%" in data and _PERCENT.search(data) is not None:
        views.append(_view(unquote_to_bytes(data)))
    return views


def _view(data: bytes) -> _View:
    return _View(data, data.replace(b"\\", b"") if b"\\" in data else b"")


def _shape_finder(shape: Shape) -> _Finder:
    return lambda view: next((start for start, _ in shape.spans(view.data)), None)


def _value_finder(secret: Secret) -> tuple[str, _Finder]:
    forms = tuple(dict.fromkeys(_forms(secret.value)))
    bare = tuple(dict.fromkeys(_bare_forms(secret.value)))

    def find(view: _View) -> int | None:
        # In a bare text the position is a little too small, which only matters to the place that is told.
        sought = chain(((view.data, form) for form in forms), ((view.bare, form) for form in bare))
        return next((at for data, form in sought if (at := data.find(form)) >= 0), None)

    return secret.name, find


def _forms(value: str) -> Iterator[bytes]:
    plain = value.encode(errors="surrogateescape")
    yield plain
    for offset in range(3):
        # Inside a longer base64 text a value starts at one of three alignments; only whole groups are certain.
        usable = plain[(3 - offset) % 3 :]
        whole = usable[: len(usable) // 3 * 3]
        if len(whole) >= SHORTEST_SECRET - 2:
            yield base64.b64encode(whole)
            yield base64.urlsafe_b64encode(whole)


def _bare_forms(value: str) -> Iterator[bytes]:
    # What is left of a value, escaped at any depth, when all backslashes are taken away.
    for as_ascii in (True, False):
        escaped = json.dumps(value, ensure_ascii=as_ascii)[1:-1]
        yield escaped.replace("\\", "").encode(errors="surrogateescape")


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""
