"""What each channel or step of a notification says, made when it is triggered; nothing of the notifier is needed later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chimeway.content import Content, checked, filled
from chimeway.errors import NotifierInvalid
from chimeway.recipient import Recipient


@dataclass(frozen=True, slots=True)
class Rendered:
    """One recipient, and what it is told."""

    recipient: Recipient
    #: By step key or channel, as JSON values.
    contents: Mapping[str, Any]


def render(notifier: Any, recipients: Iterable[Recipient], params: Mapping[str, Any]) -> list[Rendered]:
    """Render every channel of a notifier, or every step of its workflow, for some recipients.

    Raises:
        NotifierInvalid: A content is missing, is none, or a blank of it has no parameter.
    """
    places = notifier.places()
    return [
        Rendered(
            recipient,
            {
                name: _content(notifier, name, source, recipient, params).to_dict()
                for name, source in places.items()
            },
        )
        for recipient in recipients
    ]


def _content(
    notifier: Any, name: str, source: str, recipient: Recipient, params: Mapping[str, Any]
) -> Content:
    where = f"{type(notifier).__name__}.{source}"
    declared = getattr(notifier, source)
    content = declared(recipient, params) if callable(declared) else declared
    if isinstance(content, str):
        content = Content(text=content)
    if not isinstance(content, Content):
        raise NotifierInvalid(
            f"{where} gives {type(content).__name__} for {name!r}, and must give a chimeway.Content"
        )
    # What a method gives is what it means, braces included.
    return checked(content, where=where) if callable(declared) else filled(content, params, where=where)
