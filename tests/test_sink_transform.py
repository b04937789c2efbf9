from __future__ import annotations

import logging
from typing import Any

import anyio.lowlevel
import pytest

import aquila
from aquila.events import Chunk, Done, Event, Failed, Started
from aquila.response import Response
from aquila.sink import callback, collector, transform
from aquila.testing import Answer, ScriptedTransport
from tests import wire

END = Done(Response())


def scripted(*texts: str) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=wire.answer(*texts)))


def upper(event: Event) -> Event | None:
    return Chunk(event.text.upper()) if isinstance(event, Chunk) else None


async def upper_later(event: Event) -> Event | None:
    await anyio.lowlevel.checkpoint()
    return upper(event)


def broken(event: Event) -> Event | None:
    raise ValueError("the function's own trouble")


@pytest.mark.parametrize("function", [upper, upper_later])
async def test_a_function_changes_and_drops_events_but_never_the_end(function: Any) -> None:
    seen: list[Event] = []

    answer = await aquila.stream(
        "hi", transport=scripted("a", "b"), sink=transform(function, callback(seen.append))
    )

    assert seen == [Chunk("A"), Chunk("B"), Done(answer)]
    assert answer.text == "ab"


async def test_a_failure_is_passed_on_too() -> None:
    seen: list[Event] = []
    transport = ScriptedTransport(Answer(chunks=[wire.delta("x")]))

    with pytest.raises(aquila.StreamTruncated) as caught:
        await aquila.stream("hi", transport=transport, sink=transform(upper, callback(seen.append)))

    assert seen == [Chunk("X"), Failed(caught.value)]


async def test_the_end_may_be_changed_into_another_end() -> None:
    seen: list[Event] = []
    sink = transform(lambda _: Done(Response(text="changed")), callback(seen.append))

    await sink.emit(END)

    assert seen == [Done(Response(text="changed"))]


async def test_a_function_that_raises_is_logged_and_the_end_comes_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Event] = []

    with caplog.at_level(logging.ERROR, "aquila"):
        answer = await aquila.stream(
            "hi", transport=scripted("a"), sink=transform(broken, callback(seen.append, strict=True))
        )

    assert seen == [Done(answer)]
    assert "sink_failed sink=TransformSink event=chunk" in caplog.text


async def test_a_strict_function_ends_the_run() -> None:
    seen: list[Event] = []

    with pytest.raises(ValueError, match="own trouble"):
        await aquila.stream(
            "hi", transport=scripted("a"), sink=transform(broken, callback(seen.append), strict=True)
        )

    assert [event.type for event in seen] == ["failed"]


async def test_a_strict_function_that_raises_over_the_end_keeps_the_sink_not_waiting() -> None:
    seen: list[Event] = []
    sink = transform(broken, callback(seen.append), strict=True)

    with pytest.raises(ValueError, match="own trouble"):
        await sink.emit(END)

    assert seen == [END]


@pytest.mark.parametrize("strict", [False, True])
async def test_the_sink_behind_it_says_itself_whether_it_ends_the_run(strict: bool) -> None:
    sink = transform(lambda event: event, callback(broken, strict=strict))

    if strict:
        with pytest.raises(ValueError, match="own trouble"):
            await aquila.stream("hi", transport=scripted("a"), sink=sink)
    else:
        assert (await aquila.stream("hi", transport=scripted("a"), sink=sink)).text == "a"


@pytest.mark.parametrize(
    ("event", "result", "message"),
    [
        (Chunk("a"), END, "made a done event of a chunk event"),
        (END, Chunk("a"), "made a chunk event of a done event"),
        (Chunk("a"), "A", "gave 'A' for a chunk event; give an event or None"),
    ],
)
async def test_what_no_run_may_contain_is_refused(event: Event, result: Any, message: str) -> None:
    sink = transform(lambda _: result, callback(lambda _: None), strict=True)

    with pytest.raises(aquila.ConfigError, match=message):
        await sink.emit(event)


async def test_each_run_has_its_own_way_into_the_sink_behind_it() -> None:
    sink = collector(with_ref=True)
    one, other = (transform(lambda event: event, sink).for_run(ref) for ref in "12")

    await one.emit(Started("1", "m"))
    await other.emit(Chunk("b"))
    await one.emit(Chunk("a"))
    await one.aclose()
    await other.aclose()

    assert [ref async for ref, _ in sink] == ["1", "2", "1"]
