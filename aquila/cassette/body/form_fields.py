"""The fields of forms, `multipart/form-data` and urlencoded ones, with the places their values stand at. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_plus

_DISPOSITION = re.compile(
    rb'content-disposition:[^\r\n]*?[;\s]name=(?:"([^"\r\n]*)"|([^\s;"]+))', re.IGNORECASE
)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_PAIR = re.compile(rb"([^&=]+)=([^&]*)")
#: What an urlencoded form never holds.
_NO_FORM = re.compile(rb"[\s\"<>{}]")


class FormField(NamedTuple):
    """A field, and where its value begins and ends in the body."""

    name: str
    start: int
    end: int


def form_fields(body: bytes) -> Iterator[FormField]:
    """Give the fields of a body that looks like a form; a body of another kind has none.

    Yields:
        Them in order.
    """
    if body[:2] == b"--" or body[:4] == b"\r\n--":
        yield from _multipart(body)
    elif b"=" in body[:200] and _NO_FORM.search(body) is None:
        for pair in _PAIR.finditer(body):
            yield FormField(unquote_plus(pair[1].decode(errors="replace")), *pair.span(2))


def _multipart(body: bytes) -> Iterator[FormField]:
    first = body.index(b"--")
    boundary = body[first : first + 200].splitlines()[0].rstrip()
    at = body.find(boundary)
    while at >= 0:
        following = body.find(b"\n" + boundary, at + len(boundary))
        end = len(body) if following < 0 else following - (body[following - 1 : following] == b"\r")
        head = _HEAD_END.search(body, at, end)
        name = None if head is None else _DISPOSITION.search(body, at, head.start())
        if head is not None and name is not None:
            yield FormField((name[1] or name[2] or b"").decode(errors="replace"), head.end(), end)
        at = following + 1 if following >= 0 else -1
