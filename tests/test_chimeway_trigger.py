from __future__ import annotations

import gc
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.to_thread
import pytest
from chimeway_notifiers import Both, Mention, MovedClock, Recorder, Welcome
from job_workers import until, working
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import chimeway
import jobs
from aquila.errors import ConfigError
from chimeway import store
from chimeway.errors import NotifierInvalid, TemporaryFailure
from chimeway.fanout import Chunk, plan_chunk
from chimeway.registry import _NOTIFIERS
from chimeway.rows import attempts_of, deliveries_of_event, get_delivery
from chimeway.sweeping import sweep
from chimeway.tables import deliveries, events, fanouts, notifications, runs
from jobs.tables import jobs as job_rows

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)

TABLES = (events, notifications, deliveries, runs, job_rows)


def counts() -> list[int]:
    def read(connection: Connection) -> list[int]:
        return [connection.execute(select(func.count()).select_from(one)).scalar_one() for one in TABLES]

    return store.read(read)


def state(delivery: chimeway.Delivery) -> tuple[str, str | None]:
    found = store.read(get_delivery, delivery.delivery_id)
    return found.status.value, found.outcome


def test_without_a_session_it_is_delivered_when_trigger_returns(sync: None, email: Recorder) -> None:
    done = Welcome.trigger(7, {"name": "Ada"})

    assert [message.content.subject for message in email.sent] == ["Welcome, Ada!"]
    assert [one.status for one in done.deliveries] == ["succeeded"]
    assert done.notifications[0].recipient_identity == "7"
    assert counts()[4] == 0


def test_with_a_session_it_is_delivered_after_the_commit(sync: None, engine: Engine, email: Recorder) -> None:
    with Session(engine) as session:
        done = Welcome.trigger(7, {"name": "Ada"}, session=session)
        assert not email.sent
        session.commit()
        assert email.texts == ["Good to have you here, Ada."]

    assert state(done.deliveries[0]) == ("succeeded", "delivered")


def test_a_rollback_leaves_no_row_no_job_and_sends_nothing(
    queued: None, engine: Engine, email: Recorder
) -> None:
    with Session(engine) as session:
        Both.trigger(["1", "2"], {"what": "x"}, session=session)
        Mention.trigger("1", {"who": "Bo"}, session=session)
        session.rollback()

    assert counts() == [0, 0, 0, 0, 0]


