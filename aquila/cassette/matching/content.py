"""What the body of a request says, apart from how it is written: JSON, forms, texts and bytes in one form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

from aquila.cassette.body.json_path import without
from aquila.cassette.body.jsonbody import canonical, parse
from aquila.cassette.body.multipart_parts import Part, parse_parts
from aquila.cassette.matching.rules import Rules, counting_text

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Content:
    """A body that has been read."""

    kind: Literal["JSON", "form", "multipart form", "text", "bytes"]
    #: A JSON value; for a form an object of its fields, whose files have their bytes in it; else a text or bytes.
    document: Any

    @property
    def root(self) -> str:
        """What paths into the document begin with."""
        return "body" if self.kind in {"text", "bytes"} else "$"


def read_content(body: bytes, headers: Mapping[str, str]) -> Content:
    """Read the body of a request. What is broken is a text or bytes.

    Args:
        body: The whole body.
        headers: In lower case; only the type of the body counts.
    """
    value = parse(body)
    if value is not None:
        return Content("JSON", value)
    content_type = headers.get("content-type", "")
    parts = parse_parts(body, content_type)
    if parts is not None:
        return Content("multipart form", _fields((part.name, _part(part)) for part in parts))
    text = _text(body)
    if text is None:
        return Content("bytes", body)
    if text and content_type.lower().startswith(_FORM):
        return Content("form", _fields(parse_qsl(text, keep_blank_values=True)))
    return Content("text", text)


def comparable(content: Content, rules: Rules) -> bytes:
    """Give the bytes that equal contents share. The order of an object's keys and of a form's fields does not count.

    The order of a form's fields of one name counts, as that of a list does.
    """
    document = counting(content, rules).document
    match content.kind:
        case "bytes":
            return bytes(document)
        case "text":
            return str(document).encode()
        case "JSON":
            return canonical(document)
    return content.kind.encode() + b"\0" + canonical(mapped(document, bytes, digest))


def counting(content: Content, rules: Rules) -> Content:
    """Give what counts of a content under the rules; its document must not be used any more."""
    document = without(content.document, rules.ignore)
    if rules.ignore_text:
        document = mapped(document, str, lambda text: counting_text(text, rules.ignore_text))
    return Content(content.kind, document)


def mapped(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Give a document with all leaves of one type changed."""
    if isinstance(value, dict):
        return {name: mapped(child, kind, change) for name, child in value.items()}
    if isinstance(value, list):
        return [mapped(child, kind, change) for child in value]
    return change(value) if isinstance(value, kind) else value


def digest(data: bytes) -> list[Any]:
    """Give what bytes are compared by."""
    return [len(data), hashlib.blake2b(data, digest_size=16).hexdigest()]


def _fields(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    named: dict[str, list[Any]] = {}
    for name, value in pairs:
        named.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in named.items()}


def _part(part: Part) -> Any:
    if part.filename is None and not part.media_type:
        return _readable(part.data)
    return {"filename": part.filename, "content-type": part.media_type, "content": _readable(part.data)}


def _readable(data: bytes) -> str | bytes:
    text = _text(data)
    return data if text is None else text


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
