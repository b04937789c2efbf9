from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from aquila.endpoint.wire_json import encode_body, excerpt, json_text, list_of, object_of, read_json, text_of
from aquila.errors import ConfigError, ProtocolError


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("data", [b"", b"{", b'"\xff"', b"1e999", b"[" * 100_000])
def test_bytes_that_are_no_json_are_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="no JSON"):
        read_json(data)


def test_a_value_is_shown_by_its_beginning() -> None:
    assert excerpt("text") == "text"
    assert excerpt({"a": 1}) == '{"a":1}'
    assert excerpt("x" * 500, 3) == "xxx"
    assert excerpt(nested(100_000)) == "a list that is nested without end"


def test_text_and_objects_are_what_they_say_or_an_error() -> None:
    assert (text_of(None, "x"), text_of("a", "x")) == ("", "a")
    assert (object_of(None, "x"), object_of({"a": 1}, "x")) == ({}, {"a": 1})
    with pytest.raises(ProtocolError, match="the stream's x is int and no text: 5"):
        text_of(5, "x")
    with pytest.raises(ProtocolError, match="the stream's x is list and no object: "):
        object_of([], "x")
    assert (list_of(None, "x"), list_of([1], "x")) == ([], [1])
    with pytest.raises(ProtocolError, match="the stream's x is str and no list: a"):
        list_of("a", "x")
    with pytest.raises(ProtocolError, match="no JSON"):
        json_text(nested(100_000))


@pytest.mark.parametrize("value", ["\ud83d", object(), {1j: 2}, nested(100_000), {"a": {"b": "\udcff"}}])
def test_a_body_that_has_no_form_in_json_names_the_field(value: Any) -> None:
    with pytest.raises(ConfigError, match="odd: cannot be sent as JSON"):
        encode_body({"model": "m", "odd": value})


def test_large_numbers_and_any_text_are_sent() -> None:
    assert (
        encode_body({"a": 2**80, "b": "🏴‍☠️\u2028"})
        == '{"a":1208925819614629174706176,"b":"🏴‍☠️\u2028"}'.encode()
    )


class Safe(str):
    """Text that says more of itself than JSON can."""

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Count(int):
    """A number of a kind of its own."""


def test_kinds_of_text_and_numbers_are_sent_as_what_they_are() -> None:
    body = {"text": Safe("hi"), "items": [Count(3)], "map": MappingProxyType({"a": Safe("b")})}

    assert encode_body(body) == b'{"text":"hi","items":[3],"map":{"a":"b"}}'
