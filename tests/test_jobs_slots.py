from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest
from job_limited import WATCH, rest, stay
from job_rows import add, claim, run_out
from job_workers import LEASE, Valkey, WorkerProcess, until, until_state, working

import jobs
from jobs import rows
from jobs.broker import runtime
from jobs.database import Database
from jobs.handle import JobHandle
from jobs.publishing import Announcement
from jobs.rows import Job
from jobs.slot_store import SlotStore
from jobs.slots import GlobalLimits
from jobs.wire import Wire

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")

#: Seconds that a slot of the tests below is held; long enough for a slow machine.
HELD = 30.0
#: The same for a slot whose end is waited for.
SHORT = 0.05


@pytest.fixture
def wire(own_valkey: Valkey) -> Iterator[Wire]:
    opened = Wire(own_valkey.url, database_id="0123456789abcdef", lease=1.5, middleware=())
    opened.broker.declare_queue("default")
    yield opened
    opened.close()


@pytest.fixture
def store(wire: Wire, database: Database) -> SlotStore:
    return SlotStore(wire, database, "default", 2, HELD)


def waiting(wire: Wire, count: int = 9) -> None:
    wire.publish([Announcement(f"job{number}", 1, "add", "default", number % 4) for number in range(count)])


def member(job: Job, epoch: int = 1) -> str:
    return f"{job.job_id}.{epoch}"


def test_no_more_slots_are_granted_than_there_are(wire: Wire, store: SlotStore) -> None:
    waiting(wire)

    assert store.acquire(["?a.0"]) == 1
    assert store.acquire(["?b.0", "?b.1", "?b.2"]) == 1
    assert store.acquire(["?c.0"]) == 0

    store.release(["?a.0"], wake=False)
    assert store.acquire(["?c.0", "?c.1"]) == 1


def test_no_slot_is_granted_without_a_message(wire: Wire, store: SlotStore) -> None:
    assert store.acquire(["?a.0", "?a.1"]) == 0
    waiting(wire, 1)
    assert store.acquire(["?a.0", "?a.1"]) == 1


def test_asking_again_after_a_lost_answer_leaks_nothing(wire: Wire, store: SlotStore) -> None:
    waiting(wire)

    assert [store.acquire(["?a.0", "?a.1"]) for _ in range(3)] == [2, 2, 2]
    store.release(["?a.0", "?a.1"], wake=False)
    assert store.acquire(["?b.0", "?b.1"]) == 2


def test_each_process_counts_by_its_own_number(wire: Wire, store: SlotStore, database: Database) -> None:
    waiting(wire)
    generous = SlotStore(wire, database, "default", 3, HELD)

    assert store.acquire(["?a.0", "?a.1", "?a.2"]) == 2
    assert generous.acquire(["?b.0", "?b.1"]) == 1
    assert store.acquire(["?a.2"]) == 0


def test_a_slot_that_was_never_used_is_free_after_its_lease(
    wire: Wire, store: SlotStore, database: Database
) -> None:
    waiting(wire)
    assert SlotStore(wire, database, "default", 2, SHORT).acquire(["?dead.0", "?dead.1"]) == 2

    time.sleep(2 * SHORT)

    assert store.acquire(["?a.0", "?a.1"]) == 2


def test_a_late_slot_is_kept_while_its_row_says_that_the_job_runs(
    wire: Wire, store: SlotStore, database: Database
) -> None:
    waiting(wire)
    short = SlotStore(wire, database, "default", 2, SHORT)
    job = add(database)
    assert short.acquire(["?late.0"]) == 1
    claim(database, job)
    assert short.bind("?late.0", member(job))
    time.sleep(2 * SHORT)

    assert store.acquire(["?a.0", "?a.1"]) == 1

    run_out(database, job)
    assert store.acquire(["?a.1"]) == 1


