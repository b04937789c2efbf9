from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from aquila.output.problems import list_problems


def problems_of(kind: object, text: str) -> tuple[str, ...]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_json(text)
    return list_problems(caught.value, text)


def test_a_problem_is_a_path_and_a_message() -> None:
    assert problems_of(dict[str, list[int]], '{"a": [1, null]}') == ("a.1: Input should be a valid integer",)


def test_a_problem_of_the_whole_answer_is_at_the_root() -> None:
    assert problems_of(list[int], "1") == ("(root): Input should be a valid array",)


def test_many_problems_are_counted_after_the_first_twenty() -> None:
    problems = problems_of(list[int], "[" + ",".join(["null"] * 50) + "]")

    assert (len(problems), problems[-1]) == (21, "(root): and 30 more")


def test_broken_json_is_shown_around_the_fault_only() -> None:
    text = "[" + "1," * 1000 + "oops," + "2," * 1000 + "3]"

    (problem,) = problems_of(list[int], text)

    assert "at line 1 column 2002" in problem
    assert "oops" in problem
    assert len(problem) < 120


def test_a_path_of_any_length_is_cut() -> None:
    (problem,) = problems_of(dict[str, int], '{"' + "k" * 10_000 + '": null}')

    assert len(problem) < 700
