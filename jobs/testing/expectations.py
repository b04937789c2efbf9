"""What a test says of a job, checked: what no job could be like must not pass for a job that is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, TypedDict

from aquila.errors import ConfigError
from jobs.actors import Actor
from jobs.arguments import plain_metadata
from jobs.registry import PRIORITIES, ActorSpec, actors, is_seconds
from jobs.sending import Sender, check_tags
from jobs.settings import QUEUE_NAME
from jobs.testing.matching import Wanted, named_arguments
from jobs.unique import Unique

#: Seconds by which a job's time may differ from the expected one.
TOLERANCE = 5.0


class Expected(TypedDict, total=False):
    """What a test may say of a job, beside its actor. What it does not say may be anything."""

    #: Arguments; `("OTP",)` and `kwargs={"topic": "OTP"}` say the same. Those that are not named may be anything.
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    queue_name: str
    priority: int
    #: When it is due, give or take `tolerance` seconds.
    scheduled_at: datetime
    tolerance: float
    #: It has these tags, and perhaps others.
    tags: Sequence[str]
    #: Its unique key.
    unique: str | Unique
    #: It has these values, and perhaps others.
    metadata: Mapping[str, Any]


def wanted_by(actor: Actor[..., Any] | str | None, expected: Expected) -> Wanted:
    """Give what a test asks for.

    Args:
        actor: The job's actor, or the name of it; None means any.
        expected: What else it is like.

    Raises:
        ConfigError: No job could be like that.
        TypeError: The arguments do not fit the actor's function.
    """
    unknown = expected.keys() - Expected.__annotations__.keys()
    if unknown:
        raise ConfigError(
            f"unknown expectation {min(unknown)!r}; there are {', '.join(Expected.__annotations__)}; "
            "an actor's arguments go into args= and kwargs="
        )
    spec = _spec(actor)
    return Wanted(
        actor_name=None if spec is None else spec.actor_name,
        fn=None if spec is None else spec.fn,
        arguments=_arguments(spec, expected),
        queue_name=_queue_name(expected.get("queue_name")),
        priority=_priority(expected.get("priority")),
        scheduled_at=_time(expected.get("scheduled_at")),
        tolerance=_tolerance(expected.get("tolerance", TOLERANCE)),
        tags=check_tags(expected.get("tags", ())),
        unique=_key(expected.get("unique")),
        metadata=plain_metadata(expected.get("metadata", {})),
    )


def _spec(actor: object) -> ActorSpec | None:
    if actor is None:
        return None
    if isinstance(actor, Actor):
        return actor.spec
    if isinstance(actor, Sender):
        raise ConfigError(
            "give the actor itself, without options(...); what these say is asked for by name: priority=1"
        )
    if not isinstance(actor, str):
        raise ConfigError(f"{actor!r} is no actor; give what @jobs.actor made, or the name of it")
    known = actors()
    if actor not in known:
        near = get_close_matches(actor, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else "import the module that declares it"
        raise ConfigError(f"no actor {actor!r} is declared here; {hint}")
    return known[actor]


def _arguments(spec: ActorSpec | None, expected: Expected) -> dict[str, Any]:
    if "args" not in expected and "kwargs" not in expected:
        return {}
    if spec is None:
        raise ConfigError(
            "args= and kwargs= are those of an actor; name it first: assert_enqueued(explain, args=...)"
        )
    args, kwargs = expected.get("args", ()), expected.get("kwargs", {})
    if isinstance(args, str | bytes) or not isinstance(args, Sequence):
        raise ConfigError(f"args={args!r} is no list of arguments; write args=({args!r},)")
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise ConfigError(f"kwargs={kwargs!r} must be a dict of arguments by their names")
    return named_arguments(spec.fn, args, kwargs)


def _queue_name(given: object) -> str | None:
    if given is None or (isinstance(given, str) and QUEUE_NAME.fullmatch(given)):
        return given
    raise ConfigError(f"queue_name={given!r} must be a queue's name: letters, digits, '_' and '-'")


def _priority(given: object) -> int | None:
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given in PRIORITIES):
        return given
    raise ConfigError(f"priority={given!r} must be 0 (first) to {PRIORITIES[-1]} (last)")


def _time(given: object) -> datetime | None:
    if given is None:
        return None
    if not isinstance(given, datetime):
        raise ConfigError(f"scheduled_at={given!r} must be an aware datetime")
    if given.tzinfo is None:
        raise ConfigError(f"scheduled_at={given.isoformat()} has no time zone; use an aware datetime")
    return given


def _tolerance(given: float) -> float:
    if not is_seconds(given):
        raise ConfigError(f"tolerance={given!r} must be seconds from zero")
    return given


def _key(given: str | Unique | None) -> str | None:
    if given is None or isinstance(given, Unique):
        return None if given is None else given.key
    return Unique(given).key
