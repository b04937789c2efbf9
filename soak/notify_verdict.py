"""What the database, the adapters' own record and the hosts' books must agree on at the end. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from soak.calls import Calls
from soak.moved_clock import unmoved
from soak.notifiers import SECRET
from soak.notify_rows import AttemptRow, DeliveryRow, RunRow, Stored, TransitionRow

#: Sources of attempts that stand for a call that a claim began.
CLAIMED = frozenset({"send", "lost"})
#: Steps that a reading takes back.
TAKEN_BACK = frozenset({"email", "reminder"})
_SENT = "succeeded"


@dataclass(slots=True)
class Books:
    """What the hosts wrote."""

    #: Recipients of each event that was committed.
    committed: dict[str, int] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    doubled: list[str] = field(default_factory=list)
    #: When somebody began to read a notification, and when that was committed.
    reads: dict[str, float] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)

    def take(self, fact: Mapping[str, Any]) -> None:
        """Take a line of a book."""
        match fact["what"]:
            case "committed":
                self.committed[fact["event"]] = fact["recipients"]
            case "undone":
                self.undone.add(fact["event"])
            case "doubled":
                self.doubled.append(fact["event"])
            case "reads":
                self.reads.setdefault(fact["notification"], fact["at"])
            case "read":
                self.read.setdefault(fact["notification"], fact["at"])


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker's death."""

    at: float
    pid: int


@dataclass(slots=True)
class Verdict:
    """What came out: what is wrong, by the promise that is broken, and counts."""

    broken: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    #: Seconds from the kill of a worker to the next call for what it was sending.
    recalls: list[float] = field(default_factory=list)

    def accuse(self, promise: str, found: Iterable[str]) -> None:
        """Note what broke a promise; nothing if it was kept."""
        self.broken.setdefault(promise, []).extend(found)


def examine(
    stored: Stored,
    calls: Mapping[str, Calls],
    books: Books,
    moves: Sequence[tuple[float, float]],
    kills: Sequence[Kill],
) -> Verdict:
    """Check every promise.

    Args:
        stored: The database.
        calls: The adapters' record.
        books: The hosts' books.
        moves: When the clock was moved, and its offsets.
        kills: Workers that were killed.
    """
    verdict = Verdict()
    verdict.accuse("lost", _lost(stored, books))
    verdict.accuse("sent although rolled back", _undone(stored, calls, books))
    verdict.accuse("key of two events", books.doubled)
    for delivery in stored.deliveries.values():
        rows = stored.attempts.get(delivery.id, [])
        _examine_delivery(verdict, delivery, rows, calls.get(delivery.id, Calls()))
    for run in stored.runs.values():
        verdict.accuse("run not decided once at each wait", _examine_run(run, stored.history.get(run.id, [])))
        stopped = (run.reason or "").startswith("signal:")
        if stopped and run.notification_id not in books.reads:
            verdict.accuse("stopped though nobody read", [run.id])
        verdict.counts[f"runs {run.state}"] += 1
    verdict.accuse("e-mail claimed after it was read", _sent_after_reading(stored, books, moves))
    verdict.accuse("content in a job", (str(text) for text in stored.job_texts if SECRET in str(text)))
    verdict.accuse("left at the end", _left(stored))
    verdict.recalls = [late for kill in kills for late in _recalls(kill, calls)]
    _count(verdict, stored, calls, books)
    return verdict


def _lost(stored: Stored, books: Books) -> Iterable[str]:
    told = Counter(stored.notifications.values())
    for event_id, recipients in books.committed.items():
        if told[event_id] != recipients:
            yield f"event {event_id}: {told[event_id]} of {recipients} notifications"
    with_run = {run.notification_id for run in stored.runs.values()}
    yield from (f"notification {one}: no run" for one in stored.notifications if one not in with_run)
    with_delivery = {one.notification_id for one in stored.deliveries.values()}
    yield from (
        f"notification {one}: no delivery" for one in stored.notifications if one not in with_delivery
    )


def _undone(stored: Stored, calls: Mapping[str, Calls], books: Books) -> Iterable[str]:
    # An order that was given again has its first event in no book, and may have rows only if that was committed.
    yield from (f"event {one} is there" for one in stored.events & books.undone)
    yield from (f"delivery {one} was sent and is not there" for one in calls if one not in stored.deliveries)


