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


@dataclass(frozen=True, slots=True)
class NotRendered:
    """A recipient for whom the notifier raised."""

    recipient: Recipient
    #: What it said.
    words: str


def render(notifier: Any, recipients: Iterable[Recipient], params: Mapping[str, Any]) -> list[Rendered]:
    """Render every channel of a notifier, or every step of its workflow, for some recipients.

    Raises:
        NotifierInvalid: A content is missing, is none, or a blank of it has no parameter.
    """
    places = notifier.places()
    return [_render(notifier, places, one, params) for one in recipients]


def render_each(
    notifier: Any, recipients: Iterable[Recipient], params: Mapping[str, Any]
) -> tuple[list[Rendered], list[NotRendered]]:
    """Render as `render` does; those for whom the notifier raises are given apart."""
    places = notifier.places()
    rendered: list[Rendered] = []
    failed: list[NotRendered] = []
    for one in recipients:
        try:
            rendered.append(_render(notifier, places, one, params))
        except NotifierInvalid as error:
            failed.append(NotRendered(one, str(error)))
        except Exception as error:  # noqa: BLE001 - it is the host's own code, and may raise what it likes
            # What it says may hold a parameter.
            words = (
                f"{type(notifier).__name__} raised {type(error).__name__} for the recipient {one.identity!r}"
            )
            failed.append(NotRendered(one, words))
    return rendered, failed


def _render(
    notifier: Any, places: Mapping[str, str], recipient: Recipient, params: Mapping[str, Any]
) -> Rendered:
    contents = {
        name: _content(notifier, name, source, recipient, params).to_dict() for name, source in places.items()
    }
    return Rendered(recipient, contents)


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
