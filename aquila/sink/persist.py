"""`persist`: a run is told to a store, one method for each kind of news."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol, TypeAlias

from aquila.errors import AquilaError, ConfigError
from aquila.events import Chunk, Done, Event, Failed, Started
from aquila.response import Response
from aquila.sink.hand_over import log_trouble
from aquila.tool_call import ToolCall, ToolResult

Kept: TypeAlias = Awaitable[object] | object

#: The method for an event, and the field it is called with; None means the event itself.
_CALLS: dict[type[Event], tuple[str, str | None]] = {
    Started: ("on_start", "meta"),
    Chunk: ("on_chunk", "text"),
    ToolCall: ("on_tool_call", None),
    ToolResult: ("on_tool_result", None),
    Done: ("on_complete", "response"),
    Failed: ("on_error", "error"),
}
_OTHER = ("on_event", None)
_METHODS = [name for name, _ in (*_CALLS.values(), _OTHER)]


class Store(Protocol):
    """What `persist` calls: plain or coroutine functions, any of which may be missing.

    `ref` is the run's name. Of a run exactly one of `on_complete` and `on_error` is called, once, and last. The run waits
    for each call; a plain function runs on the event loop and must not block.
    """

    def on_start(self, ref: str, meta: Mapping[str, Any]) -> Kept:
        """The run begins; `meta` is the call's `metadata`."""

    def on_chunk(self, ref: str, text: str) -> Kept:
        """A fragment of the answer's text has come."""

    def on_tool_call(self, ref: str, call: ToolCall) -> Kept:
        """The model wants a tool to be run."""

    def on_tool_result(self, ref: str, result: ToolResult) -> Kept:
        """A tool has given its result."""

    def on_event(self, ref: str, event: Event) -> Kept:
        """Anything else has happened: reasoning, usage, a retry. What the other methods are for does not come here."""

    def on_complete(self, ref: str, response: Response) -> Kept:
        """The run has ended well."""

    def on_error(self, ref: str, error: AquilaError) -> Kept:
        """The run has failed; `error.partial` holds what had come."""


class PersistSink:
    """Calls a store with what happens; made by `persist`."""

    def __init__(self, store: object, *, strict: bool, ref: str = "") -> None:
        self._store = store
        self._ref = ref
        self._ended = False
        #: True: an exception of the store ends the run.
        self.strict = strict

    def for_run(self, ref: str) -> PersistSink:
        """Tell the store of the run named `ref`, whatever other runs do at the same time."""
        return PersistSink(self._store, strict=self.strict, ref=ref)

    async def emit(self, event: Event) -> None:
        """Call the store's method for the event, if it has one.

        Raises:
            Exception: What the method raised, if `strict`; otherwise it is logged.
        """
        if isinstance(event, Started):
            self._ref, self._ended = event.ref, False
        if self._ended:
            return
        self._ended = isinstance(event, Done | Failed)
        name, field = _CALLS.get(type(event), _OTHER)
        method = getattr(self._store, name, None)
        if method is None:
            return
        try:
            result = method(self._ref, event if field is None else getattr(event, field))
            if inspect.isawaitable(result):
                await result
        except Exception as trouble:
            if self.strict:
                raise
            log_trouble(self._store, name, trouble)

    async def aclose(self) -> None:
        """Do nothing: the store is its owner's."""


def persist(store: object, *, strict: bool = False) -> PersistSink:
    """Make a sink that tells a store what happens, so that an application keeps it where it keeps its data.

    Args:
        store: An object with some of the methods of `Store`.
        strict: False: an exception of the store is logged and the run goes on. True: it ends the run, and `on_error`
            is called with why.

    Raises:
        ConfigError: The object has none of the methods.
    """
    if isinstance(store, type) or not any(callable(getattr(store, name, None)) for name in _METHODS):
        raise ConfigError(
            f"persist({store!r}) needs an object with at least one of the methods {', '.join(_METHODS)}"
        )
    return PersistSink(store, strict=strict)
