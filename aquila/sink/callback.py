"""`callback`: every event goes to a function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from aquila.errors import ConfigError
from aquila.events import Event


class CallbackSink:
    """Calls a function with each event; made by `callback`."""

    def __init__(
        self, function: Callable[[Event], Awaitable[object] | object], *, strict: bool = False
    ) -> None:
        self._function = function
        #: True: an exception of the function ends the run.
        self.strict = strict

    async def emit(self, event: Event) -> None:
        """Call the function, and await what it returns if it is awaitable."""
        result = self._function(event)
        if inspect.isawaitable(result):
            await result

    async def aclose(self) -> None:
        """Do nothing: a function holds nothing."""


def callback(
    function: Callable[[Event], Awaitable[object] | object], *, strict: bool = False
) -> CallbackSink:
    """Make a sink of a function.

    Args:
        function: Called with each event, `Done` or `Failed` last. It may be a coroutine function; the run waits for
            it, so a slow one slows the run down. A plain function runs on the event loop and must not block.
        strict: False: an exception of the function is logged and the run goes on. True: it ends the run.

    Raises:
        ConfigError: It is no function.
    """
    if not callable(function):
        raise ConfigError(f"callback: {function!r} cannot be called; give a function of one event")
    return CallbackSink(function, strict=strict)
