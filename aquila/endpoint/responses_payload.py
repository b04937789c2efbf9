"""The payloads of a response stream, as far as we read them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aquila.endpoint.failure import Failure, read_failure, stream_error
from aquila.endpoint.wire_json import UNREADABLE
from aquila.errors import AquilaError, ProtocolError

_EXCERPT = 200
#: Names of events that only say that the server is there, in whatever form.
KEEPALIVES = frozenset({"keepalive", "ping"})
#: The families of events that are passed on as `Status` under their own name, by how the name begins behind `response.`.
#: Prefixes and not names: a known tool in a new state is still news of that tool.
PASSED_ON = (
    "content_part.", "output_item.",
    "web_search_call.", "file_search_call.", "code_interpreter_call.", "code_interpreter_call_code.",
    "image_generation_call.", "mcp_call.", "mcp_call_arguments.", "mcp_list_tools.", "custom_tool_call_input.",
    "shell_call_command.", "shell_call_output_content.", "compaction.", "audio.", "steer.",
)  # fmt: skip


class Head(msgspec.Struct):
    """What all events have, and the fragment that most of them are."""

    type: str | None = None
    delta: Any = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    sequence_number: int | None = None


decode_head = msgspec.json.Decoder(Head).decode


def news_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an event says besides its name; the padding against eavesdroppers says nothing."""
    return {
        key: value for key, value in payload.items() if key not in {"type", "sequence_number", "obfuscation"}
    }


def read_response(body: bytes) -> dict[str, Any]:
    """Read a whole response.

    Raises:
        ProtocolError: The body is no response.
        AquilaError: The body reports an error.
    """  # noqa: DOC501 - what `unreadable` and `stream_error` make is one of these
    try:
        value = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise unreadable(body, "", error) from None
    if isinstance(value, dict) and "output" in value:
        return value
    failure = read_failure(value)
    if failure:
        raise stream_error(failure)
    raise ProtocolError(f"the answer is no response: {body[:_EXCERPT].decode('utf-8', 'replace')}")


def unreadable(data: bytes, name: str, error: Exception) -> AquilaError:
    """Say what is wrong with a payload that cannot be read: an error in a shape of its own, or no JSON at all."""
    excerpt = data[:_EXCERPT].decode("utf-8", "replace")
    try:
        failure = read_failure(msgspec.json.decode(data))
    except UNREADABLE:
        failure = None
    if failure is None and name == "error":
        failure = Failure(message=excerpt)
    if failure:
        return stream_error(failure)
    return ProtocolError(f"the stream holds a payload that is no event of a response ({error}): {excerpt}")
