"""Payloads through the decoders, without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from aquila.call import Call
from aquila.endpoint import PROFILES, ChatDecoder, Decoder, ResponsesDecoder, ResponsesEndpoint
from aquila.events import Chunk, Event, Status
from aquila.messages import Message
from aquila.transport.sse import SSEDecoder
from tests.responses_wire import response

PROVIDER = "gateway.example"


def chat_decoder(profile: str = "generic", limit: int | None = None, **changes: Any) -> ChatDecoder:
    """A decoder for a kind of server."""
    return ChatDecoder(PROFILES[profile].evolve(**changes), PROVIDER, limit)


def feed(decoder: Decoder, *payloads: Any, finish: bool = False) -> list[Event]:
    """Events of some payloads; bytes are taken as they are. The news that the answer has begun is left out."""
    events: list[Event] = []
    for payload in payloads:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        events += decoder.decode("", data)
    if finish:
        events += decoder.finish()
    return [event for event in events if not (isinstance(event, Status) and event.name == "created")]


def choice(finish: str | None = None, index: int | None = 0, **delta: Any) -> dict[str, Any]:
    """A chat completion chunk."""
    return {"id": "r", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def fragment(arguments: Any = None, **facts: Any) -> dict[str, Any]:
    """An entry of `delta.tool_calls`: `index`, `id` and `name` where given."""
    name = {"name": facts.pop("name")} if "name" in facts else {}
    return {**facts, "type": "function", "function": {**name, "arguments": arguments}}


def response_event(kind: str, **facts: Any) -> dict[str, Any]:
    """An event of the Responses API."""
    return {"type": f"response.{kind}", **facts}


def responses_decoder() -> ResponsesDecoder:
    """A decoder for the Responses API."""
    return ResponsesDecoder(PROVIDER)


def read_wire(decoder: Decoder, wire: bytes, cuts: Iterable[int] = ()) -> list[Event]:
    """Events of a whole event stream that is read in pieces."""
    sse = SSEDecoder()
    places = [0, *sorted(cuts), len(wire)]
    server_events = [event for start, end in pairwise(places) for event in sse.feed(wire[start:end])]
    events: list[Event] = []
    for name, data in [*server_events, *sse.flush()]:
        events += decoder.decode(name, data)
    return [*events, *decoder.finish()]


def text_delta(text: str, place: int | None = 0, part: int = 0, **facts: Any) -> dict[str, Any]:
    """A fragment of text on the Responses API."""
    where = {} if place is None else {"output_index": place}
    return response_event("output_text.delta", content_index=part, delta=text, **where, **facts)


def completed(*items: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """The end of a response that holds some items."""
    return response_event("completed", response=response("completed", list(items), **facts))


def texts(events: Iterable[Event]) -> str:
    """The text of some events."""
    return "".join(event.text for event in events if isinstance(event, Chunk))


def items_sent(turn: Message | None, provider: str = PROVIDER, **options: Any) -> list[dict[str, Any]]:
    """What the next request on the Responses API repeats of a turn."""
    assert turn is not None
    body = ResponsesEndpoint(PROFILES["openai"], provider).body(Call(model="m", messages=(turn,), **options))
    items: list[dict[str, Any]] = json.loads(body)["input"]
    return items
