"""A server that misbehaves as told, over a real socket, and the words in which both APIs say the same."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import anyio

import aquila
from aquila.errors import AquilaError
from aquila.response import Response
from aquila.retry import Retry
from tests import responses_wire, wire
from tests.wire import Connection, Server

#: RESET breaks the connection at once, as a crashed peer does; CLOSE ends it politely in the middle of the body; LINGER
#: says nothing more and keeps it open; FOREVER sends a keep-alive comment every 10 ms.
Fault: TypeAlias = Literal["RESET", "CLOSE", "LINGER", "FOREVER"]
#: Bytes to send, seconds to wait, or how it all ends. Without an end the body ends as it should.
Step: TypeAlias = bytes | float | Fault

#: Pauses that cost a test nothing.
QUICK = Retry(min_backoff=0.001, max_backoff=0.001)

_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the server does with one request."""

    steps: Sequence[Step] = ()
    status: str = "200 OK"
    kind: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    #: What happens before the head is sent.
    before: Sequence[Step] = ()
    #: True sends the steps as they are: no head, no framing.
    bare: bool = False


def reply(*steps: Step, **facts: Any) -> Reply:
    """Make a reply of its steps."""
    return Reply(steps=steps, **facts)


def refusal(status: str, error: Any = None, **headers: str) -> Reply:
    """Make an error response with a JSON body."""
    body = [] if error is None else [json.dumps({"error": error}).encode()]
    return Reply(steps=body, status=status, kind="application/json", headers=headers)


@asynccontextmanager
async def misbehave(*replies: Reply) -> AsyncIterator[Server]:
    """Serve one reply after the other; the last one is repeated."""
    seen = 0

    async def handler(connection: Connection) -> None:
        nonlocal seen
        answer = replies[min(seen, len(replies) - 1)]
        seen += 1
        await play(connection, answer)

    async with wire.serve(handler) as server:
        yield server


async def play(connection: Connection, answer: Reply) -> None:
    """Answer one request."""
    for step in answer.before:
        if not await _step(connection, step, connection.transport.write):
            return
    if answer.bare:
        send = connection.transport.write
    else:
        connection.start(answer.status, answer.kind, **answer.headers)
        send = connection.send
    for step in answer.steps:
        if not await _step(connection, step, send):
            return
    if answer.bare:
        connection.transport.close()
    else:
        connection.end()


async def _step(connection: Connection, step: Step, send: Callable[[bytes], None]) -> bool:
    """Do one step, and say whether there is somebody left to do the next one for."""
    match step:
        case bytes():
            send(step)
        case float() | int():
            with anyio.move_on_after(step):
                await connection.closed.wait()
        case "FOREVER":
            while not connection.closed.is_set():
                send(b": ping\n\n")
                await anyio.sleep(0.01)
        case "LINGER":
            await connection.closed.wait()
        case "CLOSE":
            connection.transport.close()
            await connection.closed.wait()
        case "RESET":
            # A reset throws away what the peer has not read yet, so what was sent gets the time to arrive.
            await anyio.sleep(0.05)
            raw: socket.socket = connection.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            connection.transport.abort()
            await connection.closed.wait()
    return not connection.closed.is_set()


