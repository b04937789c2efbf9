"""What a provider allows in a minute, kept over all workers: the log in Redis, and the gate before it."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
import redis
from job_workers import Valkey, until

import aquila
from aquila.errors import RateLimitError
from aquila.testing import Answer, ScriptedTransport
from aquila.transport.gates import gated
from jobs.provider_gate import ProviderGate
from jobs.provider_limit import ProviderLimit
from jobs.provider_log import ProviderLog, log_name
from jobs.redis_client import connect
from jobs.waits import LimitReached

pytest_plugins = ["job_fixtures"]

ANY = {"*": ProviderLimit(requests=2)}


@pytest.fixture
def opened() -> Iterator[Callable[[str], redis.Redis]]:
    """Opens clients, which are closed behind the test."""
    with ExitStack() as clients:
        yield lambda url: clients.enter_context(closing(connect(url)))


@pytest.fixture
def client(shared_valkey: Valkey, opened: Callable[[str], redis.Redis]) -> redis.Redis:
    return opened(shared_valkey.url)


@pytest.fixture
def model() -> str:
    """A model of the test's own, so that no two tests share a limit."""
    return f"m-{uuid4().hex}"


def log_of(client: redis.Redis, model: str, window: float = 60.0) -> ProviderLog:
    return ProviderLog(client, log_name("http://x", model, "key"), window)


def most_in_a_window(moments: list[float], window: float) -> int:
    return max(sum(start <= moment < start + window for moment in moments) for start in moments)


def test_requests_within_the_limit_go_at_once_and_the_next_one_when_the_first_has_left(
    client: redis.Redis, model: str
) -> None:
    log, limit = log_of(client, model), ProviderLimit(requests=2)
    assert [log.enter(name, limit, 0, 5.0).wait for name in "ab"] == [0.0, 0.0]

    turn = log.enter("c", limit, 0, 5.0)
    assert (turn.granted, turn.why) == (False, "requests")
    assert 59.0 < turn.wait <= 60.0


def test_tokens_within_the_limit_go_at_once_and_the_next_ones_wait(client: redis.Redis, model: str) -> None:
    log, limit = log_of(client, model), ProviderLimit(tokens=100)
    assert log.enter("a", limit, 60, 5.0).granted
    assert log.enter("b", limit, 40, 5.0).granted

    turn = log.enter("c", limit, 1, 5.0)
    assert (turn.granted, turn.why) == (False, "tokens")


def test_a_request_larger_than_the_limit_takes_a_whole_window(client: redis.Redis, model: str) -> None:
    log, limit = log_of(client, model), ProviderLimit(tokens=100)
    assert log.enter("a", limit, 10**6, 5.0).granted
    assert not log.enter("b", limit, 1, 5.0).granted


def test_what_was_not_used_is_given_back_and_what_was_used_besides_is_taken(
    client: redis.Redis, model: str
) -> None:
    log, limit = log_of(client, model), ProviderLimit(tokens=100)
    log.enter("a", limit, 100, 5.0)
    log.settle("a", 30)
    assert log.enter("b", limit, 70, 5.0).granted
    log.settle("b", 40)
    log.settle("a", 61)
    assert not log.enter("c", limit, 1, 5.0).granted


def test_a_request_that_was_not_sent_leaves_its_place(client: redis.Redis, model: str) -> None:
    log, limit = log_of(client, model), ProviderLimit(requests=1, tokens=10)
    log.enter("a", limit, 10, 5.0)
    log.withdraw("a")
    assert log.enter("b", limit, 10, 5.0).granted


def test_a_settlement_that_comes_late_changes_nothing(client: redis.Redis, model: str) -> None:
    log, limit = log_of(client, model, window=0.05), ProviderLimit(tokens=10)
    log.enter("a", limit, 10, 5.0)
    time.sleep(0.06)
    assert log.enter("b", limit, 5, 0.0).granted
    log.settle("a", 10)
    assert log.enter("c", limit, 5, 0.0).granted


def test_a_pause_holds_for_all_and_a_shorter_one_does_not_end_it(client: redis.Redis, model: str) -> None:
    log, other = log_of(client, model), log_of(client, model)
    log.pause(30.0)
    log.pause(1.0)
    turn = other.enter("a", ProviderLimit(requests=9), 0, 5.0)
    assert (turn.granted, turn.why) == (False, "pause")
    assert 29.0 < turn.wait <= 30.0
    assert 29.0 < other.pause(0.0) <= 30.0


def test_a_client_that_got_no_answer_may_ask_again(client: redis.Redis, model: str) -> None:
    log, limit = log_of(client, model), ProviderLimit(requests=2, tokens=100)
    assert log.enter("a", limit, 60, 5.0).granted
    assert log.enter("a", limit, 60, 5.0).granted
    assert log.enter("b", limit, 40, 5.0).granted
    assert not log.enter("c", limit, 0, 5.0).granted


