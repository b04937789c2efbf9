from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
from job_model import Model, followed, text_of
from job_workers import until_state, working
from wire import Connection, serve

import jobs
from aquila.errors import ConfigError, RateLimitError
from jobs.asking import RETRY
from jobs.llm import CHUNK_TOKENS, LOCAL_CHUNK_TOKENS, _chunking
from jobs.registry import actors
from tests import responses_wire

pytest_plugins = ["job_fixtures"]

NAMES = ("generate_summary", "run_batch", "stream_prompt", "transcribe")


def test_every_actor_of_the_package_has_its_queue_and_its_cassette() -> None:
    for name in NAMES:
        spec = actors()[name]
        assert (spec.fn.__module__, spec.queue_name, spec.cassette) == ("jobs.llm", "llm", f"jobs/{name}")


def test_a_wait_of_the_provider_that_is_long_is_the_row_s() -> None:
    short, long = (RateLimitError("wait", status_code=429, retry_after=seconds) for seconds in (4.0, 6.0))

    assert RETRY.delay(1, short) == 4.0
    assert RETRY.delay(1, long) is None


@pytest.mark.parametrize(
    ("model", "environment", "tokens"),
    [
        ("local", None, LOCAL_CHUNK_TOKENS),
        ("m", "local", CHUNK_TOKENS),
        (None, "local", LOCAL_CHUNK_TOKENS),
        (None, None, CHUNK_TOKENS),
    ],
)
def test_the_model_on_this_machine_gets_smaller_parts(
    monkeypatch: pytest.MonkeyPatch, model: str | None, environment: str | None, tokens: int
) -> None:
    if environment is not None:
        monkeypatch.setenv("AQUILA_MODEL", environment)

    assert _chunking(model)[0] == tokens


@pytest.mark.usefixtures("place")
async def test_a_prompt_says_all_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model(lambda _: "Fine.")
    earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    async with model.serving(monkeypatch), working():
        with caplog.at_level(logging.INFO, "jobs"):
            handle = await jobs.stream_prompt.asend(
                "How are you?", "m2", messages=earlier, instructions="Be brief.", temperature=0.5,
                max_output_tokens=9, reasoning="low", endpoint="chat",
            )  # fmt: skip
            assert await handle.aresult(timeout=20) == "Fine."
        seen = await followed(handle.job_id)

    body = model.bodies[0]
    assert [message["content"] for message in body["messages"]] == [
        "Be brief.",
        "Hi",
        "Hello",
        "How are you?",
    ]
    assert {name: body[name] for name in ("model", "temperature", "reasoning_effort")} == {
        "model": "m2", "temperature": 0.5, "reasoning_effort": "low",
    }  # fmt: skip
    assert text_of(seen) == seen[-1].output == "Fine."
    assert next(event.data["meta"] for event in seen if event.type == "run_started") == {
        "job_id": handle.job_id
    }
    assert f"prompt_streamed job_id={handle.job_id} model=m-2026 finish_reason=stop" in caplog.text


@pytest.mark.usefixtures("place")
async def test_messages_alone_are_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(str.upper)
    async with model.serving(monkeypatch), working():
        handle = await jobs.stream_prompt.asend(messages=[{"role": "user", "content": "hi"}])
        assert await handle.aresult(timeout=20) == "HI"


@pytest.mark.usefixtures("place")
async def test_a_prompt_can_go_to_the_other_api_and_in_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies: list[dict[str, Any]] = []

    async def handler(connection: Connection) -> None:
        bodies.append(connection.payload)
        connection.play(responses_wire.answer("Fine."))

    async with serve(handler) as server, working():
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        handle = await jobs.stream_prompt.asend("Hi", "m", endpoint="responses", background=True)
        assert await handle.aresult(timeout=20) == "Fine."

    assert bodies[0]["background"] is True


@pytest.mark.usefixtures("place")
async def test_a_model_that_falls_silent_ends_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(lambda _: "never")
    model.holds = lambda _: True
    async with model.serving(monkeypatch), working():
        handle = await jobs.stream_prompt.options(max_attempts=1).asend("Hi", timeout=0.2)
        await until_state(handle, "discarded")

    error = (await handle.ajob()).errors[-1]
    assert error["error"] == "IdleTimeout"
    assert "no event for 0.2 s" in error["message"]


@pytest.mark.usefixtures("place")
async def test_a_provider_that_asks_to_wait_long_is_obeyed_by_the_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Model(lambda _: "429 Too Many Requests|retry-after: 40")
    async with model.serving(monkeypatch), working():
        handle = await jobs.stream_prompt.asend("Hi")
        await until_state(handle, "retryable")

    job = await handle.ajob()
    assert job.attempt == 0
    assert job.started_at is not None
    assert 39 < (job.scheduled_at - job.started_at).total_seconds() < 43
    assert len(model.asked) == 1


@pytest.mark.parametrize("seconds", [0, -1.0, "30", True, float("nan")])
async def test_a_timeout_that_is_none_is_named(seconds: Any) -> None:
    for call in (
        partial(jobs.stream_prompt, "x"),
        partial(jobs.generate_summary, "x"),
        partial(jobs.run_batch, ["x"]),
        partial(jobs.transcribe, "talk.mp3"),
    ):
        with pytest.raises(ConfigError, match=r"^timeout=.* must be seconds above zero"):
            await call(timeout=seconds)


@pytest.mark.usefixtures("place")
async def test_an_argument_that_cannot_be_used_ends_the_job_at_once() -> None:
    wrong: Any = 5
    async with working():
        handles = [
            await jobs.generate_summary.asend(wrong),
            await jobs.transcribe.asend(wrong),
            await jobs.stream_prompt.asend("x", timeout=0),
            await jobs.run_batch.asend(["x"], timeout=-1),
        ]
        for handle in handles:
            await until_state(handle, "discarded")

    ended = [await handle.ajob() for handle in handles]
    assert [job.attempt for job in ended] == [1] * 4
    assert [job.errors[-1]["message"].replace("=", ":").partition(":")[0] for job in ended] == [
        "text",
        "audio",
        "timeout",
        "timeout",
    ]
