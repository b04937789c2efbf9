"""What a full collector does with one more event. Pure but for the queue, which is changed in place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias

from aquila.events import Chunk, Done, Event, Failed, ReasoningChunk, Started, ToolCallChunk

PolicyName: TypeAlias = Literal["block", "coalesce", "drop_oldest"]
#: `wait` for room, `add` the event all the same, or it is `joined` to another one already.
Verdict: TypeAlias = Literal["wait", "add", "joined"]


class Queued:
    """An event in the queue, with the fragments that were joined to it."""

    __slots__ = ("_event", "_more", "ref")

    def __init__(self, ref: str, event: Event) -> None:
        #: The run's name.
        self.ref = ref
        self._event = event
        self._more: list[str] = []

    @property
    def kept(self) -> bool:
        """True for the first and the last event of a run, which no policy drops."""
        return isinstance(self._event, Started | Done | Failed)

    @property
    def last(self) -> bool:
        """True for the last event of a run."""
        return isinstance(self._event, Done | Failed)

    def event(self) -> Event:
        """Give the event, with all the text that was joined to it."""
        event = self._event
        if self._more and isinstance(event, Chunk | ReasoningChunk | ToolCallChunk):
            return replace(event, text=event.text + "".join(self._more))
        return event

    def join(self, new: Queued) -> bool:
        """Take in the text of a later fragment of the same kind; False if it is none."""
        match self._event, new._event:
            case (
                (Chunk(), Chunk(text=text))
                | (ReasoningChunk(), ReasoningChunk(text=text))
                | (ToolCallChunk(), ToolCallChunk(text=text))
            ) if not self._other_call(new):
                self._more.append(text)
                return True
        return False

    def passes(self, new: Queued) -> bool:
        """Say whether a later event may be joined to one before this: the order of the two means nothing."""
        return self.ref != new.ref or self._other_call(new)

    def _other_call(self, new: Queued) -> bool:
        match self._event, new._event:
            case ToolCallChunk(call_id=one), ToolCallChunk(call_id=other):
                return one != other
        return False


def block(_queue: deque[Queued], _new: Queued) -> Verdict:
    """Let the run wait."""
    return "wait"


def drop_oldest(queue: deque[Queued], _new: Queued) -> Verdict:
    """Drop the oldest event that is neither the first nor the last of a run."""
    for index, old in enumerate(queue):
        if not old.kept:
            del queue[index]
            break
    return "add"


def coalesce(queue: deque[Queued], new: Queued) -> Verdict:
    """Join a fragment to the one before it; let the run wait with what cannot be joined."""
    for old in reversed(queue):
        if old.ref == new.ref and old.join(new):
            return "joined"
        if not old.passes(new):
            break
    return "wait"


Policy: TypeAlias = Callable[[deque[Queued], Queued], Verdict]
POLICIES: dict[PolicyName, Policy] = {"block": block, "coalesce": coalesce, "drop_oldest": drop_oldest}
