from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.output.json_token import is_cut_escape, parse_number, read_run


@pytest.mark.parametrize(
    "escape", [*["\\" + letter for letter in '"\\/bfnrt'], "\\u00e9", "\\uFFFF", "\\uD83D\\uDE00"]
)
def test_every_escape_is_read_and_every_cut_of_it_waits(escape: str) -> None:
    cuts = range(1, len(escape))

    assert read_run(f'x{escape}y"', 0) == (json.loads(f'"x{escape}y"'), len(escape) + 2)
    assert [cut for cut in cuts if not is_cut_escape("x" + escape[:cut], 1)] == []


@pytest.mark.parametrize(
    "text", ["\\x", "\\u00g", "\\ud83dx", "\\ud83d\\n", "\\ud83d\\u0041", "\\udc00", '\\"', "x"]
)
def test_what_can_become_no_escape_does_not_wait(text: str) -> None:
    assert not is_cut_escape(text, 0)


@pytest.mark.parametrize(
    ("text", "end"), [('a"b', 1), ("a\nb", 1), ("a\\", 1), ("\\ud83d\\ude00\\ud83d", 12), ("", 0)]
)
def test_a_run_ends_where_the_string_cannot_go_on(text: str, end: int) -> None:
    assert read_run(text, 0)[1] == end


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_those_of_json_loads(number: float) -> None:
    text = json.dumps(number)

    assert repr(parse_number(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text", ["", "-", "01", "1.", ".5", "+1", "1e", "1e+", "--1", "1-1", "٣", "9" * 5000]
)
def test_what_is_no_number_gives_none(text: str) -> None:
    assert parse_number(text) is None
