from __future__ import annotations

from typing import Any

import pytest

from aquila.history import call_ids, repair, tool_message
from aquila.messages import Message
from aquila.tool_call import ToolResult

HI = Message(role="user", content="hi")
STAND_IN = "no result: the run ended before this tool did"


def calls(*ids: str) -> Message:
    return Message(role="assistant", extra={"tool_calls": [{"id": call_id} for call_id in ids]})


def result(call_id: str, output: str = "4") -> Message:
    return tool_message(ToolResult(call_id, "f", output))


def test_a_result_is_a_turn_that_names_its_call() -> None:
    assert result("a").to_dict() == {"role": "tool", "content": "4", "tool_call_id": "a"}


def test_the_calls_of_a_turn_are_named_by_their_ids() -> None:
    assert call_ids(calls("a", "b")) == ["a", "b"]
    assert call_ids(HI) == []


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([HI], [HI], id="no call"),
        pytest.param([HI, calls("a"), result("a")], [HI, calls("a"), result("a")], id="whole"),
        pytest.param([calls("a")], [calls("a"), result("a", STAND_IN)], id="broken off at the end"),
        pytest.param(
            [calls("a", "b", "c"), result("b")],
            [calls("a", "b", "c"), result("b"), result("a", STAND_IN), result("c", STAND_IN)],
            id="broken off between results",
        ),
        pytest.param([calls("a"), HI], [calls("a"), result("a", STAND_IN), HI], id="a person spoke before the result"),
        pytest.param(
            [calls("a"), calls("b"), result("b")],
            [calls("a"), result("a", STAND_IN), calls("b"), result("b")],
            id="another turn before the result",
        ),
        pytest.param(
            [calls("a"), result("a"), calls("a")],
            [calls("a"), result("a"), calls("a"), result("a", STAND_IN)],
            id="an id that is used again",
        ),
        pytest.param([result("a"), HI], [result("a"), HI], id="a result whose call the provider keeps"),
    ],
)  # fmt: skip
def test_every_call_gets_its_result(messages: list[Any], expected: list[Any]) -> None:
    assert repair(messages) == tuple(expected)
    # What has been mended needs no mending.
    assert repair(expected) == tuple(expected)
