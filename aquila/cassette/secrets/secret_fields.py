r"""Where the values of secret fields stand in JSON text, at any depth and also in JSON inside strings.

The text is searched and not parsed, so that everything else keeps its bytes, and so that it may be a stream of events
or the beginning of a document. JSON inside the strings of JSON, as the arguments of tools are, has its quotes escaped: at
depth n a quote has 2**n - 1 backslashes before it, and so it can be told which quote ends a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import NamedTuple

from aquila.cassette.secrets.secret_names import SECRET_FIELDS, is_secret_header

#: Beginning and end of what is replaced.
Span = tuple[int, int]

_BLANK = rb"(?:\s|\\+[nrt]|\n\r?data:)*"
#: Some encoders write the quotes inside strings as `\u0022`.
_QUOTE = rb'(\\*)(?:"|(?<=\\)(u)0022)'
_OPEN = re.compile(_BLANK + _QUOTE)
#: A run of backslashes is looked at once, from its beginning.
_QUOTE_OR_LINE_END = re.compile(rb"(?<!\\)" + _QUOTE + rb"|[\r\n]")
_COLON = re.compile(_BLANK + rb":")
_COMMA = re.compile(_BLANK + rb",")
_BRACKET = re.compile(_BLANK + rb"\[")
_CLOSING = re.compile(_BLANK + rb"\]")
_BARE = re.compile(_BLANK + rb'[^\s",\[\]{}\\]+')
_NUMBER = re.compile(_BLANK + rb"(-?\d[\d.e+-]*)")
_OBJECT = re.compile(_BLANK + rb"\{")
#: In an object that stands for a secret, these members hold it: `{"value": "ek_...", "expires_at": 1}`.
_HOLDING = frozenset({"key", "secret", "token", "value"})
#: A number of fewer digits under the name of a secret counts something.
_LONG_NUMBER = 8
#: Objects whose names are those of headers.
_HEADERS = re.compile(
    rb'"(?:[\w-]{1,30}[_-])?headers' + _QUOTE + _BLANK + rb":" + _BLANK + rb"\{"
)  # fmt: skip
_ESCAPED_LETTER = re.compile(rb"\\u00[2-7][0-9a-f]")


class _String(NamedTuple):
    """A string: where its content starts and ends, and where the text goes on."""

    start: int
    end: int
    after: int


class FieldValue(NamedTuple):
    """The value of a secret field, without quotes."""

    start: int
    end: int
    is_number: bool = False


def field_values(lowered: bytes, names: Collection[str] = ()) -> Iterator[FieldValue]:
    """Find the values of secret fields: strings, and numbers too long for a count. They may overlap.

    Args:
        lowered: The text in lower case.
        names: Further names of secret fields.

    Yields:
        Them in the order of their fields.
    """
    escaped = _ESCAPED_LETTER.search(lowered) is not None
    for found in _pattern(SECRET_FIELDS.union(names), escaped).finditer(lowered):
        yield from _field_values(lowered, found.end(), _depth(found))
    if b"headers" in lowered:
        for found in _HEADERS.finditer(lowered):
            yield from _members(
                lowered, found.end(), _depth(found), lambda name: is_secret_header(name, names)
            )


def _field_values(text: bytes, at: int, depth: int) -> Iterator[FieldValue]:
    yield from (FieldValue(*span) for span in _values(text, at, depth).spans)
    number = _NUMBER.match(text, at)
    if number is not None and len(number[1]) >= _LONG_NUMBER:
        yield FieldValue(*number.span(1), is_number=True)
    inside = _OBJECT.match(text, at)
    if inside is not None:
        yield from _members(text, inside.end(), depth, _HOLDING.__contains__)


def number_spans(lowered: bytes, names: Collection[str]) -> Iterator[Span]:
    """Find the numbers that are values of named fields.

    Args:
        lowered: The text in lower case.
        names: The fields.

    Yields:
        Their spans.
    """
    if names:
        escaped = _ESCAPED_LETTER.search(lowered) is not None
        for found in _pattern(frozenset(names), escaped).finditer(lowered):
            number = _NUMBER.match(lowered, found.end())
            if number is not None:
                yield number.span(1)


class _Values(NamedTuple):
    """The strings of a member, which is a string or a list of strings, and where the text goes on."""

    spans: list[Span]
    after: int


def _values(text: bytes, at: int, depth: int) -> _Values:
    bracket = _BRACKET.match(text, at)
    string = _string(text, at if bracket is None else bracket.end(), depth)
    spans, after = [], at
    while string is not None:
        spans.append((string.start, string.end))
        after = string.after
        comma = None if bracket is None else _COMMA.match(text, after)
        string = None if comma is None else _string(text, comma.end(), depth)
    closing = None if bracket is None else _CLOSING.match(text, after)
    return _Values(spans, after if closing is None else closing.end())


def _members(text: bytes, at: int, depth: int, is_secret: Callable[[str], bool]) -> Iterator[FieldValue]:
    # The members of a flat object; one that nests something is no object of headers.
    while (name := _string(text, at, depth)) is not None:
        colon = _COLON.match(text, name.after)
        if colon is None:
            return
        values = _values(text, colon.end(), depth)
        if is_secret(text[name.start : name.end].decode(errors="replace")):
            yield from (FieldValue(*span) for span in values.spans)
        bare = None if values.spans else _BARE.match(text, colon.end())
        comma = _COMMA.match(text, values.after if bare is None else bare.end())
        if comma is None:
            return
        at = comma.end()


def _string(text: bytes, at: int, depth: int) -> _String | None:
    opening = _OPEN.match(text, at)
    if opening is None or _depth(opening) < depth:
        # A quote of less depth ends the text that all of this is in: it was cut off.
        return None
    start, depth = opening.end(), _depth(opening)
    for quote in _QUOTE_OR_LINE_END.finditer(text, start):
        if quote[1] is None:
            # Strings hold no line ends: this one was cut off.
            return _String(start, quote.start(), quote.start())
        after_run = _run(quote) + 1
        closes = after_run & -after_run
        if closes <= 2**depth:
            backslashes = closes - 1 - (_run(quote) - len(quote[1]))
            return _String(start, quote.end(1) - backslashes, quote.end())
    return _String(start, len(text), len(text))


def _depth(quote: re.Match[bytes]) -> int:
    return (_run(quote) + 1).bit_length() - 1


def _run(quote: re.Match[bytes]) -> int:
    """Count the backslashes before a quote, as if it was not written as an escape."""
    run = len(quote[1])
    return run if quote[2] is None else run + (run & -run) - 1


@lru_cache(maxsize=64)
def _pattern(names: frozenset[str], escaped: bool) -> re.Pattern[bytes]:  # noqa: FBT001 - part of the cache's key
    listed = b"|".join(_any_spelling(name, escaped=escaped) for name in sorted(names, key=len, reverse=True))
    opening = rb'(?:"|\\u0022)' if escaped else b'"'
    return re.compile(opening + b"(?:" + listed + b")" + _QUOTE + _COLON.pattern)


def _any_spelling(name: str, *, escaped: bool) -> bytes:
    return b"".join(_letter(letter, escaped=escaped) for letter in name.lower())


def _letter(letter: str, *, escaped: bool) -> bytes:
    if letter in "-_":
        return rb"(?:[-_]|\\+u00(?:2d|5f))?" if escaped else b"[-_]?"
    plain = re.escape(letter).encode()
    if not escaped and letter.isascii():
        return plain
    codes = sorted({ord(letter), *map(ord, letter.upper())})
    return b"(?:" + b"|".join([plain, *(rb"\\+u%04x" % code for code in codes)]) + b")"