def test_a_commit_leaves_a_job_for_each_delivery(queued: None, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        done = Both.trigger(["1", "2"], {"what": "x"}, session=session)

    found = store.read(lambda c: c.execute(select(job_rows.c.arguments, job_rows.c.queue_name)).all())
    assert sorted(row.arguments["args"][0] for row in found) == sorted(
        one.delivery_id for one in done.deliveries
    )
    assert {row.queue_name for row in found} == {"chimeway_delivery"}


@pytest.mark.parametrize("dispatcher", ["sync", "queued"])
def test_what_a_savepoint_rolls_back_is_not_sent_and_the_rest_is(
    dispatcher: str, engine: Engine, email: Recorder, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(dispatcher)
    with Session(engine) as session:
        Welcome.trigger("stays", {"name": "A"}, session=session)
        nested = session.begin_nested()
        Welcome.trigger("goes", {"name": "B"}, session=session)
        nested.rollback()
        session.commit()

    assert counts()[:3] == [1, 1, 1]
    if dispatcher == "sync":
        assert [message.recipient_identity for message in email.sent] == ["stays"]


def test_a_committed_savepoint_sends_nothing_before_the_outermost_commit(
    sync: None, engine: Engine, email: Recorder
) -> None:
    with Session(engine) as session:
        with session.begin_nested():
            Welcome.trigger("1", {"name": "A"}, session=session)
        assert not email.sent
        session.rollback()

    assert not email.sent
    assert counts()[0] == 0


def test_a_duplicate_key_leaves_the_callers_transaction_usable(queued: None, engine: Engine) -> None:
    first = Welcome.trigger("1", {"name": "A"}, idempotency_key="signup-1")
    with Session(engine) as session:
        again = Welcome.trigger("1", {"name": "B"}, idempotency_key="signup-1", session=session)
        assert session.execute(text("SELECT 1")).scalar() == 1
        fresh = Welcome.trigger("2", {"name": "C"}, session=session)
        session.commit()

    assert again.duplicate
    assert again.event.event_id == first.event.event_id
    assert [one.delivery_id for one in again.deliveries] == [one.delivery_id for one in first.deliveries]
    assert not fresh.duplicate
    assert counts() == [2, 2, 2, 0, 2]


def test_another_tenant_may_have_the_same_key(queued: None) -> None:
    Welcome.trigger("1", {"name": "A"}, idempotency_key="k")
    assert not Welcome.trigger("1", {"name": "A"}, idempotency_key="k", tenant_id="other").duplicate


def test_what_an_adapter_raises_is_kept_and_never_reaches_the_caller(
    sync: None, engine: Engine, email: Recorder
) -> None:
    email.errors = [TemporaryFailure("full"), RuntimeError("odd")]
    with Session(engine) as session:
        done = Both.trigger(["1", "2"], {"what": "x"}, session=session)
        session.commit()

    mails = [one for one in done.deliveries if one.channel == "email"]
    assert {state(one) for one in mails} == {("failed", "temporary_failure")}
    assert [store.read(attempts_of, one.delivery_id)[0].error_class for one in mails] == [
        "temporary",
        "unknown",
    ]


def test_no_transaction_is_open_while_an_adapter_runs(sync: None, engine: Engine, email: Recorder) -> None:
    open_ones: list[int] = []

    def look(_message: object) -> None:
        open_ones.extend([store.database().engine.pool.checkedout(), engine.pool.checkedout()])  # type: ignore[attr-defined]

    email.hook = look
    Welcome.trigger("1", {"name": "A"})
    with Session(engine) as session:
        Welcome.trigger("1", {"name": "A"}, session=session)
        session.commit()

    assert open_ones == [0, 0, 0, 0]


def test_a_connection_is_delivered_for_soon_after_its_commit(
    sync: None, engine: Engine, email: Recorder
) -> None:
    sent = threading.Event()
    email.hook = lambda _message: sent.set()
    with engine.begin() as connection:
        Welcome.trigger("1", {"name": "A"}, session=connection)
        assert not sent.wait(0.1)

    assert sent.wait(20)


def test_a_session_in_a_transaction_of_somebody_elses_waits_for_that_ones_end(
    sync: None, engine: Engine, email: Recorder
) -> None:
    sent = threading.Event()
    email.hook = lambda _message: sent.set()
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(bind=connection, join_transaction_mode="create_savepoint") as session:
            Welcome.trigger("1", {"name": "A"}, session=session)
            session.commit()
        assert not sent.wait(0.2)
        outer.commit()
        del outer
        gc.collect()

    assert sent.wait(20)


async def test_an_asynchronous_session_is_delivered_for_by_the_time_its_commit_returns(
    sync: None, email: Recorder
) -> None:
    url = jobs.database_url().replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+psycopg_async:")
    await anyio.to_thread.run_sync(store.database)
    engine = create_async_engine(url)
    async with AsyncSession(engine) as session:
        await Welcome.atrigger("1", {"name": "A"}, session=session)
        assert not email.sent
        await session.commit()
        assert len(email.sent) == 1
    await engine.dispose()


async def test_atrigger_delivers_without_a_session(sync: None, email: Recorder) -> None:
    done = await Welcome.atrigger("1", {"name": "A"})

    assert done.deliveries[0].status == "succeeded"
    assert len(email.sent) == 1


def test_many_recipients_are_planned_apart_and_all_are_reached(
    sync: None, engine: Engine, email: Recorder
) -> None:
    with Session(engine) as session:
        done = Welcome.trigger([str(number) for number in range(120)], {"name": "all"}, session=session)
        session.commit()

    assert done.recipient_count == 120
    assert {message.recipient_identity for message in email.sent} == {str(number) for number in range(120)}
    assert counts()[1:3] == [120, 120]


def test_secrets_of_the_parameters_are_not_kept(queued: None) -> None:
    done = Welcome.trigger("1", {"name": "A", "password": "hunter2-plum", "nested": {"api_key": "plum-2"}})

    def everything(connection: Connection) -> str:
        return str([connection.execute(select(one)).all() for one in TABLES])

    assert "plum" not in store.read(everything)
    assert done.event.payload == {"name": "A", "nested": {}}


def test_a_redriven_duplicate_is_given_to_the_dispatcher_once_more(
    sync: None, email: Recorder, clock: MovedClock
) -> None:
    email.errors = [TemporaryFailure("full")]
    Welcome.trigger("1", {"name": "A"}, idempotency_key="k")
    clock.advance(hours=1)
    again = Welcome.trigger("1", {"name": "A"}, idempotency_key="k", on_duplicate="redrive")

    assert again.duplicate
    assert [one.status for one in again.deliveries] == ["succeeded"]
    assert email.calls[again.deliveries[0].delivery_id] == 2


def test_a_scoped_session_is_a_session(sync: None, engine: Engine, email: Recorder) -> None:
    scoped = scoped_session(sessionmaker(engine))
    Welcome.trigger("1", {"name": "A"}, session=scoped)
    scoped.commit()
    scoped.remove()

    assert len(email.sent) == 1


def test_a_missing_parameter_is_named_and_nothing_is_stored(queued: None) -> None:
    with pytest.raises(NotifierInvalid, match="name"):
        Welcome.trigger("1", {})

    assert counts()[0] == 0


def test_of_two_triggers_with_one_key_at_the_same_time_one_adds_and_the_other_finds(
    queued: None, engine: Engine
) -> None:
    both = threading.Barrier(2)

    def trigger(_number: int) -> chimeway.Triggered:
        with Session(engine) as session:
            both.wait()
            done = Welcome.trigger("1", {"name": "A"}, idempotency_key="k", session=session)
            session.commit()
            return done

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(trigger, range(2)))

    assert sorted(one.duplicate for one in found) == [False, True]
    assert len({one.event.event_id for one in found}) == 1
    assert counts() == [1, 1, 1, 0, 1]


async def test_jobs_plan_the_parts_of_an_event_of_many_and_each_recipient_is_reached_once(
    queued: None, email: Recorder
) -> None:
    done = await Welcome.atrigger([str(number) for number in range(520)], {"name": "all"})
    assert counts()[1:3] == [0, 0]
    assert counts()[4] == 2

    async with working():
        await until(lambda: len(email.sent) == 520, within=50)
    assert done.recipient_count == 520
    assert set(email.calls.values()) == {1}


def test_a_worker_that_does_not_know_the_notifier_says_so_and_the_sweep_asks_again(
    queued: None, clock: MovedClock
) -> None:
    done = Welcome.trigger([str(number) for number in range(101)], {"name": "all"})
    part = Chunk(done.event.event_id, 0)
    known = _NOTIFIERS.pop("test.welcome")
    with pytest.raises(NotifierInvalid, match="aquila worker MODULE"):
        plan_chunk(part, clock.now())
    _NOTIFIERS["test.welcome"] = known

    assert counts()[1] == 0
    assert len(plan_chunk(part, clock.now()).notifications) == 101
    assert not plan_chunk(part, clock.now()).notifications


def test_a_trigger_without_recipients_tells_nobody(sync: None) -> None:
    done = Welcome.trigger([], {"name": "A"})

    assert (done.recipient_count, list(done.notifications), list(done.deliveries)) == (0, [], [])
    assert counts()[:3] == [1, 0, 0]


async def test_an_asynchronous_connection_and_a_scoped_session_are_delivered_for(
    sync: None, email: Recorder
) -> None:
    url = jobs.database_url().replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+psycopg_async:")
    await anyio.to_thread.run_sync(store.database)
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await Welcome.atrigger("1", {"name": "A"}, session=connection)
    await until(lambda: len(email.sent) == 1)
    scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: 1)
    await Welcome.atrigger("2", {"name": "A"}, session=scoped)
    await scoped.commit()
    assert len(email.sent) == 2
    await scoped.remove()
    await engine.dispose()


