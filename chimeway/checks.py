"""What `aquila doctor` says of notifications. Looking makes no file and sends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, func, select

from aquila.checks import Check
from aquila.errors import AquilaError
from chimeway.explain.reading import read_surroundings
from chimeway.explain.situation import Surroundings
from chimeway.migrations import TRACK
from chimeway.redriving import due_deliveries
from chimeway.settings import ChimewaySettings, settings
from chimeway.tables import deliveries, digest_buckets, events, fanouts, feedback, runs, signals
from jobs.database import Database
from jobs.migrate import track_version
from jobs.settings import JobsSettings, read_jobs_settings

#: Seconds after which work that is due counts as left undone: the sweep has been by since.
OVERDUE = 180.0


@dataclass(frozen=True, slots=True)
class Overdue:
    """How much of a kind is overdue."""

    number: int
    #: `delivery`, `deliveries`.
    one: str
    many: str

    @property
    def words(self) -> str:
        """The number and what it counts."""
        return f"{self.number} {self.one if self.number == 1 else self.many}"


def checks() -> list[Check]:
    """Look at the tables, the dispatcher, the channels, and at work that is overdue."""
    try:
        chosen = settings()
        return [_dispatcher(chosen), _channels(chosen), *_database(read_jobs_settings(), chosen.clock.now())]
    except AquilaError as error:
        return [Check(name="chimeway", state="problem", detail=str(error))]


def overdue(connection: Connection, now: datetime) -> list[Overdue]:
    """Count what has been due for a while and nobody has done; what there is none of is left out.

    Args:
        connection: A transaction.
        now: The time.
    """
    before = now - timedelta(seconds=OVERDUE)
    old = deliveries.c.updated_at < before
    unplanned = fanouts.c.event_id.in_(select(events.c.id).where(events.c.created_at < before))
    kinds: list[tuple[str, str, Table, tuple[ColumnElement[bool], ...]]] = [
        ("delivery", "deliveries", deliveries, (due_deliveries(before), old)),
        ("workflow wait", "workflow waits", runs, (runs.c.state == "waiting", runs.c.due_at < before)),
        ("signal", "signals", signals, (signals.c.processed_at.is_(None), signals.c.occurred_at < before)),
        (
            "feedback",
            "feedbacks",
            feedback,
            (feedback.c.processed_at.is_(None), feedback.c.received_at < before),
        ),
        (
            "digest",
            "digests",
            digest_buckets,
            (digest_buckets.c.flushed_at.is_(None), digest_buckets.c.due_at < before),
        ),
        (
            "part of the recipients",
            "parts of the recipients",
            fanouts,
            (fanouts.c.planned_at.is_(None), unplanned),
        ),
    ]
    counted = (
        Overdue(
            connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one(), one, many
        )
        for one, many, table, where in kinds
    )
    return [one for one in counted if one.number]


def work_check(left: list[Overdue], where: Surroundings) -> Check:
    """Say what is overdue, and why.

    Args:
        left: What is overdue.
        where: Who is there to do it.
    """
    name = "chimeway: work"
    if not left:
        return Check(name=name, state="ok", detail="nothing is overdue")
    number = sum(one.number for one in left)
    said = f"{', '.join(one.words for one in left)} {'is' if number == 1 else 'are'} overdue"
    hold = where.delivering or where.sweeping_itself
    if hold is not None:
        return Check(name=name, state="problem", detail=f"{said}; {hold.sentence}", remedy=hold.remedy)
    remedy = "`aquila notify ls` finds deliveries, `aquila notify explain ID` says what is in the way of one"
    return Check(name=name, state="problem", detail=f"{said}, and workers serve the queues", remedy=remedy)


def _dispatcher(chosen: ChimewaySettings) -> Check:
    who = {
        "sync": "sync: the process that triggers delivers itself",
        "dramatiq": "dramatiq: workers deliver",
    }[chosen.dispatcher]
    return Check(name="chimeway: dispatcher", state="ok", detail=f"{who}, unless your code chooses another")


def _channels(chosen: ChimewaySettings) -> Check:
    named = (
        f"{channel} ({', '.join(one.name for one in many)})" for channel, many in chosen.channels.items()
    )
    detail = f"{', '.join(named) or 'none'} here; chimeway.configure(channels=...) in your code adds others"
    return Check(name="chimeway: channels", state="ok", detail=detail)


def _database(chosen: JobsSettings, now: datetime) -> Iterator[Check]:
    if chosen.own_database and not (chosen.state_dir / "aquila.db").exists():
        yield Check(name="chimeway: tables", state="off", detail="they are made at the first use")
        return
    database = Database(chosen.database_url, schema=chosen.schema)
    try:
        version = database.read(track_version, TRACK)
        if version != TRACK.head:
            # What is wrong with them stands with the jobs' own.
            detail = f"at version {version or 'none'}; this version needs {TRACK.head}"
            yield Check(name="chimeway: tables", state="off", detail=detail, remedy="see jobs: database")
            return
        yield Check(name="chimeway: tables", state="ok", detail=f"at version {version}")
        yield work_check(database.read(overdue, now), database.read(read_surroundings, now))
    finally:
        database.close()
