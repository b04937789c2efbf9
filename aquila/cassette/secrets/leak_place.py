"""Where in a body something stands, in words a person can follow: a JSON path, an event, the field of a form. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable

from aquila.cassette.answer import split_events
from aquila.cassette.body.form_fields import form_fields
from aquila.cassette.body.jsonbody import leaves, parse
from aquila.cassette.secrets.delta_text import is_stream

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
    if is_stream(body):
        for number, event in enumerate(split_events(body), start=1):
            if is_in(event):
                path = _path(_data(event), is_in)
                return f"{place}, event {number}" + ("" if path is None else f" at {path}")
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
    event = split_events(body)[number - 1]
    path = next(
        (
            path
            for path, leaf in leaves(parse(_data(event)))
            if isinstance(leaf, str) and path.endswith(f".{name}")
        ),
        None,
    )
    return f"{place}, event {number}" + ("" if path is None else f" at {path}")


def _path(text: bytes, is_in: IsIn) -> str | None:
    for path, leaf in leaves(parse(text)):
        if isinstance(leaf, str) and is_in(_written(leaf)):
            return path
    return None


def _written(leaf: str) -> bytes:
    # With the escapes of JSON, as what is looked for may be known in that form only.
    return json.dumps(leaf, ensure_ascii=False)[1:-1].encode(errors="replace")


def _data(event: bytes) -> bytes:
    lines = (line.partition(b":")[2] for line in event.splitlines() if line.startswith(b"data:"))
    return b"\n".join(lines)
