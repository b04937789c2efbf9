from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest
from job_model import Model, followed, text_of
from job_workers import WorkerProcess, until, until_state, working

import jobs.llm
from aquila.errors import BadRequestError, ConfigError, ConnectionFailed, ProtocolError, RateLimitError
from aquila.response import Response, Usage
from jobs.batch import Batch
from jobs.broker import runtime
from jobs.steps import find

pytest_plugins = ["job_fixtures"]

USAGE = {"input_tokens": 7, "output_tokens": 1, "total_tokens": 8}


def answered(text: str) -> dict[str, Any]:
    return {"text": text, "finish_reason": "stop", "usage": USAGE, "error": None}


def failed(kind: str, message: str) -> dict[str, Any]:
    return {"text": None, "finish_reason": None, "usage": None, "error": {"type": kind, "message": message}}


class Asked:
    """Answers in capitals, or fails as often as it is told."""

    def __init__(self, **errors: list[Exception]) -> None:
        self.errors = errors
        self.prompts: list[Any] = []

    async def ask(self, prompt: Any) -> Response:
        self.prompts.append(prompt)
        await anyio.lowlevel.checkpoint()
        if isinstance(prompt, str) and self.errors.get(prompt):
            raise self.errors[prompt].pop(0)
        usage = Usage(input_tokens=7, output_tokens=1, total_tokens=8)
        return Response(text=prompt.upper(), finish_reason="stop", usage=usage)

    def batch(self, *prompts: Any, concurrency: int = 10, stop_on_error: bool = False) -> Batch:
        return Batch(self.ask, prompts, concurrency=concurrency, stop_on_error=stop_on_error)


class MuteError(ProtocolError):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.batch.PAUSES", (0.0, 0.01, 0.01))


async def test_the_answers_are_in_the_order_of_the_prompts() -> None:
    asked = Asked()

    assert await asked.batch("a", "b", "c").run() == [answered("A"), answered("B"), answered("C")]


async def test_no_prompts_are_no_answers() -> None:
    assert await Asked().batch().run() == []


async def test_a_prompt_that_is_refused_loses_no_other_and_is_not_asked_again() -> None:
    asked = Asked(b=[BadRequestError("too long", status_code=400)])
    batch = asked.batch("a", "b", "c")

    assert await batch.run() == [answered("A"), failed("BadRequestError", "too long"), answered("C")]
    assert asked.prompts == ["a", "b", "c"]
    assert batch.counts == {"done": 3, "failed": 1, "total": 3}


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("", "the user's message is empty"),
        (" ", "the user's message is empty"),
        (None, "nothing to send"),
        (5, "int is no prompt"),
        ([], "nothing to send"),
        ([5], "int is no message"),
        ([{"role": "user"}], "the user's message is empty"),
        ([{"role": "nobody", "content": "x"}], "role 'nobody' is unknown"),
    ],
)
async def test_a_prompt_that_is_none_loses_no_other_and_is_not_asked(prompt: Any, said: str) -> None:
    asked = Asked()
    batch = asked.batch("a", prompt, "b")

    first, refused, last = await batch.run()

    assert [first, last] == [answered("A"), answered("B")]
    assert (refused["text"], refused["error"]["type"]) == (None, "ConfigError")
    assert said in refused["error"]["message"]
    assert asked.prompts == ["a", "b"]
    assert batch.counts == {"done": 3, "failed": 1, "total": 3}


async def test_prompts_that_are_none_are_all_errors() -> None:
    assert [answer["error"]["type"] for answer in await Asked().batch("", None).run()] == ["ConfigError"] * 2


async def test_a_prompt_that_is_none_does_not_hide_that_nothing_is_answered() -> None:
    asked = Asked(a=[ConnectionFailed("away")] * 3)

    with pytest.raises(ConnectionFailed):
        await asked.batch("", "a").run()


async def test_a_prompt_that_is_none_says_nothing_of_a_provider_that_is_away() -> None:
    prompts = [f"p{number}" for number in range(30)]
    asked = Asked(**{prompt: [ConnectionFailed("away")] for prompt in prompts[1:]})
    mixed = [one for prompt in prompts for one in (prompt, "")]

    with pytest.raises(ConnectionFailed):
        await asked.batch(*mixed, concurrency=1).run()

    assert len(asked.prompts) == 11


async def test_where_the_first_error_ends_the_attempt_a_prompt_that_is_none_does_so_before_any_is_asked() -> (
    None
):
    asked = Asked()

    with pytest.raises(ConfigError, match=r"prompts\[1\]: prompt: the user's message is empty"):
        await asked.batch("a", "", stop_on_error=True).run()

    assert asked.prompts == []


