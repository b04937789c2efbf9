from __future__ import annotations

import pytest
from chimeway_notifiers import MovedClock, Recorder, Welcome
from sqlalchemy import update

from chimeway import store
from chimeway.dispatch.performing import perform_sync
from chimeway.errors import TemporaryFailure
from chimeway.rows import get_delivery
from chimeway.sweeping import sweep
from jobs.sqltypes import db_now
from jobs.tables import jobs as job_rows

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


def test_what_is_due_is_not_left_to_a_carrier_that_comes_much_later(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    """A clock that was ahead and is put right leaves carriers for the time that it told."""
    email.errors = [TemporaryFailure("full")]
    delivery = Welcome.trigger("1", {"name": "A"}).deliveries[0]
    clock.advance(hours=5)
    perform_sync(delivery.delivery_id)
    asleep = store.read(get_delivery, delivery.delivery_id).carrier_id
    assert sweep().deliveries == 0
    clock.advance(minutes=1)

    assert sweep().deliveries == 1
    assert store.read(get_delivery, delivery.delivery_id).carrier_id != asleep
    assert sweep().deliveries == 0


def test_a_carrier_that_comes_in_a_moment_is_waited_for(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    email.errors = [TemporaryFailure("full")]
    delivery = Welcome.trigger("1", {"name": "A"}).deliveries[0]
    perform_sync(delivery.delivery_id)
    carrier_id = store.read(get_delivery, delivery.delivery_id).carrier_id
    soon = update(job_rows).where(job_rows.c.id == carrier_id).values(scheduled_at=db_now(2.0))
    store.write(lambda connection: connection.execute(soon))
    clock.advance(minutes=1)

    assert sweep().deliveries == 0
