"""The documents that a body is made of: server-sent events, lines of JSON, or the items of one array. Pure."""

from __future__ import annotations

import json
import re

from aquila.cassette.answer import split_events

_STREAM_BEGINS = (b"data:", b"event:", b"id:", b"retry:", b":")
_BOM = b"\xef\xbb\xbf"
_NEXT_LINE = re.compile(rb"\}[ \t]*\r?\n[ \t]*\{")
_NEXT_ITEM = re.compile(r"\s*,\s*(?=\{)")
_FIRST_ITEM = re.compile(r"\s*\[\s*(?=\{)")
_AROUND_JSON = b" \t\r\n,[]"


def is_stream(body: bytes) -> bool:
    """Tell whether a body is server-sent events."""
    return body.removeprefix(_BOM).lstrip(b"\r\n").startswith(_STREAM_BEGINS)


def stream_parts(body: bytes) -> list[bytes]:
    """Cut a body before each of its documents; joined, the pieces are the body again. None for one of another kind."""
    if is_stream(body):
        return split_events(body)
    begin = body.lstrip()[:1]
    if begin == b"{" and _NEXT_LINE.search(body) is not None:
        return body.splitlines(keepends=True)
    return _items(body) if begin == b"[" else []


def document(part: bytes) -> bytes:
    """Give the text of a part's document: the data of an event, or an item without what separates it."""
    text = part.strip(_AROUND_JSON)
    if text[:1] == b"{":
        return text
    return b"\n".join(line.partition(b":")[2] for line in part.splitlines() if line.startswith(b"data:"))


def _items(body: bytes) -> list[bytes]:
    # In this encoding a character is a byte, and the structure of JSON is the same.
    text, decoder, cuts = body.decode("latin-1"), json.JSONDecoder(), [0]
    found = _FIRST_ITEM.match(text)
    while found is not None:
        try:
            _, end = decoder.raw_decode(text, found.end())
        except (ValueError, RecursionError):
            break
        cuts.append(end)
        found = _NEXT_ITEM.match(text, end)
    return [body[start:end] for start, end in zip(cuts, [*cuts[1:], len(body)], strict=True) if start < end]
