from __future__ import annotations

import pytest
from pydantic import BaseModel

from aquila.output import Growing, Shape


class Item(BaseModel):
    name: str
    price: float = 0.0


def test_an_object_grows_and_stays_the_same_one() -> None:
    growing = Growing(Shape.of(Item))

    begun = growing.feed('{"na')
    grown = growing.feed('me": "Te')

    assert (grown is begun, grown) == (True, {"name": "Te"})
    assert growing.feed('a", "price": 2}') == {"name": "Tea", "price": 2}


def test_a_list_is_taken_out_of_its_object_and_stays_the_same_one() -> None:
    growing = Growing(Shape.of(list[int]))

    assert growing.feed('{"result') is None
    numbers = growing.feed('": [1')
    assert growing.feed(", 2") == [1]
    assert growing.feed("]}") is numbers
    assert numbers == [1, 2]


def test_text_and_numbers_are_taken_out_of_their_object() -> None:
    text, number = Growing(Shape.of(str)), Growing(Shape.of(int))

    assert [text.feed(piece) for piece in ['{"result": "a', "b", '"}']] == ["a", "ab", None]
    assert [number.feed(piece) for piece in ['{"result": 1', "2", "}"]] == [None, None, 12]


@pytest.mark.parametrize("piece", ["", " ", '"', '{"name": "a"}'])
def test_nothing_new_gives_none(piece: str) -> None:
    growing = Growing(Shape.of(Item))
    growing.feed('{"name": "a')
    growing.feed('"}')

    assert growing.feed(piece) is None


@pytest.mark.parametrize("text", ["[1]", '"text"', "3 ", "true", "no JSON at all", "[{"])
def test_an_answer_that_is_no_object_gives_nothing(text: str) -> None:
    assert Growing(Shape.of(Item)).feed(text) is None


def test_text_that_breaks_gives_nothing_more() -> None:
    growing = Growing(Shape.of(Item))
    growing.feed('{"name": "a", oops')

    assert growing.feed('"price": 2}') is None
