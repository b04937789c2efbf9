"""The notifiers this process knows, by their keys: jobs and rows name a notifier by its key, never by its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chimeway.errors import NotifierInvalid

_NOTIFIERS: dict[str, type[Any]] = {}


def notifiers() -> Mapping[str, type[Any]]:
    """Give the notifiers declared so far, by key."""
    return _NOTIFIERS


def register(key: str, notifier: type[Any]) -> None:
    """Add a notifier.

    Raises:
        NotifierInvalid: Another class has the key.
    """
    known = _NOTIFIERS.get(key)
    # A module that is loaded twice declares the same class again, which is no clash.
    if (
        known is not None
        and _home(known) != _home(notifier)
        and not (
            "__main__" in {known.__module__, notifier.__module__}
            and known.__qualname__ == notifier.__qualname__
        )
    ):
        raise NotifierInvalid(
            f"two notifiers have the key {key!r}: {_home(known)} and {_home(notifier)}; give one another notification_key"
        )
    _NOTIFIERS[key] = notifier


def _home(notifier: type[Any]) -> str:
    return f"{notifier.__module__}.{notifier.__qualname__}"