def test_of_many_recipients_those_that_can_be_told_are_told_and_the_others_are_kept_with_the_error(
    sync: None, email: Recorder
) -> None:
    broken = {"7"}

    class Picky(chimeway.Notifier):
        notification_key = "test.picky"
        channels = ("email",)

        def email(self, recipient: chimeway.Recipient, params: Mapping[str, Any]) -> chimeway.Content:
            if recipient.identity in broken:
                raise KeyError("plum")
            return chimeway.Content(text="hello")

    done = Picky.trigger([str(number) for number in range(101)], {})
    found = store.read(lambda c: c.execute(select(fanouts)).one())
    assert len(email.sent) == 100
    assert found.error == "1 recipients are not told: Picky raised KeyError for the recipient '7'"

    broken.clear()
    sweep()
    assert sorted(message.recipient_identity for message in email.sent).count("7") == 1
    assert len(email.sent) == 101
    assert len(store.read(deliveries_of_event, done.event.event_id)) == 101


def test_what_101_recipients_could_not_be_told_is_said_at_the_trigger(queued: None) -> None:
    class Code(chimeway.Notifier):
        notification_key = "test.code"
        channels = ("email",)
        email = chimeway.Content(text="{reset_token}")

    assert not Code.trigger("1", {"reset_token": "x"}).duplicate
    with pytest.raises(NotifierInvalid, match="reset_token"):
        Code.trigger([str(number) for number in range(101)], {"reset_token": "x"})


def test_a_conflict_of_versions_leaves_nothing_in_the_callers_transaction(
    queued: None, engine: Engine
) -> None:
    Mention.trigger("1", {"who": "Bo"})

    class Changed(chimeway.Notifier):
        notification_key = "test.changed"
        in_app = chimeway.Content(text="x")
        workflow = chimeway.Workflow(
            "test.mention", version=1, steps=[chimeway.Deliver("inbox", channel="in_app")]
        )

    with Session(engine) as session:
        with pytest.raises(chimeway.WorkflowConflict):
            Changed.trigger("1", {}, session=session)
        session.commit()

    assert counts()[0] == 1


@pytest.mark.parametrize("session", [object(), "x"])
def test_a_session_that_is_none_is_named_with_the_remedy(queued: None, session: Any) -> None:
    with pytest.raises(ConfigError, match=r"session=.*'a' before its name"):
        Welcome.trigger("1", {"name": "A"}, session=session)
