from __future__ import annotations

from aquila.tool_call import ToolResult
from aquila.tools import Failures

GOOD, BAD = ToolResult("1", "f", "x"), ToolResult("2", "f", "x", "error")


def test_three_rounds_in_a_row_without_a_success_stop() -> None:
    failures = Failures()

    assert [failures.note(round_) for round_ in ([BAD], [BAD, BAD], [BAD])] == [False, False, True]


def test_one_success_or_a_round_without_calls_begins_anew() -> None:
    failures = Failures()

    words = [failures.note(round_) for round_ in ([BAD], [BAD], [GOOD, BAD], [BAD], [BAD], [], [BAD])]

    assert words == [False] * 7
