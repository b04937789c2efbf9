"""What `aquila doctor` says of the jobs. Looking starts no server and makes no file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aquila.checks import Check
from aquila.errors import AquilaError
from aquila.shared_server import status
from jobs import census
from jobs.database import Database
from jobs.embedded import SERVER_NAME
from jobs.migrate import track_version, tracks, version_problem
from jobs.redis_client import without_password
from jobs.settings import JobsSettings, read_jobs_settings
from jobs.shadow import foreign_package, our_package
from jobs.wire import Wire


def checks() -> list[Check]:
    """Look at the database, Redis, the workers and the package's name."""
    try:
        settings = read_jobs_settings()
    except AquilaError as error:
        return [Check(name="jobs", state="problem", detail=str(error))]
    return [*_database(settings), _redis(settings), *_shadow(Path.cwd())]


def _database(settings: JobsSettings) -> Iterator[Check]:
    name = "jobs: database"
    if settings.own_database and not (settings.state_dir / "aquila.db").exists():
        detail = f"{settings.state_dir / 'aquila.db'} is made at the first use"
        yield Check(name=name, state="off", detail=detail)
        return
    database = Database(settings.database_url, schema=settings.schema)
    try:
        yield from _tables(database, own=settings.own_database)
    except AquilaError as error:
        yield Check(name=name, state="problem", detail=str(error))
    finally:
        database.close()


def _tables(database: Database, *, own: bool) -> Iterator[Check]:
    name = "jobs: database"
    found = {track: database.read(track_version, track) for track in tracks()}
    behind = [(track, version) for track, version in found.items() if version != track.head]
    if not behind:
        versions = ", ".join(track.head for track in found)
        yield Check(name=name, state="ok", detail=f"{database.name} at version {versions}")
        yield _workers(database)
        return
    newer = [(track, version) for track, version in behind if version is not None and version > track.head]
    if own and not newer:
        yield Check(name=name, state="off", detail=f"{database.name} is brought up to date at the first use")
        return
    track, version = [*newer, *behind][0]
    problem, _, remedy = version_problem(version, database.name, track).partition("; ")
    yield Check(name=name, state="problem", detail=problem, remedy=remedy)


def _workers(database: Database) -> Check:
    alive = database.read(census.alive)
    if not alive:
        return Check(
            name="jobs: workers",
            state="off",
            detail="no worker serves this database",
            remedy="aquila worker MODULE",
        )
    said = (f"{worker.host}:{worker.pid} ({', '.join(worker.queues)})" for worker in alive)
    return Check(name="jobs: workers", state="ok", detail="; ".join(said))


def _redis(settings: JobsSettings) -> Check:
    name = "jobs: Redis"
    if settings.redis_url is None:
        try:
            runs = status(SERVER_NAME, settings.state_dir) is not None
        except AquilaError as error:
            return Check(name=name, state="problem", detail=str(error))
        return Check(
            name=name, state="ok", detail=f"embedded Valkey, {'running' if runs else 'started when needed'}"
        )
    wire = Wire(settings.redis_url, database_id="doctor", lease=settings.lease, middleware=())
    try:
        wire.ping()
    except AquilaError as error:
        return Check(name=name, state="problem", detail=str(error))
    finally:
        wire.close()
    return Check(name=name, state="ok", detail=f"{without_password(settings.redis_url)} answers")


def _shadow(folder: Path) -> Iterator[Check]:
    foreign = foreign_package(folder)
    if foreign is not None:
        yield Check(
            name="jobs: package",
            state="problem",
            detail=f"two packages are called 'jobs': {foreign} and {our_package()}",
            remedy="rename yours; only one of them can be imported",
        )
