from __future__ import annotations

import logging
from typing import Any

import anyio.lowlevel
import pytest

import aquila
from aquila.events import Chunk, Done, Failed, ReasoningChunk, Started, ToolCall, ToolResult
from aquila.response import Response
from aquila.sink import Store, persist
from aquila.testing import Answer, ScriptedTransport
from tests import wire

END = Done(Response())


class Notes:
    """A store that notes every call; `raises` names the method that fails."""

    def __init__(self, raises: str = "") -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self._raises = raises

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)

        async def note(ref: str, value: Any) -> None:
            await anyio.lowlevel.checkpoint()
            self.calls.append((name, ref, value))
            if name == self._raises:
                raise ValueError("the store's own trouble")

        return note

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]


def scripted(*texts: str) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=wire.answer(*texts)))


async def test_a_run_is_told_from_its_start_to_its_end_each_thing_once() -> None:
    store = Notes()
    stream = aquila.stream("hi", transport=scripted("a", "b"), sink=persist(store), metadata={"user": 7})

    answer = await stream

    assert store.calls[0] == ("on_start", stream.ref, {"user": 7})
    assert [value for name, _, value in store.calls if name == "on_chunk"] == ["a", "b"]
    assert store.calls[-1] == ("on_complete", stream.ref, answer)
    assert {value.type for name, _, value in store.calls if name == "on_event"}.isdisjoint({"chunk", "done"})


async def test_each_kind_of_event_has_one_method() -> None:
    store = Notes()
    call, result = ToolCall("1", "f", {}), ToolResult("1", "f", "x")
    sink = persist(store)

    for event in (Started("run", "m"), ReasoningChunk("r"), call, result, END):
        await sink.emit(event)

    assert store.calls == [
        ("on_start", "run", {}),
        ("on_event", "run", ReasoningChunk("r")),
        ("on_tool_call", "run", call),
        ("on_tool_result", "run", result),
        ("on_complete", "run", END.response),
    ]


async def test_a_failure_is_told_once_with_what_had_come() -> None:
    store = Notes()
    transport = ScriptedTransport(Answer(chunks=[wire.delta("x")]))

    with pytest.raises(aquila.StreamTruncated) as caught:
        await aquila.stream("hi", transport=transport, sink=persist(store))

    assert store.names.count("on_error") == 1
    assert store.calls[-1][2] is caught.value
    assert "on_complete" not in store.names


@pytest.mark.parametrize("raises", ["on_start", "on_chunk", "on_event", "on_complete"])
async def test_a_failing_store_is_logged_and_the_run_goes_on(
    raises: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Notes(raises)

    with caplog.at_level(logging.ERROR, "aquila"):
        answer = await aquila.stream("hi", transport=scripted("a", "b"), sink=persist(store))

    assert answer.text == "ab"
    assert f"sink_failed sink=Notes event={raises}" in caplog.text
    assert store.names.count("on_chunk") == 2
    assert store.names.count("on_complete") == 1


async def test_a_failing_on_error_leaves_the_run_s_own_error(caplog: pytest.LogCaptureFixture) -> None:
    store = Notes("on_error")
    transport = ScriptedTransport(Answer(chunks=[wire.delta("x")]))

    with caplog.at_level(logging.ERROR, "aquila"), pytest.raises(aquila.StreamTruncated):
        await aquila.stream("hi", transport=transport, sink=persist(store))

    assert store.names.count("on_error") == 1
    assert "event=on_error" in caplog.text


async def test_a_strict_store_ends_the_run_and_is_told_why() -> None:
    store = Notes("on_chunk")

    with pytest.raises(ValueError, match="own trouble"):
        await aquila.stream("hi", transport=scripted("a"), sink=persist(store, strict=True))

    assert store.names[-2:] == ["on_chunk", "on_error"]


async def test_a_store_may_have_plain_methods_and_lack_the_rest() -> None:
    class Texts:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def on_chunk(self, ref: str, text: str) -> None:
            self.texts.append(text)

    store = Texts()

    await aquila.stream("hi", transport=scripted("a", "b"), sink=persist(store))

    assert store.texts == ["a", "b"]


async def test_a_store_may_build_on_the_one_that_does_nothing() -> None:
    class Ends(Store):
        ended = 0

        async def on_complete(self, ref: str, response: Response) -> None:
            self.ended += 1

    store = Ends()

    await aquila.stream("hi", transport=scripted("a"), sink=persist(store))

    assert store.ended == 1


async def test_nothing_is_told_behind_the_end_until_another_run_begins() -> None:
    store = Notes()
    sink = persist(store)

    for event in (
        Started("1", "m"),
        END,
        END,
        Failed(aquila.AquilaError("x")),
        Chunk("late"),
        Started("2", "m"),
        END,
    ):
        await sink.emit(event)
    await sink.aclose()
    await sink.aclose()

    assert [(name, ref) for name, ref, _ in store.calls] == [
        ("on_start", "1"), ("on_complete", "1"), ("on_start", "2"), ("on_complete", "2"),
    ]  # fmt: skip


async def test_runs_at_the_same_time_keep_their_names() -> None:
    store = Notes()
    sink = persist(store)
    one, other = sink.for_run("1"), sink.for_run("2")

    for part, event in [(one, Started("1", "m")), (other, Started("2", "m")), (one, Chunk("a")), (one, END), (other, Chunk("b"))]:  # fmt: skip
        await part.emit(event)

    assert [(name, ref) for name, ref, _ in store.calls] == [
        ("on_start", "1"), ("on_start", "2"), ("on_chunk", "1"), ("on_complete", "1"), ("on_chunk", "2"),
    ]  # fmt: skip


@pytest.mark.parametrize("store", [object(), Store, {"on_chunk": print}])
def test_what_has_none_of_the_methods_is_refused(store: object) -> None:
    with pytest.raises(aquila.ConfigError, match="at least one of the methods on_start, on_chunk"):
        persist(store)
