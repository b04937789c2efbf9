from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio.lowlevel
import pytest

import aquila
from aquila.errors import AquilaError
from aquila.testing import Answer
from aquila.tool_call import ToolCall, ToolResult
from aquila.tools import Context, Toolbox, ToolOutput, tool
from aquila.tools.ledger import call_key, recording
from tests.rounds import bodies, scripted


class Pages:
    """A ledger in memory, which outlives an attempt."""

    def __init__(self) -> None:
        self.kept: dict[str, ToolOutput] = {}

    async def recall(self, key: str) -> ToolOutput | None:
        await anyio.lowlevel.checkpoint()
        return self.kept.get(key)

    async def record(self, key: str, output: ToolOutput) -> None:
        await anyio.lowlevel.checkpoint()
        self.kept[key] = output


@dataclass
class Customer:
    name: str
    connection: object


class Shop:
    """Tools that count how often they ran."""

    def __init__(self) -> None:
        self.paid: list[str] = []

    async def pay(self, order: str, cents: int = 1) -> str:
        self.paid.append(order)
        return f"{order} paid as number {len(self.paid)}"


def call(name: str, call_id: str = "1", **arguments: Any) -> ToolCall:
    return ToolCall(call_id, name, arguments)


async def outputs(pages: Pages, box: Toolbox, *calls: ToolCall) -> list[str]:
    """Run each call in a round of its own, all of them in one attempt."""
    with recording(pages):
        return [(await box.run([one]))[0].output for one in calls]


async def test_a_call_that_was_run_is_not_run_again() -> None:
    pages, shop = Pages(), Shop()
    first = await outputs(pages, Toolbox([shop.pay]), call("pay", "a", order="x", cents=2))

    again = await outputs(pages, Toolbox([shop.pay]), call("pay", "b", cents=2, order="x"))

    assert first == again == ["x paid as number 1"]
    assert shop.paid == ["x"]


async def test_without_a_ledger_every_call_runs() -> None:
    shop = Shop()
    box = Toolbox([shop.pay])

    for _ in range(2):
        await box.run([call("pay", order="x")])

    assert shop.paid == ["x", "x"]


async def test_other_arguments_or_another_tool_are_another_call() -> None:
    pages, shop = Pages(), Shop()
    box = Toolbox([shop.pay, tool(shop.pay, name="pay_twice")])
    await outputs(pages, box, call("pay", order="x"))

    await outputs(pages, box, call("pay", order="y"), call("pay_twice", order="x"), call("pay", order="x"))

    assert shop.paid == ["x", "y", "x"]


async def test_the_same_call_twice_runs_twice_and_each_gets_its_own_result_again() -> None:
    pages, shop = Pages(), Shop()
    twice = [call("pay", order="x")] * 2
    first = await outputs(pages, Toolbox([shop.pay]), *twice)

    again = await outputs(pages, Toolbox([shop.pay]), *twice, call("pay", order="x"))

    assert first == ["x paid as number 1", "x paid as number 2"]
    assert again == [*first, "x paid as number 3"]


async def test_the_same_calls_of_one_round_run_once_each() -> None:
    pages, shop = Pages(), Shop()
    calls = [call("pay", str(number), order="x") for number in range(3)]
    with recording(pages):
        first = await Toolbox([shop.pay]).run(calls)
    with recording(pages):
        again = await Toolbox([shop.pay]).run(calls)

    assert {result.output for result in again} == {result.output for result in first}
    assert len(shop.paid) == 3


async def test_what_failed_runs_again_and_takes_nothing_away_from_what_went_well() -> None:
    pages, tries = Pages(), [0]

    def book() -> str:
        tries[0] += 1
        if tries[0] == 1:
            raise ValueError("no line")
        return f"booked at try {tries[0]}"

    first = await outputs(pages, Toolbox([book]), call("book"), call("book"))
    # The model is luckier now, and calls once.
    again = await outputs(pages, Toolbox([book]), call("book"))

    assert first == ["Tool failed: ValueError: no line", "booked at try 2"]
    assert again == ["booked at try 2"]
    assert tries == [2]


async def test_an_output_that_says_it_failed_is_not_kept() -> None:
    pages = Pages()

    def refuse() -> ToolOutput:
        return ToolOutput("no", status="error")

    await outputs(pages, Toolbox([refuse]), call("refuse"), call("refuse", unknown=1), call("nothing"))

    assert pages.kept == {}


