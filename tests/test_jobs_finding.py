from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from job_actors import add, tell
from sqlalchemy import update

from aquila.errors import ConfigError
from jobs.broker import runtime
from jobs.finding import afind, find
from jobs.handle import JobHandle
from jobs.sqltypes import db_now
from jobs.tables import jobs as jobs_table

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")

both = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


def ids(**wanted: Any) -> list[str]:
    return [job.job_id for job in find(**wanted)]


def age(handle: JobHandle, seconds: float) -> None:
    aged = update(jobs_table).where(jobs_table.c.id == handle.job_id).values(created_at=db_now(-seconds))
    runtime().database().write(lambda connection: connection.execute(aged))


@both
def test_jobs_are_found_by_state_queue_actor_and_time() -> None:
    old, late, other = add.send(1, 2), add.options(delay=60).send(1, 2), tell.send("hello")
    age(old, 7200), age(late, 60)

    assert ids() == [other.job_id, late.job_id, old.job_id]
    assert ids(state="scheduled") == [late.job_id]
    assert ids(queue_name="llm") == ids(actor_name="tell") == [other.job_id]
    assert ids(actor_name="tell", queue_name="default") == []
    assert ids(since=find(limit=1)[0].created_at - timedelta(hours=1)) == [other.job_id, late.job_id]
    assert ids(limit=1) == [other.job_id]


@both
def test_a_tag_is_found_whole(place: None) -> None:
    first = add.options(tags=["acme", 'a "quoted" \\ tag', "größe"]).send(1, 2)
    second = add.options(tags=["tenant:acme"]).send(1, 2)
    add.send(1, 2)

    assert ids(tag="acme") == ids(tag='a "quoted" \\ tag') == ids(tag="größe") == [first.job_id]
    assert ids(tag="tenant:acme", state="available") == [second.job_id]
    assert ids(tag="acm") == ids(tag="%") == ids(tag="") == ids(tag="\x00") == []


async def test_an_event_loop_finds_the_same() -> None:
    handle = await add.options(tags=["acme"]).asend(1, 2)

    (found,) = await afind(tag="acme", state="available", actor_name="add", queue_name="default")

    assert found.job_id == handle.job_id


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"state": "tired"}, "no state 'tired'; the states are scheduled, available"),
        ({"since": datetime(2026, 1, 1)}, "must be an aware datetime"),  # noqa: DTZ001 - that is what is refused
        ({"since": "12h"}, "since='12h' must be an aware datetime"),
        ({"limit": 0}, "limit=0 must be at least 1"),
        ({"limit": True}, "limit=True must be at least 1"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find(**wanted)
