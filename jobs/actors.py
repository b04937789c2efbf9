"""`@jobs.actor`: turns a function into something that can be sent, kept and run by a worker."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import update_wrapper
from typing import Any, Generic, Never, ParamSpec, TypeVar, cast, overload

from aquila.errors import ConfigError
from jobs.arguments import REFUSED_NAMES, plain_metadata
from jobs.budget import Budget
from jobs.cassettes import cassette_of_call
from jobs.context import JobContext, current, running
from jobs.registry import ActorSpec, check_options, declare
from jobs.sending import Sender, SendOptions, check_due, check_tags
from jobs.stock import note_stock_command
from jobs.unique import Unique

P = ParamSpec("P")
R = TypeVar("R")

#: What users of other runners look for, and how it is called here.
_OTHER_NAMES = {
    "max_retries": "max_attempts (retries + 1)",
    "min_backoff": "backoff (seconds)",
    "name": "actor_name",
    "queue": "queue_name",
    "broker": "jobs.configure(...)",
    "time_limit": "timeout (seconds of one attempt)",
}


class Actor(Sender[P], Generic[P, R]):
    """A function that a worker runs. Calling it runs the function here and now, without any job."""

    def __init__(self, fn: Callable[P, R], spec: ActorSpec) -> None:
        options = SendOptions(
            priority=spec.priority, max_attempts=spec.max_attempts, timeout=spec.timeout, budget=spec.budget
        )
        super().__init__(spec, options)
        update_wrapper(self, fn)
        #: The function itself.
        self.fn = fn
        #: What was said when it was declared.
        self.spec = spec

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, without a job; with the cassette in effect, else with the actor's."""
        if current().id:
            return self.fn(*args, **kwargs)
        alone = JobContext(cassette=self.spec.cassette)
        if self.spec.is_async:
            return cast("R", _awaited(alone, cast("Awaitable[Any]", self.fn(*args, **kwargs))))
        with running(alone), cassette_of_call(self.spec.cassette):
            return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Actor({self.spec.actor_name!r}, queue_name={self.spec.queue_name!r})"

    def options(
        self,
        *,
        delay: float = 0.0,
        at: datetime | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        cassette: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        unique: str | Unique | None = None,
        timeout: float | None = None,
        budget: Budget | None = None,
    ) -> Sender[P]:
        """Say more about the next sends: `explain.options(delay=60.0).send("OTP")`.

        Args:
            delay: Seconds until the job is due.
            at: When it is due, an aware datetime; not together with `delay`.
            priority: 0 (first) to 3 (last) within its queue; None means the actor's.
            max_attempts: Attempts in all; None means the actor's.
            cassette: The cassette of the job's runs; None means the one in effect, else the actor's.
            metadata: JSON values kept in the row.
            tags: Words to find it by; shared budgets go by them.
            unique: A key: while a job of this actor with it has not ended, a further send adds none and gives its
                handle. `jobs.Unique(key, seconds=)` takes it for longer.
            timeout: Seconds that one attempt may take; None means the actor's.
            budget: What all attempts together may use; None means the actor's.

        Raises:
            ConfigError: A value cannot be used.
        """
        check_due(delay, at)
        chosen = replace(
            self._options,
            delay=delay,
            at=at,
            priority=self.spec.priority if priority is None else priority,
            max_attempts=self.spec.max_attempts if max_attempts is None else max_attempts,
            cassette=cassette,
            metadata=plain_metadata({} if metadata is None else metadata),
            tags=check_tags(tags),
            unique=_unique(unique),
            timeout=self.spec.timeout if timeout is None else timeout,
            budget=self.spec.budget if budget is None else _budget(budget),
        )
        check_options(self.spec.actor_name, chosen.max_attempts, chosen.priority, chosen.timeout)
        return Sender(self.spec, chosen)