def test_many_entries_are_counted_right(client: redis.Redis, model: str) -> None:
    log, limit = log_of(client, model), ProviderLimit(requests=200, tokens=10_000)
    assert all(log.enter(str(n), limit, 50, 0.0).wait == 0.0 for n in range(200))
    assert not log.enter("more", limit, 0, 0.0).granted
    for n in range(120):
        log.withdraw(str(n))
    assert log.enter("again", limit, 6000, 0.0).granted
    assert log.enter("too many tokens", limit, 1, 0.0).why == "tokens"


def test_a_name_holds_no_secret_and_no_parameters() -> None:
    name = log_name("https://x.test/v1/?api-key=abc", "gpt", "Bearer sk-secret")
    assert "secret" not in name
    assert "abc" not in name
    assert name == log_name("https://x.test/v1", "gpt", "Bearer sk-secret")
    assert name != log_name("https://x.test/v1", "gpt", "Bearer other")


def take_turns(url: str, model: str, number: int, answers: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    """One worker process of several: take a turn, note the moment and the tokens, and again."""
    log, limit = log_of(connect(url), model, window=0.3), ProviderLimit(requests=5, tokens=100)
    taken: list[tuple[float, int]] = []
    while len(taken) < 12:
        tokens = 15 + 7 * (len(taken) % 3)
        turn = log.enter(f"{number}-{len(taken)}", limit, tokens, 1.0)
        time.sleep(turn.wait if turn.granted else 0.01)
        if turn.granted:
            taken.append((turn.at, tokens))
    answers.put(taken)


def test_processes_share_a_limit_and_no_window_sees_more(shared_valkey: Valkey, model: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    workers = [
        spawn.Process(target=take_turns, args=(shared_valkey.url, model, number, answers))
        for number in range(2)
    ]
    for worker in workers:
        worker.start()
    turns = [turn for _ in workers for turn in answers.get(timeout=60)]
    for worker in workers:
        worker.join(30)

    assert len(turns) == 24
    for start, _ in turns:
        seen = [tokens for at, tokens in turns if start <= at < start + 0.3]
        assert len(seen) <= 5
        assert sum(seen) <= 100


async def test_two_gates_share_a_limit_and_use_all_of_it(
    shared_valkey: Valkey, model: str, opened: Callable[[str], redis.Redis]
) -> None:
    moments: list[float] = []

    class Noting(ScriptedTransport):
        async def send(self, request: aquila.transport.Request) -> object:  # type: ignore[override]
            moments.append(time.monotonic())
            return await super().send(request)

    async def worker() -> None:
        gate = ProviderGate(opened(shared_valkey.url), {"*": ProviderLimit(requests=5)}, window=0.6)
        transport = Noting(Answer.text("a"))

        async def one() -> None:
            await aquila.ask("hi", model=model, transport=transport)

        with gated(gate):
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(one)

    began = time.monotonic()
    async with anyio.create_task_group() as group:
        group.start_soon(worker)
        group.start_soon(worker)

    assert len(moments) == 16
    # One may come late to the moment that it was given, and the next one in time.
    assert most_in_a_window(moments, 0.3) <= 5
    assert time.monotonic() - began >= 1.8


async def test_a_request_that_would_wait_for_long_is_refused_with_the_time_that_it_would(
    client: redis.Redis, model: str
) -> None:
    gate, script = ProviderGate(client, ANY), ScriptedTransport(Answer.text("a"))
    with gated(gate):
        for _ in range(2):
            await aquila.ask("hi", model=model, transport=script)
        with pytest.raises(LimitReached, match=r"made the 2 requests that any minute may see") as caught:
            await aquila.ask("hi", model=model, transport=script)

    assert len(script.requests) == 2
    assert caught.value.retry_after is not None
    assert 55.0 < caught.value.retry_after <= 60.0


async def test_a_model_without_a_limit_is_not_asked_for() -> None:
    nobody = redis.Redis(host="127.0.0.1", port=1)
    gate = ProviderGate(nobody, {"gpt-*": ProviderLimit(requests=1)})
    with gated(gate):
        await aquila.ask("hi", model="other", transport=ScriptedTransport(Answer.text("a")))
    nobody.close()


async def test_what_an_answer_did_not_use_is_free_again(client: redis.Redis, model: str) -> None:
    gate = ProviderGate(client, {"*": ProviderLimit(tokens=1100)})
    script = ScriptedTransport(Answer.text("a", "b"))
    with gated(gate):
        for _ in range(3):
            # Reserved: a thousand for the answer. Used: three, as the provider says.
            await aquila.ask("hi", model=model, transport=script)
            await gate.flush()

    assert len(script.requests) == 3


async def test_a_stream_that_is_cut_gives_back_what_did_not_come(client: redis.Redis, model: str) -> None:
    gate = ProviderGate(client, {"*": ProviderLimit(tokens=1100)})
    script = ScriptedTransport(Answer.text("a", "b", "c"))
    with gated(gate):
        for _ in range(3):
            async with aquila.stream("hi", model=model, transport=script) as stream:
                async for _ in stream.text:
                    break
            await gate.flush()

    assert len(script.requests) == 3


async def test_a_refused_request_uses_no_tokens(client: redis.Redis, model: str) -> None:
    gate = ProviderGate(client, {"*": ProviderLimit(tokens=1100)})
    script = ScriptedTransport(Answer(status=500), Answer.text("a"))
    with gated(gate):
        with pytest.raises(aquila.errors.InternalServerError):
            await aquila.ask("hi", model=model, transport=script, retry=0)
        await gate.flush()
        await aquila.ask("hi", model=model, transport=script)

    assert len(script.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=429, headers={"retry-after": "30"}),
        Answer(
            chunks=Answer.text("a").chunks,
            headers={
                "content-type": "text/event-stream",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "30s",
            },
        ),
    ],
    ids=["429", "nothing remains"],
)
async def test_a_provider_that_asks_for_a_pause_gets_it_from_all_workers(
    shared_valkey: Valkey, model: str, answer: Answer, opened: Callable[[str], redis.Redis]
) -> None:
    first, second = (
        ProviderGate(opened(shared_valkey.url), {"*": ProviderLimit(requests=99)}) for _ in range(2)
    )
    script = ScriptedTransport(answer)
    refused = pytest.raises(RateLimitError) if answer.status == 429 else nullcontext()
    with gated(first), refused:
        await aquila.ask("hi", model=model, transport=script, retry=0)
    await first.flush()

    with gated(second), pytest.raises(LimitReached, match="asked for a pause") as caught:
        await aquila.ask("hi", model=model, transport=script, retry=0)
    assert caught.value.retry_after is not None
    assert 25.0 < caught.value.retry_after <= 30.0
    assert len(script.requests) == 1


