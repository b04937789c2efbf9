from __future__ import annotations

from dataclasses import replace

import pytest

from aquila.cassette.matching.match import request_key
from aquila.cassette.matching.rules import Rules
from aquila.transport.base import Request
from tests.talks import SOUND, body, form


def test_the_mark_and_the_order_of_a_form_do_not_count() -> None:
    one = form(SOUND, model="whisper-1", language="en")

    assert request_key(form(SOUND, mark="other", language="en", model="whisper-1")) == request_key(one)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(form(SOUND, model="whisper-2"), id="a field"),
        pytest.param(form(SOUND), id="one field less"),
        pytest.param(form(("file", ("b.wav", *SOUND[1][1:])), model="whisper-1"), id="filename"),
        pytest.param(form(("file", ("a.wav", SOUND[1][1], "audio/mp3")), model="whisper-1"), id="type"),
        pytest.param(
            form(("file", ("a.wav", b"RIFF\x00\xfe", "audio/wav")), model="whisper-1"), id="content"
        ),
        pytest.param(form(("sound", SOUND[1]), model="whisper-1"), id="name"),
        pytest.param(form(SOUND, SOUND, model="whisper-1"), id="twice"),
    ],
)
def test_the_parts_of_a_form_count(other: Request) -> None:
    assert request_key(form(SOUND, model="whisper-1")) != request_key(other)


def test_fields_of_one_name_keep_their_order() -> None:
    one, other = (
        form(*[("l[]", (None, data, "")) for data in order]) for order in ((b"a", b"b"), (b"b", b"a"))
    )

    assert request_key(one) != request_key(other)


def test_rules_hold_for_forms_too() -> None:
    rules = Rules.of(ignore=["$.user"], ignore_text=[r"\d+"])

    one, other = form(SOUND, user="a", prompt="Take 1"), form(SOUND, mark="Y", prompt="Take 22")

    assert request_key(one, rules) == request_key(other, rules)
    assert request_key(one) != request_key(other)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("a=1&b=2", "b=2&a=1", True),
        ("a=x+y", "a=x%20y", True),
        ("a=1&a=2", "a=2&a=1", False),
        ("a=", "", False),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True),
    ],
)
def test_urlencoded_forms_are_compared_by_their_fields(one: str, other: str, equal: bool) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    keys = [request_key(replace(body(text), headers=headers)) for text in (one, other)]

    assert (keys[0] == keys[1]) is equal
