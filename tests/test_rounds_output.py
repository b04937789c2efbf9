"""Objects asked for with `output=`: shown while they grow, mended once, and asked for as the server understands."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import aquila
from aquila import errors
from aquila.events import Partial, Status
from tests import responses_wire, wire
from tests.fault_server import BOTH, Api, Chat, Responses
from tests.rounds import QUICK, bodies, events_of, refusal, scripted

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.endpoint)


class Invoice(BaseModel):
    customer: str
    total: float


GOOD = '{"customer": "Ada", "total": 12.5}'
BAD = '{"customer": "Ada", "total": "much"}'


@both
async def test_a_valid_answer_is_the_object_and_one_request(api: Api) -> None:
    transport = scripted(api.answer(GOOD[:9], GOOD[9:]))

    answer = await aquila.ask("hi", transport=transport, endpoint=api.endpoint, output=Invoice)

    assert (answer.parsed, answer.text, answer.attempts) == (Invoice(customer="Ada", total=12.5), GOOD, 1)
    body = bodies(transport)[0]
    asked = body["response_format"]["json_schema"] if api is Chat else body["text"]["format"]
    assert (asked["name"], asked["strict"]) == ("Invoice", True)
    assert asked["schema"]["additionalProperties"] is False


@both
@pytest.mark.parametrize(
    "bad", [pytest.param(BAD, id="wrong type"), pytest.param("Sure! Here you are", id="no JSON")]
)
async def test_a_wrong_answer_is_mended_once(api: Api, bad: str) -> None:
    transport = scripted(api.answer(bad), api.answer(GOOD))
    stream = aquila.stream("hi", transport=transport, endpoint=api.endpoint, output=Invoice)

    events = await events_of(stream)
    answer = await stream

    assert (answer.parsed, answer.text) == (Invoice(customer="Ada", total=12.5), GOOD)
    prompts = [
        event.data["prompt"] for event in events if isinstance(event, Status) and event.name == "repair"
    ]
    assert len(prompts) == 1
    assert [message.role for message in answer.messages] == ["user", "assistant", "user", "assistant"]
    assert (answer.messages[1].content, answer.messages[2].content) == (bad, prompts[0])
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.attempts, transport.open) == (14, 2, 0)


async def test_the_repair_of_a_stored_answer_sends_the_complaint_alone() -> None:
    transport = scripted(Responses.answer(BAD), Responses.answer(GOOD))

    await aquila.ask("hi", transport=transport, endpoint="responses", output=Invoice)

    second = bodies(transport)[1]
    assert second["previous_response_id"] == "resp_1"
    assert [item["role"] for item in second["input"]] == ["user"]
    assert second["text"] == bodies(transport)[0]["text"]


@both
async def test_an_answer_that_is_wrong_twice_is_an_error_with_the_last_one_inside(api: Api) -> None:
    transport = scripted(api.answer(BAD))

    with pytest.raises(errors.OutputInvalid, match="total") as caught:
        await aquila.ask("hi", transport=transport, endpoint=api.endpoint, output=Invoice)

    error = caught.value
    assert error.partial is not None
    assert (error.partial.text, error.partial.messages[-1].content) == (BAD, BAD)
    assert [message.role for message in error.partial.messages] == ["user", "assistant", "user", "assistant"]
    assert (len(error.problems), error.attempts, len(transport.requests), transport.open) == (1, 2, 2, 0)


@both
async def test_a_cut_answer_is_not_asked_for_again(api: Api) -> None:
    transport = scripted(api.cut('{"customer": "A'))

    with pytest.raises(errors.OutputInvalid, match=r"was cut \(length\).*raise max_output_tokens") as caught:
        await aquila.ask("hi", transport=transport, endpoint=api.endpoint, output=Invoice)

    assert caught.value.partial is not None
    assert (caught.value.partial.text, len(transport.requests)) == ('{"customer": "A', 1)


async def test_a_filtered_answer_is_not_said_to_be_too_long() -> None:
    transport = scripted([*Chat.said('{"cust'), wire.delta(finish="content_filter"), wire.DONE])

    with pytest.raises(errors.OutputInvalid, match=r"was cut \(content_filter\).*ask in another way"):
        await aquila.ask("hi", transport=transport, output=Invoice)

    assert len(transport.requests) == 1


@both
async def test_an_answer_that_is_whole_where_it_was_cut_counts(api: Api) -> None:
    transport = scripted(api.cut(GOOD))

    answer = await aquila.ask("hi", transport=transport, endpoint=api.endpoint, output=Invoice)

    assert (answer.parsed, answer.status) == (Invoice(customer="Ada", total=12.5), "incomplete")


def refused(api: Api) -> list[bytes]:
    if api is Chat:
        return [
            wire.delta(refusal="I cannot "),
            wire.delta(refusal="help"),
            wire.delta(finish="stop"),
            wire.DONE,
        ]
    item = {**responses_wire.message(""), "content": [{"type": "refusal", "refusal": "I cannot help"}]}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return responses_wire.numbered([
        ("response.created", {"response": responses_wire.response("in_progress")}),
        ("response.refusal.delta", {**place, "delta": "I cannot help"}),
        ("response.refusal.done", {**place, "refusal": "I cannot help"}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": responses_wire.response("completed", [item])}),
    ])  # fmt: skip


@both
async def test_a_refused_answer_is_not_asked_for_again(api: Api) -> None:
    transport = scripted(refused(api))

    with pytest.raises(errors.OutputInvalid, match="refused to give the object: I cannot help") as caught:
        await aquila.ask("hi", transport=transport, endpoint=api.endpoint, output=Invoice)

    assert caught.value.partial is not None
    assert (caught.value.partial.refusal, len(transport.requests)) == ("I cannot help", 1)


@both
async def test_an_object_is_shown_while_it_grows(api: Api) -> None:
    stream = aquila.stream(
        "hi",
        transport=scripted(api.answer('{"customer": "A', 'da", "tot', 'al": 12.5}')),
        endpoint=api.endpoint,
        output=Invoice,
    )

    shown = [copy.deepcopy(event.value) async for event in stream if isinstance(event, Partial)]

    assert shown[0] == {"customer": "A"}
    assert shown[-1] == {"customer": "Ada", "total": 12.5}
    assert all(len(json.dumps(a)) <= len(json.dumps(b)) for a, b in itertools.pairwise(shown))


@both
async def test_a_mended_object_grows_from_the_beginning(api: Api) -> None:
    stream = aquila.stream(
        "hi",
        transport=scripted(api.answer('{"customer": "Bob", "total": [1, ', "2]}"), api.answer(GOOD)),
        endpoint=api.endpoint,
        output=Invoice,
    )

    shown = [copy.deepcopy(event.value) async for event in stream if isinstance(event, Partial)]

    assert shown[-1] == {"customer": "Ada", "total": 12.5}


@both
async def test_tools_run_first_and_the_object_comes_last(api: Api) -> None:
    transport = scripted(api.calls(("c1", "price", "{}")), api.answer(BAD), api.answer(GOOD))

    def price() -> float:
        return 12.5

    answer = await aquila.ask("hi", transport=transport, endpoint=api.endpoint, output=Invoice, tools=[price])

    assert (answer.parsed, answer.attempts) == (Invoice(customer="Ada", total=12.5), 3)
    roles = [message.role for message in answer.messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user", "assistant"]


def formats(transport: Any, api: Api) -> list[str]:
    """How each request asked for the object."""
    found = []
    for body in bodies(transport):
        asked = body.get("response_format") if api is Chat else (body.get("text") or {}).get("format")
        found.append("none" if asked is None else str(asked["type"]))
    return found


@both
async def test_a_server_that_knows_no_schemas_is_asked_as_it_can_be(api: Api) -> None:
    field = "response_format" if api is Chat else "text.format"
    transport = scripted(
        refusal(400, f"{field}: json_schema is not supported"),
        refusal(400, f"Unknown parameter: {field}"),
        api.answer(GOOD),
    )
    options: dict[str, Any] = {"transport": transport, "endpoint": api.endpoint, "output": Invoice}

    first = await aquila.ask("hi", **options)
    second = await aquila.ask("hi", **options)

    assert (first.parsed, second.parsed) == (Invoice(customer="Ada", total=12.5),) * 2
    assert (first.attempts, second.attempts) == (3, 1)
    assert formats(transport, api) == ["json_schema", "json_object", "none", "none"]
    told = json.dumps(bodies(transport)[2])
    assert "valid against this JSON Schema" in told
    assert "customer" in told


@both
async def test_what_one_server_refuses_another_is_asked_all_the_same(api: Api) -> None:
    transport = scripted(refusal(400, "response_format is not supported"), api.answer(GOOD))
    options: dict[str, Any] = {"transport": transport, "endpoint": api.endpoint, "output": Invoice}
    await aquila.ask("hi", base_url="http://127.0.0.1:1/v1", **options)

    await aquila.ask("hi", base_url="http://127.0.0.1:2/v1", **options)

    assert formats(transport, api) == ["json_schema", "json_object", "json_schema"]


@both
async def test_a_recording_holds_what_the_server_taught(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    monkeypatch.setenv("AQUILA_CASSETTES", "rewrite")
    transport = scripted(refusal(400, "response_format is not supported"), api.answer(GOOD),
                         refusal(400, "response_format is not supported"), api.answer(GOOD))  # fmt: skip
    options: dict[str, Any] = {"transport": transport, "endpoint": api.endpoint, "output": Invoice}
    for name in ("one", "two"):
        await aquila.ask("hi", cassette=name, **options)
    monkeypatch.setenv("AQUILA_CASSETTES", "none")

    again = await aquila.ask("hi", cassette="two", endpoint=api.endpoint, output=Invoice)

    # Each recording stands alone: the second one does not rest on what the first one has learnt.
    assert formats(transport, api) == ["json_schema", "json_object"] * 2
    assert (again.parsed, again.attempts) == (Invoice(customer="Ada", total=12.5), 2)


@both
async def test_a_server_that_refuses_every_form_is_asked_three_times_at_most(api: Api) -> None:
    transport = scripted(refusal(400, "response_format json_schema json_object are not supported"))

    with pytest.raises(errors.BadRequestError):
        await aquila.ask("hi", transport=transport, endpoint=api.endpoint, output=Invoice, retry=QUICK)

    assert formats(transport, api) == ["json_schema", "json_object", "none"]


@both
async def test_a_type_that_is_no_object_comes_back_as_itself(api: Api) -> None:
    answer = await aquila.ask(
        "hi", transport=scripted(api.answer('{"result": ["a", "b"]}')), endpoint=api.endpoint, output=list[str]
    )  # fmt: skip

    assert answer.parsed == ["a", "b"]


async def test_a_call_of_a_tool_that_nobody_gave_is_no_object() -> None:
    transport = scripted(Chat.calls(("c1", "search", "{}")), Chat.calls(("c1", "search", "{}")))

    with pytest.raises(errors.OutputInvalid):
        await aquila.ask("hi", output=dict[str, int], transport=transport, endpoint="chat", retry=0)
