from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import dramatiq
import pytest
from job_workers import Valkey, until

from jobs import fetch
from jobs.broker import runtime
from jobs.errors import BrokerUnavailable
from jobs.fetch import Fetcher
from jobs.publishing import Announcement
from jobs.slot_store import SlotStore
from jobs.slots import Slots
from jobs.wire import Wire

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")

Message = dramatiq.Message[Any]


class Noted(Wire):
    """A wire that counts its fetches, and does what a test wants before and after each."""

    def __init__(self, url: str) -> None:
        super().__init__(url, database_id="0123456789abcdef", lease=1.5, middleware=())
        self.broker.declare_queue("default")
        self.fetches = 0
        self.before: Callable[[], object] = int
        self.after: Callable[[], object] = int

    def fetch(self, queue_name: str, limit: int) -> list[Message]:
        self.fetches += 1
        self.before()
        messages = super().fetch(queue_name, limit)
        self.after()
        return messages

    def send(self, *ids: str) -> None:
        self.publish([Announcement(job_id, 1, "add", "default", 0) for job_id in ids])


class Deliveries:
    """Takes messages and keeps each until it is let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.let_go = anyio.Event()
        self.fault: Exception | None = None

    async def take(self, message: Message) -> None:
        self.begun.append(message.message_id)
        if self.fault is not None:
            raise self.fault
        await self.let_go.wait()


@pytest.fixture
def wire(own_valkey: Valkey) -> Iterator[Noted]:
    opened = Noted(own_valkey.url)
    yield opened
    opened.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found because it was time to look again."""
    monkeypatch.setattr(fetch, "POLL", 60.0)


@asynccontextmanager
async def fetching(fetcher: Fetcher) -> AsyncIterator[None]:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(fetcher.run)
            await anyio.sleep(0.05)
            yield
            fetcher.stop()


def two_slots(wire: Wire) -> tuple[Slots, SlotStore]:
    store = SlotStore(wire, runtime().database(), "default", 2, 30.0)
    return Slots(store, "a", 5, 30.0), store


async def test_it_takes_no_more_messages_than_it_can_begin(wire: Noted) -> None:
    wire.send("1", "2", "3")
    seen = Deliveries()
    async with fetching(Fetcher(wire, "default", 2, seen.take)):
        await until(lambda: len(seen.begun) == 2)
        assert [message.message_id for message in wire.fetch("default", 9)] == ["3"]
        seen.let_go.set()


@pytest.mark.usefixtures("patient")
async def test_an_end_makes_room_at_once(wire: Noted) -> None:
    wire.send("1", "2", "3")
    seen = Deliveries()
    seen.let_go.set()
    async with fetching(Fetcher(wire, "default", 1, seen.take)):
        await until(lambda: seen.begun == ["1", "2", "3"])


@pytest.mark.usefixtures("patient")
async def test_news_that_comes_during_a_look_is_not_missed(wire: Noted) -> None:
    seen = Deliveries()
    fetcher = Fetcher(wire, "default", 1, seen.take)

    def come_too_late() -> None:
        wire.after = int
        wire.send("1")
        anyio.from_thread.run_sync(fetcher.wake)

    wire.after = come_too_late
    async with fetching(fetcher):
        await until(lambda: seen.begun == ["1"])
        seen.let_go.set()


@pytest.mark.usefixtures("patient")
async def test_a_paused_queue_starts_nothing_until_it_goes_on(wire: Noted) -> None:
    wire.send("1")
    seen = Deliveries()
    seen.let_go.set()
    fetcher = Fetcher(wire, "default", 2, seen.take)
    assert fetcher.pause(True)
    assert not fetcher.pause(True)
    async with fetching(fetcher):
        for _ in range(20):
            fetcher.wake()
            await anyio.sleep(0.01)
        assert (seen.begun, wire.fetches) == ([], 0)

        assert fetcher.pause(False)
        await until(lambda: seen.begun == ["1"])


