"""What a trigger is given besides its recipients, checked before anything is stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chimeway.errors import NotifierInvalid
from jobs.sqltypes import storable

#: Characters that rows keep.
LONGEST_KEY, LONGEST_TENANT = 255, 100


@dataclass(frozen=True, slots=True)
class Keys:
    """What a trigger is known by, checked.

    Raises:
        NotifierInvalid: One is no text, blank, or too long.
    """

    tenant_id: str
    idempotency_key: str | None
    correlation_id: str | None
    cancellation_key: str | None

    def __post_init__(self) -> None:
        checked_tenant(self.tenant_id)
        for name in ("idempotency_key", "correlation_id", "cancellation_key"):
            checked_key(name, getattr(self, name))


def checked_key(name: str, value: str | None) -> str | None:
    """Give a key back if it can be one; None stays None.

    Raises:
        NotifierInvalid: It is no text, blank, or too long.
    """
    return None if value is None else _text(name, value, LONGEST_KEY)


def checked_tenant(value: str) -> str:
    """Give a tenant's id back if it can be one.

    Raises:
        NotifierInvalid: It is no text, blank, or too long.
    """
    return _text("tenant_id", value, LONGEST_TENANT)


def checked_params(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Give the parameters back if they have names.

    Raises:
        NotifierInvalid: They are no mapping, or a name is no text.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise NotifierInvalid(
            f"params is a mapping of names to values, {{'name': ...}}, not {type(given).__name__}"
        )
    for name in given:
        if not isinstance(name, str):
            raise NotifierInvalid(f"params has the name {name!r}; names are texts")
    return given


def _text(name: str, value: str, longest: int) -> str:
    if not isinstance(value, str):
        raise NotifierInvalid(f"{name}={value!r} is a text, not {type(value).__name__}; write str(...)")
    if not value.strip() or len(value) > longest:
        raise NotifierInvalid(
            f"{name} has 1 to {longest} characters and is not blank; {len(value)} were given"
        )
    if value != storable(value):
        raise NotifierInvalid(f"{name} holds a character that no database keeps: NUL, or half of a pair")
    return value
