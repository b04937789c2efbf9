"""What the rounds of a run hand on: the limit nobody set, a stored answer that is lost, a conversation that was cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.testing import Answer, ScriptedTransport
from tests.fault_server import Api, Chat, Responses

Calls = Sequence[tuple[str, str, str]]
LOST = b'{"error":{"message":"Previous response with id \'resp_1\' not found."}}'


def script(api: Api, *rounds: Calls | str) -> ScriptedTransport:
    """Answer with calls, or with text."""
    answers = [api.answer(item) if isinstance(item, str) else api.calls(*item) for item in rounds]
    return ScriptedTransport(*(Answer(chunks=chunks) for chunks in answers))


def bodies(transport: ScriptedTransport) -> list[Any]:
    return [json.loads(request.body) for request in transport.requests]


async def double(n: int) -> int:
    """Double a number."""
    return 2 * n


async def test_twelve_rounds_are_the_limit_if_nobody_says_another() -> None:
    rounds = [[(f"c{n}", "double", f'{{"n":{n}}}')] for n in range(13)]

    answer = await aquila.ask("hi", transport=script(Chat, *rounds, "Enough"), tools=[double])

    results = [message for message in answer.messages if message.role == "tool"]
    assert [message.content for message in results][:12] == [str(2 * n) for n in range(12)]
    assert "max_rounds" in str(results[12].content)
    assert len(results) == 13


async def test_a_response_that_the_server_has_lost_is_told_anew_as_a_conversation() -> None:
    lost = Answer(status=400, chunks=[LOST])
    transport = ScriptedTransport(
        Answer(chunks=Responses.calls(("c1", "double", '{"n":1}'))),
        lost,
        Answer(chunks=Responses.answer("Done")),
    )

    answer = await aquila.ask("hi", transport=transport, endpoint="responses", tools=[double])

    third = bodies(transport)[2]
    assert (answer.text, len(transport.requests)) == ("Done", 3)
    assert "previous_response_id" not in third
    assert [item.get("type", item.get("role")) for item in third["input"]] == [
        "user", "function_call", "function_call_output",
    ]  # fmt: skip


async def test_a_lost_response_of_the_user_s_own_is_the_user_s_to_hear() -> None:
    lost = Answer(status=400, chunks=[LOST])
    transport = ScriptedTransport(lost)

    with pytest.raises(errors.BadRequestError, match="Previous response"):
        await aquila.ask("hi", transport=transport, endpoint="responses", previous_response_id="r")

    assert len(transport.requests) == 1


async def test_a_conversation_that_was_cut_between_a_call_and_its_result_is_mended() -> None:
    transport = script(Chat, [("c1", "double", '{"n":1}')])

    async def hang(n: int) -> None:
        await anyio.sleep_forever()

    with pytest.raises(errors.TotalTimeout) as caught:
        await aquila.ask("hi", transport=transport, tools=[aquila.tool(hang, name="double")], timeout=0.2)
    assert caught.value.partial is not None
    again = script(Chat, "Bye")
    await aquila.ask("go on", messages=list(caught.value.partial.messages), transport=again)

    [(call_id, told)] = Chat.outputs(bodies(again)[0])
    assert (call_id, told) == ("c1", "no result: the run ended before this tool did")
