"""The parts of a `multipart/form-data` body, without the random mark that stands between them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import unquote

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_BLANK_LINE = re.compile(rb"(?:\A|\r?\n)\r?\n")
_PARAMETER = re.compile(r';\s*(name|filename\*?)\s*=\s*(?:"((?:\\"|[^"])*)"|([^;\s]*))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One field or file of a form."""

    name: str
    #: None for a field that is no file.
    filename: str | None
    #: In lower case; empty if the part does not say.
    media_type: str
    data: bytes = field(repr=False)


def parse_parts(body: bytes, content_type: str) -> tuple[Part, ...] | None:
    """Cut a form into its parts, in order.

    Args:
        body: The whole body.
        content_type: The header, which holds the mark.

    Returns:
        None when it is no such form, or a broken one: one without its closing mark, or with a part without a name.
    """
    boundary = _BOUNDARY.search(content_type)
    if boundary is None or not content_type.lower().startswith("multipart/form-data"):
        return None
    mark = re.escape((boundary[1] or boundary[2]).encode(errors="replace"))
    # The mark comes first in the expression: that is what makes the search of a long recording fast.
    found = re.finditer(rb"--" + mark + rb"(--)?[ \t]*(?=\r?\n|\Z)", body)
    marks = [each for each in found if body[max(0, each.start() - 1) : each.start()] in {b"", b"\n"}]
    if not marks or marks[-1][1] is None:
        return None
    parts = [_part(body[start.end() : end.start()]) for start, end in pairwise(marks)]
    named = tuple(part for part in parts if part is not None)
    return named if len(named) == len(parts) else None


def _part(text: bytes) -> Part | None:
    # The line break after a mark belongs to it, and so does the one before the next.
    text = text.removeprefix(b"\r").removeprefix(b"\n").removesuffix(b"\n").removesuffix(b"\r")
    blank = _BLANK_LINE.search(text)
    if blank is None:
        return None
    headers = _headers(text[: blank.start()].decode(errors="replace"))
    named = {
        found[1].lower(): found[2] or found[3] or ""
        for found in _PARAMETER.finditer(headers.get("content-disposition", ""))
    }
    if "name" not in named:
        return None
    filename = named.get("filename")
    if "filename*" in named:
        filename = unquote(named["filename*"].rpartition("'")[2])
    return Part(named["name"], filename, headers.get("content-type", "").lower(), text[blank.end() :])


def _headers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
