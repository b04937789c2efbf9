from __future__ import annotations

import anyio
import anyio.lowlevel

import aquila
from aquila.events import Event
from aquila.sink import ambient, callback, collector
from aquila.testing import Answer, ScriptedTransport
from tests import wire


def scripted(*texts: str) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=wire.answer(*texts)))


async def test_a_collector_gives_every_event_to_a_reader_in_another_task() -> None:
    sink = collector()
    seen: list[Event] = []

    async def read() -> None:
        seen.extend([event async for event in sink])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        answer = await aquila.stream("hi", transport=scripted("a", "b"), sink=sink)

    assert [str(event) for event in seen if isinstance(event, aquila.Chunk)] == ["a", "b"]
    assert seen[-1] == aquila.Done(answer)


async def test_a_full_collector_holds_the_run_back() -> None:
    sink = collector(size=2)
    taken: list[int] = []

    class Counting(ScriptedTransport):
        pass

    transport = Counting(Answer(chunks=wire.answer(*"abcdefgh")))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(aquila.stream("hi", transport=transport, sink=sink).response)
        await anyio.wait_all_tasks_blocked()
        taken.append(sink._receive.statistics().current_buffer_used)
        events = [event async for event in sink]

    assert taken == [2]
    assert len([event for event in events if isinstance(event, aquila.Chunk)]) == 8


async def test_a_reader_that_leaves_does_not_end_the_run() -> None:
    async with collector(size=1) as sink:
        pass

    answer = await aquila.stream("hi", transport=scripted("a", "b"), sink=sink)

    assert answer.text == "ab"


async def test_with_ref_tells_runs_apart() -> None:
    sink = collector(with_ref=True)
    stream = aquila.stream("hi", transport=scripted("a"), sink=sink)

    await stream

    assert {ref for ref, _ in [pair async for pair in sink]} == {stream.ref}


async def test_a_failed_run_ends_the_collector_with_failed() -> None:
    sink = collector()
    transport = ScriptedTransport(Answer(chunks=[wire.delta("x")]))

    try:
        await aquila.stream("hi", transport=transport, sink=sink)
    except aquila.StreamTruncated as error:
        raised = error

    assert [event async for event in sink][-1] == aquila.Failed(raised)


async def test_a_callback_may_be_a_plain_or_a_coroutine_function() -> None:
    seen: list[str] = []

    async def later(event: Event) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(event.type)

    await aquila.stream("hi", transport=scripted("a"), sink=callback(lambda event: seen.append(event.type)))
    plain, seen[:] = list(seen), []
    await aquila.stream("hi", transport=scripted("a"), sink=callback(later))

    assert seen == plain
    assert plain[0] == "started"


async def test_ambient_sinks_see_the_runs_of_their_block_child_tasks_included_and_no_others() -> None:
    seen: list[str] = []

    async def run(text: str) -> None:
        await aquila.ask("hi", transport=scripted(text))

    with ambient(
        callback(lambda event: seen.append(str(event)) if isinstance(event, aquila.Chunk) else None)
    ):
        await run("inside")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, "child")
    await run("outside")

    assert seen == ["inside", "child"]