def test_an_emptied_redis_learns_from_the_rows_who_runs(
    own_valkey: Valkey, wire: Wire, store: SlotStore, database: Database
) -> None:
    running, _waiting = add(database), add(database)
    claim(database, running)
    with own_valkey.client() as client:
        client.flushall()
    waiting(wire)

    assert store.acquire(["?a.0", "?a.1"]) == 1
    store.renew([member(running)])
    assert store.acquire(["?a.1"]) == 0
    store.release([member(running)], wake=False)
    assert store.acquire(["?a.1"]) == 1


def test_a_server_that_comes_back_without_its_last_second_asks_the_rows(
    own_valkey: Valkey, wire: Wire, store: SlotStore, database: Database
) -> None:
    waiting(wire)
    store.acquire(["?a.0"])
    store.release(["?a.0"], wake=False)
    with own_valkey.client() as client:
        client.save()
    job = add(database)
    store.acquire(["?a.0"])
    claim(database, job)
    store.bind("?a.0", member(job))
    own_valkey.stop()
    own_valkey.start()

    assert store.acquire(["?b.0", "?b.1"]) == 1


def test_a_job_whose_slot_was_lost_on_the_way_runs_only_if_one_is_free(
    own_valkey: Valkey, wire: Wire, store: SlotStore, database: Database
) -> None:
    jobs_ = [add(database) for _ in range(2)]
    waiting(wire)
    assert store.acquire(["?a.0", "?a.1"]) == 2
    with own_valkey.client() as client:
        client.flushall()
    waiting(wire)
    # Its holder has fetched two messages and claimed neither: no row says so.
    assert store.acquire(["?b.0"]) == 1
    store.renew(["?a.0", "?a.1"])

    bound = []
    for number, job in enumerate(jobs_):
        claim(database, job)
        bound.append(store.bind(f"?a.{number}", member(job)))

    assert bound == [True, False]


def test_a_job_is_bound_although_redis_was_emptied_since_it_was_claimed(
    own_valkey: Valkey, wire: Wire, store: SlotStore, database: Database
) -> None:
    waiting(wire)
    job = add(database)
    store.acquire(["?a.0"])
    claim(database, job)
    with own_valkey.client() as client:
        client.flushall()

    assert store.bind("?a.0", member(job))


