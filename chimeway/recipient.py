"""`Recipient`: whom a notification is for. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any
from uuid import UUID

from chimeway.errors import NotifierInvalid

#: Characters that a row keeps.
LONGEST_IDENTITY, LONGEST_TYPE, LONGEST_ADDRESS, LONGEST_LOCALE = 255, 100, 2_000, 35
#: Categories of characters that no database or header takes: controls and halves of surrogate pairs.
_UNFIT = {"Cc", "Cs"}


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a notification is for."""

    #: The host's own id of it, as text.
    identity: str
    recipient_type: str = "user"
    #: Where each channel reaches it, by channel: `{"email": "ada@example.com"}`. A channel that is left out, or has None,
    #: asks `chimeway.configure(addresses=...)` when it sends.
    addresses: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    #: For a notifier's own use, where it chooses words: `"de-AT"`.
    locale: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "identity": self.identity,
            "recipient_type": self.recipient_type,
            "addresses": dict(self.addresses),
            "locale": self.locale,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipient:
        """Read what `to_dict` gave, also that of another version."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def as_recipients(given: Any) -> list[Recipient]:
    """Read what a trigger was given: an id, a `Recipient`, or several of them, or none.

    Each identity counts once, the first wins.

    Args:
        given: The host's value.

    Raises:
        NotifierInvalid: Something names nobody, or cannot be kept.
    """
    several = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)
    found: dict[str, Recipient] = {}
    for one in given if several else [given]:
        recipient = _as_recipient(one)
        found.setdefault(recipient.identity, recipient)
    return list(found.values())


def _as_recipient(given: Any) -> Recipient:
    if isinstance(given, Recipient):
        recipient = given
    elif isinstance(given, str | int | UUID) and not isinstance(given, bool):
        recipient = Recipient(str(given))
    else:
        raise NotifierInvalid(
            f"a recipient is an id or a chimeway.Recipient, not {type(given).__name__}; write Recipient(identity=...)"
        )
    _check_text("a recipient's identity", recipient.identity, LONGEST_IDENTITY)
    _check_text("a recipient_type", recipient.recipient_type, LONGEST_TYPE)
    if recipient.locale is not None:
        _check_text("a recipient's locale", recipient.locale, LONGEST_LOCALE)
    return replace(recipient, addresses=_addresses(recipient))


def _addresses(recipient: Recipient) -> dict[str, str]:
    if not isinstance(recipient.addresses, Mapping):
        kind = type(recipient.addresses).__name__
        raise NotifierInvalid(f"a recipient's addresses are a mapping of channel to address, not {kind}")
    found: dict[str, str] = {}
    for channel, address in recipient.addresses.items():
        if address is None or address == "":
            # A column of the host's that is empty.
            continue
        if not isinstance(channel, str):
            raise NotifierInvalid(
                f"a recipient's addresses have a key of type {type(channel).__name__}; use channels' names"
            )
        _check_text(f"a recipient's address for {channel!r}", address, LONGEST_ADDRESS)
        found[channel] = str.__str__(address)
    return found


def _check_text(what: str, text: Any, longest: int) -> None:
    """Refuse what a row cannot keep; its value may be somebody's address, so it is not shown.

    Raises:
        NotifierInvalid: It cannot be kept.
    """
    if not isinstance(text, str):
        raise NotifierInvalid(f"{what} is text, not {type(text).__name__}; use str(...)")
    if not text.strip() or len(text) > longest:
        raise NotifierInvalid(f"{what} has 1 to {longest} characters, not all of them blank; one has not")
    if any(unicodedata.category(letter) in _UNFIT for letter in text):
        raise NotifierInvalid(f"{what} holds control characters or halves of characters; strip them")
