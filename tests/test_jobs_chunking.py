from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.chunking import count_tokens, group_texts, split_text

FAMILY = "👩‍👩‍👧"
FLAG = "🇵🇹"
#: Characters that readers see as one, each of several of Unicode's.
WHOLE = ["é", FAMILY, FLAG, "👍🏽", "각", "\r\n", "❤️", "क्षि"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é" * 4, 2), ("字" * 4, 3), ("\ud800", 1)],
)
def test_four_bytes_make_a_token(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@pytest.mark.parametrize("text", ["", "short", "exactly four tok"])
def test_a_text_that_fits_is_one_piece(text: str) -> None:
    assert split_text(text, 4) == [text]


def test_a_text_is_cut_between_paragraphs_where_that_can_be() -> None:
    text = "One. Two.\n\nThree. Four.\n \nFive."

    assert split_text(text, 4) == ["One. Two.\n\n", "Three. Four.\n \n", "Five."]


def test_a_paragraph_that_is_too_long_is_cut_between_sentences() -> None:
    assert split_text("He said “no.” She left! Why? Nobody knows.", 6) == [
        "He said “no.” ",
        "She left! Why? ",
        "Nobody knows.",
    ]


def test_chinese_sentences_need_no_space_between_them() -> None:
    text = "天气很好。我们去海边\uff01你来吗\uff1f"

    assert split_text(text, 6) == ["天气很好。", "我们去海边\uff01", "你来吗\uff1f"]


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    assert split_text("one two three four five six", 2) == ["one two ", "three ", "four ", "five six"]


def test_a_word_that_is_too_long_is_cut_between_characters() -> None:
    assert split_text("abcdefghij", 1) == ["abcd", "efgh", "ij"]


@pytest.mark.parametrize("character", WHOLE)
@pytest.mark.parametrize("before", range(4))
def test_no_character_that_readers_see_is_cut(character: str, before: int) -> None:
    text = "x" * before + character * 20

    pieces = split_text(text, 1)

    assert "".join(pieces) == text
    assert len(pieces) > 5
    for piece in pieces[1:]:
        assert piece.startswith(character)
    assert all(len(piece.replace(character, "").strip("x")) == 0 for piece in pieces)


def test_an_accent_stays_with_the_space_that_it_stands_on() -> None:
    assert split_text("ab ́cd" * 3, 1)[1:2] != ["́cd"]
    assert all(not unicodedata.combining(piece[0]) for piece in split_text("ab ́cd" * 3, 1))


def test_halves_of_a_surrogate_pair_stay_together() -> None:
    assert split_text("\ud83d\ude00" * 3, 1) == ["\ud83d\ude00"] * 3


def test_the_last_piece_is_not_a_mere_rest() -> None:
    sizes = [count_tokens(piece) for piece in split_text("word " * 1010, 1000)]

    assert len(sizes) == 2
    assert min(sizes) > 600


@given(
    st.lists(
        st.sampled_from([*WHOLE, "a", " ", ". ", "\n", "\n\n", "word", "。", "\ud800", "x" * 30]), max_size=60
    ),
    st.integers(min_value=1, max_value=12),
)
def test_the_pieces_fit_and_joined_they_are_the_text(parts: list[str], most: int) -> None:
    text = "".join(parts)

    pieces = split_text(text, most)

    assert "".join(pieces) == text
    assert all(pieces) or text == ""
    # A character that is longer than the limit stays whole; the longest here has 18 bytes, and joiners may chain two.
    assert all(count_tokens(piece) <= max(most, 60) for piece in pieces)
    if most >= 20:
        assert all(count_tokens(piece) <= most for piece in pieces)


@given(st.text(alphabet="ab .\n", max_size=400), st.integers(min_value=1, max_value=20))
def test_pieces_of_plain_text_always_fit(text: str, most: int) -> None:
    pieces = split_text(text, most)

    assert "".join(pieces) == text
    assert all(count_tokens(piece) <= most for piece in pieces)


def test_neighbours_that_fit_together_are_grouped() -> None:
    assert group_texts(["aaaa", "bbbb", "cccc", "dddd", "eeee"], 2) == [
        ["aaaa", "bbbb"],
        ["cccc", "dddd"],
        ["eeee"],
    ]


@given(st.lists(st.text(max_size=30), max_size=30), st.integers(min_value=1, max_value=10))
def test_there_are_fewer_groups_than_texts_however_long_they_are(texts: list[str], most: int) -> None:
    groups = group_texts(texts, most)

    assert [text for group in groups for text in group] == texts
    assert len(groups) <= (len(texts) + 1) // 2
    assert all(len(group) <= 2 or sum(map(count_tokens, group)) <= most for group in groups)
