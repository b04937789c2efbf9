"""A sandbox: the jobs of a test in rows of its own, with no Redis and no worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from job_actors import add, fail_times, hold, shout
from job_postgres import Postgres
from sqlalchemy import Connection, create_engine, func, select
from sqlalchemy.orm import Session

import aquila
import jobs
from aquila.errors import ConfigError
from aquila.testing import Answer, ScriptedTransport
from jobs import tables
from jobs.broker import installed, runtime
from jobs.database import Database
from jobs.enqueueing import enqueue
from jobs.migrate import prepare
from jobs.runtime import Runtime
from jobs.settings import sync_url
from jobs.testing import Sandbox, all_enqueued, assert_enqueued, drain_queue, refute_enqueued, sandbox

pytest_plugins = ["job_fixtures"]


@pytest.fixture(autouse=True)
def nothing_configured() -> Iterator[None]:
    jobs.close()
    yield
    jobs.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def hosts_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the host's, with the tables."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("shared_postgres")
        return sync_url(server.new_database(template="migrated"))
    url = f"sqlite:///{tmp_path / 'host.db'}"
    opened = Database(url)
    prepare(opened, own=True)
    opened.close()
    return url


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(tables.jobs)).scalar_one()


def test_a_sent_job_waits_in_its_row() -> None:
    with sandbox():
        handle = add.send(1, 2)

        assert handle.status() == "available"
        assert drain_queue().completed == 1
        assert handle.result() == 3


async def test_it_is_entered_in_async_tests_too() -> None:
    async with sandbox():
        handle = await add.asend(1, 2)
        assert await handle.astatus() == "available"


def test_no_file_and_no_server_is_left(tmp_path: Path) -> None:
    with sandbox():
        add.send(1, 2)
        url = runtime().settings.database_url
        file = Path(url.removeprefix("sqlite:///"))
        assert file.exists()

    assert not file.parent.exists()
    assert not (tmp_path / "state").exists()


def test_what_was_configured_before_comes_back(tmp_path: Path) -> None:
    jobs.configure(database_url=f"sqlite:///{tmp_path / 'before.db'}", queues={"llm": 3})
    before = runtime()

    with sandbox():
        assert runtime() is not before
        assert runtime().settings.queues == {"llm": 3}
        with sandbox():
            add.send(1, 2)
        assert all_enqueued() == []

    assert runtime() is before


def test_nothing_configured_before_is_nothing_configured_after(tmp_path: Path) -> None:
    with sandbox():
        add.send(1, 2)

    jobs.configure(database_url=f"sqlite:///{tmp_path / 'after.db'}")


@pytest.mark.parametrize("left", ["ABC", "ACB", "BAC", "BCA", "CAB", "CBA"])
@pytest.mark.parametrize("configured", [True, False])
def test_sandboxes_may_be_left_in_any_order(left: str, configured: bool, tmp_path: Path) -> None:
    if configured:
        jobs.configure(database_url=f"sqlite:///{tmp_path / 'before.db'}")
    before = installed()
    opened: dict[str, Sandbox] = {}
    used: dict[str, Runtime] = {}
    with ExitStack() as stack:
        for name in "ABC":
            opened[name] = stack.enter_context(sandbox())
            used[name] = runtime()

        for name in left:
            opened.pop(name).__exit__()
            last = max(opened, default=None)
            assert installed() is (used[last] if last is not None else before)
            if last is not None:
                handle = add.send(1, 2)
                assert [job.job_id for job in all_enqueued()] == [handle.job_id]
                assert drain_queue().completed == 1


def test_code_that_closes_the_jobs_opens_no_sandbox_that_is_left() -> None:
    with ExitStack() as stack:
        first, _ = stack.enter_context(sandbox()), stack.enter_context(sandbox())
        used = runtime()
        first.__exit__()
        jobs.close()
        assert runtime() is used
    jobs.close()

    assert installed() is None


def test_a_sandbox_is_entered_once_at_a_time() -> None:
    box = sandbox()
    for _ in range(2):
        with box:
            used = runtime()
            with pytest.raises(ConfigError, match="open already"):
                box.__enter__()
            assert runtime() is used
        assert installed() is None


def test_it_comes_back_when_the_sandbox_cannot_be_opened(tmp_path: Path) -> None:
    jobs.configure(queues={"llm": 3})
    before = runtime()

    with (
        pytest.raises(ConfigError, match="aquila db upgrade"),
        sandbox(database_url=f"sqlite:///{tmp_path}/empty.db"),
    ):
        pass

    assert runtime() is before


def test_code_that_closes_the_jobs_stays_in_the_sandbox() -> None:
    with sandbox():
        handle = add.send(1, 2)
        jobs.close()

        assert handle.status() == "available"
        assert [job.job_id for job in all_enqueued()] == [handle.job_id]


def test_a_waiting_job_can_be_cancelled_and_run_again() -> None:
    with sandbox():
        handle = add.send(1, 2)
        assert handle.cancel("not needed")
        assert drain_queue().completed == 0
        with pytest.raises(jobs.JobCancelled):
            handle.result()

        assert handle.retry()
        assert drain_queue().completed == 1
        assert handle.result() == 3


def test_a_running_job_can_be_cancelled(tmp_path: Path) -> None:
    mark = tmp_path / "held"
    mark.touch()
    with sandbox():
        handle = hold.send(str(mark))
        draining = threading.Thread(target=drain_queue)
        draining.start()
        while handle.job().metadata.get("attempt 1") != "began":
            time.sleep(0.01)

        assert handle.cancel()
        draining.join(20)

        assert not draining.is_alive()
        assert handle.status() == "cancelled"


async def test_followers_get_the_end_from_the_row() -> None:
    async with sandbox(mode="inline"):
        handle = await add.asend(1, 2)
        async with jobs.follow(handle.job_id) as events:
            assert [event.type async for event in events] == ["done"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "eager"}, "'manual' or 'inline'"),
        ({"database_url": "sqlite://", "connection": "c"}, "not with both"),
    ],
)
def test_what_cannot_be_used_is_named(options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        sandbox(**options)  # type: ignore[arg-type]


def test_a_connection_without_a_transaction_is_refused(hosts_url: str) -> None:
    engine = create_engine(hosts_url)
    with (
        engine.connect() as connection,
        pytest.raises(ConfigError, match=r"connection\.begin"),
        sandbox(connection=connection),
    ):
        pass
    engine.dispose()
    with (
        pytest.raises(ConfigError, match="synchronous SQLAlchemy Connection, not Engine"),
        sandbox(
            connection=engine  # type: ignore[arg-type]
        ),
    ):
        pass


def test_the_host_s_database_keeps_the_rows_and_older_ones_are_left_alone(hosts_url: str) -> None:
    with sandbox(database_url=hosts_url):
        old = add.send(1, 2)
    with sandbox(database_url=hosts_url):
        assert all_enqueued() == []
        new = add.send(3, 4)
        assert drain_queue().completed == 1

        assert new.result() == 7
        assert old.status() == "available"


def test_jobs_in_the_host_s_transaction_are_rolled_back_with_it(hosts_url: str) -> None:
    engine = create_engine(hosts_url)
    with engine.connect() as connection:
        transaction = connection.begin()
        with sandbox(connection=connection):
            handle = add.send(1, 2)
            shout.send("a")
            assert_enqueued(add, args=(1, 2))
            assert drain_queue().completed == 2
            assert handle.result() == 3
        assert count(connection) == 2
        transaction.rollback()

    with engine.connect() as connection:
        assert count(connection) == 0
    engine.dispose()


async def test_the_host_s_transaction_works_in_async_tests(hosts_url: str) -> None:
    engine = create_engine(hosts_url)
    with engine.connect() as connection, connection.begin() as transaction:
        async with sandbox(connection=connection, mode="inline"):
            handle = await add.asend(1, 2)
            assert await handle.aresult() == 3
        transaction.rollback()
    engine.dispose()


def test_jobs_enqueued_in_the_host_s_transaction_are_seen_before_its_commit(hosts_url: str) -> None:
    engine = create_engine(hosts_url)
    with engine.connect() as connection, connection.begin() as transaction:
        with (
            sandbox(connection=connection),
            Session(connection, join_transaction_mode="create_savepoint") as session,
        ):
            handle = enqueue(session, add.message(1, 2))
            assert_enqueued(add, args=(1, 2))
            session.commit()
            assert drain_queue().completed == 1
            assert handle.result() == 3

            doomed = enqueue(session, add.message(3, 4))
            session.rollback()
            refute_enqueued(add)
            with pytest.raises(jobs.JobNotFound):
                doomed.status()
        transaction.rollback()
    engine.dispose()


def test_jobs_enqueued_in_the_host_s_database_are_seen_after_its_commit(hosts_url: str) -> None:
    engine = create_engine(hosts_url)
    with sandbox(database_url=hosts_url), Session(engine) as session:
        handle = enqueue(session, add.message(1, 2))
        session.commit()

        assert drain_queue().completed == 1
        assert handle.result() == 3
    engine.dispose()


def test_inline_nothing_is_enqueued_in_a_transaction(hosts_url: str) -> None:
    engine = create_engine(hosts_url)
    with (
        sandbox(database_url=hosts_url, mode="inline"),
        Session(engine) as session,
        pytest.raises(ConfigError, match=r"use sandbox\(mode='manual'\) and call drain_queue\(\)"),
    ):
        enqueue(session, add.message(1, 2))
    engine.dispose()


def test_inline_a_job_runs_where_it_is_sent() -> None:
    with sandbox(mode="inline"):
        assert add.send(1, 2).result() == 3
        assert shout.send("a").result() == "A"
        assert add.options(delay=60).send(1, 2).status() == "scheduled"


async def test_inline_a_job_runs_beside_the_loop_of_its_sender() -> None:
    async with sandbox(mode="inline"):
        assert add.send(1, 2).result() == 3
        assert shout.send("a").result() == "A"
        assert await (await add.asend(3, 4)).aresult() == 7


def test_inline_a_failed_job_is_stored_and_not_raised(tmp_path: Path) -> None:
    with sandbox(mode="inline"):
        handle = fail_times.send(str(tmp_path / "tries"), 1)
        assert handle.status() == "retryable"
        assert handle.job().errors[0]["error"] == "ValueError"

        assert drain_queue(with_scheduled=True).completed == 1
        assert handle.result() == "done at try 2"


def test_inline_a_job_may_send_jobs() -> None:
    @jobs.actor(actor_name="sends_inline")
    async def sends(depth: int) -> int:
        if depth == 0:
            return 0
        below = await sends.asend(depth - 1)
        return 1 + await below.aresult()

    @jobs.actor(actor_name="sends_inline_in_place")
    async def sends_in_place(depth: int) -> int:
        return 1 + sends_in_place.send(depth - 1).result() if depth else 0

    with sandbox(mode="inline"):
        assert sends.send(3).result() == 3
        assert sends_in_place.send(3).result() == 3


def test_inline_what_a_job_streams_is_its_own() -> None:
    async def say(text: str) -> None:
        provider = ScriptedTransport(Answer.text(text))
        await aquila.ask("Hi", model="m", transport=provider, api_key="k", endpoint="chat")

    @jobs.actor(actor_name="says_inner")
    async def inner() -> None:
        await say("inner")

    @jobs.actor(actor_name="says_outer")
    async def outer() -> None:
        await say("out")
        await inner.asend()
        await say("er")

    with sandbox(mode="inline"):
        assert outer.send().job().output == "outer"
        ended = [job for job in runtime().database().read(_all) if job == "inner"]
        assert ended == ["inner"]


def _all(connection: Connection) -> list[str]:
    return list(connection.scalars(select(tables.jobs.c.output)))
