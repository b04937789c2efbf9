"""Bodies that are no conversation, in a few words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aquila.cassette.body.multipart_parts import Part, parse_parts
from aquila.sink.printable import one_line

_LONGEST = 300
_LONGEST_FIELD = 80


def excerpt(body: bytes, headers: Mapping[str, str], longest: int = _LONGEST) -> str:
    """Show the beginning of a text, the fields of a form, and of anything else how much there is."""
    kind = headers.get("content-type", "")
    parts = parse_parts(body, kind)
    if parts is not None:
        return one_line(f"form of {len(body):,} bytes: {_fields(parts)}", longest)
    try:
        return one_line(body.decode(), longest)
    except UnicodeDecodeError:
        named = kind.partition(";")[0].strip()
        return f"{len(body):,} bytes{f' of {one_line(named, _LONGEST_FIELD)}' if named else ''}"


def _fields(parts: Iterable[Part]) -> str:
    return ", ".join(f"{one_line(part.name, _LONGEST_FIELD)}={_value(part)}" for part in parts)


def _value(part: Part) -> str:
    if part.filename is not None:
        return f"{one_line(part.filename, _LONGEST_FIELD)} ({len(part.data):,} bytes)"
    return one_line(part.data.decode("utf-8", "replace"), _LONGEST_FIELD)
