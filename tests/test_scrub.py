from __future__ import annotations

import pickle
from typing import Any

import pytest

import aquila
from aquila.errors import AquilaError
from aquila.testing import Answer, ScriptedTransport
from tests import wire

KEY = "sk-secret-1"


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": KEY},
        {"extra_headers": {"Authorization": f"Bearer {KEY}"}},
        {"extra_headers": {"api-key": KEY}},
        {"extra_headers": {"Helicone-Auth": KEY}},
    ],
)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=401, chunks=[f'{{"error":"Incorrect API key provided: {KEY}"}}'.encode()]),
        Answer(chunks=[wire.delta("x"), wire.event({"error": {"message": f"no {KEY}", "code": KEY}})]),
        Answer(chunks=[f"<html>{KEY}".encode()]),
    ],
    ids=["error status", "error event", "HTML"],
)
async def test_no_key_that_a_provider_repeats_stays_in_an_error(
    options: dict[str, Any], answer: Answer
) -> None:
    with pytest.raises(AquilaError) as caught:
        await aquila.ask("hi", transport=ScriptedTransport(answer), retry=0, **options)

    assert KEY not in f"{caught.value!s} {caught.value!r} {caught.value.__dict__}"
    assert KEY.encode() not in pickle.dumps(caught.value)


async def test_a_dummy_key_garbles_no_message() -> None:
    answer = Answer(chunks=[wire.delta("the local server")])

    with pytest.raises(AquilaError) as caught:
        await aquila.ask("hi", transport=ScriptedTransport(answer), retry=0, api_key="local")

    assert caught.value.partial is not None
    assert caught.value.partial.text == "the local server"


async def test_a_key_in_the_query_of_the_address_stays_out_of_errors() -> None:
    with pytest.raises(AquilaError) as caught:
        await aquila.ask(
            "hi",
            transport=ScriptedTransport(Answer(chunks=[b"<html>"])),
            base_url=f"https://h.example/v1?api_key={KEY}",
            retry=0,
        )

    assert KEY not in str(caught.value)
