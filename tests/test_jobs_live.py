from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from job_rows import add, claim
from job_workers import Valkey

from jobs import rows
from jobs.channel import KEEP_EVERY, Channel, LiveWriter, waiting_time
from jobs.claims import Claim
from jobs.database import Database
from jobs.live import APPEND, APPENDED, LOST, STALE, Entry, append_args, stream_key
from jobs.migrate import prepare
from jobs.redis_client import connect_async
from jobs.tail import parse_record

pytest_plugins = ["job_fixtures"]


@pytest.fixture
async def client(shared_valkey: Valkey) -> AsyncIterator[Any]:
    async with connect_async(shared_valkey.url) as opened:
        yield opened


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Of one kind: what is tested here is in Redis."""
    opened = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    prepare(opened, own=True)
    yield opened
    opened.close()


def note(text: str, attempt: int = 1) -> Entry:
    return Entry("chunk", attempt, {"text": text})


async def append(client: Any, job_id: str, epoch: int, text: str, **how: Any) -> int:
    return int(await APPEND.arun(client, append_args(job_id, epoch, [note(text, epoch)], **how)))


async def said(client: Any, job_id: str) -> list[tuple[str, int, str]]:
    entries = await client.xrange(stream_key(job_id))
    records = [parse_record(key, fields) for key, fields in entries]
    return [(record.kind, record.attempt, record.data.decode()) for record in records]


async def test_an_older_epoch_is_refused_once_a_newer_one_has_begun(client: Any) -> None:
    job_id = rows.new_id()
    assert await append(client, job_id, 1, "a", opens=True) == APPENDED
    assert await append(client, job_id, 2, "b", opens=True) == APPENDED

    assert await append(client, job_id, 1, "stale") == STALE
    assert await append(client, job_id, 1, "stale", opens=True) == STALE
    assert await append(client, job_id, 1, "stale", opens=True, ends=True) == STALE

    assert [attempt for _, attempt, _ in await said(client, job_id)] == [1, 2]


async def test_nothing_follows_the_end_of_an_epoch(client: Any) -> None:
    job_id = rows.new_id()
    assert await append(client, job_id, 1, "end", opens=True, ends=True) == APPENDED

    assert await append(client, job_id, 1, "late") == STALE
    assert await append(client, job_id, 1, "again", opens=True, ends=True) == STALE
    assert await append(client, job_id, 2, "anew", opens=True) == APPENDED


async def test_a_lost_fence_is_told_apart_from_a_lost_lease(client: Any) -> None:
    assert await append(client, rows.new_id(), 1, "a") == LOST


async def test_a_stream_is_kept_for_a_while_after_its_end(client: Any) -> None:
    job_id = rows.new_id()
    await append(client, job_id, 1, "a", opens=True)
    assert await client.ttl(stream_key(job_id)) > 80_000

    await append(client, job_id, 1, "b", ends=True, ttl=3600.0)

    assert 3500 < await client.ttl(stream_key(job_id)) <= 3600


class Writer:
    """A live writer whose row says what the test says."""

    def __init__(self, client: Any) -> None:
        self.held = True
        self.asked = 0
        self.live = LiveWriter(client, is_held=self.is_held, ttl=60.0)

    async def is_held(self, claim: Claim) -> bool:
        self.asked += 1
        return self.held

    def open(self, database: Database) -> tuple[Channel, str]:
        held = claim(database, add(database))
        return self.live.open(held), held.job.job_id


async def test_fragments_wait_for_one_another_but_not_for_the_first(client: Any, database: Database) -> None:
    writer = Writer(client)
    channel, job_id = writer.open(database)
    async with anyio.create_task_group() as group:
        group.start_soon(writer.live.run)
        channel.append("chunk", {"text": "a"})
        await anyio.sleep(0.015)
        assert [kind for kind, _, _ in await said(client, job_id)] == ["attempt", "chunk"]
        for letter in "bcdef":
            channel.append("chunk", {"text": letter})
        await anyio.sleep(0.1)
        group.cancel_scope.cancel()

    assert [data for kind, _, data in await said(client, job_id) if kind == "chunk"] == [
        '{"text": "a"}',
        '{"text": "bcdef"}',
    ]


async def test_a_change_of_kind_keeps_its_place(client: Any, database: Database) -> None:
    writer = Writer(client)
    channel, job_id = writer.open(database)
    for kind, text in (("chunk", "a"), ("reasoning_chunk", "hm"), ("chunk", "b"), ("chunk", "c")):
        channel.append(kind, {"text": text})

    await writer.live.end(channel, "done", {})

    assert [kind for kind, _, _ in await said(client, job_id)] == [
        "attempt",
        "chunk",
        "reasoning_chunk",
        "chunk",
        "done",
    ]


async def test_a_stream_that_redis_lost_is_said_again_if_the_row_allows(
    client: Any, database: Database
) -> None:
    writer = Writer(client)
    channel, job_id = writer.open(database)
    channel.append("chunk", {"text": "a"})
    await writer.live.flush()
    await client.delete(stream_key(job_id), f"aq:{{{job_id}}}:fence")

    channel.append("chunk", {"text": "b"})
    await writer.live.flush()
    await writer.live.flush()

    assert writer.asked == 1
    assert [data for kind, _, data in await said(client, job_id) if kind == "chunk"] == ['{"text": "ab"}']


async def test_a_stream_that_redis_lost_stays_lost_if_the_row_has_moved_on(
    client: Any, database: Database
) -> None:
    writer = Writer(client)
    channel, job_id = writer.open(database)
    await writer.live.flush()
    await client.delete(stream_key(job_id), f"aq:{{{job_id}}}:fence")
    writer.held = False

    channel.append("chunk", {"text": "b"})
    await writer.live.flush()
    await writer.live.flush()
    channel.append("chunk", {"text": "c"})
    await writer.live.end(channel, "done", {})

    assert channel.stale
    assert await said(client, job_id) == []


async def test_without_redis_writing_neither_waits_nor_fails(database: Database) -> None:
    async with connect_async("redis://127.0.0.1:9/0") as nowhere:
        writer = Writer(nowhere)
        channel, _ = writer.open(database)
        channel.append("chunk", {"text": "a"})

        assert not await writer.live.flush()
        await writer.live.end(channel, "done", {})

    assert channel.text == "a"


async def test_a_stream_that_redis_lost_before_its_last_words_is_said_again_whole(
    client: Any, database: Database
) -> None:
    writer = Writer(client)
    channel, job_id = writer.open(database)
    channel.append("chunk", {"text": "a"})
    await writer.live.flush()
    await client.flushall()
    channel.append("chunk", {"text": "b"})

    await writer.live.end(channel, "done", {})

    assert [(kind, data) for kind, _, data in await said(client, job_id)] == [
        ("attempt", '{"attempt": 1}'),
        ("chunk", '{"text": "ab"}'),
        ("done", "{}"),
    ]


async def test_a_server_that_hangs_while_it_is_told_makes_no_reader_read_twice(
    own_valkey: Valkey, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.redis_client.ANSWER_SECONDS", 0.5)
    async with connect_async(own_valkey.url, retries=0) as client:
        writer = Writer(client)
        channel, job_id = writer.open(database)
        channel.append("chunk", {"text": "0 "})
        await writer.live.flush()

        own_valkey.pause()
        channel.append("chunk", {"text": "1 "})
        async with anyio.create_task_group() as group:
            group.start_soon(writer.live.flush)
            await anyio.sleep(0.8)
            own_valkey.go_on()
        channel.append("chunk", {"text": "2 "})
        await writer.live.end(channel, "done", {})

        entries = await said(client, job_id)
    # A reader clears its text at each beginning; what it has behind the last one is the text.
    last = max(number for number, (kind, _, _) in enumerate(entries) if kind == "attempt")
    text = "".join(json.loads(data)["text"] for kind, _, data in entries[last:] if kind == "chunk")
    assert text == "0 1 2 "


async def test_a_server_that_does_not_know_the_script_is_given_it_once(
    client: Any, database: Database
) -> None:
    writer = Writer(client)
    channels = [writer.open(database) for _ in range(3)]
    await writer.live.flush()
    await client.script_flush()
    for channel, _ in channels:
        channel.append("chunk", {"text": "a"})

    assert await writer.live.flush()

    assert [[kind for kind, _, _ in await said(client, job_id)] for _, job_id in channels] == [
        ["attempt", "chunk"]
    ] * 3
    await client.script_flush()
    await writer.live.end(channels[0][0], "done", {})
    assert [kind for kind, _, _ in await said(client, channels[0][1])] == ["attempt", "chunk", "done"]


async def test_fragments_of_two_runs_stay_apart(client: Any, database: Database) -> None:
    writer = Writer(client)
    channel, job_id = writer.open(database)
    for run, text in (("r1", "a"), ("r1", "b"), ("r2", "x"), ("r1", "c")):
        channel.append("chunk", {"run": run, "text": text})
    await writer.live.flush()

    wanted = [("r1", "ab"), ("r2", "x"), ("r1", "c")]
    entries = [json.loads(data) for kind, _, data in await said(client, job_id) if kind == "chunk"]
    assert [(entry["run"], entry["text"]) for entry in entries] == wanted
    assert channel.text == "abxc"

    await client.flushall()
    channel.append("status", {"name": "n", "data": {}})
    await writer.live.flush()
    await writer.live.flush()
    entries = [json.loads(data) for kind, _, data in await said(client, job_id) if kind == "chunk"]
    assert [(entry["run"], entry["text"]) for entry in entries] == wanted


async def test_of_events_that_tell_all_so_far_the_newest_is_sent(client: Any, database: Database) -> None:
    writer = Writer(client)
    channel, job_id = writer.open(database)
    for number in range(3):
        channel.append("chunk", {"run": "r", "text": str(number)})
        channel.append("partial", {"run": "r", "value": {"n": number}})
        channel.append("partial", {"run": "other", "value": number})

    await writer.live.flush()

    assert [data for kind, _, data in await said(client, job_id) if kind == "partial"] == [
        '{"run": "r", "value": {"n": 2}}',
        '{"run": "other", "value": 2}',
    ]


async def test_an_ended_stream_is_joined_for_late_readers(client: Any, database: Database) -> None:
    writer = Writer(client)
    channel, job_id = writer.open(database)
    for letter in "abc":
        channel.append("chunk", {"text": letter})
        await writer.live.flush()

    await writer.live.end(channel, "done", {})

    assert [(kind, data) for kind, _, data in await said(client, job_id)] == [
        ("attempt", '{"attempt": 1}'),
        ("chunk", '{"text": "abc"}'),
        ("done", "{}"),
    ]


async def test_channels_that_are_not_due_wait_for_their_time(client: Any, database: Database) -> None:
    now = [0.0]
    writer = Writer(client)
    writer.live = LiveWriter(client, is_held=writer.is_held, ttl=60.0, clock=lambda: now[0])
    early, late = writer.open(database), writer.open(database)
    await writer.live.flush()
    for channel, _ in (early, late):
        channel.append("chunk", {"text": "first "})
    await writer.live.flush()
    early[0].append("chunk", {"text": "early"})
    now[0] = 0.02
    late[0].append("chunk", {"text": "late"})

    assert await writer.live.send_due()

    assert [len(await said(client, job_id)) for _, job_id in (early, late)] == [3, 2]


async def test_a_key_that_is_no_stream_costs_only_its_own_job(client: Any, database: Database) -> None:
    writer = Writer(client)
    (_, broken), (channel, job_id) = writer.open(database), writer.open(database)
    await client.set(stream_key(broken), "somebody else's")
    channel.append("chunk", {"text": "a"})

    assert not await writer.live.flush()

    assert [kind for kind, _, _ in await said(client, job_id)] == ["attempt", "chunk"]
    await client.delete(stream_key(broken))
    assert await writer.live.flush()
    assert [kind for kind, _, _ in await said(client, broken)] == ["attempt"]


async def test_streams_that_end_at_a_time_are_ended_with_one_command(client: Any, database: Database) -> None:
    writer = Writer(client)
    channels = [writer.open(database) for _ in range(20)]
    await writer.live.flush()
    for channel, _ in channels:
        for letter in "ab":
            channel.append("chunk", {"text": letter})

    async def calls() -> int:
        return int((await client.info("commandstats"))["cmdstat_evalsha"]["calls"])

    before = await calls()
    async with anyio.create_task_group() as group:
        for channel, _ in channels:
            group.start_soon(writer.live.end, channel, "done", {})

    # The first goes alone, and each stream is joined by itself.
    assert await calls() - before <= len(channels) + 5
    for _, job_id in channels:
        assert [kind for kind, _, _ in await said(client, job_id)] == ["attempt", "chunk", "done"]


async def test_an_end_waits_for_what_is_on_its_way(own_valkey: Valkey, database: Database) -> None:
    async with connect_async(own_valkey.url, retries=0) as client:
        writer = Writer(client)
        channel, job_id = writer.open(database)
        await writer.live.flush()
        own_valkey.pause()
        channel.append("chunk", {"text": "a"})
        async with anyio.create_task_group() as group:
            group.start_soon(writer.live.flush)
            await anyio.sleep(0.05)
            channel.append("chunk", {"text": "b"})
            group.start_soon(writer.live.end, channel, "done", {})
            await anyio.sleep(0.05)
            own_valkey.go_on()

        assert [(kind, data) for kind, _, data in await said(client, job_id)] == [
            ("attempt", '{"attempt": 1}'),
            ("chunk", '{"text": "ab"}'),
            ("done", "{}"),
        ]


async def test_what_was_being_sent_when_its_sender_was_cancelled_is_said_again(
    own_valkey: Valkey, database: Database
) -> None:
    async with connect_async(own_valkey.url, retries=0) as client:
        writer = Writer(client)
        channel, job_id = writer.open(database)
        await writer.live.flush()
        own_valkey.pause()
        channel.append("chunk", {"text": "a"})
        with anyio.move_on_after(0.1) as scope:
            await writer.live.flush()
        own_valkey.go_on()
        channel.append("chunk", {"text": "b"})
        assert scope.cancelled_caught

        assert await writer.live.flush()

        entries = await said(client, job_id)
    last = max(number for number, (kind, _, _) in enumerate(entries) if kind == "attempt")
    assert [data for _, _, data in entries[last + 1 :]] == ['{"text": "ab"}']


async def test_a_live_stream_is_kept_anew_once_an_hour(client: Any, database: Database) -> None:
    now = [0.0]
    writer = Writer(client)
    writer.live = LiveWriter(client, is_held=writer.is_held, ttl=60.0, clock=lambda: now[0])
    channel, job_id = writer.open(database)
    await writer.live.flush()
    await client.expire(stream_key(job_id), 1_000)
    kept = []
    for now[0] in (10.0, KEEP_EVERY + 1):
        channel.append("chunk", {"text": "a"})
        await writer.live.flush()
        kept.append(await client.ttl(stream_key(job_id)))

    assert kept[0] <= 1_000
    assert kept[1] > 80_000


def test_the_more_streams_wait_the_longer_they_wait_for_one_another() -> None:
    assert [waiting_time(streams) for streams in (1, 100, 280, 5_000)] == [0.025, 0.025, 0.028, 0.03]


def test_an_event_that_json_refuses_is_told_without_its_data(caplog: pytest.LogCaptureFixture) -> None:
    said = Entry("status", 1, {"name": "odd", "data": {("a", "b"): 1}}).said()

    assert said.startswith('1 {"unsayable":')
    assert "told without its data" in caplog.text
