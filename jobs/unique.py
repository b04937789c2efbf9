"""Unique keys: as long as a job with a key has not ended, another send with it adds nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from aquila.errors import ConfigError
from jobs.registry import LONGEST_DELAY, is_seconds
from jobs.sqltypes import db_now, insert_into, storable
from jobs.tables import ENDED, jobs, unique_keys

#: Keys removed in one transaction.
BATCH = 1000
#: Characters a key may have, its actor's name apart.
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Unique:
    """A key that no two jobs of an actor have at a time: `explain.options(unique=Unique("otp", seconds=3600))`."""

    key: str
    #: Seconds from the send for which the key is taken even if the job has ended, as long as its row is kept; 0 frees it
    #: with the job.
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if (
            not isinstance(self.key, str)
            or not 0 < len(self.key) <= LONGEST
            or self.key != storable(self.key)
        ):
            raise ConfigError(f"unique={self.key!r} must be a text of 1 to {LONGEST} printable characters")
        if not is_seconds(self.seconds) or self.seconds > LONGEST_DELAY:
            raise ConfigError(
                f"seconds={self.seconds!r} of unique={self.key!r} must be seconds from zero to ten years"
            )


def take_key(connection: Connection, key: str, job_id: str, seconds: float) -> str:
    """Take a key for a job that is about to be added; give the job that has it then, which may be an older one.

    A transaction of somebody else's that is taking the same key is waited for. Nothing fails, so that the caller's own
    transaction goes on either way.
    """
    until = db_now(seconds) if seconds else None
    added = connection.execute(
        insert_into(connection, unique_keys)
        .values(key=key, job_id=job_id, until=until)
        .on_conflict_do_nothing()
        .returning(unique_keys.c.key)
    )
    if added.first() is not None:
        return job_id
    # Each a statement of its own: on PostgreSQL it sees what the transaction that was waited for has committed.
    known = connection.execute(select(unique_keys).where(unique_keys.c.key == key).with_for_update()).first()
    if known is None:
        # The pruner took it away in between.
        return take_key(connection, key, job_id, seconds)
    if _is_taken(connection, known.job_id, known.until):
        return str(known.job_id)
    connection.execute(update(unique_keys).where(unique_keys.c.key == key).values(job_id=job_id, until=until))
    return job_id


def prune_keys(connection: Connection) -> int:
    """Remove the keys that nobody has any more; give how many."""
    live = select(jobs.c.id).where(jobs.c.id == unique_keys.c.job_id, jobs.c.state.not_in(ENDED))
    free = (func.coalesce(unique_keys.c.until, db_now(-1)) < db_now()) & ~live.exists()
    # A key that a transaction is taking is left to it. The others are locked first and looked at once more: PostgreSQL would
    # ask about the job that a key has by now as of a moment at which that job was not there.
    found = select(unique_keys.c.key).where(free).limit(BATCH).with_for_update(skip_locked=True)
    keys = list(connection.scalars(found))
    return connection.execute(delete(unique_keys).where(unique_keys.c.key.in_(keys), free)).rowcount


def _is_taken(connection: Connection, job_id: str, until: datetime | None) -> bool:
    state = connection.execute(select(jobs.c.state).where(jobs.c.id == job_id)).scalar_one_or_none()
    if state is None:
        # Pruned: there is no job whose handle could be given, and the next one must have the key.
        return False
    return state not in ENDED or (
        until is not None and until > connection.execute(select(db_now())).scalar_one()
    )
