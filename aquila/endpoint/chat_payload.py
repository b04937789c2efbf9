"""The payloads of a chat completion stream, as far as we read them. Pure.

Validation and construction happen in one call of msgspec, which is what makes a chunk cheap.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from aquila.endpoint.failure import Failure, error_of, read_failure, stream_error
from aquila.endpoint.wire_json import UNREADABLE, read_json
from aquila.errors import AquilaError, ProtocolError


class Delta(msgspec.Struct, forbid_unknown_fields=True):
    """What a fragment, or a whole message, says."""

    content: str | list[Any] | None = None
    role: Any = None
    reasoning_content: str | None = None
    reasoning: str | dict[str, Any] | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None
    function_call: dict[str, Any] | None = None
    audio: Any = None
    annotations: list[Any] | None = None


class LaxDelta(Delta, forbid_unknown_fields=False):
    """A fragment with fields of its server's own, which `unknown_fields` gives."""


#: Names of events that only say that the server is there, in whatever form.
KEEPALIVES = frozenset({"keepalive", "ping"})

D = TypeVar("D", bound=Delta)


class Choice(msgspec.Struct, Generic[D]):
    """One of the answers; we ask for one."""

    index: int | None = 0
    delta: D | None = None
    message: D | None = None
    finish_reason: str | None = None
    error: Any = None


class Payload(msgspec.Struct, Generic[D]):
    """One chunk."""

    id: Any = None
    model: Any = None
    choices: list[Choice[D]] | None = None
    usage: Any = None
    error: Any = None
    x_groq: Any = None


_decode = msgspec.json.Decoder(Payload[Delta]).decode
_decode_lax = msgspec.json.Decoder(Payload[LaxDelta]).decode


def read_payload(data: bytes, name: str) -> Payload[Any]:
    """Read a chunk; fields nobody knows make its fragments a LaxDelta.

    Raises:
        ProtocolError: The payload is not JSON of the expected shape.
        AquilaError: The payload reports an error.
    """
    try:
        payload: Payload[Any] = _decode(data)
    except msgspec.ValidationError:
        return read_lax_payload(data, name)
    except UNREADABLE as error:
        return _unread(data, name, error)
    if payload.error or name == "error" or (payload.choices is None and payload.usage is None):
        _check_error(payload, data, name)
    return payload


def read_lax_payload(data: bytes, name: str) -> Payload[Any]:
    """Read a chunk of a server that is known to have fields of its own.

    Raises:
        ProtocolError: The payload is not JSON of the expected shape.
        AquilaError: The payload reports an error.
    """
    try:
        payload: Payload[Any] = _decode_lax(data)
    except UNREADABLE as error:
        return _unread(data, name, error)
    if payload.error or name == "error" or (payload.choices is None and payload.usage is None):
        _check_error(payload, data, name)
    return payload


def unknown_fields(data: bytes) -> dict[str, Any]:
    """Give the fields of the first choice's fragment that `Delta` does not name.

    Raises:
        ProtocolError: The payload holds a value that cannot be read.
    """
    for choice in read_json(data).get("choices") or ():
        if not choice.get("index"):
            fragment = choice.get("delta") or choice.get("message") or {}
            return {name: value for name, value in fragment.items() if name not in Delta.__struct_fields__}
    return {}


def _check_error(payload: Payload[Any], data: bytes, name: str) -> None:
    value = read_json(data)
    if payload.error or name == "error":
        raise error_of(value)
    if failure := read_failure(value):
        raise stream_error(failure)


def _unread(data: bytes, name: str, error: Exception) -> Payload[Any]:
    if name in KEEPALIVES:
        return Payload()
    raise _unreadable(data, name, error) from None


def _unreadable(data: bytes, name: str, error: Exception) -> AquilaError:
    # A list is no chat payload, but Gemini reports its errors in one; plain text follows llama.cpp's `error:` field.
    try:
        failure = read_failure(msgspec.json.decode(data))
    except UNREADABLE:
        failure = None
    if failure:
        return stream_error(failure)
    excerpt = data[:200].decode("utf-8", "replace")
    if name == "error":
        return stream_error(Failure(message=excerpt))
    return ProtocolError(f"the stream holds a payload that is no chat completion chunk ({error}): {excerpt}")
