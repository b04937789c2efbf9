from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel

from aquila.tools import Context, tool
from aquila.tools.hints import is_context, read_hints

if TYPE_CHECKING:
    from somewhere import Session  # type: ignore[import-not-found]


def test_the_types_of_parameters_are_resolved_one_by_one() -> None:
    def f(a: int, b: "Annotated[str, 3]", c: Context[Session]) -> Session: ...  # noqa: UP037

    assert read_hints(f) == {"a": int, "b": Annotated[str, 3], "c": Context}


def test_a_name_of_the_surrounding_function_is_found() -> None:
    class Line(BaseModel):
        price: int

    @tool
    def buy(line: Line, lines: list[Line]) -> int:
        return line.price + len(lines)

    assert buy.parameters["properties"]["line"]["properties"] == {"price": {"type": "integer"}}


def test_a_name_that_nobody_knows_is_an_error() -> None:
    def f(a: Session) -> None: ...

    def g(a: list[Session]) -> None: ...

    for function in (f, g):
        with pytest.raises(NameError, match="Session"):
            read_hints(function)


def test_a_decorated_function_is_resolved_where_it_was_written() -> None:
    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(function)(eval("lambda *a, **k: None", {}))  # noqa: S307 - has other globals

    def f(a: BaseModel) -> None: ...

    assert read_hints(around(f)) == {"a": BaseModel}


def test_a_context_is_known_in_every_dress() -> None:
    hints = [
        Context,
        Context[int],
        Context[int] | None,
        Annotated[Context[int], "x"],
        int,
        list[Context[int]],
        None,
    ]

    assert [is_context(hint) for hint in hints] == [True, True, True, True, False, False, False]
