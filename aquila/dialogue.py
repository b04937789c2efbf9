"""The state of a conversation that goes on by turns, and the sink through which each turn changes it."""

from __future__ import annotations

from typing import Any
from weakref import ReferenceType, ref

from aquila.errors import ConfigError
from aquila.events import Done, Event, Started
from aquila.messages import Message
from aquila.response import Response
from aquila.sink.base import Sink, for_run
from aquila.sink.hand_over import hand_over
from aquila.streams import Stream


class Dialogue:
    """What was said, and which turn is running; a turn that does not end well leaves it as it is.

    Args:
        context: What tools know of the conversation.
    """

    def __init__(self, context: Any = None) -> None:
        self.messages: tuple[Message, ...] = ()
        self.context = context
        self._running: ReferenceType[Turn] | None = None

    def begin(self, turn: Turn) -> None:
        """Let a turn run.

        Raises:
            ConfigError: Another one is running, or has ended since this one was prepared.
        """
        # A Stream that was dropped unread takes its turn with it; a reference of ours must not keep them.
        if self._running is not None and self._running() not in {None, turn}:
            raise ConfigError(
                "another turn of this Assistant is running; let it end, close its Stream, or talk to a fork()"
            )
        if turn.before is not self.messages:
            raise ConfigError("the conversation has gone on since this turn was prepared; prepare it again")
        self._running = ref(turn)

    def end(self, turn: Turn) -> None:
        """Make room for the next turn."""
        if self._running is not None and self._running() is turn:
            self._running = None

    def take(self, response: Response, instructions: str | None, context: Any) -> None:
        """Take a whole turn.

        Args:
            response: What it ended in.
            instructions: Its system text, which is no part of the conversation: it is said anew with each turn.
            context: What its tools made of the context; None if there were none.
        """
        first = response.messages[0] if response.messages else None
        said = first is not None and first.role == "system" and first.content == instructions
        self.messages = response.messages[1:] if said else response.messages
        if context is not None:
            self.context = context


class Turn:
    """Tells a Dialogue how one of its turns goes, and then the turn's own sink.

    Args:
        dialogue: The conversation.
        instructions: The turn's system text.
        sink: The turn's own sink; None for none.
    """

    #: A turn that must not run is ended.
    strict = True

    def __init__(self, dialogue: Dialogue, instructions: str | None, sink: Sink | None) -> None:
        self._dialogue = dialogue
        self._instructions = instructions
        self._sink = sink
        self._stream: ReferenceType[Stream[Any]] | None = None
        #: The conversation that the turn continues.
        self.before = dialogue.messages

    def follow(self, stream: Stream[Any]) -> Stream[Any]:
        """Note which Stream the turn is, and give it back."""
        self._stream = ref(stream)
        return stream

    def for_run(self, ref: str) -> Turn:
        """Feed what the turn's own sink has for the run of that name."""
        if self._sink is not None:
            self._sink = for_run(self._sink, ref)
        return self

    async def emit(self, event: Event) -> None:
        """Take an event.

        Raises:
            ConfigError: The turn must not run now.
            Exception: What the turn's own sink raised, if that is strict.
        """
        if isinstance(event, Started):
            self._dialogue.begin(self)
        if self._sink is not None:
            await hand_over(self._sink, event)
        # A strict sink may still make a failure of the turn, so it is asked first.
        if isinstance(event, Done):
            stream = self._stream() if self._stream is not None else None
            context = stream.tool_context if stream is not None else None
            self._dialogue.take(event.response, self._instructions, context)

    async def aclose(self) -> None:
        """The turn is over."""
        self._dialogue.end(self)
        if self._sink is not None:
            await self._sink.aclose()
