"""`Sender`: what an actor's `send`, `asend` and `send_all` do, and what one send may say beside its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Generic, ParamSpec

from anyio import to_thread

from aquila.errors import ConfigError
from jobs import rows
from jobs.arguments import pack
from jobs.broker import runtime
from jobs.budget import Budget
from jobs.cassettes import cassette_of_send
from jobs.credentials import key_in
from jobs.handle import JobHandle
from jobs.new_job import NewJob
from jobs.registry import LONGEST_DELAY, ActorSpec, is_seconds
from jobs.relay import hand_over
from jobs.rows import Job
from jobs.sqltypes import storable
from jobs.tracing import trace_carrier, tracing_sends
from jobs.unique import Unique

P = ParamSpec("P")

#: Characters that a tag may have.
LONGEST_TAG = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """What one send may say beside its arguments."""

    delay: float = 0.0
    at: datetime | None = None
    priority: int
    max_attempts: int
    #: None leaves it to where the job is sent, and to the actor.
    cassette: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    unique: Unique | None = None
    timeout: float | None = None
    budget: Budget | None = None


class Sender(Generic[P]):
    """An actor together with the options of its sends; made by `options`."""

    def __init__(self, spec: ActorSpec, options: SendOptions) -> None:
        self._spec = spec
        self._options = options

    def message(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Check the arguments and make the job without adding it anywhere: `jobs.enqueue` and `jobs.send_all` do.

        Raises:
            ConfigError: An argument is neither JSON nor a pydantic model, does not fit its model, or is a credential.
            TypeError: The arguments do not fit the actor's function.
        """
        spec, chosen = self._spec, self._options
        cassette = cassette_of_send(chosen.cassette, spec.cassette)
        return NewJob(
            job_id=rows.new_id(),
            actor_name=spec.actor_name,
            queue_name=spec.queue_name,
            arguments=pack(spec.fn, args, kwargs),
            metadata=chosen.metadata,
            tags=chosen.tags,
            priority=chosen.priority,
            max_attempts=chosen.max_attempts,
            cassette=cassette.name,
            cassette_mode=cassette.mode,
            delay=chosen.delay,
            at=chosen.at,
            unique_key=f"{spec.actor_name}:{chosen.unique.key}" if chosen.unique else None,
            unique_seconds=chosen.unique.seconds if chosen.unique else 0.0,
            timeout=chosen.timeout,
            budget=chosen.budget.to_dict() if chosen.budget else None,
            trace=trace_carrier(),
        )

    def send(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Store a job and hand it to the broker. If Redis is away, a worker hands it over later.

        Returns:
            The job's handle; that of an older job with the same unique key, if there is one.

        Raises:
            ConfigError: An argument cannot be stored, or the jobs cannot be used as configured.
            StorageError: The database failed, and there is no job.
            TypeError: The arguments do not fit the actor's function.
        """
        return send_all([self.message(*args, **kwargs)])[0]

    async def asend(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Do as `send` does, without blocking the loop.

        Raises:
            ConfigError: An argument cannot be stored, or the jobs cannot be used as configured.
            StorageError: The database failed, and there is no job.
            TypeError: The arguments do not fit the actor's function.
        """
        return await to_thread.run_sync(partial(self.send, *args, **kwargs))


def send_all(messages: Iterable[NewJob]) -> list[JobHandle]:
    """Store jobs in one transaction, all or none, and hand them to the broker: `send_all(explain.message(t) for t in ts)`.

    Args:
        messages: What `Actor.message` made, of any actors.

    Returns:
        The handles in the same order; that of an older job where one has the same unique key.

    Raises:
        ConfigError: An argument cannot be stored, or the jobs cannot be used as configured.
        StorageError: The database failed, and there is no job.
    """
    many = list(messages)
    for new in many:
        if not isinstance(new, NewJob):
            raise ConfigError(f"send_all takes what Actor.message(...) gives, not {type(new).__name__}")
    with tracing_sends(many) as traced:
        return _send_all(traced)


def _send_all(many: Sequence[NewJob]) -> list[JobHandle]:
    used = runtime()
    added = used.database().write(rows.add_all, many)
    fresh = [job for job, new in zip(added, many, strict=True) if job.job_id == new.job_id]
    hand_over(used.database(), used.wire(), [job for job in fresh if job.state == "available"])
    return [_handle(job, new) for job, new in zip(added, many, strict=True)]


async def asend_all(messages: Iterable[NewJob]) -> list[JobHandle]:
    """Do as `send_all` does, without blocking the loop.

    Raises:
        ConfigError: An argument cannot be stored, or the jobs cannot be used as configured.
        StorageError: The database failed, and there is no job.
    """
    return await to_thread.run_sync(send_all, list(messages))


def check_due(delay: float, at: datetime | None) -> None:
    """Check when a job is to be due.

    Raises:
        ConfigError: It is no time, or said twice.
    """
    if not is_seconds(delay):
        raise ConfigError(f"delay={delay!r} must be seconds from zero")
    if delay > LONGEST_DELAY:
        raise ConfigError(f"delay={delay!r} is longer than ten years ({LONGEST_DELAY} s); use at=")
    if at is None:
        return
    if not isinstance(at, datetime):
        raise ConfigError(f"at={at!r} must be an aware datetime")
    if at.tzinfo is None:
        raise ConfigError(f"at={at.isoformat()} has no time zone; use an aware datetime")
    if delay:
        raise ConfigError("say when a job is due with delay= or with at=, not with both")


def check_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Give the tags back, each once.

    Raises:
        ConfigError: They are no list of short texts.
    """
    if isinstance(tags, str):
        raise ConfigError(f"tags={tags!r} is one text; write tags=[{tags!r}]")
    if not isinstance(tags, Iterable):
        raise ConfigError(f"tags={tags!r} must be a list of texts")
    tags = tuple(tags)
    for tag in tags:
        if not isinstance(tag, str) or not 0 < len(tag) <= LONGEST_TAG or tag != storable(tag):
            raise ConfigError(f"the tag {tag!r} must be a text of 1 to {LONGEST_TAG} printable characters")
        if (found := key_in(tag)) is not None:
            raise ConfigError(f"a tag holds {found}, which belongs into the worker's environment")
    return tuple(dict.fromkeys(tags))


def _handle(job: Job, new: NewJob) -> JobHandle:
    return JobHandle(job.job_id, created=job.job_id == new.job_id)
