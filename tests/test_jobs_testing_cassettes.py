"""Jobs that a test runs play the test's cassette, else their actor's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

import aquila
import jobs
from aquila.cassette import Disconnect, Scope, use
from aquila.cassette.blocks import for_the_test
from aquila.testing import Answer, ScriptedTransport
from jobs.testing import adrain_queue, aperform_job, drain_queue, perform_job, sandbox


@jobs.actor(actor_name="cassette_tell", backoff=0.0)
async def tell(prompt: str) -> str:
    return (await aquila.ask(prompt, model="m", api_key="k", retry=0)).text


@jobs.actor(actor_name="cassette_tell_b", cassette="b")
async def tell_b(prompt: str) -> str:
    return (await aquila.ask(prompt, model="m", api_key="k", retry=0)).text


@jobs.actor(actor_name="cassette_tell_plain")
def tell_plain(prompt: str) -> str:
    async def ask() -> str:
        return (await aquila.ask(prompt, model="m", api_key="k", retry=0)).text

    return anyio.run(ask)


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two cassettes with an answer each: `a` says A, `b` says B."""
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path / "cassettes"))

    async def record(name: str) -> None:
        provider = ScriptedTransport(Answer.text(name.upper()))
        with use(name, mode="once"):
            await aquila.ask("Hi", model="m", transport=provider, api_key="k")

    for name in "ab":
        anyio.run(record, name)
    jobs.close()
    yield
    jobs.close()


def drained(send: Callable[[str], jobs.JobHandle]) -> object:
    handle = send("Hi")
    drain_queue(raising=True)
    return handle.result()


def test_a_drained_job_plays_the_block_s_cassette() -> None:
    with sandbox(), use("a"):
        assert drained(tell.send) == "A"
        assert jobs.current().id == ""
    with sandbox(), use("a"):
        assert drained(tell_plain.send) == "A"


def test_it_plays_it_after_the_block_too() -> None:
    with sandbox():
        with use("a"):
            handle = tell.send("Hi")
        assert drain_queue(raising=True).completed == 1
        assert handle.result() == "A"


def test_it_plays_the_test_s_cassette() -> None:
    with sandbox(), for_the_test(Scope("a")):
        assert drained(tell.send) == "A"
    with sandbox(), for_the_test(Scope("a")):
        assert drained(tell_plain.send) == "A"


def test_it_plays_its_actor_s_cassette_else() -> None:
    with sandbox():
        assert drained(tell_b.send) == "B"
    with sandbox(), use("a"):
        assert drained(tell_b.send) == "A"


def test_an_inline_job_does_the_same() -> None:
    with sandbox(mode="inline"), use("a"):
        assert tell.send("Hi").result() == "A"
    with sandbox(mode="inline"), for_the_test(Scope("a")):
        assert tell_plain.send("Hi").result() == "A"
    with sandbox(mode="inline"):
        assert tell_b.send("Hi").result() == "B"


def test_a_performed_job_does_the_same() -> None:
    with use("a"):
        assert perform_job(tell, "Hi") == "A"
    with for_the_test(Scope("a")):
        assert perform_job(tell_plain, "Hi") == "A"
    assert perform_job(tell_b, "Hi") == "B"
    with use("a"):
        assert perform_job(tell_b, "Hi") == "A"


async def test_async_tests_do_the_same() -> None:
    with use("a"):
        assert await aperform_job(tell, "Hi") == "A"
    async with sandbox(mode="inline"):
        with use("a"):
            assert await (await tell.asend("Hi")).aresult() == "A"
        with use("a"):
            assert tell.send("Hi").result() == "A"
    async with sandbox():
        with for_the_test(Scope("a")):
            handle = await tell.asend("Hi")
            await adrain_queue()
            assert await handle.aresult() == "A"


def test_a_fault_of_the_test_s_cassette_strikes_the_job() -> None:
    with sandbox(), use("a", faults=[Disconnect(after_chunks=0)]):
        handle = tell.send("Hi")

        assert drain_queue(with_scheduled=True).completed == 1
        job = handle.job()

    assert (job.attempt, job.output) == (2, "A")
    assert job.errors[0]["error"] == "ConnectionFailed"


def test_a_request_that_has_drifted_is_told() -> None:
    with sandbox(), use("a"):
        tell.send("Ho")
        with pytest.raises(aquila.CassetteMismatch, match=r"\$\.messages\[0\]\.content"):
            drain_queue(raising=True)
