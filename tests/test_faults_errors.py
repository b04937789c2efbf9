"""Errors of providers over a real socket: their class, what had come, and how often they are asked again."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.retry import Retry
from tests import responses_wire, wire
from tests.fault_server import BOTH, QUICK, Api, Case, Chat, Responses, check, misbehave, refusal, reply


def in_the_stream(api: Api) -> list[Case]:
    said, hi = api.said("Hel"), reply(*api.answer("Hi"))
    overloaded, quota = api.error("busy", "server_is_overloaded"), api.error("used up", "insufficient_quota")
    return [
        Case(name="an error first", replies=[reply(api.error("boom"))],
             error=errors.ProviderStreamError, says="boom", requests=3),
        Case(name="an error first, once", replies=[reply(api.error("boom")), hi], text="Hi", requests=2),
        Case(name="overloaded before content, once", replies=[reply(said[0], overloaded), hi], text="Hi", requests=2),
        Case(name="overloaded before content for ever", replies=[reply(overloaded)],
             error=errors.OverloadedError, requests=3),
        Case(name="overloaded behind content", replies=[reply(*said, overloaded, "LINGER")],
             error=errors.OverloadedError, partial="Hel", closed=True),
        Case(name="an error behind content", replies=[reply(*said, api.error("boom"), "LINGER")],
             error=errors.ProviderStreamError, says="boom", partial="Hel", closed=True),
        Case(name="the quota is used up", replies=[reply(quota)], error=errors.QuotaExceededError, says="used up"),
        Case(name="an error field of its own", replies=[reply(*said, b'error: {"code": 500, "message": "slot gone"}\n\n')],
             error=errors.InternalServerError, says="slot gone", partial="Hel"),
        Case(name="an error event with plain text", replies=[reply(*said, b"event: error\ndata: out of memory\n\n")],
             error=errors.ProviderStreamError, says="out of memory", partial="Hel"),
        Case(name="a code that is a status", replies=[reply(*said, wire.event({"error": {"code": 429, "message": "slow"}}))],
             error=errors.RateLimitError, says="slow", partial="Hel"),
    ]  # fmt: skip


def choice_error(**choice: Any) -> bytes:
    return wire.event({"id": "x", "choices": [{"index": 0, "delta": {"content": ""}, **choice}]})


def ended(status: str, **facts: Any) -> list[bytes]:
    response = responses_wire.response(status, [responses_wire.message("Hel")], **facts)
    return [*Responses.said("Hel"), responses_wire.event(f"response.{status}", 9, response=response)]


OWN: list[tuple[Api, Case]] = [
    (Chat, Case(name="an error in the choice", partial="Hel", error=errors.InternalServerError, says="upstream died",
                replies=[reply(*Chat.said("Hel"), choice_error(
                    finish_reason="error", error={"code": 502, "message": "upstream died"}))])),
    (Chat, Case(name="a finish reason that says error", partial="Hel", error=errors.ProviderStreamError,
                replies=[reply(*Chat.said("Hel"), choice_error(finish_reason="error"), wire.DONE)])),
    (Responses, Case(name="a failed response", partial="Hel", error=errors.ProviderStreamError, says="it broke",
                     replies=[reply(*ended("failed", error={"code": "x", "message": "it broke"}))])),
    (Responses, Case(name="a response that failed for the rate", partial="Hel", error=errors.RateLimitError,
                     replies=[reply(*ended("failed", error={"code": "rate_limit_exceeded", "message": "slow"}))])),
    (Responses, Case(name="a failed response without a word", partial="Hel", error=errors.ProviderStreamError,
                     replies=[reply(*ended("failed", error=None))])),
    (Responses, Case(name="a cancelled response", partial="Hel", error=errors.ProviderStreamError, says="cancelled",
                     replies=[reply(*ended("cancelled"))])),
    (Responses, Case(name="an error event with the error inside", partial="Hel", error=errors.ProviderStreamError,
                     says="deep", replies=[reply(*Responses.said("Hel"), responses_wire.event(
                         "error", 9, error={"code": "x", "message": "deep"}))])),
]  # fmt: skip


def statuses(api: Api) -> list[Case]:
    hi = reply(*api.answer("Hi"))
    return [
        Case(name="429 and then an answer", replies=[refusal("429 Too Many Requests", retry_after="0"), hi],
             text="Hi", requests=2),
        Case(name="429 for a quota", error=errors.QuotaExceededError,
             replies=[refusal("429 Too Many Requests", {"message": "x", "code": "insufficient_quota"})]),
        Case(name="429 for the bill", error=errors.QuotaExceededError,
             replies=[refusal("429 Too Many Requests", {"message": "x", "code": "billing_hard_limit_reached"})]),
        Case(name="429 for the month", error=errors.QuotaExceededError,
             replies=[refusal("429 Too Many Requests", {"message": "usage limit reached, resets in 16 days"})]),
        Case(name="429 that asks for an hour", error=errors.RateLimitError,
             replies=[refusal("429 Too Many Requests", {"message": "x"}, retry_after="3600")]),
        *(Case(name=f"{status}, once", replies=[refusal(status), hi], text="Hi", requests=2)
          for status in ("408 Timeout", "409 Conflict", "500 Oops", "502 Bad Gateway", "503 Busy", "504 Gone", "529 Full")),
        Case(name="500 for ever", replies=[refusal("500 Oops", {"message": "x"})],
             error=errors.InternalServerError, requests=3),
        Case(name="401", replies=[refusal("401 No", {"message": "x"})], error=errors.AuthenticationError),
        Case(name="403", replies=[refusal("403 No", {"message": "x"})], error=errors.PermissionDeniedError),
        Case(name="404", replies=[refusal("404 No", {"message": "x"})], error=errors.NotFoundError),
        Case(name="400 for a value", error=errors.BadRequestError,
             replies=[refusal("400 Bad", {"message": "Unsupported value: 'temperature' does not support 0"})]),
        Case(name="400 for the length", error=errors.ContextLengthError,
             replies=[refusal("400 Bad", {"message": "x", "code": "context_length_exceeded"})]),
        Case(name="an error status with a body of a stream", error=errors.BadRequestError, says="Tool bad",
             replies=[reply(b"Tool bad", status="400 Bad")]),
        Case(name="an error body with a blank line in it", error=errors.BadRequestError, says="one two",
             replies=[reply(b"one\n\ntwo", status="400 Bad")]),
        Case(name="an error body that breaks off", error=errors.AuthenticationError,
             replies=[reply(b'{"error":', "RESET", status="401 No")]),
        Case(name="an error status that a page explains", error=errors.PermissionDeniedError, says="blocked",
             replies=[reply(b"<html>blocked</html>", status="403 No", kind="text/html")]),
    ]  # fmt: skip


ROWS = [
    *((api, case) for api in BOTH for case in (*in_the_stream(api), *statuses(api))),
    *OWN,
]


@pytest.mark.parametrize(
    ("api", "case"), [pytest.param(api, case, id=f"{api.endpoint}: {case.name}") for api, case in ROWS]
)
async def test_an_error_is_raised_as_its_class_and_repeated_only_where_that_helps(
    api: Api, case: Case
) -> None:
    await check(case, api)


@pytest.mark.parametrize("api", BOTH)
async def test_an_answer_that_the_limit_cut_is_incomplete_and_no_error(api: Api) -> None:
    answer = await check(Case(name="", replies=[reply(*api.cut("Hel"))], text="Hel"), api)

    assert isinstance(answer, aquila.Response)
    assert (answer.status, answer.finish_reason) == ("incomplete", "length")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 1)


@pytest.mark.parametrize("api", BOTH)
async def test_an_error_status_keeps_its_body_and_the_wish_to_wait(api: Api) -> None:
    body = {"message": "slow down", "type": "tokens"}
    case = Case(name="", replies=[refusal("429 Too Many Requests", body, retry_after="61", x_request_id="req_9")],
                error=errors.RateLimitError)  # fmt: skip

    error = await check(case, api)

    assert isinstance(error, errors.RateLimitError)
    assert (error.status_code, error.retry_after, error.request_id) == (429, 61.0, "req_9")
    assert json.loads(error.body) == {"error": body}


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        pytest.param({"retry_after": "0.2"}, 0.2, id="seconds"),
        pytest.param({"retry_after_ms": "200", "retry_after": "30"}, 0.2, id="milliseconds"),
        pytest.param(
            {"retry_after": "Sun, 22 Nov 2026 12:00:01 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"},
            1.0,
            id="a date",
        ),
    ],
)
async def test_a_server_that_asks_to_wait_is_obeyed(headers: dict[str, str], least: float) -> None:
    replies = [refusal("429 Too Many Requests", **headers), reply(*wire.answer("Hi"))]

    async with misbehave(*replies) as server:
        began = anyio.current_time()
        events = [event async for event in aquila.stream("hi", base_url=server.url, retry=QUICK)]
        took = anyio.current_time() - began

    assert [event.delay for event in events if isinstance(event, aquila.Retrying)] == [least]
    assert least <= took < least + 5
    assert len(server.connections) == 2


async def test_the_same_request_is_sent_again() -> None:
    async with misbehave(refusal("500 Oops"), reply(*wire.answer("Hi"))) as server:
        await aquila.ask("hi", base_url=server.url, retry=QUICK, extra_headers={"idempotency-key": "k1"})

    first, second = server.connections
    assert first.body == second.body
    assert all("idempotency-key: k1" in connection.head for connection in server.connections)


async def test_pauses_double_up_to_the_longest() -> None:
    pace = Retry(max_retries=4, min_backoff=0.01, max_backoff=0.03)

    async with misbehave(refusal("500 Oops")) as server:
        seen: list[aquila.Retrying] = []
        sink = aquila.sink.callback(
            lambda event: seen.append(event) if isinstance(event, aquila.Retrying) else None
        )
        with pytest.raises(errors.InternalServerError):
            await aquila.ask("hi", base_url=server.url, retry=pace, sink=sink)

    for event, most in zip(seen, (0.01, 0.02, 0.03, 0.03), strict=True):
        assert most * 0.75 <= event.delay <= most


async def test_nothing_that_was_given_out_is_given_out_again() -> None:
    async with misbehave(reply(*wire.answer("Hel")[:2], "RESET"), reply(*wire.answer("Hello"))) as server:
        told: list[str] = []
        with pytest.raises(errors.ConnectionFailed):
            async for event in aquila.stream("hi", base_url=server.url, retry=QUICK):
                told.append(str(event) if isinstance(event, aquila.Chunk) else "")  # noqa: PERF401

    assert "".join(told) == "Hel"
    assert len(server.connections) == 1


async def test_nobody_listens() -> None:
    async with misbehave(reply()) as server:
        url = server.url

    with pytest.raises(errors.ConnectionFailed, match="check the base URL") as caught:
        await aquila.ask("hi", base_url=url, retry=QUICK)

    assert caught.value.attempts == 3
