"""Fakes for tests: a transport that answers from a script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias

import anyio

from aquila.endpoint.scripted import chat_calls, chat_text, responses_calls, responses_text
from aquila.errors import AquilaError
from aquila.transport.base import Request

Endpoint: TypeAlias = Literal["chat", "responses"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One scripted HTTP response.

    A chunk may be bytes, a number (seconds to wait before the next chunk) or an error (raised in its place).
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    chunks: Sequence[bytes | float | AquilaError] = ()

    @classmethod
    def text(cls, *pieces: str, finish_reason: str = "stop", endpoint: Endpoint = "chat") -> Self:
        """Make an answer in text, one read for each piece.

        Args:
            pieces: The fragments.
            finish_reason: `stop`, or `length` for an answer that was cut.
            endpoint: The API whose bytes to write; the call must name the same.
        """
        wire = chat_text if endpoint == "chat" else responses_text
        return cls(chunks=wire(pieces, finish_reason))

    @classmethod
    def calls(cls, *calls: tuple[str, str, Mapping[str, Any]], endpoint: Endpoint = "chat") -> Self:
        """Make an answer that calls tools.

        Args:
            calls: Id, name and arguments of each.
            endpoint: The API whose bytes to write; the call must name the same.
        """
        return cls(chunks=(chat_calls if endpoint == "chat" else responses_calls)(calls))


class ScriptedTransport:
    """Gives one answer after the other and notes what was asked.

    Args:
        answers: What to answer, in order; an error is raised by `send`. The last one is repeated.
    """

    def __init__(self, *answers: Answer | AquilaError) -> None:
        self._answers = answers
        #: The requests so far.
        self.requests: list[Request] = []
        #: Responses given and not closed yet.
        self.open = 0

    async def send(self, request: Request) -> ScriptedResponse:
        """Give the next answer."""
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, AquilaError):
            raise answer
        self.open += 1
        return ScriptedResponse(answer, self)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to free."""


class ScriptedResponse:
    """The response of a ScriptedTransport."""

    def __init__(self, answer: Answer, transport: ScriptedTransport) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.chunks: AsyncIterator[bytes] = _Chunks(answer.chunks)
        self._transport = transport
        self._closed = False

    async def aclose(self) -> None:
        """Note that the response was closed."""
        if not self._closed:
            self._closed = True
            self._transport.open -= 1


class _Chunks:
    def __init__(self, script: Iterable[bytes | float | AquilaError]) -> None:
        self._script = iter(script)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for step in self._script:
            if isinstance(step, AquilaError):
                raise step
            if isinstance(step, bytes):
                return step
            await anyio.sleep(step)
        raise StopAsyncIteration
