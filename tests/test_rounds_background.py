"""Background responses: a lost stream goes on behind its last event, or the response is asked for until it is done."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors, pickup
from aquila.events import Chunk, Done, Partial, Resumed, Retrying, Status
from aquila.retry import Retry
from aquila.testing import Answer, ScriptedTransport
from aquila.timeouts import Timeouts
from tests import responses_wire as rw
from tests.fault_server import Responses, misbehave, reply
from tests.rounds import QUICK, events_of, refusal, scripted

LOST = errors.ConnectionFailed("reset")
#: created, in_progress, item, part, 4 pieces of text, ...
WHOLE = rw.answer("On", "ce ", "upon ", "a time")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickup, "_FIRST_PAUSE", 0.01)


def ask(transport: ScriptedTransport, **options: Any) -> aquila.Stream:
    given = {"endpoint": "responses", "background": True, "retry": QUICK, **options}
    return aquila.stream("tell", transport=transport, **given)


def asked(transport: ScriptedTransport) -> list[str]:
    """Method and what follows `/responses` of each request."""
    return [f"{request.method} {request.url.partition('/responses')[2]}" for request in transport.requests]


def data_of(event: bytes) -> bytes:
    return event.split(b"data: ", 1)[1].strip()


def stored(status: str, text: str = "", **facts: Any) -> Answer:
    body = json.dumps(rw.response(status, [rw.message(text)] if text else [], **facts)).encode()
    return Answer(headers={"content-type": "application/json"}, chunks=[body])


DONE = stored("completed", "Once upon a time", usage=rw.usage(7, 4))
TOO_OLD = refusal(400, "This response can no longer be streamed because it is more than 5 minutes old")


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
async def test_a_lost_stream_goes_on_without_gap_or_repeat(cut: int) -> None:
    transport = scripted([*WHOLE[:cut], LOST], WHOLE[cut:])
    stream = ask(transport)

    events = await events_of(stream)

    assert asked(transport) == ["POST ", f"GET /resp_1?stream=true&starting_after={cut - 1}"]
    assert [event for event in events if isinstance(event, Resumed)] == [Resumed("resp_1", cut - 1)]
    assert "".join(event.text for event in events if isinstance(event, Chunk)) == "Once upon a time"
    answer = await stream
    assert (answer.text, answer.attempts, transport.open) == ("Once upon a time", 2, 0)
    assert (answer.status, answer.response_id) == ("completed", "resp_1")
    assert answer.payloads == tuple(data_of(event) for event in WHOLE)


@pytest.mark.parametrize(
    "lost", [errors.ConnectionFailed("reset"), b"", 30.0], ids=["broken", "ended", "silent"]
)
async def test_a_stream_may_be_lost_in_any_way(lost: Any) -> None:
    transport = scripted([*WHOLE[:5], lost], WHOLE[5:])

    with anyio.fail_after(5):
        answer = await ask(transport, timeout=Timeouts(silence=0.1))

    assert (answer.text, len(transport.requests)) == ("Once upon a time", 2)


async def test_what_a_server_says_again_is_given_out_once() -> None:
    transport = scripted([*WHOLE[:6], LOST], WHOLE)

    answer = await ask(transport)

    assert answer.text == "Once upon a time"


async def test_a_stream_that_moves_on_may_be_lost_again_and_again() -> None:
    transport = scripted(*([event, LOST] for event in WHOLE[:-1]), WHOLE[-1:])

    answer = await ask(transport)

    assert (answer.text, len(transport.requests)) == ("Once upon a time", len(WHOLE))
    assert asked(transport).count("POST ") == 1


async def test_a_stream_that_does_not_move_on_is_given_up() -> None:
    transport = scripted([*WHOLE[:6], LOST], [LOST])

    with pytest.raises(errors.ConnectionFailed) as caught:
        await ask(transport)

    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.partial.response_id) == ("Once ", "resp_1")
    assert (len(transport.requests), transport.open) == (3, 0)


async def test_a_server_that_is_busy_is_asked_for_the_rest_again() -> None:
    transport = scripted([*WHOLE[:6], LOST], refusal(503, "busy"), WHOLE[6:])
    stream = ask(transport)

    events = await events_of(stream)

    # A reader takes Retrying for a beginning and would throw away what it has.
    assert not any(isinstance(event, Retrying) for event in events)
    assert [event for event in events if isinstance(event, Resumed)] == [Resumed("resp_1", 5)] * 2
    assert (await stream).text == "Once upon a time"
    assert asked(transport)[1] == asked(transport)[2]


@pytest.mark.parametrize("cut", [1, 5, 6, 8])
async def test_what_cannot_be_streamed_any_more_is_asked_for_until_it_is_done(cut: int) -> None:
    transport = scripted([*WHOLE[:cut], LOST], TOO_OLD, stored("queued"), stored("in_progress"), DONE)
    stream = ask(transport)

    events = await events_of(stream)

    assert asked(transport) == [
        "POST ", f"GET /resp_1?stream=true&starting_after={cut - 1}", "GET /resp_1", "GET /resp_1", "GET /resp_1",
    ]  # fmt: skip
    assert "".join(event.text for event in events if isinstance(event, Chunk)) == "Once upon a time"
    names = [event.name for event in events if isinstance(event, Status)]
    assert names.count("polling") == 2
    done = events[-1]
    assert isinstance(done, Done)
    assert done.response.usage is not None
    assert (done.response.status, done.response.usage.output_tokens) == ("completed", 4)
    assert transport.open == 0


async def test_an_old_response_is_asked_for_even_when_no_retry_is_left() -> None:
    transport = scripted([*WHOLE[:6], LOST], TOO_OLD, DONE)

    answer = await ask(transport, retry=Retry(max_retries=1, min_backoff=0.001))

    assert answer.text == "Once upon a time"


async def test_questions_that_get_no_answer_are_repeated_and_bounded() -> None:
    transport = scripted([*WHOLE[:6], LOST], TOO_OLD, stored("in_progress"), LOST, refusal(502, ""), DONE)

    answer = await ask(transport)

    assert (answer.text, len(transport.requests)) == ("Once upon a time", 6)


async def test_a_response_that_failed_meanwhile_is_its_error() -> None:
    failed = stored("failed", error={"code": "server_error", "message": "we broke it"})
    transport = scripted([*WHOLE[:6], LOST], TOO_OLD, failed)

    with pytest.raises(errors.AquilaError, match="we broke it") as caught:
        await ask(transport, retry=Retry(max_retries=1, min_backoff=0.001))

    assert caught.value.partial is not None
    assert (caught.value.partial.text, asked(transport).count("POST ")) == ("Once ", 1)


async def test_a_response_that_was_cut_meanwhile_says_so() -> None:
    cut = stored("incomplete", "Once upon", incomplete_details={"reason": "max_output_tokens"})
    transport = scripted([*WHOLE[:6], LOST], TOO_OLD, cut)

    answer = await ask(transport)

    assert (answer.text, answer.status, answer.finish_reason) == ("Once upon", "incomplete", "length")


async def test_a_response_that_is_gone_is_not_made_again() -> None:
    transport = scripted([*WHOLE[:6], LOST], refusal(404, "no such response"))

    with pytest.raises(errors.NotFoundError) as caught:
        await ask(transport)

    assert caught.value.partial is not None
    assert (caught.value.partial.text, asked(transport).count("POST ")) == ("Once ", 1)


async def test_total_bounds_the_questions() -> None:
    transport = scripted([*WHOLE[:6], LOST], TOO_OLD, stored("in_progress"))

    with anyio.fail_after(5), pytest.raises(errors.TotalTimeout) as caught:
        await ask(transport, timeout=0.2)

    assert caught.value.partial is not None
    assert (caught.value.partial.text, transport.open) == ("Once ", 0)


async def test_without_background_a_lost_stream_stays_lost() -> None:
    transport = scripted([*WHOLE[:6], LOST], WHOLE[6:])

    with pytest.raises(errors.ConnectionFailed):
        await ask(transport, background=False)

    assert asked(transport) == ["POST "]


async def test_a_call_whose_beginning_was_lost_is_whole() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    calls = Responses.calls(("c1", "add", '{"a": 1, "b": 2}'))
    # The server goes on behind the last event and does not say again which call its fragments belong to.
    transport = scripted([*calls[:3], LOST], calls[3:], rw.answer("3", response_id="resp_2"))

    answer = await ask(transport, tools=[add])

    assert answer.text == "3"
    last = json.loads(transport.requests[-1].body)
    assert (Responses.outputs(last), last["background"]) == ([("c1", "3")], True)
    assert asked(transport)[1:] == ["GET /resp_1?stream=true&starting_after=2", "POST "]


async def test_the_answer_behind_tools_is_picked_up_too() -> None:
    def go() -> str:
        return "gone"

    whole = rw.answer("So", " be it", response_id="resp_2")
    transport = scripted(Responses.calls(("c1", "go", "{}")), [*whole[:5], LOST], whole[5:])

    answer = await ask(transport, tools=[go])

    assert answer.text == "So be it"
    assert asked(transport) == ["POST ", "POST ", "GET /resp_2?stream=true&starting_after=4"]


async def test_an_object_goes_on_growing() -> None:
    whole = rw.answer('{"a": 1, ', '"b": 2}')
    stream = ask(scripted([*whole[:5], LOST], refusal(503, "busy"), whole[5:]), output=dict[str, int])

    shown = [dict(event.value) async for event in stream if isinstance(event, Partial)]

    assert shown == [{"a": 1}, {"a": 1, "b": 2}]
    assert (await stream).parsed == {"a": 1, "b": 2}


async def test_a_reader_that_leaves_between_two_questions_leaves_nothing_open() -> None:
    transport = scripted([*WHOLE[:6], LOST], TOO_OLD, stored("in_progress"))

    async with ask(transport) as stream:
        async for event in stream:
            if isinstance(event, Status) and event.name == "polling":
                break

    assert (transport.open, asked(transport)[-1]) == (0, "GET /resp_1")


async def test_a_reset_on_a_real_socket_is_a_loss_too() -> None:
    async with misbehave(
        reply(*WHOLE[:6], "RESET"), reply(*WHOLE[6:8], "CLOSE"), reply(*WHOLE[8:])
    ) as server:
        answer = await aquila.ask(
            "tell", base_url=server.url, endpoint="responses", background=True, retry=QUICK
        )

    assert (answer.text, answer.attempts) == ("Once upon a time", 3)
    lines = [connection.head.splitlines()[0] for connection in server.connections]
    assert lines == [
        "POST /v1/responses HTTP/1.1",
        "GET /v1/responses/resp_1?stream=true&starting_after=5 HTTP/1.1",
        "GET /v1/responses/resp_1?stream=true&starting_after=7 HTTP/1.1",
    ]


async def test_questions_whose_answers_are_cut_are_bounded() -> None:
    half = Answer(chunks=WHOLE[5:6])
    transport = ScriptedTransport(Answer(chunks=[*WHOLE[:5], LOST]), TOO_OLD, half)

    with anyio.fail_after(5), pytest.raises(errors.StreamTruncated) as raised:
        await ask(transport)

    assert raised.value.partial is not None
    assert raised.value.partial.text.startswith("On")
    assert len(transport.requests) < 10
