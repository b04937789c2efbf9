"""Counts in the database itself how often each job was ended: a trigger, which no write of a worker can pass by."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from jobs.tables import ENDED

_STATES = ", ".join(f"'{state}'" for state in ENDED)
_NOTE = "INSERT INTO soak_endings VALUES (NEW.id, NEW.epoch, NEW.state, OLD.state);"
_TABLE = "CREATE TABLE soak_endings (job_id text, epoch integer, state text, before text)"
_WHEN = "AFTER UPDATE OF state ON aquila_jobs"
_SQLITE = (
    _TABLE,
    f"CREATE TRIGGER soak_ending {_WHEN} WHEN NEW.state IN ({_STATES}) BEGIN {_NOTE} END",
)
_POSTGRESQL = (
    _TABLE,
    f"CREATE FUNCTION soak_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_NOTE} RETURN NULL; END $$",
    f"CREATE TRIGGER soak_ending {_WHEN} FOR EACH ROW WHEN (NEW.state IN ({_STATES})) EXECUTE FUNCTION soak_note()",
)


def install(connection: Connection) -> None:
    """Begin to count."""
    for statement in _POSTGRESQL if connection.dialect.name == "postgresql" else _SQLITE:
        connection.exec_driver_sql(statement)


def endings(connection: Connection) -> Counter[str]:
    """Give how often each job was written as ended."""
    found = connection.exec_driver_sql("SELECT job_id, count(*) FROM soak_endings GROUP BY job_id")
    return Counter({str(job_id): int(number) for job_id, number in found})
