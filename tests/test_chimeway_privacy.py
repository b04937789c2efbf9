from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from chimeway.errors import NotifierInvalid
from chimeway.privacy import is_secret, redacted, redacted_response


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


class Odd(Enum):
    PAIR = (1, 2)


class Person(BaseModel):
    name: str
    born: date
    otp: str = "1234"
    word: SecretStr = SecretStr("hidden")


@pytest.mark.parametrize(
    "key",
    ["password", "Password", "user_password", "apiKey", "API-KEY", "x-api-key", "api key", "Authorization", "set-cookie",
     "token", "access_token", "clientSecret", "sessionId", "session_key", "session_token", "private_key", "otp", "jwt", "Bearer", "pass.wd", "PASSWORD\n"],
)  # fmt: skip
def test_names_of_secrets_are_known_however_they_are_spelt(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        *("name", "tokens", "token_count", "author", "session_title", "secretary", "keyboard", "", "key"),
        *("session", "pin", "sid", "auth", "signature"),
    ],
)
def test_other_names_are_not_taken_for_them(key: str) -> None:
    assert not is_secret(key)


def test_secrets_are_left_out_at_any_depth() -> None:
    given = {"user": {"name": "Ada", "password": "p", "keys": [{"api_key": "k", "id": 1}]}, "token": {"a": 1}}

    assert redacted(given) == {"user": {"name": "Ada", "keys": [{"id": 1}]}}


def test_ordinary_words_are_kept_of_a_host_and_left_out_of_an_answer() -> None:
    given = {"session": "Talk 7", "pin": 1, "sid": 2, "Auth": 3, "signature": "Ada", "a": 4}

    assert redacted(given) == given
    assert redacted_response(given) == {"a": 4}


def test_values_become_json() -> None:
    values = {
        "text": "a\x00b\ud800",
        "numbers": (1, 2.5, True, None, 10**30),
        "at": datetime(2026, 1, 2, 3, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "hour": time(3, 4),
        "id": UUID(int=1),
        "price": Decimal("1.10"),
        "huge": Decimal("1e5000"),
        "enums": [Colour.RED, Size.SMALL, Odd.PAIR],
        "model": Person(name="Ada", born=date(1815, 12, 10)),
    }

    given = redacted(values)

    assert given == {
        "text": "a\ufffdb\ufffd",
        "numbers": [1, 2.5, True, None, 10**30],
        "at": "2026-01-02T03:00:00+00:00",
        "day": "2026-01-02",
        "hour": "03:04:00",
        "id": "00000000-0000-0000-0000-000000000001",
        "price": "1.10",
        "huge": "1E+5000",
        "enums": ["red", 1, [1, 2]],
        "model": {"name": "Ada", "born": "1815-12-10", "word": "**********"},
    }
    assert json.loads(json.dumps(given)) == given
    assert type(given["enums"][0]) is str


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [float("nan")]}, "params.a\\[0\\] is nan, which JSON does not know"),
        ({"a": Decimal("Infinity")}, "params.a is Infinity"),
        ({"a": Decimal("sNaN")}, "params.a is sNaN"),
        ({"a": [10**5000]}, "params.a\\[0\\] is a whole number of more than 2,000 bits"),
        ({"a": b"x"}, "params.a is of type bytes"),
        ({"a": {1, 2}}, "params.a is of type set"),
        ({"a": {"b": object}}, "params.a.b is of type type"),
        ({"a": {1: 2}}, "params.a has a key of type int"),
        ("x" * 1_000_000, "params has 1,000,002 characters as JSON, and at most 1,000,000"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(value: Any, words: str) -> None:
    with pytest.raises(NotifierInvalid, match=words):
        redacted(value, where="params")


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop

    with pytest.raises(NotifierInvalid, match=r"is nested deeper than 20 values"):
        redacted(loop)


def test_an_answer_is_kept_short_and_without_secrets() -> None:
    answer = redacted_response(
        {"id": "m", "token": "t", "said": "key sk-" + "a1B2" * 12, "long": "x" * 5_000}
    )

    assert answer == {"id": "m", "said": "key [redacted]", "long": "x" * 2_000 + "..."}
    edge = redacted_response({"a": "x" * 1_989 + " sk-" + "a1B2" * 12})
    assert "a1B2" not in edge["a"]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (
            {"a": object()},
            {"not_kept": "the answer.a is of type object; use JSON values, times, UUIDs or pydantic models"},
        ),
        (
            {"a": ["y" * 1_000] * 30},
            {"not_kept": "the answer has 30,127 characters, and at most 20,000 are kept"},
        ),
        ("ok", {"answer": "ok"}),
        ([1], {"answer": [1]}),
        ({}, {}),
    ],
)
def test_an_answer_that_cannot_be_kept_costs_nothing(answer: Any, kept: dict[str, Any]) -> None:
    assert redacted_response(answer) == kept


def test_an_answer_that_cannot_even_be_read_costs_nothing() -> None:
    class Broken(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("the connection is closed")

    assert redacted_response(Broken(a=1)) == {"not_kept": "the answer cannot be read: RuntimeError"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_what_is_kept_stays_as_it_is_when_it_is_kept_again(value: Any) -> None:
    once = redacted(value)

    assert redacted(once) == once
    assert json.loads(json.dumps(once)) == once


def test_an_answer_keeps_no_address_and_no_path() -> None:
    answer = {
        "Ada@Example.com": ["550 ADA@example.com unknown"],
        "next": "https://api.example.com/messages/PLANTED",
        "id": 7,
    }

    assert redacted_response(answer, address="Ada <ada@example.com>") == {
        "[redacted]": ["550 [redacted] unknown"],
        "next": "https://api.example.com/[...]",
        "id": 7,
    }
