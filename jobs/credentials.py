"""Finds what looks like a key in an argument: a row is no place for one. Pure."""

from __future__ import annotations

from aquila.cassette.secrets.key_shapes import KEY_SHAPES

#: Ids of organisations and the like give access to nothing.
_CREDENTIALS = tuple(shape for shape in KEY_SHAPES if "key" in shape.kind or "token" in shape.kind)
#: Characters of a text that is somebody's document: what it quotes is its author's business.
DOCUMENT = 2_000
#: Characters of a key that may be shown.
SHOWN = 6


def redacted(text: str) -> str:
    """Take out of a text what looks like a key: errors quote what they were given."""
    data = text.encode("utf-8", "surrogatepass")
    spans = sorted(span for shape in _CREDENTIALS for span in shape.spans(data))
    for begin, end in reversed(spans):
        data = data[:begin] + b"[redacted]" + data[end:]
    return data.decode("utf-8", "surrogatepass") if spans else text


def key_in(text: str) -> str | None:
    """Say in words which key stands where in a short text; None if there is none, or if the text is a document."""
    if len(text) > DOCUMENT:
        return None
    data = text.encode("utf-8", "replace")
    for shape in _CREDENTIALS:
        for begin, _ in shape.spans(data):
            at = len(data[:begin].decode("utf-8", "replace"))
            return f"{shape.kind} at character {at}: {text[at : at + SHOWN]}..."
    return None
