"""`Preference`: what a recipient wants, and which of several decides. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A yes or a no of a recipient's, to all that has the names it gives."""

    enabled: bool
    #: None means every one.
    channel: str | None = None
    #: None means every one, or that it is about a category.
    notification_key: str | None = None
    category: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values, without the names that it leaves open."""
        named = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in named.items() if value is not None}


def channel_preference(known: Iterable[Preference], notification_key: str, channel: str) -> Preference | None:
    """Give the preference that decides about a notification key on a channel; None, which is a yes, if there is none.

    The one that names more decides: key and channel, then one of the two, then neither. Where one names the key, another the
    channel, and they differ, the no decides: whoever muted a channel or a subject has it muted.
    """
    fitting = (
        one
        for one in known
        if one.category is None
        and one.notification_key in {None, notification_key}
        and one.channel in {None, channel}
    )
    return min(fitting, key=_order, default=None)


def category_preference(known: Iterable[Preference], category: str | None, channel: str) -> Preference | None:
    """Give the preference that decides about a category on a channel: one that names the channel before one that does not."""
    fitting = (
        one
        for one in known
        if category is not None and one.category == category and one.channel in {None, channel}
    )
    return min(fitting, key=_order, default=None)


def _order(one: Preference) -> tuple[int, bool]:
    names = (one.notification_key, one.channel)
    return names.count(None), one.enabled
