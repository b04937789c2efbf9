from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

import aquila
from aquila import errors
from aquila.testing import Answer, ScriptedTransport
from tests import responses_wire as responses
from tests import wire

LONG_ID = ("resp_" + "bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDo/+=" * 4)[:241]


def json_answer(payload: Any, **headers: str) -> Answer:
    return Answer(
        headers={"content-type": "application/json", **headers}, chunks=[json.dumps(payload).encode()]
    )


def stored(status: str = "completed", output: list[Any] | None = None, **facts: Any) -> Answer:
    return json_answer(responses.response(status, output, **facts), **{"x-request-id": "req_1"})


async def test_a_stored_response_is_what_the_model_had_said() -> None:
    transport = ScriptedTransport(
        stored(
            output=[responses.message("Hello"), responses.call("c1", "look", {"at": "it"})],
            usage=responses.usage(7, 2),
            metadata={"user": "u1"},
            error=None,
        )
    )

    response = await aquila.retrieve_response("resp_1", transport=transport)

    assert (response.text, response.status, response.finish_reason) == ("Hello", "completed", "tool_calls")
    assert (response.response_id, response.request_id) == ("resp_1", "req_1")
    assert response.usage == aquila.Usage(
        input_tokens=7, output_tokens=2, total_tokens=9, cached_tokens=0, reasoning_tokens=0
    )
    assert response.meta == {"user": "u1"}
    assert response.error is None
    assert [call.name for call in response.tool_calls] == ["look"]
    assert [message.role for message in response.messages] == ["assistant"]
    assert response.raw[0]["metadata"] == {"user": "u1"}
    assert transport.open == 0


async def test_the_request_asks_for_json_with_the_key_and_the_query_of_the_base_url() -> None:
    transport = ScriptedTransport(stored())

    await aquila.retrieve_response(
        "resp_1",
        transport=transport,
        base_url="https://azure.example/openai?api-version=1",
        api_key="sk-12345678",
        extra_headers={"X-Team": "a"},
    )

    request = transport.requests[0]
    assert (request.method, request.body) == ("GET", b"")
    assert request.url == "https://azure.example/openai/responses/resp_1?api-version=1"
    assert request.headers["accept"] == "application/json"
    assert request.headers["authorization"] == "Bearer sk-12345678"
    assert request.headers["x-team"] == "a"


@pytest.mark.parametrize(
    "status", ["queued", "in_progress", "failed", "cancelled", "incomplete", "completed"]
)
async def test_all_six_statuses_are_facts_and_no_exceptions(status: str) -> None:
    said = {"code": "server_error", "message": "it broke"} if status == "failed" else None
    output = [responses.message("so far")]
    transport = ScriptedTransport(
        stored(status, output, error=said, incomplete_details={"reason": "max_output_tokens"})
    )

    response = await aquila.retrieve_response("resp_1", transport=transport)

    assert response.status == status
    assert response.text == "so far"
    assert response.error == said
    reasons = {"completed": "stop", "incomplete": "length"}
    assert response.finish_reason == reasons.get(status)


async def test_a_response_that_has_nothing_to_show_yet_is_read_as_well() -> None:
    transport = ScriptedTransport(json_answer({"id": "resp_1", "object": "response", "status": "queued"}))

    response = await aquila.retrieve_response("resp_1", transport=transport)

    assert (response.status, response.text, response.messages) == ("queued", "", ())


async def test_text_beside_the_items_is_taken_where_they_have_none() -> None:
    transport = ScriptedTransport(stored(output_text="Hello"))

    assert (await aquila.retrieve_response("resp_1", transport=transport)).text == "Hello"


async def test_long_and_odd_ids_reach_the_server_exactly_as_they_are() -> None:
    async def handle(connection: wire.Connection) -> None:
        connection.start(kind="application/json")
        connection.send(json.dumps({"id": "resp_short", "deleted": True}).encode())
        connection.end()

    async with wire.serve(handle) as server:
        word = await aquila.delete_response(LONG_ID, base_url=server.url)

    method, target, _ = server.connections[0].head.splitlines()[0].split()
    *before, last = target.split("/")
    assert (method, before) == ("DELETE", ["", "v1", "responses"])
    assert len(LONG_ID) == 241
    assert unquote(last) == LONG_ID
    assert word == {"id": "resp_short", "deleted": True}


