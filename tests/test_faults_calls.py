"""Calls of tools in every form servers give them, over a real socket: what runs, with what, and what the model is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import aquila
from aquila import errors
from tests import responses_wire, wire
from tests.fault_server import BOTH, Api, Chat, Responses, misbehave, reply


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to say calls: the chunks, and what the tools must get, in order."""

    name: str
    chunks: Sequence[bytes]
    #: The ids and the arguments of the calls.
    calls: Sequence[tuple[str, dict[str, Any]]] = (("c1", {"n": 1}),)
    #: The text that stands before the calls.
    text: str = ""


def piece(call_id: Any = None, name: Any = None, arguments: Any = None, **facts: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    head = {} if call_id is None else {"id": call_id, "type": "function"}
    return {**head, "function": function, **facts}


def frames(*entries: dict[str, Any], finish: str | None = "tool_calls") -> list[bytes]:
    end = [] if finish is None else [wire.delta(finish=finish)]
    return [*(wire.delta(tool_calls=[entry]) for entry in entries), *end, wire.usage(9, 4), wire.DONE]


ONE, TWO = ("c1", {"n": 1}), ("c2", {"n": 2})
HEAD = piece("c1", "f", "", index=0)
CHAT = [
    Form(name="in fragments by index", chunks=frames(HEAD, piece(None, None, '{"n"', index=0), piece(None, None, ":1}", index=0))),
    Form(name="whole in one frame", chunks=frames(piece("c1", "f", '{"n":1}', index=0))),
    Form(name="beside empty text", chunks=[wire.delta("", tool_calls=[piece("c1", "f", '{"n":1}', index=0)]), *frames()]),
    Form(name="behind text", text="Let me see. ", chunks=[wire.delta("Let me see. "), *frames(piece("c1", "f", '{"n":1}', index=0))]),
    Form(name="with id and name in every fragment",
         chunks=frames(HEAD, piece("c1", "f", '{"n"', index=0), piece("c1", "f", ":1}", index=0))),
    Form(name="with an empty id and name in later fragments",
         chunks=frames(HEAD, piece("", "", '{"n"', index=0), piece("", "", ":1}", index=0))),
    Form(name="without index", calls=[ONE, TWO], chunks=frames(piece("c1", "f", '{"n":1}'), piece("c2", "f", '{"n":2}'))),
    Form(name="all with index 0", calls=[ONE, TWO],
         chunks=frames(piece("c1", "f", '{"n":1}', index=0), piece("c2", "f", '{"n":2}', index=0))),
    Form(name="with a first index of 1", chunks=frames(piece("c1", "f", '{"n":1}', index=1))),
    Form(name="with a gap in the indexes", calls=[ONE, TWO],
         chunks=frames(piece("c1", "f", '{"n":1}', index=0), piece("c2", "f", '{"n":2}', index=3))),
    Form(name="interleaved", calls=[ONE, TWO], chunks=frames(
        HEAD, piece("c2", "f", "", index=1), piece(None, None, '{"n":1', index=0), piece(None, None, '{"n":2', index=1),
        piece(None, None, "}", index=0), piece(None, None, "}", index=1))),
    Form(name="with the name behind the id",
         chunks=frames(piece("c1", None, "", index=0), piece(None, "f", '{"n":1}', index=0))),
    Form(name="with a fragment before the header",
         chunks=frames(piece(None, None, '{"n"', index=0), piece("c1", "f", ":1}", index=0))),
    Form(name="with the finish reason stop", chunks=frames(piece("c1", "f", '{"n":1}', index=0), finish="stop")),
    Form(name="with [DONE] and no finish reason", chunks=frames(piece("c1", "f", '{"n":1}', index=0), finish=None)),
    Form(name="with arguments that are null", calls=[("c1", {})],
         chunks=frames({"index": 0, "id": "c1", "function": {"name": "f", "arguments": None}})),
    Form(name="with empty arguments", calls=[("c1", {})], chunks=frames(piece("c1", "f", "", index=0))),
    Form(name="with arguments as an object", chunks=frames(piece("c1", "f", {"n": 1}, index=0))),
    Form(name="with blanks and line ends in the arguments", chunks=frames(piece("c1", "f", '{\n  "n": 1\n}', index=0))),
    *(Form(name=f"with the id {odd}", calls=[(odd, {"n": 1})], chunks=frames(piece(odd, "f", '{"n":1}', index=0)))
      for odd in ("calculator:0", "ONDFzdtXe", "toolu_01A", "call_00_x")),
]  # fmt: skip

ITEM = responses_wire.call("c1", "f", {"n": 1})
ITEMS = responses_wire.calls(ITEM)
RESPONSES = [
    Form(name="in fragments by item", chunks=ITEMS),
    Form(name="only in the end of the item", chunks=[*ITEMS[:2], *ITEMS[-2:]]),
    Form(name="only in the last event", chunks=[ITEMS[0], ITEMS[-1]]),
    Form(name="behind text", text="Let me see. ", chunks=responses_wire.numbered([
        ("response.created", {"response": responses_wire.response("in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": {**responses_wire.message(""), "content": []}}),
        ("response.output_text.delta", {"output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": "Let me see. "}),
        ("response.output_item.done", {"output_index": 0, "item": responses_wire.message("Let me see. ")}),
        ("response.output_item.done", {"output_index": 1, "item": ITEM}),
        ("response.completed", {"response": responses_wire.response(
            "completed", [responses_wire.message("Let me see. "), ITEM])}),
    ])),
    Form(name="two of them", calls=[ONE, TWO], chunks=responses_wire.calls(ITEM, responses_wire.call("c2", "f", {"n": 2}))),
    Form(name="with empty arguments", calls=[("c1", {})], chunks=responses_wire.calls({**ITEM, "arguments": ""})),
]  # fmt: skip
ROWS: list[tuple[Api, Form]] = [*((Chat, form) for form in CHAT), *((Responses, form) for form in RESPONSES)]


@pytest.mark.parametrize(
    ("api", "form"), [pytest.param(api, form, id=f"{api.endpoint}: {form.name}") for api, form in ROWS]
)
async def test_calls_run_however_the_server_says_them(api: Api, form: Form) -> None:
    got: list[dict[str, Any]] = []

    async def f(n: int = 0) -> str:
        got.append({"n": n} if n else {})
        return f"<{n}>"

    async with misbehave(reply(*form.chunks), reply(*api.answer("Done"))) as server:
        answer = await aquila.ask("hi", base_url=server.url, endpoint=api.endpoint, tools=[f])  # type: ignore[arg-type]

    assert answer.text == "Done"
    assert sorted(got, key=str) == sorted((arguments for _, arguments in form.calls), key=str)
    told = api.outputs(server.connections[1].payload)
    assert told == [(call_id, f"<{arguments.get('n', 0)}>") for call_id, arguments in form.calls]
    assert [(call.call_id, dict(call.arguments or {})) for call in answer.tool_calls] == list(form.calls)
    assert form.text in json.dumps(server.connections[1].payload)


@pytest.mark.parametrize("arguments", ['{"n": 1', "1", "[1]", "nope"])
@pytest.mark.parametrize("api", BOTH)
async def test_arguments_that_are_no_object_never_reach_a_tool(api: Api, arguments: str) -> None:
    ran: list[int] = []

    async def f(n: int) -> None:
        ran.append(n)

    async with misbehave(reply(*api.calls(("c1", "f", arguments))), reply(*api.answer("Sorry"))) as server:
        answer = await aquila.ask("hi", base_url=server.url, endpoint=api.endpoint, tools=[f])  # type: ignore[arg-type]

    assert (answer.text, ran) == ("Sorry", [])
    [(call_id, told)] = api.outputs(server.connections[1].payload)
    assert call_id == "c1"
    assert "not a JSON object" in told


@pytest.mark.parametrize("api", BOTH)
async def test_broken_arguments_go_back_as_json(api: Api) -> None:
    async def f(n: int) -> None:
        """Do nothing."""

    async with misbehave(reply(*api.calls(("c1", "f", '{"n": 1'))), reply(*api.answer("Sorry"))) as server:
        await aquila.ask("hi", base_url=server.url, endpoint=api.endpoint, tools=[f])  # type: ignore[arg-type]

    sent = server.connections[1].payload
    [turn] = (
        [call["function"] for message in sent["messages"] for call in message.get("tool_calls") or ()]
        if api is Chat
        else [item for item in sent["input"] if item.get("type") == "function_call"]
    )
    assert isinstance(json.loads(turn["arguments"]), dict)


@pytest.mark.parametrize("finish", ["length", "tool_calls"])
async def test_a_call_that_the_limit_cut_is_not_run_and_not_asked_for_again(finish: str) -> None:
    ran: list[int] = []

    async def f(n: int) -> None:
        ran.append(n)

    cut = frames(piece("c1", "f", '{"n": 1', index=0), finish=finish)
    async with misbehave(reply(*cut)) as server:
        answer = await aquila.ask("hi", base_url=server.url, tools=[f], max_output_tokens=4)

    assert (answer.finish_reason, answer.status, ran) == ("length", "incomplete", [])
    assert answer.tool_calls[0].arguments is None
    assert len(server.connections) == 1


async def test_a_call_without_a_name_is_an_error() -> None:
    async def f(n: int) -> None:
        """Do nothing."""

    async with misbehave(reply(*frames(piece("c1", "", '{"n":1}', index=0)))) as server:
        with pytest.raises(errors.ProtocolError, match="without a name"):
            await aquila.ask("hi", base_url=server.url, tools=[f], retry=0)

    assert len(server.connections) == 1


async def test_parallel_calls_are_one_turn_of_the_model_and_then_their_results() -> None:
    async def f(n: int) -> int:
        return n

    calls = reply(*Chat.calls(("c1", "f", '{"n":1}'), ("c2", "f", '{"n":2}')))
    async with misbehave(calls, reply(*wire.answer("Hi"))) as server:
        await aquila.ask("hi", base_url=server.url, tools=[f])

    roles = [message["role"] for message in server.connections[1].payload["messages"]]
    assert roles == ["user", "assistant", "tool", "tool"]
