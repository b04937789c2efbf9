"""What a notifier's class says, checked when it is declared. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from chimeway.content import Content
from chimeway.errors import NotifierInvalid
from chimeway.policy import Digest, Throttle
from chimeway.privacy import is_secret
from chimeway.workflow import Approve, Deliver, Gate, Workflow
from jobs.sqltypes import storable

KEY = re.compile(r"[A-Za-z_][\w.:-]{0,254}")
CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,99}")
MOST_ATTEMPTS = 100
#: What a column of the databases' holds.
LARGEST_VERSION = 2**31 - 1
#: Where a stored workflow asks for a parameter.
PARAMETER = re.compile(r"params\.(\w+)")
LONGEST_CATEGORY = 100


def check_notifier(cls: Any, reserved: Collection[str] = ()) -> None:
    """Check a notifier's declaration.

    Args:
        cls: The class.
        reserved: Names of its base, which no channel and no step may have.

    Raises:
        NotifierInvalid: Something cannot be used; it is named, with the remedy.
    """
    name = cls.__name__
    if not isinstance(cls.notification_key, str) or not KEY.fullmatch(cls.notification_key):
        raise NotifierInvalid(
            f"{name}.notification_key={cls.notification_key!r} may hold up to 255 letters, digits, '_', '.', ':' and '-', "
            "and begins with a letter"
        )
    _check_number(name, "version", cls.version, most=LARGEST_VERSION)
    _check_number(name, "max_attempts", cls.max_attempts, most=MOST_ATTEMPTS)
    _check_kinds(cls)
    _check_channels(name, "channels", cls.channels, empty=False)
    _check_channels(name, "only_unread", cls.only_unread, empty=True)
    _check_subsets(cls)
    _check_params(cls)
    if not isinstance(cls.critical, bool):
        raise NotifierInvalid(f"{name}.critical={cls.critical!r} is True or False")
    if cls.category is not None and not _is_category(cls.category):
        raise NotifierInvalid(f"{name}.category={cls.category!r} is a text of 1 to 100 characters, or None")
    for place in _places_of_all(cls):
        if place in reserved:
            raise NotifierInvalid(
                f"{name}: a channel or step cannot be called {place!r}, which a notifier has another use for"
            )
    for place, attribute in places_of(cls).items():
        content = getattr(cls, attribute, None)
        if not (callable(content) or isinstance(content, Content | str)):
            raise NotifierInvalid(
                f"{name} does not say what {place!r} tells; add `{attribute} = chimeway.Content(text=...)`, or a method "
                f"`def {attribute}(self, recipient, params)`"
            )


def places_of(cls: Any) -> dict[str, str]:
    """Give what each channel, or each step of the workflow, takes its content from: the attribute's name.

    A gate and an approval say nothing. A step that has no attribute of its own takes its channel's.
    """
    if cls.workflow is None:
        return {channel: channel for channel in dict.fromkeys(cls.channels)}
    places: dict[str, str] = {}
    for step in cls.workflow.steps:
        if isinstance(step, Gate | Approve):
            continue
        own = hasattr(cls, step.key) or not isinstance(step, Deliver)
        places[step.key] = step.key if own else step.channel
    return places


def _channels_of(cls: Any) -> set[str]:
    if cls.workflow is None:
        return set(cls.channels)
    return {step.channel for step in cls.workflow.steps if isinstance(step, Deliver)}


def _check_subsets(cls: Any) -> None:
    """Check the words on single channels.

    Raises:
        NotifierInvalid: The notifier does not use the channel, so they would do nothing.
    """
    known = _channels_of(cls)
    for what, channels in (
        ("only_unread", cls.only_unread),
        ("digest", cls.digest.channels if cls.digest else ()),
    ):
        for channel in channels:
            if channel not in known:
                raise NotifierInvalid(
                    f"{cls.__name__}.{what} names the channel {channel!r}, which it does not use; it uses "
                    f"{', '.join(sorted(known))}"
                )


def _check_params(cls: Any) -> None:
    """Check what parameters the workflow asks for.

    Raises:
        NotifierInvalid: One is not kept.
    """
    if cls.workflow is None:
        return
    for name in PARAMETER.findall(json.dumps(cls.workflow.to_json())):
        if is_secret(name):
            raise NotifierInvalid(
                f"{cls.__name__}.workflow asks for params.{name}, which is not kept, because its name is that of a secret; "
                "give the parameter another name"
            )


def _places_of_all(cls: Any) -> list[str]:
    """Give the names of all channels and steps."""
    if cls.workflow is None:
        return list(cls.channels)
    return [name for step in cls.workflow.steps for name in (step.key, getattr(step, "channel", step.key))]


def _check_number(name: str, what: str, value: Any, *, most: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most and value > most):
        upper = f"1 to {most}" if most else "a number from 1"
        raise NotifierInvalid(f"{name}.{what}={value!r} is {upper}")


def _is_category(value: Any) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value.strip()) <= len(value) <= LONGEST_CATEGORY
        and value == storable(value)
    )


def _check_kinds(cls: Any) -> None:
    for what, kind in (("workflow", Workflow), ("digest", Digest), ("throttle", Throttle)):
        value = getattr(cls, what)
        if value is not None and not isinstance(value, kind):
            raise NotifierInvalid(f"{cls.__name__}.{what} is a chimeway.{kind.__name__}(...), not {value!r}")


def _check_channels(name: str, what: str, channels: Any, *, empty: bool) -> None:
    if isinstance(channels, str) or not isinstance(channels, list | tuple | set | frozenset):
        raise NotifierInvalid(f"{name}.{what}={channels!r} is a tuple of names: ('email',)")
    if not channels and not empty:
        raise NotifierInvalid(f"{name}.{what} is empty; name a channel, or leave it out for 'in_app'")
    for channel in channels:
        if not isinstance(channel, str) or not CHANNEL.fullmatch(channel):
            raise NotifierInvalid(
                f"{name}.{what} holds {channel!r}; a channel is up to 100 small letters, digits and '_'"
            )
