"""Odd input: each is a clear error where it is given, or arrives as what it is."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from job_workers import working
from pydantic import BaseModel, SecretStr

import jobs
from aquila.errors import ConfigError
from jobs.errors import JobFailed, JobNotFound
from jobs.handle import JobHandle
from jobs.settings import read_jobs_settings
from jobs.testing import drain_queue, sandbox

pytest_plugins = ["job_fixtures"]

KEY = "sk-abcdEFGH1234ijklMNOP5678"


class Colour(str, Enum):  # noqa: UP042 - one that `str()` gives the name of
    RED = "red"


class Holder(BaseModel):
    secrets: list[SecretStr]


class Panic(BaseException):
    """As Rust extensions raise."""


class Speechless(Exception):  # noqa: N818 - that is what it is
    def __str__(self) -> str:
        raise RuntimeError("no words")


@jobs.actor
async def echo(value: Any) -> Any:
    return value


@jobs.actor
async def keep(holder: Holder) -> None:
    return None


@jobs.actor(max_attempts=1)
async def panic() -> None:
    raise Panic("a Rust extension panicked")


@jobs.actor(max_attempts=1)
def panic_in_a_thread() -> None:
    raise Panic("a Rust extension panicked")


@jobs.actor(max_attempts=1)
async def fail_without_words() -> None:
    raise Speechless


@jobs.actor(max_attempts=3, throws=LookupError, backoff=0.0)
async def look_in_vain() -> None:
    raise KeyError("nobody")


@jobs.actor(max_attempts=3)
async def leak() -> None:
    raise jobs.Discard(f"the key {KEY} is wrong")


@jobs.actor(max_attempts=2)
async def later(times: list[int]) -> int:
    job = jobs.current()
    seen = int(job.metadata.get("seen", 0))
    await job.progress(seen=seen + 1)
    if seen < 3:
        raise jobs.Snooze(0.01, "not yet")
    return job.attempt


@pytest.mark.usefixtures("place")
async def test_an_error_that_is_no_exception_is_its_jobs_own() -> None:
    async with working():
        for actor in (panic, panic_in_a_thread):
            with pytest.raises(JobFailed, match="Panic: a Rust extension panicked"):
                await (await actor.asend()).aresult(timeout=20)
        assert await (await echo.asend(1)).aresult(timeout=20) == 1


def test_an_error_that_cannot_say_what_it_is_is_stored_all_the_same() -> None:
    with sandbox():
        handle = fail_without_words.send()
        drain_queue()

        assert handle.job().errors[0]["message"] == "<a Speechless whose words cannot be read>"


def test_a_text_that_is_an_enum_arrives_as_its_value() -> None:
    with sandbox():
        handle = echo.send({Colour.RED: [Colour.RED]})
        drain_queue()

        assert handle.result() == {"red": ["red"]}


def test_a_secret_in_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="holds the secret 'secrets'"):
        keep.message(Holder(secrets=[SecretStr("k")]))


def test_keys_are_refused_in_short_texts_and_taken_for_quotations_in_long_ones() -> None:
    with pytest.raises(ConfigError, match=r"an API key \(sk-\.\.\.\) at character 4: sk-abc"):
        echo.message(f"use {KEY}")
    echo.message("sk-learn-is-a-library-for-python-users")
    echo.message(f"{'a document ' * 300} {KEY}")
    with pytest.raises(ConfigError, match="a tag holds an API key"):
        echo.options(tags=[KEY])


def test_what_an_error_or_a_reason_quotes_of_a_key_is_not_stored() -> None:
    with sandbox():
        handle, waiting = leak.send(), echo.send(1)
        waiting.cancel(f"it used {KEY}")
        drain_queue()

        job = handle.job()
        assert job.reason == "the key [redacted] is wrong"
        assert KEY not in str(job.errors)
        assert waiting.job().reason == "it used [redacted]"


def test_an_actor_may_end_its_job_or_put_it_off() -> None:
    with sandbox():
        thrown, put_off = look_in_vain.send(), later.send([])
        drain_queue()
        assert (thrown.status(), thrown.job().attempt) == ("discarded", 1)
        for _ in range(3):
            drain_queue(with_scheduled=True)

        assert put_off.result() == 1


def test_a_message_that_is_sent_twice_is_one_job() -> None:
    with sandbox():
        message = echo.message(1)
        first, second = jobs.send_all([message, message])
        third = jobs.send_all([message])[0]

        assert first.job_id == second.job_id == third.job_id
        assert drain_queue().completed == 1


async def test_no_time_at_all_suffices_for_a_job_that_has_ended() -> None:
    async with sandbox():
        handle = await echo.asend(1)
        drain_queue()

        assert await handle.aresult(timeout=0) == 1
        assert await handle.aresult(timeout=-1) == 1


def test_money_may_be_a_decimal() -> None:
    assert jobs.Budget(cost=Decimal("0.5")).to_dict() == {"cost": 0.5}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tokens": "5"}, "tokens='5' of a budget must be a whole number"),
        ({"tokens": 1.5}, "tokens=1.5 of a budget must be a whole number"),
        ({"cost": float("inf")}, "cost=inf of a budget must be a number above zero"),
    ],
)
def test_a_wrong_budget_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        jobs.Budget(**wrong)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"budget": {"tokens": 5}}, "budget={'tokens': 5} is a jobs.Budget"),
        ({"unique": 5}, "unique=5 must be a text"),
        ({"unique": "a\0b"}, "must be a text of 1 to 200 printable characters"),
        ({"tags": None}, "tags=None must be a list of texts"),
        ({"max_attempts": 2**70}, "max_attempts of echo is 1 to 1000000"),
        ({"delay": 10**400}, "must be seconds from zero"),
        ({"timeout": 10**400}, "timeout of echo is seconds above zero"),
    ],
)
def test_a_wrong_option_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        echo.options(**wrong)
    assert said in str(refused.value)


def test_tags_may_come_from_a_generator() -> None:
    assert echo.options(tags=(tag for tag in ("a", "b", "a"))).message(1).tags == ("a", "b")  # type: ignore[arg-type]


def test_a_unique_key_for_ever_is_refused_because_nobody_could_keep_it() -> None:
    with pytest.raises(ConfigError, match="seconds from zero to ten years"):
        jobs.Unique("far", seconds=10**12)


def test_an_argument_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match="holds itself"):
        echo.message(endless)


@pytest.mark.parametrize("url", ["nonsense", "http://h", "redis://h:notaport/0", 5])
def test_a_wrong_redis_url_is_named_without_being_quoted(url: Any) -> None:
    with pytest.raises(ConfigError, match=r"^AQUILA_REDIS_URL or REDIS_URL cannot be read; write redis://"):
        read_jobs_settings(redis_url=url)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"budgets": {"t": 5}}, r"budgets\['t'\] is a jobs.Budget"),
        ({"provider_limits": {"m": 5}}, r"provider_limits\['m'\] is a jobs.ProviderLimit"),
        ({"global_limits": {"llm": 2.5}}, "queue 'llm' needs a limit"),
        ({"keep_completed": float("nan")}, "keep_completed=nan is seconds above zero"),
        ({"lease": "5"}, "lease='5' must be seconds above zero"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_jobs_settings(**wrong)


def test_what_no_worker_could_run_is_no_actor() -> None:
    async def stream() -> Any:
        yield 1

    with pytest.raises(ConfigError, match="is a generator"):
        jobs.actor(stream)
    with pytest.raises(ConfigError, match="is an actor already"):
        jobs.actor(echo)
    with pytest.raises(ConfigError, match="takes a function, not"):
        jobs.actor(Colour)


def test_an_empty_id_is_nobodys(place: None) -> None:
    from jobs import rows  # noqa: PLC0415 - beside its use
    from jobs.broker import runtime  # noqa: PLC0415 - beside its use

    echo.send(1)
    with pytest.raises(JobNotFound, match="the id is empty"):
        runtime().database().read(rows.resolve_prefix, " ")
    assert JobHandle("x") == JobHandle("x", created=False)
