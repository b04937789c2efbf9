"""Prices come from the installed table, and only where it knows them."""

from __future__ import annotations

import sys
from decimal import Decimal

import pytest

from aquila.errors import ConfigError
from aquila.prices import cost_of
from aquila.response import Response, Usage

MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
OPENAI = "https://api.openai.com/v1"


def test_input_and_output_have_prices_of_their_own() -> None:
    cost = cost_of(MILLION, model="gpt-4o-mini")

    assert cost == Decimal("0.75")
    assert isinstance(cost, Decimal)


def test_a_response_names_its_model_itself() -> None:
    response = Response(model="gpt-4o-mini-2024-07-18", usage=MILLION)

    assert cost_of(response) == Decimal("0.75")
    assert cost_of(response, model="no-such-model") is None


def test_cached_tokens_cost_less_and_are_counted_once() -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=0, cached_tokens=500_000)

    assert cost_of(usage, model="gpt-4o-mini") == Decimal("0.1125")


def test_tokens_written_to_the_cache_cost_more_where_the_provider_says_so() -> None:
    plain = Usage(input_tokens=100_000, output_tokens=0)
    written = Usage(input_tokens=100_000, output_tokens=0, cache_write_tokens=100_000)

    assert cost_of(written, model="gpt-4o-mini") == cost_of(plain, model="gpt-4o-mini") == Decimal("0.015")
    assert cost_of(plain, model="claude-sonnet-4-5") == Decimal("0.3")
    assert cost_of(written, model="claude-sonnet-4-5") == Decimal("0.375")


def test_reasoning_tokens_are_output_and_are_counted_once() -> None:
    usage = Usage(input_tokens=0, output_tokens=1_000_000, reasoning_tokens=900_000)

    assert cost_of(usage, model="o4-mini") == cost_of(MILLION, model="o4-mini") - cost_of(  # type: ignore[operator]
        Usage(input_tokens=1_000_000, output_tokens=0), model="o4-mini"
    )


@pytest.mark.parametrize("provider", ["openai", OPENAI, None])
def test_the_provider_is_a_name_or_an_address_or_goes_by_the_model(provider: str | None) -> None:
    assert cost_of(MILLION, model="gpt-4o-mini", provider=provider) == Decimal("0.75")


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("local", None),
        ("no-such-model", "openai"),
        ("gpt-4o-mini", "nobody"),
        ("gpt-4o-mini", "http://127.0.0.1:8080/v1"),
    ],
)
def test_an_unknown_model_or_provider_has_no_price(model: str, provider: str | None) -> None:
    assert cost_of(MILLION, model=model, provider=provider) is None


@pytest.mark.parametrize(
    "usage",
    [
        Usage(),
        Usage(input_tokens=1),
        Usage(input_tokens=1, output_tokens=1, cached_tokens=2),
        Usage(input_tokens=-1, output_tokens=1),
    ],
)
def test_counts_that_are_missing_or_impossible_have_no_price(usage: Usage) -> None:
    assert cost_of(usage, model="gpt-4o-mini") is None


def test_a_response_without_usage_or_model_has_no_price() -> None:
    assert cost_of(Response(model="gpt-4o-mini")) is None
    assert cost_of(Response(usage=MILLION)) is None


def test_an_answer_that_took_no_tokens_costs_nothing() -> None:
    assert cost_of(Usage(input_tokens=0, output_tokens=0), model="gpt-4o-mini") == 0


def test_a_service_tier_may_have_a_price_of_its_own() -> None:
    standard, flex = cost_of(MILLION, model="o4-mini"), cost_of(MILLION, model="o4-mini", service_tier="flex")

    assert standard is not None
    assert flex is not None
    assert flex < standard
    assert cost_of(MILLION, model="o4-mini", service_tier="no-such-tier") == standard


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)

    with pytest.raises(ConfigError, match=r"pip install 'aquila-llm\[prices\]'"):
        cost_of(MILLION, model="gpt-4o-mini")
