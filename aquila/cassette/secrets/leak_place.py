"""Where in a body something stands, in words a person can follow: a JSON path, an event, the field of a form. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable

from aquila.cassette.body.form_fields import form_fields
from aquila.cassette.body.jsonbody import leaves, parse
from aquila.cassette.secrets.stream_parts import document, stream_parts

#: Tells whether a part of a body is what is looked for.
IsIn = Callable[[bytes], bool]


def place_in_body(place: str, body: bytes, is_in: IsIn) -> str:
    """Tell where in a body something is.

    Args:
        place: What the body is.
        body: The whole of it.
        is_in: Tells whether a part of it has it.
    """
    path = _path(body, is_in)
    if path is not None:
        return f"{place} at {path}"
    for number, part in enumerate(stream_parts(body), start=1):
        if is_in(part):
            return in_event(place, number, _path(document(part), is_in))
    for field in form_fields(body):
        if is_in(body[field.start : field.end]):
            return f'{place}, field "{field.name}"'
    return place


def place_in_event(place: str, body: bytes, number: int, name: str) -> str:
    """Tell where in a stream a text begins.

    Args:
        place: What the stream is.
        body: The whole of it.
        number: The event's number, from 1.
        name: The field's name.
    """
    paths = (
        path
        for path, leaf in leaves(parse(document(stream_parts(body)[number - 1])))
        if isinstance(leaf, str) and path.endswith(f".{name}")
    )
    return in_event(place, number, next(paths, None))


def in_event(place: str, number: int, path: str | None) -> str:
    """Name an event, and a path in it if there is one."""
    return f"{place}, event {number}" + (f" at {path}" if path else "")


def _path(text: bytes, is_in: IsIn) -> str | None:
    for path, leaf in leaves(parse(text)):
        if isinstance(leaf, str) and is_in(_written(leaf)):
            return path
    return None


def _written(leaf: str) -> bytes:
    # With the escapes of JSON, as what is looked for may be known in that form only.
    return json.dumps(leaf, ensure_ascii=False)[1:-1].encode(errors="replace")
