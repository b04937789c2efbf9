from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aquila
from aquila.endpoint.surrogates import without_halves
from aquila.testing import Answer, ScriptedTransport
from tests import responses_wire, wire


@pytest.mark.parametrize(
    ("data", "mended"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"a\ude00b"', rb'"a\ufffdb"'),
        (rb'"\uD83D\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\u00e9 plain"', rb'"\u00e9 plain"'),
    ],
)
def test_halves_are_replaced_and_whole_characters_stay(data: bytes, mended: bytes) -> None:
    assert without_halves(data) == mended
    json.loads(mended).encode("utf-8")


@given(st.text())
def test_text_without_halves_stays_as_it_is(text: str) -> None:
    data = json.dumps(text).encode()

    assert without_halves(data) == data


HALVES = b'data: {"choices": [{"index": 0, "delta": {"content": "a\\ud83d"}}]}\n\n'
DELTA = b'data: {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a\\ud83d"}\n\n'


@pytest.mark.parametrize(
    ("endpoint", "chunks"),
    [
        ("chat", [HALVES, wire.delta("b"), wire.delta(finish="stop"), wire.DONE]),
        ("responses", [DELTA, *responses_wire.answer("a\ufffd", "b")[4:]]),
    ],
)
async def test_a_cut_character_does_not_cost_the_answer(endpoint: str, chunks: list[bytes]) -> None:
    transport = ScriptedTransport(Answer(chunks=chunks))

    answer = await aquila.ask("hi", transport=transport, endpoint=endpoint)  # type: ignore[arg-type]

    assert answer.text.startswith("a\ufffd")
    assert answer.text.endswith("b")