async def test_an_error_without_words_is_an_error_in_its_place_too() -> None:
    asked = Asked(a=[MuteError("x")] * 3)

    refused, _ = await asked.batch("a", "b").run()

    assert refused["error"] == {"type": "MuteError", "message": "<a MuteError whose words cannot be read>"}


async def test_what_may_pass_is_asked_again_when_the_others_are_done() -> None:
    asked = Asked(a=[ConnectionFailed("away"), ProtocolError("no JSON")])

    assert await asked.batch("a", "b", concurrency=1).run() == [answered("A"), answered("B")]
    assert asked.prompts == ["a", "b", "a", "a"]


async def test_what_does_not_pass_is_an_error_in_its_place() -> None:
    asked = Asked(a=[ConnectionFailed("away")] * 3)
    batch = asked.batch("a", "b")

    assert await batch.run() == [failed("ConnectionFailed", "away"), answered("B")]
    assert batch.counts == {"done": 2, "failed": 1, "total": 2}


async def test_where_nothing_is_answered_the_attempt_fails_for_the_job_has_longer_pauses() -> None:
    asked = Asked(a=[ConnectionFailed("away")] * 3)

    with pytest.raises(ConnectionFailed):
        await asked.batch("a").run()

    assert asked.prompts == ["a"] * 3


@pytest.mark.parametrize(
    "error", [RateLimitError("wait", status_code=429, retry_after=60.0), ConfigError("no key")]
)
async def test_what_every_prompt_would_meet_ends_the_attempt_at_once(error: Exception) -> None:
    asked = Asked(b=[error])

    with pytest.raises(type(error)):
        await asked.batch(*"abcdef", concurrency=2).run()

    assert asked.prompts[:2] == ["a", "b"]
    assert len(asked.prompts) <= 3


async def test_a_provider_that_is_away_is_not_asked_for_every_prompt() -> None:
    prompts = [f"p{number}" for number in range(50)]
    asked = Asked(**{prompt: [ConnectionFailed("away")] for prompt in prompts[5:]})

    with pytest.raises(ConnectionFailed):
        await asked.batch(*prompts, concurrency=2).run()

    assert 15 <= len(asked.prompts) <= 16


@pytest.mark.parametrize("error", [BadRequestError("no", status_code=400), ConnectionFailed("away")])
async def test_the_first_error_ends_the_attempt_where_that_is_wanted(error: Exception) -> None:
    asked = Asked(b=[error])

    with pytest.raises(type(error)):
        await asked.batch(*"abcdef", concurrency=1, stop_on_error=True).run()

    assert asked.prompts == ["a", "b"]


