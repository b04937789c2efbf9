"""What a recorded answer says, as the events a client would have had of it, each with its time. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from aquila.cassette.body.jsonbody import parse
from aquila.cassette.interaction import Interaction
from aquila.cassette.secrets.redact import redact_url
from aquila.endpoint import ChatDecoder, Decoder, ResponsesDecoder, profile_for, status_error
from aquila.endpoint.surrogates import without_halves
from aquila.endpoint.transcript import TranscriptDecoder
from aquila.errors import AquilaError, ProtocolError
from aquila.events import Event, Status, ToolCallChunk, ToolCallStarted
from aquila.folding import fold
from aquila.response import Response
from aquila.tool_call import ToolCall
from aquila.transport.base import Request
from aquila.transport.sse import ServerSentEvent, SSEDecoder

Api: TypeAlias = Literal["chat", "responses", "transcript"]

_OK = range(200, 300)
_PICKED_UP = re.compile(r"/responses/[^/]+")
_BOM = b"\xef\xbb\xbf"
_AT_WORK = {"queued", "in_progress"}
_UNREAD = {
    "cut": "cut: its reader closed the stream before the answer ended",
    "abandoned": "abandoned: nobody read it to its end",
}


class Moment(NamedTuple):
    """An event and when it came: milliseconds since the request was sent."""

    at_ms: int
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer says."""

    moments: tuple[Moment, ...]
    #: What the events amount to.
    response: Response
    #: Why it is no whole answer, in an error's words; None if it is one.
    problem: str | None

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tools it calls; those whose arguments never ended come last, and hold None."""
        whole = self.response.tool_calls
        if self.problem is None:
            return whole
        known = {call.call_id for call in whole}
        begun: dict[str, str] = {}
        texts: dict[str, list[str]] = {}
        for _, event in self.moments:
            if isinstance(event, ToolCallStarted) and event.call_id not in known:
                begun.setdefault(event.call_id, event.name)
            elif isinstance(event, ToolCallChunk):
                texts.setdefault(event.call_id, []).append(event.text)
        return (
            *whole,
            *(ToolCall(key, name, None, "".join(texts.get(key, ()))) for key, name in begun.items()),
        )


def api_of(request: Request) -> Api | None:
    """Tell which API of models a request is for; None for any other traffic."""
    path = _path(request.url)
    if request.method.upper() == "POST":
        if path.endswith("/chat/completions"):
            return "chat"
        if path.endswith("/responses"):
            return "responses"
        return "transcript" if path.endswith("/audio/transcriptions") else None
    return "responses" if request.method.upper() == "GET" and _PICKED_UP.search(path) else None


def is_turn(interaction: Interaction) -> bool:
    """Tell whether a model has answered, so that the interaction is a round of a conversation."""
    asks = interaction.request.method.upper() == "POST" and api_of(interaction.request) in {
        "chat",
        "responses",
    }
    return asks and interaction.status in _OK and bool(interaction.chunks)


def read_answer(interaction: Interaction) -> Told | None:
    """Decode an answer as the client does; None if it is none of a model. What is wrong with it is `problem`."""
    api = api_of(interaction.request)
    if api is None:
        return None
    if interaction.status not in _OK:
        return _told([], problem_with(interaction))
    reader = _Reader(_decoder(api, interaction.request))
    try:
        for at_ms, data in interaction.chunks:
            reader.feed(at_ms, data)
        reader.end(interaction.chunks[-1].at_ms if interaction.chunks else interaction.total_ms)
    except AquilaError as error:
        return _told(reader.moments, str(error))
    problem = None if reader.is_whole else problem_with(interaction) or reader.missing
    return _told(reader.moments, problem)


def problem_with(interaction: Interaction) -> str | None:
    """Say how an exchange failed, whatever it was about: no connection, an error status, an end before its time."""
    failure = interaction.failure
    if failure is not None:
        return f"{failure.error}: {failure.message}" if failure.message else failure.error
    if interaction.status not in _OK:
        return str(
            status_error(interaction.status, interaction.body, url=redact_url(interaction.request.url))
        )
    return _UNREAD.get(interaction.end)


class _Reader:
    """Reads one body as `Exchange` does, with a time for each event."""

    def __init__(self, decoder: Decoder) -> None:
        self.moments: list[Moment] = []
        self._decoder = decoder
        self._sse: SSEDecoder | None = None
        self._whole = b""

    @property
    def is_whole(self) -> bool:
        """Whether the answer came to its end, or says that it is still being made."""
        last = self.moments[-1].event if self.moments else None
        at_work = self._sse is None and isinstance(last, Status) and last.name in _AT_WORK
        return self._decoder.ended or at_work

    @property
    def missing(self) -> str:
        """What a body without an end lacks."""
        if not self.moments:
            return "the body holds no event of an answer" if self._whole else "the body is empty"
        return "the stream ended before the answer did (no finish_reason or terminal event)"

    def feed(self, at_ms: int, data: bytes) -> None:
        if self._decoder.closed:
            return
        if self._sse is not None:
            self._decode(at_ms, self._sse.feed(data))
            return
        # Blank lines and a mark of byte order may precede the byte that says what the body is.
        self._whole = (self._whole + data).removeprefix(_BOM).lstrip()
        start = self._whole[:1]
        if start == b"<":
            raise ProtocolError("the body is an HTML or XML page and no answer")
        if start and start not in {b"{", b"["} and not _BOM.startswith(self._whole):
            self._sse = SSEDecoder()
            self._decode(at_ms, self._sse.feed(self._whole))

    def end(self, at_ms: int) -> None:
        if self._sse is not None and not self._decoder.closed:
            try:
                self._decode(at_ms, self._sse.flush())
            except ProtocolError:
                # An event that was cut cannot be read and says nothing.
                self._sse.flush()
        elif self._whole and self._sse is None:
            self._add(at_ms, self._decoder.decode_whole(self._whole))
        if self._decoder.ended:
            self._add(at_ms, self._decoder.finish())

    def _decode(self, at_ms: int, server_events: Sequence[ServerSentEvent]) -> None:
        for name, data in server_events:
            try:
                events = self._decoder.decode(name, data)
            except ProtocolError:
                mended = without_halves(data)
                if mended == data:
                    raise
                events = self._decoder.decode(name, mended)
            self._add(at_ms, events)
            if self._decoder.closed:
                return

    def _add(self, at_ms: int, events: Sequence[Event]) -> None:
        self.moments += [Moment(at_ms, event) for event in events]


def _told(moments: Sequence[Moment], problem: str | None) -> Told:
    response = fold(moment.event for moment in moments)
    return Told(moments=tuple(moments), response=response, problem=problem)


def _decoder(api: Api, request: Request) -> Decoder:
    if api == "responses":
        return ResponsesDecoder()
    if api == "transcript":
        return TranscriptDecoder()
    try:
        profile = profile_for(request.url)
    except ValueError:
        # The URL was changed by hand to something that is none.
        profile = profile_for("")
    return ChatDecoder(profile, limit=_limit(parse(request.body)))


def _limit(body: Any) -> int | None:
    asked = body if isinstance(body, dict) else {}
    limit = asked.get("max_completion_tokens", asked.get("max_tokens"))
    return limit if isinstance(limit, int) else None


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
