"""Aquila: rows in PostgreSQL, messages in Valkey."""

from __future__ import annotations

import os

from benchmarks.runners.note import POSTGRES

os.environ["AQUILA_DATABASE_URL"] = os.environ[POSTGRES]

from benchmarks.runners.aquila_jobs import COMMAND, send

__all__ = ["COMMAND", "send", "set_up"]


def set_up() -> None:
    """Make the tables."""
    from jobs.database import Database  # noqa: PLC0415 - the worker needs none of it
    from jobs.migrate import upgrade  # noqa: PLC0415
    from jobs.settings import sync_url  # noqa: PLC0415

    upgrade(Database(sync_url(os.environ[POSTGRES])))
