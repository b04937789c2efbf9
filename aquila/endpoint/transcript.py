"""Reads a transcript: whole, or streamed by `transcript.text.*` events. Pure.

Source: OpenAI's API reference for `POST /audio/transcriptions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aquila.endpoint.failure import error_of, read_failure, stream_error
from aquila.endpoint.wire_json import excerpt, object_of, read_json, text_of
from aquila.errors import ProtocolError
from aquila.events import Chunk, Event, Status, Unknown, UsageUpdate
from aquila.messages import Message
from aquila.response import Usage
from aquila.tool_call import ToolCall

_DONE = b"[DONE]"
_PREFIX = "transcript.text."


class TranscriptDecoder:
    """Reads one transcript; the pieces of a conversation with names of speakers come as `Status("segment", ...)`."""

    __slots__ = ("_text", "ended")

    #: A transcript calls nothing.
    calls: Sequence[ToolCall] = ()

    def __init__(self) -> None:
        self._text: list[str] = []
        #: The closing event has been seen.
        self.ended = False

    @property
    def closed(self) -> bool:
        """True behind the closing event."""
        return self.ended

    def decode(self, name: str, data: bytes) -> list[Event]:
        """Turn one server-sent event into events.

        Raises:
            ProtocolError: The payload is not JSON of the expected shape.
            AquilaError: The payload reports an error.
        """  # noqa: DOC501 - what `error_of` makes is one of these
        if data == _DONE or not data or data.isspace():
            return []
        payload = object_of(read_json(data), "event")
        kind = text_of(payload.get("type"), "type") or name
        if kind == "error" or payload.get("error"):
            raise error_of(dict(payload))
        match kind.removeprefix(_PREFIX):
            case "delta":
                return self._add(text_of(payload.get("delta"), "delta"))
            case "segment":
                return [Status("segment", {key: value for key, value in payload.items() if key != "type"})]
            case "done":
                return self._end(payload)
            case _:
                return [Unknown(payload)]

    def decode_whole(self, body: bytes) -> list[Event]:
        """Turn the transcript of a provider that ignored `stream: true` into events.

        Raises:
            ProtocolError: The body is no transcript.
            AquilaError: The body reports an error.
        """
        facts = read_transcript(read_json(body))
        segments = facts.get("segments")
        found = [item for item in segments if isinstance(item, Mapping)] if isinstance(segments, list) else []
        return [*(Status("segment", item) for item in found), *self._end(facts)]

    def finish(self) -> list[Event]:
        """Give nothing: the closing event says it all."""
        return []

    def turn(self) -> Message | None:
        """Give None: a transcript is no turn of a conversation."""

    def resume(self) -> tuple[str, int] | None:
        """Give None: a transcript that was lost has to be made again."""

    def _add(self, text: str) -> list[Event]:
        if not text:
            return []
        self._text.append(text)
        return [Chunk(text)]

    def _end(self, facts: Mapping[str, Any]) -> list[Event]:
        said, whole = "".join(self._text), text_of(facts.get("text"), "text")
        # What came in fragments stays as it came; only what is missing at its end is added.
        rest = whole[len(said) :] if whole.startswith(said) else ""
        usage = transcript_usage(facts)
        self.ended = True
        return [
            *self._add(rest),
            *([UsageUpdate(usage)] if usage is not None else []),
            Status("finished", {"finish_reason": "stop", "status": "completed"}),
        ]


def read_transcript(value: object) -> Mapping[str, Any]:
    """Check that a decoded value is a transcript.

    Raises:
        ProtocolError: It is something else.
        AquilaError: It is the provider's error.
    """  # noqa: DOC501 - what `stream_error` makes is one of these
    if isinstance(value, Mapping) and isinstance(value.get("text"), str):
        return value
    failure = read_failure(value)
    if failure is not None:
        raise stream_error(failure)
    raise ProtocolError(f"the answer is no transcript: {excerpt(value)}")


def transcript_usage(facts: Mapping[str, Any]) -> Usage | None:
    """Read the tokens of a transcript; None if it counts none, as those billed by the second."""
    wire = facts.get("usage")
    if not isinstance(wire, Mapping):
        return None
    names = ("input_tokens", "output_tokens", "total_tokens")
    usage = Usage(**{name: wire[name] for name in names if type(wire.get(name)) is int})
    return usage if usage.to_dict() else None
