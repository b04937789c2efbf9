"""What was used: counted by request, added up in rows by all processes, with its price."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from job_rows import add as add_job
from sqlalchemy import delete

from aquila.events import Chunk, ReasoningChunk, Status, ToolCallChunk, UsageUpdate
from aquila.response import Response, Usage
from aquila.transport import Request
from jobs import accounts as accounts_module
from jobs import spending
from jobs.accounts import Accounts
from jobs.database import Database
from jobs.prices import add_cost, price_of
from jobs.spending import Spent
from jobs.tables import jobs as jobs_table
from jobs.token_count import BINARY_TOKENS, DEFAULT_OUTPUT, TokenCount, guess, is_counted

pytest_plugins = ["job_fixtures"]

KEY = ("tag:a", "2026-11-24")


def request(body: Any, *, url: str = "http://x/v1/chat/completions") -> Request:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Request(method="POST", url=url, body=raw, model="m")


def test_a_guess_counts_the_texts_of_the_prompt_and_the_bound_of_the_answer() -> None:
    body = {"model": "x" * 400, "messages": [{"role": "user", "content": "a" * 400}], "max_tokens": 50}
    guessed = guess(request(body))
    assert 100 <= guessed.prompt <= 102
    assert guessed.answer == 50
    assert guessed.total == guessed.prompt + 50


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_each_name_of_the_bound_is_known(name: str) -> None:
    assert guess(request({"input": "hi", name: 7})).answer == 7


def test_without_a_bound_an_answer_is_of_usual_length_and_vectors_are_none() -> None:
    assert guess(request({"input": "hi"})).answer == DEFAULT_OUTPUT
    assert guess(request({"input": "hi"}, url="http://x/v1/embeddings?a=b")).answer == 0


def test_a_picture_counts_as_one_whatever_its_size() -> None:
    picture = "data:image/png;base64," + "iVBORw0KGgo" * 90_000
    content = [{"type": "image_url", "image_url": {"url": picture}}]
    assert guess(request({"messages": [{"content": content}]})).prompt <= BINARY_TOKENS + 10


def test_a_long_text_is_no_picture() -> None:
    assert guess(request({"input": "word " * 4000})).prompt == 5000


@pytest.mark.parametrize("body", [b"\xff\x00 no JSON", b"[1]", b'"x"'])
def test_a_body_of_another_kind_counts_as_one_recording(body: bytes) -> None:
    assert guess(request(body)).prompt == BINARY_TOKENS


def test_only_what_makes_a_model_work_is_counted() -> None:
    assert is_counted(request({"input": "hi"}))
    assert not is_counted(Request(method="GET", url="http://x", model="m"))
    assert not is_counted(Request(method="POST", url="http://x/cancel", model="m"))


def test_fragments_count_until_the_provider_counts_them() -> None:
    count = TokenCount(10)
    assert count.add_all([Chunk("a"), ReasoningChunk("b" * 40), ToolCallChunk("1", "c" * 8)])
    assert (count.input, count.output, count.total) == (10, 13, 23)

    assert not count.add_all([UsageUpdate(Usage(input_tokens=8, output_tokens=5)), Status("x")])
    assert (count.input, count.output, count.total) == (8, 5, 13)

    count.add_all([Chunk("abcdefgh")])
    assert count.total == 15


def test_a_total_alone_is_enough() -> None:
    count = TokenCount(10)
    count.add_all([UsageUpdate(Usage(total_tokens=30))])
    assert (count.input, count.output) == (10, 20)


def test_prices_go_by_the_server_then_by_the_name_and_the_local_model_is_free() -> None:
    known = price_of("gpt-4o-mini", "https://api.openai.com/v1")
    through_a_gateway = price_of("gpt-4o-mini", "http://gateway.test/v1")
    assert known is not None
    assert through_a_gateway is not None
    assert known.prompt == through_a_gateway.prompt > 0
    assert known.answer > known.prompt
    assert price_of("no-such-model", "http://gateway.test/v1") is None
    free = price_of("local", "http://aquila.local/v1")
    assert free is not None
    assert (free.prompt, free.answer) == (0.0, 0.0)


def test_the_final_price_is_that_of_what_the_provider_counted() -> None:
    price = price_of("gpt-4o-mini", "https://api.openai.com/v1")
    assert price is not None
    cached, plain = TokenCount(0), TokenCount(0)
    cached.add_all([UsageUpdate(Usage(input_tokens=1000, output_tokens=10, cached_tokens=1000))])
    plain.add_all([UsageUpdate(Usage(input_tokens=1000, output_tokens=10))])
    assert price.final(plain) == pytest.approx(price.running(plain))
    assert 0 < price.final(cached) < price.final(plain)


def test_costs_add_up_as_far_as_prices_are_known() -> None:
    usage = Usage(input_tokens=1000, output_tokens=1000)
    known = Response(model="gpt-4o-mini", usage=usage)
    once = add_cost(None, known)
    assert once is not None
    assert once > 0
    assert add_cost(once, known) == pytest.approx(2 * once)
    assert add_cost(None, Response(model="no-such-model", usage=usage)) is None
    assert add_cost(once, Response(model="gpt-4o-mini")) == once


def test_amounts_add_up_in_the_rows(database: Database) -> None:
    database.write(spending.add, {KEY: Spent(3, 0.5), ("job:1", ""): Spent(1, 0.0)})
    _, found = database.write(spending.add, {KEY: Spent(4, 0.25)}, [("job:1", ""), ("tag:b", "")])

    assert found == {KEY: Spent(7, 0.75), ("job:1", ""): Spent(1, 0.0)}
    assert database.read(spending.read, [KEY])[1] == {KEY: Spent(7, 0.75)}


def test_many_keys_are_read_at_once(database: Database) -> None:
    keys = {(f"job:{n}", ""): Spent(n, 0.0) for n in range(450)}
    assert database.write(spending.add, keys)[1] == keys


def test_a_long_tag_has_a_name_that_fits() -> None:
    long, other = spending.tag_name("x" * 300), spending.tag_name("x" * 301)
    assert long != other
    assert max(len(long), len(other)) <= 255
    assert spending.tag_name("a") == "tag:a"


def test_what_is_known_of_removed_jobs_and_of_old_days_is_pruned(database: Database) -> None:
    kept, gone = add_job(database), add_job(database)
    today = database.read(spending.read, [])[0]
    old = today - timedelta(days=500)
    names = [spending.job_name(job.job_id) for job in (kept, gone)]
    used = {(name, ""): Spent(1) for name in names}
    used |= {("tag:a", f"{day:%Y-%m-%d}"): Spent(1) for day in (today, old)}
    used |= {("tag:m", f"{old:%Y-%m}"): Spent(1), ("tag:e", ""): Spent(1)}
    database.write(spending.add, used)
    database.write(lambda c: c.execute(delete(jobs_table).where(jobs_table.c.id == gone.job_id)))

    assert database.write(spending.prune) == 3
    left = database.read(spending.read, used)[1]
    assert left.keys() == {(names[0], ""), ("tag:a", f"{today:%Y-%m-%d}"), ("tag:e", "")}


async def test_what_one_process_spends_counts_here_at_once_and_elsewhere_with_the_next_batch(
    database: Database,
) -> None:
    here, there = Accounts(database), Accounts(database)
    await here.watch([KEY])
    await there.watch([KEY])
    here.spend([KEY], 5, 0.5)
    assert (here.used(KEY), there.used(KEY)) == (Spent(5, 0.5), Spent())

    await here.flush()
    await there.flush()
    assert here.used(KEY) == there.used(KEY) == Spent(5, 0.5)
    there.spend([KEY], -2, -0.25)
    await there.flush()
    await here.flush()
    assert here.used(KEY) == there.used(KEY) == Spent(3, 0.25)


async def test_what_could_not_be_stored_is_stored_once_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Accounts(database)
    await here.watch([KEY])
    here.spend([KEY], 5, 0.0)

    def fail(*_: object) -> None:
        raise accounts_module.StorageError("away")

    with monkeypatch.context() as away:
        away.setattr(accounts_module.spending, "add", fail)
        assert not await here.flush()
    here.spend([KEY], 1, 0.0)
    assert here.used(KEY) == Spent(6)
    assert await here.flush()
    assert await here.flush()
    assert database.read(spending.read, [KEY])[1] == {KEY: Spent(6)}


async def test_an_account_that_nobody_watches_is_forgotten_once_it_is_stored(database: Database) -> None:
    here = Accounts(database)
    await here.watch([KEY])
    await here.watch([KEY])
    here.spend([KEY], 5, 0.0)
    here.leave([KEY])
    assert here.used(KEY) == Spent(5)
    here.leave([KEY])
    await here.flush()
    assert here.used(KEY) == Spent()
    await here.watch([KEY])
    assert here.used(KEY) == Spent(5)


async def test_the_time_is_that_of_the_database(database: Database) -> None:
    ticking = [100.0]
    here = Accounts(database, clock=lambda: ticking[0])
    with pytest.raises(RuntimeError, match="tell_time"):
        here.now()
    await here.tell_time()
    before = here.now()
    ticking[0] += 3600.0
    assert here.now() - before == timedelta(hours=1)
    assert abs(before - database.read(spending.read, [])[0]) < timedelta(minutes=1)
    assert before.utcoffset() == timedelta(0)
    assert Accounts(database, now=lambda: datetime(2026, 1, 1, tzinfo=UTC)).now().year == 2026
