"""Fills the blanks of a text with plain values. Pure.

Blanks are those of `str.format`, with three differences: `{user.name}` looks into mappings and never at attributes, so that
no value gives away what it is made of; conversions such as `!r` are refused for the same reason; and so are blanks within
the format of a blank.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from string import Formatter
from typing import Any, NoReturn
from urllib.parse import quote

from chimeway.errors import NotifierInvalid

_HEAD = re.compile(r"[^.\[\]]+")
_REST = re.compile(r"\.([^.\[\]]+)|\[([^\[\]]+)\]")
#: What a value may begin with that says where a link leads to.
_LINK = re.compile(r"https?://|/(?!/)", re.IGNORECASE)


def fill(text: str, params: Mapping[str, Any], *, where: str) -> str:
    """Fill blanks with values as they are.

    Args:
        text: With blanks.
        params: What fills them, by name.
        where: Whose text it is, for messages.

    Raises:
        NotifierInvalid: A blank cannot be filled. The message names parameters, no values.
    """
    return _fill(text, params, where, lambda value, _: value)


def fill_line(text: str, params: Mapping[str, Any], *, where: str) -> str:
    """Fill blanks of one line: line breaks in values become spaces.

    Raises:
        NotifierInvalid: A blank cannot be filled.
    """
    return _fill(text, params, where, lambda value, _: " ".join(value.splitlines()))


def fill_html(text: str, params: Mapping[str, Any], *, where: str) -> str:
    """Fill blanks of HTML: values are escaped, for text and for attributes in quotes.

    Raises:
        NotifierInvalid: A blank cannot be filled.
    """
    return _fill(text, params, where, lambda value, _: escape(value))


def fill_url(text: str, params: Mapping[str, Any], *, where: str) -> str:
    """Fill blanks of a link: values are percent-encoded. One at the very beginning is the link's base and stays as it is.

    Raises:
        NotifierInvalid: A blank cannot be filled, or the base begins with neither `http://`, `https://` nor `/`.
    """

    def encode(value: str, at: int) -> str:
        if at > 0:
            return quote(value, safe="", errors="replace")
        if not _LINK.match(value) or not value.isprintable() or " " in value:
            raise _Unfilled(
                "the value that it begins with is no link; links begin with http://, https:// or /"
            )
        return value

    return _fill(text, params, where, encode)


class _Unfilled(Exception):  # noqa: N818 - never leaves this file
    """A blank cannot be filled; its words go into the message."""


def _fill(text: str, params: Mapping[str, Any], where: str, encode: Callable[[str, int], str]) -> str:
    pieces: list[str] = []
    length = 0
    try:
        for literal, blank, form, conversion in Formatter().parse(text):
            filling = "" if blank is None else _filling(blank, form or "", conversion, params)
            length += len(literal)
            pieces += [literal, filling if blank is None else encode(filling, length)]
            length += len(filling)
    except (_Unfilled, ValueError) as error:
        known = ", ".join(sorted(map(str, params))) or "none"
        raise NotifierInvalid(
            f"{where} cannot be filled: {error}; the parameters are {known}, and a brace of the text is written twice"
        ) from None
    return "".join(pieces)


def _filling(blank: str, form: str, conversion: str | None, params: Mapping[str, Any]) -> str:
    if conversion:
        raise _Unfilled(f"{{{blank}!{conversion}}} has a conversion, which only shows how a value is made")
    if "{" in form:
        raise _Unfilled(f"the format of {{{blank}}} has a blank; write it out")
    value = _value(blank, params)
    if not form:
        return str(value)
    try:
        return format(value, form)
    except Exception:  # noqa: BLE001 - whose words may hold the value
        raise _Unfilled(
            f"the format {form!r} of {{{blank}}} does not fit a value of type {type(value).__name__}"
        ) from None


def _value(blank: str, params: Mapping[str, Any]) -> Any:
    head = _HEAD.match(blank)
    if head is None:
        raise _Unfilled(f"the blank {{{blank}}} has no name")
    value, at = _part(params, head[0], blank), head.end()
    while at < len(blank):
        step = _REST.match(blank, at)
        if step is None:
            raise _Unfilled(f"the blank {{{blank}}} cannot be read")
        value, at = _part(value, step[1] or step[2], blank), step.end()
    return value


def _part(value: Any, name: str, blank: str) -> Any:
    match value:
        case Mapping():
            if name in value:
                return value[name]
            if name.isdecimal() and int(name) in value:
                return value[int(name)]
            _missing(blank, name)
        case str() | bytes():
            raise _Unfilled(f"{{{blank}}} looks for {name!r} in a text")
        case Sequence():
            if not name.isdecimal():
                raise _Unfilled(f"{{{blank}}} looks for {name!r} in a list; write its index in brackets")
            if int(name) < len(value):
                return value[int(name)]
            _missing(blank, name)
    raise _Unfilled(
        f"{{{blank}}} looks for {name!r} in a value of type {type(value).__name__}; pass a mapping"
    )


def _missing(blank: str, name: str) -> NoReturn:
    raise _Unfilled(
        f"there is no {name!r} for {{{blank}}}" if blank != name else f"there is no parameter {name!r}"
    )
