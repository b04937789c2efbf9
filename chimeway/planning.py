"""Planning: one row for each notification and channel, with the policy's word on it and the job that will deliver it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from chimeway import carriers
from chimeway.buckets import ToHold, hold_all
from chimeway.models import Delivery, Notification, Orchestration, WorkflowRun
from chimeway.policy import Defer, Proceed, Suppress
from chimeway.policy_store import Planned, decide_all
from chimeway.rows import as_record, get_event, get_notification, in_parts
from chimeway.store import add_jobs
from chimeway.tables import deliveries
from jobs.new_job import NewJob
from jobs.rows import new_id
from jobs.sqltypes import insert_into

#: Deliveries that this process delivers itself, as soon as the transaction is over; None: jobs do.
_HERE: ContextVar[list[str] | None] = ContextVar("chimeway_delivered_here", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What a notifier says of its deliveries. It is kept with the event, so that later steps need not ask it."""

    max_attempts: int = 5
    #: Goes out whatever the recipient prefers.
    critical: bool = False
    #: Channels that are suppressed at the last moment if the notification was read by then.
    only_unread: Sequence[str] = ()
    #: `{"limit": ..., "seconds": ..., "key": ...}`.
    throttle: Mapping[str, Any] | None = None
    #: How deliveries are held to go out as one.
    digest: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {**asdict(self), "only_unread": list(self.only_unread)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PlanOptions:
        """Read what `to_dict` gave, also that of a newer version, whose further options are left out."""
        return cls(**{name: value for name, value in values.items() if name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A delivery that is to be planned."""

    notification: Notification
    channel: str
    category: str | None
    options: PlanOptions
    payload: Mapping[str, Any]
    step_key: str = ""
    run_id: str | None = None
    cancel_on: Sequence[Mapping[str, Any]] | None = None

    @property
    def content(self) -> Mapping[str, Any]:
        """What it says: the step's own content, else the channel's."""
        contents = self.notification.contents
        found: Mapping[str, Any] = contents.get(self.step_key) or contents.get(self.channel) or {}
        return found


@contextmanager
def delivering_here() -> Iterator[list[str]]:
    """Let the block's plans be delivered by whoever runs it, not by jobs.

    Yields:
        The ids of what is to be delivered, added as it is planned.
    """
    planned: list[str] = []
    token = _HERE.set(planned)
    try:
        yield planned
    finally:
        _HERE.reset(token)


def plan_delivery(
    connection: Connection,
    *,
    notification_id: str,
    channel: str,
    step_key: str = "",
    run: WorkflowRun | None = None,
    cancel_on: Sequence[Mapping[str, Any]] | None = None,
    now: datetime,
) -> Delivery:
    """Plan one more delivery of a notification, or give the one that was planned already.

    Raises:
        NotificationNotFound: There is no such notification.
    """
    notification = get_notification(connection, notification_id)
    event = get_event(connection, notification.event_id)
    wanted = Wanted(
        notification=notification,
        channel=channel,
        category=event.category,
        options=PlanOptions.from_dict(event.options),
        payload=event.payload,
        step_key=step_key,
        run_id=run.run_id if run else None,
        cancel_on=cancel_on,
    )
    return plan_deliveries(connection, [wanted], now)[0]


def plan_deliveries(connection: Connection, many: Sequence[Wanted], now: datetime) -> list[Delivery]:
    """Plan deliveries with few statements, and the jobs that will bring them out; give them in the same order.

    One that is there already is left as it is.
    """
    if not many:
        return []
    rows = [_row(one, now) for one in many]
    asked = [
        Planned(
            delivery=as_record(Delivery, row),
            payload=one.payload,
            digest=one.options.digest,
        )
        for row, one in zip(rows, many, strict=True)
    ]
    for row, decision in zip(rows, decide_all(connection, asked, now), strict=True):
        _decided(row, decision, now)
    pending = [(row, one) for row, one in zip(rows, many, strict=True) if row["status"] == "pending"]
    _hold(connection, pending, now)
    jobs: dict[str, NewJob] = {}
    for row, one in pending:
        if (job := _carrier(row, one)) is not None:
            row["carrier_id"] = job.job_id
            jobs[row["id"]] = job
    inserted = insert_into(connection, deliveries).on_conflict_do_nothing()
    connection.execute(inserted, rows)
    found = _read_back(connection, many)
    planned = [found[one.notification.notification_id, one.channel, one.step_key] for one in many]
    ours = {row["id"] for row in rows}
    fresh = [one for one in planned if one.delivery_id in ours]
    add_jobs(connection, [jobs[one.delivery_id] for one in fresh if one.delivery_id in jobs])
    _note_here(fresh)
    return planned


def hand_to_carrier(connection: Connection, delivery: Delivery, *, at: datetime | None) -> None:
    """Add the job that delivers it, now or at a time; or, where the process delivers itself, leave that to it."""
    here = _HERE.get()
    if here is not None:
        # What is to go later is the sweep's.
        if at is None:
            here.append(delivery.delivery_id)
        return
    job = carriers.deliver(delivery.delivery_id, at=at)
    connection.execute(
        update(deliveries).where(deliveries.c.id == delivery.delivery_id).values(carrier_id=job.job_id)
    )
    add_jobs(connection, [job])


def _row(wanted: Wanted, now: datetime) -> dict[str, Any]:
    about, options = wanted.notification, wanted.options
    return {
        "id": new_id(),
        "notification_id": about.notification_id,
        "event_id": about.event_id,
        "tenant_id": about.tenant_id,
        "recipient_identity": about.recipient_identity,
        "notification_key": about.notification_key,
        "category": wanted.category,
        "channel": wanted.channel,
        "step_key": wanted.step_key,
        "run_id": wanted.run_id,
        "status": "pending",
        "orchestration_state": Orchestration.READY.value,
        "eligible_at": None,
        "reason": None,
        "reason_context": None,
        "critical": options.critical,
        "only_unread": wanted.channel in options.only_unread,
        "cancel_on": list(wanted.cancel_on) if wanted.cancel_on else None,
        "throttle": dict(options.throttle) if options.throttle else None,
        "max_attempts": options.max_attempts,
        "attempt_count": 0,
        "carrier_id": None,
        "digest_bucket_id": None,
        "outcome": None,
        "terminal_at": None,
        "created_at": now,
        "updated_at": now,
    }


def _decided(row: dict[str, Any], decision: Proceed | Suppress | Defer, now: datetime) -> None:
    match decision:
        case Suppress(reason=reason, context=context):
            row |= {"status": "suppressed", "outcome": "suppressed", "terminal_at": now}
            row |= {"reason": reason, "reason_context": dict(context) or None}
        case Defer(until=until, reason=reason, context=context):
            row |= {"orchestration_state": Orchestration.DEFERRED.value, "eligible_at": until}
            row |= {"reason": reason, "reason_context": dict(context) or None}
        case Proceed():
            return


def _hold(connection: Connection, pending: Sequence[tuple[dict[str, Any], Wanted]], now: datetime) -> None:
    """Put what belongs into digests into their buckets."""
    held = [(row, one) for row, one in pending if _is_held(one)]
    buckets = hold_all(
        connection,
        [
            ToHold(delivery=as_record(Delivery, row), digest=one.options.digest or {}, payload=one.payload)
            for row, one in held
        ],
        now,
    )
    for (row, _), bucket_id in zip(held, buckets, strict=True):
        row |= {"orchestration_state": Orchestration.DIGEST_HELD.value, "digest_bucket_id": bucket_id}
        row |= {"reason": "digest_held", "eligible_at": None}


def _is_held(wanted: Wanted) -> bool:
    digest = wanted.options.digest
    return digest is not None and not wanted.options.critical and wanted.channel in digest["channels"]


def _carrier(row: dict[str, Any], wanted: Wanted) -> NewJob | None:
    """Make the job that goes on with a row, if one does."""
    if row["orchestration_state"] == Orchestration.DIGEST_HELD:
        return None
    if wanted.content.get("prompt"):
        # Quiet hours are looked at once more when it is sent.
        row |= {"orchestration_state": Orchestration.CONTENT_PENDING.value, "reason": "content_pending"}
        return carriers.write_content(row["id"])
    return None if _HERE.get() is not None else carriers.deliver(row["id"], at=row["eligible_at"])


def _read_back(connection: Connection, many: Sequence[Wanted]) -> dict[tuple[str, str, str], Delivery]:
    found: dict[tuple[str, str, str], Delivery] = {}
    for ids in in_parts(dict.fromkeys(one.notification.notification_id for one in many)):
        query = select(deliveries).where(deliveries.c.notification_id.in_(ids))
        for row in connection.execute(query).mappings():
            one = as_record(Delivery, row)
            found[one.notification_id, one.channel, one.step_key] = one
    return found


def _note_here(fresh: Sequence[Delivery]) -> None:
    here = _HERE.get()
    if here is not None:
        ready = (
            one for one in fresh if one.status == "pending" and one.orchestration_state == Orchestration.READY
        )
        here.extend(one.delivery_id for one in ready)