@overload
def actor(fn: Callable[P, R], /) -> Actor[P, R]: ...
@overload
def actor(
    *,
    actor_name: str | None = None,
    queue_name: str = "default",
    max_attempts: int = 5,
    priority: int = 0,
    backoff: float = 2.0,
    throws: type[BaseException] | Sequence[type[BaseException]] = (),
    timeout: float | None = None,
    budget: Budget | None = None,
    cassette: str | None = None,
) -> Callable[[Callable[P, R]], Actor[P, R]]: ...
def actor(
    fn: Callable[P, R] | None = None,
    /,
    *,
    actor_name: str | None = None,
    queue_name: str = "default",
    max_attempts: int = 5,
    priority: int = 0,
    backoff: float = 2.0,
    throws: type[BaseException] | Sequence[type[BaseException]] = (),
    timeout: float | None = None,
    budget: Budget | None = None,
    cassette: str | None = None,
    **unknown: Never,
) -> Actor[P, R] | Callable[[Callable[P, R]], Actor[P, R]]:
    """Declare an actor: an async function runs on the worker's loop, a plain one in a thread. Opens nothing.

    Args:
        fn: The function, when the decorator is used without parentheses.
        actor_name: Its name in rows and messages; None means the function's.
        queue_name: Its queue; the worker's limit on jobs at once counts by queue.
        max_attempts: Attempts in all. Errors that no attempt can cure end the job at once.
        priority: 0 (first) to 3 (last) within the queue.
        backoff: Seconds until the second attempt; doubled for each further one, up to five minutes.
        throws: Errors that no other attempt cures: they end the job at once, as `jobs.Discard` does.
        timeout: Seconds that one attempt may take, whatever its runs are doing; None sets no limit.
        budget: What all attempts of a job together may use; None sets no limit.
        cassette: The cassette that its runs use when neither the send nor its surroundings name one. The row keeps it.
        unknown: Nothing; anything here is a mistake, and named.

    Raises:
        ConfigError: An option is unknown or cannot be used, or another actor has the name.
    """
    if unknown:
        name = min(unknown)
        hint = f"; here it is {_OTHER_NAMES[name]}" if name in _OTHER_NAMES else ""
        known = "actor_name, queue_name, max_attempts, priority, backoff, throws, timeout, budget, cassette"
        raise ConfigError(f"unknown option {name!r} of jobs.actor{hint}; the options are {known}")

    def decorate(function: Callable[P, R]) -> Actor[P, R]:
        _check_function(function)
        spec = ActorSpec(
            fn=function,
            actor_name=actor_name or function.__name__,
            queue_name=queue_name,
            max_attempts=max_attempts,
            priority=priority,
            backoff=backoff,
            throws=(throws,) if isinstance(throws, type) else tuple(throws),
            timeout=timeout,
            budget=budget,
            cassette=cassette,
        )
        declare(spec)
        note_stock_command(function.__module__)
        return Actor(function, spec)

    return decorate if fn is None else decorate(fn)


def _unique(given: str | Unique | None) -> Unique | None:
    if given is None or isinstance(given, Unique):
        return given
    return Unique(given)


def _budget(given: Budget) -> Budget:
    if not isinstance(given, Budget):
        raise ConfigError(f"budget={given!r} is a jobs.Budget(tokens=..., cost=...)")
    return given


def _check_function(function: Callable[..., Any]) -> None:
    """Refuse what no worker could run.

    Raises:
        ConfigError: It is an actor already, a generator, or has no name.
    """
    if isinstance(function, Actor):
        raise ConfigError(f"{function.spec.actor_name} is an actor already; declare it once")
    if not inspect.isfunction(function):
        raise ConfigError(
            f"jobs.actor takes a function, not {function!r}; wrap it in one: def NAME(...): ..."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(
            f"{function.__qualname__}() is a generator, which nobody would read; return its values, or stream them "
            "with aquila.stream"
        )
    refused = REFUSED_NAMES.intersection(inspect.signature(function).parameters)
    if refused:
        raise ConfigError(
            f"{function.__qualname__}() takes {min(refused)!r}, which no row may hold; "
            "let it come from the worker's environment"
        )


async def _awaited(context: JobContext, result: Awaitable[Any]) -> Any:
    with running(context), cassette_of_call(context.cassette):
        return await result
