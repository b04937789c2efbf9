from __future__ import annotations

import asyncio
import gc
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from job_workers import Valkey, until

from jobs import rows
from jobs.cursor import BEGINNING, Position
from jobs.hub import Hub, hub_at
from jobs.live import APPEND, Entry, append_args, compact_args, stream_key
from jobs.redis_client import connect_async
from jobs.snapshot import COMPACT
from jobs.subscription import Subscription
from jobs.tail import Record

pytest_plugins = ["job_fixtures"]


@pytest.fixture
async def client(shared_valkey: Valkey) -> AsyncIterator[Any]:
    async with connect_async(shared_valkey.url) as opened:
        yield opened


def said(text: Any, attempt: int = 1) -> Entry:
    return Entry("chunk", attempt, {"run": "r", "text": str(text)})


async def append(client: Any, job_id: str, *texts: Any, **how: Any) -> None:
    args = append_args(job_id, 1, [said(text) for text in texts], opens=True, **how)
    assert await APPEND.arun(client, args) == 1


def text_of(records: list[Record]) -> str:
    return "".join(json.loads(record.data).get("text", "") for record in records)


async def read_text(subscription: Subscription, length: int) -> str:
    text = ""
    while len(text) < length:
        text += text_of(await subscription.read(5.0))
    return text


async def test_a_reader_gets_what_it_missed_and_then_what_comes(client: Any, shared_valkey: Valkey) -> None:
    job_id, hub = rows.new_id(), hub_at(shared_valkey.url)
    await append(client, job_id, "a", "b")
    reader = Subscription(hub, stream_key(job_id), BEGINNING)

    assert await read_text(reader, 2) == "ab"
    async with anyio.create_task_group() as group:
        group.start_soon(append, client, job_id, "c")
        assert await read_text(reader, 1) == "c"
    await reader.aclose()


async def test_a_new_reader_does_not_wait_for_the_read_under_way(client: Any, shared_valkey: Valkey) -> None:
    hub, quiet, loud = hub_at(shared_valkey.url), rows.new_id(), rows.new_id()
    first, second = (Subscription(hub, stream_key(job_id), BEGINNING) for job_id in (quiet, loud))
    async with anyio.create_task_group() as group:
        group.start_soon(first.read, 60.0)
        await anyio.sleep(0.1)
        group.start_soon(second.read, 60.0)
        await anyio.sleep(0.1)
        began = time.monotonic()
        await append(client, loud, "x")
        third = Subscription(hub, stream_key(loud), BEGINNING)
        assert await read_text(third, 1) == "x"
        await until(lambda: second.position != BEGINNING)
        took = time.monotonic() - began
        group.cancel_scope.cancel()
    for reader in (first, second, third):
        await reader.aclose()

    # The read under way may last five seconds.
    assert took < 0.5


async def test_all_readers_share_one_reading_connection(client: Any, shared_valkey: Valkey) -> None:
    hub, job_ids = hub_at(shared_valkey.url), [rows.new_id() for _ in range(30)]
    readers = [Subscription(hub, stream_key(job_id), BEGINNING) for job_id in job_ids for _ in range(2)]
    got: list[str] = []

    async def read(reader: Subscription) -> None:
        got.append(await read_text(reader, 2))

    async with anyio.create_task_group() as group:
        for reader in readers:
            group.start_soon(read, reader)
        await anyio.sleep(0.3)
        blocked = [one for one in await client.client_list() if "b" in one["flags"]]
        for job_id in job_ids:
            await append(client, job_id, "o", "k")
    for reader in readers:
        await reader.aclose()

    assert len(blocked) == 1
    assert got == ["ok"] * 60


async def test_another_reader_reads_on_when_the_one_that_read_for_all_leaves(
    client: Any, shared_valkey: Valkey
) -> None:
    hub, job_id = hub_at(shared_valkey.url), rows.new_id()
    leader, other = (Subscription(hub, stream_key(job_id), BEGINNING) for _ in range(2))
    async with anyio.create_task_group() as group:
        with anyio.move_on_after(0.2):
            group.start_soon(read_text, other, 1)
            await leader.read(60.0)
        await leader.aclose()
        with anyio.fail_after(5):
            await append(client, job_id, "x")
            await until(lambda: other.position != BEGINNING)
    await other.aclose()


