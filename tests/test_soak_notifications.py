"""The arithmetic of the soak of notifications: a soak that cannot find what is wrong would find nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from soak.calls import read_calls
from soak.moved_clock import unmoved
from soak.notify_orders import draw_orders
from soak.notify_rows import AttemptRow, DeliveryRow, RunRow, Stored, TransitionRow
from soak.notify_verdict import Books, Kill, examine

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BEGAN = START.timestamp()
STILL = [(0.0, 0.0)]


def attempt(number: int, outcome: str = "delivered", source: str = "send", after: float = 1.0) -> AttemptRow:
    return AttemptRow("d", number, source, outcome, None, START + timedelta(seconds=after))


def stored(*rows: AttemptRow, step: str = "email", **facts: Any) -> Stored:
    status = facts.pop("status", "succeeded")
    delivery = DeliveryRow("d", "n", "e", step, status, None, facts.pop("reason", None), len(rows))
    run = RunRow("r", "n", "e", "completed", facts.pop("run_reason", None), 1, 3)
    history = [
        TransitionRow(1, None, "active", "workflow_started"),
        TransitionRow(2, "active", "waiting", "waiting_for_step_progression"),
        TransitionRow(3, "waiting", "completed", "workflow_completed"),
    ]
    plain: dict[str, Any] = {
        "events": frozenset({"e"}),
        "notifications": {"n": "e"},
        "deliveries": {"d": delivery},
        "attempts": {"d": list(rows)},
        "runs": {"r": run},
        "history": {"r": history},
        "unplanned": 0,
        "unrouted": 0,
        "open_jobs": 0,
        "job_texts": [],
    }
    return Stored(**{**plain, **facts})


def books(**facts: Any) -> Books:
    return Books(committed={"e": 1}, **facts)


def broken(found: Stored, *lines: str, book: Books | None = None) -> set[str]:
    calls = read_calls(lines or ("begin d 1 0 7", "ok d 1"))
    verdict = examine(found, calls, book or books(), STILL, [])
    return {promise for promise, said in verdict.broken.items() if said}


def test_what_went_well_breaks_nothing() -> None:
    assert broken(stored(attempt(1))) == set()


def test_a_late_success_counts_as_sent() -> None:
    rows = (
        attempt(1, "temporary_failure", "lost"),
        attempt(1, source="late"),
        attempt(2, "temporary_failure"),
    )
    found = stored(*rows)
    known = found.deliveries["d"]._replace(attempt_count=2)
    assert broken(stored(*rows, deliveries={"d": known})) == set()


@pytest.mark.parametrize(
    ("found", "promise"),
    [
        (stored(attempt(1), notifications={}), "lost"),
        (stored(attempt(1), runs={}), "lost"),
        (stored(attempt(1), status="pending"), "delivery not over"),
        (stored(attempt(2)), "attempts not contiguous"),
        (stored(attempt(1), attempt(1)), "not recorded as sent exactly once"),
        (stored(attempt(1, "permanent_failure"), status="cancelled"), "not sent and no reason"),
        (stored(attempt(1), history={}), "run not decided once at each wait"),
        (stored(attempt(1), run_reason="signal:chimeway.notification.read"), "stopped though nobody read"),
        (stored(attempt(1), job_texts=["between-you-and-me"]), "content in a job"),
        (stored(attempt(1), open_jobs=1), "left at the end"),
    ],
)
def test_each_broken_promise_is_found_in_the_rows(found: Stored, promise: str) -> None:
    assert promise in broken(found)


@pytest.mark.parametrize(
    ("lines", "promise"),
    [
        (("begin d 1 0 7",), "recorded as sent and no call ended so"),
        (
            ("begin d 1 0 7", "ok d 1", "begin d 1 5 8", "ok d 1"),
            "second call without a record of the first",
        ),
        (
            ("begin d 1 0 7", "ok d 1", "begin d 2 5 8", "ok d 2"),
            "second call without a record of the first",
        ),
        (("begin d 1 0 7", "ok d 1", "begin x 1 0 7"), "sent although rolled back"),
    ],
)
def test_each_broken_promise_is_found_in_the_calls(lines: tuple[str, ...], promise: str) -> None:
    assert promise in broken(stored(attempt(1)), *lines)


@pytest.mark.parametrize(("read", "found"), [(0.5, True), (1.5, False)])
def test_an_attempt_that_is_claimed_after_the_reading_is_found(read: float, *, found: bool) -> None:
    book = books(read={"n": BEGAN + read}, reads={"n": BEGAN})
    assert ("e-mail claimed after it was read" in broken(stored(attempt(1)), book=book)) is found


def test_an_event_that_was_rolled_back_and_is_there_is_found() -> None:
    assert "sent although rolled back" in broken(stored(attempt(1)), book=books(undone={"e"}))


def test_the_time_to_the_next_call_is_taken_from_the_kill() -> None:
    calls = read_calls(["begin d 1 10 7", "begin d 2 16.5 8", "ok d 2"])
    found = stored(attempt(1, source="lost"), attempt(2))
    assert examine(found, calls, books(), STILL, [Kill(12.0, 7)]).recalls == [4.5]


def test_a_moved_time_is_told_in_the_machines_time() -> None:
    moves = [(0.0, 0.0), (BEGAN + 10, 3600.0), (BEGAN + 20, 3180.0)]
    for after, offset in ((5, 0), (15, 3600), (25, 3180)):
        assert unmoved(START + timedelta(seconds=after + offset), moves) == BEGAN + after
    with pytest.raises(ValueError, match="never told"):
        unmoved(START + timedelta(seconds=100), moves)


def test_orders_come_to_the_wanted_number_and_are_the_same_for_the_same_seed() -> None:
    orders = draw_orders(2500, 1)
    assert sum(order.recipients for order in orders if order.commits) == 2500
    assert orders == draw_orders(2500, 1) != draw_orders(2500, 2)
    assert any(order.kind == "many" and not order.commits for order in orders)


def test_a_line_that_is_not_whole_is_told() -> None:
    with pytest.raises(ValueError, match="not whole"):
        read_calls(["begin d 1"])
