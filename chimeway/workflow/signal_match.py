"""`SignalMatch`: which signals a wait gate listens to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chimeway.workflow.conditions import MISSING, is_same, lookup

#: What a signal may be called.
EVENT_NAME = re.compile(r"[A-Za-z_][\w.:-]{0,99}")
#: Signals that tell of one notification or of its delivery, by how their names begin.
OF_A_NOTIFICATION = ("chimeway.notification.", "chimeway.delivery.")
#: The signal that a person's decision is.
APPROVAL = "chimeway.approval"
#: How the names begin of what chimeway tells by itself, and those names.
OWN = "chimeway."
OWN_SIGNALS = frozenset(
    {
        APPROVAL,
        *(f"chimeway.notification.{word}" for word in ("seen", "read")),
        *(f"chimeway.delivery.{word}" for word in ("succeeded", "bounced", "failed")),
    }
)
#: What a match may take from the run, besides `$params.NAME`.
FROM_THE_RUN = ("$notification_id", "$run_id", "$event_id")
PARAMS = "$params."


@dataclass(frozen=True, slots=True)
class SignalMatch:
    """Signals of the notification's recipient with one name, and with some values in their payload.

    `SignalMatch("comment.answered", {"comment_id": "$params.comment_id"})`; a plain name stands for one without values.
    Values are compared as in a condition: a number does not match its text, so tell 7 where 7 is waited for and not "7", and
    1 does not match true; 1 and 1.0 are the same.
    """

    event_name: str
    #: The payload's fields and what they must be: a JSON value, or `$notification_id`, `$run_id`, `$event_id`,
    #: `$params.NAME` of the run that waits. None means, for `chimeway.notification.*` and `chimeway.delivery.*`, those of
    #: the run's own notification, and for any other name every one of the recipient's.
    match: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        match = default_match(self.event_name) if self.match is None else self.match
        object.__setattr__(self, "match", dict(match) if isinstance(match, Mapping) else match)

    def __hash__(self) -> int:
        """Hash it by its name: what it matches need not be hashable."""
        return hash(self.event_name)

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the payload must have."""
        return self.match or {}

    @property
    def is_bound(self) -> bool:
        """Whether only signals about the one run match, so that the time they tell decides nothing."""
        return any(value in FROM_THE_RUN for value in self.fields.values() if isinstance(value, str))

    @property
    def needs_params(self) -> bool:
        """Whether it compares with a parameter of the trigger."""
        return any(str(value).startswith(PARAMS) for value in self.fields.values())


def default_match(event_name: str) -> Mapping[str, Any]:
    """Give what a signal must match when nothing is said of it."""
    about_one = isinstance(event_name, str) and event_name.startswith(OF_A_NOTIFICATION)
    return {"notification_id": "$notification_id"} if about_one else {}


def resolved(match: SignalMatch, known: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Put the run's own values in; None if one is not there, so that nothing matches.

    Args:
        match: Of the declaration.
        known: `notification_id`, `run_id`, `event_id` and `params`.
    """
    fields = {name: _value(value, known) for name, value in match.fields.items()}
    return None if any(value is MISSING for value in fields.values()) else fields


def payload_matches(fields: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """Say whether a payload has these values, compared as conditions compare: 7 and "7" differ, and so do 1 and true."""
    return all(is_same(payload.get(name, MISSING), value) for name, value in fields.items())


def approval_key(run_id: str, step_key: str) -> str:
    """Give the key under which a step is decided once, by which a decision is known to be one."""
    return f"{APPROVAL}:{run_id}:{step_key}"


def _value(value: Any, known: Mapping[str, Any]) -> Any:
    taken = isinstance(value, str) and (value in FROM_THE_RUN or value.startswith(PARAMS))
    return lookup(known, value.removeprefix("$")) if taken else value
