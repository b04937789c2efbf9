from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from chimeway_notifiers import Recorder, Welcome
from job_workers import WorkerProcess, until, working

import jobs
from chimeway import store
from chimeway.models import Delivery
from chimeway.rows import attempts_of, get_delivery

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite"], indirect=True)


def now(delivery_id: str) -> Delivery:
    return store.read(get_delivery, delivery_id)


async def test_a_worker_ends_although_an_adapter_never_does(
    queued: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_DATABASE_URL", jobs.database_url())
    monkeypatch.setenv("CHIMEWAY_TEST_FOLDER", str(tmp_path))
    store.database()
    (tmp_path / "pause").write_text("120")
    with WorkerProcess(tmp_path, "chimeway_worker", CHIMEWAY_TEST_TIMEOUT="0.2") as worker:
        await worker.ready()
        delivery = Welcome.trigger("1", {"name": "A"}).deliveries[0].delivery_id
        await until(lambda: now(delivery).status == "failed")
        worker.signal(signal.SIGTERM)
        began = time.monotonic()
        await worker.gone()

    assert time.monotonic() - began < 15
    assert worker.process.returncode == 0
    assert "worker stopped" in worker.said


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_a_worker_records_an_adapter_that_exits_and_lives(
    queued: None, email: Recorder, error: type[BaseException]
) -> None:
    def leave(_: object) -> None:
        email.hook = None
        raise error

    email.hook = leave
    async with working():
        first = Welcome.trigger("1", {"name": "A"}).deliveries[0].delivery_id
        await until(lambda: now(first).status == "failed")
        second = Welcome.trigger("2", {"name": "B"}).deliveries[0].delivery_id
        await until(lambda: now(second).status == "succeeded")

    [attempt] = store.read(attempts_of, first)
    assert (attempt.source, attempt.error_class) == ("send", "unknown")
    assert attempt.error == f"recorder raised {error.__name__}"
