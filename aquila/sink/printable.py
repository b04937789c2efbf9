"""Make text that a model, a tool or a provider wrote safe for a terminal. Pure."""

from __future__ import annotations

_KEPT = "\n\t"
#: Every control character becomes a picture of itself, so that no escape sequence begins; `\r` is dropped, because a
#: line end may be `\r\n` with the two in different fragments.
_PICTURES: dict[int, str | None] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in _KEPT},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    ord("\r"): None,
}
_ELLIPSIS = "…"


def printable(text: str) -> str:
    """Replace control characters; new lines and tabs stay."""
    return text.translate(_PICTURES)


def one_line(text: str, limit: int) -> str:
    """Make one printable line of at most `limit` characters; white space is joined."""
    # Only so much is looked at: a tool may give megabytes.
    words = " ".join(printable(text[: limit * 4]).split())
    if len(words) <= limit and len(text) <= limit * 4:
        return words
    return words[: limit - len(_ELLIPSIS)] + _ELLIPSIS