async def test_a_cancelled_response_is_given_as_it_is_then() -> None:
    transport = ScriptedTransport(stored("cancelled"))

    response = await aquila.cancel_response("resp_1", transport=transport, base_url="http://localhost/v1")

    assert response.status == "cancelled"
    request = transport.requests[0]
    assert (request.method, request.url, request.body) == (
        "POST",
        "http://localhost/v1/responses/resp_1/cancel",
        b"{}",
    )


async def test_a_delete_that_is_answered_with_nothing_says_nothing() -> None:
    transport = ScriptedTransport(Answer(status=204, headers={}, chunks=[]))

    assert await aquila.delete_response("resp_1", transport=transport) == {}


@pytest.mark.parametrize("response_id", ["", "..", "  ", None])
async def test_what_is_no_id_is_refused_before_anything_is_sent(response_id: Any) -> None:
    transport = ScriptedTransport(stored())

    with pytest.raises(errors.ConfigError, match="response_id="):
        await aquila.delete_response(response_id, transport=transport)

    assert transport.requests == []


async def test_a_misspelt_or_misplaced_option_is_told_by_name() -> None:
    with pytest.raises(TypeError, match="temperature"):
        await aquila.retrieve_response("resp_1", temperature=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(("status", "kind"), [(401, errors.AuthenticationError), (404, errors.NotFoundError)])
async def test_error_statuses_are_errors_of_their_class(
    status: int, kind: type[errors.APIStatusError]
) -> None:
    body = json.dumps({"error": {"message": "no, not with sk-12345678"}}).encode()
    transport = ScriptedTransport(Answer(status=status, headers={"x-request-id": "req_9"}, chunks=[body]))

    with pytest.raises(kind) as caught:
        await aquila.retrieve_response("resp_1", transport=transport, api_key="sk-12345678")

    error = caught.value
    assert (error.status_code, error.request_id, error.attempts) == (status, "req_9", 1)
    assert "sk-12345678" not in str(error) + error.body
    assert transport.open == 0


async def test_a_redirect_is_told_with_its_target() -> None:
    transport = ScriptedTransport(Answer(status=307, headers={"location": "https://b.example/v1"}))

    with pytest.raises(errors.APIStatusError, match=r"redirects to https://b.example/v1"):
        await aquila.retrieve_response("resp_1", transport=transport)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            Answer(headers={"content-type": "text/html"}, chunks=[b"<html>"]),
            errors.ProtocolError,
            "text/html",
        ),
        (Answer(headers={}, chunks=[]), errors.EmptyStream, "empty body"),
        (json_answer([1]), errors.ProtocolError, "not a JSON object"),
        (json_answer({"object": "list"}), errors.ProtocolError, "not a response"),
        (json_answer({"id": "r", "status": "odd", "output": []}), errors.ProtocolError, "'odd'"),
        (json_answer({"error": {"message": "gone", "code": 404}}), errors.NotFoundError, "gone"),
    ],
)
async def test_an_answer_that_is_no_response_says_what_it_is(
    answer: Answer, kind: type[errors.AquilaError], words: str
) -> None:
    transport = ScriptedTransport(answer)

    with pytest.raises(kind, match=words):
        await aquila.retrieve_response("resp_1", transport=transport, retry=0)


async def test_a_deletion_that_is_answered_with_an_error_has_not_happened() -> None:
    transport = ScriptedTransport(json_answer({"error": {"message": "locked"}}))

    with pytest.raises(errors.ProviderStreamError, match="locked"):
        await aquila.delete_response("resp_1", transport=transport)


async def test_the_model_chooses_the_way_where_there_are_several() -> None:
    mine, other = ScriptedTransport(stored()), ScriptedTransport(stored())
    routes = aquila.transport.RoutedTransport({"mine-*": mine, "*": other})

    await aquila.retrieve_response("resp_1", model="mine-1", transport=routes, api_key="x")

    assert (len(mine.requests), len(other.requests)) == (1, 0)
