"""Notices a run whose tools only fail. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aquila.tool_call import ToolResult

_STOP = 3


class Failures:
    """Counts rounds in a row in which every call failed."""

    def __init__(self) -> None:
        #: Rounds in a row without one success.
        self.count = 0

    def note(self, results: Sequence[ToolResult]) -> bool:
        """Take in a round's results; True at the third round in a row in which every call failed."""
        failed = bool(results) and all(result.status == "error" for result in results)
        self.count = self.count + 1 if failed else 0
        return self.count >= _STOP
