"""The actors this process knows, by name. Declaring one chooses no broker and opens nothing."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aquila.errors import ConfigError
from jobs.budget import Budget
from jobs.settings import DEFAULT_QUEUES, QUEUE_NAME, check_queues

#: Priorities a job may have; the lower number goes first.
PRIORITIES = range(4)
#: Seconds; no database's calendar ends before.
LONGEST_DELAY = 315_360_000
MOST_ATTEMPTS = 1_000_000
ACTOR_NAME = re.compile(r"[A-Za-z_][\w.:-]*")
#: Actors that every worker knows; those of `jobs.llm`.
OWN_ACTORS = frozenset({"generate_summary", "run_batch", "stream_prompt", "transcribe"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorSpec:
    """What was said of an actor when it was declared."""

    fn: Callable[..., Any]
    actor_name: str
    queue_name: str
    max_attempts: int
    priority: int
    #: The first back-off in seconds; it doubles with each attempt, up to five minutes.
    backoff: float
    #: Errors that end a job at once.
    throws: tuple[type[BaseException], ...]
    #: Seconds that one attempt may take; None sets no limit.
    timeout: float | None
    #: What all attempts of a job together may use; None sets no limit.
    budget: Budget | None
    cassette: str | None

    @property
    def is_async(self) -> bool:
        """Whether it runs on the worker's loop; else it runs in a thread."""
        return inspect.iscoroutinefunction(self.fn)

    @property
    def home(self) -> str:
        """Where the function stands: `package.module.function`."""
        return f"{self.fn.__module__}.{self.fn.__qualname__}"


_ACTORS: dict[str, ActorSpec] = {}
#: Jobs at once in one worker process, by queue, as the libraries want it whose queues these are.
_LIMITS: dict[str, int] = {}


def actors() -> Mapping[str, ActorSpec]:
    """Give the actors declared so far, by name."""
    return _ACTORS


def declare(spec: ActorSpec) -> None:
    """Add an actor.

    Raises:
        ConfigError: A value cannot be used, or another function has the name.
    """
    if not ACTOR_NAME.fullmatch(spec.actor_name):
        raise ConfigError(f"actor name {spec.actor_name!r} may hold letters, digits, '_', '.', ':' and '-'")
    if not QUEUE_NAME.fullmatch(spec.queue_name):
        raise ConfigError(
            f"queue_name {spec.queue_name!r} of {spec.actor_name} may hold letters, digits, '_' and '-'"
        )
    for what, value, most in (
        ("actor_name", spec.actor_name, 255),
        ("queue_name", spec.queue_name, 64),
        ("cassette", spec.cassette or "", 255),
    ):
        if len(value) > most:
            raise ConfigError(
                f"{what} of {spec.actor_name[:40]} has {len(value)} characters, and may have {most}"
            )
    _check_kinds(spec)
    check_options(spec.actor_name, spec.max_attempts, spec.priority, spec.timeout)
    if not is_seconds(spec.backoff):
        raise ConfigError(f"backoff of {spec.actor_name} is seconds from zero, not {spec.backoff!r}")
    known = _ACTORS.get(spec.actor_name)
    # A module that is loaded twice declares the same function again, which is no clash.
    if (
        known is not None
        and known.home != spec.home
        and "__main__" not in {known.fn.__module__, spec.fn.__module__}
    ):
        raise ConfigError(
            f"two actors are called {spec.actor_name!r}: {known.home} and {spec.home}; give one an actor_name"
        )
    _ACTORS[spec.actor_name] = spec


def declare_queue(name: str, *, limit: int) -> None:
    """Say how many jobs of a queue one worker process runs at once, for a library that has queues of its own.

    It holds where neither `jobs.configure(queues=)` nor `aquila worker --queues` names the queue: the host has the last word.

    Args:
        name: The queue. Those that every worker has, "default" and "llm", are the host's.
        limit: Jobs at once.

    Raises:
        ConfigError: The name or the limit cannot be used, or the queue was declared with another limit.
    """
    check_queues({name: limit})
    if name in DEFAULT_QUEUES:
        raise ConfigError(
            f"the queue {name!r} is the host's; declare one of your own, or use jobs.configure(queues=)"
        )
    known = _LIMITS.setdefault(name, limit)
    if known != limit:
        raise ConfigError(
            f"the queue {name!r} is declared with the limit {known} already, and not with {limit}"
        )


def declared_limits() -> Mapping[str, int]:
    """Give the limits declared so far, by queue."""
    return _LIMITS


def _check_kinds(spec: ActorSpec) -> None:
    for kind in spec.throws:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ConfigError(f"throws of {spec.actor_name} holds {kind!r}, which is no class of errors")
    if spec.budget is not None and not isinstance(spec.budget, Budget):
        raise ConfigError(f"budget of {spec.actor_name} is a jobs.Budget(...), not {spec.budget!r}")


def is_seconds(value: object) -> bool:
    """Say whether a value is a finite number of seconds from zero."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value) and value >= 0
    except OverflowError:
        return False


def check_options(actor_name: str, max_attempts: int, priority: int, timeout: float | None) -> None:
    """Check what both a declaration and a send may say.

    Raises:
        ConfigError: A value cannot be used.
    """
    if (
        not isinstance(max_attempts, int)
        or isinstance(max_attempts, bool)
        or not 1 <= max_attempts <= MOST_ATTEMPTS
    ):
        raise ConfigError(f"max_attempts of {actor_name} is 1 to {MOST_ATTEMPTS}, not {max_attempts!r}")
    if priority not in PRIORITIES:
        raise ConfigError(
            f"priority of {actor_name} is 0 (first) to {PRIORITIES[-1]} (last), not {priority!r}"
        )
    if timeout is not None and not (is_seconds(timeout) and 0 < timeout <= LONGEST_DELAY):
        raise ConfigError(f"timeout of {actor_name} is seconds above zero, or None, not {timeout!r}")
