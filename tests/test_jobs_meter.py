"""The meter of an attempt that no budget limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from aquila.events import Chunk, UsageUpdate
from aquila.response import Usage
from aquila.transport import Request
from jobs.accounts import Accounts
from jobs.database import Database
from jobs.meter import Meter, MeterPermit

URL = "https://api.openai.com/v1"
#: US dollars for a token of the prompt, and of the answer.
IN, OUT = 0.15e-6, 0.6e-6


@pytest.fixture
def meter(tmp_path: Path) -> Meter:
    # Nothing of it is asked: without a budget there is nothing to read.
    return Meter(Accounts(Database(f"sqlite:///{tmp_path / 'never_opened.db'}")))


async def enter(meter: Meter) -> MeterPermit | None:
    body = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "abcd"}]}'
    request = Request(
        method="POST", url=f"{URL}/chat/completions", headers={}, body=body, model="gpt-4o-mini"
    )
    return await meter.enter(request, URL)


async def test_an_open_request_is_counted_when_somebody_asks(meter: Meter) -> None:
    permit = await enter(meter)
    assert permit is not None
    prompt = meter.tokens
    before = meter.cost
    assert before == pytest.approx(prompt * IN)

    permit.note([Chunk("x")] * 3, whole=False)
    assert [meter.cost, meter.cost] == [pytest.approx(prompt * IN + 3 * OUT)] * 2
    assert meter.tokens == prompt + 3


async def test_the_providers_word_counts_in_the_end(meter: Meter) -> None:
    permit = await enter(meter)
    assert permit is not None
    permit.note([Chunk("x"), UsageUpdate(Usage(input_tokens=100, output_tokens=10))], whole=True)
    permit.close("answered")

    assert meter.cost == pytest.approx(100 * IN + 10 * OUT)
    assert meter.tokens == 110


async def test_a_refused_request_is_taken_back(meter: Meter) -> None:
    first, second = await enter(meter), await enter(meter)
    assert first is not None
    assert second is not None
    first.note([Chunk("x")], whole=False)
    first.close("refused")
    second.close("unsent")

    assert (meter.cost, meter.tokens) == (0.0, 0)


async def test_without_a_budget_and_without_prices_nothing_is_counted(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.meter.has_prices", lambda: False)

    assert await enter(meter) is None
    assert meter.cost is None
