"""A Stream's end: told once to everybody, whoever ends it and however."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.events import Event
from aquila.testing import Answer, ScriptedTransport
from tests import wire


class Recording:
    """A sink that notes what it gets; `trouble` says at which event it raises, or hangs."""

    def __init__(self, *, raises: str = "", hangs: str = "", strict: bool = False) -> None:
        self.types: list[str] = []
        self.closed = 0
        self.strict = strict
        self._raises, self._hangs = raises, hangs

    async def emit(self, event: Event) -> None:
        self.types.append(event.type)
        if event.type == self._raises:
            raise ValueError("a sink's own trouble")
        if event.type == self._hangs:
            await anyio.sleep_forever()

    async def aclose(self) -> None:
        self.closed += 1
        if self._raises == "aclose":
            raise ValueError("a sink's own trouble")

    @property
    def ends(self) -> list[str]:
        return [name for name in self.types if name in {"done", "failed"}]


def scripted(*chunks: bytes | float) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=chunks))


async def test_a_sink_that_fails_while_closing_does_not_fail_the_run() -> None:
    own, other = Recording(raises="aclose"), Recording()

    with aquila.sink.ambient(other):
        answer = await aquila.stream("hi", transport=scripted(*wire.answer("x")), sink=own)

    assert answer.text == "x"
    assert (own.ends, other.ends) == (["done"], ["done"])


@pytest.mark.parametrize("strict", [False, True])
async def test_a_sink_that_fails_over_failed_harms_nobody_else(strict: bool) -> None:
    own, other = Recording(raises="failed", strict=strict), Recording()

    with aquila.sink.ambient(other), pytest.raises(errors.StreamTruncated):
        await aquila.stream("hi", transport=scripted(wire.delta("x")), sink=own)

    assert (own.ends, own.closed, other.ends) == (["failed"], 1, ["failed"])


async def test_a_sink_that_hangs_over_failed_keeps_nobody_else_from_hearing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aquila.feed._END_SECONDS", 0.05)
    own, other = Recording(hangs="failed"), Recording()

    with anyio.fail_after(5), aquila.sink.ambient(other), pytest.raises(errors.StreamTruncated):
        await aquila.stream("hi", transport=scripted(wire.delta("x")), sink=own)

    assert (own.closed, other.ends) == (1, ["failed"])


async def test_whoever_heard_done_does_not_hear_failed() -> None:
    own, slow = Recording(), Recording(hangs="done")

    with anyio.fail_after(5), aquila.sink.ambient(slow), pytest.raises(errors.TotalTimeout):
        await aquila.stream("hi", transport=scripted(*wire.answer("x")), sink=own, timeout=0.2)

    assert (own.ends, slow.ends) == (["done"], ["done"])


async def test_a_slow_reader_of_a_full_collector_hears_the_end() -> None:
    collector = aquila.sink.collector(1)
    transport = scripted(*wire.answer(*"abcdef"))

    with pytest.raises(errors.TotalTimeout) as caught:
        await aquila.stream("hi", transport=transport, sink=collector, timeout=0.1)

    with anyio.fail_after(5):
        events = [event async for event in collector]
    assert events[-1] == aquila.Failed(caught.value)


async def test_a_time_out_in_a_sink_keeps_what_had_come() -> None:
    with anyio.fail_after(5), pytest.raises(errors.TotalTimeout) as caught:
        await aquila.stream(
            "hi", transport=scripted(*wire.answer("x")), sink=Recording(hangs="usage_update"), timeout=0.2
        )

    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.attempts) == ("x", 1)


@pytest.mark.parametrize(
    "chunks", [[30.0], [wire.delta("x"), 30.0]], ids=["before the first byte", "behind content"]
)
async def test_another_task_may_close_a_stream_that_is_being_read(chunks: list[Any]) -> None:
    sink, transport = Recording(), scripted(*chunks)
    stream = aquila.stream("hi", transport=transport, sink=sink)
    raised: list[BaseException] = []

    async def read() -> None:
        try:
            await stream
        except errors.AquilaError as error:
            raised.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.sleep(0.05)
            await stream.aclose()

    assert [str(error) for error in raised] == ["the run was closed by its reader before its end"]
    assert (sink.ends, sink.closed, transport.open) == (["failed"], 1, 0)


async def test_a_stream_may_be_closed_while_it_waits_to_try_again() -> None:
    transport = ScriptedTransport(Answer(status=503))
    stream = aquila.stream("hi", transport=transport, retry=aquila.Retry(min_backoff=8))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                with pytest.raises(errors.AquilaError, match="closed by its reader"):
                    await stream

            tasks.start_soon(read)
            await anyio.sleep(0.05)
            await stream.aclose()

    assert len(transport.requests) == 1


async def test_a_callback_may_close_its_own_stream() -> None:
    streams: list[aquila.Stream] = []

    async def stop(event: Event) -> None:
        if isinstance(event, aquila.Chunk):
            await streams[0].aclose()

    stream = aquila.stream("hi", transport=scripted(*wire.answer("a", "b")), sink=aquila.sink.callback(stop))
    streams.append(stream)

    with anyio.fail_after(5), pytest.raises(errors.AquilaError, match="closed by its reader"):
        await stream


async def test_a_cancelled_read_is_not_taken_for_the_end_of_a_whole_answer() -> None:
    stream = aquila.stream("hi", transport=scripted(wire.delta("x"), 30.0))
    reader = aiter(stream)
    task = asyncio.current_task()
    assert task is not None

    for _ in range(3):
        await anext(reader)
    with anyio.move_on_after(0.05):
        await anext(reader)

    with pytest.raises(errors.AquilaError, match="the run was given up") as caught:
        await anext(reader)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "x"
    with pytest.raises(errors.AquilaError, match="the run was given up"):
        await stream
    assert task.cancelling() == 0


async def test_a_sink_that_swallows_a_time_out_leaves_the_caller_s_own_time_out_intact() -> None:
    class Swallowing(Recording):
        async def emit(self, event: Event) -> None:
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                raise RuntimeError("database lost") from None

    sink = Swallowing(strict=True)
    task = asyncio.current_task()
    assert task is not None

    with pytest.raises(RuntimeError, match="database lost"):
        await aquila.stream("hi", transport=scripted(*wire.answer("x")), sink=sink, timeout=0.05)

    assert task.cancelling() == 0
