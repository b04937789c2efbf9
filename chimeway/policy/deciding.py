"""`decide`: whether a delivery may go out, now, later or never. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from chimeway.policy.facts import PolicyFacts
from chimeway.policy.preference import Preference
from chimeway.policy.quiet_hours import defer_until

#: When it is decided: as the delivery is planned, and again as it is about to be sent.
Checkpoint = Literal["planning", "perform"]
#: Why something is not sent, or not yet. `no_address` is found out by whoever looks for the address.
Reason = Literal[
    "channel_disabled",
    "category_disabled",
    "throttled",
    "delivery_cap_reached",
    "quiet_hours",
    "already_read",
    "cancelled_by_signal",
    "no_address",
]


@dataclass(frozen=True, slots=True)
class Proceed:
    """It goes out."""


@dataclass(frozen=True, slots=True)
class Suppress:
    """It never goes out."""

    reason: Reason
    #: Facts that go with the reason, as JSON values.
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Defer:
    """It goes out later, if nothing speaks against it then."""

    until: datetime
    reason: Reason
    #: Facts that go with the reason, as JSON values.
    context: Mapping[str, Any] = field(default_factory=dict)


Decision: TypeAlias = Proceed | Suppress | Defer
_Check: TypeAlias = Callable[[PolicyFacts, datetime], "Suppress | Defer | None"]


def decide(checkpoint: Checkpoint, facts: PolicyFacts, now: datetime) -> Decision:
    """Say what becomes of a delivery. The first that speaks against it decides.

    In this order: the recipient's preference about the channel, that about the category, the notifier's throttle, the
    recipient's cap, the recipient's quiet hours; and when it is about to be sent, whether it was read, and whether a signal
    has taken it back.

    Args:
        checkpoint: Whether it is being planned or about to be sent.
        facts: What is known.
        now: The time.

    Raises:
        ConfigError: This machine does not know the recipient's time zone.
    """
    for check in _CHECKS[checkpoint]:
        if (against := check(facts, now)) is not None:
            return against
    return Proceed()


def _channel_preference(facts: PolicyFacts, _now: datetime) -> Suppress | None:
    return None if facts.critical else _refused("channel_disabled", facts.channel_preference)


def _category_preference(facts: PolicyFacts, _now: datetime) -> Suppress | None:
    return None if facts.critical else _refused("category_disabled", facts.category_preference)


def _refused(reason: Reason, preference: Preference | None) -> Suppress | None:
    if preference is None or preference.enabled:
        return None
    return Suppress(reason, {"preference": preference.to_dict()})


def _throttle(facts: PolicyFacts, _now: datetime) -> Suppress | None:
    # It is the notifier's own word, so it holds for what is critical as well.
    throttle = facts.throttle
    if throttle is None or facts.held or facts.throttle_count < throttle.limit:
        return None
    return Suppress("throttled", {**throttle.to_dict(), "others": facts.throttle_count})


def _cap(facts: PolicyFacts, _now: datetime) -> Suppress | None:
    if facts.cap is None or not facts.disturbs or facts.cap_count < facts.cap.count:
        return None
    return Suppress("delivery_cap_reached", {**facts.cap.to_dict(), "others": facts.cap_count})


def _quiet_hours(facts: PolicyFacts, now: datetime) -> Defer | None:
    if facts.quiet_hours is None or not facts.disturbs:
        return None
    until = defer_until(facts.quiet_hours, now)
    return None if until is None else Defer(until, "quiet_hours", facts.quiet_hours.to_dict())


def _already_read(facts: PolicyFacts, _now: datetime) -> Suppress | None:
    if not facts.only_unread or facts.read_at is None:
        return None
    return Suppress("already_read", {"read_at": facts.read_at.isoformat()})


def _cancelled(facts: PolicyFacts, _now: datetime) -> Suppress | None:
    by = facts.cancelled_by
    if by is None:
        return None
    return Suppress("cancelled_by_signal", {"signal": by.event_name, "signal_id": by.signal_id})


_PLANNING: tuple[_Check, ...] = (_channel_preference, _category_preference, _throttle, _cap, _quiet_hours)
_CHECKS: Mapping[Checkpoint, tuple[_Check, ...]] = {
    "planning": _PLANNING,
    "perform": (*_PLANNING, _already_read, _cancelled),
}
