"""Budgets: of a job and of a tag, kept in mid-stream, over attempts, jobs and days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import anyio
import pytest
import redis
from job_rows import add as add_job
from job_workers import Valkey, until

import aquila
from aquila.errors import AquilaError, ConfigError, InternalServerError
from aquila.events import Chunk
from aquila.testing import Answer, ScriptedTransport
from jobs import accounts as accounts_module
from jobs import spending
from jobs.accounts import Accounts
from jobs.budget import Budget, job_budget
from jobs.database import Database
from jobs.errors import BudgetExceeded
from jobs.meter import Meter, budgets_of
from jobs.metering import Metering
from jobs.policy import Again, GiveUp, decide
from jobs.provider_limit import ProviderLimit, limit_for
from jobs.redis_client import connect
from jobs.rows import Job
from jobs.spending import Spent
from jobs.waits import BudgetResting, LimitReached

pytest_plugins = ["job_fixtures"]

#: For tests that ask little of the rows.
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WORDS = [f"{n} " for n in range(40)]


@pytest.fixture
def client(shared_valkey: Valkey) -> Iterator[redis.Redis]:
    opened = connect(shared_valkey.url)
    yield opened
    opened.close()


def job_with(database: Database, budget: Budget | None = None, *tags: str) -> Job:
    return replace(add_job(database), budget=budget.to_dict() if budget else None, tags=tags)


def metering(database: Database, client: redis.Redis, **budgets: Budget) -> Metering:
    return Metering(database, client, provider_limits={}, budgets=budgets)


async def said(transport: ScriptedTransport, seen: list[str], **options: str) -> None:
    async for event in aquila.stream("hi", transport=transport, **({"model": "m"} | options)):  # type: ignore[arg-type]
        seen += [event.text] if isinstance(event, Chunk) else []


def stored(database: Database, name: str, period: str = "") -> Spent:
    return database.read(spending.read, [(name, period)])[1].get((name, period), Spent())


@pytest.mark.parametrize(
    ("given", "words"),
    [({}, "tokens= or cost="), ({"tokens": 0}, "tokens=0"), ({"cost": -1.0}, "cost=-1.0")],
)
def test_a_budget_that_means_nothing_is_refused(given: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Budget(**given)  # type: ignore[arg-type]


def test_a_budget_names_its_period_and_knows_its_end() -> None:
    day, month, ever = (Budget(tokens=1, per=per) for per in ("day", "month", "ever"))  # type: ignore[arg-type]
    assert [budget.period(NOON) for budget in (day, month, ever)] == ["2026-11-24", "2026-11", ""]
    assert day.rest(NOON) == 12 * 3600
    assert month.rest(NOON) == (datetime(2026, 12, 1, tzinfo=UTC) - NOON).total_seconds()
    assert month.rest(datetime(2026, 12, 31, 23, tzinfo=UTC)) == 3600
    assert day.rest(datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)) == 1
    assert ever.rest(NOON) is None


def test_a_budget_goes_through_the_row() -> None:
    budget = Budget(tokens=5, cost=0.5)
    assert job_budget(budget.to_dict()) == budget
    assert job_budget(None) is None


def test_the_limit_of_a_model_is_the_closest() -> None:
    one, some, rest = (ProviderLimit(requests=n) for n in (1, 2, 3))
    limits = {"gpt-4o": one, "gpt-*": some, "*": rest}
    assert [limit_for(limits, name) for name in ("gpt-4o", "gpt-4o-mini", "x")] == [one, some, rest]
    assert limit_for({"gpt-*": some}, "x") is None


@ON_SQLITE
async def test_a_stream_is_cut_when_the_budget_is_used_up_and_its_text_is_kept(
    database: Database, client: redis.Redis
) -> None:
    script, seen = ScriptedTransport(Answer.text(*WORDS)), []
    job = job_with(database, Budget(tokens=10))
    with pytest.raises(BudgetExceeded, match=rf"job {job.job_id} is used up: 10 of 10 tokens") as caught:
        async with metering(database, client).of(job):
            await said(script, seen)

    # The prompt is a token or two.
    assert 7 <= len(seen) <= 9
    assert caught.value.partial is not None
    assert caught.value.partial.text == "".join(seen)
    assert script.open == 0
    assert stored(database, f"job:{job.job_id}").tokens == 10
    assert isinstance(decide(caught.value, attempt=1, max_attempts=5, backoff=1.0, jitter=0.0), GiveUp)


@ON_SQLITE
async def test_an_attempt_that_goes_on_after_its_budget_fails_all_the_same(
    database: Database, client: redis.Redis
) -> None:
    script = ScriptedTransport(Answer.text(*WORDS))
    refused: list[str] = []
    with pytest.raises(BudgetExceeded):
        async with metering(database, client).of(job_with(database, Budget(tokens=10))):
            for _ in range(2):
                try:
                    await said(script, [])
                except AquilaError as error:
                    refused.append(type(error).__name__)

    assert refused == ["BudgetExceeded", "BudgetExceeded"]
    assert len(script.requests) == 1


async def test_all_attempts_of_a_job_count_together(database: Database, client: redis.Redis) -> None:
    job, script = job_with(database, Budget(tokens=60)), ScriptedTransport(Answer.text(*WORDS))
    async with metering(database, client).of(job) as meter:
        await said(script, [])
        assert meter.tokens == 41
    assert stored(database, f"job:{job.job_id}").tokens == 41

    seen: list[str] = []
    with pytest.raises(BudgetExceeded):
        async with metering(database, client).of(job):
            await said(script, seen)
    assert 15 <= len(seen) <= 18

    # Another process, another attempt: nothing is left, so nothing is sent.
    with pytest.raises(BudgetExceeded):
        async with metering(database, client).of(job):
            raise AssertionError("it must not begin")
    assert len(script.requests) == 2


@ON_SQLITE
async def test_an_answer_that_is_whole_stands_although_it_used_the_budget_up(
    database: Database, client: redis.Redis
) -> None:
    whole = Answer(chunks=[b"".join(step for step in Answer.text(*WORDS).chunks if isinstance(step, bytes))])
    seen: list[str] = []
    async with metering(database, client).of(job_with(database, Budget(tokens=20))):
        await said(ScriptedTransport(whole), seen)
    assert seen == WORDS


@ON_SQLITE
async def test_a_prompt_that_is_too_long_for_what_is_left_is_not_sent(
    database: Database, client: redis.Redis
) -> None:
    script = ScriptedTransport(Answer.text("a"))
    with pytest.raises(BudgetExceeded, match=r"with the next prompt, which was not sent \(about 1[0-9]{2}"):
        async with metering(database, client).of(job_with(database, Budget(tokens=50))):
            await aquila.ask("word " * 100, model="m", transport=script)
    assert script.requests == []


async def test_two_jobs_share_the_budget_of_their_tag(database: Database, client: redis.Redis) -> None:
    shared = metering(database, client, acme=Budget(tokens=50))
    seen: list[list[str]] = [[], []]
    ended: list[str] = []

    async def one(number: int) -> None:
        slow = Answer(chunks=[part for step in Answer.text(*WORDS).chunks for part in (step, 0.001)])
        try:
            async with shared.of(job_with(database, None, "acme", "other")):
                await said(ScriptedTransport(slow), seen[number])
        except BudgetExceeded as error:
            ended.append(str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(one, 0)
        group.start_soon(one, 1)

    assert len(ended) == 2
    assert "tag 'acme' is used up" in ended[0]
    assert 44 <= len(seen[0]) + len(seen[1]) <= 50
    assert min(map(len, seen)) > 0
    assert stored(database, "tag:acme").tokens >= 50


async def test_a_job_whose_tag_has_nothing_left_for_today_waits_for_tomorrow(database: Database) -> None:
    moment = [NOON]
    budget = Budget(tokens=30, per="day")
    job, script = job_with(database, None, "acme"), ScriptedTransport(Answer.text(*WORDS))

    async def attempt() -> None:
        accounts = Accounts(database, now=lambda: moment[0])
        meter = Meter(accounts, budgets_of(job, {"acme": budget}))
        try:
            await meter.open()
            with meter.counting():
                await said(script, [])
        finally:
            await meter.close()

    # It has spent something, and would spend it again each day.
    with pytest.raises(BudgetExceeded):
        await attempt()
    with pytest.raises(BudgetResting, match="for a day is used up") as caught:
        await attempt()
    assert len(script.requests) == 1
    assert caught.value.retry_after == 12 * 3600
    verdict = decide(caught.value, attempt=5, max_attempts=5, backoff=1.0, jitter=0.0)
    assert verdict == Again(12 * 3600, counts=False)

    moment[0] = NOON + timedelta(days=1)
    with pytest.raises(BudgetExceeded):
        await attempt()
    assert len(script.requests) == 2
    assert stored(database, "tag:acme", "2026-11-24").tokens == 30
    assert stored(database, "tag:acme", "2026-11-25").tokens == 30


@ON_SQLITE
async def test_a_day_that_ends_during_an_attempt_makes_the_budget_fresh_for_its_next_request(
    database: Database,
) -> None:
    moment = [NOON]
    budgets = budgets_of(job_with(database, None, "acme"), {"acme": Budget(tokens=50, per="day")})
    database.write(spending.add, {("tag:acme", "2026-11-25"): Spent(45)})
    meter = Meter(Accounts(database, now=lambda: moment[0]), budgets)
    await meter.open()
    seen: list[str] = []
    with meter.counting():
        await said(ScriptedTransport(Answer.text(*WORDS)), seen)
        assert len(seen) == 40
        moment[0] += timedelta(days=1)
        with pytest.raises(BudgetExceeded):
            await said(ScriptedTransport(Answer.text(*WORDS)), seen)
    await meter.close()

    assert 41 <= len(seen) <= 45
    assert stored(database, "tag:acme", "2026-11-24").tokens == 41
    assert stored(database, "tag:acme", "2026-11-25").tokens == 50


async def test_a_budget_in_dollars_cuts_a_stream(database: Database, client: redis.Redis) -> None:
    seen: list[str] = []
    # gpt-4o-mini takes some tenths of a millionth of a dollar for a token.
    job = job_with(database, Budget(cost=6e-6))
    with pytest.raises(BudgetExceeded, match="US dollars are used"):
        async with metering(database, client).of(job) as meter:
            await said(ScriptedTransport(Answer.text(*WORDS)), seen, model="gpt-4o-mini")
    assert 0 < len(seen) < 40
    assert meter.cost is not None
    assert meter.cost >= 6e-6
    assert stored(database, f"job:{job.job_id}").cost == pytest.approx(meter.cost)


@ON_SQLITE
async def test_a_budget_in_dollars_needs_a_price(database: Database, client: redis.Redis) -> None:
    script = ScriptedTransport(Answer.text("a"))
    with pytest.raises(ConfigError, match=r"price of 'no-such-model' at http.* is not known"):
        async with metering(database, client).of(job_with(database, Budget(cost=1.0))):
            await said(script, [], model="no-such-model")
    assert script.requests == []


@ON_SQLITE
async def test_the_meter_knows_what_an_attempt_cost_without_a_budget_too(
    database: Database, client: redis.Redis
) -> None:
    async with metering(database, client).of(job_with(database)) as meter:
        assert meter.cost is None
        await said(ScriptedTransport(Answer.text("a", "b")), [], model="gpt-4o-mini")
        assert meter.cost == pytest.approx(1 * 0.15e-6 + 2 * 0.6e-6)
        await said(ScriptedTransport(Answer.text("a")), [], model="no-such-model")
        assert (meter.tokens, meter.cost) == (5, pytest.approx(1.35e-6))


@ON_SQLITE
async def test_a_refused_request_costs_nothing(database: Database, client: redis.Redis) -> None:
    job = job_with(database, Budget(tokens=100))
    async with metering(database, client).of(job) as meter:
        with pytest.raises(InternalServerError):
            await aquila.ask("hi", model="m", transport=ScriptedTransport(Answer(status=500)), retry=0)
        assert meter.tokens == 0
    assert stored(database, f"job:{job.job_id}") == Spent()


@ON_SQLITE
async def test_what_an_attempt_spent_is_stored_although_it_is_cancelled(
    database: Database, client: redis.Redis
) -> None:
    job = job_with(database, Budget(tokens=100))
    script = ScriptedTransport(Answer(chunks=[*Answer.text(*WORDS[:5]).chunks[:5], 60.0]))
    with anyio.CancelScope() as scope:
        async with metering(database, client).of(job):
            async for event in aquila.stream("hi", model="m", transport=script):
                if isinstance(event, Chunk) and event.text == WORDS[4]:
                    scope.cancel()

    assert scope.cancelled_caught
    assert 5 <= stored(database, f"job:{job.job_id}").tokens <= 7


@ON_SQLITE
async def test_a_plain_function_is_cut_in_its_thread(database: Database, client: redis.Redis) -> None:
    seen: list[str] = []

    def read() -> None:
        with aquila.sync.stream("hi", model="m", transport=ScriptedTransport(Answer.text(*WORDS))) as stream:
            seen.extend(stream.text)

    with pytest.raises(BudgetExceeded):
        async with metering(database, client).of(job_with(database, Budget(tokens=10))):
            await anyio.to_thread.run_sync(read)
    assert 0 < len(seen) < 10


@ON_SQLITE
async def test_a_request_that_the_budget_refuses_takes_no_place_of_the_limit(
    database: Database, client: redis.Redis
) -> None:
    model = f"m-{uuid4().hex}"
    both = Metering(database, client, provider_limits={"*": ProviderLimit(requests=1)}, budgets={})
    script = ScriptedTransport(Answer.text("a"))
    with pytest.raises(BudgetExceeded):
        async with both.of(job_with(database, Budget(tokens=10))):
            await aquila.ask("word " * 100, model=model, transport=script)
    async with both.of(job_with(database, Budget(tokens=10))):
        assert (await aquila.ask("hi", model=model, transport=script)).text == "a"
        with pytest.raises(LimitReached):
            await aquila.ask("hi", model=model, transport=script)


@ON_SQLITE
async def test_while_it_runs_what_is_spent_is_stored_from_time_to_time(
    database: Database, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_module, "INTERVAL", 0.02)
    both = Metering(
        database,
        client,
        provider_limits={"*": ProviderLimit(tokens=1100)},
        budgets={"acme": Budget(tokens=10_000)},
    )
    script, model = ScriptedTransport(Answer.text("a")), f"m-{uuid4().hex}"
    async with anyio.create_task_group() as group:
        group.start_soon(both.run)
        async with both.of(job_with(database, None, "acme")):
            await aquila.ask("hi", model=model, transport=script)
            await until(lambda: stored(database, "tag:acme") == Spent(2))
            # What was reserved and not used has been given back.
            await aquila.ask("hi", model=model, transport=script)
        group.cancel_scope.cancel()
    await both.flush()

    assert stored(database, "tag:acme") == Spent(4)


@ON_SQLITE
async def test_a_plain_job_keeps_no_account(database: Database, client: redis.Redis) -> None:
    job = job_with(database, None, "acme")
    async with metering(database, client).of(job):
        await said(ScriptedTransport(Answer.text("a")), [])
    assert stored(database, f"job:{job.job_id}") == stored(database, "tag:acme") == Spent()
