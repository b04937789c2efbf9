"""Where the jobs live: the database, Redis, the queues and the clocks, from `configure` and the environment."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from aquila.errors import ConfigError
from aquila.settings import read_settings
from jobs.budget import Budget
from jobs.provider_limit import ProviderLimit

T = TypeVar("T")

#: Jobs at once, by queue, in one worker process; a queue that an actor names and this leaves out gets the same.
DEFAULT_QUEUES: Mapping[str, int] = {"default": 10, "llm": 10}
DEFAULT_LIMIT = 10
#: Seconds.
DEFAULT_LEASE = 15.0
DEFAULT_GRACE = 10.0
DEFAULT_LIVE_TTL = 3600.0
KEEP_COMPLETED = 7 * 86_400.0
KEEP_DISCARDED = 30 * 86_400.0
#: Other drivers and spellings of the same databases, all served by one synchronous engine.
DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+psycopg",
    "postgresql+psycopg2": "postgresql+psycopg",
    "postgresql+psycopg_async": "postgresql+psycopg",
    "sqlite+aiosqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
}
#: How a Redis URL may begin.
REDIS_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys", "valkey+unix")
QUEUE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
#: What PostgreSQL takes; names that begin with `pg_` are its own.
SCHEMA_NAME = re.compile(r"(?!pg_)[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsSettings:
    """What was chosen, with everything left out filled in."""

    #: An SQLAlchemy URL of a synchronous driver.
    database_url: str
    #: True for the SQLite file in the state folder, which migrates itself.
    own_database: bool
    #: None: a Valkey server on this machine.
    redis_url: str | None
    state_dir: Path
    queues: Mapping[str, int]
    #: Seconds an attempt is held without a sign of life.
    lease: float
    #: Seconds that running attempts get when the worker is asked to stop.
    grace: float
    #: Seconds that a live stream is kept after the end of its job.
    live_ttl: float
    #: Jobs at once over all workers, by queue.
    global_limits: Mapping[str, int]
    #: What a provider allows in a minute, by model.
    provider_limits: Mapping[str, ProviderLimit]
    #: What all jobs with a tag may use together.
    budgets: Mapping[str, Budget]
    #: Seconds that rows are kept after their end: completed and cancelled ones, and discarded ones.
    keep_completed: float
    keep_discarded: float
    #: PostgreSQL's schema that the tables are in; None leaves that to the server.
    schema: str | None = None


def read_jobs_settings(
    *,
    database_url: str | None = None,
    schema: str | None = None,
    redis_url: str | None = None,
    queues: Mapping[str, int] | None = None,
    lease: float = DEFAULT_LEASE,
    grace: float = DEFAULT_GRACE,
    live_ttl: float = DEFAULT_LIVE_TTL,
    global_limits: Mapping[str, int] | None = None,
    provider_limits: Mapping[str, ProviderLimit] | None = None,
    budgets: Mapping[str, Budget] | None = None,
    keep_completed: float = KEEP_COMPLETED,
    keep_discarded: float = KEEP_DISCARDED,
    environ: Mapping[str, str] | None = None,
) -> JobsSettings:
    """Fill in what was not chosen from the environment.

    Args:
        database_url: None means `AQUILA_DATABASE_URL`, `DATABASE_URL`, then a SQLite file in the state folder.
        schema: PostgreSQL's schema for the tables; None means `AQUILA_DATABASE_SCHEMA`, then what the server takes.
        redis_url: None means `AQUILA_REDIS_URL`, `REDIS_URL`, then a Valkey server on this machine.
        queues: Jobs at once in one worker process, by queue; None means ten for each queue.
        lease: Seconds an attempt is held without a sign of life.
        grace: Seconds that running attempts get when the worker is asked to stop.
        live_ttl: Seconds that a live stream is kept after the end of its job.
        global_limits: Jobs at once over all workers, by queue.
        provider_limits: What a provider allows in a minute, by model.
        budgets: What all jobs with a tag may use together.
        keep_completed: Seconds that rows of completed and cancelled jobs are kept after their end.
        keep_discarded: Seconds that rows of discarded jobs are kept after their end.
        environ: The variables; None means this process's own.

    Raises:
        ConfigError: A value cannot be used.
    """
    env = os.environ if environ is None else environ
    state_dir = read_settings(environ).state_dir
    chosen = database_url or env.get("AQUILA_DATABASE_URL") or env.get("DATABASE_URL") or None
    check_clocks(lease=lease, grace=grace, live_ttl=live_ttl)
    for name, seconds in (("keep_completed", keep_completed), ("keep_discarded", keep_discarded)):
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise ConfigError(f"{name}={seconds!r} is seconds above zero; math.inf keeps rows for ever")
    url = sync_url(chosen) if chosen else f"sqlite:///{state_dir / 'aquila.db'}"
    return JobsSettings(
        database_url=url,
        schema=_check_schema(schema or env.get("AQUILA_DATABASE_SCHEMA") or None, url),
        own_database=chosen is None,
        redis_url=_redis_url(redis_url or env.get("AQUILA_REDIS_URL") or env.get("REDIS_URL") or None),
        state_dir=state_dir,
        queues=check_queues(queues) if queues is not None else dict(DEFAULT_QUEUES),
        lease=lease,
        grace=grace,
        live_ttl=live_ttl,
        global_limits=check_queues(global_limits or {}),
        provider_limits=_of_kind("provider_limits", provider_limits, ProviderLimit),
        budgets=_of_kind("budgets", budgets, Budget),
        keep_completed=keep_completed,
        keep_discarded=keep_discarded,
    )


def _check_schema(schema: str | None, url: str) -> str | None:
    if schema is None:
        return None
    if not isinstance(schema, str) or not SCHEMA_NAME.fullmatch(schema):
        raise ConfigError(
            f"schema={schema!r} (or AQUILA_DATABASE_SCHEMA) may hold up to 63 letters, digits and '_', and begins with "
            "neither a digit nor 'pg_'"
        )
    if url.startswith("sqlite"):
        raise ConfigError(
            f"schema={schema!r} (or AQUILA_DATABASE_SCHEMA) needs PostgreSQL, SQLite has no schemas; leave it out, or "
            "set AQUILA_DATABASE_URL"
        )
    return schema


def _redis_url(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        scheme = urlsplit(url).scheme if isinstance(url, str) else ""
        known = scheme in REDIS_SCHEMES
        # Reading it is what fails if it is no number.
        _ = urlsplit(url).port if known else None
    except ValueError:
        known = False
    if not known:
        # Not quoted: it may hold a password.
        raise ConfigError(
            f"AQUILA_REDIS_URL or REDIS_URL cannot be read; write redis://HOST:6379/0 or one of {', '.join(REDIS_SCHEMES)}"
        )
    return url


def _of_kind(name: str, values: Mapping[str, T] | None, kind: type[T]) -> dict[str, T]:
    for key, value in (values or {}).items():
        if not isinstance(value, kind):
            raise ConfigError(f"{name}[{key!r}] is a jobs.{kind.__name__}(...), not {value!r}")
    return dict(values or {})


def check_clocks(*, lease: float, grace: float, live_ttl: float) -> None:
    """Check the clocks of a runtime.

    Raises:
        ConfigError: One cannot be used.
    """
    for name, seconds, least in (
        ("lease", lease, "above"),
        ("grace", grace, "from"),
        ("live_ttl", live_ttl, "above"),
    ):
        fits = isinstance(seconds, int | float) and not isinstance(seconds, bool) and math.isfinite(seconds)
        if not fits or seconds < 0 or (seconds == 0 and least == "above"):
            raise ConfigError(f"{name}={seconds!r} must be seconds {least} zero")


def sync_url(url: str) -> str:
    """Give the same database's URL for the synchronous driver.

    Raises:
        ConfigError: It is no URL, or a SQLite database in memory, which no worker could share.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigError("the database URL has no '://'; write sqlite:///FILE or postgresql://HOST/NAME")
    driver = DRIVERS.get(scheme, scheme)
    if driver == "sqlite" and (not rest.strip("/") or ":memory:" in rest):
        raise ConfigError(
            "a SQLite database in memory cannot be shared with a worker; name a file: sqlite:///FILE"
        )
    return f"{driver}://{rest}"


