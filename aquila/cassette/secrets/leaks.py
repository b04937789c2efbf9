"""Whether a secret is in what is about to be written, and where. A hit makes saving fail.

Two things are looked for: values that are known to be secret, in every form a body may have them in, and shapes that only
keys have.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from aquila.cassette.interaction import Interaction
from aquila.cassette.secrets.delta_text import delta_texts
from aquila.cassette.secrets.key_shapes import KEY_SHAPES, Shape
from aquila.cassette.secrets.leak_place import in_event, place_in_body, place_in_event
from aquila.cassette.secrets.secret import SHORTEST_SECRET, Secret
from aquila.cassette.secrets.secret_names import TEXT_FIELDS
from aquila.cassette.secrets.sent_text import sent_texts

_ESCAPED_ASCII = re.compile(rb"\\u00([2-7][0-9A-Fa-f])")
#: Those with a capital letter; most writers use none.
_ESCAPE = re.compile(rb"\\u(?=[0-9a-f]{0,3}[A-F])[0-9A-Fa-f]{4}")
_PERCENT = re.compile(rb"%[0-9A-Fa-f]{2}")
#: Of the path at the end of a place; `$.input[0]` has `input`.
_LAST_NAME = re.compile(r" at \$.*\.(\w+)(?:\[\d+\])*\Z")


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

    @property
    def is_in_text(self) -> bool:
        """Whether it is in a text of a prompt or an answer, which has no field of its own to redact."""
        found = _LAST_NAME.search(self.place)
        return found is not None and found[1] in TEXT_FIELDS - {"arguments"}


def written_fields(interaction: Interaction) -> Iterator[tuple[str, bytes]]:
    """Give everything of an interaction that reaches the file, with the place it stands at.

    Yields:
        Place and content; the parameters of the URL come before the whole of it.
    """
    request = interaction.request
    yield "request method", octets(request.method)
    for piece in _query(request.url).split("&"):
        name, _, value = piece.partition("=")
        yield f"request URL, parameter {name}", octets(value)
    yield "request URL", octets(request.url)
    yield from _headers("request", request.headers)
    yield "request body", request.body
    yield "reason phrase", octets(interaction.reason)
    yield from _headers("response", interaction.headers)
    yield "response body", interaction.body
    yield "name of the model", octets(interaction.model or "")
    yield "source", octets(interaction.source or "")
    if interaction.failure is not None:
        yield "error message", octets(interaction.failure.message)


def _headers(side: str, headers: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    yield f"names of {side} headers", octets("\n".join(headers))
    for name, value in headers.items():
        yield f"{side} header {name}", octets(value)


def find_leak(
    fields: Iterable[tuple[str, bytes]], secrets: Iterable[Secret], allow: Iterable[str] = ()
) -> Leak | None:
    """Search named fields for secrets and for the shapes of keys.

    A known value is found as it is, percent-encoded, in base64 and as JSON escapes it; also where a stream sends it in
    several pieces.

    Args:
        fields: Places and what is written there. A place in a body is made more exact: a JSON path, an event's number,
            the name of a form's field.
        secrets: The values that are known.
        allow: Texts that are no secrets, although they look like it.
    """
    allow = tuple(allow)
    known = [secret for secret in secrets if not any(secret.value in text for text in allow)]
    values = [_value_finder(secret) for secret in known]
    allowed = tuple(map(octets, allow))
    finders = [*values, *((shape.kind, _shape_finder(shape, allowed)) for shape in KEY_SHAPES)]
    has_blanks = any(" " in secret.value for secret in known)
    for place, data in fields:
        views = _views(data, has_blanks=has_blanks)
        for kind, find in finders:
            if _sees(find, views):
                return Leak(
                    place_in_body(place, data, lambda part: _sees(find, _views(part, has_blanks=has_blanks))),  # noqa: B023
                    kind,
                )
        leak = _in_pieces(place, data, finders) or (_in_sent_texts(place, data, values) if values else None)
        if leak is not None:
            return leak
    return None


def _in_pieces(place: str, data: bytes, finders: Iterable[tuple[str, _Finder]]) -> Leak | None:
    for text in delta_texts(data, also_across=True):
        view = _view(text.joined(data))
        for kind, find in finders:
            at = find(view)
            if at is not None:
                return Leak(place_in_event(place, data, text.event_at(at), text.field), kind)
    return None


def _in_sent_texts(place: str, data: bytes, values: Iterable[tuple[str, _Finder]]) -> Leak | None:
    # Not for shapes: the ids and types of events, joined, may look like anything.
    for text in sent_texts(data):
        view = _view(octets(text.joined()))
        for kind, find in values:
            at = find(view)
            if at is not None:
                return Leak(in_event(place, text.document_at(at), text.path), kind)
    return None


def _sees(find: _Finder, views: Iterable[_View]) -> bool:
    return any(find(view) is not None for view in views)


def _views(data: bytes, *, has_blanks: bool) -> list[_View]:
    views = [_view(data)]
    if b"\\u00" in data:
        views.append(_view(_ESCAPED_ASCII.sub(lambda escape: bytes([int(escape[1], 16)]), data)))
    if b"%" in data and _PERCENT.search(data) is not None:
        views.append(_view(unquote_to_bytes(data)))
    if has_blanks and b"+" in data:
        # So forms write blanks.
        views.append(_view(unquote_to_bytes(data.replace(b"+", b" "))))
    return views


def _view(data: bytes) -> _View:
    if b"\\" not in data:
        return _View(data, b"")
    bare = _ESCAPE.sub(lambda escape: escape[0].lower(), data) if b"\\u" in data else data
    return _View(data, bare.replace(b"\\", b""))


def _shape_finder(shape: Shape, allowed: Sequence[bytes]) -> _Finder:
    def find(view: _View) -> int | None:
        found = (
            start
            for start, end in shape.spans(view.data)
            if not (allowed and _is_allowed(view.data[start:end], shape, allowed))
        )
        return next(found, None)

    return find


def _is_allowed(key: bytes, shape: Shape, allowed: Iterable[bytes]) -> bool:
    # `Bearer abc` is allowed where `abc` is.
    return any(
        key in text or (text in key and not shape.is_key(key.replace(text, b"").removeprefix(shape.literal)))
        for text in allowed
    )


def _value_finder(secret: Secret) -> tuple[str, _Finder]:
    forms = tuple(dict.fromkeys(_forms(secret.value)))
    bare = tuple(dict.fromkeys(_bare_forms(secret.value)))

    def find(view: _View) -> int | None:
        # In a bare text the position is a little too small, which only matters to the place that is told.
        sought = chain(((view.data, form) for form in forms), ((view.bare, form) for form in bare))
        return next((at for data, form in sought if (at := data.find(form)) >= 0), None)

    return secret.name, find


def _forms(value: str) -> Iterator[bytes]:
    whole = octets(value)
    yield whole
    for offset in range(3):
        # Inside a longer base64 text a value starts at one of three alignments; only whole groups are certain.
        usable = whole[(3 - offset) % 3 :]
        groups = usable[: len(usable) // 3 * 3]
        if len(groups) >= SHORTEST_SECRET - 2:
            yield base64.b64encode(groups)
            yield base64.urlsafe_b64encode(groups)


def _bare_forms(value: str) -> Iterator[bytes]:
    # What is left of a value, escaped at any depth, when all backslashes are taken away.
    for as_ascii in (True, False):
        escaped = json.dumps(value, ensure_ascii=as_ascii)[1:-1]
        yield octets(escaped.replace("\\", ""))


def octets(text: str) -> bytes:
    """Give the bytes of a text, also of one that holds bytes of an environment or of headers that are no UTF-8."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace")


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""
