"""`Content`: what a channel says, as a value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from chimeway.errors import NotifierInvalid
from chimeway.filling import fill, fill_html, fill_line, fill_url
from chimeway.json_values import plain

#: Fields whose blanks are filled, and how.
_FILLED = {
    "subject": fill_line,
    "text": fill,
    "html": fill_html,
    "url": fill_url,
    "prompt": fill,
    "instructions": fill,
}
#: Fields that are text or None; the first two are text.
_TEXTS = ("subject", "text", "html", "url", "text_from", "prompt", "instructions", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a channel says. Blanks such as `{name}` in a notifier's declaration are filled from the trigger's parameters."""

    #: The line that stands above it; channels without one put it first. Line breaks in what fills its blanks become spaces.
    subject: str = ""
    text: str = ""
    #: For e-mail, beside `text`. Values that fill its blanks are escaped.
    html: str | None = None
    #: Where it leads to. Values that fill its blanks are percent-encoded, but for one at the very beginning.
    url: str | None = None
    #: JSON values for the channel's own use: a web hook's body, an app's payload. They have no blanks.
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    #: The LLM step whose output becomes the text.
    text_from: str | None = None
    #: What an LLM is to be asked before the delivery; its answer becomes the text.
    prompt: str | None = None
    instructions: str | None = None
    model: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values, without what was left out."""
        values = ((one, getattr(self, one.name)) for one in fields(self))
        return {
            one.name: dict(value) if isinstance(value, Mapping) else value
            for one, value in values
            if value != (one.default if one.default is not MISSING else {})
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Content:
        """Read what `to_dict` gave, also that of a version which knows more."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def filled(content: Content, params: Mapping[str, Any], *, where: str) -> Content:
    """Fill the blanks of a content, and check it.

    Args:
        content: With blanks as `str.format` has them; parts of a value are `{user.name}` and `{items[0]}`.
        params: What fills them.
        where: Whose content it is, for messages.

    Raises:
        NotifierInvalid: A blank has no parameter, or the content cannot be kept.
    """
    texts: dict[str, Any] = {
        name: how(value, params, where=f"{where}.{name}")
        for name, how in _FILLED.items()
        if isinstance(value := getattr(content, name), str)
    }
    return checked(replace(content, **texts), where=where)


def checked(content: Content, *, where: str) -> Content:
    """Give a content back as a row keeps it: its data as JSON values.

    Args:
        content: What a notifier gave.
        where: Whose content it is, for messages.

    Raises:
        NotifierInvalid: A text is none, the data is no JSON object, or all of it is too large.
    """
    for name in _TEXTS:
        value = getattr(content, name)
        if not isinstance(value, str) and (value is not None or name in {"subject", "text"}):
            raise NotifierInvalid(f"{where}.{name} is text, not {type(value).__name__}")
    if not isinstance(content.data, Mapping):
        raise NotifierInvalid(f"{where}.data is a mapping of JSON values, not {type(content.data).__name__}")
    return Content.from_dict(plain(content.to_dict(), where=where))