async def test_a_pause_that_comes_while_a_request_waits_holds_it_too(client: redis.Redis, model: str) -> None:
    gate = ProviderGate(client, {"*": ProviderLimit(requests=1)}, window=0.5, patience=2.0)
    script = ScriptedTransport(Answer.text("a"))
    async with anyio.create_task_group() as group:
        with gated(gate):
            await aquila.ask("hi", model=model, transport=script)

            async def refused() -> None:
                with pytest.raises(LimitReached, match="asked for a pause"):
                    await aquila.ask("hi", model=model, transport=script)

            group.start_soon(refused)
            await anyio.sleep(0.1)
            key = log_name(script.requests[0].url.removesuffix("/chat/completions"), model, "")
            ProviderLog(client, key, 0.5).pause(30.0)

    assert len(script.requests) == 1


async def test_a_cancelled_request_gives_its_place_back(client: redis.Redis, model: str) -> None:
    gate = ProviderGate(client, {"*": ProviderLimit(requests=1)}, patience=90.0)
    script = ScriptedTransport(Answer.text("a"))
    log = f"aq:limit:{{*|{model}|*}}:at"
    with gated(gate):
        await aquila.ask("hi", model=model, transport=script)
        (key,) = client.scan_iter(log)
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                await aquila.ask("hi", model=model, transport=script)

            group.start_soon(wait)
            await until(lambda: client.zcard(key) == 2)
            group.cancel_scope.cancel()
        await gate.flush()

    assert client.zcard(key) == 1
    assert len(script.requests) == 1


async def test_without_redis_requests_go_on_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, opened: Callable[[str], redis.Redis]
) -> None:
    gate, script = ProviderGate(opened(f"unix://{tmp_path}/none"), ANY), ScriptedTransport(Answer.text("a"))
    with caplog.at_level(logging.WARNING, "jobs"), gated(gate):
        for _ in range(4):
            await aquila.ask("hi", model="m", transport=script)

    assert len(script.requests) == 4
    assert caplog.text.count("provider limits are not kept until Redis is back") == 1


async def test_a_redis_that_hangs_holds_a_request_for_moments_only(
    tmp_path: Path, opened: Callable[[str], redis.Redis]
) -> None:
    server = Valkey(tmp_path)
    server.start()
    gate, script = ProviderGate(opened(server.url), ANY), ScriptedTransport(Answer.text("a"))
    try:
        with gated(gate):
            await aquila.ask("hi", model="m", transport=script)
            server.pause()
            began = time.monotonic()
            for _ in range(3):
                await aquila.ask("hi", model="m", transport=script)
    finally:
        server.go_on()
        server.stop()

    assert len(script.requests) == 4
    assert time.monotonic() - began < 6.0
