from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.errors import ConfigError
from aquila.tool_call import ToolCall, ToolResult
from aquila.tools import PauseState, check_json, read_approvals, read_state

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OBJECT = st.dictionaries(st.text(), JSON, max_size=3)
CALLS = [ToolCall("a", "pay", {}), ToolCall("b", "send", {})]


def state(**changes: Any) -> dict[str, Any]:
    whole = PauseState(
        ref="r",
        model="m",
        messages=({"role": "user", "content": "hi"},),
        calls=(ToolCall("a", "pay", {"sum": 3}, '{"sum": 3}'),),
        results=(ToolResult("b", "look", "fine"),),
    )
    return {**whole.to_dict(), **changes}


@given(
    st.builds(
        PauseState,
        ref=st.text(),
        model=st.text(),
        messages=st.lists(OBJECT, max_size=2).map(tuple),
        calls=st.lists(
            st.builds(ToolCall, st.text(), st.text(), st.none() | OBJECT, st.text()), max_size=2
        ).map(tuple),
        results=st.lists(
            st.builds(ToolResult, st.text(), st.text(), st.text(), st.sampled_from(["ok", "error"])),
            max_size=2,
        ).map(tuple),
        round=st.integers(),
        tool_context=JSON,
        usage=st.none() | st.just({"input_tokens": 3}),
        metadata=OBJECT,
        previous_response_id=st.none() | st.text(),
    )
)
def test_a_state_comes_back_from_json_as_it_was(paused: PauseState) -> None:
    assert read_state(json.loads(json.dumps(paused.to_dict()))) == paused


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version": 2}, "version=2"),
        ({"model": None}, "model=None"),
        ({"round": True}, "round=True"),
        ({"messages": "hi"}, "messages='hi'"),
        ({"messages": ["hi"]}, "messages.0='hi'"),
        ({"calls": [{"call_id": "a"}]}, r"calls.0.name=None"),
        ({"results": [{"call_id": "a", "name": "n", "output": "o", "status": "x"}]}, "results.0.status='x'"),
        ({"usage": {"input_tokens": "3"}}, "input_tokens='3'"),
        ({"previous_response_id": 3}, "previous_response_id=3"),
    ],
)
def test_a_state_that_was_changed_names_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        read_state(state(**changes))


def test_what_is_no_state_is_refused() -> None:
    with pytest.raises(ConfigError, match="str is no dict"):
        read_state("state")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({"db": [1, object()]}, r"tool_context.db.1 holds a object"),
        ({1: 2}, "tool_context holds a dict"),
        (float("nan"), "tool_context holds a float"),
    ],
)
def test_a_context_that_cannot_outlive_a_pause_is_told(context: Any, said: str) -> None:
    paused = PauseState(ref="r", model="m", messages=(), calls=(), tool_context=context)

    with pytest.raises(ConfigError, match=said):
        paused.to_dict()


def test_json_is_copied() -> None:
    value = {"a": [1, (2, 3)]}

    copied = check_json("x", value)

    assert copied == {"a": [1, [2, 3]]}
    assert copied["a"] is not value["a"]


def test_true_approves_and_anything_else_is_a_reason() -> None:
    assert read_approvals(CALLS, {"a": True, "b": True}) == {}
    assert read_approvals(CALLS, {"a": False, "b": "too dear"}) == {
        "a": "the user did not approve this call",
        "b": "too dear",
    }


@pytest.mark.parametrize(
    ("approvals", "said"),
    [
        ({"a": True}, r"nothing is said of 'b' \(send\)"),
        ({"a": True, "b": True, "c": True}, "no call that waits has the id 'c'"),
        ({"a": 1, "b": True}, "'a' is 1"),
        (True, "bool is no dict"),
    ],
)
def test_approvals_that_leave_a_doubt_are_refused(approvals: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_approvals(CALLS, approvals)