async def test_the_last_reader_closes_the_connections(client: Any, own_hub: Hub) -> None:
    before = len(await client.client_list())
    one, two = (Subscription(own_hub, stream_key(rows.new_id()), BEGINNING) for _ in range(2))
    await one.read(0.01)
    await two.read(0.01)
    await one.aclose()
    assert len(await client.client_list()) > before

    await two.aclose()
    await two.aclose()

    with anyio.fail_after(5):
        while len(await client.client_list()) > before:  # noqa: ASYNC110 - it belongs to another process
            await anyio.sleep(0.01)


@pytest.fixture
def own_hub(shared_valkey: Valkey) -> Hub:
    return Hub(shared_valkey.url, lambda: connect_async(shared_valkey.url))


async def test_a_slow_reader_keeps_nothing_in_memory_and_misses_nothing(client: Any, own_hub: Hub) -> None:
    job_id = rows.new_id()
    key = stream_key(job_id)
    slow, quick = (Subscription(own_hub, key, BEGINNING) for _ in range(2))
    for reader in (slow, quick):
        await reader.read(0.01)
    numbers = [f"{number};" for number in range(3000)]
    fast = ""
    for start in range(0, 3000, 100):
        await append(client, job_id, *numbers[start : start + 100])
        while len(fast) < len("".join(numbers[: start + 100])):
            fast += text_of(await quick.read(5.0))

    assert own_hub.held(slow.key, BEGINNING) is None
    assert len(own_hub.held(slow.key, own_hub.floor(slow.key) or BEGINNING) or []) < 600
    assert await read_text(slow, len(fast)) == fast == "".join(numbers)
    await slow.aclose()
    await quick.aclose()


async def test_a_reader_that_is_dropped_without_a_word_is_not_read_for(client: Any, own_hub: Hub) -> None:
    kept, dropped = (Subscription(own_hub, stream_key(rows.new_id()), BEGINNING) for _ in range(2))
    for reader in (kept, dropped):
        await reader.read(0.01)
    key = dropped.key
    assert own_hub.floor(key) is not None

    del dropped, reader
    gc.collect()
    await kept.read(0.01)

    assert own_hub.floor(key) is None
    await kept.aclose()


async def test_a_flushed_server_is_read_on(own_valkey: Valkey) -> None:
    hub, job_id = hub_at(own_valkey.url), rows.new_id()
    reader = Subscription(hub, stream_key(job_id), BEGINNING)
    async with connect_async(own_valkey.url) as client:
        await append(client, job_id, "a")
        assert await read_text(reader, 1) == "a"
        await client.flushall()
        async with anyio.create_task_group() as group:
            group.start_soon(append, client, job_id, "b")
            assert await read_text(reader, 1) == "b"
    await reader.aclose()


