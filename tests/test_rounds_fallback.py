"""Other models that take over before the first content, and only where another one can do better."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from pydantic import BaseModel

import aquila
from aquila import errors
from aquila.events import Event, Status
from aquila.testing import Answer, ScriptedTransport
from aquila.timeouts import Timeouts
from tests import wire
from tests.fault_server import BOTH, Api, Chat, Responses
from tests.rounds import QUICK, bodies, events_of, refusal, scripted
from tests.wire import Connection

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.endpoint)


def models(transport: ScriptedTransport) -> list[str]:
    return [body["model"] for body in bodies(transport)]


def takeovers(events: list[Event]) -> list[Any]:
    return [event.data for event in events if isinstance(event, Status) and event.name == "fallback"]


@both
async def test_the_next_model_takes_over_when_retries_are_used_up(api: Api) -> None:
    transport = scripted(*[refusal(503, "busy")] * 3, api.answer("ok"))
    stream = aquila.stream(
        "hi", model="a", fallback=["b"], transport=transport, endpoint=api.endpoint, retry=QUICK
    )

    events = await events_of(stream)

    assert models(transport) == ["a", "a", "a", "b"]
    (said,) = takeovers(events)
    assert (said["from"], said["to"]) == ("a", "b")
    assert "busy" in said["error"]
    answer = await stream
    assert (answer.text, answer.attempts, transport.open) == ("ok", 4, 0)


@both
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(refusal(404, "no such model"), id="404"),
        pytest.param(refusal(403, "not for this key"), id="403"),
        pytest.param(refusal(429, "all used up", code="insufficient_quota"), id="quota"),
        pytest.param(refusal(400, "too long", code="context_length_exceeded"), id="context length"),
        pytest.param(errors.ConnectionFailed("refused"), id="no connection"),
        pytest.param(Answer(chunks=[b"<html>"]), id="a page of HTML"),
        pytest.param(Answer(chunks=[]), id="an empty body"),
        pytest.param(Answer(chunks=[b": ping\n\n", 30.0]), id="no content"),
    ],
)
async def test_another_model_may_mend_what_is_about_the_first_one(
    api: Api, first: Answer | errors.AquilaError
) -> None:
    transport = scripted(first, api.answer("ok"))

    with anyio.fail_after(5):
        answer = await aquila.ask(
            "hi",
            model="a",
            fallback=["b"],
            transport=transport,
            endpoint=api.endpoint,
            retry=0,
            timeout=Timeouts(first_chunk=0.1),
        )

    assert (answer.text, models(transport), transport.open) == ("ok", ["a", "b"], 0)


@both
@pytest.mark.parametrize(
    ("first", "error"),
    [
        pytest.param(refusal(401, "wrong key"), errors.AuthenticationError, id="401"),
        pytest.param(refusal(400, "temperature is out of range"), errors.BadRequestError, id="400"),
        pytest.param(refusal(422, "no such field"), errors.BadRequestError, id="422"),
    ],
)
async def test_what_is_the_user_s_to_mend_is_told_and_not_hidden(
    api: Api, first: Answer, error: type[errors.AquilaError]
) -> None:
    transport = scripted(first, api.answer("ok"))

    with pytest.raises(error):
        await aquila.ask(
            "hi", model="a", fallback=["b"], transport=transport, endpoint=api.endpoint, retry=QUICK
        )

    assert models(transport) == ["a"]


@both
async def test_nobody_takes_over_once_content_has_come(api: Api) -> None:
    transport = scripted(api.said("Hel"), api.answer("ok"))

    with pytest.raises(errors.StreamTruncated) as caught:
        await aquila.ask(
            "hi", model="a", fallback=["b"], transport=transport, endpoint=api.endpoint, retry=QUICK
        )

    assert caught.value.partial is not None
    assert (caught.value.partial.text, models(transport), transport.open) == ("Hel", ["a"], 0)


@both
async def test_nobody_takes_over_between_rounds(api: Api) -> None:
    def go() -> str:
        return "gone"

    transport = scripted(api.calls(("c1", "go", "{}")), refusal(503, "busy"))

    with pytest.raises(errors.OverloadedError):
        await aquila.ask(
            "hi", model="a", fallback=["b"], transport=transport, endpoint=api.endpoint, tools=[go], retry=0
        )

    assert models(transport) == ["a", "a"]


async def test_the_last_one_s_error_is_the_run_s() -> None:
    transport = scripted(refusal(503, "busy"), refusal(404, "gone"), refusal(500, "broken"))
    stream = aquila.stream("hi", model="a", fallback=["b", "c"], transport=transport, retry=0)

    events = await events_of(stream)

    assert [(said["from"], said["to"]) for said in takeovers(events)] == [("a", "b"), ("b", "c")]
    with pytest.raises(errors.InternalServerError, match="broken") as caught:
        await stream
    assert (models(transport), caught.value.attempts) == (["a", "b", "c"], 3)


@both
async def test_each_model_has_retries_of_its_own(api: Api) -> None:
    transport = scripted(*[refusal(503, "busy")] * 5, api.answer("ok"))

    answer = await aquila.ask(
        "hi", model="a", fallback=["b"], transport=transport, endpoint=api.endpoint, retry=QUICK
    )

    assert (answer.text, models(transport)) == ("ok", ["a"] * 3 + ["b"] * 3)


async def test_another_provider_takes_over_with_its_own_address_key_and_api() -> None:
    async def overloaded(connection: Connection) -> None:
        connection.start("503 Service Unavailable", "application/json")
        connection.end()

    async def well(connection: Connection) -> None:
        connection.play(Responses.answer("ok"))

    async with wire.serve(overloaded) as first, wire.serve(well) as second:
        other = {
            "model": "b", "base_url": second.url, "endpoint": "responses", "api_key": "sk-b", "max_output_tokens": 9,
        }  # fmt: skip

        answer = await aquila.ask(
            "hi", model="a", base_url=first.url, api_key="sk-a", retry=0, fallback=[other], temperature=0.5
        )

    assert answer.text == "ok"
    asked, again = first.connections[0], second.connections[0]
    assert (asked.head.split()[1], again.head.split()[1]) == ("/v1/chat/completions", "/v1/responses")
    assert ("Bearer sk-a" in asked.head, "Bearer sk-b" in again.head, "sk-a" in again.head) == (
        True,
        True,
        False,
    )
    # The rest of the call is the same.
    assert (again.payload["temperature"], again.payload["max_output_tokens"]) == (0.5, 9)


async def test_the_error_that_a_takeover_tells_of_names_no_key() -> None:
    transport = scripted(refusal(403, "the key sk-secret-1 may not do this"), Chat.answer("ok"))
    stream = aquila.stream("hi", model="a", fallback=["b"], transport=transport, api_key="sk-secret-1")

    (said,) = takeovers(await events_of(stream))

    assert "sk-secret-1" not in said["error"]
    assert "may not do this" in said["error"]


@both
async def test_tools_and_the_object_belong_to_the_run_whoever_answers(api: Api) -> None:
    class Count(BaseModel):
        count: int

    ran: list[int] = []

    def go() -> str:
        ran.append(1)
        return "gone"

    transport = scripted(refusal(503, "busy"), api.calls(("c1", "go", "{}")), api.answer('{"count": 1}'))

    answer = await aquila.ask(
        "hi",
        model="a",
        fallback=["b"],
        transport=transport,
        endpoint=api.endpoint,
        tools=[go],
        output=Count,
        retry=0,
    )

    assert (answer.parsed, ran, models(transport)) == (Count(count=1), [1], ["a", "b", "b"])


async def test_the_clocks_of_the_run_go_on_for_whoever_takes_over() -> None:
    transport = scripted(refusal(503, "busy"), [30.0])

    with anyio.fail_after(3), pytest.raises(errors.TotalTimeout):
        await aquila.ask("hi", model="a", fallback=["b", "c"], transport=transport, retry=0, timeout=0.2)

    assert models(transport) == ["a", "b"]


async def test_a_fallback_with_timeouts_of_its_own_is_bound_by_them() -> None:
    transport = scripted(refusal(503, "busy"), [30.0])
    local = {"model": "b", "timeout": Timeouts(silence=0.1)}

    with anyio.fail_after(3), pytest.raises(errors.SilenceTimeout):
        await aquila.ask("hi", model="a", fallback=[local], transport=transport, retry=0)


def test_the_total_belongs_to_the_whole_run() -> None:
    with pytest.raises(errors.ConfigError, match="holds a total, which belongs to the whole run"):
        aquila.stream("hi", fallback=[{"model": "b", "timeout": 5}])


async def test_nothing_of_the_first_answer_is_left_in_the_second() -> None:
    began = [
        wire.delta("", role="assistant"),
        wire.usage(100, 0),
        wire.event({"error": {"message": "x", "code": 503}}),
    ]
    transport = scripted(began, Chat.answer("ok"))

    answer = await aquila.ask("hi", model="a", fallback=["b"], transport=transport, retry=0)

    assert answer.usage is not None
    assert (answer.text, answer.usage.input_tokens) == ("ok", 7)
    assert b"503" not in b"".join(answer.payloads)
