from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
from hypothesis import given
from hypothesis import strategies as st

from aquila.events import Chunk, Done, Event, ReasoningChunk, Started, Status, ToolCallChunk
from aquila.response import Response
from aquila.sink import Collector, collector
from aquila.sink.overflow import PolicyName

START, END = Started("run", "m"), Done(Response())


async def fill(sink: Collector[Any], *events: Event) -> None:
    for event in (START, *events, END):
        await sink.emit(event)
    await sink.aclose()


async def test_drop_oldest_keeps_the_newest_the_first_and_the_last_and_counts_the_rest() -> None:
    sink = collector(size=3, policy="drop_oldest")

    await fill(sink, *map(Chunk, "abcdef"))

    seen = [event async for event in sink]
    assert seen == [START, Chunk("e"), Chunk("f"), END]
    assert sink.dropped == 4


async def test_drop_oldest_of_size_one_keeps_the_newest_event() -> None:
    sink = collector(size=1, policy="drop_oldest")

    await fill(sink, *map(Chunk, "abc"))

    assert [event async for event in sink] == [START, Chunk("c"), END]
    assert sink.dropped == 2


async def test_a_reader_that_keeps_up_loses_nothing_to_drop_oldest() -> None:
    sink = collector(size=1, policy="drop_oldest")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fill, sink, *map(Chunk, "abcdefghij"))
        seen = [event async for event in sink]

    assert "".join(str(event) for event in seen if isinstance(event, Chunk)) == "abcdefghij"
    assert sink.dropped == 0


async def test_coalesce_joins_fragments_of_one_kind_and_loses_no_text() -> None:
    sink = collector(size=3, policy="coalesce")

    with anyio.fail_after(5):
        # Nobody reads yet: it would not end if one of these waited.
        await fill(sink, ReasoningChunk("r"), Chunk("a"), Chunk("b"), Chunk("c"))

    assert [event async for event in sink] == [START, ReasoningChunk("r"), Chunk("abc"), END]


async def test_coalesce_joins_the_fragments_of_each_of_two_calls_at_once() -> None:
    sink = collector(size=3, policy="coalesce")
    one, other = ToolCallChunk("1", "{"), ToolCallChunk("2", "[")

    with anyio.fail_after(5):
        await fill(sink, one, other, ToolCallChunk("1", "}"), ToolCallChunk("2", "]"))

    assert [event async for event in sink] == [START, ToolCallChunk("1", "{}"), ToolCallChunk("2", "[]"), END]


async def test_coalesce_waits_with_what_would_change_the_order() -> None:
    sink = collector(size=2, policy="coalesce")
    sent: list[Event] = []

    async def run() -> None:
        for event in (START, Status("working"), Chunk("a"), END):
            await sink.emit(event)
            sent.append(event)
        await sink.aclose()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        before = len(sent)
        seen = [event async for event in sink]

    assert before == 2
    assert seen == sent


FRAGMENTS = st.one_of(
    st.builds(Chunk, st.text(max_size=3)),
    st.builds(ReasoningChunk, st.text(max_size=3)),
    st.builds(ToolCallChunk, st.sampled_from(["1", "2"]), st.text(max_size=3)),
    st.just(Status("news")),
)


def streams(events: list[Event]) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in events:
        if isinstance(event, Chunk | ReasoningChunk | ToolCallChunk):
            name = f"{event.type} {getattr(event, 'call_id', '')}"
            found[name] = found.get(name, "") + event.text
    return found


@given(
    events=st.lists(FRAGMENTS, max_size=30),
    pauses=st.lists(st.integers(0, 8), max_size=40),
    size=st.integers(1, 4),
    policy=st.sampled_from(["block", "coalesce", "drop_oldest"]),
)
def test_every_policy_keeps_its_promise_whatever_comes_and_however_it_is_read(
    events: list[Event], pauses: list[int], size: int, policy: PolicyName
) -> None:
    sink = collector(size, policy=policy)
    seen: list[Event] = []

    async def main() -> None:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fill, sink, *events)
                left = list(pauses)
                async for event in sink:
                    seen.append(event)
                    for _ in range(left.pop() if left else 0):
                        await anyio.lowlevel.checkpoint()

    anyio.run(main)

    assert (seen[0], seen[-1]) == (START, END)
    if policy == "drop_oldest":
        assert len(seen) + sink.dropped == len(events) + 2
    else:
        assert streams(seen) == streams(events)
        assert seen.count(Status("news")) == events.count(Status("news"))
    if policy == "block":
        assert seen == [START, *events, END]
