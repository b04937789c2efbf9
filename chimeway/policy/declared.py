"""Checks of what a notifier declares about its policy. Pure."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

from chimeway.errors import NotifierInvalid
from chimeway.privacy import is_secret
from jobs.sqltypes import storable

_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,99}")
#: Characters of a subject, and of instructions, that are declared.
LONGEST_TEXT = 100_000


def check_parameter(name: Any, what: str) -> None:
    """Check the name of a parameter that deliveries are told apart by.

    Args:
        name: The name; None is none.
        what: What it is, for messages.

    Raises:
        NotifierInvalid: It is no name, or that of a secret, whose values are not kept, so that all would count as one.
    """
    if name is None:
        return
    if not isinstance(name, str) or not name.strip() or name != storable(name):
        raise NotifierInvalid(f"{what}={name!r} must be the name of a parameter")
    if is_secret(name):
        raise NotifierInvalid(
            f"{what}={name!r} is not kept, because its name is that of a secret; give the parameter another name"
        )


def check_text(text: Any, what: str) -> None:
    """Check a text that is declared.

    Args:
        text: The text; None is none.
        what: What it is, for messages.

    Raises:
        NotifierInvalid: It is no text, blank, too long, or cannot be stored.
    """
    if text is None:
        return
    if not isinstance(text, str):
        raise NotifierInvalid(f"{what} is a text or None, not {type(text).__name__}")
    if not text.strip() or len(text) > LONGEST_TEXT or text != storable(text):
        raise NotifierInvalid(
            f"{what} is a text of 1 to {LONGEST_TEXT:,} characters that is not blank and can be stored, or None"
        )


def check_blanks(text: str | None, what: str) -> None:
    """Check that the blanks of a text can be read, as `{n} comments` has them.

    Args:
        text: The text; None is none.
        what: What it is, for messages.

    Raises:
        NotifierInvalid: A brace is not closed, or was not opened.
    """
    try:
        list(Formatter().parse(text or ""))
    except ValueError as error:
        raise NotifierInvalid(f"{what}={text!r}: {error}; a brace of the text is written twice") from None


def checked_channels(channels: Any, what: str) -> tuple[str, ...]:
    """Give channels as a tuple, each once.

    Args:
        channels: Their names.
        what: What they are, for messages.

    Raises:
        NotifierInvalid: They are no names of channels, or there are none.
    """
    if not isinstance(channels, list | tuple | set | frozenset) or not channels:
        raise NotifierInvalid(f"{what}={channels!r} must be names: ('email',)")
    for channel in channels:
        if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
            raise NotifierInvalid(
                f"{what} holds {channel!r}; a channel is up to 100 small letters, digits and '_'"
            )
    # A set has another order in each process.
    ordered = sorted(channels) if isinstance(channels, set | frozenset) else channels
    return tuple(dict.fromkeys(ordered))
