from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from job_actors import add
from job_hosts import (
    async_engine,
    delivered,
    eventually,
    host_engine,
    is_known,
    on_the_wire,
    take_a_wire_of_its_own,
)
from job_workers import until_state, working
from sqlalchemy import (
    Connection,
    Engine,
    select,
)
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from jobs.enqueueing import aenqueue, aenqueue_all, enqueue, enqueue_all

pytest_plugins = ["job_fixtures"]

on_both = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
pytestmark = [pytest.mark.usefixtures("a_wire_of_its_own")]


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def a_wire_of_its_own(place: None) -> None:
    take_a_wire_of_its_own()


@pytest.fixture
def engine(a_wire_of_its_own: None) -> Iterator[Engine]:
    """The host's own, with a table of its own."""
    opened = host_engine()
    Base.metadata.create_all(opened)
    yield opened
    opened.dispose()


@pytest.fixture
async def aengine(a_wire_of_its_own: None) -> AsyncIterator[AsyncEngine]:
    opened = async_engine()
    yield opened
    await opened.dispose()


@contextmanager
def a_session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session, session.begin():
        yield session


@contextmanager
def a_session_that_commits(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session
        session.commit()


@contextmanager
def a_scoped_session(engine: Engine) -> Iterator[scoped_session[Session]]:
    scoped = scoped_session(sessionmaker(engine))
    try:
        yield scoped
        scoped.commit()
    finally:
        scoped.remove()


@contextmanager
def a_connection_that_commits(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection
        connection.commit()


@contextmanager
def a_transaction_that_stays_around(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.commit()
        eventually(on_the_wire)
        assert not transaction.is_active


WAYS: dict[str, Any] = {
    "session": a_session,
    "commit": a_session_that_commits,
    "sessionmaker": lambda engine: sessionmaker(engine).begin(),
    "scoped": a_scoped_session,
    "connection": lambda engine: engine.begin(),
    "connection commit": a_connection_that_commits,
    "held": a_transaction_that_stays_around,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@on_both
def test_a_rollback_takes_the_job_back_and_a_commit_sends_it_and_not_before(engine: Engine, way: Any) -> None:
    opened: AbstractContextManager[Any] = way(engine)
    with pytest.raises(KeyboardInterrupt), opened as session:
        gone = enqueue(session, add.message(1, 2))
        raise KeyboardInterrupt
    opened = way(engine)
    with opened as session:
        handle = enqueue(session, add.message(1, 2))
        assert handle.created
        assert not is_known(handle)
        assert on_the_wire() == []

    delivered(handle)
    assert handle.status() == "available"
    assert not is_known(gone)


@on_both
def test_a_session_that_is_closed_without_a_commit_sends_nothing(engine: Engine) -> None:
    with Session(engine) as session:
        gone = enqueue(session, add.message(1, 2))
    with Session(engine) as session:
        kept = enqueue(session, add.message(1, 2))
        session.commit()

    delivered(kept)
    assert not is_known(gone)


@on_both
def test_the_jobs_and_the_rows_of_the_host_are_committed_together(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Order(id=1))
        session.flush()
        handle = enqueue(session, add.message(1, 2))
        session.commit()
        session.add(Order(id=1))
        gone = enqueue(session, add.message(1, 2))
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            session.commit()

    delivered(handle)
    assert not is_known(gone)


@on_both
def test_a_savepoint_that_is_rolled_back_takes_its_jobs_with_it(engine: Engine) -> None:
    with Session(engine) as session:
        first = enqueue(session, add.message(1, 1))
        with session.begin_nested() as savepoint:
            gone = enqueue(session, add.message(2, 2))
            savepoint.rollback()
        last = enqueue(session, add.message(3, 3))
        session.commit()

    delivered(first, last)
    assert not is_known(gone)


@on_both
def test_a_savepoint_that_is_released_sends_nothing_before_the_outermost_commit(engine: Engine) -> None:
    with Session(engine) as session:
        with session.begin_nested():
            kept = enqueue(session, add.message(1, 1))
        time.sleep(0.1)
        assert on_the_wire() == []
        session.commit()
    with Session(engine) as session:
        with session.begin_nested():
            gone = enqueue(session, add.message(1, 1))
        session.rollback()

    delivered(kept)
    assert not is_known(gone)


@on_both
def test_a_session_inside_the_transaction_of_a_connection_sends_when_that_is_committed(
    engine: Engine,
) -> None:
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            handle = enqueue(session, add.message(1, 1))
            session.commit()
        time.sleep(0.1)
        assert on_the_wire() == []
        outer.commit()

    delivered(handle)


@on_both
async def test_asynchronous_sessions_and_connections_do_the_same(aengine: AsyncEngine) -> None:
    async with AsyncSession(aengine) as session:
        handles = [await aenqueue(session, add.message(1, 1))]
        await session.commit()
        gone = await aenqueue(session, add.message(1, 1))
        await session.rollback()
    async with async_sessionmaker(aengine).begin() as session:
        handles += await aenqueue_all(session, [add.message(2, 2), add.message(3, 3)])
    async with aengine.begin() as connection:
        handles.append(await aenqueue(connection, add.message(4, 4)))
    scoped = async_scoped_session(async_sessionmaker(aengine), scopefunc=lambda: 1)
    handles.append(await aenqueue(scoped, add.message(5, 5)))
    await scoped.commit()
    await scoped.remove()

    delivered(*handles)
    assert not is_known(gone)


@on_both
async def test_enqueue_works_inside_of_run_sync(aengine: AsyncEngine) -> None:
    async with AsyncSession(aengine) as session:
        handle = await session.run_sync(enqueue, add.message(1, 1))
        await session.commit()

    delivered(handle)


@on_both
def test_many_are_added_in_one_call_and_given_back_in_their_order(engine: Engine) -> None:
    messages = [add.message(n, n) for n in range(5)]
    messages.insert(2, add.options(unique="k").message(9, 9))
    with engine.begin() as connection:
        handles = enqueue_all(connection, messages)
        assert enqueue_all(connection, []) == []

    assert [handle.job_id for handle in handles] == [message.job_id for message in messages]
    delivered(*handles)


@on_both
def test_a_key_that_is_taken_gives_the_older_job_and_leaves_the_transaction_usable(engine: Engine) -> None:
    older = add.options(unique="k").send(1, 1)
    with Session(engine) as session:
        again = enqueue(session, add.options(unique="k").message(2, 2))
        other = enqueue(session, add.options(unique="other").message(2, 2))
        session.add(Order(id=1))
        session.commit()
        assert session.scalars(select(Order.id)).all() == [1]

    assert (again, again.created, other.created) == (older, False, True)
    delivered(older, other)


@on_both
def test_nothing_of_the_session_is_flushed(engine: Engine) -> None:
    with Session(engine) as session:
        order = Order(id=1)
        session.add(order)
        enqueue(session, add.message(1, 1))
        assert order in session.new
        session.commit()
        assert session.get(Order, 1) is order


@on_both
def test_what_is_due_later_is_kept_off_the_wire(engine: Engine) -> None:
    with engine.begin() as connection:
        later = [
            enqueue(connection, add.options(delay=60.0).message(1, 1)),
            enqueue(connection, add.options(at=datetime.now(UTC) + timedelta(hours=1)).message(1, 1)),  # noqa: TID251 - the test's own
        ]
        now = enqueue(connection, add.message(1, 1))

    delivered(now)
    assert [handle.status() for handle in later] == ["scheduled", "scheduled"]


@on_both
async def test_a_job_begins_soon_after_the_commit(engine: Engine) -> None:
    waits = []
    async with working(default=10):
        for number in range(7):
            with engine.connect() as connection:
                handle = enqueue(connection, add.message(number, 1))
                connection.commit()
            committed = time.monotonic()
            with anyio.fail_after(20):
                while await handle.astatus() == "available":  # noqa: ASYNC110 - it belongs to the worker
                    await anyio.sleep(0.001)
            waits.append(time.monotonic() - committed)
            await until_state(handle, "completed")

    assert sorted(waits)[3] < 0.25