@pytest.mark.parametrize(
    ("prompts", "concurrency", "says"),
    [
        ("one", 1, r"prompts: a str is no list of prompts; write \['\.\.\.', '\.\.\.'\]"),
        (None, 1, "prompts: a NoneType is no list"),
        (["a"], 0, "concurrency=0 must be a whole number from 1"),
        (["a"], 2.5, "concurrency=2.5 must be"),
        (["a"], True, "concurrency=True must be"),
        (b"a", 1, "prompts: a bytes is no list"),
    ],
)
async def test_a_value_that_cannot_be_used_is_named(prompts: Any, concurrency: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        await jobs.llm.run_batch(prompts, concurrency=concurrency)


@pytest.mark.usefixtures("place")
async def test_a_batch_is_one_job_with_progress_and_news_of_each_prompt(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model(lambda prompt: "400 Bad Request" if prompt == "bad" else prompt.upper())
    prompts = [*(f"p{number}" for number in range(12)), "bad"]
    async with model.serving(monkeypatch), working():
        with caplog.at_level(logging.INFO, "jobs"):
            handle = await jobs.llm.run_batch.asend(prompts, instructions="Shout.", concurrency=4)
            result = await handle.aresult(timeout=20)
        seen = await followed(handle.job_id)

    assert [answer["text"] for answer in result] == [*(f"P{number}" for number in range(12)), None]
    assert result[0]["usage"]["total_tokens"] > 0
    assert result[12]["error"]["type"] == "BadRequestError"
    assert 1 < model.most_at_once <= 4
    assert model.bodies[0]["messages"][0] == {"role": "system", "content": "Shout."}
    job = await handle.ajob()
    assert {name: job.metadata[name] for name in ("done", "failed", "total")} == {
        "done": 13,
        "failed": 1,
        "total": 13,
    }
    assert job.usage is not None
    assert job.usage["input_tokens"] == 12 * 7
    assert text_of(seen) == ""
    news = [event.data["data"] for event in seen if event.data.get("name") == "prompt"]
    assert sorted(item["number"] for item in news) == list(range(13))
    assert [item["number"] for item in news if item["error"]] == [12]
    assert f"batch_answered job_id={handle.job_id} prompts=13 failed=1" in caplog.text


@pytest.mark.usefixtures("place")
async def test_a_worker_that_is_killed_has_no_prompt_answered_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = Model(str.upper)
    model.holds = lambda prompt: prompt[0] == "q"
    prompts = ["p0", "p1", "q2", "q3", "p4", "p5"]
    async with model.serving(monkeypatch):
        handle = await jobs.llm.run_batch.asend(prompts, concurrency=3)
        with WorkerProcess(tmp_path) as worker:
            database = runtime().database()
            await until(
                lambda: all(
                    database.read(find, handle.job_id, f"prompt:{n}") is not None for n in (0, 1, 4, 5)
                )
            )
            await until(lambda: {"q2", "q3"} <= set(model.asked))
            worker.kill()
        model.go_on.set()
        async with working():
            result = await handle.aresult(timeout=20)

    assert [answer["text"] for answer in result] == ["P0", "P1", "Q2", "Q3", "P4", "P5"]
    assert dict(model.times) == {"p0": 1, "p1": 1, "p4": 1, "p5": 1, "q2": 2, "q3": 2}
    assert (await handle.ajob()).attempt == 2


@pytest.mark.usefixtures("place")
async def test_a_provider_that_asks_to_wait_costs_no_attempt_and_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuses = [True]
    model = Model(
        lambda prompt: (
            "429 Too Many Requests|retry-after: 30" if prompt == "p2" and refuses[0] else prompt.upper()
        )
    )
    async with model.serving(monkeypatch), working():
        handle = await jobs.llm.run_batch.asend(["p0", "p1", "p2"], concurrency=1)
        await until_state(handle, "retryable")
        waits = await handle.ajob()
        assert waits.attempt == 0
        assert waits.started_at is not None
        assert 29 < (waits.scheduled_at - waits.started_at).total_seconds() < 33
        refuses.clear()
        refuses.append(False)
        assert await handle.aretry()
        result = await handle.aresult(timeout=20)

    assert [answer["text"] for answer in result] == ["P0", "P1", "P2"]
    assert dict(model.times) == {"p0": 1, "p1": 1, "p2": 2}


@pytest.mark.usefixtures("place")
async def test_a_conversation_is_a_prompt_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(str.upper)
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    async with model.serving(monkeypatch), working():
        result = await (await jobs.llm.run_batch.asend([turns], max_output_tokens=5)).aresult(timeout=20)

    assert [answer["text"] for answer in result] == ["C"]
    assert model.bodies[0]["messages"] == turns
    assert model.bodies[0]["max_tokens"] == 5


@pytest.mark.usefixtures("place")
async def test_prompts_that_cannot_be_sent_lose_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(str.upper)
    picture = [{"role": "user", "content": [{"type": "input_image", "file_id": "f1"}]}]
    prompts: list[Any] = ["a", "", "half \ud800", picture, [], "b"]
    async with model.serving(monkeypatch), working():
        handle = await jobs.llm.run_batch.asend(prompts, model="m")
        result = await handle.aresult(timeout=20)
        seen = await followed(handle.job_id)

    assert [answer["text"] for answer in result] == ["A", None, None, None, None, "B"]
    said = [answer["error"]["message"] if answer["error"] else "" for answer in result]
    assert "the user's message is empty" in said[1]
    assert "surrogates not allowed" in said[2]
    assert "no file_id of a picture" in said[3]
    assert "nothing to send" in said[4]
    assert sorted(model.asked) == ["a", "b"]
    news = [event.data["data"] for event in seen if event.data.get("name") == "prompt"]
    assert sorted(item["number"] for item in news if item["error"]) == [1, 2, 3, 4]


@pytest.mark.usefixtures("place")
async def test_an_option_that_cannot_be_used_is_no_prompt_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(str.upper)
    async with model.serving(monkeypatch), working():
        handle = await jobs.llm.run_batch.asend(["a", "half \ud800"], model="m", temperature="hot")  # type: ignore[arg-type]
        await until_state(handle, "discarded")

    assert model.asked == []
    assert "temperature" in (await handle.ajob()).errors[-1]["message"]