class Chat:
    """Answers in the words of Chat Completions."""

    endpoint = "chat"

    @staticmethod
    def said(*texts: str) -> list[bytes]:
        """An answer that has begun and not ended."""
        return [wire.delta("", role="assistant"), *map(wire.delta, texts)]

    @staticmethod
    def answer(*texts: str) -> list[bytes]:
        """A whole answer."""
        return wire.answer(*texts)

    @staticmethod
    def calls(*calls: tuple[str, str, str]) -> list[bytes]:
        """A whole answer that calls functions: id, name, arguments."""
        entries = [
            {"index": place, "id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
            for place, (call_id, name, text) in enumerate(calls)
        ]
        return [
            *(wire.delta(tool_calls=[entry]) for entry in entries),
            wire.delta(finish="tool_calls"),
            wire.usage(9, 4),
            wire.DONE,
        ]

    @staticmethod
    def cut(text: str) -> list[bytes]:
        """An answer that the token limit has cut."""
        return [*Chat.said(text), wire.delta(finish="length"), wire.usage(7, 1), wire.DONE]

    @staticmethod
    def error(message: str, code: str | int | None = None) -> bytes:
        """An error inside the stream."""
        return wire.event({"error": {"message": message, "type": "server_error", "code": code}})

    @staticmethod
    def whole(text: str) -> bytes:
        """The answer of a server that does not stream, on several lines."""
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m-2026", "choices": [choice]}
        return json.dumps(body, indent=2).encode()

    @staticmethod
    def outputs(body: Any) -> list[tuple[str, Any]]:
        """The results of tools in a request: id and text."""
        tools = [message for message in body["messages"] if message["role"] == "tool"]
        return [(message["tool_call_id"], message["content"]) for message in tools]


class Responses:
    """Answers in the words of the Responses API."""

    endpoint = "responses"

    @staticmethod
    def said(*texts: str) -> list[bytes]:
        """An answer that has begun and not ended."""
        return responses_wire.answer(*texts)[: 4 + len(texts)]

    @staticmethod
    def answer(*texts: str) -> list[bytes]:
        """A whole answer."""
        return responses_wire.answer(*texts)

    @staticmethod
    def calls(*calls: tuple[str, str, str]) -> list[bytes]:
        """A whole answer that calls functions: id, name, arguments."""
        items = [
            {**responses_wire.call(call_id, name, {}), "arguments": text} for call_id, name, text in calls
        ]
        return responses_wire.calls(*items)

    @staticmethod
    def cut(text: str) -> list[bytes]:
        """An answer that the token limit has cut."""
        end = responses_wire.response(
            "incomplete",
            [responses_wire.message(text)],
            incomplete_details={"reason": "max_output_tokens"},
            usage=responses_wire.usage(7, 1),
        )
        return [*Responses.said(text), responses_wire.event("response.incomplete", 9, response=end)]

    @staticmethod
    def error(message: str, code: str | int | None = None) -> bytes:
        """An error inside the stream."""
        return responses_wire.event("error", 99, code=code, message=message, param=None)

    @staticmethod
    def whole(text: str) -> bytes:
        """The answer of a server that does not stream, on several lines."""
        return json.dumps(
            responses_wire.response("completed", [responses_wire.message(text)]), indent=2
        ).encode()

    @staticmethod
    def outputs(body: Any) -> list[tuple[str, Any]]:
        """The results of tools in a request: id and text."""
        items = [item for item in body["input"] if item.get("type") == "function_call_output"]
        return [(item["call_id"], item["output"]) for item in items]


Api: TypeAlias = type[Chat] | type[Responses]
BOTH: tuple[Api, ...] = (Chat, Responses)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of a table: what the server does, and what must come of it."""

    name: str
    replies: Sequence[Reply]
    #: The answer's text; not looked at when an error is expected.
    text: str = ""
    #: The exact class of the error; None for an answer.
    error: type[AquilaError] | None = None
    #: What the error must say.
    says: str = ""
    #: The text in the error.
    partial: str = ""
    requests: int = 1
    #: An upper bound for the whole run.
    seconds: float = 5.0
    #: True: the connection is given up, and the server notices.
    closed: bool = False
    options: dict[str, Any] = field(default_factory=dict)


async def check(case: Case, api: Api, **options: Any) -> Response | AquilaError:
    """Run a row against a real socket, and give what came of it."""
    async with misbehave(*case.replies) as server:
        given = {"endpoint": api.endpoint, "retry": QUICK, "base_url": server.url, **case.options, **options}
        outcome: Response | AquilaError
        with anyio.fail_after(case.seconds):
            try:
                outcome = await aquila.ask("hi", **given)
            except AquilaError as error:
                outcome = error
        if case.closed:
            await all_closed(server)
        assert len(server.connections) == case.requests
    if case.error is None:
        assert isinstance(outcome, Response), repr(outcome)
        assert (outcome.text, outcome.attempts) == (case.text, case.requests)
    else:
        assert type(outcome) is case.error, repr(outcome)
        assert case.says in str(outcome)
        assert outcome.attempts == case.requests
        assert outcome.partial is not None
        assert outcome.partial.text == case.partial
    return outcome


async def all_closed(server: Server) -> None:
    """Wait until the server holds no connection any more.

    Raises:
        TimeoutError: It still does after 5 seconds.
    """
    with anyio.fail_after(5):
        for connection in server.connections:
            await connection.closed.wait()
    assert server.open == 0
