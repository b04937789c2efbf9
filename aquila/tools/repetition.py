"""Notices a model that calls the same again and again. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from aquila.tool_call import ToolCall

_WARN = 3
_STOP = 5


class Repetition:
    """Counts rounds in a row that call the same tools with the same arguments.

    A round's calls are compared as a whole, in any order: a model that asks for one thing again beside something new
    gets on.
    """

    def __init__(self) -> None:
        self._last: list[str] = []
        #: How often the last round's calls have come in a row.
        self.count = 0

    def note(self, calls: Sequence[ToolCall]) -> Literal["ok", "warn", "stop"]:
        """Take in a round's calls: `warn` from the third time in a row on, `stop` at the fifth."""
        keys = sorted(map(_key, calls))
        self.count = self.count + 1 if keys and keys == self._last else len(keys[:1])
        self._last = keys
        if self.count >= _STOP:
            return "stop"
        return "warn" if self.warns else "ok"

    @property
    def warns(self) -> bool:
        """True when the model is to be told that it repeats itself."""
        return self.count >= _WARN

    @property
    def warning(self) -> str:
        """What to tell the model behind the results when `warns` is true."""
        return (
            f"Note: exactly this has been called {self.count} times in a row, and another time will hardly help. Answer "
            "with the results you have, or call something else."
        )


def _key(call: ToolCall) -> str:
    if call.arguments is None:
        return f"{call.name} {call.text}"
    try:
        # The order of keys means nothing in JSON, and models vary it.
        return f"{call.name} {json.dumps(call.arguments, sort_keys=True, default=str)}"
    except RecursionError:
        return f"{call.name} {call.text}"
