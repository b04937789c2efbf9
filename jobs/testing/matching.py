"""Whether a job is what a test expects, and where it differs. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aquila.errors import ConfigError
from jobs.arguments import plain_result, unpack
from jobs.rows import Job


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a test says of a job. What it does not say may be anything."""

    actor_name: str | None = None
    #: The actor's function, by which a call's arguments get their names.
    fn: Callable[..., Any] | None = None
    #: The arguments by their names.
    arguments: Mapping[str, Any] = field(default_factory=dict)
    queue_name: str | None = None
    priority: int | None = None
    scheduled_at: datetime | None = None
    #: Seconds by which `scheduled_at` may be missed.
    tolerance: float = 0.0
    tags: Sequence[str] = ()
    unique: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about a job that is not as expected."""

    what: str
    found: Any
    wanted: Any


def named_arguments(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments of a call, which may be but a part of it, by name and as JSON values.

    Raises:
        ConfigError: One of them is nothing that a job could hold.
        TypeError: They do not fit the function.
    """
    named = _flat(inspect.signature(fn).bind_partial(*args, **kwargs))
    return {name: _plain(fn, name, value) for name, value in named.items()}


def call_of(fn: Callable[..., Any], stored: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the arguments of a stored call by name; None if they no longer fit the function."""
    try:
        return _flat(inspect.signature(fn).bind(*stored["args"], **stored["kwargs"]))
    except TypeError:
        return None


def differences(wanted: Wanted, job: Job) -> list[Difference]:
    """Give every difference between a job and what is wanted; none if it is that job."""
    found = [] if wanted.scheduled_at is None else _time_differences(wanted, wanted.scheduled_at, job)
    if wanted.actor_name is not None and job.actor_name != wanted.actor_name:
        # The arguments of another function say nothing.
        found.append(Difference("the actor", job.actor_name, wanted.actor_name))
    elif wanted.fn is not None and wanted.arguments:
        found += _argument_differences(wanted.fn, wanted.arguments, job.arguments)
    plain = {"queue_name": job.queue_name, "priority": job.priority, "unique": _key(job)}
    for name, value in plain.items():
        expected = getattr(wanted, name)
        if expected is not None and value != expected:
            found.append(Difference(name, value, expected))
    if not set(wanted.tags) <= set(job.tags):
        found.append(Difference("tags", list(job.tags), list(wanted.tags)))
    for name, value in wanted.metadata.items():
        if (known := job.metadata.get(name, MISSING)) != value:
            found.append(Difference(f"metadata {name!r}", known, value))
    return found


def nearest(wanted: Wanted, found: Sequence[Job]) -> tuple[Job, list[Difference]] | None:
    """Give the job that differs least, and how; None if there is none, or none of the actor."""
    same = [job for job in found if wanted.actor_name in {None, job.actor_name}]
    told = [(job, differences(wanted, job)) for job in same]
    return min(told, key=lambda pair: len(pair[1]), default=None)


def _time_differences(wanted: Wanted, due: datetime, job: Job) -> list[Difference]:
    off = abs((job.scheduled_at - due).total_seconds())
    return [Difference("scheduled_at", job.scheduled_at, due)] if off > wanted.tolerance else []


def _argument_differences(
    fn: Callable[..., Any], wanted: Mapping[str, Any], stored: Mapping[str, Any]
) -> list[Difference]:
    call = call_of(fn, stored)
    if call is None:
        return [Difference("the arguments", dict(stored), dict(wanted))]
    expected = {**call, **wanted}
    defaults = {name: one.default for name, one in inspect.signature(fn).parameters.items()}
    left_out = {name: defaults.get(name, inspect.Parameter.empty) for name in wanted if name not in call}
    call |= {name: value for name, value in left_out.items() if value is not inspect.Parameter.empty}
    differing = [name for name in wanted if call.get(name, MISSING) != expected[name]]
    if differing:
        # A model may have been written with and without its defaults, and is the same.
        made, wished = _made(fn, call), _made(fn, expected)
        differing = [name for name in differing if made.get(name, MISSING) != wished.get(name, MISSING)]
    return [Difference(name, call.get(name, MISSING), wanted[name]) for name in differing]


def _flat(bound: inspect.BoundArguments) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            flat |= value
        else:
            flat[name] = list(value) if kind is inspect.Parameter.VAR_POSITIONAL else value
    return flat


def _made(fn: Callable[..., Any], call: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(fn)
    bound = signature.bind_partial()
    rest = {name: value for name, value in call.items() if name not in signature.parameters}
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            bound.arguments[name] = rest
        elif name in call:
            bound.arguments[name] = call[name]
    try:
        args, kwargs = unpack(fn, {"args": bound.args, "kwargs": bound.kwargs})
        return named_arguments(fn, args, kwargs)
    except ConfigError:
        return dict(call)


def _plain(fn: Callable[..., Any], name: str, value: Any) -> Any:
    try:
        return plain_result(value)
    except ConfigError as error:
        said = str(error).removeprefix("the result of the actor ")
        raise ConfigError(f"argument {name!r} of {fn.__qualname__}() {said}") from error


def _key(job: Job) -> str | None:
    return None if job.unique_key is None else job.unique_key.removeprefix(f"{job.actor_name}:")
