"""Where this process's jobs live, chosen once: `configure`, or the environment at the first use.

Nothing is opened before it is needed: reading rows opens no Redis, and importing actors opens nothing at all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import dramatiq

from aquila.errors import ConfigError
from jobs.budget import Budget
from jobs.provider_limit import ProviderLimit
from jobs.runtime import Runtime
from jobs.settings import (
    DEFAULT_GRACE,
    DEFAULT_LEASE,
    DEFAULT_LIVE_TTL,
    KEEP_COMPLETED,
    KEEP_DISCARDED,
    check_clocks,
    read_jobs_settings,
)

_LOCK = threading.RLock()
_RUNTIME: Runtime | None = None


def configure(
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
    middleware: Iterable[dramatiq.Middleware] = (),
) -> None:
    """Choose where this process's jobs live. Call it before anything is sent, read or run.

    Args:
        database_url: None means `AQUILA_DATABASE_URL`, `DATABASE_URL`, then a SQLite file in the state folder.
        schema: PostgreSQL's schema for the tables; None means `AQUILA_DATABASE_SCHEMA`, then what the server takes.
        redis_url: None means `AQUILA_REDIS_URL`, `REDIS_URL`, then a Valkey server on this machine.
        queues: Jobs at once in one worker process, by queue; None means ten for each queue.
        lease: Seconds an attempt is held without a sign of life from its worker.
        grace: Seconds that running attempts get when the worker is asked to stop.
        live_ttl: Seconds that a live stream is kept after the end of its job.
        global_limits: Jobs at once over all workers, by queue; None sets no limit but each worker's own.
        provider_limits: What a provider allows in a minute, by model, `"gpt-*"` and `"*"` included; all workers share it.
        budgets: What all jobs with a tag may use together, by tag.
        keep_completed: Seconds that rows of completed and cancelled jobs are kept after their end. Default: 7 days.
        keep_discarded: Seconds that rows of discarded jobs are kept after their end. Default: 30 days.
        middleware: Dramatiq middleware, called around each attempt in the worker. Its own retries are not needed.

    Raises:
        ConfigError: A value cannot be used, or the jobs are in use already.
    """
    global _RUNTIME  # noqa: PLW0603 - a process has one broker
    settings = read_jobs_settings(
        database_url=database_url,
        schema=schema,
        redis_url=redis_url,
        queues=queues,
        lease=lease,
        grace=grace,
        live_ttl=live_ttl,
        global_limits=global_limits,
        provider_limits=provider_limits,
        budgets=budgets,
        keep_completed=keep_completed,
        keep_discarded=keep_discarded,
    )
    with _LOCK:
        if _RUNTIME is not None and _RUNTIME.stands_in:
            return
        if _RUNTIME is not None:
            raise ConfigError(
                "the jobs are in use or configured already; call jobs.configure(...) first and once"
            )
        _RUNTIME = Runtime(settings, middleware)


def override(*, lease: float | None = None, grace: float | None = None) -> None:
    """Change clocks of this process's runtime before it is used: a command line goes before what a module configures.

    Args:
        lease: Seconds; None leaves it as it is.
        grace: Seconds; None leaves it as it is.

    Raises:
        ConfigError: A value cannot be used.
    """
    used = runtime()
    lease = used.settings.lease if lease is None else lease
    grace = used.settings.grace if grace is None else grace
    check_clocks(lease=lease, grace=grace, live_ttl=used.settings.live_ttl)
    used.settings = replace(used.settings, lease=lease, grace=grace)


def runtime() -> Runtime:
    """Give this process's runtime, made from the environment if `configure` was not called.

    Raises:
        ConfigError: The environment has a value that cannot be used.
    """
    global _RUNTIME  # noqa: PLW0603 - a process has one broker
    with _LOCK:
        if _RUNTIME is None:
            _RUNTIME = Runtime(read_jobs_settings())
        return _RUNTIME


def database_url() -> str:
    """Give the URL of the database that this process's jobs use, for an engine of your own. It may hold a password.

    Raises:
        ConfigError: The environment has a value that cannot be used.
    """
    return runtime().settings.database_url


def upgrade() -> bool:
    """Bring the tables of the jobs to this version, as `aquila db upgrade` does; say whether there was anything to do.

    Run it before the first `jobs.enqueue`: inside a transaction of yours nobody can make tables.

    Raises:
        ConfigError: They belong to a newer Aquila, or the jobs cannot be used as configured.
        StorageError: The database failed.
    """
    return runtime().upgrade()


def installed() -> Runtime | None:
    """Give this process's runtime; None before it is configured or used."""
    return _RUNTIME


def install(used: Runtime | None) -> Runtime | None:
    """Put a runtime in this process's place; give the one that was there, which stays open."""
    global _RUNTIME
    with _LOCK:
        before, _RUNTIME = _RUNTIME, used
        return before


#: What is to be ended before the database and the wire are closed.
_ENDINGS: list[Callable[[], None]] = []


def before_close(end: Callable[[], None]) -> None:
    """Let `close` call a function first: whoever works on the jobs' database in a thread of its own ends that in it."""
    _ENDINGS.append(end)


def close() -> None:
    """Close what this process has opened; the next use, or `configure`, starts anew."""
    global _RUNTIME
    for end in _ENDINGS:
        end()
    with _LOCK:
        used, _RUNTIME = _RUNTIME, None
    if used is not None:
        used.close()


#: Runtimes of the process that this one was forked from. They are kept: what they have opened is still in use there.
_PARENTS: list[Runtime] = []


def _begin_anew() -> None:
    """Open everything again in a process that was forked: connections, threads and locks are the parent's."""
    global _LOCK, _RUNTIME  # noqa: PLW0603 - a process has one broker
    _LOCK = threading.RLock()
    if _RUNTIME is not None:
        _PARENTS.append(_RUNTIME)
        _RUNTIME = _RUNTIME.anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def dramatiq_broker() -> None:
    """Make this process's wire Dramatiq's global broker: `dramatiq jobs.broker:dramatiq_broker MODULE`.

    The stock command then finds the actors and says, for each message, to use `aquila worker`.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database cannot be reached.
    """
    dramatiq.set_broker(runtime().wire().broker)
