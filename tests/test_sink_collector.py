from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

import aquila
from aquila.events import Chunk, Done, Event, Failed, Started
from aquila.response import Response
from aquila.sink import Collector, collector
from aquila.sink.overflow import PolicyName
from aquila.testing import Answer, ScriptedTransport
from tests import wire

START, END = Started("run", "m"), Done(Response())


def scripted(*texts: str) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=wire.answer(*texts)))


async def fill(sink: Collector[Any], *events: Event) -> None:
    for event in (START, *events, END):
        await sink.emit(event)
    await sink.aclose()


def texts(events: list[Event], kind: type[Event] = Chunk) -> list[str]:
    return [str(event) for event in events if type(event) is kind]


async def test_a_reader_in_another_task_gets_every_event() -> None:
    sink = collector()
    seen: list[Event] = []

    async def read() -> None:
        seen.extend([event async for event in sink])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        answer = await aquila.stream("hi", transport=scripted("a", "b"), sink=sink)

    assert texts(seen) == ["a", "b"]
    assert seen[-1] == Done(answer)


async def test_a_full_collector_makes_the_run_wait() -> None:
    sink = collector(size=2)
    sent: list[Event] = []

    async def run() -> None:
        for event in (START, *map(Chunk, "abcdefgh"), END):
            await sink.emit(event)
            sent.append(event)
        await sink.aclose()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        before = list(sent)
        seen = [event async for event in sink]

    assert before == [START, Chunk("a")]
    assert seen == sent
    assert sink.dropped == 0


async def test_a_reader_that_leaves_does_not_end_the_run() -> None:
    async with collector(size=1) as sink:
        pass

    answer = await aquila.stream("hi", transport=scripted("a", "b"), sink=sink)

    assert answer.text == "ab"


@pytest.mark.parametrize("policy", ["block", "coalesce"])
async def test_a_run_that_waits_goes_on_when_the_reader_leaves_early(policy: PolicyName) -> None:
    sink = collector(size=1, policy=policy)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fill, sink, Chunk("a"), Chunk("b"))
            await anyio.wait_all_tasks_blocked()
            async with sink:
                await anext(sink)

    assert [event async for event in sink] == []


async def test_with_ref_names_the_run() -> None:
    sink = collector(with_ref=True)
    stream = aquila.stream("hi", transport=scripted("a"), sink=sink)

    await stream

    assert {ref for ref, _ in [pair async for pair in sink]} == {stream.ref}


async def test_a_failed_run_ends_with_failed() -> None:
    sink = collector()
    transport = ScriptedTransport(Answer(chunks=[wire.delta("x")]))

    with pytest.raises(aquila.StreamTruncated) as caught:
        await aquila.stream("hi", transport=transport, sink=sink)

    assert [event async for event in sink][-1] == Failed(caught.value)


@pytest.mark.parametrize("policy", ["block", "coalesce", "drop_oldest"])
async def test_the_last_event_needs_no_room_and_nothing_comes_behind_it(policy: PolicyName) -> None:
    sink = collector(size=1, policy=policy)

    with anyio.fail_after(5):
        await fill(sink)
        await sink.emit(Failed(aquila.AquilaError("a second end")))
        await sink.emit(Chunk("late"))

    assert [event async for event in sink] == [START, END]


async def test_a_cancelled_emit_loses_its_own_event_alone() -> None:
    sink = collector(size=1)
    await sink.emit(START)

    with anyio.move_on_after(0.01) as scope:
        await sink.emit(Chunk("given up"))
    await sink.emit(END)
    await sink.aclose()

    assert scope.cancelled_caught
    assert [event async for event in sink] == [START, END]


async def test_a_cancelled_reader_loses_nothing() -> None:
    sink = collector()

    with anyio.move_on_after(0.01):
        await anext(sink)
    await fill(sink, Chunk("a"))

    assert [event async for event in sink] == [START, Chunk("a"), END]


async def test_runs_that_overlap_are_told_apart_and_the_last_one_ends_the_reading() -> None:
    sink = collector(with_ref=True)
    one, other = sink.for_run("1"), sink.for_run("2")

    for port, event in [
        (one, Started("1", "m")), (other, Started("2", "m")), (one, Chunk("a")), (other, Chunk("b")), (one, END),
    ]:  # fmt: skip
        await port.emit(event)
    await one.aclose()
    await one.aclose()
    await other.emit(END)
    await other.aclose()

    seen = [pair async for pair in sink]
    assert [(ref, str(event)) for ref, event in seen if isinstance(event, Chunk)] == [("1", "a"), ("2", "b")]
    assert [ref for ref, event in seen if event is END] == ["1", "2"]


async def test_reading_ends_with_the_last_of_the_runs_that_share_it_even_if_they_do_not_overlap() -> None:
    sink = collector(with_ref=True, runs=2)
    seen: list[str] = []

    async def run(ref: str) -> None:
        port = sink.for_run(ref)
        for event in (Started(ref, "m"), END):
            await port.emit(event)
        await port.aclose()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, "1")
        tasks.start_soon(run, "2")
        async for ref, event in sink:
            seen.append(f"{ref} {event.type}")

    assert seen == ["1 started", "1 done", "2 started", "2 done"]


async def test_a_collector_for_any_number_of_runs_ends_when_it_is_closed() -> None:
    sink = collector(runs=None)
    port = sink.for_run("1")
    await port.emit(END)
    await port.aclose()

    await anext(sink)
    with anyio.move_on_after(0.01) as waiting:
        await anext(sink)
    await sink.aclose()

    assert waiting.cancelled_caught
    assert [event async for event in sink] == []


async def test_runs_one_after_the_other_keep_their_ends_in_order() -> None:
    sink = collector(with_ref=True)

    for ref in ("1", "2"):
        await sink.emit(Started(ref, "m"))
        await sink.emit(END)
    await sink.aclose()

    assert [(ref, event.type) async for ref, event in sink] == [
        ("1", "started"), ("1", "done"), ("2", "started"), ("2", "done"),
    ]  # fmt: skip


async def test_a_run_that_begins_after_the_end_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    sink = collector()
    await aquila.stream("hi", transport=scripted("a"), sink=sink)

    with caplog.at_level(logging.ERROR, "aquila"):
        answer = await aquila.stream("hi", transport=scripted("b"), sink=sink)

    assert answer.text == "b"
    assert len(caplog.records) == 1
    assert "make one for each run" in caplog.text
    assert texts([event async for event in sink]) == ["a"]


async def test_a_run_that_waits_goes_on_when_the_queue_is_closed() -> None:
    sink = collector(size=1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fill, sink, Chunk("a"))
            await anyio.wait_all_tasks_blocked()
            await sink.aclose()

    assert [event async for event in sink] == [START]


@pytest.mark.parametrize("size", [0, -1, 1.5, None])
def test_a_size_below_one_is_refused(size: Any) -> None:
    with pytest.raises(aquila.ConfigError, match=r"size=.* at least 1"):
        collector(size)


@pytest.mark.parametrize("runs", [0, 1.5, "all"])
def test_a_number_of_runs_below_one_is_refused(runs: Any) -> None:
    with pytest.raises(aquila.ConfigError, match=r"runs=.* at least 1, or None"):
        collector(runs=runs)


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    policy: Any = "drop_newest"

    with pytest.raises(aquila.ConfigError, match="'drop_newest' must be one of block, coalesce, drop_oldest"):
        collector(policy=policy)
