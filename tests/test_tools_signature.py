from __future__ import annotations

import functools
import math
from typing import Annotated, Any

from aquila.tools.context import Context
from aquila.tools.signature import label, plain_function, read_parameters


def logged(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def look(city: str, ctx: Annotated[Context[dict[str, int]], "the run"], days: int = 1) -> None: ...


def test_a_context_is_found_behind_text_annotations_and_annotated() -> None:
    read = read_parameters(look)

    assert read.contexts == ("ctx",)
    assert [(one.name, one.annotation) for one in read.filled] == [("city", str), ("days", int)]


def test_a_decorated_function_keeps_its_own_signature() -> None:
    assert [one.name for one in read_parameters(logged(look)).filled] == ["city", "days"]


def test_a_partial_of_a_partial_hides_all_that_is_bound() -> None:
    bound = functools.partial(functools.partial(look, "Rome"), days=2)

    read = read_parameters(bound)

    assert read.filled == ()
    assert read.hidden == {"ctx", "days"}
    assert plain_function(bound) is look


def test_a_builtin_has_no_types_and_works() -> None:
    read = read_parameters(math.sqrt)

    assert [one.name for one in read.filled] == ["x"]
    assert label(math.sqrt) == "sqrt()"
