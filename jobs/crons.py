"""`@jobs.cron`: declares that an actor's job is added at set times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from aquila.errors import ConfigError
from jobs.arguments import pack
from jobs.new_job import NewJob
from jobs.registry import ACTOR_NAME, ActorSpec
from jobs.sending import Sender
from jobs.ticks import MISSED, Missed, Schedule, parse

S = TypeVar("S", bound=Sender[Any])

#: Characters of a cron's name, and of a name and its schedule together: what the tables hold.
LONGEST_NAME = 58
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A declared cron."""

    name: str
    schedule: Schedule
    missed: Missed
    sender: Sender[Any]
    spec: ActorSpec
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Under which its last tick is kept: with another schedule it is another cron, which has no ticks to make up for."""
        return f"{self.name}@{self.schedule}"

    @property
    def leader(self) -> str:
        """The name under which one worker leads it. One that does not know this cron does not try."""
        return f"cron:{self.name}"

    def message(self) -> NewJob:
        """Make the job of a tick, but for its id and metadata.

        Raises:
            ConfigError: The arguments cannot be stored, or the environment has a value that cannot be used.
            CassetteError: It is not clear which cassette is in effect.
        """
        message: NewJob = self.sender.message(*self.args, **self.kwargs)
        return message


_CRONS: dict[str, Cron] = {}


def crons() -> Mapping[str, Cron]:
    """Give the crons declared so far, by name."""
    return _CRONS


def cron(
    expression: str,
    *,
    tz: str = "UTC",
    missed: Missed = "latest",
    name: str | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Callable[[S], S]:
    """Add a job of an actor at set times, each once however many workers run. Stands above `@jobs.actor`.

    Args:
        expression: Five fields (`*/5 * * * *`), six with the seconds first, or a name such as `@daily`.
        tz: The time zone whose clock it means, by its IANA name.
        missed: What becomes of ticks that passed while no worker was up: the last one is made up for, `"all"` of them
            are (the newest thousand at most), or `"skip"` leaves them out.
        name: The cron's name in rows and logs; None means the actor's. A further cron of one actor needs one.
        args: The positional arguments of each send.
        kwargs: The named ones.

    Returns:
        A decorator of an actor, or of `actor.options(...)`, that gives it back unchanged.

    Raises:
        ConfigError: The expression, the zone or the name cannot be used, or another cron has the name.
        TypeError: The arguments do not fit the actor's function.
    """
    schedule = parse(expression, tz)
    if missed not in MISSED:
        raise ConfigError(f"missed={missed!r} of a cron must be one of {', '.join(MISSED)}")
    if isinstance(args, str):
        raise ConfigError(f"args={args!r} of a cron is one text; write args=[{args!r}]")

    def decorate(sender: S) -> S:
        if not isinstance(sender, Sender):
            raise ConfigError(
                f"jobs.cron takes an actor, not {sender!r}: write @jobs.cron(...) in the line above @jobs.actor"
            )
        spec, options = sender._spec, sender._options  # noqa: SLF001 - what a sender knows of its sends
        if options.at is not None:
            raise ConfigError(f"a cron of {spec.actor_name} says itself when its jobs are due; leave at= out")
        new = Cron(
            name=spec.actor_name if name is None else name,
            schedule=schedule,
            missed=missed,
            sender=sender,
            spec=spec,
            args=tuple(args),
            kwargs=dict(kwargs or {}),
        )
        # Told where it can be mended, not by a worker at night.
        pack(spec.fn, new.args, new.kwargs)
        _declare(new)
        return sender

    return decorate


def reschedule(name: str, expression: str, *, tz: str | None = None) -> None:
    """Give a declared cron other times: in each process that works, which takes them up within seconds if it runs.

    With other times it begins anew, and has no ticks to make up for.

    Args:
        name: The cron's name.
        expression: What `cron` takes.
        tz: The time zone; None leaves it as it is.

    Raises:
        ConfigError: No cron has the name, or the expression or the zone cannot be used.
    """
    known = _CRONS.get(name)
    if known is None:
        raise ConfigError(f"no cron is called {name!r}; import the module that declares it before")
    new = replace(known, schedule=parse(expression, known.schedule.tz if tz is None else tz))
    _check_key(new)
    _CRONS[name] = new


def _check_key(new: Cron) -> None:
    if len(new.key) > LONGEST_KEY:
        raise ConfigError(f"the cron expression of {new.name!r} is too long; split it into two crons")


def _declare(new: Cron) -> None:
    if len(new.name) > LONGEST_NAME or not ACTOR_NAME.fullmatch(new.name):
        raise ConfigError(
            f"the cron name {new.name!r} may hold up to {LONGEST_NAME} letters, digits, '_', '.', ':' and '-', "
            "and begins with a letter; give it a name="
        )
    _check_key(new)
    known = _CRONS.get(new.name)
    if known is not None and not _replaces(new, known):
        raise ConfigError(
            f"two crons are called {new.name!r}: of {known.spec.home} at {known.schedule} and of {new.spec.home} "
            f"at {new.schedule}; give one a name="
        )
    _CRONS[new.name] = new


def _replaces(new: Cron, known: Cron) -> bool:
    """Say whether it is the same cron: declared once more, or by a module that is loaded twice."""
    if new.spec.fn is known.spec.fn:
        return (new.schedule, new.args, new.kwargs) == (known.schedule, known.args, known.kwargs)
    return new.spec.home == known.spec.home or "__main__" in {
        new.spec.fn.__module__,
        known.spec.fn.__module__,
    }
