"""`perform_job`: runs an actor as a job, with no row: its arguments go through what a row can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from aquila.errors import ConfigError
from jobs.actors import Actor
from jobs.arguments import pack, plain_metadata, unpack
from jobs.capture import stored_forms
from jobs.cassettes import cassette_of_call
from jobs.context import JobContext, running
from jobs.errors import JobTimeout, NotStorable
from jobs.registry import ActorSpec
from jobs.rows import new_id
from jobs.step import check_step_name, step_value
from jobs.testing.blocking import run_blocking


def perform_job(
    actor: Actor[..., Any],
    /,
    *args: Any,
    metadata: Mapping[str, Any] | None = None,
    attempt: int = 1,
    **kwargs: Any,
) -> Any:
    """Run one attempt of an actor: arguments, `jobs.current()`, steps, time-out and cassette are as in a worker.

    Args:
        actor: The actor.
        args: Its arguments.
        metadata: What `jobs.current().metadata` is to be; the actor's own parameter of that name is given by position.
        attempt: What `jobs.current().attempt` is to be.
        kwargs: Its arguments by name.

    Returns:
        What `handle.result()` would give: JSON values.

    Raises:
        ConfigError: An argument or the result is nothing that a row can hold.
        NotStorable: One of them is JSON that no database takes.
        TypeError: The arguments do not fit the actor's function.
        JobTimeout: It took longer than the actor's timeout.
        Exception: What the actor raised.
    """
    return run_blocking(partial(aperform_job, actor, *args, metadata=metadata, attempt=attempt, **kwargs))


async def aperform_job(
    actor: Actor[..., Any],
    /,
    *args: Any,
    metadata: Mapping[str, Any] | None = None,
    attempt: int = 1,
    **kwargs: Any,
) -> Any:
    """Do as `perform_job` does, on the running loop; a plain function runs in a thread.

    Args:
        actor: The actor.
        args: Its arguments.
        metadata: What `jobs.current().metadata` is to be.
        attempt: What `jobs.current().attempt` is to be.
        kwargs: Its arguments by name.

    Raises:
        ConfigError: An argument or the result is nothing that a row can hold.
        NotStorable: One of them is JSON that no database takes.
        TypeError: The arguments do not fit the actor's function.
        JobTimeout: It took longer than the actor's timeout.
        Exception: What the actor raised.
    """
    if not isinstance(actor, Actor):
        raise ConfigError(f"perform_job takes what @jobs.actor made, not {actor!r}")
    if not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1:
        raise ConfigError(f"attempt={attempt!r} must be a whole number from 1")
    spec = actor.spec
    packed = json.loads(_row_text("an argument", pack(spec.fn, args, kwargs)))
    kept = plain_metadata({} if metadata is None else metadata)
    context = JobContext(
        id=new_id(),
        actor_name=spec.actor_name,
        queue_name=spec.queue_name,
        attempt=attempt,
        cassette=spec.cassette,
        metadata=json.loads(_row_text("metadata", kept)),
        report=_check_progress,
        once=_StepNames().once,
    )
    with running(context), cassette_of_call(spec.cassette):
        value = await _in_time(spec, packed)
    return json.loads(_row_text("the result of the actor", stored_forms(value, "")[1]))


async def _in_time(spec: ActorSpec, packed: Mapping[str, Any]) -> Any:
    args, kwargs = unpack(spec.fn, packed)
    with anyio.move_on_after(spec.timeout):
        if spec.is_async:
            return await spec.fn(*args, **kwargs)
        return await to_thread.run_sync(partial(spec.fn, *args, **kwargs), abandon_on_cancel=True)
    seconds = spec.timeout or 0.0
    raise JobTimeout(f"the attempt took longer than its timeout of {seconds:g} s", seconds=seconds)


class _StepNames:
    """Runs the steps of one attempt, which no row remembers, each name once."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    async def once(self, name: str, run: Callable[[], Any]) -> Any:
        check_step_name(name)
        if name in self._names:
            raise ConfigError(
                f"step {name!r} is there twice in one attempt; tell them apart by name, such as '{name}:42'"
            )
        self._names.add(name)
        try:
            return await step_value(name, run)
        except BaseException:
            # What has failed may be tried again.
            self._names.discard(name)
            raise


async def _check_progress(values: Mapping[str, Any]) -> None:
    # Progress has no row to go to; that it could not be stored is found out all the same.
    _row_text("progress", plain_metadata(values))


def _row_text(what: str, plain: Any) -> str:
    """Write JSON values as a row holds them.

    Raises:
        NotStorable: No row can hold them.
    """
    try:
        return json.dumps(plain, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise NotStorable(f"{what} cannot be stored: {error}") from error
