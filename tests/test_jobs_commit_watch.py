from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_hosts import eventually
from sqlalchemy import Connection, Engine, Transaction, create_engine, event

from jobs import commit_watch
from jobs.commit_watch import CommitWatch


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = create_engine(f"sqlite:///{tmp_path / 'host.db'}")
    yield opened
    opened.dispose()


@pytest.fixture
def told() -> list[list[int]]:
    return []


@pytest.fixture
def watch(told: list[list[int]]) -> Iterator[CommitWatch[int]]:
    opened: CommitWatch[int] = CommitWatch(told.append, name="watch-of-a-test")
    yield opened
    opened.close()
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "watch-of-a-test"]


def outermost(connection: Connection) -> Transaction:
    connection.exec_driver_sql("SELECT 1")
    transaction = connection.get_transaction()
    assert transaction is not None
    return transaction


def flat(told: list[list[int]]) -> list[int]:
    return [value for values in told for value in values]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_the_end_of_a_transaction_tells_its_values(
    engine: Engine, watch: CommitWatch[int], told: list[list[int]], end: str
) -> None:
    with engine.connect() as connection:
        watch.watch(outermost(connection), [1, 2])
        with connection.begin_nested():
            pass
        with pytest.raises(AssertionError):
            eventually(lambda: told, within=0.1)
        getattr(connection, end)()
        eventually(lambda: told)

    assert told == [[1, 2]]
    assert watch.is_idle


def test_values_are_told_in_the_order_in_which_they_were_given(
    engine: Engine, watch: CommitWatch[int], told: list[list[int]]
) -> None:
    with engine.connect() as connection:
        for value in range(20):
            watch.watch(outermost(connection), [value])
        connection.commit()

    eventually(lambda: len(flat(told)) == 20)
    assert flat(told) == list(range(20))


def test_no_listener_is_left_on_the_host_s_engine(
    engine: Engine, watch: CommitWatch[int], told: list[list[int]]
) -> None:
    with engine.connect() as connection:
        watch.watch(outermost(connection), [1])
        for name in ("commit", "rollback"):
            assert not list(getattr(engine.dispatch, name))
            assert not list(getattr(connection.dispatch, name))
            assert not event.contains(engine, name, watch.watch)


def test_what_the_handler_raises_is_logged_and_the_next_values_are_told(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[int] = []

    def handle(values: list[int]) -> None:
        if values == [1]:
            raise LookupError("no such thing")
        told.extend(values)

    watch: CommitWatch[int] = CommitWatch(handle, name="watch-of-a-test")
    with caplog.at_level(logging.ERROR), engine.connect() as connection:
        watch.watch(outermost(connection), [1])
        connection.commit()
        eventually(lambda: "watch-of-a-test" in caplog.text)
        watch.watch(outermost(connection), [2])
        connection.commit()
    watch.close()

    assert "LookupError" in caplog.text
    assert told == [2]


def test_closing_tells_what_is_over_and_drops_what_is_open(
    engine: Engine, watch: CommitWatch[int], told: list[list[int]]
) -> None:
    with engine.connect() as over, engine.connect() as still:
        watch.watch(outermost(over), [1])
        watch.watch(outermost(still), [2])
        over.commit()
        watch.close()
        still.commit()

        assert flat(told) == [1]
        watch.watch(outermost(still), [3])
        still.commit()
    eventually(lambda: flat(told) == [1, 3])


def test_the_thread_leaves_when_nothing_is_watched(
    engine: Engine, watch: CommitWatch[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_watch, "LINGER", 0.05)
    with engine.connect() as connection:
        watch.watch(outermost(connection), [1])
        assert len(threads()) == 1
        connection.commit()

    eventually(lambda: threads() == [])
