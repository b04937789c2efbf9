from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.output import PartialJSON

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
EVERYTHING = (
    '{"text": "a\\"b\\\\c\\/d\\n\\u00e9\\ud83d\\ude00\U0001f600", "n": [-0, 1.5, -2e+10, 1E-2, 123456789012345678901],'
    ' "": {"t": true, "f": false, "z": null, "e": {}, "l": []},\r\n\t"deep": [[[{"a": [1]}]]]}'
)


def cut(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def is_beginning(part: Any, whole: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        keys = list(part)
        return keys == list(whole)[: len(keys)] and all(is_beginning(part[key], whole[key]) for key in keys)
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(
            itertools.starmap(is_beginning, zip(part, whole, strict=False))
        )
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    return type(part) is type(whole) and bool(part == whole)


def read(*pieces: str) -> PartialJSON:
    parser = PartialJSON()
    for piece in pieces:
        parser.feed(piece)
    return parser


@given(JSON, st.booleans(), st.sampled_from([None, 2]), st.lists(st.integers(0, 300), max_size=30))
def test_any_json_in_any_pieces_grows_into_what_json_loads_gives(
    value: Any, ascii_only: bool, indent: int | None, cuts: list[int]
) -> None:
    # A number at the root ends where something else begins.
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent) + "\n"
    whole = json.loads(text)
    parser = PartialJSON()
    begun = False

    for piece in cut(text, cuts):
        begun |= parser.feed(piece)
        assert not begun or is_beginning(parser.value, whole)

    assert (parser.complete, parser.broken, parser.value) == (True, False, whole)


def test_one_character_a_piece_changes_nothing() -> None:
    parser = read(*EVERYTHING)

    assert (parser.complete, parser.value) == (True, json.loads(EVERYTHING))


@pytest.mark.parametrize("at", range(len(EVERYTHING) + 1))
def test_a_cut_at_any_character_changes_nothing(at: int) -> None:
    assert read(EVERYTHING[:at], EVERYTHING[at:]).value == json.loads(EVERYTHING)


@given(st.text(alphabet='{}[]",:\\/ubtfnrsale01-.e \n\ud83d\x00', max_size=40), st.integers(0, 40))
def test_text_that_is_no_json_raises_nothing(text: str, at: int) -> None:
    parser = read(text[:at], text[at:])

    assert not (parser.complete and parser.broken)


def test_containers_are_the_same_objects_from_first_to_last() -> None:
    parser = read('{"items": [')
    value, items = parser.value, parser.value["items"]

    parser.feed('{"name": "a')
    first = items[0]
    parser.feed('b"}, 1]}')

    assert (parser.value is value, value["items"] is items, items[0] is first) == (True, True, True)
    assert value == {"items": [{"name": "ab"}, 1]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param('{"na', {}, id="half a key"),
        pytest.param('{"name"', {}, id="a key without value"),
        pytest.param('{"name": "', {"name": ""}, id="a string that has begun"),
        pytest.param('{"name": "Gr\\u00f', {"name": "Gr"}, id="half an escape"),
        pytest.param('{"name": "x\\ud83d\\ude0', {"name": "x"}, id="half a pair"),
        pytest.param('{"n": 12', {}, id="a number that may go on"),
        pytest.param('{"n": 12 ', {"n": 12}, id="a number that has ended"),
        pytest.param("[tru", [], id="half a word"),
        pytest.param("[true", [True], id="a word"),
    ],
)
def test_only_strings_are_shown_before_they_end(text: str, value: Any) -> None:
    assert read(text).value == value


def test_feed_says_whether_there_is_something_new() -> None:
    parser = PartialJSON()

    changes = [parser.feed(piece) for piece in ["  ", "{", '"a"', ": ", '"', "x", "\\", "n", '"', ", ", "}"]]

    assert changes == [False, True, False, False, True, True, False, True, False, False, False]


@pytest.mark.parametrize(
    "before",
    ["```json\n", "```\n", "Sure! Here it is:\n\n", "no: ", "1. ", '"quoted\n', "truly ", "\ufeff", "nul"],
)
def test_talk_before_the_first_bracket_is_skipped(before: str) -> None:
    text = before + '{"a": 1}'

    assert [read(text).value, read(*text).value] == [{"a": 1}, {"a": 1}]


def test_what_follows_the_value_is_ignored() -> None:
    parser = read('{"a": 1}', "\n```\nI hope that helps! {")

    assert (parser.complete, parser.broken, parser.value) == (True, False, {"a": 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param('{"a": 1, b', {"a": 1}, id="a key without quotes"),
        pytest.param('{"a": 1,}', {"a": 1}, id="a comma before the end"),
        pytest.param("[1 2", [1], id="no comma"),
        pytest.param("[1}", [1], id="the wrong bracket"),
        pytest.param("[01,", [], id="a number with a leading zero"),
        pytest.param("[1.,", [], id="a number without its fraction"),
        pytest.param("[NaN", [], id="no number"),
        pytest.param(f"[{'9' * 5000},", [], id="an integer longer than Python reads"),
        pytest.param("[nope", [], id="no word"),
        pytest.param('["a\nb', ["a"], id="a line end in a string"),
        pytest.param('["a\\x', ["a"], id="an unknown escape"),
        pytest.param('["a\\u12x', ["a"], id="an escape without its digits"),
        pytest.param('["a\\ud83d!', ["a"], id="the first half of a pair alone"),
        pytest.param('["a\\ude00', ["a"], id="the second half of a pair alone"),
        pytest.param('{"a\\x', {}, id="an unknown escape in a key"),
    ],
)
def test_a_fault_stops_the_growth_and_keeps_the_value(text: str, value: Any) -> None:
    for parser in (read(text), read(*text)):
        assert (parser.broken, parser.complete, parser.value) == (True, False, value)
        assert parser.feed('"more": 1}') is False


def test_nesting_is_bounded() -> None:
    deep = read("[" * 200 + "]" * 200)
    deeper = read("[" * 100_000)

    assert (deep.complete, deeper.broken) == (True, True)


def test_a_key_that_comes_again_replaces_the_value() -> None:
    assert read('{"a": "long", "b": 1, "a": "x').value == {"a": "x", "b": 1}


@pytest.mark.parametrize("letters", ["abcd", "\\n\\t", "\U0001f600é漢x"], ids=["ASCII", "escapes", "wide"])
def test_the_time_for_a_long_string_in_small_pieces_is_linear(letters: str) -> None:
    text = '{"a": ["' + letters * 250_000 + '"]}'
    parser = PartialJSON()
    held: list[str] = []

    started = time.perf_counter()
    for at in range(0, len(text), 4):
        # The reader holds the string it was shown, which makes every growth a copy.
        if parser.feed(text[at : at + 4]) and parser.value.get("a"):
            held[:] = parser.value["a"]
    took = time.perf_counter() - started

    assert held == json.loads(text)["a"]
    assert took < 5


def test_a_long_string_is_never_shown_more_than_a_64th_late() -> None:
    parser = read('{"a": "')
    lengths = []

    for at in range(100, 200_100, 100):
        parser.feed("x" * 100)
        lengths.append((len(parser.value["a"]), at))

    assert [pair for pair in lengths if pair[0] < pair[1] * 63 / 64] == []
    assert [pair for pair in lengths[:300] if pair[0] != pair[1]] == []
