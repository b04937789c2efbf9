"""What is enqueued: asserted, refuted and listed, with messages that show what there is instead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

import jobs
from aquila.errors import ConfigError
from jobs.testing import (
    aall_enqueued,
    aassert_enqueued,
    all_enqueued,
    arefute_enqueued,
    assert_enqueued,
    drain_queue,
    refute_enqueued,
    sandbox,
)


class Letter(BaseModel):
    to: str
    lines: int = 1


@jobs.actor(actor_name="enqueued_explain", queue_name="llm")
async def explain(topic: str, lang: str = "en", *notes: str, **more: int) -> None:
    pass


@jobs.actor(actor_name="enqueued_post")
def post(letter: Letter, copies: int = 1) -> None:
    pass


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    jobs.close()
    with sandbox():
        yield
    jobs.close()


def said(**expected: object) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_enqueued(explain, **expected)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_job_is_found_by_its_actor() -> None:
    handle = explain.send("tides")

    assert assert_enqueued(explain).job_id == handle.job_id
    assert assert_enqueued("enqueued_explain").job_id == handle.job_id
    assert assert_enqueued().job_id == handle.job_id
    refute_enqueued(post)


def test_both_spellings_of_a_call_are_the_same() -> None:
    explain.send("tides")
    explain.send(topic="moon", lang="de")

    for topic in ("tides", "moon"):
        assert_enqueued(explain, args=(topic,))
        assert_enqueued(explain, kwargs={"topic": topic})
    assert_enqueued(explain, args=("moon", "de"))
    assert_enqueued(explain, args=("moon",), kwargs={"lang": "de"})
    refute_enqueued(explain, args=("moon", "en"))


def test_an_argument_that_was_left_out_has_its_default() -> None:
    explain.send("tides")

    assert_enqueued(explain, kwargs={"lang": "en"})
    refute_enqueued(explain, kwargs={"lang": "de"})


def test_further_arguments_count_by_place_and_by_name() -> None:
    explain.send("tides", "en", "a", "b", depth=2, width=3)

    assert_enqueued(explain, args=("tides", "en", "a", "b"))
    assert_enqueued(explain, kwargs={"depth": 2})
    refute_enqueued(explain, args=("tides", "en", "a"))
    refute_enqueued(explain, kwargs={"depth": 3})
    refute_enqueued(explain, kwargs={"height": 3})


def test_a_model_is_the_same_as_a_dict_with_and_without_defaults() -> None:
    post.send({"to": "anna"})  # type: ignore[arg-type] # welcome there
    assert_enqueued(post, args=(Letter(to="anna"),))
    assert_enqueued(post, args=({"to": "anna", "lines": 1},))
    refute_enqueued(post, args=(Letter(to="anna", lines=2),))
    refute_enqueued(post, args=(Letter(to="bert"),))


def test_everything_about_a_send_can_be_asked_for() -> None:
    due = datetime(2100, 1, 1, tzinfo=UTC)
    explain.options(at=due, priority=2, tags=["a", "b"], unique="k", metadata={"by": "anna", "n": 1}).send(
        "x"
    )

    for expected in (
        {"queue_name": "llm"},
        {"priority": 2},
        {"scheduled_at": due},
        {"scheduled_at": due + timedelta(seconds=4)},
        {"scheduled_at": due + timedelta(seconds=50), "tolerance": 60},
        {"tags": ["b"]},
        {"unique": "k"},
        {"unique": jobs.Unique("k", seconds=9)},
        {"metadata": {"by": "anna"}},
    ):
        assert_enqueued(explain, **expected)  # type: ignore[arg-type]
    for expected in (
        {"queue_name": "default"},
        {"priority": 0},
        {"scheduled_at": due + timedelta(seconds=6)},
        {"tags": ["a", "c"]},
        {"unique": "other"},
        {"metadata": {"by": "bert"}},
    ):
        refute_enqueued(explain, **expected)  # type: ignore[arg-type]


def test_metadata_is_compared_as_a_row_holds_it() -> None:
    explain.options(metadata={"ids": (1, 2), "letter": Letter(to="anna")}).send("x")

    for expected in ({"ids": (1, 2)}, {"ids": [1, 2]}, {"letter": Letter(to="anna")}):
        assert_enqueued(explain, metadata=expected)
        with pytest.raises(AssertionError, match="should not be"):
            refute_enqueued(explain, metadata=expected)
    refute_enqueued(explain, metadata={"ids": (1, 3)})


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"unique": 5}, "unique=5 must be a text"),
        ({"unique": ""}, "unique='' must be a text"),
        ({"priority": "0"}, "priority='0' must be 0"),
        ({"priority": True}, "priority=True must be 0"),
        ({"priority": 4}, "priority=4 must be 0"),
        ({"queue_name": 5}, "queue_name=5 must be a queue's name"),
        ({"queue_name": "no queue"}, "queue_name='no queue' must be"),
        ({"args": "x"}, r"args='x' is no list of arguments; write args=\('x',\)"),
        ({"args": 5}, "args=5 is no list"),
        ({"kwargs": ["x"]}, r"kwargs=\['x'\] must be a dict"),
        ({"kwargs": {1: 2}}, r"kwargs=\{1: 2\} must be a dict"),
        ({"scheduled_at": 5}, "scheduled_at=5 must be an aware datetime"),
        ({"tolerance": "5"}, "tolerance='5' must be seconds"),
        ({"within": float("nan")}, "within=nan must be seconds"),
        ({"metadata": 5}, "metadata is of type int"),
        ({"metadata": {"a": {1}}}, "metadata 'a' is of type set"),
    ],
)
async def test_what_no_job_could_be_like_is_refused(expected: dict[str, Any], said: str) -> None:
    explain.send("x")

    for ask in (assert_enqueued, refute_enqueued):
        with pytest.raises(ConfigError, match=said):
            ask(explain, **expected)
    for aask in (aassert_enqueued, arefute_enqueued):
        with pytest.raises(ConfigError, match=said):
            await aask(explain, **expected)
    if "within" not in expected:
        with pytest.raises(ConfigError, match=said):
            all_enqueued(explain, **expected)


@pytest.mark.parametrize(
    ("actor", "said"),
    [
        ("enqueued_explian", "no actor 'enqueued_explian' is declared here; did you mean 'enqueued_explain'"),
        ("", "no actor '' is declared here; import the module"),
        (len, "built-in function len> is no actor"),
        (explain.fn, "is no actor; give what @jobs.actor made"),
        (explain.options(priority=1), r"give the actor itself, without options\(\.\.\.\)"),
    ],
)
def test_what_is_no_actor_is_refused(actor: Any, said: str) -> None:
    for ask in (assert_enqueued, refute_enqueued, all_enqueued):
        with pytest.raises(ConfigError, match=said):
            ask(actor)


def test_the_message_shows_what_there_is_and_what_differs() -> None:
    near = explain.options(priority=1).send("tides", lang="de")
    post.send(Letter(to="anna"))

    lines = said(args=("tides",), kwargs={"lang": "en"}, priority=1).splitlines()

    assert lines[0] == "no job is enqueued like this:"
    assert lines[1] == "  enqueued_explain(topic='tides', lang='en', ...), priority 1"
    assert lines[2] == "enqueued instead:"
    assert (
        f"  {near.job_id[:8]} enqueued_explain(topic='tides', lang='de'), in queue 'llm', priority 1" in lines
    )
    assert any("enqueued_post(letter={'to': 'anna', 'lines': 1})" in line for line in lines)
    assert lines[-2:] == [f"the nearest, {near.job_id[:8]}, differs in", "  lang: 'de', not 'en'"]


def test_the_message_says_what_has_run_already() -> None:
    handle = explain.send("tides")
    drain_queue()

    message = said()

    assert "no job is enqueued at all" in message
    assert f"run already:\n  {handle.job_id[:8]} enqueued_explain(topic='tides')" in message
    assert message.endswith("completed")


def test_a_long_list_and_a_long_value_are_cut() -> None:
    for number in range(12):
        explain.send(f"{number}" * 1000)

    message = said(queue_name="other")

    assert "  and 2 more" in message
    assert len(message) < 5000


def test_a_refusal_shows_what_was_found() -> None:
    handle = explain.send("tides")

    with pytest.raises(AssertionError, match="enqueued, and should not be") as caught:
        refute_enqueued(explain, args=("tides",))

    assert handle.job_id[:8] in str(caught.value)


def test_jobs_are_listed_in_the_order_of_their_sends() -> None:
    handles = [explain.send(str(number)) for number in range(5)]
    post.send(Letter(to="anna"))

    assert [job.job_id for job in all_enqueued(explain)] == [handle.job_id for handle in handles]
    assert len(all_enqueued()) == 6
    assert len(all_enqueued(explain, args=("3",))) == 1
    handles[0].cancel()
    assert len(all_enqueued(explain)) == 4


def test_a_job_may_come_a_little_later() -> None:
    timer = threading.Timer(0.1, explain.send, ("tides",))
    timer.start()

    assert_enqueued(explain, within=10)
    timer.join()


def test_none_may_come_for_a_while() -> None:
    timer = threading.Timer(0.1, explain.send, ("tides",))
    timer.start()

    with pytest.raises(AssertionError, match="should not be"):
        refute_enqueued(explain, within=10)
    timer.join()


async def test_an_async_test_lets_its_tasks_send_meanwhile() -> None:
    async def later() -> None:
        await anyio.sleep(0.1)
        await explain.asend("tides")

    async with anyio.create_task_group() as group:
        await arefute_enqueued(explain)
        group.start_soon(later)
        job = await aassert_enqueued(explain, args=("tides",), within=10)

    assert await aall_enqueued() == [job]
    with pytest.raises(AssertionError, match="should not be"):
        await arefute_enqueued(explain)
    began = time.monotonic()
    with pytest.raises(AssertionError, match="no job is enqueued"):
        await aassert_enqueued(post, within=0.1)
    assert time.monotonic() - began >= 0.1
    await arefute_enqueued(post, within=0.1)


def test_what_cannot_be_asked_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown expectation 'topic'"):
        assert_enqueued(explain, topic="tides")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="name it first"):
        assert_enqueued(args=("tides",))
    with pytest.raises(ConfigError, match="has no time zone"):
        assert_enqueued(explain, scheduled_at=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ConfigError, match=r"argument 'topic' of explain\(\) is of type set"):
        assert_enqueued(explain, args=({"tides"},))
    with pytest.raises(TypeError, match="unexpected keyword argument 'letters'"):
        assert_enqueued(post, kwargs={"letters": 1})
