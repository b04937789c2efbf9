"""Durable execution: every job is a row that survives anything, and every token of it can be followed live.

Every name is imported on first use; importing opens nothing and chooses no broker.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aquila.errors import ConfigError

if TYPE_CHECKING:
    from jobs.actors import Actor, actor
    from jobs.broker import close, configure, database_url, upgrade
    from jobs.budget import Budget
    from jobs.collecting import collect
    from jobs.context import JobContext, current
    from jobs.crons import cron
    from jobs.discarded import adead_letters, aretry_all, dead_letters, retry_all
    from jobs.enqueueing import aenqueue, aenqueue_all, enqueue, enqueue_all
    from jobs.errors import (
        BrokerUnavailable,
        BudgetExceeded,
        Discard,
        JobCancelled,
        JobFailed,
        JobNotFound,
        JobsError,
        JobTimeout,
        NotStorable,
        ResultTimeout,
        Snooze,
        StorageError,
    )
    from jobs.finding import afind, find
    from jobs.follower import JobEvent, follow
    from jobs.handle import JobHandle
    from jobs.llm import generate_summary, run_batch, stream_prompt, transcribe
    from jobs.new_job import NewJob
    from jobs.provider_limit import ProviderLimit
    from jobs.pruner import aprune, prune
    from jobs.pruning import Pruned
    from jobs.queues import (
        QueueCounts,
        apause_queue,
        apaused_queues,
        aqueue_counts,
        aresume_queue,
        pause_queue,
        paused_queues,
        queue_counts,
        resume_queue,
    )
    from jobs.registry import declare_queue
    from jobs.rows import Job
    from jobs.sending import asend_all, send_all
    from jobs.tables import is_aquila_table, metadata
    from jobs.unique import Unique

__all__ = [
    "Actor", "BrokerUnavailable", "Budget", "BudgetExceeded", "Discard", "Job", "JobCancelled",
    "JobContext", "JobEvent", "JobFailed", "JobHandle", "JobNotFound", "JobTimeout", "JobsError", "NewJob",
    "NotStorable", "ProviderLimit", "Pruned", "QueueCounts", "ResultTimeout", "Snooze", "StorageError",
    "Unique", "actor", "adead_letters", "aenqueue", "aenqueue_all", "afind", "apause_queue",
    "apaused_queues", "aprune", "aqueue_counts", "aresume_queue", "aretry_all", "asend_all", "close",
    "collect", "configure", "cron", "current", "database_url", "dead_letters", "declare_queue", "enqueue",
    "enqueue_all", "find", "follow", "generate_summary", "is_aquila_table", "metadata", "pause_queue",
    "paused_queues", "prune", "queue_counts", "resume_queue", "retry_all", "run_batch", "send_all",
    "stream_prompt", "transcribe", "upgrade",
]  # fmt: skip


#: Where each name lives; the rest are errors. No module is called like a name it gives: importing it would put the module
#: in the name's place.
_HOMES = {  # noqa: RUF067 - one table, which `__getattr__` reads
    "actors": ("Actor", "actor"),
    "budget": ("Budget",),
    "broker": ("close", "configure", "database_url", "upgrade"),
    "collecting": ("collect",),
    "context": ("JobContext", "current"),
    "crons": ("cron",),
    "enqueueing": ("aenqueue", "aenqueue_all", "enqueue", "enqueue_all"),
    "discarded": ("adead_letters", "aretry_all", "dead_letters", "retry_all"),
    "finding": ("afind", "find"),
    "follower": ("JobEvent", "follow"),
    "handle": ("JobHandle",),
    "llm": ("generate_summary", "run_batch", "stream_prompt", "transcribe"),
    "provider_limit": ("ProviderLimit",),
    "pruner": ("aprune", "prune"),
    "pruning": ("Pruned",),
    "queues": (
        "QueueCounts",
        "apause_queue",
        "apaused_queues",
        "aqueue_counts",
        "aresume_queue",
        "pause_queue",
        "paused_queues",
        "queue_counts",
        "resume_queue",
    ),
    "new_job": ("NewJob",),
    "registry": ("declare_queue",),
    "rows": ("Job",),
    "sending": ("asend_all", "send_all"),
    "tables": ("is_aquila_table", "metadata"),
    "unique": ("Unique",),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "errors")
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
