"""What an attempt's runs say, on its way to the live stream and into the row."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from aquila.events import Chunk, Done, Event, Failed, ReasoningChunk, Started
from aquila.response import Response
from jobs.arguments import plain_result
from jobs.channel import Channel
from jobs.claims import Captured
from jobs.live import Source


class AttemptSink:
    """Feeds a job's live stream with every run of its actor, and adds up what they gave.

    A run's own `Done` and `Failed` become `run_done` and `run_failed`: only the job's end ends its stream.
    """

    def __init__(self, channel: Channel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = channel
        self._clock = clock
        self._began = clock()
        self._first_chunk: float | None = None
        self._usage: Counter[str] = Counter()
        self._model: str | None = None
        self._finish_reason: str | None = None

    def for_run(self, ref: str) -> RunSink:
        """Give what the run of that name feeds, so that what it says carries its name."""
        return RunSink(self, ref)

    async def emit(self, event: Event) -> None:
        """Take one event of a run that has no name here; never waits."""
        self.take(event, None)

    def take(self, event: Event, ref: str | None) -> None:
        """Put one event into the stream, behind the name of the run that gave it.

        Args:
            event: The event.
            ref: The run's name; None if it is not known.
        """
        if isinstance(event, Chunk | ReasoningChunk):
            self.hear((event.type, ref, None), event.text)
            return
        named = {} if ref is None else {"run": ref}
        type_, data = event.type, {name: value for name, value in event.to_dict().items() if name != "type"}
        match event:
            case Started():
                type_ = "run_started"
            case Done(response=response):
                self._count(response)
                type_, data = "run_done", _summary(response)
            case Failed(error=error):
                if error.partial is not None:
                    self._count(error.partial)
                type_ = "run_failed"
            case _:
                pass
        self._channel.append(type_, {**named, **data})

    def hear(self, source: Source, text: str) -> None:
        """Put one fragment into the stream.

        Args:
            source: What it is a piece of.
            text: The piece.
        """
        if self._first_chunk is None and source[0] == Chunk.type:
            self._first_chunk = self._clock() - self._began
        self._channel.add_text(source, text)

    async def aclose(self) -> None:
        """Do nothing: the attempt ends the stream."""

    def captured(self) -> Captured:
        """Give what there is so far."""
        return Captured(
            text=self._channel.text,
            model=self._model,
            finish_reason=self._finish_reason,
            usage=dict(self._usage) or None,
            time_to_first_chunk=self._first_chunk,
        )

    def _count(self, response: Response) -> None:
        self._model = response.model or self._model
        self._finish_reason = response.finish_reason or self._finish_reason
        if response.usage is not None:
            self._usage.update(response.usage.to_dict())


class RunSink:
    """One run's way into the job's stream; made by `AttemptSink.for_run`."""

    __slots__ = ("_attempt", "_ref", "_text")

    def __init__(self, attempt: AttemptSink, ref: str) -> None:
        self._attempt = attempt
        self._ref = ref
        self._text: Source = (Chunk.type, ref, None)

    async def emit(self, event: Event) -> None:
        """Take one event; never waits."""
        # What nearly every event is stays free of calls.
        if type(event) is Chunk:
            self._attempt.hear(self._text, event.text)
        else:
            self._attempt.take(event, self._ref)

    async def aclose(self) -> None:
        """Do nothing: the attempt ends the stream."""


def stored_forms(value: Any, streamed: str) -> tuple[str | None, Any]:
    """Give what the row keeps of an actor's return value: the output's text, and the value as JSON.

    Args:
        value: What the actor returned.
        streamed: The text of its runs, which is the output of an actor that returns nothing.

    Raises:
        ConfigError: The value is neither JSON nor a pydantic model.
    """
    if isinstance(value, Response):
        return value.text, value.to_dict()
    plain = plain_result(value)
    if isinstance(plain, str):
        return plain, plain
    return (streamed or None) if plain is None else None, plain


def _summary(response: Response) -> dict[str, Any]:
    usage = response.usage.to_dict() if response.usage else None
    return {"model": response.model, "finish_reason": response.finish_reason, "usage": usage}
