from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from chimeway_notifiers import Mention, MovedClock
from sqlalchemy import Connection, Engine, event, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import chimeway
import jobs
from aquila.errors import ConfigError
from chimeway import store
from chimeway.engine.router import route_signal
from chimeway.errors import NotificationNotFound
from chimeway.in_app.marks import (
    BATCH,
    aarchive,
    amark_all_read,
    amark_read,
    amark_seen,
    archive,
    mark_all_read,
    mark_read,
    mark_seen,
)
from chimeway.in_app.pages import InboxPage, ainbox, aunread_count, inbox, unread_count
from chimeway.rows import get_notification
from chimeway.tables import deliveries, notifications, runs, signals
from jobs.tables import jobs as job_rows

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


class News(chimeway.Notifier):
    notification_key = "test.inbox.news"
    category = "news"
    in_app = chimeway.Content(
        subject="{title}", text="Read on.", url="https://example.com/news", data={"icon": "bell"}
    )


class Twice(chimeway.Notifier):
    notification_key = "test.inbox.twice"
    first = chimeway.Content(text="first words")
    second = chimeway.Content(text="second words")
    workflow = chimeway.Workflow(
        "test.inbox.twice",
        version=1,
        steps=[
            chimeway.Deliver("first", channel="in_app", rules=[chimeway.On("delivered", to="second")]),
            chimeway.Deliver("second", channel="in_app"),
        ],
    )


def news(recipient: str, title: str, **options: Any) -> str:
    return News.trigger(recipient, {"title": title}, **options).notifications[0].notification_id


def titles(page: InboxPage) -> list[str]:
    return [item.content.subject for item in page.items]


def told_of() -> list[tuple[str, str, Mapping[str, Any]]]:
    query = select(signals.c.event_name, signals.c.actor_id, signals.c.payload).order_by(
        signals.c.occurred_at
    )
    return store.read(lambda c: [tuple(row) for row in c.execute(query)])  # type: ignore[misc]


def count(connection: Connection, table: Any) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_an_inbox_gives_what_was_delivered_newest_first(sync: None, clock: MovedClock) -> None:
    for title in ("one", "two"):
        news("ada", title)
        clock.advance(seconds=1)

    page = inbox("ada")

    assert titles(page) == ["two", "one"]
    assert (page.next_cursor, page.has_more) == (None, False)
    first = page.items[0].to_dict()
    assert (first["subject"], first["text"], first["url"]) == ("two", "Read on.", "https://example.com/news")
    assert (first["category"], first["data"], first["read_at"]) == ("news", {"icon": "bell"}, None)


def test_what_was_not_delivered_or_is_anothers_does_not_stand_there(sync: None) -> None:
    news("bo", "for bo")
    news("ada", "of a tenant", tenant_id="acme")
    chimeway.configure(dispatcher="dramatiq")
    news("ada", "still on its way")

    assert titles(inbox("ada")) == []
    assert titles(inbox("ada", tenant_id="acme")) == ["of a tenant"]


def test_pages_join_without_a_gap_even_at_one_instant(sync: None) -> None:
    for number in range(7):
        news("ada", str(number))
    # All came at once, so that only their ids tell them apart.
    store.write(lambda c: c.execute(update(notifications).values(inbox_at=MovedClock().now())))

    seen: list[str] = []
    cursor, pages = None, 0
    while True:
        page = inbox("ada", limit=3, before=cursor)
        seen += titles(page)
        pages += 1
        cursor = page.next_cursor
        if not page.has_more:
            break

    assert pages == 3
    assert sorted(seen) == [str(number) for number in range(7)]


def test_a_full_last_page_has_no_more(sync: None) -> None:
    for number in range(4):
        news("ada", str(number))

    page = inbox("ada", limit=2, before=inbox("ada", limit=2).next_cursor)

    assert len(page.items) == 2
    assert not page.has_more


def test_what_comes_meanwhile_does_not_move_the_pages(sync: None, clock: MovedClock) -> None:
    for number in range(3):
        news("ada", str(number))
        clock.advance(seconds=1)
    first = inbox("ada", limit=1)
    news("ada", "new")

    assert titles(first) == ["2"]
    assert titles(inbox("ada", before=first.next_cursor)) == ["1", "0"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "bm9uc2Vuc2U=", "MjAyNi0wMS0wMVQwMDowMDowMCBhYg==", "ä", "====", "/w=="]
)
def test_a_wrong_cursor_is_refused(sync: None, cursor: str) -> None:
    with pytest.raises(ConfigError, match="cursor"):
        inbox("ada", before=cursor)


@pytest.mark.parametrize("limit", [0, -1, 101, True, 2.0])
def test_a_wrong_limit_is_refused(sync: None, limit: Any) -> None:
    with pytest.raises(ConfigError, match="limit"):
        inbox("ada", limit=limit)


def test_a_page_costs_a_few_statements(sync: None, engine: Engine) -> None:
    for number in range(10):
        news("ada", str(number))
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with Session(engine) as session:
        inbox("ada", session=session)
        before = len(statements)
        inbox("ada", session=session)

    assert len([one for one in statements[before:] if "chimeway" in one]) == 2


def test_the_last_words_of_a_workflow_stand_in_the_inbox(sync: None) -> None:
    Twice.trigger("ada", {})

    assert [item.content.text for item in inbox("ada").items] == ["second words"]


def test_a_text_that_a_model_wrote_stands_in_the_inbox(sync: None) -> None:
    news("ada", "one")
    store.write(lambda c: c.execute(update(deliveries).values(written="by a model")))

    assert inbox("ada").items[0].content.text == "by a model"


