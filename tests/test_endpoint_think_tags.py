from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.endpoint.think_tags import ThinkTags
from aquila.events import Chunk, ReasoningChunk


def split(*pieces: str) -> tuple[str, str]:
    """Reasoning and answer of a text that comes in pieces."""
    tags = ThinkTags()
    events = [
        event
        for piece in filter(None, pieces)
        for event in (tags.feed(piece) if not tags.done else [Chunk(piece)])
    ]
    events += tags.flush() if not tags.done else []
    assert all(event.text for event in events if isinstance(event, Chunk | ReasoningChunk))
    return (
        "".join(event.text for event in events if isinstance(event, ReasoningChunk)),
        "".join(event.text for event in events if isinstance(event, Chunk)),
    )


TEXTS = [
    ("<think>hm</think>Hi", ("hm", "Hi")),
    (
        "\n <think>\nhm < 5 </thin k>\n</think>\n\nHi <think>x</think>",
        ("\nhm < 5 </thin k>\n", "Hi <think>x</think>"),
    ),
    ("<think></think>Hi", ("", "Hi")),
    ("<think>hm", ("hm", "")),
    ("<think>hm</thi", ("hm</thi", "")),
    ("<think>hm</think>", ("hm", "")),
    ("Hi <think>hm</think>", ("", "Hi <think>hm</think>")),
    ("<thinking>hm", ("", "<thinking>hm")),
    ("<thin", ("", "<thin")),
    ("  ", ("", "  ")),
    ("Hi", ("", "Hi")),
    ("", ("", "")),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_only_tags_that_open_the_text_make_reasoning(text: str, expected: tuple[str, str]) -> None:
    assert split(text) == expected


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_a_cut_at_any_place_changes_nothing(text: str, expected: tuple[str, str]) -> None:
    assert split(*text) == expected
    for place in range(len(text) + 1):
        assert split(text[:place], text[place:]) == expected


@given(st.sampled_from(TEXTS), st.sets(st.integers(0, 60), max_size=8))
def test_any_cuts_change_nothing(case: tuple[str, tuple[str, str]], cuts: set[int]) -> None:
    text, expected = case
    places = [0, *sorted(cuts), 100]

    assert split(*(text[a:b] for a, b in pairwise(places))) == expected


def test_text_that_cannot_be_a_tag_does_not_wait() -> None:
    tags = ThinkTags()

    assert tags.feed("<thanks") == [Chunk("<thanks")]
    assert tags.done
