"""Make text that a model, a tool or a provider wrote safe for a terminal. Pure."""

from __future__ import annotations

_KEPT = "\n\t"
#: They turn the text behind them around, or end a line: what is read is then not what is written. The marks U+200E and
#: U+200F stay: they turn no letters, and texts from right to left need them.
_TURNING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)
#: Every control character becomes a picture of itself, so that no escape sequence begins; `\r` is dropped, because a
#: line end may be `\r\n` with the two in different fragments.
_PICTURES: dict[int, str | None] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in _KEPT},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    ord("\r"): None,
    **{code: f"<U+{code:04X}>" for code in _TURNING},
}
_ELLIPSIS = "…"


def printable(text: str) -> str:
    """Replace control characters and those that turn a text around; new lines and tabs stay."""
    return text.translate(_PICTURES)


def one_line(text: str, limit: int) -> str:
    """Make one printable line of at most `limit` characters; white space is joined."""
    # Only so much is looked at: a tool may give megabytes.
    words = " ".join(printable(text[: limit * 4]).split())
    if len(words) <= limit and len(text) <= limit * 4:
        return words
    return words[: limit - len(_ELLIPSIS)] + _ELLIPSIS