def test_reading_counts_once_and_is_a_signal(sync: None) -> None:
    first, second = news("ada", "one"), news("ada", "two")
    assert unread_count("ada") == 2

    assert mark_read("ada", first) is True
    read_at = store.read(get_notification, first).read_at
    assert mark_read("ada", first) is False

    assert store.read(get_notification, first).read_at == read_at
    assert told_of() == [("chimeway.notification.read", "ada", {"notification_id": first})]
    assert unread_count("ada") == 1
    assert [one.notification_id for one in inbox("ada", unread_only=True).items] == [second]


def test_seen_and_read_say_nothing_of_each_other(sync: None) -> None:
    first, second = news("ada", "one"), news("ada", "two")
    mark_read("ada", first)
    assert mark_seen("ada", second) is True
    assert mark_seen("ada", second) is False

    assert store.read(get_notification, first).seen_at is None
    assert store.read(get_notification, second).read_at is None
    assert unread_count("ada") == 1
    assert [name for name, _, _ in told_of()] == ["chimeway.notification.read", "chimeway.notification.seen"]


def test_what_is_archived_is_left_out_and_is_no_signal(sync: None) -> None:
    first = news("ada", "one")
    news("ada", "two")

    assert archive("ada", first) is True
    assert archive("ada", first) is False

    assert titles(inbox("ada")) == ["two"]
    assert sorted(titles(inbox("ada", include_archived=True))) == ["one", "two"]
    assert unread_count("ada") == 1
    assert told_of() == []


@pytest.mark.parametrize("mark", [mark_seen, mark_read, archive])
def test_nobody_marks_what_is_anothers(sync: None, mark: Any) -> None:
    theirs = news("ada", "one")

    for recipient, tenant_id, which in (
        ("bo", "default", theirs),
        ("ada", "acme", theirs),
        ("ada", "default", "x"),
    ):
        with pytest.raises(NotificationNotFound, match=which):
            mark(recipient, which, tenant_id=tenant_id)
    assert told_of() == []
    found = store.read(get_notification, theirs)
    assert (found.seen_at, found.read_at, found.archived_at) == (None, None, None)


def test_two_that_read_at_once_are_one_signal(sync: None) -> None:
    which = news("ada", "one")
    firsts: list[bool] = []
    barrier = threading.Barrier(4)

    def read_it() -> None:
        barrier.wait()
        firsts.append(mark_read("ada", which))

    threads = [threading.Thread(target=read_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(firsts) == [False, False, False, True]
    assert len(told_of()) == 1


def test_a_rollback_takes_the_mark_and_its_signal_back(sync: None, engine: Engine) -> None:
    which = news("ada", "one")
    with Session(engine) as session:
        assert mark_read("ada", which, session=session)
        assert unread_count("ada", session=session) == 0
        session.rollback()

    assert (unread_count("ada"), told_of()) == (1, [])
    assert mark_read("ada", which)
    assert store.read(count, job_rows) == 1


def test_all_are_read_batch_by_batch_and_each_is_a_signal(sync: None) -> None:
    many = BATCH + 5
    News.trigger("ada", {"title": "first"})
    store.write(copies, many - 1)
    put_away = news("ada", "put away")
    archive("ada", put_away)
    theirs = news("bo", "for bo")

    assert mark_all_read("ada") == many

    assert unread_count("ada") == 0
    assert len(told_of()) == many
    assert store.read(get_notification, put_away).read_at is None
    assert store.read(get_notification, theirs).read_at is None
    assert mark_all_read("ada") == 0


def copies(connection: Connection, number: int) -> None:
    row = dict(connection.execute(select(notifications)).mappings().one())
    connection.execute(
        notifications.insert(), [{**row, "id": f"n{at}", "event_id": f"e{at}"} for at in range(number)]
    )


def test_all_are_read_in_the_callers_transaction(sync: None, engine: Engine) -> None:
    news("ada", "one")
    news("ada", "two")
    with Session(engine) as session:
        assert mark_all_read("ada", session=session) == 2
        session.rollback()

    assert (unread_count("ada"), told_of()) == (2, [])


def test_reading_one_stops_its_own_run_and_no_other(sync: None, clock: MovedClock) -> None:
    done = Mention.trigger("ada", {"who": "Bo"})
    notification_id = done.notifications[0].notification_id
    other = Mention.trigger("ada", {"who": "Cy"}).notifications[0].notification_id

    mark_read("ada", notification_id)
    for signal_id in store.read(lambda c: list(c.scalars(select(signals.c.id)))):
        store.write(route_signal, signal_id, clock.now())

    states = dict(store.read(lambda c: c.execute(select(runs.c.notification_id, runs.c.state)).all()))
    assert states == {notification_id: "stopped", other: "waiting"}


async def test_the_asynchronous_forms_do_the_same(sync: None) -> None:
    first, second = [
        (await News.atrigger("ada", {"title": title})).notifications[0].notification_id
        for title in ("one", "two")
    ]
    url = jobs.database_url().replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+psycopg_async:")
    made = create_async_engine(url)
    async with AsyncSession(made) as session:
        assert await amark_read("ada", first, session=session)
        assert await aunread_count("ada", session=session) == 1
        assert len((await ainbox("ada", session=session, unread_only=True)).items) == 1
        await session.rollback()
        assert await amark_all_read("ada", session=session) == 2
        await session.rollback()
    await made.dispose()

    assert await amark_seen("ada", first)
    assert await amark_read("ada", first)
    assert await aarchive("ada", first)
    assert await amark_all_read("ada") == 1
    assert await aunread_count("ada") == 0
    assert [item.notification_id for item in (await ainbox("ada")).items] == [second]
