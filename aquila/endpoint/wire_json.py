"""JSON from the wire and for it: nothing of a wrong type passes for something else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aquila.errors import ConfigError, ProtocolError

#: What decoding bytes that are no JSON raises: bad syntax, bad UTF-8, or nesting without end.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
#: What encoding values that are no JSON raises; ValueError covers text that is no Unicode.
_UNSENDABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
_EXCERPT = 200


def read_json(data: bytes) -> Any:
    """Decode a payload, fields that nobody reads included.

    Raises:
        ProtocolError: The payload is not JSON.
    """
    try:
        return msgspec.json.decode(data)
    except UNREADABLE as error:
        said = data[:_EXCERPT].decode("utf-8", "replace")
        raise ProtocolError(f"the stream holds a payload that is no JSON ({error}): {said}") from None


def json_text(value: Any) -> str:
    """Write a decoded value as JSON again.

    Raises:
        ProtocolError: The value is nested without end.
    """
    try:
        return msgspec.json.encode(value).decode()
    except _UNSENDABLE as error:
        raise ProtocolError(f"the stream holds a value that is no JSON ({error})") from None


def excerpt(value: object, size: int = _EXCERPT) -> str:
    """Show the beginning of any value in a message: text as it is, all else as JSON."""
    if isinstance(value, str):
        return value[:size]
    try:
        return json_text(value)[:size]
    except ProtocolError:
        return f"a {type(value).__name__} that is nested without end"


def text_of(value: Any, name: str) -> str:
    """Give a field's text; null is none.

    Raises:
        ProtocolError: The field holds something else.
    """
    if value is None or isinstance(value, str):
        return value or ""
    raise ProtocolError(f"the stream's {name} is {type(value).__name__} and no text: {excerpt(value)}")


def object_of(value: Any, name: str) -> Mapping[str, Any]:
    """Give a field's object; null is an empty one.

    Raises:
        ProtocolError: The field holds something else.
    """
    if value is None or isinstance(value, Mapping):
        return value or {}
    raise ProtocolError(f"the stream's {name} is {type(value).__name__} and no object: {excerpt(value)}")


def list_of(value: Any, name: str) -> list[Any]:
    """Give a field's list; null is an empty one.

    Raises:
        ProtocolError: The field holds something else.
    """
    if value is None or isinstance(value, list):
        return value or []
    raise ProtocolError(f"the stream's {name} is {type(value).__name__} and no list: {excerpt(value)}")


def encode_body(body: Mapping[str, Any]) -> bytes:
    """Write a request's body.

    Raises:
        ConfigError: A field holds what JSON has no form for; the message names it.
    """
    try:
        return msgspec.json.encode(body, enc_hook=_plain)
    except _UNSENDABLE as error:
        name = next((name for name, value in body.items() if not _is_sendable(value)), "body")
        raise ConfigError(
            f"{name}: cannot be sent as JSON ({error}); give valid Unicode text, numbers, lists and dicts"
        ) from None


def _plain(value: Any) -> Any:
    """Give a kind of text, number, list or dict (Django's SafeString) as what it is.

    Raises:
        TypeError: It is none of them.
    """
    if isinstance(value, str):
        return str.__add__(value, "")
    if isinstance(value, int):
        return int.__add__(value, 0)
    if isinstance(value, float):
        return float.__add__(value, 0.0)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return list(value)
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


def _is_sendable(value: Any) -> bool:
    try:
        msgspec.json.encode(value, enc_hook=_plain)
    except _UNSENDABLE:
        return False
    return True