def _examine_delivery(
    verdict: Verdict, delivery: DeliveryRow, rows: Sequence[AttemptRow], calls: Calls
) -> None:
    name = f"{delivery.step_key} {delivery.id} ({delivery.status}, {delivery.reason})"
    if delivery.status not in {"succeeded", "suppressed", "cancelled"}:
        verdict.accuse("delivery not over", [name])
        return
    claimed = sorted(row.attempt_number for row in rows if row.source in CLAIMED)
    # A delivery that lacked an address had no attempt; ours all have one.
    if claimed != list(range(1, delivery.attempt_count + 1)):
        verdict.accuse("attempts not contiguous", [f"{name}: {claimed} recorded of {delivery.attempt_count}"])
    good = _good(delivery, rows)
    if len(good) != (delivery.status == _SENT):
        verdict.accuse("not recorded as sent exactly once", [f"{name}: {len(good)} times"])
    if delivery.status == _SENT and not any("ok" in calls.ended[row.attempt_number] for row in good):
        verdict.accuse("recorded as sent and no call ended so", [name])
    if delivery.status != _SENT and not delivery.reason:
        verdict.accuse("not sent and no reason", [name])
    verdict.accuse("second call without a record of the first", _unrecorded(name, rows, calls))


def _good(delivery: DeliveryRow, rows: Sequence[AttemptRow]) -> list[AttemptRow]:
    """Give the attempts by which a delivery counts as sent."""
    good = [row for row in rows if row.outcome == "delivered" and row.source == "send"]
    if good or delivery.status != _SENT:
        return good
    # One that answered after its lease ends what was still to be sent again.
    return [row for row in rows if row.outcome == "delivered" and row.source == "late"][:1]


def _unrecorded(name: str, rows: Sequence[AttemptRow], calls: Calls) -> Iterable[str]:
    known = {row.attempt_number for row in rows}
    for attempt in calls.attempts:
        if len(calls.begun[attempt]) > 1:
            yield f"{name}: attempt {attempt} called {len(calls.begun[attempt])} times"
    yield from (f"{name}: attempt {one} is not on record" for one in calls.attempts if one not in known)


def _examine_run(run: RunRow, history: Sequence[TransitionRow]) -> Iterable[str]:
    name = f"run {run.id} ({run.state}, {run.reason})"
    if run.state not in {"completed", "stopped"}:
        yield f"{name}: not ended"
    if [row.seq for row in history] != list(range(1, run.revision + 1)):
        yield f"{name}: {len(history)} rows of history at revision {run.revision}"
    entered = sum(row.to_state == "waiting" and row.from_state != "waiting" for row in history)
    left = sum(row.from_state == "waiting" and row.to_state != "waiting" for row in history)
    if not entered == left == run.wait_epoch:
        yield f"{name}: began {run.wait_epoch} waits, entered {entered}, left {left}"


def _sent_after_reading(stored: Stored, books: Books, moves: Sequence[tuple[float, float]]) -> Iterable[str]:
    for delivery in stored.deliveries.values():
        read = books.read.get(delivery.notification_id)
        if read is None or delivery.step_key not in TAKEN_BACK:
            continue
        for row in stored.attempts.get(delivery.id, ()):
            # The claim's transaction began after this moment, so it saw what was committed before.
            if row.source in CLAIMED and unmoved(row.started_at, moves) > read:
                yield f"{delivery.step_key} {delivery.id}: attempt {row.attempt_number}"


def _left(stored: Stored) -> Iterable[str]:
    for what, number in (
        ("parts of events that nobody planned", stored.unplanned),
        ("signals that nobody routed", stored.unrouted),
        ("open jobs", stored.open_jobs),
    ):
        if number:
            yield f"{what}: {number}"


def _recalls(kill: Kill, calls: Mapping[str, Calls]) -> Iterable[float]:
    for one in calls.values():
        for attempt, begun in one.begun.items():
            if one.ended[attempt] or not any(pid == kill.pid for _, pid in begun):
                continue
            after = [at - kill.at for later, more in one.begun.items() if later > attempt for at, _ in more]
            if after:
                yield min(after)


def _count(verdict: Verdict, stored: Stored, calls: Mapping[str, Calls], books: Books) -> None:
    counts = verdict.counts
    for delivery in stored.deliveries.values():
        counts[f"{delivery.step_key} {delivery.status}"] += 1
        counts[f"reason {delivery.reason}"] += delivery.status != _SENT
    for rows in stored.attempts.values():
        for row in rows:
            counts[f"attempts {row.source}"] += 1
            counts[f"class {row.error_class}"] += row.error_class is not None
    begun = [begins for one in calls.values() for begins in one.begun.values()]
    counts["calls"] = sum(map(len, begun))
    counts["cut short"] = sum(not one.ended[attempt] for one in calls.values() for attempt in one.attempts)
    counts["committed"], counts["undone"] = len(books.committed), len(books.undone)
    counts["read"] = len(books.read)
    for history in stored.history.values():
        counts["waits"] += sum(row.to_state == "waiting" and row.from_state != "waiting" for row in history)
        counts["signals after expiry"] += sum(row.reason == "signal_arrived_after_expiry" for row in history)
        counts["ended by a signal"] += sum(row.reason.startswith("signal:") for row in history)
