"""The synchronous dispatcher in a host's transaction: what is sent, and when, however the transaction ends."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import pytest
from chimeway_notifiers import Both, Mention, MovedClock, Recorder, Welcome
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import chimeway
import jobs
from chimeway import store
from chimeway.dispatch import here
from chimeway.rows import attempts_of, get_delivery
from chimeway.tables import events

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = [
    pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True),
    pytest.mark.usefixtures("sync"),
]


class Chained(chimeway.Notifier):
    notification_key = "test.after_commit.chained"
    first = chimeway.Content(text="first")
    second = chimeway.Content(text="second")
    workflow = chimeway.Workflow(
        "test.after_commit.chained",
        version=1,
        steps=[
            chimeway.Deliver("first", channel="email", rules=[chimeway.On("delivered", to="second")]),
            chimeway.Deliver("second", channel="email"),
        ],
    )


def recipients(email: Recorder) -> list[str]:
    return [message.recipient_identity for message in email.sent]


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(events)).scalar_one()


def test_each_commit_sends_what_is_its_own(engine: Engine, email: Recorder) -> None:
    with Session(engine) as session:
        for name in ("1", "2", "3"):
            Welcome.trigger(name, {"name": name}, session=session)
            session.commit()
            assert recipients(email)[-1] == name

    assert recipients(email) == ["1", "2", "3"]


def test_several_triggers_of_one_transaction_are_sent_in_their_order(engine: Engine, email: Recorder) -> None:
    with Session(engine) as session, session.begin():
        for number in range(5):
            Welcome.trigger(str(number), {"name": "A"}, session=session)

    assert recipients(email) == ["0", "1", "2", "3", "4"]


def end_by_close(session: Session) -> None:
    session.close()


def end_by_rollback(session: Session) -> None:
    session.rollback()


def end_by_error(session: Session) -> None:
    def work() -> None:
        with session.begin_nested():
            Welcome.trigger("gone too", {"name": "A"}, session=session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    session.rollback()


@pytest.mark.parametrize("end", [end_by_close, end_by_rollback, end_by_error])
def test_what_was_not_committed_is_not_sent_by_a_later_commit(
    engine: Engine, email: Recorder, end: Callable[[Session], None]
) -> None:
    with Session(engine) as session:
        Welcome.trigger("gone", {"name": "A"}, session=session)
        end(session)
        Welcome.trigger("stays", {"name": "A"}, session=session)
        session.commit()

    assert recipients(email) == ["stays"]
    assert store.read(count) == 1


def test_a_commit_that_fails_sends_nothing(engine: Engine, email: Recorder) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE host (id INTEGER PRIMARY KEY)"))
    with pytest.raises(IntegrityError), Session(engine) as session:
        Welcome.trigger("1", {"name": "A"}, session=session)
        session.execute(text("INSERT INTO host VALUES (1)"))
        session.execute(text("INSERT INTO host VALUES (1)"))
        session.commit()

    assert not email.sent
    assert store.read(count) == 0


def test_a_released_savepoint_inside_one_that_is_rolled_back_is_not_sent(
    engine: Engine, email: Recorder
) -> None:
    with Session(engine) as session:
        outer = session.begin_nested()
        with session.begin_nested():
            Welcome.trigger("inner", {"name": "A"}, session=session)
        Welcome.trigger("outer", {"name": "A"}, session=session)
        outer.rollback()
        with session.begin_nested():
            Welcome.trigger("stays", {"name": "A"}, session=session)
        session.commit()

    assert recipients(email) == ["stays"]


def test_of_a_connection_only_what_survives_is_sent(engine: Engine, email: Recorder) -> None:
    with engine.begin() as connection:
        nested = connection.begin_nested()
        Welcome.trigger("gone", {"name": "A"}, session=connection)
        nested.rollback()
        Welcome.trigger("stays", {"name": "A"}, session=connection)
        assert not email.sent

    # Its thread sends what is over before it ends.
    here._WATCH.close()
    assert recipients(email) == ["stays"]


def test_a_connection_that_rolls_back_sends_nothing(engine: Engine, email: Recorder) -> None:
    with engine.connect() as connection:
        Welcome.trigger("gone", {"name": "A"}, session=connection)
        connection.rollback()
        Welcome.trigger("stays", {"name": "A"}, session=connection)
        connection.commit()

    # Its thread sends what is over before it ends.
    here._WATCH.close()
    assert recipients(email) == ["stays"]


def test_an_adapter_that_fails_does_not_fail_the_commit(engine: Engine, email: Recorder) -> None:
    email.errors += [RuntimeError("boom"), ValueError("bang")]
    with Session(engine) as session:
        done = Both.trigger(["1", "2", "3"], {"what": "x"}, session=session)
        session.commit()
        # The session is as good as new.
        assert session.execute(text("SELECT 1")).scalar() == 1

    states = {store.read(get_delivery, one.delivery_id).status.value for one in done.deliveries}
    assert states == {"succeeded", "failed"}
    assert len(email.sent) == 1


def test_an_adapter_may_notify_by_itself(engine: Engine, email: Recorder) -> None:
    def also(message: chimeway.OutgoingMessage) -> None:
        if message.recipient_identity == "1":
            Welcome.trigger("2", {"name": "B"})

    email.hook = also
    with Session(engine) as session, session.begin():
        Welcome.trigger("1", {"name": "A"}, session=session)

    assert sorted(recipients(email)) == ["1", "2"]


def test_the_steps_that_follow_at_once_are_sent_by_the_same_commit(engine: Engine, email: Recorder) -> None:
    with Session(engine) as session, session.begin():
        Chained.trigger("1", {}, session=session)

    assert email.texts == ["first", "second"]


def test_what_the_host_wrote_is_committed_while_it_is_sent(engine: Engine, email: Recorder) -> None:
    seen: list[int] = []
    email.hook = lambda _message: seen.append(store.read(count))
    with Session(engine) as session, session.begin():
        Welcome.trigger("1", {"name": "A"}, session=session)

    assert seen == [1]


def test_sessions_of_several_threads_do_not_mix(engine: Engine, email: Recorder) -> None:
    def work(name: str, *, commits: bool) -> None:
        with Session(engine) as session:
            Welcome.trigger(name, {"name": "A"}, session=session)
            session.commit() if commits else session.rollback()

    threads = [
        threading.Thread(target=work, args=(str(number),), kwargs={"commits": number % 2 == 0})
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(recipients(email)) == ["0", "2", "4", "6"]


def test_a_session_that_is_dropped_leaves_nothing_behind(engine: Engine, email: Recorder) -> None:
    before = len(here._PENDING)
    session = Session(engine)
    Welcome.trigger("1", {"name": "A"}, session=session)
    session.close()
    del session
    gc.collect()

    assert len(here._PENDING) == before
    assert not email.sent


def test_what_a_dead_process_did_not_send_is_taken_up_by_the_sweep(
    engine: Engine, email: Recorder, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, Session(engine) as session, session.begin():
        patch.setattr(here, "deliver_here", lambda _work: None)
        done = Welcome.trigger("1", {"name": "A"}, session=session)
    assert store.read(get_delivery, done.deliveries[0].delivery_id).status == "pending"

    # It may still be at it.
    assert chimeway.sweep().deliveries == 0
    clock.advance(seconds=61)
    assert chimeway.sweep().deliveries == 1

    assert recipients(email) == ["1"]
    assert chimeway.sweep().deliveries == 0


def test_an_inbox_and_a_wait_are_there_when_the_commit_returns(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        done = Mention.trigger("1", {"who": "Bo"}, session=session)

    delivery = store.read(get_delivery, done.deliveries[0].delivery_id)
    assert delivery.status == "succeeded"
    assert len(store.read(attempts_of, delivery.delivery_id)) == 1


async def test_an_asynchronous_session_sends_only_what_it_commits(email: Recorder) -> None:
    url = jobs.database_url().replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+psycopg_async:")
    made = create_async_engine(url)
    async with AsyncSession(made) as session:
        await Welcome.atrigger("gone", {"name": "A"}, session=session)
        await session.rollback()
        await Welcome.atrigger("stays", {"name": "A"}, session=session)
        nested = await session.begin_nested()
        await Welcome.atrigger("gone too", {"name": "A"}, session=session)
        await nested.rollback()
        assert not email.sent
        await session.commit()
        assert recipients(email) == ["stays"]
        await Welcome.atrigger("closed", {"name": "A"}, session=session)
    await made.dispose()

    assert recipients(email) == ["stays"]