async def test_a_repeatable_tool_is_always_run() -> None:
    pages, shop = Pages(), Shop()
    box = Toolbox([tool(shop.pay, repeatable=True)])

    await outputs(pages, box, call("pay", order="x"))
    await outputs(pages, box, call("pay", order="x"))

    assert shop.paid == ["x", "x"]
    assert pages.kept == {}


async def test_a_patch_is_kept_too() -> None:
    pages, runs = Pages(), [0]

    def count(ctx: Context[Mapping[str, int]]) -> ToolOutput:
        runs[0] += 1
        return ToolOutput("counted", context_patch={"n": ctx.value["n"] + 1})

    boxes = [Toolbox([count], context={"n": 1}) for _ in range(2)]
    for box in boxes:
        # The second call of an attempt sees another context than its first one did.
        await outputs(pages, box, call("count"), call("count"))

    assert [box.context for box in boxes] == [{"n": 3}, {"n": 3}]
    assert runs == [2]


@pytest.mark.parametrize(
    ("one", "other"), [({"user": "a"}, {"user": "b"}), (Customer("a", object()), Customer("b", object()))]
)
async def test_what_was_found_for_one_context_is_no_answer_for_another(one: Any, other: Any) -> None:
    pages, asked = Pages(), []

    def balance(ctx: Context[Any]) -> str:
        asked.append(ctx.value)
        return str(ctx.value)

    for context in (one, other, one):
        await outputs(pages, Toolbox([balance], context=context), call("balance"))

    assert asked == [one, other]


async def test_a_context_that_no_parameter_takes_makes_no_difference() -> None:
    pages, shop = Pages(), Shop()

    for now in (1, 2):
        await outputs(pages, Toolbox([shop.pay], context={"now": now}), call("pay", order="x"))

    assert shop.paid == ["x"]


def test_a_key_hides_the_arguments_and_is_short() -> None:
    key = call_key(call("n" * 64, iban="s3cret"), {"also": "s3cret"})

    assert "s3cret" not in key
    assert len(key) <= 150
    assert call_key(call("a", x=1), None) != call_key(call("a", x=1), {})


def test_what_is_no_json_has_a_key_as_well() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle

    assert call_key(call("a"), cycle) == call_key(call("a"), cycle)
    assert call_key(call("a"), object()) == call_key(call("a"), object())
    assert call_key(call("a"), {1: "x", "b": 2}) != call_key(call("a"), None)


async def test_the_event_comes_and_the_model_is_told_as_if_the_tool_had_run() -> None:
    pages, shop = Pages(), Shop()
    seen = []
    for call_id in ("first", "second"):
        transport = scripted(Answer.calls((call_id, "pay", {"order": "x"})), Answer.text("Done."))
        with recording(pages):
            stream = aquila.stream("pay x", tools=[shop.pay], transport=transport)
            seen.append([event async for event in stream if isinstance(event, ToolResult)])
        told = [message for message in bodies(transport)[1]["messages"] if message["role"] == "tool"]
        assert told == [{"role": "tool", "tool_call_id": call_id, "content": "x paid as number 1"}]

    assert seen == [[ToolResult(call_id, "pay", "x paid as number 1")] for call_id in ("first", "second")]
    assert shop.paid == ["x"]


async def test_a_ledger_that_cannot_record_ends_the_run() -> None:
    class Full(Pages):
        async def record(self, key: str, output: ToolOutput) -> None:
            raise AquilaError("the ledger is full")

    shop = Shop()
    transport = scripted(Answer.calls(("1", "pay", {"order": "x"})), Answer.text("Done."))

    with recording(Full()), pytest.raises(AquilaError, match="the ledger is full"):
        await aquila.ask("pay x", tools=[shop.pay], transport=transport, fallback=["other"])

    assert (len(transport.requests), transport.open) == (1, 0)


def test_repeatable_is_true_or_false() -> None:
    assert tool(Shop().pay, repeatable=True).repeatable
    assert not tool(Shop().pay).repeatable
    assert tool(tool(Shop().pay, repeatable=True), name="b").repeatable
    with pytest.raises(aquila.ConfigError, match="repeatable='yes' must be True or False"):
        tool(Shop().pay, repeatable="yes")  # type: ignore[call-overload]
