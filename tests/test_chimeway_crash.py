from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from chimeway_notifiers import Welcome
from job_workers import TESTS, WorkerProcess, until
from sqlalchemy import Connection, select

import jobs
from chimeway import store
from chimeway.rows import attempts_of
from chimeway.tables import deliveries, events

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def folder(queued: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Other processes find the same rows and the same wire.
    monkeypatch.setenv("AQUILA_DATABASE_URL", jobs.database_url())
    monkeypatch.setenv("CHIMEWAY_TEST_FOLDER", str(tmp_path))
    store.database()
    return tmp_path


def worker(folder: Path, **environ: str) -> WorkerProcess:
    return WorkerProcess(folder, "chimeway_worker", **environ)


def lines(folder: Path) -> list[list[str]]:
    sent = folder / "sent"
    return [line.split() for line in sent.read_text().splitlines()] if sent.exists() else []


def statuses(connection: Connection, key: str) -> list[tuple[str, str]]:
    query = select(deliveries.c.channel, deliveries.c.status).join(
        events, events.c.id == deliveries.c.event_id
    )
    found = connection.execute(query.where(events.c.idempotency_key == key).order_by(deliveries.c.channel))
    return [(row.channel, row.status) for row in found]


async def test_what_a_host_committed_is_sent_wherever_it_was_killed_and_nothing_else_is(folder: Path) -> None:
    points = ["before_commit", "in_commit", "after_commit", "before_publish", "after_publish"]
    hosts = [
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [sys.executable, str(TESTS / "chimeway_host.py"), point, point],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
        )
        for point in points
    ]
    for point, host in zip(points, hosts, strict=True):
        assert host.wait(30) == -signal.SIGKILL, point
    done = [("email", "succeeded"), ("in_app", "succeeded")]

    with worker(folder) as one:
        await one.ready()
        for point in points[2:]:
            await until(lambda point=point: store.read(statuses, point) == done)

    assert store.read(statuses, "before_commit") == store.read(statuses, "in_commit") == []
    assert len([line for line in lines(folder) if line[0] == "end"]) == 3


async def test_what_a_killed_worker_was_sending_is_sent_again_under_the_same_key(folder: Path) -> None:
    delivery = Welcome.trigger("1", {"name": "A"}).deliveries[0]
    (folder / "pause").write_text("60")
    with worker(folder) as first:
        await until(lambda: lines(folder))
        first.kill()
    (folder / "pause").unlink()
    (folder / "clock").write_text("120")
    with worker(folder) as second:
        await second.ready()
        await until(lambda: any(line[0] == "end" for line in lines(folder)))
        await until(lambda: len(store.read(attempts_of, delivery.delivery_id)) == 2)

    assert lines(folder) == [
        [what, delivery.delivery_id, n] for what, n in (("begin", "1"), ("begin", "2"), ("end", "2"))
    ]
    assert [(one.attempt_number, one.source) for one in store.read(attempts_of, delivery.delivery_id)] == [
        (1, "lost"),
        (2, "send"),
    ]