@pytest.mark.usefixtures("patient")
async def test_a_pause_that_comes_during_a_look_leaves_the_messages_there(wire: Noted) -> None:
    wire.send("1", "2")
    seen = Deliveries()
    slots, store = two_slots(wire)
    fetcher = Fetcher(wire, "default", 2, seen.take, slots)
    wire.after = lambda: anyio.from_thread.run_sync(fetcher.pause, True)
    async with fetching(fetcher):
        await until(lambda: wire.fetches == 1)
        await anyio.sleep(0.1)
        assert store.acquire(["?b.0", "?b.1"]) == 2
        wire.after = int
        assert {message.message_id for message in wire.fetch("default", 9)} == {"1", "2"}

    assert seen.begun == []


@pytest.mark.usefixtures("patient")
async def test_what_runs_goes_on_while_the_queue_is_paused(wire: Noted) -> None:
    wire.send("1", "2")
    seen = Deliveries()
    fetcher = Fetcher(wire, "default", 1, seen.take)
    async with fetching(fetcher):
        await until(lambda: seen.begun == ["1"])
        fetcher.pause(True)
        seen.let_go.set()
        await anyio.sleep(0.1)
        assert seen.begun == ["1"]


@pytest.mark.usefixtures("patient")
async def test_a_paused_queue_stops_at_once(wire: Noted) -> None:
    fetcher = Fetcher(wire, "default", 1, Deliveries().take, two_slots(wire)[0])
    fetcher.pause(True)
    with anyio.fail_after(5):
        async with fetching(fetcher):
            pass


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ValueError("odd"), "ValueError: odd"),
        (BrokerUnavailable("Redis is away"), "queue default waits: Redis is away"),
    ],
)
async def test_a_fetch_that_fails_costs_neither_the_worker_nor_a_slot(
    wire: Noted,
    fault: Exception,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(fetch, "POLL", 0.3)
    wire.send("1", "2", "3")
    seen = Deliveries()
    slots, store = two_slots(wire)
    fetcher = Fetcher(wire, "default", 2, seen.take, slots)

    def fail() -> None:
        raise fault

    wire.before = fail
    with caplog.at_level(logging.WARNING, "jobs"):
        async with fetching(fetcher):
            await until(lambda: wire.fetches == 1)
            for _ in range(10):
                fetcher.wake()
                await anyio.sleep(0.01)
            assert wire.fetches == 1
            assert store.acquire(["?b.0", "?b.1"]) == 2
            store.release(["?b.0", "?b.1"], wake=False)
            wire.before = int
            await until(lambda: seen.begun == ["1", "2"])
            seen.let_go.set()

    assert said in caplog.text


async def test_a_delivery_that_fails_costs_neither_the_worker_nor_a_slot(
    wire: Noted, caplog: pytest.LogCaptureFixture
) -> None:
    wire.send("1", "2", "3")
    seen = Deliveries()
    seen.fault = ValueError("a bad message")
    slots, store = two_slots(wire)
    async with fetching(Fetcher(wire, "default", 1, seen.take, slots)):
        await until(lambda: seen.begun == ["1", "2", "3"])
        wire.send("4")
        assert store.acquire(["?b.0"]) == 1

    assert "message 1 of queue default is left" in caplog.text
    assert "ValueError: a bad message" in caplog.text


@pytest.mark.usefixtures("patient")
async def test_slots_for_messages_that_somebody_else_took_go_back(wire: Noted) -> None:
    wire.send("1", "2")
    seen = Deliveries()
    slots, store = two_slots(wire)
    wire.before = lambda: Wire.fetch(wire, "default", 9)
    async with fetching(Fetcher(wire, "default", 5, seen.take, slots)):
        await until(lambda: wire.fetches == 1)
        await anyio.sleep(0.1)
        wire.send("3", "4")
        assert store.acquire(["?b.0", "?b.1"]) == 2

    assert seen.begun == []


async def test_a_queue_whose_slots_are_taken_is_not_looked_at_without_end(wire: Noted) -> None:
    wire.send("1", "2", "3")
    slots, store = two_slots(wire)
    assert store.acquire(["?b.0", "?b.1"]) == 2
    asked = wire.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    async with fetching(Fetcher(wire, "default", 5, Deliveries().take, slots)):
        await anyio.sleep(0.5)

    assert wire.client.info("commandstats")["cmdstat_evalsha"]["calls"] - asked < 5
    assert wire.fetches == 0
