from __future__ import annotations

from typing import Any

from aquila.tool_call import ToolCall
from aquila.tools import Repetition


def call(name: str, text: str = "{}", **arguments: Any) -> ToolCall:
    return ToolCall("id", name, arguments or None, text)


def test_the_third_time_in_a_row_warns_and_the_fifth_stops() -> None:
    repetition = Repetition()

    words = [repetition.note([call("look", city="Rome")]) for _ in range(6)]

    assert words == ["ok", "ok", "warn", "warn", "stop", "stop"]
    assert repetition.warns
    assert "6 times in a row" in repetition.warning


def test_anything_new_in_a_round_begins_anew() -> None:
    repetition = Repetition()
    look = call("look", city="Rome")

    words = [repetition.note(calls) for calls in ([look], [look], [look, call("other", x=1)], [look], [look])]

    assert words == ["ok"] * 5


def test_neither_the_order_of_calls_nor_that_of_keys_makes_a_round_new() -> None:
    repetition = Repetition()
    a, b = call("look", x=1, y=2), call("look", y=2, x=1)

    words = [
        repetition.note([a, call("z", q=1)]),
        repetition.note([call("z", q=1), b]),
        repetition.note([a, call("z", q=1)]),
    ]

    assert words == ["ok", "ok", "warn"]


def test_one_round_of_equal_calls_is_no_repetition() -> None:
    assert Repetition().note([call("roll", dice=1)] * 10) == "ok"


def test_broken_arguments_are_compared_as_text() -> None:
    repetition = Repetition()

    words = [repetition.note([call("look", text)]) for text in ("{", "{", "{x", "{x", "{x")]

    assert words == ["ok", "ok", "ok", "ok", "warn"]


def test_rounds_without_calls_never_count() -> None:
    repetition = Repetition()

    assert [repetition.note([]) for _ in range(6)] == ["ok"] * 6


def test_arguments_without_bottom_are_compared_as_text() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    repetition = Repetition()

    assert [repetition.note([call("look", "[[", x=deep)]) for _ in range(3)] == ["ok", "ok", "warn"]
