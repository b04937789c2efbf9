"""`aquila db`: the tables of the jobs."""

from __future__ import annotations

import typer

from aquila.settings import ensure_state_dir
from jobs.database import Database
from jobs.migrate import upgrade
from jobs.settings import read_jobs_settings

app = typer.Typer(help="Look after the tables of the jobs.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _db() -> None:
    """Look after the tables of the jobs."""


@app.command("upgrade")
def upgrade_command() -> None:
    """Bring the tables to this version; AQUILA_DATABASE_URL or DATABASE_URL says where."""
    settings = read_jobs_settings()
    if settings.own_database:
        ensure_state_dir(settings.state_dir)
    database = Database(settings.database_url, schema=settings.schema)
    try:
        changed = upgrade(database)
    finally:
        database.close()
    typer.echo(f"{database.name}: {'the tables are at this version now' if changed else 'nothing to do'}")