async def test_readers_go_on_after_a_restart_and_wait_while_there_is_no_server(
    own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    hub, job_ids = hub_at(own_valkey.url), [rows.new_id() for _ in range(20)]
    readers = [Subscription(hub, stream_key(job_id), BEGINNING) for job_id in job_ids]
    got: list[str] = []

    async def read(reader: Subscription) -> None:
        text = ""
        while not text:
            text = text_of(await reader.read(0.3))
        got.append(text)

    async with anyio.create_task_group() as group:
        for reader in readers:
            group.start_soon(read, reader)
        await anyio.sleep(0.2)
        own_valkey.stop()
        await anyio.sleep(0.5)
        own_valkey.start()
        async with connect_async(own_valkey.url) as client:
            for job_id in job_ids:
                await append(client, job_id, "back")
    for reader in readers:
        await reader.aclose()

    assert got == ["back"] * 20
    assert len([one for one in caplog.messages if "followed by their rows alone" in one]) == 1


def test_each_event_loop_has_a_hub_of_its_own(shared_valkey: Valkey) -> None:
    async def read() -> tuple[str, Hub]:
        job_id, hub = rows.new_id(), hub_at(shared_valkey.url)
        reader = Subscription(hub, stream_key(job_id), BEGINNING)
        async with connect_async(shared_valkey.url) as client, anyio.create_task_group() as group:
            group.start_soon(append, client, job_id, "x")
            text = await read_text(reader, 1)
        await reader.aclose()
        assert len(asyncio.all_tasks()) == 1
        return text, hub

    (one, first), (two, second) = anyio.run(read), anyio.run(read)

    assert (one, two) == ("x", "x")
    assert first is not second


class Restless:
    """A reader that leaves several times and goes on where it was."""

    def __init__(self, hub: Hub, job_id: str, dice: random.Random) -> None:
        self.key = stream_key(job_id)
        self.seen: list[int] = []
        self.left = 0
        self._hub = hub
        self._position: Position = BEGINNING
        self._patience = [dice.uniform(0.05, 0.6) for _ in range(3)]

    async def read(self, count: int) -> None:
        while len(self.seen) < count:
            reader = Subscription(self._hub, self.key, self._position)
            with anyio.move_on_after(self._patience.pop() if self._patience else None) as scope:
                while len(self.seen) < count:
                    records = await reader.read(1.0)
                    self.seen += [int(json.loads(record.data)["text"]) for record in records]
                    self._position = reader.position
            await reader.aclose()
            self.left += scope.cancelled_caught


async def test_many_readers_that_come_and_go_miss_nothing_and_read_nothing_twice(
    client: Any, shared_valkey: Valkey
) -> None:
    hub, dice, count = hub_at(shared_valkey.url), random.Random(7), 60  # noqa: S311 - a test
    job_ids = [rows.new_id() for _ in range(100)]
    readers = [Restless(hub, job_ids[index % 100], dice) for index in range(300)]

    with anyio.fail_after(40):
        async with anyio.create_task_group() as group:
            for reader in readers:
                group.start_soon(reader.read, count)
            for number in range(count):
                calls = [append_args(job_id, 1, [said(number)], opens=True) for job_id in job_ids]
                assert set(await APPEND.arun_all(client, calls)) == {1}
                await anyio.sleep(0.025)

    assert [reader.key for reader in readers if reader.seen != list(range(count))] == []
    assert sum(reader.left for reader in readers) == 900


async def test_a_joined_stream_gives_a_reader_at_any_place_what_it_has_not_seen(
    client: Any, own_hub: Hub
) -> None:
    job_id = rows.new_id()
    key = stream_key(job_id)
    entries = [
        Entry("attempt", 1, {"attempt": 1}),
        *(Entry("chunk", 1, {"run": 'one "text": "', "text": text}) for text in ("a", 'b"\\', "", "é\ud83d")),
        *(Entry("chunk", 1, {"run": "two", "text": text}) for text in ("x", "y\n")),
        Entry("reasoning_chunk", 1, {"run": "two", "text": "hm"}),
        Entry("reasoning_chunk", 1, {"run": "two", "text": "!"}),
        Entry("chunk", 1, {"run": "two", "text": "z"}),
        Entry("done", 1, {}),
    ]
    assert await APPEND.arun(client, append_args(job_id, 1, entries, opens=True, ends=True, ttl=60)) == 1

    async def rest(position: Position) -> list[tuple[str, Any]]:
        reader = Subscription(own_hub, key, position)
        records = await reader.read_now()
        await reader.aclose()
        whole: list[tuple[str, Any]] = []
        for record in records:
            kind, data = record.kind, json.loads(record.data)
            if whole and "text" in data and whole[-1][0] == kind and whole[-1][1].get("run") == data["run"]:
                data = {**data, "text": whole.pop()[1]["text"] + data["text"]}
            whole.append((kind, data))
        return whole

    reader = Subscription(own_hub, key, BEGINNING)
    places = [BEGINNING, *(record.position for record in await reader.read_now())]
    await reader.aclose()
    before = [await rest(place) for place in places]

    assert await COMPACT.arun(client, compact_args(job_id, 1)) == 5

    assert [await rest(place) for place in places] == before
    assert await client.xlen(key) == len(entries) - 5
    assert 0 < await client.ttl(key) <= 60
    assert await COMPACT.arun(client, compact_args(job_id, 1)) == 0


async def test_only_a_stream_that_has_ended_is_joined(client: Any) -> None:
    job_id = rows.new_id()
    await append(client, job_id, "a", "b")
    assert await COMPACT.arun(client, compact_args(job_id, 1)) == 0

    await append(client, job_id, "c", ends=True)
    assert await COMPACT.arun(client, compact_args(job_id, 2)) == 0
    assert await COMPACT.arun(client, compact_args(job_id, 1)) == 2
