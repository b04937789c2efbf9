"""Crons for tests of the jobs, and what was done about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

import jobs
from jobs import rows
from jobs.crons import Cron
from jobs.database import Database
from jobs.registry import actors
from jobs.scheduler import Ticked, add_due
from jobs.sqltypes import db_now
from jobs.tables import crons as crons_table
from jobs.ticks import Missed, parse

#: Seconds within which a tick is only late.
LATE = 60.0
SECOND = "* * * * * *"


@jobs.actor(actor_name="say_the_tick")
async def say_the_tick(greeting: str = "") -> str:
    said = jobs.current().metadata
    return f"{greeting}{said['cron']} {said['tick']}"


def a_cron(
    expression: str = "* * * * *",
    *,
    name: str = "minutely",
    missed: Missed = "latest",
    sender: Any = say_the_tick,
    args: Sequence[Any] = (),
) -> Cron:
    return Cron(
        name=name,
        schedule=parse(expression),
        missed=missed,
        sender=sender,
        spec=actors()["say_the_tick"],
        args=args,
    )


def tick(database: Database, cron: Cron) -> Ticked:
    return database.write(add_due, cron, cron.message(), LATE)


def now(database: Database) -> datetime:
    return database.read(lambda connection: connection.execute(select(db_now())).scalar_one())


def seen_to(database: Database, cron: Cron, moment: datetime) -> None:
    """Let the cron's last tick be at a moment."""

    def note(connection: Connection) -> None:
        changed = connection.execute(
            update(crons_table).where(crons_table.c.name == cron.key).values(last_tick=moment)
        )
        if not changed.rowcount:
            connection.execute(insert(crons_table).values(name=cron.key, last_tick=moment))

    database.write(note)


def last_tick(database: Database, cron: Cron) -> datetime | None:
    query = select(crons_table.c.last_tick).where(crons_table.c.name == cron.key)
    return database.read(lambda connection: connection.execute(query).scalar_one_or_none())


def ticks_of(database: Database) -> list[str]:
    """The ticks whose jobs were added, in order; one that was added twice is there twice."""
    return sorted(job.metadata["tick"] for job in database.read(rows.latest, limit=5000))


def minutes(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
