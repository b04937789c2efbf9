from __future__ import annotations

import logging

import anyio
import anyio.lowlevel
import pytest

import aquila
from aquila.events import Event
from aquila.sink import ambient, callback
from aquila.testing import Answer, ScriptedTransport
from tests import wire


def scripted(*texts: str) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=wire.answer(*texts)))


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


@pytest.mark.parametrize("event", ["started", "chunk", "done"])
async def test_a_callback_that_raises_harms_nobody_unless_it_is_strict(
    event: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(given: Event) -> None:
        if given.type == event:
            raise ValueError("the callback's own trouble")

    with caplog.at_level(logging.ERROR, "aquila"):
        answer = await aquila.stream("hi", transport=scripted("a"), sink=callback(fail))

    assert answer.text == "a"
    assert [record.getMessage() for record in caplog.records] == [
        f"sink_failed sink=CallbackSink event={event}"
    ]
    with pytest.raises(ValueError, match="own trouble"):
        await aquila.stream("hi", transport=scripted("a"), sink=callback(fail, strict=True))
