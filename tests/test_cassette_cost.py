from __future__ import annotations

import sys
from decimal import Decimal

import genai_prices
import pytest

from aquila.cassette.cost import cost_in_dollars

OPENAI = "https://api.openai.com/v1/responses"
ANSWER = b'{"model":"gpt-4o-mini","usage":{"input_tokens":1000000,"output_tokens":1000000}}'


def test_the_address_tells_whose_prices_hold() -> None:
    assert cost_in_dollars(ANSWER, OPENAI) == Decimal("0.75")
    assert cost_in_dollars(ANSWER, "http://localhost:8080/v1") is None


def test_reads_from_the_cache_are_counted_as_such() -> None:
    usage = b'{"input_tokens":1000000,"input_tokens_details":{"cached_tokens":500000},"output_tokens":0}'

    assert cost_in_dollars(b'{"model":"gpt-4o-mini","usage":' + usage + b"}", OPENAI) == Decimal("0.1125")


@pytest.mark.parametrize(
    "body", [b"", b"data: [DONE]\n\n", b'{"model":"gpt-4o-mini"}', b'{"usage":{"input_tokens":1}}']
)
def test_an_answer_that_counts_nothing_has_no_price(body: bytes) -> None:
    assert cost_in_dollars(body, OPENAI) is None


def test_without_the_price_table_there_is_no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)

    assert cost_in_dollars(ANSWER, OPENAI) is None


def test_a_broken_price_table_costs_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such table")

    monkeypatch.setattr(genai_prices, "calc_price", broken)

    assert cost_in_dollars(ANSWER, OPENAI) is None
