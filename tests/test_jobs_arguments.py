from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

import aquila
from aquila.errors import ConfigError
from jobs.arguments import pack, plain_metadata, plain_result, unpack


class Address(BaseModel):
    street: str
    since: datetime


class Person(BaseModel):
    name: str
    address: Address


class Login(BaseModel):
    password: SecretStr


def greet(
    person: Person, *others: Person, words: dict[str, list[int]] | None = None, loud: bool = False
) -> None:
    """Take arguments of every kind."""


def take(value: Any = None, api_key: str | None = None) -> None:
    """Take anything."""


ANNA = Person(name="Anna", address=Address(street="Elm", since=datetime(2020, 1, 2, tzinfo=UTC)))


def test_models_come_out_as_they_went_in() -> None:
    packed = json.loads(json.dumps(pack(greet, (ANNA, ANNA), {"words": {"a": [1]}, "loud": True})))

    args, kwargs = unpack(greet, packed)

    assert args[0] == ANNA
    assert kwargs == {"words": {"a": [1]}, "loud": True}


@pytest.mark.parametrize("value", [None, True, 3, 1.5, "text", [1, [2]], {"a": {"b": None}}])
def test_json_values_stay_what_they_are(value: Any) -> None:
    assert unpack(take, pack(take, (value,), {})) == ([value], {})


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (print, "builtin_function_or_method"),
        (aquila.Client(), "Client"),
        (aquila.sink.collector(), "Collector"),
        (datetime(2020, 1, 1, tzinfo=UTC), "datetime"),
        (float("nan"), "nan"),
        ({1: 2}, "key 1"),
        (["sk-abcdEFGH1234ijklMNOP"], "API key"),
        ({"api_key": "x"}, "api_key"),
        (Login(password=SecretStr("x")), "password"),
    ],
)
def test_what_a_row_cannot_or_must_not_hold_is_refused_by_name(value: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as refused:
        pack(take, (value,), {})

    assert "'value' of take()" in str(refused.value)
    assert "abcdefghijklmnop" not in str(refused.value)


def test_an_argument_that_is_called_like_a_credential_is_refused() -> None:
    with pytest.raises(ConfigError, match="'api_key' of take"):
        pack(take, (), {"api_key": "anything"})


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        (
            (),
            {"valeu": 1},
            "take() takes (value=..., api_key=...): got an unexpected keyword argument 'valeu'",
        ),
        ((1, 2, 3), {}, "take() takes (value=..., api_key=...): too many positional arguments"),
    ],
    ids=["keyword", "position"],
)
def test_a_call_that_does_not_fit_fails_where_it_is_made(
    args: tuple[Any, ...], kwargs: dict[str, Any], said: str
) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
        pack(take, args, kwargs)


def test_a_missing_argument_is_told_with_the_function_s_names() -> None:
    with pytest.raises(
        TypeError, match=re.escape("greet() takes (person, *others, words=..., loud=...): missing")
    ):
        pack(greet, (), {})


@pytest.mark.parametrize("packed", [{"args": [1, 2, 3], "kwargs": {}}, {"args": [{"name": 1}], "kwargs": {}}])
def test_stored_arguments_that_no_longer_fit_say_so(packed: dict[str, Any]) -> None:
    function = greet if isinstance(packed["args"][0], dict) else take

    with pytest.raises(ConfigError, match="no longer fit"):
        unpack(function, packed)


@pytest.mark.parametrize(
    ("person", "said"),
    [
        ({"name": "Anna"}, "address: Field required"),
        ({"name": "Anna", "address": {"street": "Elm", "since": "never"}}, "address.since: Input should be"),
        ("Anna", "Input should be"),
    ],
    ids=str,
)
def test_what_is_no_model_is_refused_where_it_is_sent(person: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        pack(greet, (person,), {})

    assert str(refused.value).startswith("argument 'person' of greet() does not fit its type: ")
    assert "\n" not in str(refused.value)


def test_a_dict_stands_for_a_model() -> None:
    args, _ = unpack(greet, pack(greet, (ANNA.model_dump(mode="json"),), {}))

    assert args == [ANNA]


@pytest.mark.parametrize(
    ("metadata", "named"),
    [({"a": {1}}, "metadata 'a' is of type set"), ({1: 2}, "key 1"), ({"a": "sk-" + 10 * "aB3"}, "API key")],
    ids=str,
)
def test_metadata_that_a_row_cannot_or_must_not_hold_is_refused_by_name(metadata: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        plain_metadata(metadata)


def test_a_result_that_is_no_json_is_refused() -> None:
    with pytest.raises(ConfigError, match="the result of the actor is of type set"):
        plain_result({1})
