from __future__ import annotations

import logging

import pytest

import aquila
from aquila.events import Chunk, Done, Event, Started, Status
from aquila.sink.ambient import ambient, quiet, tell
from aquila.testing import Answer, ScriptedTransport


class Ear:
    """Keeps what it hears, and of which run."""

    def __init__(self, ref: str | None = None) -> None:
        self.heard: list[Event] = []
        self.ref = ref
        self.of_runs: list[Ear] = []

    async def emit(self, event: Event) -> None:
        self.heard.append(event)

    async def aclose(self) -> None:
        """Do nothing."""

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.heard]


class EarForEach(Ear):
    def for_run(self, ref: str) -> Ear:
        self.of_runs.append(Ear(ref))
        return self.of_runs[-1]


async def ask(sink: aquila.sink.Sink | None = None) -> str:
    provider = ScriptedTransport(Answer.text("Hel", "lo"))
    return (await aquila.ask("Hi", transport=provider, sink=sink)).text


async def test_a_quiet_block_keeps_what_runs_say_from_the_ambient_sinks() -> None:
    ear, own, inner = Ear(), Ear(), Ear()

    with ambient(ear), quiet(), ambient(inner):
        assert await ask(own) == "Hello"

    assert not [event for event in ear.heard if isinstance(event, Chunk)]
    assert isinstance(ear.heard[0], Started)
    assert isinstance(ear.heard[-1], Done)
    assert ear.heard[-1].response.usage is not None
    assert own.types == inner.types
    assert own.types.count("chunk") == 2


async def test_behind_a_quiet_block_all_is_heard_again() -> None:
    ear = Ear()

    with ambient(ear):
        with quiet():
            await ask()
        before = len(ear.heard)
        await ask()

    assert "chunk" not in ear.types[:before]
    assert ear.types[before:].count("chunk") == 2


async def test_a_sink_that_keeps_each_run_apart_does_so_in_a_quiet_block() -> None:
    ear = EarForEach()

    with ambient(ear), quiet():
        stream = aquila.stream("Hi", transport=ScriptedTransport(Answer.text("Hello")))
        await stream

    assert ear.heard == []
    assert [run.ref for run in ear.of_runs] == [stream.ref]
    assert ear.of_runs[0].types[0] == "started"
    assert "chunk" not in ear.of_runs[0].types


async def test_a_failure_is_heard_in_a_quiet_block() -> None:
    ear = Ear()

    with ambient(ear), quiet(), pytest.raises(aquila.ConnectionFailed):
        await aquila.ask("Hi", transport=ScriptedTransport(aquila.ConnectionFailed("away")), retry=0)

    assert ear.types == ["started", "failed"]


async def test_an_event_of_no_run_is_told_to_all_ambient_sinks_quiet_or_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Ear):
        async def emit(self, event: Event) -> None:
            raise ValueError("broken")

    first, last, news = Ear(), Ear(), Status("half", {"done": 1})
    with ambient(first), ambient(Broken()), quiet(), ambient(last), caplog.at_level(logging.ERROR):
        await tell(news)

    assert first.heard == last.heard == [news]
    assert "sink_failed" in caplog.text


async def test_a_strict_sink_stays_strict_in_a_quiet_block() -> None:
    class Strict(Ear):
        strict = True

        async def emit(self, event: Event) -> None:
            raise ValueError("full")

    with ambient(Strict()), quiet(), pytest.raises(ValueError, match="full"):
        await ask()
