"""What comes after a step: `On`, `Stop` and `Wait`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from chimeway.errors import NotifierInvalid
from chimeway.workflow.listed import list_problem
from chimeway.workflow.signal_match import SignalMatch

#: Any outcome that a step ends with.
ANY = "*"


@dataclass(frozen=True, slots=True)
class On:
    """When the step comes out so, a later step follows: `On("bounced", to="sms")`.

    `temporary_failure` follows at the first attempt that fails, while the delivery goes on being tried: the recipient may
    get both. Any other outcome is the step's last word; `*` is any of them.
    """

    outcome: str
    to: str = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Stop:
    """When the step comes out so, the run stops: `Stop("bounced")`."""

    outcome: str


@dataclass(frozen=True, slots=True, init=False)
class Wait:
    """A wait gate: the run pauses, from the moment at which the step has ended, until the time is over or a signal comes.

    `On` and `Stop` go before it, also while it waits: a bounce that is told late is not overlooked.
    """

    #: How long, all in all.
    seconds: float
    #: The step that follows when the time is over; None: the run is complete then.
    to: str | None
    #: Signals that stop the run.
    cancel_on: tuple[SignalMatch, ...]
    #: Signals that lead to a step at once.
    on_signal: tuple[tuple[SignalMatch, str], ...]

    def __init__(
        self,
        *,
        to: str | None = None,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        delay: timedelta | None = None,
        cancel_on: Iterable[str | SignalMatch] = (),
        on_signal: Mapping[str, str] | Mapping[SignalMatch, str] | None = None,
    ) -> None:
        """Say how long, and what ends it.

        Args:
            to: The step that follows when the time is over; None: the run is complete then.
            days: How long.
            hours: How long, added to the others.
            minutes: How long, added to the others.
            seconds: How long, added to the others.
            delay: How long, added to the others.
            cancel_on: Signals that stop the run: names, or what `SignalMatch` makes.
            on_signal: Signals that lead to a step at once, and those steps.

        Raises:
            NotifierInvalid: A time is no number.
        """
        try:
            given = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds) + (
                delay or timedelta()
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise NotifierInvalid(
                f"Wait: {error}; days, hours, minutes and seconds are numbers, and delay is a timedelta"
            ) from error
        listed: Any = [cancel_on] if isinstance(cancel_on, str) else cancel_on
        object.__setattr__(self, "seconds", given.total_seconds())
        object.__setattr__(self, "to", to)
        # What cannot be read stays as it was given: the workflow refuses it, and can say at which step.
        if list_problem("cancel_on", listed) is None:
            listed = tuple(_as_match(one) for one in listed)
        jumps: Any = {} if on_signal is None else on_signal
        if isinstance(jumps, Mapping):
            jumps = tuple((_as_match(one), step) for one, step in jumps.items())
        object.__setattr__(self, "cancel_on", listed)
        object.__setattr__(self, "on_signal", jumps)

    @property
    def listens(self) -> tuple[SignalMatch, ...]:
        """What it listens to, that which stops the run first."""
        return (*self.cancel_on, *(match for match, _to in self.on_signal))


Rule: TypeAlias = On | Stop | Wait


def _as_match(given: Any) -> SignalMatch:
    return given if isinstance(given, SignalMatch) else SignalMatch(given)
