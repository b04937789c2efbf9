from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

import anyio
import pytest

import aquila
from aquila.events import Chunk, Done, Event, Failed, Started
from aquila.response import Response
from aquila.sink import collector, tee
from aquila.testing import Answer, ScriptedTransport
from tests import wire

END = Done(Response())


class Recording:
    """A sink that notes what it gets; `raises` and `hangs` name the event at which it does so."""

    def __init__(self, *, raises: str = "", hangs: str = "", strict: bool = False) -> None:
        self.types: list[str] = []
        self.closed = 0
        self.strict = strict
        self._raises, self._hangs = raises, hangs

    async def emit(self, event: Event) -> None:
        self.types.append(event.type)
        if event.type == self._hangs:
            await anyio.sleep_forever()
        if event.type == self._raises:
            raise ValueError("a sink's own trouble")

    async def aclose(self) -> None:
        self.closed += 1
        if self._hangs == "aclose":
            await anyio.sleep_forever()
        if self._raises == "aclose":
            raise ValueError("a sink's own trouble")


def scripted(*chunks: bytes | float) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=chunks))


async def test_each_sink_gets_every_event_in_order() -> None:
    one, other = Recording(), Recording()

    await aquila.stream("hi", transport=scripted(*wire.answer("a")), sink=tee(one, other))

    assert one.types == other.types
    assert (one.types[0], one.types[-1]) == ("started", "done")
    assert (one.closed, other.closed) == (1, 1)


async def test_a_failing_sink_harms_neither_the_others_nor_the_run(caplog: pytest.LogCaptureFixture) -> None:
    failing, other = Recording(raises="chunk"), Recording()

    with caplog.at_level(logging.ERROR, "aquila"):
        answer = await aquila.stream("hi", transport=scripted(*wire.answer("a")), sink=tee(failing, other))

    assert answer.text == "a"
    assert failing.types == other.types
    assert "sink_failed sink=Recording event=chunk" in caplog.text


async def test_a_strict_sink_ends_the_run_when_the_others_have_had_the_event() -> None:
    failing, other = Recording(raises="chunk", strict=True), Recording()

    with pytest.raises(ValueError, match="own trouble"):
        await aquila.stream("hi", transport=scripted(*wire.answer("a")), sink=tee(failing, other))

    assert failing.types == other.types
    assert other.types[-2:] == ["chunk", "failed"]
    assert (failing.closed, other.closed) == (1, 1)


async def test_all_are_closed_even_if_one_cannot_be(caplog: pytest.LogCaptureFixture) -> None:
    failing, other = Recording(raises="aclose"), Recording()

    with caplog.at_level(logging.ERROR, "aquila"):
        await tee(failing, other).aclose()

    assert (failing.closed, other.closed) == (1, 1)
    assert "event=aclose" in caplog.text


async def test_a_sink_that_hangs_over_the_end_keeps_no_other_from_hearing_it() -> None:
    hanging, other = Recording(hangs="done"), Recording()

    with anyio.fail_after(5), pytest.raises(aquila.TotalTimeout):
        await aquila.stream(
            "hi", transport=scripted(*wire.answer("a")), sink=tee(hanging, other), timeout=0.2
        )

    assert [name for name in other.types if name in {"done", "failed"}] == ["done"]
    assert (hanging.closed, other.closed) == (1, 1)


async def test_several_that_hang_over_the_end_are_given_up_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(import_module("aquila.sink.tee"), "_END_SECONDS", 0.01)
    hanging, other = [Recording(hangs="done") for _ in range(3)], Recording()

    with anyio.fail_after(5), anyio.move_on_after(0.01):
        await tee(*hanging, other).emit(END)

    assert other.types == ["done"]


async def test_a_sink_that_hangs_while_closing_keeps_no_other_open() -> None:
    hanging, other = Recording(hangs="aclose"), Recording()

    with anyio.fail_after(5), anyio.move_on_after(0.01):
        await tee(hanging, other).aclose()

    assert other.closed == 1


async def test_each_run_has_its_own_way_into_the_sinks_behind_a_tee() -> None:
    sink = collector(with_ref=True)
    both = tee(sink, Recording())
    one, other = both.for_run("1"), both.for_run("2")

    for port, event in [(one, Started("1", "m")), (other, Started("2", "m")), (one, Chunk("a")), (one, END)]:
        await port.emit(event)
    await one.aclose()
    await other.emit(Failed(aquila.AquilaError("lost")))
    await other.aclose()

    assert [(ref, event.type) async for ref, event in sink] == [
        ("1", "started"), ("2", "started"), ("1", "chunk"), ("1", "done"), ("2", "failed"),
    ]  # fmt: skip


def test_a_tee_of_nothing_or_of_a_function_is_refused() -> None:
    function: Any = print

    with pytest.raises(aquila.ConfigError, match="no sinks"):
        tee()
    with pytest.raises(aquila.ConfigError, match=r"aquila\.sink\.callback"):
        tee(function)
    with pytest.raises(aquila.ConfigError, match="no sink"):
        tee(Recording)  # type: ignore[arg-type]
