from __future__ import annotations

import json
from typing import Any

import pytest

from aquila import errors
from aquila.events import Status, ToolCall
from tests import responses_wire as wire
from tests.decoding import (
    completed,
    feed,
    items_sent,
    read_wire,
    response_event,
    responses_decoder,
)


def test_calls_are_put_together_by_item_and_answered_by_call_id() -> None:
    items = [wire.call("c1", "f", {"x": 1}), wire.call("c2", "g", {})]
    decoder = responses_decoder()

    events = read_wire(decoder, b"".join(wire.calls(*items)))
    turn = decoder.turn()

    assert [event for event in events if isinstance(event, ToolCall)] == [
        ToolCall("c1", "f", {"x": 1}, '{"x": 1}'),
        ToolCall("c2", "g", {}, "{}"),
    ]
    assert Status("finished", {"finish_reason": "tool_calls", "status": "completed"}) in events
    assert list(decoder.calls) == [event for event in events if isinstance(event, ToolCall)]
    assert turn is not None
    assert [call["id"] for call in turn.extra["tool_calls"]] == ["c1", "c2"]
    assert items_sent(turn) == items


def added(item: dict[str, Any], place: int | None = 0) -> dict[str, Any]:
    where = {} if place is None else {"output_index": place}
    return response_event("output_item.added", item={**item, "arguments": ""}, **where)


ITEM = wire.call("c1", "f", {"x": 1})


TEXT = '{"x": 1}'


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param(
            [
                added(ITEM),
                response_event("function_call_arguments.delta", item_id="fc_c1", delta=TEXT),
                completed(),
            ],
            id="fragments with the item's id alone, and no end of the item",
        ),
        pytest.param(
            [
                added(ITEM),
                response_event("function_call_arguments.done", item_id="fc_c1", arguments=TEXT),
                completed(),
            ],
            id="arguments only when done",
        ),
        pytest.param(
            [response_event("output_item.done", output_index=0, item=ITEM), completed(ITEM)],
            id="only the end of the item",
        ),
        pytest.param([completed(ITEM)], id="only in the response"),
        pytest.param(
            [
                added(ITEM),
                response_event("function_call_arguments.delta", output_index=0, item_id="fc_c1", delta='{"x": 2}'),
                response_event("output_item.done", output_index=0, item=ITEM),
                completed(ITEM),
            ],
            id="the end of the item contradicts the fragments and wins",
        ),
        pytest.param(
            [
                added(ITEM, None),
                response_event("function_call_arguments.delta", item_id="fc_c1", delta=TEXT),
                response_event("output_item.done", item=ITEM),
                completed({**ITEM, "id": "other"}),
            ],
            id="no output_index, and another id at the end",
        ),
        pytest.param(
            [response_event("output_item.done", output_index=0, item={**ITEM, "arguments": {"x": 1}}), completed()],
            id="arguments as an object",
        ),
        pytest.param(
            [
                added({**ITEM, "name": ""}),
                response_event("function_call_arguments.delta", item_id="fc_c1", delta=TEXT),
                response_event("output_item.done", output_index=0, item=ITEM),
                completed(ITEM),
            ],
            id="the name only at the end of the item",
        ),
        pytest.param(
            [
                response_event("function_call_arguments.delta", item_id="fc_c1", delta=TEXT),
                response_event("output_item.done", output_index=0, item=ITEM),
                completed(ITEM),
            ],
            id="fragments of a call that never began",
        ),
    ],
)  # fmt: skip
def test_a_call_comes_whole_and_once_however_it_is_told(payloads: list[dict[str, Any]]) -> None:
    decoder = responses_decoder()

    events = feed(decoder, *payloads, finish=True)

    assert [event.type for event in events].count("tool_call_started") == 1
    calls = [event for event in events if isinstance(event, ToolCall)]
    assert [(call.call_id, call.name, call.arguments) for call in calls] == [("c1", "f", {"x": 1})]
    assert list(decoder.calls) == calls


def test_calls_that_are_all_at_one_place_stay_apart() -> None:
    items = [wire.call("c1", "f", {"x": 1}), wire.call("c2", "f", {"x": 2})]
    decoder = responses_decoder()

    for item in items:
        feed(
            decoder,
            added(item),
            response_event(
                "function_call_arguments.delta", item_id=item["id"], output_index=0, delta=item["arguments"]
            ),
            response_event("output_item.done", output_index=0, item=item),
        )
    feed(decoder, completed(*items), finish=True)

    assert [call.arguments for call in decoder.calls] == [{"x": 1}, {"x": 2}]
    assert items_sent(decoder.turn()) == items


def test_a_call_that_was_cut_is_told_and_cannot_be_run() -> None:
    decoder = responses_decoder()
    end = wire.response("incomplete", [], incomplete_details={"reason": "max_output_tokens"})

    events = feed(
        decoder,
        added(ITEM),
        response_event("function_call_arguments.delta", item_id="fc_c1", delta='{"x'),
        response_event("incomplete", response=end),
        finish=True,
    )

    assert events[-1] == ToolCall("c1", "f", None, '{"x')
    assert Status("finished", {"finish_reason": "length", "status": "incomplete"}) in events
    turn = decoder.turn()
    assert turn is not None
    assert json.loads(turn.extra["tool_calls"][0]["function"]["arguments"]) == {"invalid_json": '{"x'}


def test_a_call_without_a_name_is_an_error() -> None:
    with pytest.raises(errors.ProtocolError, match="a tool without a name"):
        feed(responses_decoder(), completed({**ITEM, "name": ""}), finish=True)
