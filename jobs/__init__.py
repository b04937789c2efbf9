"""Durable execution: every job is a row that survives anything, and every token of it can be followed live.

Every name is imported on first use; importing opens nothing and chooses no broker.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aquila.errors import ConfigError

if TYPE_CHECKING:
    from jobs.actors import Actor, actor
    from jobs.broker import close, configure
    from jobs.collecting import collect
    from jobs.context import JobContext, current
    from jobs.errors import (
        BrokerUnavailable,
        JobCancelled,
        JobFailed,
        JobNotFound,
        JobsError,
        ResultTimeout,
        StorageError,
    )
    from jobs.follower import JobEvent, follow
    from jobs.handle import JobHandle
    from jobs.llm import generate_summary, stream_prompt
    from jobs.rows import Job
    from jobs.tables import is_aquila_table, metadata

__all__ = [
    "Actor",
    "BrokerUnavailable",
    "Job",
    "JobCancelled",
    "JobContext",
    "JobEvent",
    "JobFailed",
    "JobHandle",
    "JobNotFound",
    "JobsError",
    "ResultTimeout",
    "StorageError",
    "actor",
    "close",
    "collect",
    "configure",
    "current",
    "follow",
    "generate_summary",
    "is_aquila_table",
    "metadata",
    "stream_prompt",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # No module is called like a name it gives: importing it would put the module in the name's place.
    homes = {
        "actors": ("Actor", "actor"),
        "broker": ("close", "configure"),
        "collecting": ("collect",),
        "context": ("JobContext", "current"),
        "follower": ("JobEvent", "follow"),
        "handle": ("JobHandle",),
        "llm": ("generate_summary", "stream_prompt"),
        "rows": ("Job",),
        "tables": ("is_aquila_table", "metadata"),
    }
    home = next((module for module, names in homes.items() if name in names), "errors")
    try:
        return getattr(import_module(f"jobs.{home}"), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"aquila", "jobs"}:
            raise
        raise ConfigError(
            f"jobs need {missing}, which is not installed: pip install 'aquila-llm[jobs]'"
        ) from error


def __dir__() -> list[str]:
    return __all__