def test_what_is_given_back_wakes_those_who_wait(own_valkey: Valkey, wire: Wire, store: SlotStore) -> None:
    waiting(wire)
    store.acquire(["?a.0"])
    with own_valkey.client() as client, client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(wire.channel)
        heard.get_message(timeout=5)
        store.release(["?a.0"], wake=True)
        store.release(["?a.0"], wake=True)
        wire.tell("the end")

        lines = [said["data"] for _ in range(2) if (said := heard.get_message(timeout=5)) is not None]

    assert lines == [b"wake:default", b"the end"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_process_renews_what_it_holds_and_gives_back_what_redis_missed(
    own_valkey: Valkey, wire: Wire, database: Database
) -> None:
    limits = GlobalLimits(
        wire, database, worker_id="a", queues={"default": 5, "llm": 5}, limits={"default": 2}, lease=0.6
    )
    slots, other = limits.of("default"), SlotStore(wire, database, "default", 2, HELD)
    assert slots is not None
    assert limits.of("llm") is None
    waiting(wire)
    async with anyio.create_task_group() as group:
        group.start_soon(slots.keep)
        taken = await slots.take(5)
        await anyio.sleep(1.2)
        assert other.acquire(["?b.0"]) == 0
        own_valkey.stop()
        await slots.give_back(taken, wake=True)
        own_valkey.start()
        waiting(wire)
        assert len(await slots.take(5)) == 2
        group.cancel_scope.cancel()


async def test_a_job_of_a_queue_without_a_limit_is_admitted(own_valkey: Valkey, wire: Wire) -> None:
    limits = GlobalLimits(
        wire, runtime().database(), worker_id="a", queues={"default": 1}, limits={"llm": 1}, lease=1.0
    )
    own_valkey.stop()

    assert await limits.admit("default", "x", 1)


@pytest.fixture
def few(place: None) -> None:
    """Two jobs of the queue `few` at once over all workers."""
    jobs.close()
    jobs.configure(lease=LEASE, grace=0.1, global_limits={"few": 2})
    WATCH.most = 0


@pytest.mark.usefixtures("few")
async def test_all_workers_together_never_run_more_than_the_limit() -> None:
    handles = [rest.send(0.1) for _ in range(10)]
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(working(few=5))
        attempts = [await handle.aresult(timeout=20) for handle in handles]

    assert WATCH.most == 2
    assert attempts == [1] * 10


@pytest.mark.usefixtures("few")
async def test_a_slot_that_is_free_again_is_taken_at_once(tmp_path: Path) -> None:
    marks = [tmp_path / str(number) for number in range(3)]
    for mark in marks:
        mark.touch()
    async with working(few=2), working(few=1):
        first = [await stay.asend(str(mark)) for mark in marks[:2]]
        await until_both(first)
        last = await stay.asend(str(marks[2]))
        # Their next looks are a while away.
        await anyio.sleep(0.3)
        began = time.monotonic()
        marks[0].unlink()
        await until_state(last, "executing")
        assert time.monotonic() - began < 0.7
        for mark in marks[1:]:
            mark.unlink()
        await last.aresult(timeout=10)


async def until_both(handles: Sequence[JobHandle]) -> None:
    for handle in handles:
        await until_state(handle, "executing")


async def test_the_limit_holds_when_redis_is_emptied(own_valkey: Valkey, few: None, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    handles = [stay.send(str(mark)) for _ in range(6)]
    async with working(few=5), working(few=5):
        await until(lambda: WATCH.now == 2)
        for _ in range(3):
            with own_valkey.client() as client:
                client.flushall()
            await anyio.sleep(0.4)
        assert WATCH.most == 2
        mark.unlink()
        assert [await handle.aresult(timeout=20) for handle in handles] == [1] * 6

    assert WATCH.most == 2


async def test_a_job_that_lost_its_slot_before_it_was_claimed_is_put_back(
    own_valkey: Valkey, few: None
) -> None:
    wire, database = runtime().wire(), runtime().database()
    another = SlotStore(wire, database, "few", 2, HELD)
    async with working(few=2) as lines:
        with database.engine.begin() as writer:
            # Nobody claims anything while this transaction lasts.
            added = [rows.add(writer, rest.message(0.0)) for _ in range(2)]
            wire.publish([Announcement.of(job) for job in added])
            await until(lambda: not wire.client.llen(f"{wire.namespace}:few"))
            with own_valkey.client() as client:
                client.flushall()
            wire.publish([Announcement(f"nobody{number}", 1, "rest", "few", 0) for number in range(2)])
            assert another.acquire(["?b.0", "?b.1"]) == 2
        await until(lambda: sum("put back (limit)" in line for line in lines) == 2)
        assert WATCH.most == 0
        another.release(["?b.0", "?b.1"], wake=True)

        assert [await JobHandle(job.job_id).aresult(timeout=20) for job in added] == [1, 1]


async def test_a_killed_worker_s_slots_are_back_within_the_lease(few: None, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    held = [stay.send(str(mark)) for _ in range(2)]
    with WorkerProcess(tmp_path / "work", "job_limited", "--queues", "few=5", FEW="2") as worker:
        for handle in held:
            await until_state(handle, "executing")
        third = rest.send(0.0)
        async with working(few=5):
            await anyio.sleep(0.3)
            assert await third.astatus() == "available"
            worker.kill()
            killed = time.monotonic()
            mark.unlink()
            assert await third.aresult(timeout=5 * LEASE) == 1
            assert time.monotonic() - killed < 3 * LEASE
            assert [await handle.aresult(timeout=20) for handle in held] == [2, 2]


async def test_a_stopped_worker_gives_its_slots_back_at_once(few: None, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    held = [stay.send(str(mark)) for _ in range(2)]
    async with working(few=5):
        async with working(few=5):
            await until(lambda: WATCH.now == 2)
        mark.unlink()
        assert [await handle.aresult(timeout=LEASE * 5) for handle in held] == [1, 1]
