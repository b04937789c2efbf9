"""What was used under each budget: rows that every process adds to and none writes over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TypeAlias

from sqlalchemy import Connection, delete, func, select, tuple_

from jobs.sqltypes import db_now, insert_into
from jobs.tables import jobs, spending

#: A budget's name and its period: see `Budget.period`.
Key: TypeAlias = tuple[str, str]

#: Characters that a name may have in its column.
_LONGEST = 255
_JOB = "job:"
#: Seconds for which the periods of tags are kept.
_KEEP = 400 * 86_400.0
#: Keys in one `IN (...)`; every database takes that many.
_IN_ONE_READ = 200


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and money."""

    tokens: int = 0
    #: US dollars, as far as prices are known.
    cost: float = 0.0

    def plus(self, other: Spent) -> Spent:
        """Add."""
        return Spent(self.tokens + other.tokens, self.cost + other.cost)


def job_name(job_id: str) -> str:
    """Give the name under which the attempts of a job add up."""
    return f"{_JOB}{job_id}"


def tag_name(tag: str) -> str:
    """Give the name under which the jobs with a tag add up; a tag that is too long is known by its hash."""
    name = f"tag:{tag}"
    return name if len(name) <= _LONGEST else f"tag:sha256:{sha256(tag.encode()).hexdigest()}"


def read(connection: Connection, keys: Collection[Key]) -> tuple[datetime, dict[Key, Spent]]:
    """Give the database's time, and what was used under each key; nothing for those under which nothing was."""
    now = connection.execute(select(db_now())).scalar_one()
    found: dict[Key, Spent] = {}
    wanted = sorted(keys)
    for start in range(0, len(wanted), _IN_ONE_READ):
        part = wanted[start : start + _IN_ONE_READ]
        rows = connection.execute(
            select(spending).where(tuple_(spending.c.name, spending.c.period).in_(part))
        )
        found |= {(str(row.name), str(row.period)): Spent(int(row.tokens), float(row.cost)) for row in rows}
    return now, found


def add(
    connection: Connection, used: Mapping[Key, Spent], keys: Collection[Key] = ()
) -> tuple[datetime, dict[Key, Spent]]:
    """Add what was used, and read back as `read` does.

    Args:
        connection: A transaction that writes.
        used: What to add; a guess that was too high is taken back by a number below zero.
        keys: What to read besides.
    """
    # In one order everywhere, so that no two processes wait for each other's rows.
    rows = [
        {"name": name, "period": period, "tokens": spent.tokens, "cost": spent.cost}
        for (name, period), spent in sorted(used.items(), key=lambda item: item[0])
    ]
    if rows:
        adding = insert_into(connection, spending)
        connection.execute(
            adding.on_conflict_do_update(
                index_elements=[spending.c.name, spending.c.period],
                set_={
                    "tokens": spending.c.tokens + adding.excluded.tokens,
                    "cost": spending.c.cost + adding.excluded.cost,
                },
            ),
            rows,
        )
    return read(connection, {*used, *keys})


def prune(connection: Connection) -> int:
    """Remove what is known of jobs whose rows are gone, and of periods long past; give how many rows went."""
    gone = ~select(jobs.c.id).where(_JOB + jobs.c.id == spending.c.name).exists()
    orphans = delete(spending).where(spending.c.name.startswith(_JOB, autoescape=True), gone)
    then = connection.execute(select(db_now(-_KEEP))).scalar_one()
    past = delete(spending).where(func.length(spending.c.period) > 0, spending.c.period < f"{then:%Y-%m}")
    return connection.execute(orphans).rowcount + connection.execute(past).rowcount
