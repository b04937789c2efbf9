from __future__ import annotations

import enum
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from aquila.errors import ToolError
from aquila.tools.rendering import render


class Line(BaseModel):
    price: Decimal


class Colour(enum.StrEnum):
    RED = "red"


class Plain(str, enum.Enum):  # noqa: UP042 - what older code has
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    day: date


class Socket:
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        (None, "ok"),
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        ({"a": None, "ü": [1]}, '{"a":null,"ü":[1]}'),
        ((1, 2), "[1,2]"),
        (Line(price=Decimal("1.50")), '{"price":"1.50"}'),
        ([Line(price=Decimal(1))], '[{"price":"1"}]'),
        (Point(1, date(2026, 1, 2)), '{"x":1,"day":"2026-01-02"}'),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00Z"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (Plain.BLUE, "blue"),
        (b"bytes", "bytes"),
        (math.inf, "Infinity"),
        (10**30, "1" + "0" * 30),
        ("report\udce9.txt", "report?.txt"),
    ],
)
def test_a_value_is_told_in_words_or_json(value: Any, text: str) -> None:
    assert render(value) == text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Socket(), r"returned a Socket, .*Socket is no JSON value"),
        ({"a": [Socket()]}, r"returned a dict, .*Socket is no JSON value"),
        (b"\xff", "returned a bytes"),
        (["\ud800"], "returned a list"),
        (ValueError("x"), "returned a ValueError"),
        (lambda: None, "returned a function"),
    ],
)
def test_what_cannot_be_json_is_named(value: Any, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        render(value)


def test_a_value_without_end_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    for value in (loop, deep):
        with pytest.raises(ToolError, match="cannot be JSON"):
            render(value)


def test_a_generator_that_fails_is_refused() -> None:
    def steps() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ToolError, match="no more"):
        render(steps())


@given(
    st.recursive(
        st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).filter(lambda value: not isinstance(value, str))
)
def test_json_comes_out_as_it_went_in(value: Any) -> None:
    assert json.loads(render(value)) == value


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_any_text_can_be_sent(text: str) -> None:
    render(text).encode()