def check_queues(queues: Mapping[str, int]) -> dict[str, int]:
    """Give the queues back if their names and limits can be used.

    Raises:
        ConfigError: A name or a limit cannot be used.
    """
    for name, limit in queues.items():
        if not QUEUE_NAME.fullmatch(name):
            raise ConfigError(
                f"queue name {name!r} may hold letters, digits, '_' and '-', and begins with a letter"
            )
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ConfigError(f"queue {name!r} needs a limit of at least 1, not {limit}")
    return dict(queues)


def parse_queues(text: str, limits: Mapping[str, int] | None = None) -> dict[str, int]:
    """Read `llm=10,default` as the command line writes it.

    Args:
        text: What was written.
        limits: The limits of names that stand alone; 10 for those that are not in it.

    Raises:
        ConfigError: It cannot be read so.
    """
    queues: dict[str, int] = {}
    for part in filter(None, (item.strip() for item in text.split(","))):
        name, _, limit = part.partition("=")
        try:
            queues[name.strip()] = int(limit) if limit else (limits or {}).get(name.strip(), DEFAULT_LIMIT)
        except ValueError:
            raise ConfigError(
                f"{part!r} is no queue; write NAME=LIMIT, for example llm=10,default=10"
            ) from None
    if not queues:
        raise ConfigError("no queue was named; write NAME=LIMIT, for example llm=10,default=10")
    return check_queues(queues)
