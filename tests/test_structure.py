from __future__ import annotations

import pytest

from aquila.errors import AquilaError, OutputInvalid
from aquila.events import Chunk, Partial, Retrying, Status
from aquila.output import Shape
from aquila.response import Response
from aquila.structure import Structure


def structure() -> Structure:
    return Structure(Shape.of(dict[str, int]))


def test_a_read_shows_the_object_once_as_far_as_it_has_come() -> None:
    shown = structure().shown([Chunk('{"a"'), Chunk(": 1, "), Chunk('"b": 2')])

    assert [event.type for event in shown] == ["chunk", "chunk", "chunk", "partial"]
    assert shown[-1] == Partial({"a": 1})


def test_events_without_news_of_the_object_stay_as_they_are() -> None:
    events = [Status("created", {}), Chunk(" ")]

    assert structure().shown(list(events)) == events


def test_a_repeated_request_begins_a_new_object() -> None:
    grown = structure()
    grown.shown([Chunk('{"a": 1, ')])

    shown = grown.shown([Retrying(2, 0.0, AquilaError("x")), Chunk('{"b": 2}')])

    assert shown[-1] == Partial({"b": 2})


def test_a_whole_answer_is_read_and_a_wrong_one_mended_once() -> None:
    asked = structure()
    assert asked.parse(Response(text='{"a": 1}')) == {"a": 1}
    with pytest.raises(OutputInvalid) as wrong:
        asked.parse(Response(text='{"a": "x"}'))

    assert "a" in asked.repair(wrong.value)
    with pytest.raises(OutputInvalid):
        asked.repair(wrong.value)


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (Response(text='{"a"', status="incomplete", finish_reason="length"), "was cut"),
        (Response(refusal="I cannot help"), "refused to give the object: I cannot help"),
    ],
)
def test_asking_again_is_no_help_for_a_cut_or_refused_answer(response: Response, says: str) -> None:
    asked = structure()

    with pytest.raises(OutputInvalid, match=says) as error:
        asked.parse(response)

    with pytest.raises(OutputInvalid, match=says):
        asked.repair(error.value)
