from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from job_workers import Valkey

from jobs.publishing import Announcement
from jobs.wire import Wire

pytest_plugins = ["job_fixtures"]


@pytest.fixture
def wire(own_valkey: Valkey) -> Iterator[Wire]:
    opened = Wire(own_valkey.url, database_id="0123456789abcdef", lease=1.5, middleware=())
    opened.broker.declare_queue("default")
    yield opened
    opened.close()


def publish(wire: Wire, job_id: str, priority: int = 0) -> None:
    wire.publish([Announcement(job_id, 1, "a", "default", priority)])


def test_handing_a_job_over_twice_leaves_one_message(wire: Wire) -> None:
    publish(wire, "x")
    publish(wire, "x")

    assert [message.args for message in wire.fetch("default", 10)] == [("x", 1)]


def test_the_first_priority_comes_first(wire: Wire) -> None:
    for priority in (2, 0, 3):
        publish(wire, f"p{priority}", priority)

    assert [message.message_id for message in wire.fetch("default", 2)] == ["p0", "p2"]


def test_a_message_whose_answer_was_lost_on_the_way_comes_back_at_the_second_look(wire: Wire) -> None:
    publish(wire, "x")
    wire.broker.do_fetch("default", 1)

    wire.reclaim(["default"])
    at_first = wire.fetch("default", 1)
    wire.reclaim(["default"])

    assert at_first == []
    assert [message.message_id for message in wire.fetch("default", 1)] == ["x"]


def test_a_message_that_is_being_seen_to_stays_where_it_is(wire: Wire) -> None:
    publish(wire, "x")
    taken = wire.fetch("default", 1)

    for _ in range(3):
        wire.reclaim(["default"])
    assert wire.fetch("default", 1) == []

    wire.ack([taken[0]])
    for _ in range(3):
        wire.reclaim(["default"])
    assert wire.fetch("default", 1) == []


def test_a_worker_of_one_queue_keeps_no_other_queue_from_being_put_in_order(own_valkey: Valkey) -> None:
    def wire_of(database_id: str = "0123456789abcdef") -> Wire:
        opened = Wire(own_valkey.url, database_id=database_id, lease=0.3, middleware=())
        opened.broker.declare_queue("default")
        opened.broker.declare_queue("calm")
        return opened

    dead, calm, other = wire_of(), wire_of(), wire_of()
    dead.publish([Announcement("job", 1, "a", "default", 0)])
    assert len(dead.fetch("default", 1)) == 1
    deadline = time.monotonic() + 20
    while not (found := other.fetch("default", 1)):
        assert time.monotonic() < deadline
        # The worker of the other queue always looks first.
        calm.maintain(["calm"])
        other.maintain(["default"])
        time.sleep(0.05)
    assert [message.args for message in found] == [("job", 1)]
    for opened in (dead, calm, other):
        opened.close()
