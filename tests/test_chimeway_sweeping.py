from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chimeway_faults import refuse_changes
from chimeway_notifiers import Mention, MovedClock, Recorder, Welcome
from sqlalchemy import ColumnElement, Table, delete, select

import chimeway
import jobs
from aquila.errors import ConfigError
from chimeway import store, sweeping_here
from chimeway.content import Content
from chimeway.dispatch.performing import perform_sync
from chimeway.rows import get_delivery
from chimeway.sweeping import sweep
from chimeway.sweeping_here import apart
from chimeway.tables import digest_buckets, runs, signals
from jobs.errors import StorageError
from jobs.tables import jobs as job_rows

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]

BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


class Few(chimeway.Notifier):
    notification_key = "test.sweeping.few"
    channels = ("email",)
    digest = chimeway.Digest(minutes=10)
    email = Content(subject="one", text="one")


def waiting(who: str) -> chimeway.Triggered:
    """A notification whose run waits for two hours."""
    return Mention.trigger(who, {"who": "Bo"})


def run_of(done: chimeway.Triggered) -> str:
    return done.runs[0].run_id


def addressed(email: Recorder) -> list[str]:
    return sorted(message.recipient_identity for message in email.sent)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@BOTH
def test_a_signal_that_cannot_be_routed_keeps_no_other_from_its_run(
    sync: None, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    told = [waiting(who) for who in ("ada", "bo")]
    found = [
        chimeway.mark_read(who, one.notifications[0].notification_id)
        for who, one in zip(("ada", "bo"), told, strict=True)
    ]
    assert all(found)
    bad = _ids(signals)[0]
    refuse_changes(signals, bad)

    assert sweep().signals == 1
    assert _ids(signals, signals.c.processed_at.is_(None)) == [bad]
    assert warnings(caplog) == [f"sweep: signal {bad} failed: NotStorable; the next round does it again"]


def test_those_behind_a_full_page_of_what_cannot_be_done_are_done(
    sync: None, clock: MovedClock, email: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping_here, "BATCH", 2)
    for number in range(3):
        Few.trigger(f"stuck{number}")
    for one in _ids(digest_buckets):
        refuse_changes(digest_buckets, one)
    Few.trigger("bo")
    clock.advance(minutes=11)

    assert sweep().digests == 1
    assert addressed(email) == ["bo"]


@BOTH
def test_a_digest_that_cannot_be_sent_keeps_no_other_from_going_out(
    sync: None, clock: MovedClock, email: Recorder
) -> None:
    for who in ("ada", "ada", "bo", "bo"):
        Few.trigger(who)
    (bad,) = _ids(digest_buckets, digest_buckets.c.recipient_identity == "ada")
    refuse_changes(digest_buckets, bad)
    clock.advance(minutes=11)

    assert sweep().digests == 1
    assert addressed(email) == ["bo"]


@BOTH
def test_what_was_held_alone_goes_out_in_the_round_that_releases_it(
    sync: None, clock: MovedClock, email: Recorder
) -> None:
    held = Few.trigger("ada").deliveries[0]
    clock.advance(minutes=11)

    assert sweep().digests == 1
    assert email.texts == ["one"]
    assert store.read(get_delivery, held.delivery_id).status == "succeeded"


@BOTH
def test_a_step_that_fails_keeps_no_other_step_from_its_work(
    queued: None, clock: MovedClock, email: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    bad = waiting("ada")
    perform_sync(bad.deliveries[0].delivery_id)
    clock.advance(hours=2, seconds=1)
    refuse_changes(runs, run_of(bad))
    Welcome.trigger("bo", {"name": "Bo"})
    store.write(lambda connection: connection.execute(delete(job_rows)))

    swept = sweep()

    assert (swept.waits, swept.deliveries) == (0, 1)
    assert warnings(caplog) == ["sweep: taking up waits failed: NotStorable; the next round does it again"]


def test_a_database_that_fails_ends_the_round() -> None:
    with pytest.raises(StorageError), apart("this"):
        raise StorageError("it is gone")


@pytest.mark.parametrize("dispatcher", ["sync", "dramatiq"])
def test_tables_that_are_missing_are_told_and_not_passed_over(
    queued: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dispatcher: Any
) -> None:
    chimeway.configure(dispatcher=dispatcher)
    monkeypatch.setenv("AQUILA_DATABASE_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    jobs.close()

    with pytest.raises(ConfigError, match="aquila db upgrade"):
        sweep()


def _ids(table: Table, *where: ColumnElement[bool]) -> list[str]:
    query = select(table.c.id).where(*where).order_by(table.c.id)
    return list(store.read(lambda connection: connection.scalars(query).all()))
