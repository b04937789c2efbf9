"""The tokens of JSON that may come in pieces: strings and numbers. Pure."""

from __future__ import annotations

import json
import re

_HEX = "[0-9a-fA-F]"
#: One whole escape. Half of a surrogate pair is none: no text with it can be sent or stored.
_ESCAPE = (
    r'\\(?:["\\/bfnrt]'
    rf"|u(?![dD][89a-fA-F]){_HEX}{{4}}"
    rf"|u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}})"
)
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_ESCAPES = re.compile(rf"(?:{_ESCAPE})+")
#: The beginning of an escape whose rest may still come.
_CUT_ESCAPE = re.compile(
    rf"\\(?:u(?:(?![dD][89a-fA-F]){_HEX}{{0,3}}"
    rf"|[dD][89abAB]{_HEX}{{0,2}}"
    rf"|[dD][89abAB]{_HEX}{{2}}\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?)?\Z"
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def read_run(text: str, start: int) -> tuple[str, int]:
    """Decode from `start` up to the closing quote, a cut escape, what no string may hold, or the end.

    Returns:
        What was decoded, and where it ends in `text`.
    """
    end = _end_of(_PLAIN, text, start)
    # One pattern for both would need a quantifier without backtracking, which Python 3.11.2 gets wrong.
    while (behind := _end_of(_ESCAPES, text, end)) > end:
        end = _end_of(_PLAIN, text, behind)
    run = text[start:end]
    return (json.loads(f'"{run}"') if "\\" in run else run), end


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match is not None else start


def is_cut_escape(text: str, start: int) -> bool:
    """Tell whether all that follows `start` is an escape whose end has not come."""
    return _CUT_ESCAPE.match(text, start) is not None


def parse_number(text: str) -> int | float | None:
    """Give the number that a whole token is; None when it is none, or an integer longer than Python reads."""
    number = _NUMBER.fullmatch(text)
    if number is None:
        return None
    if number.group(1) or number.group(2):
        return float(text)
    try:
        return int(text)
    except ValueError:
        return None
